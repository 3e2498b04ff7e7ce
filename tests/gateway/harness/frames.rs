//! HTTP/2 frame by frame over TLS: for requests that no client library would send.

use super::PATIENCE;
use super::authority::Authority;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW: u8 = 8;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A client that does as it is told.
pub struct Frames(TlsStream<TcpStream>);

impl Frames {
    /// Connects, and says which settings it has: a small first window, say.
    pub async fn connect(authority: &Authority, name: &str, port: u16, settings: &[(u16, u32)]) -> Self {
        let mut config = (*authority.client()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
        Self::over(TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap(), settings).await
    }

    /// On a connection that has agreed to HTTP/2.
    pub async fn over(mut tls: TlsStream<TcpStream>, settings: &[(u16, u32)]) -> Self {
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        // No table: what comes back can be read without remembering anything.
        let settings: Vec<u8> = [(1, 0)]
            .iter()
            .chain(settings)
            .flat_map(|(key, value): &(u16, u32)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        let mut frames = Self(tls);
        frames.send(SETTINGS, 0, 0, &settings).await;
        frames
    }

    /// The connection, for whoever reads no frames any more.
    pub fn into_inner(self) -> TlsStream<TcpStream> {
        self.0
    }

    /// Sends a frame; that the other end may have hung up is seen when reading.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        let write = async {
            self.0.write_all(&frame).await?;
            // TLS keeps what the socket does not take at once.
            self.0.flush().await
        };
        let _ = timeout(PATIENCE, write).await.expect("the gateway reads");
    }

    /// The next frame; `None` at the end. Settings and pings are answered.
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = timeout(PATIENCE, self.read()).await.expect("a frame, or the end")?;
        if matches!(frame.kind, SETTINGS | PING) && frame.flags & ACK == 0 {
            let payload = if frame.kind == PING { frame.payload.clone() } else { Vec::new() };
            self.send(frame.kind, ACK, 0, &payload).await;
        }
        Some(frame)
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// What became of a request: its status, or 0 where it, or the whole connection, was refused without one.
    pub async fn outcome(&mut self, stream: u32) -> u16 {
        let mut status = 0;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY || (frame.kind == RESET && frame.stream == stream) {
                break;
            }
            if frame.stream != stream {
                continue;
            }
            if frame.kind == HEADERS && status == 0 {
                status = status_of(&frame.payload);
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                break;
            }
        }
        status
    }
}

/// Headers as literals that need no table.
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// RFC 7541 §5.1 with a prefix of seven bits.
fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        return block.push(u8::try_from(length).unwrap());
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The status at the front of a block that was written without a table.
fn status_of(block: &[u8]) -> u16 {
    // RFC 7541 appendix A: the statuses that have a number of their own.
    let known = [200, 204, 206, 304, 400, 404, 500];
    match block {
        // The table shrinks to nothing, as was wished.
        [0x20, rest @ ..] => status_of(rest),
        [first @ 0x88..=0x8e, ..] => known[usize::from(first - 0x88)],
        // A literal with the name's number; the value in Huffman's code or as it is.
        [0x08 | 0x18 | 0x48, 3, digits @ ..] => std::str::from_utf8(&digits[..3]).unwrap().parse().unwrap(),
        [0x08 | 0x18 | 0x48, length, code @ ..] => unpack(&code[..usize::from(length & 0x7f)]),
        _ => panic!("no status: {block:?}"),
    }
}

/// Digits in Huffman's code: 0, 1 and 2 have five bits, the others six.
fn unpack(code: &[u8]) -> u16 {
    let mut bits = u32::from_be_bytes([code[0], code[1], code.get(2).copied().unwrap_or(0xff), 0xff]);
    let mut number = 0;
    for _ in 0..3 {
        let (five, six) = (bits >> 27, bits >> 26);
        let (digit, used) = if five < 3 { (five, 5) } else { (six - 0b01_1001 + 3, 6) };
        number = number * 10 + u16::try_from(digit).unwrap();
        bits <<= used;
    }
    number
}
