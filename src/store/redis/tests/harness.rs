//! Real servers for tests, each in a folder of its own, ended with the test by their id.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::store::{RedisSettings, Replicas, Settings};

/// A server on a Unix socket, that keeps nothing on disk.
pub(super) struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = start(&folder, &["--port", "0", "--unixsocket", "redis.sock"]);
        let server = Self { child, folder };
        assert!(
            server.socket().exists() || wait_for(|| server.socket().exists()),
            "the server did not start"
        );
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub(super) fn settings(&self) -> Settings {
        Settings::Redis(settings(&format!("redis+unix://{}", self.socket().display())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As the configuration would have them by default.
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

fn start(folder: &TempDir, arguments: &[&str]) -> Child {
    Command::new("redis-server")
        .current_dir(folder.path())
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

/// Looks until it is so, for ten seconds.
fn wait_for(so: impl Fn() -> bool) -> bool {
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if so() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}
