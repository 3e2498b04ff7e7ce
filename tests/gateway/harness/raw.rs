//! Bytes as they are: for requests that no client library would send.

use super::PATIENCE;
use super::app::find;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[derive(Debug)]
pub struct RawAnswer {
    /// 0 when the connection was closed without an answer.
    pub status: u16,
    pub text: String,
    /// How many answers came on this connection.
    pub answers: usize,
    /// The gateway ended the connection by itself.
    pub closed: bool,
}

/// Sends these bytes and reads until the connection ends, or until one whole answer is here and nothing more comes
/// although a second request was sent behind it (`Connection: close`).
pub async fn exchange(port: u16, bytes: &[u8]) -> RawAnswer {
    exchange_over(TcpStream::connect(("127.0.0.1", port)).await.unwrap(), bytes).await
}

/// The same on a connection that is there.
pub async fn exchange_over(mut socket: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> RawAnswer {
    let whole = async {
        // The gateway may refuse before it has read everything.
        let _ = socket.write_all(bytes).await;
        let mut read = Vec::new();
        let mut closed = true;
        loop {
            match tokio::time::timeout(quiet(&read), socket.read_buf(&mut read)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => {}
                Err(_) => {
                    closed = false;
                    break;
                }
            }
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        let answers = text.matches("HTTP/1.1 ").count() - text.matches("HTTP/1.1 100 ").count();
        RawAnswer { status: status(&text), text, answers, closed }
    };
    tokio::time::timeout(PATIENCE * 2, whole).await.expect("an answer, or the end of the connection")
}

/// A whole answer on a connection that is kept open is over when nothing follows it; before that we are patient.
fn quiet(read: &[u8]) -> std::time::Duration {
    let read = read.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(read);
    let complete = find(read, b"\r\n\r\n").is_some_and(|end| {
        let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).to_ascii_lowercase();
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|value| value.trim().parse::<usize>().ok());
        length.is_some_and(|length| read.len() >= end + 4 + length) || head.contains(" 304 ")
    });
    if complete { std::time::Duration::from_millis(300) } else { PATIENCE }
}

fn status(text: &str) -> u16 {
    let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(text);
    text.strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}
