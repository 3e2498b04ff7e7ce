//! Real servers for tests, each in a folder of its own, ended with the test by their id. Which program they are may be said
//! by `LINKGATE_TEST_REDIS`: the cases are run on Redis and on Valkey.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::certificates::Certificates;
use crate::store::{RedisSettings, Replicas, Settings};

/// A server that keeps nothing on disk.
pub(super) struct Server {
    child: Child,
    folder: TempDir,
    pub(super) port: u16,
    /// Where others come in: the same, or where it shows its certificate.
    pub(super) door: u16,
    arguments: Vec<String>,
}

/// How one comes in.
#[derive(Clone, Copy, Default)]
pub(super) struct Entrance<'a> {
    /// Everybody shows them to everybody; `redis-cli` alone may come in without.
    pub(super) certificates: Option<&'a Certificates>,
    /// [`PASSWORD`] is asked for by all.
    pub(super) password: bool,
}

pub(super) const PASSWORD: &str = "battery-staple";

impl Entrance<'_> {
    /// The settings of a server or a sentinel, and where its door is.
    fn settings(self, port: u16, kind: &'static str) -> (Vec<(&'static str, String)>, u16) {
        let (mut settings, mut door) = (Vec::new(), port);
        if let Some(certificates) = self.certificates {
            door = free_port();
            settings = certificates.shown_at(door);
            settings.push((kind, "yes".to_owned()));
        }
        if self.password {
            settings.push(("requirepass", PASSWORD.to_owned()));
        }
        (settings, door)
    }

    fn scheme(self) -> &'static str {
        if self.certificates.is_some() { "rediss" } else { "redis" }
    }
}

impl Server {
    /// On a Unix socket.
    pub(super) fn start() -> Self {
        Self::with(&[])
    }

