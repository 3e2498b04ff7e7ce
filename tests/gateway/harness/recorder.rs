//! An app that keeps every byte that reaches it, and answers what it can make out as a request by the strictest rules:
//! each with 200 and a short body. Behind its back the test asks what a laxer app would have made of the bytes.

use super::app::find;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

/// One request as it was read: its head and its body, and the bytes between which it lay.
#[derive(Clone, Debug)]
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
}

impl Message {
    /// The values of headers whose names an app might fold to this one.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fold = |text: &str| text.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| fold(found) == name).map(|(_, value)| value.trim()).collect()
    }
}

#[derive(Default)]
struct Book {
    /// All bytes, a connection each.
    raw: Vec<Vec<u8>>,
    messages: Vec<Message>,
    /// Why a connection was given up.
    faults: Vec<String>,
}

pub struct Recorder {
    port: u16,
    book: Arc<Mutex<Book>>,
    task: tokio::task::JoinHandle<()>,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let book = Arc::<Mutex<Book>>::default();
        let shared = Arc::clone(&book);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(listen(socket, Arc::clone(&shared)));
            }
        });
        Self { port, book, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn forget(&self) {
        let mut book = self.book.lock().unwrap();
        for raw in &mut book.raw {
            raw.clear();
        }
        book.messages.clear();
        book.faults.clear();
    }

    /// Everything that came since it forgot, one connection after the other.
    pub fn raw(&self) -> Vec<u8> {
        self.book.lock().unwrap().raw.concat()
    }

    pub fn messages(&self) -> Vec<Message> {
        self.book.lock().unwrap().messages.clone()
    }

    /// What is wrong with what came: nothing, unless an app could read it in two ways.
    pub fn complaint(&self) -> Option<String> {
        let book = self.book.lock().unwrap();
        book.faults.first().cloned().or_else(|| book.messages.iter().find_map(ambiguous))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a lax app might see the end of this request elsewhere.
fn ambiguous(message: &Message) -> Option<String> {
    let Message { head, .. } = message;
    let (lengths, encodings) = (message.all("content-length"), message.all("transfer-encoding"));
    if lengths.len() + encodings.len() > 1 {
        return Some(format!("two framings: {head:?}"));
    }
    if lengths.iter().any(|length| !length.bytes().all(|byte| byte.is_ascii_digit()) || length.is_empty()) {
        return Some(format!("an odd length: {head:?}"));
    }
    if encodings.iter().any(|encoding| *encoding != "chunked") {
        return Some(format!("an odd encoding: {head:?}"));
    }
    let odd = |line: &&str| {
        line.bytes().any(|byte| byte < b' ' && byte != b'\t')
            || line.starts_with([' ', '\t'])
            || line.split(':').next().is_some_and(|name| name.ends_with([' ', '\t']))
    };
    if let Some(line) = head.split("\r\n").find(odd) {
        return Some(format!("an odd line: {line:?}"));
    }
    // What is not forwarded: an expectation would make the app answer twice.
    (!message.all("expect").is_empty()).then(|| format!("an expectation: {head:?}"))
}

struct Reading {
    socket: TcpStream,
    book: Arc<Mutex<Book>>,
    number: usize,
    buffer: Vec<u8>,
}

async fn listen(socket: TcpStream, book: Arc<Mutex<Book>>) {
    let number = {
        let mut book = book.lock().unwrap();
        book.raw.push(Vec::new());
        book.raw.len() - 1
    };
    let mut reading = Reading { socket, book, number, buffer: Vec::new() };
    while reading.message().await.is_some() {}
}

impl Reading {
    async fn message(&mut self) -> Option<()> {
        let end = self.upto(b"\r\n\r\n").await?;
        let head = self.take(end);
        let head = String::from_utf8_lossy(head.strip_suffix(b"\r\n\r\n").unwrap_or(&head)).into_owned();
        let mut words = head.split("\r\n").next().unwrap_or_default().split(' ');
        let line = (words.next(), words.next(), words.next(), words.next());
        if !matches!(line, (Some(method), Some(target), Some("HTTP/1.1"), None)
            if !method.is_empty() && target.starts_with('/'))
        {
            return self.fault(format!("no request: {head:?}"));
        }
        let mut message = Message { head, body: Vec::new() };
        if message.all("transfer-encoding").is_empty() {
            let length = message.all("content-length").first().map_or(Ok(0), |length| length.parse());
            let Ok(length) = length else { return self.fault(format!("an odd length: {:?}", message.head)) };
            self.fill(length).await?;
            message.body = self.take(length);
        } else {
            message.body = self.chunks().await?;
        }
        self.book.lock().unwrap().messages.push(message);
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";
        self.socket.write_all(answer.as_bytes()).await.ok()
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.upto(b"\r\n").await?;
            let line = String::from_utf8_lossy(&self.take(end)).trim_end().to_owned();
            // The gateway frames anew: digits alone, no extensions.
            if line.is_empty() || !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return self.fault(format!("an odd chunk: {line:?}"));
            }
            let size = usize::from_str_radix(&line, 16).ok()?;
            if size == 0 {
                loop {
                    let end = self.upto(b"\r\n").await?;
                    if self.take(end) == b"\r\n" {
                        return Some(body);
                    }
                }
            }
            self.fill(size + 2).await?;
            body.extend(self.take(size));
            if self.take(2) != b"\r\n" {
                return self.fault("a chunk without an end".to_owned());
            }
        }
    }

    fn fault<T>(&self, fault: String) -> Option<T> {
        self.book.lock().unwrap().faults.push(fault);
        None
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.buffer.drain(..count).collect()
    }

    /// Reads until `mark` is there; where it ends.
    async fn upto(&mut self, mark: &[u8]) -> Option<usize> {
        loop {
            if let Some(at) = find(&self.buffer, mark) {
                return Some(at + mark.len());
            }
            self.more().await?;
        }
    }

    async fn fill(&mut self, count: usize) -> Option<()> {
        while self.buffer.len() < count {
            self.more().await?;
        }
        Some(())
    }

    async fn more(&mut self) -> Option<()> {
        let had = self.buffer.len();
        let read = self.socket.read_buf(&mut self.buffer).await.ok()?;
        let new = self.buffer.get(had..).unwrap_or_default();
        self.book.lock().unwrap().raw[self.number].extend_from_slice(new);
        (read > 0).then_some(())
    }
}
