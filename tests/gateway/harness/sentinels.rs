//! Redis servers that copy a master, and three sentinels that name another one when it is gone. What servers say to each
//! other goes over lines of its own, late, and what is on its way is lost with the machine that sent it.

use super::eventually_within;
use super::free_port;
use super::line::AMONG;
use super::line::Line;
use super::line::Weather;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command as Asking;

/// One way between two machines.
const LATE: Weather = Weather::Rough { late: Duration::from_millis(2), every: u64::MAX };
const PATIENCE: Duration = Duration::from_secs(90);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server, known to all by the line that leads to it.
struct Node {
    port: u16,
    line: Line,
    folder: TempDir,
    running: Option<Running>,
}

impl Node {
    async fn new() -> Self {
        let port = free_port();
        let line = Line::to(vec![port]).await;
        line.is_among(LATE);
        Self { port, line, folder: TempDir::new().unwrap(), running: None }
    }

    /// `master`: whom it copies.
    async fn start(&mut self, master: Option<u16>) {
        let (known, master) = (self.line.port.to_string(), master.map(|port| port.to_string()));
        let mut command = Command::new("redis-server");
        command
            .current_dir(self.folder.path())
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0"])
            .args(["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", &known])
            .args(["--bind-source-addr", &AMONG.to_string()]);
        if let Some(master) = &master {
            command.args(["--replicaof", "127.0.0.1", master]);
        }
        self.running = Some(Running(run(&mut command)));
        let port = self.port;
        eventually_within(PATIENCE, "Redis answers", async || {
            (cli(port, &["ping"]).await.trim() == "PONG").then_some(())
        })
        .await;
    }
}

fn run(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed: tests/check.sh --install")
}

async fn cli(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let output = Asking::new("redis-cli").args(["-p", &port]).args(arguments).output().await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a sentinel says of the master, field by field on two lines each.
fn field<'a>(known: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = known.lines();
    lines.by_ref().find(|line| *line == name)?;
    lines.next()
}

/// Whether a server that says this of its role copies this master, and has begun to.
fn follows(role: &str, master: &str) -> bool {
    let said: Vec<&str> = role.lines().collect();
    said.first() == Some(&"slave") && said.get(2) == Some(&master) && said.get(3) == Some(&"connected")
}

/// Its port, and what keeps it.
type Sentinel = (u16, Running, TempDir);

pub struct Sentinels {
    nodes: Vec<Node>,
    watchers: Vec<Sentinel>,
    /// Which of the nodes is the master.
    master: usize,
    lagging: Option<usize>,
}

/// What becomes of the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// `kill -9`, and nothing of what it had on its way arrives.
    Dies,
    /// The others do not hear it any more, nor it them; visitors do, and it lives on beside the next master.
    CutOff,
}

