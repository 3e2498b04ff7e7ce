//! What ends by the clock alone: the whole gateway in this process, with a clock that the test moves.

use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::timeout;

use super::*;
use crate::clock::Timestamp;
use crate::config;
use crate::config::Environment;
use crate::identity::SessionClaims;
use crate::identity::SessionId;
use crate::identity::TokenKind;

const PATIENCE: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const ASKING: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                      sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const YES: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                   sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct House {
    gateway: Gateway,
    clock: Clock,
    app: TcpListener,
    host: String,
    _folder: TempDir,
}

impl House {
    /// One site for Alice, and for Bob until ten minutes after the start.
    async fn start() -> Self {
        Self::with("").await
    }

    /// `store`: the section of that name, and the secret that it may want.
    async fn with(store: &str) -> Self {
        let start = Timestamp::from_seconds(1_900_000_000);
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("mail")).unwrap();
        let text = format!(
            "secret = \"dGhlIGNsb2NrIGlzIG1vdmVkIGJ5IGhhbmQgaW4gdGhpcyB0ZXN0\"\nlisten = [\"http://{free}\"]\nstate_dir = \"{dir}/state\"\nworkers = 1\ndrain = \"1s\"\n\
             [mail]\nfrom = \"Example <login@example.com>\"\nurl = \"folder:{dir}/mail\"\n\
             [monitor]\nlisten = \"127.0.0.1:0\"\n[log]\naccess = false\n\
             [[user]]\nemail = \"{BOB}\"\nuntil = \"2030-03-17T17:56:40Z\"\n\
             {store}\n[[site]]\nname = \"wiki\"\nurl = \"http://localhost:{port}\"\nupstream = \"http://{upstream}\"\n\
             allow = [\"@example.com\"]\n",
            dir = folder.path().display(),
            port = free.port(),
            upstream = app.local_addr().unwrap(),
        );
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let loaded = config::load(&file, &Environment::default()).unwrap_or_else(|error| panic!("{error}"));
        let clock = Clock::manual(start);
        let inherited = Inherited::default();
        let gateway =
            Gateway::start(&loaded, inherited, None, clock.clone(), Random::seeded(5)).await.unwrap();
        Self { gateway, clock, app, host: format!("localhost:{}", free.port()), _folder: folder }
    }

    /// The cookie of a session of this person that ends after `idle` without use, and in any case after `end`.
    fn cookie(&self, email: &str, idle: Duration, end: Duration) -> String {
        let now = self.clock.now();
        let claims = SessionClaims {
            sid: SessionId::new(&Random::system()).to_string(),
            sub: email.to_owned(),
            iss: "wiki".to_owned(),
            aud: format!("http://{}", self.host),
            iat: now.seconds(),
            exp: (now + idle).seconds(),
            end: (now + end).seconds(),
            generation: 0,
        };
        let token = self.gateway.shared.keys.current().sign(TokenKind::Session, &claims).unwrap();
        format!("linkgate={token}")
    }

    async fn ask(&self, cookie: &str, more: &str) -> (TcpStream, TcpStream) {
        let address = *self.gateway.server().local_addrs().first().unwrap();
        let mut visitor = TcpStream::connect(address).await.unwrap();
        let host = &self.host;
        let head = format!("GET / HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n{more}\r\n");
        visitor.write_all(head.as_bytes()).await.unwrap();
        let mut app = self.app.accept().await.unwrap().0;
        until(&mut app, "\r\n\r\n").await;
        (visitor, app)
    }

    async fn websocket(&self, cookie: &str) -> (TcpStream, TcpStream) {
        let (mut visitor, mut app) = self.ask(cookie, ASKING).await;
        app.write_all(YES.as_bytes()).await.unwrap();
        until(&mut visitor, "\r\n\r\n").await;
        alive(&mut visitor, &mut app).await;
        (visitor, app)
    }
}

async fn until(from: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let byte = timeout(PATIENCE, from.read_u8()).await.expect("more comes").unwrap();
        text.push(char::from(byte));
    }
    text
}

async fn alive(visitor: &mut TcpStream, app: &mut TcpStream) {
    app.write_all(b"\x81\x02Hi").await.unwrap();
    until(visitor, "\x02Hi").await;
}

async fn rest(from: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Broken off is an end as well.
    let _ = timeout(PATIENCE, from.read_to_end(&mut bytes)).await.expect("an end");
    bytes
}

const OVER: &[u8] = b"\x88\x17\x03\xf0the session has ended";

