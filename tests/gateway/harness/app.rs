//! An app that knows nothing of the gateway and writes down, byte for byte, what reaches it. Raw sockets, so that a
//! request that no HTTP library would show is seen too.

use super::eventually;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Fields behind a chunked body, as they came.
    pub trailers: Vec<String>,
}

impl Seen {
    /// The values of a header, joined; empty without one.
    pub fn header(&self, name: &str) -> String {
        self.all(name).join(", ")
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }
}

pub struct App {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Bytes after which no request could be made out: proof of smuggling.
    nonsense: Arc<Mutex<Vec<Vec<u8>>>>,
    task: tokio::task::JoinHandle<()>,
}

impl App {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, nonsense) = (Arc::default(), Arc::default());
        let (to, odd) = (Arc::clone(&seen), Arc::clone(&nonsense));
        let task = tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, Arc::clone(&to), Arc::clone(&odd)));
            }
        });
        Self { port, seen, nonsense, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn nonsense(&self) -> Vec<Vec<u8>> {
        self.nonsense.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
        self.nonsense.lock().unwrap().clear();
    }

    /// The request whose path begins with `path`, as soon as it has come.
    pub async fn request(&self, path: &str) -> Seen {
        eventually(&format!("{path} reaches the app"), async || {
            self.seen().into_iter().rev().find(|seen| seen.target.starts_with(path))
        })
        .await
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut socket: TcpStream,
    seen: Arc<Mutex<Vec<Seen>>>,
    nonsense: Arc<Mutex<Vec<Vec<u8>>>>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = find(&buffer, b"\r\n\r\n") {
                break at;
            }
            if read(&mut socket, &mut buffer).await == 0 {
                return None;
            }
        };
        let head: Vec<u8> = buffer.drain(..end + 4).collect();
        let Some(mut request) = parse(&head) else {
            nonsense.lock().unwrap().push(head);
            return None;
        };
        read_body(&mut socket, &mut buffer, &mut request).await?;
        let answer = answer(&request);
        seen.lock().unwrap().push(request);
        socket.write_all(&answer).await.ok()?;
    }
}

async fn read(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> usize {
    socket.read_buf(buffer).await.unwrap_or(0)
}

fn parse(head: &[u8]) -> Option<Seen> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || version != "HTTP/1.1" {
        return None;
    }
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect::<Option<Vec<_>>>()?;
    if headers.iter().any(|(name, _)| name.is_empty() || name.contains([' ', '\t'])) {
        return None;
    }
    Some(Seen {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: Vec::new(),
        trailers: Vec::new(),
    })
}

async fn read_body(socket: &mut TcpStream, buffer: &mut Vec<u8>, request: &mut Seen) -> Option<()> {
    if request.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
        loop {
            let size = line(socket, buffer).await?;
            let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                loop {
                    let trailer = line(socket, buffer).await?;
                    if trailer.is_empty() {
                        return Some(());
                    }
                    request.trailers.push(trailer);
                }
            }
            fill(socket, buffer, size + 2).await?;
            request.body.extend(buffer.drain(..size));
            buffer.drain(..2);
        }
    }
    let length = request.header("content-length").parse().unwrap_or(0);
    fill(socket, buffer, length).await?;
    request.body.extend(buffer.drain(..length));
    Some(())
}

async fn line(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = find(buffer, b"\r\n") {
            let line: Vec<u8> = buffer.drain(..at + 2).collect();
            return Some(String::from_utf8_lossy(line.get(..at)?).into_owned());
        }
        if read(socket, buffer).await == 0 {
            return None;
        }
    }
}

async fn fill(socket: &mut TcpStream, buffer: &mut Vec<u8>, size: usize) -> Option<()> {
    while buffer.len() < size {
        if read(socket, buffer).await == 0 {
            return None;
        }
    }
    Some(())
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// What the app says. `/cookies` sets some, among them ours; `/headers` sends what would lead around the gate.
fn answer(request: &Seen) -> Vec<u8> {
    let more = match request.target.split('?').next().unwrap_or_default() {
        "/cookies" | "/open/cookies" => concat!(
            "Set-Cookie: first=1; Path=/\r\nSet-Cookie: second=2; Path=/\r\n",
            "Set-Cookie: linkgate=stolen; Path=/\r\nSet-Cookie: __Host-linkgate=stolen; Path=/; Secure\r\n",
            "Set-Cookie: linkgate-login=stolen; Path=/\r\n",
            "Set-Cookie: __Host-linkgate =stolen; Path=/; Secure; HttpOnly\r\n",
            "Set-Cookie: __Host-linkgate-login=stolen; Path=/; Secure\r\n"
        ),
        "/headers" => concat!(
            "Alt-Svc: h3=\":443\"\r\nNEL: {}\r\nReport-To: {}\r\nReporting-Endpoints: a=\"https://a.example\"\r\n",
            "Clear-Site-Data: \"cache\", \"cookies\"\r\nX-App: kept\r\n"
        ),
        "/cached" | "/shared/cached" => concat!(
            "Cache-Control: public, max-age=60\r\nServer: old/1.0\r\n",
            "X-Frame-Options: SAMEORIGIN\r\nX-Frame-Options: ALLOWALL\r\n"
        ),
        _ => "",
    };
    let body = format!(
        concat!(
            "<!doctype html><html lang=\"en\"><head><title>The app</title></head><body><main><h1>The app</h1>",
            "<p id=\"user\">{}</p><p id=\"target\">{}</p></main></body></html>"
        ),
        escape(&request.header("remote-user")),
        escape(&request.target),
    );
    let shown = if request.method == "HEAD" { "" } else { &body };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n{more}\r\n{shown}",
        body.len()
    )
    .into_bytes()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