impl Sentinels {
    pub async fn start(replicas: usize) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..=replicas {
            let mut node = Node::new().await;
            let master = nodes.first().map(|first: &Node| first.line.port);
            node.start(master).await;
            nodes.push(node);
        }
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let (port, folder) = (free_port(), TempDir::new().unwrap());
            let lines = format!(
                "port {port}\nbind 127.0.0.1\nprotected-mode no\nbind-source-addr {AMONG}\n\
                 sentinel announce-ip 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n\
                 sentinel parallel-syncs main 8\n",
                nodes[0].line.port
            );
            std::fs::write(folder.path().join("sentinel.conf"), lines).unwrap();
            let mut command = Command::new("redis-server");
            command.current_dir(folder.path()).args(["sentinel.conf", "--sentinel"]);
            sentinels.push((port, Running(run(&mut command)), folder));
        }
        let mut all = Self { nodes, watchers: sentinels, master: 0, lagging: None };
        all.whole().await;
        all
    }

    pub fn url(&self) -> String {
        let all: Vec<String> = self.watchers.iter().map(|(port, ..)| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/main", all.join(","))
    }

    /// Waits until every sentinel names the same master and knows all the others, and everybody copies it. On a busy
    /// machine it may be another master than before: one that was too slow to answer.
    pub async fn whole(&mut self) {
        let replicas = (self.nodes.len() - 1).to_string();
        self.master =
            eventually_within(PATIENCE, "the sentinels know everybody, and all is well", async || {
                let (first, ..) = &self.watchers[0];
                let known = cli(*first, &["sentinel", "master", "main"]).await;
                let master = field(&known, "port")?.to_owned();
                for (port, ..) in &self.watchers {
                    let known = cli(*port, &["sentinel", "master", "main"]).await;
                    let so = field(&known, "port")? == master
                        && field(&known, "flags")? == "master"
                        && field(&known, "num-slaves")? == replicas
                        && field(&known, "num-other-sentinels")? == "2";
                    let others = cli(*port, &["sentinel", "replicas", "main"]).await;
                    if !so || others.contains("s_down") || others.contains("disconnected") {
                        return None;
                    }
                }
                let at = self.nodes.iter().position(|node| node.line.port.to_string() == master)?;
                for (number, node) in self.nodes.iter().enumerate() {
                    let role = cli(node.port, &["role"]).await;
                    let so = if number == at { role.starts_with("master") } else { follows(&role, &master) };
                    if !so {
                        return None;
                    }
                }
                Some(at)
            })
            .await;
    }

    /// Waits until every replica has all that the master has.
    pub async fn settled(&self) {
        let master = self.nodes[self.master].port;
        let replicas = (self.nodes.len() - 1).to_string();
        let wait = format!("redis-cli -p {master} <<'.'\nset settled now\nwait {replicas} 5000\n.\n");
        eventually_within(PATIENCE, "every replica has everything", async || {
            let output = Asking::new("sh").args(["-c", &wait]).output().await.unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            (said.lines().last() == Some(replicas.as_str())).then_some(())
        })
        .await;
    }

    /// The line of the master, as a sentinel names it.
    async fn named((sentinel, ..): &Sentinel) -> Option<u16> {
        let said = cli(*sentinel, &["sentinel", "get-master-addr-by-name", "main"]).await;
        said.lines().nth(1)?.trim().parse().ok()
    }

    /// Where there are several replicas, one of them stands still from now on, so that it lags behind the others.
    pub fn one_lags(&mut self) {
        let mut replicas = (0..self.nodes.len()).filter(|at| *at != self.master);
        self.lagging = replicas.nth(1);
        self.signal("STOP");
    }

    /// It goes on.
    pub fn none_lags(&mut self) {
        self.signal("CONT");
        self.lagging = None;
    }

    fn signal(&self, name: &str) {
        let node = self.lagging.and_then(|at| self.nodes[at].running.as_ref());
        let Some(Running(child)) = node else { return };
        super::signal(child.id(), name);
    }

    /// Whoever is the master at this moment: on a busy machine it may have changed since.
    pub async fn lose(&mut self, loss: Loss) {
        let named = Self::named(&self.watchers[0]).await.unwrap();
        self.master = self.nodes.iter().position(|node| node.line.port == named).unwrap();
        let node = &mut self.nodes[self.master];
        node.line.is_among(Weather::Cut);
        if loss == Loss::Dies {
            node.running = None;
        }
    }

    /// Waits until two sentinels name another master, and it believes so itself.
    pub async fn replaced(&mut self) {
        let old = self.nodes[self.master].line.port;
        let new = eventually_within(PATIENCE, "the sentinels name another master", async || {
            let mut named = Vec::new();
            for sentinel in &self.watchers {
                named.extend(Self::named(sentinel).await);
            }
            named.retain(|port| *port != old);
            (named.len() > 1).then(|| named[0])
        })
        .await;
        self.master = self.nodes.iter().position(|node| node.line.port == new).unwrap();
        let port = self.nodes[self.master].port;
        eventually_within(PATIENCE, "it is the master", async || {
            cli(port, &["role"]).await.starts_with("master").then_some(())
        })
        .await;
    }

    /// Whoever was lost comes back, and copies the master of now.
    pub async fn mend(&mut self) {
        let master = self.nodes[self.master].line.port;
        for (number, node) in self.nodes.iter_mut().enumerate() {
            node.line.is_among(LATE);
            if number == self.master {
                continue;
            }
            if node.running.is_none() {
                node.start(Some(master)).await;
            } else {
                cli(node.port, &["replicaof", "127.0.0.1", &master.to_string()]).await;
            }
        }
        self.whole().await;
    }
}