#[tokio::test]
async fn what_is_open_ends_with_the_session_and_not_before() {
    let house = House::start().await;
    let cookies = [
        house.cookie(ALICE, MINUTE * 30, MINUTE * 10),
        house.cookie(ALICE, MINUTE * 10, MINUTE * 30),
        // The person runs out, not the session.
        house.cookie(BOB, MINUTE * 30, MINUTE * 30),
    ];
    let long = house.cookie(ALICE, MINUTE * 30, MINUTE * 30);
    let (mut stays, mut stays_app) = house.websocket(&long).await;
    let mut open = Vec::new();
    for cookie in &cookies {
        let (visitor, app) = house.websocket(cookie).await;
        let (mut events, mut events_app) = house.ask(cookie, "").await;
        events_app.write_all(b"HTTP/1.1 200 OK\r\n\r\n: hi\n\n").await.unwrap();
        until(&mut events, "\n\n\r\n").await;
        let poll = house.ask(cookie, "").await;
        open.push(((visitor, app), (events, events_app), poll));
    }
    house.clock.advance((MINUTE * 10).saturating_sub(SECOND));
    for ((visitor, app), (events, events_app), _) in &mut open {
        alive(visitor, app).await;
        events_app.write_all(b": on\n\n").await.unwrap();
        until(events, "on\n\n\r\n").await;
    }
    let before = Instant::now();
    house.clock.advance(SECOND);
    for ((mut visitor, _), (mut events, _), (mut poll, _)) in open {
        assert_eq!(rest(&mut visitor).await, OVER);
        assert_eq!(rest(&mut events).await, b"");
        let answer = rest(&mut poll).await;
        assert!(answer.starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(before.elapsed() < SECOND, "{:?}", before.elapsed());
    alive(&mut stays, &mut stays_app).await;
    house.gateway.drain().await;
}

#[tokio::test]
async fn what_is_open_ends_when_nothing_is_known_of_revocations_for_too_long() {
    let mut house = House::start().await;
    let cookie = house.cookie(ALICE, MINUTE * 300, MINUTE * 300);
    let (mut visitor, mut app) = house.websocket(&cookie).await;
    let (mut poll, _poll_app) = house.ask(&cookie, "").await;
    // Nobody asks the store any more.
    house.gateway.stop.send_replace(true);
    for task in house.gateway.tasks.drain(..) {
        task.await.unwrap();
    }
    house.clock.advance(MAX_STALENESS.saturating_sub(MINUTE));
    alive(&mut visitor, &mut app).await;
    let before = Instant::now();
    house.clock.advance(MINUTE * 2);
    assert_eq!(rest(&mut visitor).await, OVER);
    assert!(rest(&mut poll).await.starts_with(b"HTTP/1.1 503 "));
    assert!(before.elapsed() < SECOND, "{:?}", before.elapsed());
}

/// What `/readyz` answers.
async fn readiness(house: &House) -> String {
    let address = house.gateway.server().monitor_addr().unwrap();
    let mut monitor = TcpStream::connect(address).await.unwrap();
    monitor.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    String::from_utf8(rest(&mut monitor).await).unwrap()
}

/// The status of the start page for this cookie; the app is not asked where it is not 200.
async fn status(house: &House, cookie: &str) -> String {
    let address = *house.gateway.server().local_addrs().first().unwrap();
    let mut visitor = TcpStream::connect(address).await.unwrap();
    let host = &house.host;
    let head = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n");
    visitor.write_all(head.as_bytes()).await.unwrap();
    let app = async {
        let mut app = house.app.accept().await.unwrap().0;
        until(&mut app, "\r\n\r\n").await;
        app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! { answer = rest(&mut visitor) => answer, () = app => Vec::new() };
    String::from_utf8_lossy(&answer).chars().skip("HTTP/1.1 ".len()).take(3).collect()
}

struct Redis(std::process::Child);

impl Redis {
    fn start(folder: &TempDir) -> Self {
        let _ = std::fs::remove_file(folder.path().join("redis.sock"));
        let child = std::process::Command::new("redis-server")
            .current_dir(folder.path())
            .args(["--port", "0", "--unixsocket", "redis.sock", "--save", ""])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("redis-server is installed: tests/check.sh --install");
        Self(child)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn without_redis_who_is_signed_in_goes_on_for_an_hour_and_no_longer() {
    let folder = TempDir::new().unwrap();
    let redis = Redis::start(&folder);
    let socket = folder.path().join("redis.sock").display().to_string();
    let store = format!("[store]\nkind = \"redis\"\nurl = \"redis+unix://{socket}\"\ntimeout = \"500ms\"");
    let house = House::with(&store).await;
    let ready = async |wanted: &str| {
        let began = Instant::now();
        loop {
            let said = readiness(&house).await;
            if said.contains(wanted) {
                return said;
            }
            assert!(began.elapsed() < PATIENCE, "{said}");
            tokio::task::yield_now().await;
        }
    };
    ready("\"detail\":\"answers\"").await;
    let cookie = house.cookie(ALICE, MINUTE * 300, MINUTE * 300);
    assert_eq!(status(&house, &cookie).await, "200");

    drop(redis);
    let said = ready("\"ok\":false").await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("Redis"), "{said}");
    house.clock.advance(MAX_STALENESS.saturating_sub(MINUTE));
    assert_eq!(status(&house, &cookie).await, "200");
    house.clock.advance(MINUTE * 2);
    assert_eq!(status(&house, &cookie).await, "503");
    let said = readiness(&house).await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("over an hour"), "{said}");

    // It comes back with nothing: what was believed here still is.
    let _redis = Redis::start(&folder);
    ready("\"detail\":\"answers\"").await;
    assert_eq!(status(&house, &cookie).await, "200");
    house.gateway.drain().await;
}
