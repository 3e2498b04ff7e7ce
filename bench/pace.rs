//! Sends HTTP/1 requests at a fixed rate over keep-alive connections and prints percentiles of the time to the whole
//! answer. Open loop: a request that is late because the one before it on its connection was slow counts from the
//! moment it was due, so that a stall is not hidden by the requests it held up.
//!
//! `pace ADDRESS PATH CONNECTIONS RATE SECONDS [HEADER: VALUE]…`, built by rustc alone.

#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Not counted: until caches, pools and clocks are warm.
const WARM_UP: Duration = Duration::from_millis(500);

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, connections, rate, seconds, headers @ ..] = arguments.as_slice() else {
        return Err("usage: pace ADDRESS PATH CONNECTIONS RATE SECONDS [HEADER: VALUE]...".into());
    };
    let number = |text: &String| text.parse::<u32>().map_err(|error| format!("{text}: {error}"));
    let (connections, rate, seconds) = (number(connections)?, number(rate)?, number(seconds)?);
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("GET {path} HTTP/1.1\r\n{lines}\r\n");
    let every = Duration::from_secs(1) * connections / rate;
    let start = Instant::now() + Duration::from_millis(50);
    let end = start + WARM_UP + Duration::from_secs(seconds.into());
    let lanes: Vec<_> = (0..connections)
        .map(|lane| {
            let (address, request) = (address.clone(), request.clone());
            let first = start + every * lane / connections;
            thread::Builder::new().stack_size(128 << 10).spawn(move || {
                run(&address, request.as_bytes(), first, every, start + WARM_UP, end)
            })
        })
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let mut times = Vec::new();
    for lane in lanes {
        times.extend(lane.join().map_err(|_| "a lane panicked")??);
    }
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0);
    println!(
        "{{\"requests\": {}, \"rate\": {:.0}, \"p50\": {}, \"p99\": {}, \"p999\": {}, \"max\": {}}}",
        times.len(),
        times.len() as f64 / f64::from(seconds),
        at(0.5),
        at(0.99),
        at(0.999),
        times.last().copied().unwrap_or(0)
    );
    Ok(())
}

/// One connection: microseconds of every request that was due from `counted` on and answered before `end`.
fn run(
    address: &str,
    request: &[u8],
    first: Instant,
    every: Duration,
    counted: Instant,
    end: Instant,
) -> Result<Vec<u32>, String> {
    let mut socket = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
    socket.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut times = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut due = first;
    while due < end {
        // On time, it counts from the send: how late the kernel wakes us is no fault of the proxy. Held up by the
        // answer before, it counts from when it was due.
        let now = Instant::now();
        let since = if now < due {
            thread::sleep(due - now);
            Instant::now()
        } else {
            due
        };
        socket.write_all(request).map_err(|error| error.to_string())?;
        answer(&mut socket, &mut buffer)?;
        let done = Instant::now();
        if due >= counted && done < end {
            times.push(u32::try_from((done - since).as_micros()).unwrap_or(u32::MAX));
        }
        due += every;
    }
    Ok(times)
}

/// Reads one answer of announced length; anything but a 200 is an error.
fn answer(socket: &mut TcpStream, buffer: &mut [u8]) -> Result<(), String> {
    let mut have = 0;
    let mut whole = usize::MAX;
    while have < whole {
        let got = socket.read(&mut buffer[have..]).map_err(|error| error.to_string())?;
        if got == 0 {
            return Err("the connection ended".into());
        }
        have += got;
        if whole == usize::MAX
            && let Some(end) = buffer[..have].windows(4).position(|window| window == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(format!("not a 200: {head}"));
            }
            let length = head.split("\r\ncontent-length:").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.and_then(|text| text.trim().parse().ok()).ok_or("no length")?;
            whole = end + 4 + length;
        }
    }
    Ok(())
}