    /// On a Unix socket, with more arguments.
    pub(super) fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = 0;
        let arguments = owned(&[&["--port", "0", "--unixsocket", "redis.sock"], arguments].concat());
        let server = Self { child: start(folder.path(), &arguments), folder, port, door: port, arguments };
        wait_for("the server's socket", || UnixStream::connect(server.socket()).is_ok());
        server
    }

    /// On a port of this machine, with more arguments; says nothing before it answers.
    pub(super) fn on_port(arguments: &[&str]) -> Self {
        Self::behind(Entrance::default(), "", arguments)
    }

    /// The same, where one comes in so. `kind`: what certificates are for between servers.
    fn behind(entrance: Entrance<'_>, kind: &'static str, given: &[&str]) -> Self {
        Self::until_it_stays(|| {
            let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
            let (settings, door) = entrance.settings(port, kind);
            let mut arguments = owned(&[&["--port", &port.to_string()], given].concat());
            for (name, value) in settings {
                arguments.extend([format!("--{name}"), value]);
            }
            Self { child: start(folder.path(), &arguments), folder, port, door, arguments }
        })
    }

    /// A port that was free may be somebody else's by now: then it ends at once, and another one is taken.
    fn until_it_stays(start: impl Fn() -> Self) -> Self {
        loop {
            let mut server = start();
            let own = format!("process_id:{}\r", server.child.id());
            let (mut ended, mut answers) = (false, false);
            wait_for("the server's port", || {
                ended = server.child.try_wait().unwrap().is_some();
                answers = cli(server.port, &["info", "server"]).contains(&own);
                ended || answers
            });
            if answers {
                return server;
            }
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn settings(&self) -> Settings {
        Settings::Redis(settings(&format!("redis+unix://{}", self.socket().display())))
    }

    /// Stops or continues it, or ends it at once: `STOP`, `CONT`, `KILL`.
    pub(super) fn signal(&mut self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap();
        assert!(sent.success());
        if signal == "KILL" {
            self.child.wait().unwrap();
        }
    }

    /// Starts it again in its folder, as it was started by [`Server::start`].
    pub(super) fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        self.child = start(self.folder.path(), &self.arguments);
        wait_for("the server's socket", || UnixStream::connect(self.socket()).is_ok());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As the configuration would have them by default, but patient: machines that run tests are busy.
pub(super) fn settings(url: &str) -> RedisSettings {
    RedisSettings {
        url: url.to_owned(),
        user: String::new(),
        password: None,
        ca: None,
        prefix: "linkgate:".to_owned(),
        timeout: Duration::from_secs(10),
        replicas: Replicas::Auto,
    }
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().copied().map(str::to_owned).collect()
}

fn start(folder: &Path, arguments: &[String]) -> Child {
    Command::new(program())
        .current_dir(folder)
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

#[expect(clippy::disallowed_methods, reason = "only tests ask it, and only for the program that they start")]
fn program() -> String {
    std::env::var("LINKGATE_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned())
}

/// What a server on this machine says to `redis-cli`, which has the password where one is asked for.
pub(super) fn cli(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let mut cli = Command::new("redis-cli");
    let output = cli.env("REDISCLI_AUTH", PASSWORD).args(["-p", &port]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Looks until it is so, for a minute: sentinels put a replica right that they lost sight of only after a while. Between
/// two looks the servers have the processors.
pub(super) fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_mins(1), "waited for {what} in vain");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// One whose port for a Cluster's own talk, ten thousand higher, is free too.
pub(super) fn free_port() -> u16 {
    let ports = std::iter::repeat_with(|| {
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = own.local_addr().unwrap().port();
        let bus = port.checked_add(10_000)?;
        TcpListener::bind(("127.0.0.1", bus)).is_ok().then_some(port)
    });
    ports.flatten().next().unwrap()
}

/// Whether a replica hears its master, and the master it. One that has never confirmed anything may be online, and be
/// asked for nothing yet: it is pinged soon.
pub(super) fn is_followed(master: u16, replica: u16) -> bool {
    cli(master, &["config", "set", "repl-ping-replica-period", "1"]);
    let of = cli(master, &["info", "replication"]);
    of.contains("state=online")
        && !of.contains(",offset=0,")
        && cli(replica, &["info", "replication"]).contains("master_link_status:up")
}

/// Six nodes: three masters, a replica each.
pub(super) struct Cluster {
    pub(super) nodes: Vec<Server>,
    scheme: &'static str,
}

impl Cluster {
    pub(super) fn start() -> Self {
        Self::behind(Entrance::default())
    }

    pub(super) fn behind(entrance: Entrance<'_>) -> Self {
        let nodes: Vec<Server> = (0..6)
            .map(|_| {
                let arguments = [
                    "--cluster-enabled",
                    "yes",
                    "--cluster-node-timeout",
                    "2000",
                    "--cluster-config-file",
                    "nodes.conf",
                    "--repl-diskless-sync-delay",
                    "0",
                    "--tls-replication",
                    if entrance.certificates.is_some() { "yes" } else { "no" },
                ];
                Server::behind(entrance, "tls-cluster", &arguments)
            })
            .collect();
        let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.door)).collect();
        let ca = entrance.certificates.map(|certificates| certificates.file("ca.pem"));
        let made = Command::new("redis-cli")
            .args(ca.iter().flat_map(|ca| ["--tls".as_ref(), "--cacert".as_ref(), ca.as_os_str()]))
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { nodes, scheme: entrance.scheme() };
        wait_for("the Cluster and its replicas", || {
            cluster.nodes.iter().all(|node| {
                cli(node.port, &["cluster", "info"]).contains("cluster_state:ok")
                    && ["state=online", "master_link_status:up"]
                        .iter()
                        .any(|well| cli(node.port, &["info", "replication"]).contains(well))
            })
        });
        cluster
    }

    pub(super) fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.door)).collect();
        format!("{}+cluster://{}", self.scheme, nodes.join(","))
    }

    /// Moves the slot that holds this key, and all that is in it, to the node at this port.
    pub(super) fn move_slot(&mut self, key: &str, to: u16) {
        let slot = cli(to, &["cluster", "keyslot", key]).trim().to_owned();
        let from = self.master_of(key).port;
        if from == to {
            return;
        }
        let [giver, taker] = [from, to].map(|port| cli(port, &["cluster", "myid"]).trim().to_owned());
        let said = |port: u16, arguments: &[&str]| {
            let said = cli(port, arguments);
            assert!(matches!(said.trim(), "OK" | "NOKEY"), "{arguments:?}: {said}");
        };
        said(to, &["cluster", "setslot", &slot, "importing", &giver]);
        said(from, &["cluster", "setslot", &slot, "migrating", &taker]);
        for key in cli(from, &["cluster", "getkeysinslot", &slot, "1000"]).lines() {
            said(from, &["migrate", "127.0.0.1", &to.to_string(), key, "0", "30000"]);
        }
        for port in [to, from] {
            said(port, &["cluster", "setslot", &slot, "node", &taker]);
        }
        for node in &self.nodes {
            wait_for("everybody to know", || {
                cli(node.port, &["cluster", "nodes"])
                    .lines()
                    .any(|line| line.starts_with(&taker) && holds(line, slot.parse().unwrap()))
            });
        }
    }

    /// The node that is the master of the slot that holds this key.
    pub(super) fn master_of(&mut self, key: &str) -> &mut Server {
        let slot: u16 = cli(self.nodes[0].port, &["cluster", "keyslot", key]).trim().parse().unwrap();
        let nodes = cli(self.nodes.last().unwrap().port, &["cluster", "nodes"]);
        let port = nodes.lines().find_map(|line| {
            let mut parts = line.split(' ');
            let port = parts.nth(1)?.split('@').next()?.rsplit(':').next()?.parse::<u16>().ok()?;
            (holds(line, slot) && line.contains("master")).then_some(port)
        });
        let port = port.expect("somebody holds the slot");
        self.nodes.iter_mut().find(|node| node.port == port).unwrap()
    }
}

