//! What the promises are checked with: the real binary, an app that writes down what reaches it, a client that behaves
//! like a browser, raw sockets, and a mailbox. Nothing here knows the gateway from the inside.

pub mod app;
pub mod attacks;
pub mod authority;
pub mod browser;
pub mod frames;
pub mod gateway;
pub mod guard;
pub mod h2;
pub mod jupyter;
pub mod letters;
pub mod line;
pub mod nginx;
pub mod noise;
pub mod process;
pub mod program;
pub mod promises;
pub mod proxies;
pub mod raw;
pub mod recorder;
pub mod relay;
pub mod sentinels;
pub mod several;
pub mod smtp;
pub mod stage;
pub mod token_service;
pub mod websocket;

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// How long anything may take before a test gives up. Generous: two cores are shared by many tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer. The event ends it; the pause only spares the processor.
pub async fn eventually<T, F, Fut>(what: &str, ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    eventually_within(PATIENCE, what, ask).await
}

/// Sends a signal to a process of ours. One that is told to stop has stopped, with all its threads, when this returns.
pub fn signal(process: u32, name: &str) {
    let id = process.to_string();
    assert!(std::process::Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    let stopped = || {
        let mut tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        tasks.all(|task| {
            let told = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            told.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
        })
    };
    let begun = Instant::now();
    while name == "STOP" && !stopped() {
        assert!(begun.elapsed() < PATIENCE, "the process does not stop");
        std::thread::yield_now();
    }
}

/// As [`eventually`], with a patience of one's own.
pub async fn eventually_within<T, F, Fut>(patience: Duration, what: &str, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(begun.elapsed() < patience, "waited {patience:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port of the loopback that nobody listens on. Below those that the kernel gives to outgoing connections (32,768 on
/// Linux), so that a thousand of them do not take it before its server does; each is handed out once.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id().wrapping_mul(37).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(12_000 + next % 20_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A file that `tests/check.sh` puts below `.check/`.
pub fn installed(below: &str) -> String {
    let path = format!("{}/.check/{below}", env!("CARGO_MANIFEST_DIR"));
    assert!(std::path::Path::new(&path).exists(), "{path} is missing: run tests/check.sh --install first");
    path
}

/// A number that somebody may give in the environment: the same test, larger. `tests/slow.sh` does.
pub fn given(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test's own size, no configuration")]
    let given = std::env::var(name).ok();
    given.map_or(default, |given| given.parse().unwrap_or_else(|error| panic!("{name}={given}: {error}")))
}

/// A thousand connections at once want more open files than the usual 1,024; programs started later inherit it.
pub fn raise_file_limit() {
    let own = std::process::id().to_string();
    let hard = std::process::Command::new("prlimit")
        .args(["--pid", &own, "--nofile", "--output", "HARD", "--noheadings"])
        .output()
        .unwrap();
    let hard = String::from_utf8(hard.stdout).unwrap();
    let wanted = hard.trim().parse().map_or(8192, |hard: u64| hard.min(8192));
    let nofile = format!("--nofile={wanted}:");
    assert!(std::process::Command::new("prlimit").args(["--pid", &own, &nofile]).status().unwrap().success());
}
