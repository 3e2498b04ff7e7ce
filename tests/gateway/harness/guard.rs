//! Another proxy before an app, asking linkgate: the real program, with the configuration of its page below docs/.

use super::PATIENCE;
use super::app::App;
use super::authority::Authority;
use super::browser::Browser;
use super::browser::try_fetch;
use super::eventually;
use super::free_port;
use super::gateway::Gateway;
use super::gateway::HEAD;
use super::gateway::Place;
use super::raw::RawAnswer;
use super::raw::exchange_over;
use super::stage::Wire;
use bytes::Bytes;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const ALICE: &str = "alice@example.com";
pub const BOB: &str = "bob@example.com";
/// Where people sign in, and another host of the same site.
pub const HOST: &str = "wiki.localhost";
pub const OTHER: &str = "photos.localhost";
/// Whom a rule for addresses lets in. All of 127.0.0.0/8 is this machine's.
pub const NEAR: [u8; 4] = [127, 0, 0, 9];

/// What a proxy needs to know of where it runs.
pub struct Ground<'a> {
    pub place: &'a Place,
    /// Its own.
    pub port: u16,
    /// `host:port` of the app.
    pub app: &'a str,
    /// The same of the other host's.
    pub other: &'a str,
}

impl Ground<'_> {
    /// Puts what is here in place of what the page says. What it says no more is a fault of the page.
    pub fn here(&self, text: &str, more: &[(&str, &str)]) -> String {
        let linkgate = format!("127.0.0.1:{}", self.place.port);
        let certificate = format!("{}/site", self.place.path().display());
        let common = [
            ("127.0.0.1:8080", linkgate.as_str()),
            ("/etc/ssl/wiki.example.com", &certificate),
            ("wiki.example.com", HOST),
            ("127.0.0.1:3000", self.app),
        ];
        let mut text = text.to_owned();
        for (written, _) in more {
            assert!(text.contains(written), "the page says no more {written}:\n{text}");
        }
        for (written, here) in more.iter().copied().chain(common) {
            text = text.replace(written, here);
        }
        text
    }

    /// Writes a file into its folder; its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.place.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub fn folder(&self) -> String {
        self.place.path().display().to_string()
    }
}

/// The first block of a page in this language.
pub fn block(page: &str, language: &str) -> String {
    blocks(page, language).into_iter().next().unwrap_or_else(|| panic!("no block of {language}"))
}

/// All blocks of a page in this language.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

/// A program of Debian's, wherever it is: servers are in sbin, which is not on everybody's path.
pub fn debian(name: &str) -> Command {
    let path = ["/usr/sbin", "/usr/bin"].map(|folder| format!("{folder}/{name}"));
    let path = path.iter().find(|path| std::path::Path::new(path).exists());
    Command::new(path.unwrap_or_else(|| panic!("{name}: tests/check.sh --install brings it")))
}

