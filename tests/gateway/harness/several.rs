//! Several machines that share one Redis: each a process of its own, behind one front door, with one folder for letters.

use super::app::App;
use super::browser::Answer;
use super::browser::Browser;
use super::eventually;
use super::free_port;
use super::gateway::Gateway;
use super::gateway::Place;
use super::letters::Mailbox;
use super::line::Line;
use super::raw::RawAnswer;
use super::raw::exchange;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use tempfile::TempDir;

pub const ALICE: &str = "alice@example.com";

/// A real server, which keeps what it is told on disk.
pub struct Redis {
    pub port: u16,
    folder: TempDir,
    child: Mutex<Child>,
}

impl Redis {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(more: &[&str]) -> Self {
        let (port, folder) = (free_port(), TempDir::new().unwrap());
        let child = Mutex::new(serve(port, &folder, more));
        let redis = Self { port, folder, child };
        redis.answers().await;
        redis
    }

    /// One that follows this one, and has what this one has.
    pub async fn replica(&self) -> Self {
        self.cli(&["config", "set", "repl-diskless-sync-delay", "0"]);
        self.cli(&["config", "set", "repl-ping-replica-period", "1"]);
        let replica = Self::start_with(&["--replicaof", "127.0.0.1", &self.port.to_string()]).await;
        eventually("the replica follows", async || {
            let of = self.cli(&["info", "replication"]);
            // One that has never confirmed anything may be online, and be asked for nothing yet.
            let online = of.contains("state=online") && !of.contains(",offset=0,");
            let up = replica.cli(&["info", "replication"]).contains("master_link_status:up");
            (online && up).then_some(())
        })
        .await;
        replica
    }

    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn answers(&self) {
        eventually("Redis answers", async || (self.cli(&["ping"]).trim() == "PONG").then_some(())).await;
    }

    pub fn signal(&self, name: &str) {
        super::signal(self.child.lock().unwrap().id(), name);
    }

    /// `kill -9`, and gone.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts anew, with what is on its disk.
    pub async fn restart(&self) {
        *self.child.lock().unwrap() = serve(self.port, &self.folder, &[]);
        self.answers().await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn serve(port: u16, folder: &TempDir, more: &[&str]) -> Child {
    Command::new("redis-server")
        .current_dir(folder.path())
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed: tests/check.sh --install")
}

/// What a test may want otherwise.
pub struct Plan<'a> {
    pub machines: usize,
    /// Where machines find Redis, by number; each its own port, or all the same.
    pub redis: &'a dyn Fn(usize) -> u16,
    /// What `[store]` says in place of that; empty: nothing else.
    pub store: &'a str,
    pub upstream: &'a str,
    /// `[limits]` and whatever else follows.
    pub more: &'a str,
    /// More apps of the site.
    pub apps: &'a str,
    /// `mail.url` of a machine; empty: the common folder.
    pub mail: &'a dyn Fn(usize) -> String,
    /// Whether to wait until each is ready.
    pub wait: bool,
    /// `store.timeout`: patient where nothing is to go wrong, because many tests share a machine.
    pub timeout: &'a str,
    /// Where visitors come in, if not by the plain front door of the test: `https://host:port`.
    pub origin: &'a str,
}

impl<'a> Plan<'a> {
    /// Two machines without limits, which send into one folder.
    pub fn new(redis: &'a dyn Fn(usize) -> u16, upstream: &'a str) -> Self {
        Self {
            machines: 2,
            redis,
            store: "",
            upstream,
            more: NO_LIMITS,
            apps: "",
            mail: &|_| String::new(),
            wait: true,
            timeout: "10s",
            origin: "",
        }
    }
}

pub struct Several {
    pub machines: Vec<Gateway>,
    pub front: Line,
    pub mailbox: Mailbox,
    _mail: TempDir,
}

/// Out of the way.
pub const NO_LIMITS: &str = "[limits]\nask_per_address = \"1000/1m\"\nask_per_client = \"1000000/1m\"\n\
    ask_per_domain = \"1000000/1m\"\nask_per_site = \"1000000/1m\"\nredeem_per_client = \"1000000/1m\"\n\
    connections_per_client = 3000\n";

impl Several {
    pub async fn on(redis: &Redis, machines: usize, app: &App) -> Self {
        Self::with(&Plan { machines, ..Plan::new(&|_| redis.port, &app.url()) }).await
    }

