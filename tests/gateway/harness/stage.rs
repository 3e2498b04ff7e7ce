//! A real gateway between a raw visitor and a raw app: the test dictates and reads every byte on both sides. Alice is
//! signed in; her cookie goes with every request that the test writes by [`Stage::request`]. One worker, so that the
//! connections to the app are everybody's.

use super::PATIENCE;
use super::authority::Authority;
use super::browser::Browser;
use super::gateway::Gateway;
use super::gateway::HEAD;
use super::gateway::Place;
use serde_json::json;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub const ALICE: &str = "alice@example.com";
/// The host of a stage with TLS.
pub const SECURE_HOST: &str = "wiki.localhost";

enum App<'a> {
    /// Ours, spoken to in this scheme.
    Raw(&'a str),
    /// Another, at this address.
    At(&'a str),
}

pub struct Stage {
    pub gateway: Gateway,
    pub app: TcpListener,
    /// With TLS only.
    pub authority: Option<Arc<Authority>>,
    /// `name=value` of Alice's session.
    pub cookie: String,
    /// `host:port` as the visitor names it.
    pub host: String,
}

impl Stage {
    /// In clear text.
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// In clear text, with these keys of its app, routes included.
    pub async fn with(app: &str) -> Self {
        Self::build(None, App::Raw("http"), app).await
    }

    /// In clear text, speaking this scheme to the app.
    pub async fn with_scheme(scheme: &str) -> Self {
        Self::build(None, App::Raw(scheme), "").await
    }

    /// With TLS, and so with HTTP/2, at [`SECURE_HOST`]; `scheme` is what is spoken to the app.
    pub async fn secure(scheme: &str, app: &str) -> Self {
        Self::build(Some(SECURE_HOST), App::Raw(scheme), app).await
    }

    /// With TLS, and a server that waits for requests no longer than a second.
    pub async fn impatient() -> Self {
        let limits = "[limits]\nidle_timeout = \"1s\"\nheader_timeout = \"1s\"\n";
        Self::build_with(|head| head.replace("[limits]\n", limits), Some(SECURE_HOST), App::Raw("http"), "")
            .await
    }

    /// Before an app of its own, in clear text.
    pub async fn before(upstream: &str) -> Self {
        Self::build(None, App::At(upstream), "").await
    }

    /// Before an app of its own, with TLS.
    pub async fn secure_before(upstream: &str, app: &str) -> Self {
        Self::build(Some(SECURE_HOST), App::At(upstream), app).await
    }

    async fn build(secure: Option<&str>, upstream: App<'_>, more: &str) -> Self {
        Self::build_with(str::to_owned, secure, upstream, more).await
    }

    async fn build_with(
        change: impl Fn(&str) -> String,
        secure: Option<&str>,
        upstream: App<'_>,
        more: &str,
    ) -> Self {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = match upstream {
            App::Raw(scheme) => format!("{scheme}://{}", app.local_addr().unwrap()),
            App::At(address) => address.to_owned(),
        };
        let place = Place::new();
        let authority = secure.map(|name| Authority::make(place.path(), &[name]));
        let name = secure.unwrap_or("localhost");
        let listen = if secure.is_some() { "https" } else { "http" };
        let tls =
            secure.map_or("", |_| "[tls]\ncertificate = \"@DIR@/site.pem\"\nkey = \"@DIR@/site.key\"\n");
        let head = change(HEAD).replace("http://127.0.0.1:@PORT@", &format!("{listen}://127.0.0.1:@PORT@"));
        let config = format!(
            "workers = 1\n{head}{tls}[[site]]\nname = \"wiki\"\nurl = \"{listen}://{name}:@PORT@\"\nallow = [\"{ALICE}\"]\n\
             [[site.app]]\nname = \"wiki\"\nhost = \"{name}\"\nupstream = \"{upstream}\"\n{more}\n"
        );
        let gateway = Gateway::start_with(place, &config).await;
        let host = format!("{name}:{}", gateway.place.port);
        let browser = authority.as_ref().map_or_else(Browser::new, Browser::trusting);
        // A page of ours: the app has no part in it.
        gateway.sign_in(&browser, ALICE, &format!("{listen}://{host}/.linkgate/")).await;
        let cookie = browser
            .cookies(name)
            .split("; ")
            .find(|cookie| cookie.starts_with("linkgate=") || cookie.starts_with("__Host-linkgate="))
            .expect("a session")
            .to_owned();
        Self { gateway, app, authority, cookie, host }
    }

    /// Alice's token, as a program without cookies gets it.
    pub async fn bearer(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        let url = |path: &str| format!("{scheme}://{}/.linkgate/{path}", self.host);
        let program = self.authority.as_ref().map_or_else(Browser::new, Browser::trusting);
        let asked = program.json("POST", &url("login"), &json!({ "email": ALICE })).await.expect(202).json();
        let letter = self.gateway.letter_to(ALICE).await;
        let body = json!({ "request": asked["request"], "token": letter.token() });
        let told = program.json("POST", &url("verify"), &body).await.expect(200).json();
        told["token"].as_str().expect("a token").to_owned()
    }

    pub async fn visitor(&self) -> Wire {
        Wire::new(TcpStream::connect(("127.0.0.1", self.gateway.place.port)).await.unwrap())
    }

    /// By HTTP/1.1 over TLS.
    pub async fn secure_visitor(&self) -> Wire {
        let config = self.authority.as_ref().expect("a stage with TLS").client();
        let name = rustls_pki_types::ServerName::try_from(SECURE_HOST).unwrap();
        let tls = TlsConnector::from(config).connect(name, self.visitor().await.tcp).await.unwrap();
        Wire::over(tls).await
    }

    /// The app's end of the next connection that the gateway opens.
    pub async fn app(&self) -> Wire {
        let accepted = timeout(PATIENCE, self.app.accept()).await;
        Wire::new(accepted.expect("the gateway opens a connection").unwrap().0)
    }

    /// A request in Alice's name. `line` is `GET /path`; `more` are whole lines; ends with the empty line.
    pub fn request(&self, line: &str, more: &str) -> String {
        self.request_of("HTTP/1.1", line, more)
    }

    pub fn request_of(&self, version: &str, line: &str, more: &str) -> String {
        format!("{line} {version}\r\nhost: {}\r\ncookie: {}\r\n{more}\r\n", self.host, self.cookie)
    }

    /// One exchange on fresh connections: what the app reads up to the end of the head, and what the visitor reads up
    /// to `end`.
    pub async fn exchange(&self, request: &str, answer: &str, end: &str) -> (String, String) {
        let mut visitor = self.visitor().await;
        visitor.say(request).await;
        let mut app = self.app().await;
        let asked = app.until("\r\n\r\n").await;
        app.say(answer).await;
        let answered = visitor.until(end).await;
        (asked, answered)
    }
}

/// One end of a connection, read as text.
pub struct Wire {
    pub tcp: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    pub fn new(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).unwrap();
        Self { tcp, read: Vec::new() }
    }

    /// One end of any stream, by way of a socket.
    pub async fn over(mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut theirs, _) = listener.accept().await.unwrap();
        theirs.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            // Either end may break off: the other sees it.
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut theirs).await;
        });
        Self::new(ours)
    }

    pub async fn say(&mut self, text: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.tcp.write_all(text.as_ref())).await.expect("the other end reads").unwrap();
    }

    /// Everything up to and including `mark`.
    pub async fn until(&mut self, mark: &str) -> String {
        let mut searched: usize = 0;
        loop {
            let from = searched.saturating_sub(mark.len());
            if let Some(at) = self.read[from..].windows(mark.len()).position(|w| w == mark.as_bytes()) {
                let rest = self.read.split_off(from + at + mark.len());
                return lossy(&std::mem::replace(&mut self.read, rest));
            }
            searched = self.read.len();
            let n = timeout(PATIENCE, self.tcp.read_buf(&mut self.read)).await;
            let so_far = || lossy(&self.read[self.read.len().saturating_sub(2000)..]);
            let n = n.unwrap_or_else(|_| panic!("{mark:?} never came after {:?}", so_far()));
            let n = n.unwrap_or_else(|error| panic!("{error} before {mark:?}, after {:?}", so_far()));
            assert_ne!(n, 0, "hung up before {mark:?}, after {:?}", so_far());
        }
    }

    /// The next `count` bytes.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            let n = timeout(PATIENCE, self.tcp.read_buf(&mut self.read)).await.expect("bytes come").unwrap();
            assert_ne!(n, 0, "hung up after {} of {count} bytes", self.read.len());
        }
        let rest = self.read.split_off(count);
        std::mem::replace(&mut self.read, rest)
    }

    /// Everything until the other end hangs up, politely or not.
    pub async fn rest(&mut self) -> String {
        loop {
            let n = timeout(PATIENCE, self.tcp.read_buf(&mut self.read)).await;
            if matches!(n.expect("the other end hangs up"), Ok(0) | Err(_)) {
                return lossy(&std::mem::take(&mut self.read));
            }
        }
    }

    /// Asserts that nothing has come. Only of use after an event that would have brought it.
    pub fn is_silent(&mut self) -> bool {
        let mut buffer = [0; 1024];
        match self.tcp.try_read(&mut buffer) {
            Ok(n) => self.read.extend_from_slice(&buffer[..n]),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        self.read.is_empty()
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
