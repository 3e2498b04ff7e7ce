//! WebSockets byte by byte (RFC 6455), at either end of a gateway.

use super::stage::Stage;
use super::stage::Wire;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The example of RFC 6455 §1.3, and its proof.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const PROOF: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a browser sends on a page of this stage, but for `Origin`.
pub const ASKING: &str = "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                          sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// What an app says to that.
pub const YES: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                       sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The value of a field in a head.
pub fn header(head: &str, name: &str) -> String {
    let line = head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("{name} in {head}")).to_owned()
}

/// What an app says to this request; `more` are whole lines.
pub fn yes_to(asked: &str, more: &str) -> String {
    let text = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", header(asked, "sec-websocket-key"));
    let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    let proof = STANDARD.encode(sha1);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {proof}\r\n{more}\r\n"
    )
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Message {
    /// The code and reason of a close frame.
    #[track_caller]
    pub fn close(&self) -> (u16, String) {
        assert_eq!(self.opcode, 8, "{self:?}");
        let code = u16::from_be_bytes([self.payload[0], self.payload[1]]);
        (code, String::from_utf8(self.payload[2..].to_vec()).unwrap())
    }
}

/// A whole frame, masked as a visitor's or not as an app's.
pub fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        length @ ..126 => bytes.push(bit | u8::try_from(length).unwrap()),
        length @ ..65536 => {
            bytes.push(bit | 0x7e);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(bit | 0x7f);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| bytes.extend(mask)).unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// As a visitor sends a text.
pub fn from_visitor(text: &str) -> Vec<u8> {
    frame(1, text.as_bytes(), Some([7, 77, 177, 0]))
}

/// As an app sends a text.
pub fn from_app(text: &str) -> Vec<u8> {
    frame(1, text.as_bytes(), None)
}

/// The next frame, unmasked.
pub async fn next(wire: &mut Wire) -> Message {
    let head = wire.bytes(2).await;
    let length = match head[1] & 0x7f {
        126 => u64::from(u16::from_be_bytes(wire.bytes(2).await.try_into().unwrap())),
        127 => u64::from_be_bytes(wire.bytes(8).await.try_into().unwrap()),
        length => u64::from(length),
    };
    let mask = if head[1] & 0x80 == 0 { vec![0; 4] } else { wire.bytes(4).await };
    let payload = wire.bytes(usize::try_from(length).unwrap()).await;
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Message { opcode: head[0] & 0x0f, payload }
}

/// Says something on either side, and sees it come out on the other.
pub async fn both_ways(visitor: &mut Wire, app: &mut Wire) {
    visitor.say(from_visitor("ping?")).await;
    assert_eq!(next(app).await.payload, b"ping?");
    app.say(from_app("pong!")).await;
    assert_eq!(next(visitor).await.payload, b"pong!");
}

/// An open WebSocket in Alice's name: the visitor's end and the app's.
pub async fn open(stage: &Stage, path: &str) -> (Wire, Wire) {
    open_with(stage, &stage.cookie, path).await
}

/// The same in the name of who has this cookie.
pub async fn open_with(stage: &Stage, cookie: &str, path: &str) -> (Wire, Wire) {
    let mut visitor = stage.visitor().await;
    ask_with(stage, &mut visitor, "http", cookie, path).await;
    let mut app = stage.app().await;
    agree(&mut visitor, &mut app).await;
    (visitor, app)
}

/// Asks for a WebSocket as a page of the app does.
pub async fn ask_with(stage: &Stage, visitor: &mut Wire, scheme: &str, cookie: &str, path: &str) {
    let host = &stage.host;
    let line = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n");
    visitor.say(format!("{line}origin: {scheme}://{host}\r\ncookie: {cookie}\r\n{ASKING}\r\n")).await;
}

/// The app is asked, and says yes.
pub async fn agree(visitor: &mut Wire, app: &mut Wire) {
    app.until("\r\n\r\n").await;
    app.say(YES).await;
    visitor.until("\r\n\r\n").await;
    both_ways(visitor, app).await;
}