/// One kind of proxy: writes its configuration, and says what to run in the foreground.
pub type Kind = fn(&Ground<'_>) -> Command;

pub struct Guard {
    child: Mutex<Child>,
    pub gateway: Gateway,
    pub authority: Arc<Authority>,
    pub port: u16,
}

impl Guard {
    pub async fn before(kind: Kind, app: &App) -> Self {
        Self::with(kind, app.url().trim_start_matches("http://"), "").await
    }

    /// `session`: keys of the site's session; `app` is `host:port`.
    pub async fn with(kind: Kind, app: &str, session: &str) -> Self {
        Self::build(kind, [app, app], session, "").await
    }

    /// Each host has an app of its own.
    pub async fn before_two(kind: Kind, app: &App, other: &App) -> Self {
        let addresses = [app, other].map(App::url);
        let [app, other] = addresses.each_ref().map(|url| url.trim_start_matches("http://"));
        Self::build(kind, [app, other], "", "").await
    }

    /// Before linkgate, which is before the app.
    pub async fn through(kind: Kind, app: &App) -> Self {
        let address = app.url();
        let upstream = format!("upstream = \"{address}\"");
        let app = address.trim_start_matches("http://");
        Self::build(kind, [app, app], "", &upstream).await
    }

    async fn build(kind: Kind, [app, other]: [&str; 2], session: &str, upstream: &str) -> Self {
        let (place, port) = (Place::new(), free_port());
        // Some proxies become another user before they read all their files.
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let authority = Authority::make(place.path(), &[HOST, OTHER]);
        let near = IpAddr::from(NEAR);
        let config = format!(
            r#"trusted_proxies = ["127.0.0.1"]
{HEAD}
[session]
{session}
[groups]
staff = ["{ALICE}"]
[[site]]
name = "wiki"
url = "https://{HOST}:{port}"
allow = ["{ALICE}", "{BOB}"]
[[site.user]]
email = "{ALICE}"
name = "Älice"
id = "1017"
[[site.app]]
host = "{HOST}"
{upstream}
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/staff/"
allow = ["{ALICE}"]
[[site.app.route]]
path = "/near/"
clients = ["203.0.113.0/24", "{near}"]
access = "public"
[[site.app.route]]
path = "/feed/"
methods = ["GET"]
access = "public"
[[site.app.route]]
path = "= /bye"
access = "sign-out"
[[site.app.route]]
path = "/api/"
methods = ["OPTIONS"]
access = "public"
[[site.app]]
host = "{OTHER}"
{upstream}
"#
        );
        let gateway = Gateway::start_with(place, &config).await;
        let command = kind(&Ground { place: &gateway.place, port, app, other });
        Self::run(command, gateway, authority, port, HOST).await
    }

    /// Runs a proxy until it hands on linkgate's own pages on this host.
    pub async fn run(
        mut command: Command,
        gateway: Gateway,
        authority: Arc<Authority>,
        port: u16,
        host: &str,
    ) -> Self {
        let log = std::fs::File::create(gateway.place.path().join("guard.log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let guard = Self { child: Mutex::new(child), gateway, authority, port };
        eventually("the proxy answers", async || {
            let ended = guard.child.lock().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}:\n{}", guard.log());
            let url = format!("https://{host}:{port}/.linkgate/assets/style.css");
            let answer = try_fetch(Some(&guard.authority), "GET", &url, &[], Vec::new()).await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
        guard
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.port)
    }

    pub fn browser(&self) -> Browser {
        Browser::trusting(&self.authority)
    }

    pub async fn signed_in(&self, email: &str) -> Browser {
        let browser = self.browser();
        self.gateway.sign_in(&browser, email, &self.url("/")).await;
        browser
    }

    /// A visitor who writes bytes, over TLS.
    pub async fn wire(&self) -> Wire {
        Wire::over(self.connect([127, 0, 0, 1]).await).await
    }

    /// Bytes as they are, over TLS, and all that comes back.
    pub async fn exchange(&self, bytes: &[u8]) -> RawAnswer {
        self.exchange_from([127, 0, 0, 1], bytes).await
    }

    /// The same of a visitor at this address.
    pub async fn exchange_from(&self, address: [u8; 4], bytes: &[u8]) -> RawAnswer {
        exchange_over(self.connect(address).await, bytes).await
    }

    /// A request by HTTP/2, and its status: 0 where the proxy resets it, `None` where it speaks no HTTP/2.
    pub async fn by_h2(&self, request: http::request::Builder) -> Option<u16> {
        let mut config = (*self.authority.client()).clone();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from(HOST).unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return None;
        }
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(tls))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        let asked = sender.send_request(request.body(http_body_util::Empty::<Bytes>::new()).unwrap());
        let answer = timeout(PATIENCE, asked).await.expect("an answer");
        connection.abort();
        Some(answer.map_or(0, |answer| answer.status().as_u16()))
    }

    async fn connect(&self, from: [u8; 4]) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let tcp = socket.connect(([127, 0, 0, 1], self.port).into()).await.unwrap();
        // What follows the handshake does not wait until that is acknowledged.
        tcp.set_nodelay(true).unwrap();
        let name = rustls_pki_types::ServerName::try_from(HOST).unwrap();
        TlsConnector::from(self.authority.client()).connect(name, tcp).await.unwrap()
    }

    /// What the proxy said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.gateway.place.path().join("guard.log")).unwrap_or_default()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // SIGTERM: its workers end with it.
        let Ok(child) = self.child.get_mut() else { return };
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        // Some wait for ever for what is under way: with linkgate gone, nothing is.
        self.gateway.kill();
        let begun = std::time::Instant::now();
        while begun.elapsed() < std::time::Duration::from_secs(5) && matches!(child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
        let _ = child.kill();
        let _ = child.wait();
        if std::thread::panicking() {
            eprintln!("--- the proxy's last words\n{}\n---", self.log());
        }
    }
}
