//! The real binary, on ports and in a folder of its own. Ends with the test.

use super::browser::Answer;
use super::browser::Browser;
use super::eventually;
use super::free_port;
use super::letters::Letter;
use super::letters::Mailbox;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Mutex;
use tempfile::TempDir;

/// Where one gateway lives before and while it runs. In configurations `@PORT@`, `@MONITOR@` and `@DIR@` stand for it.
pub struct Place {
    pub dir: TempDir,
    pub port: u16,
    pub monitor: u16,
}

impl Place {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["state", "mail"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir, port: free_port(), monitor: free_port() }
    }

    pub fn fill_in(&self, text: &str) -> String {
        text.replace("@PORT@", &self.port.to_string())
            .replace("@MONITOR@", &self.monitor.to_string())
            .replace("@DIR@", &self.path().display().to_string())
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    pub fn write_config(&self, text: &str) {
        std::fs::write(self.config(), self.fill_in(text)).unwrap();
    }
}

/// Everything before the `[[site]]`s: plain http on a port of the loopback, letters into a folder, limits out of the way.
pub const HEAD: &str = r#"
listen = ["http://127.0.0.1:@PORT@"]
state_dir = "@DIR@/state"
drain = "5s"
[mail]
from = "Example <login@example.com>"
url = "folder:@DIR@/mail"
[monitor]
listen = "127.0.0.1:@MONITOR@"
[log]
level = "debug"
[limits]
ask_per_address = "1000/1m"
ask_per_client = "10000/1m"
ask_per_domain = "10000/1m"
ask_per_site = "10000/1m"
redeem_per_client = "100000/1m"
connections_per_client = 3000
"#;

pub struct Gateway {
    pub place: Place,
    child: Mutex<Child>,
    mailbox: Mailbox,
}

impl Gateway {
    /// `sites`: what comes after [`HEAD`].
    pub async fn start(sites: &str) -> Self {
        Self::start_with(Place::new(), &format!("{HEAD}{sites}")).await
    }

    /// One site named `wiki` at http://localhost:PORT, for alice, bob and everybody at example.org.
    pub async fn before(app: &super::app::App) -> Self {
        Self::start(&format!(
            r#"
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
upstream = "{}"
allow = ["alice@example.com", "bob@example.com", "@example.org"]
"#,
            app.url()
        ))
        .await
    }

    /// `config`: the whole file.
    pub async fn start_with(place: Place, config: &str) -> Self {
        Self::start_in(place, config, &[]).await
    }

    /// With these variables in its environment.
    pub async fn start_in(place: Place, config: &str, environment: &[(&str, &str)]) -> Self {
        let gateway = Self::begin_in(place, config, environment);
        gateway.ready().await;
        gateway
    }

    /// Started, but perhaps not ready.
    pub fn begin(place: Place, config: &str) -> Self {
        Self::begin_in(place, config, &[])
    }

    fn begin_in(place: Place, config: &str, environment: &[(&str, &str)]) -> Self {
        super::raise_file_limit();
        place.write_config(config);
        let child = Mutex::new(serve(&place, environment));
        let mailbox = Mailbox::new(place.path().join("mail"));
        Self { place, child, mailbox }
    }

    /// The address of a path on the first site, as a browser types it.
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.place.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Waits until the monitor says that requests are served.
    pub async fn ready(&self) {
        let url = format!("http://127.0.0.1:{}/readyz", self.place.monitor);
        eventually("the gateway's /readyz answers 200", async || {
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the gateway ended with {ended:?}:\n{}", self.log());
            let answer = super::browser::try_fetch(None, "GET", &url, &[], Vec::new()).await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Everything it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// The next letter to `address` that this test has not read yet.
    pub async fn letter_to(&self, address: &str) -> Letter {
        self.mailbox.next_to(address).await
    }

    /// Opens a page that wants a sign-in, as far as the form; the answer is the login page.
    pub async fn login_page(&self, browser: &Browser, url: &str) -> Answer {
        let page = browser.follow(url).await.expect(200);
        assert!(page.url.path().ends_with("/.linkgate/login"), "{url} led to {}", page.url);
        page
    }

    /// Opens `url`, asks for a link on the login page, and waits for the letter.
    pub async fn ask(&self, browser: &Browser, email: &str, url: &str) -> Letter {
        let page = self.login_page(browser, url).await;
        let wish = page.field("return_to");
        let action = page.url.join("/.linkgate/login").unwrap();
        browser.post_form(action.as_str(), &[("email", email), ("return_to", &wish)]).await.expect(303);
        self.letter_to(email).await
    }

    /// The whole way in, in one browser; the last answer is what the person sees in the end.
    pub async fn sign_in(&self, browser: &Browser, email: &str, url: &str) -> Answer {
        let letter = self.ask(browser, email, url).await;
        browser.follow(&letter.link).await.expect(200)
    }

    pub fn letters(&self) -> Vec<Letter> {
        self.mailbox.all()
    }

    pub fn signal(&self, name: &str) {
        super::signal(self.pid(), name);
    }

    /// `kill -9`, and gone.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts anew in the same place.
    pub async fn restart(&self) {
        *self.child.lock().unwrap() = serve(&self.place, &[]);
        self.ready().await;
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&self) -> std::process::ExitStatus {
        eventually("the gateway ends", async || self.child.lock().unwrap().try_wait().unwrap()).await
    }

    /// A command beside the running server, with its configuration.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        tokio::process::Command::new(binary())
            .arg("--config")
            .arg(self.place.config())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap()
    }

    /// As [`Gateway::command`], and it must succeed; what it printed on stdout.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "linkgate {arguments:?}: {}\n{errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The one that was built with the tests, or the release that `tests/slow.sh` measures.
fn binary() -> OsString {
    #[expect(clippy::disallowed_methods, reason = "which program a test starts is no configuration of it")]
    let given = std::env::var_os("SLOW_BINARY");
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_linkgate").into())
}

fn serve(place: &Place, environment: &[(&str, &str)]) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(place.path().join("log")).unwrap();
    Command::new(binary())
        .arg("serve")
        .arg("--config")
        .arg(place.config())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(60);
            eprintln!("--- the gateway's last words\n{}\n---", lines[last..].join("\n"));
        }
    }
}
