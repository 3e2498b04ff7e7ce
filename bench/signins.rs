//! Signs people in, as many at once as there are lanes: asks at one instance, waits for the letter at an SMTP sink of its
//! own, redeems at the next instance. Prints how many a second, and how long asking, the letter and redeeming took.
//! Never counts a sign-in that was not answered with a session.
//!
//! `signins HOST SINK LANES SECONDS INSTANCE…`: the site's host, and addresses as `127.0.0.1:8080`; built by rustc alone.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Not counted: until connections, caches and scripts are there.
const WARM_UP: Duration = Duration::from_millis(1000);
/// A letter that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who waits for a letter to which address.
type Waiting = Arc<Mutex<HashMap<String, Sender<String>>>>;

/// Microseconds of one sign-in: asking, the letter, redeeming.
type Times = [u64; 3];

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, sink, lanes, seconds, instances @ ..] = arguments.as_slice() else {
        return Err("usage: signins HOST SINK LANES SECONDS INSTANCE...".into());
    };
    let number = |text: &String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let (lanes, seconds) = (number(lanes)?, number(seconds)?);
    let waiting = Waiting::default();
    let listener = TcpListener::bind(sink).map_err(|error| format!("{sink}: {error}"))?;
    let letters = Arc::clone(&waiting);
    thread::spawn(move || {
        for relay in listener.incoming().flatten() {
            let letters = Arc::clone(&letters);
            // A relay that hangs up ends its thread.
            thread::spawn(move || take_letters(relay, &letters));
        }
    });
    // Addresses that no earlier run had: their limits are fresh.
    let next = Arc::new(AtomicU64::new(u64::from(std::process::id()) << 32));
    let start = Instant::now() + WARM_UP;
    let end = start + Duration::from_secs(seconds);
    let threads: Vec<_> = (0..lanes)
        .map(|lane| {
            let (next, waiting, instances) = (Arc::clone(&next), Arc::clone(&waiting), instances.to_vec());
            let host = host.clone();
            thread::spawn(move || run(lane as usize, &host, &instances, &next, &waiting, start, end))
        })
        .collect();
    let mut times: Vec<Times> = Vec::new();
    for lane in threads {
        times.extend(lane.join().map_err(|_| "a lane panicked")??);
    }
    let at = |part: usize, share: f64| {
        let mut one: Vec<u64> = times.iter().map(|times| times[part]).collect();
        one.sort_unstable();
        one.get((one.len() as f64 * share) as usize).copied().unwrap_or(0)
    };
    println!(
        "{{\"signins\": {}, \"ask_p50\": {}, \"letter_p50\": {}, \"redeem_p50\": {}, \"redeem_p99\": {}}}",
        times.len(),
        at(0, 0.5),
        at(1, 0.5),
        at(2, 0.5),
        at(2, 0.99)
    );
    Ok(())
}

/// One person after another, until `end`; those who were in between `start` and `end` count.
fn run(
    lane: usize,
    host: &str,
    instances: &[String],
    next: &AtomicU64,
    waiting: &Waiting,
    start: Instant,
    end: Instant,
) -> Result<Vec<Times>, String> {
    let mut lines = instances.iter().map(|one| Line::open(one, host)).collect::<Result<Vec<_>, _>>()?;
    let count = lines.len();
    let mut times = Vec::new();
    for turn in lane.. {
        let email = format!("person{}@example.com", next.fetch_add(1, Ordering::Relaxed));
        let (sender, letter) = channel();
        lock(waiting).insert(email.clone(), sender);
        let began = Instant::now();
        if began >= end {
            break;
        }
        let (status, body) =
            lines[turn % count].post("/.linkgate/login", &format!(r#"{{"email":"{email}"}}"#))?;
        let request =
            field(&body, "request").filter(|_| status == 202).ok_or(format!("asking: {status} {body}"))?;
        let asked = Instant::now();
        let token = letter.recv_timeout(PATIENCE).map_err(|_| format!("no letter came to {email}"))?;
        let came = Instant::now();
        let proof = format!(r#"{{"request":"{request}","token":"{token}"}}"#);
        let (status, body) = lines[(turn + 1) % count].post("/.linkgate/verify", &proof)?;
        if status != 200 || field(&body, "token").is_none() {
            return Err(format!("redeeming: {status} {body}"));
        }
        let over = Instant::now();
        if began >= start && over <= end {
            let micros = |span: Duration| span.as_micros() as u64;
            times.push([micros(asked - began), micros(came - asked), micros(over - came)]);
        }
    }
    Ok(times)
}

/// One keep-alive connection.
struct Line {
    address: String,
    host: String,
    stream: BufReader<TcpStream>,
}

impl Line {
    fn open(address: &str, host: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
            .map_err(|e| e.to_string())?;
        Ok(Self { address: address.to_owned(), host: host.to_owned(), stream: BufReader::new(stream) })
    }

    fn post(&mut self, path: &str, body: &str) -> Result<(u16, String), String> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        let failed = |error: std::io::Error| format!("{}: {error}", self.address);
        self.stream.get_mut().write_all(request.as_bytes()).map_err(failed)?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).map_err(|error| format!("{}: {error}", self.address))?;
            let line = line.trim_end();
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
            } else if let Some((name, value)) = line.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().map_err(|error| format!("{value}: {error}"))?;
                }
            } else if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).map_err(|error| format!("{}: {error}", self.address))?;
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }
}

/// An SMTP server for one relay's connection (RFC 5321): takes everything, and hands the tokens on.
fn take_letters(relay: TcpStream, waiting: &Waiting) -> Option<()> {
    relay.set_nodelay(true).ok()?;
    let mut relay = BufReader::new(relay);
    relay.get_mut().write_all(b"220 sink.example.com ESMTP\r\n").ok()?;
    let mut to = String::new();
    loop {
        let line = read(&mut relay)?;
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-sink.example.com\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
            "RCPT" => {
                to = line.split_once('<')?.1.split_once('>')?.0.to_owned();
                "250 yes\r\n"
            }
            "DATA" => {
                relay.get_mut().write_all(b"354 go on\r\n").ok()?;
                let mut letter = String::new();
                loop {
                    match read(&mut relay)? {
                        dot if dot == "." => break,
                        // Quoted-printable (RFC 2045, section 6.7): a line that goes on ends with `=`.
                        text => match text.strip_suffix('=') {
                            Some(goes_on) => letter.push_str(goes_on),
                            None => {
                                letter.push_str(&text);
                                letter.push('\n');
                            }
                        },
                    }
                }
                hand_on(&to, &letter.replace("=3D", "="), waiting);
                "250 taken\r\n"
            }
            "QUIT" => {
                relay.get_mut().write_all(b"221 bye\r\n").ok()?;
                return Some(());
            }
            _ => "250 yes\r\n",
        };
        relay.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

fn hand_on(to: &str, letter: &str, waiting: &Waiting) {
    let Some((_, rest)) = letter.split_once("token=") else { return };
    let token: String =
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    if let Some(sender) = lock(waiting).remove(to) {
        // Whoever gave up waiting has said so.
        let _ = sender.send(token);
    }
}

fn read(relay: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    (relay.read_line(&mut line).ok()? > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The text of a JSON field without escapes.
fn field(body: &str, name: &str) -> Option<String> {
    let rest = body.split_once(&format!("\"{name}\":"))?.1.trim_start().strip_prefix('"')?;
    Some(rest.split_once('"')?.0.to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
