//! A page behind the gateway that lives by a WebSocket and an EventSource: both work, and both end when the session is
//! revoked.

use crate::chrome::Chrome;
use crate::harness::stage::Stage;
use base64::Engine as _;
use std::time::Duration;
use std::time::Instant;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

const PAGE: &str = r#"<!doctype html><html lang="en"><title>Streams</title><ul id="log"></ul><script>
const say = text => { const item = document.createElement("li"); item.textContent = text; log.append(item) };
const socket = new WebSocket(location.href.replace("http", "ws") + "socket", ["chat"]);
socket.onopen = () => { say("socket open as " + socket.protocol); socket.send("ping from the page") };
socket.onmessage = event => say("socket says: " + event.data);
socket.onclose = event => say(`socket closed with ${event.code}`);
const events = new EventSource("/events");
events.onmessage = event => say("event: " + event.data);
events.onerror = () => say(events.readyState == 2 ? "events refused" : "events broken off");
</script></html>"#;

/// Serves the page, one WebSocket that greets and echoes, one stream with two events.
async fn app(listener: TcpListener) {
    // The connections end with this task.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(serve(BufReader::new(tcp)));
    }
}

async fn serve(mut wire: BufReader<TcpStream>) -> std::io::Result<()> {
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if wire.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        match head.split(' ').nth(1).unwrap_or_default() {
            "/socket" => return socket(wire, &head).await,
            "/events" => {
                let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                wire.write_all(answer.as_bytes()).await?;
                for text in ["one", "two"] {
                    let event = format!("data: {text}\n\n");
                    wire.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
                }
                // And nothing more, until nobody listens.
                wire.read_u8().await?;
            }
            _ => {
                let length = PAGE.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\r\n{PAGE}"
                );
                wire.write_all(answer.as_bytes()).await?;
            }
        }
    }
}

/// The least that RFC 6455 asks of a server: short unfragmented messages only.
async fn socket(mut wire: BufReader<TcpStream>, head: &str) -> std::io::Result<()> {
    let header = |name: &str| {
        let found = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("{name} in {head}")).1.to_owned()
    };
    assert_eq!(header("sec-websocket-protocol"), "chat");
    let accepted = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", header("sec-websocket-key"));
    let accepted =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, accepted.as_bytes());
    let accepted = base64::engine::general_purpose::STANDARD.encode(accepted);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-protocol: chat\r\nsec-websocket-accept: {accepted}\r\n\r\n"
    );
    wire.write_all(answer.as_bytes()).await?;
    wire.write_all(&text("hello from the app")).await?;
    loop {
        let (kind, length) = (wire.read_u8().await? & 0x0f, usize::from(wire.read_u8().await? & 0x7f));
        assert!(length < 126, "short messages only");
        let mut masked = vec![0; 4 + length];
        wire.read_exact(&mut masked).await?;
        let (mask, payload) = masked.split_at(4);
        let payload: Vec<u8> =
            payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        if kind == 1 {
            wire.write_all(&text(&format!("you said {}", String::from_utf8_lossy(&payload)))).await?;
        }
    }
}

fn text(message: &str) -> Vec<u8> {
    let mut frame = vec![0x81, u8::try_from(message.len()).unwrap()];
    frame.extend_from_slice(message.as_bytes());
    frame
}

async fn both_work_and_both_end(stage: Stage, scheme: &str) {
    let chrome = Chrome::start().await;
    let page = format!("{scheme}://{}/", stage.host);
    let (name, value) = stage.cookie.split_once('=').unwrap();
    let cookie = serde_json::json!({
        "url": page, "name": name, "value": value, "path": "/", "httpOnly": true, "secure": scheme == "https",
    });
    chrome.devtools("Network.setCookie", cookie).await;
    let Stage { gateway, app: listener, .. } = stage;
    let serving = tokio::spawn(app(listener));
    chrome.open(&page).await;
    for words in [
        "socket open as chat",
        "socket says: hello from the app",
        "socket says: you said ping from the page",
        "event: one",
        "event: two",
    ] {
        chrome.shows(words).await;
    }
    // Chromium opens a WebSocket over HTTP/2 only where the gateway said that it can (RFC 8441).
    let extended =
        gateway.log().lines().any(|line| line.contains("method=CONNECT") && line.contains("/socket"));
    assert_eq!(extended, scheme == "https", "{}", gateway.log());
    gateway.run(&["session", "revoke", "--all"]).await;
    let revoked = Instant::now();
    chrome.shows("socket closed with 1008").await;
    chrome.shows("events broken off").await;
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}\n{}", revoked.elapsed(), chrome.text().await);
    // EventSource tries again by itself, and is told that there is no use.
    chrome.shows("events refused").await;
    serving.abort();
}

#[tokio::test]
async fn a_websocket_and_an_event_stream_work_and_end_within_a_second_of_the_revocation() {
    both_work_and_both_end(Stage::start().await, "http").await;
}

#[tokio::test]
async fn the_same_over_http_2() {
    both_work_and_both_end(Stage::secure("http", "").await, "https").await;
}