    pub async fn with(plan: &Plan<'_>) -> Self {
        let mail = TempDir::new().unwrap();
        let places: Vec<Place> = (0..plan.machines).map(|_| Place::new()).collect();
        let front = Line::to(places.iter().map(|place| place.port).collect()).await;
        let own = format!("http://localhost:{}", front.port);
        let origin = if plan.origin.is_empty() { &own } else { plan.origin };
        let host = origin.split("//").last().and_then(|rest| rest.split(':').next()).unwrap();
        // A front door of its own ends TLS and says who asks.
        let trusted = if plan.origin.is_empty() { "" } else { "trusted_proxies = [\"127.0.0.1\"]" };
        let mut machines = Vec::new();
        for (number, place) in places.into_iter().enumerate() {
            let folder = format!("folder:{}", mail.path().display());
            let url = Some((plan.mail)(number)).filter(|url| !url.is_empty()).unwrap_or(folder);
            let single = format!("url = \"redis://127.0.0.1:{}\"", (plan.redis)(number));
            let store = if plan.store.is_empty() { single.as_str() } else { plan.store };
            let config = format!(
                r#"
{trusted}
listen = ["http://127.0.0.1:@PORT@"]
state_dir = "@DIR@/state"
secret = "c2V2ZXJhbCBtYWNoaW5lcyBzaGFyZSBvbmUgc2VjcmV0ISEh"
drain = "2s"
[store]
kind = "redis"
{store}
timeout = "{timeout}"
[mail]
from = "Example <login@example.com>"
url = "{url}"
[monitor]
listen = "127.0.0.1:@MONITOR@"
[log]
level = "debug"
{more}
[[site]]
name = "wiki"
url = "{origin}"
allow = ["alice@example.com", "bob@example.com", "@example.org"]
[[site.app]]
host = "{host}"
upstream = "{upstream}"
[[site.app.route]]
path = "/open/"
access = "public"
{apps}
"#,
                apps = plan.apps,
                more = plan.more,
                timeout = plan.timeout,
                upstream = plan.upstream,
            );
            let machine = Gateway::begin(place, &config);
            if plan.wait {
                machine.ready().await;
            }
            machines.push(machine);
        }
        Self { machines, front, mailbox: Mailbox::new(mail.path().to_owned()), _mail: mail }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.front.port)
    }

    /// Opens the login page at the machine that the front door leads to, asks, and waits for the letter's link.
    pub async fn ask(&self, browser: &Browser, email: &str) -> String {
        let page = browser.follow(&self.url("/")).await.expect(200);
        let fields = [("email", email), ("return_to", &page.field("return_to"))];
        browser.post_form(&self.url("/.linkgate/login"), &fields).await.expect(303);
        self.mailbox.next_to(email).await.link
    }

    pub async fn sign_in(&self, browser: &Browser, email: &str) -> Answer {
        let link = self.ask(browser, email).await;
        browser.follow(&link).await.expect(200)
    }

    /// A request to one machine, as the front door would hand it on.
    pub async fn at(&self, machine: usize, head: &str, body: &str) -> RawAnswer {
        let port = self.machines[machine].place.port;
        let front = self.front.port;
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nhost: localhost:{front}\r\nconnection: close\r\naccept: application/json\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        exchange(port, request.as_bytes()).await
    }

    /// The status of a page at one machine, as this browser sees it.
    pub async fn status_at(&self, machine: usize, browser: &Browser) -> u16 {
        self.front.aim(machine);
        browser.visit(&self.url("/")).await.status
    }

    /// What `/readyz` says.
    pub async fn readiness(&self, machine: usize) -> Answer {
        let url = format!("http://127.0.0.1:{}/readyz", self.machines[machine].place.monitor);
        super::browser::try_fetch(None, "GET", &url, &[], Vec::new()).await.unwrap()
    }
}