/// Whether this line of `CLUSTER NODES` says that the node holds the slot.
fn holds(line: &str, slot: u16) -> bool {
    line.split(' ').skip(8).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bound = |text: &str| text.parse::<u16>().unwrap_or(u16::MAX);
        (bound(first)..=bound(last)).contains(&slot)
    })
}

/// A master, the replica that will be chosen after it, another that is left then, and three sentinels who watch.
pub(super) struct Guarded {
    pub(super) master: Server,
    pub(super) replica: Server,
    pub(super) spare: Server,
    pub(super) sentinels: Vec<Server>,
    scheme: &'static str,
}

impl Guarded {
    pub(super) fn start() -> Self {
        Self::behind(Entrance::default())
    }

    pub(super) fn behind(entrance: Entrance<'_>) -> Self {
        let password = if entrance.password { PASSWORD } else { "" };
        let own = ["--repl-diskless-sync-delay", "0", "--masterauth", password];
        let start = |more: &[&str]| Server::behind(entrance, "tls-replication", &[&own[..], more].concat());
        let master = start(&["--unixsocket", "redis.sock"]);
        let door = master.door.to_string();
        let replica = start(&["--replicaof", "127.0.0.1", &door]);
        let spare = start(&["--replicaof", "127.0.0.1", &door, "--replica-priority", "200"]);
        wait_for("the replicas", || {
            [&replica, &spare].iter().all(|replica| is_followed(master.port, replica.port))
        });
        let sentinels: Vec<Server> = (0..3).map(|_| sentinel(master.door, entrance)).collect();
        let guarded = Self { master, replica, spare, sentinels, scheme: entrance.scheme() };
        wait_for("the sentinels to know each other and the replicas", || {
            guarded.sentinels.iter().all(|sentinel| {
                let known = cli(sentinel.port, &["sentinel", "master", "main"]);
                let mut lines = known.lines();
                let mut field = |name: &str| {
                    lines.by_ref().find(|line| *line == name)?;
                    lines.next().map(str::to_owned)
                };
                field("num-slaves").as_deref() == Some("2")
                    && field("num-other-sentinels").as_deref() == Some("2")
            })
        });
        guarded
    }

    /// Cuts the master off from sentinels and replicas, and from whoever comes now; who is connected stays so.
    pub(super) fn isolate(&self) {
        let socket = self.master.socket().display().to_string();
        let said = |arguments: &[&str]| {
            let output = Command::new("redis-cli").args(["-s", &socket]).args(arguments).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert_eq!(said(&["config", "set", "port", "0"]).trim(), "OK");
        for client in said(&["client", "list"]).lines() {
            let part = |name: &str| client.split(' ').find_map(|part| part.strip_prefix(name)).unwrap();
            if part("name=").starts_with("sentinel-") || part("flags=").contains('S') {
                said(&["client", "kill", "id", part("id=")]);
            }
        }
        // On a busy machine the first that is chosen may be taken for dead, and the other be chosen then.
        let both = [(&self.replica, &self.spare), (&self.spare, &self.replica)];
        wait_for("another master that is followed, and that the sentinels agree on", || {
            both.iter().any(|(master, other)| {
                is_followed(master.port, other.port)
                    && self.sentinels.iter().all(|sentinel| {
                        cli(sentinel.port, &["sentinel", "get-master-addr-by-name", "main"])
                            .contains(&master.port.to_string())
                    })
            })
        });
    }

    pub(super) fn url(&self) -> String {
        let all: Vec<String> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.door)).collect();
        format!("{}+sentinel://{}/main", self.scheme, all.join(","))
    }
}

fn sentinel(master: u16, entrance: Entrance<'_>) -> Server {
    Server::until_it_stays(|| {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let (settings, door) = entrance.settings(port, "tls-replication");
        let mut lines = vec![
            format!("port {port}"),
            format!("sentinel monitor main 127.0.0.1 {master} 2"),
            "sentinel down-after-milliseconds main 1000".to_owned(),
            "sentinel failover-timeout main 3000".to_owned(),
        ];
        lines.extend(settings.into_iter().map(|(name, value)| format!("{name} {value}")));
        lines.extend(entrance.password.then(|| format!("sentinel auth-pass main {PASSWORD}")));
        std::fs::write(folder.path().join("sentinel.conf"), lines.join("\n") + "\n").unwrap();
        let child = Command::new(program())
            .current_dir(folder.path())
            .args(["sentinel.conf", "--sentinel"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Server { child, folder, port, door, arguments: Vec::new() }
    })
}
