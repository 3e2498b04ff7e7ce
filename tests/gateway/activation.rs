//! Under systemd: sockets handed over, readiness, reloads and the watchdog told, by a notify socket of the test's own.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use tokio::net::UnixDatagram;

fn site(app: &App) -> String {
    format!(
        "[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nupstream = \"{}\"\nallow = [\"alice@example.com\"]\n",
        app.url()
    )
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_socket_from_systemd_is_served_by_its_name() {
    let app = App::start().await;
    let place = Place::new();
    let head = HEAD.replace("http://127.0.0.1:@PORT@", "systemd:http");
    place.write_config(&format!("{head}{}", site(&app)));
    let log = std::fs::File::create(place.path().join("log")).unwrap();
    // It becomes the gateway at the first connection.
    let _running = Running(
        Command::new("systemd-socket-activate")
            .args(["-l", &format!("127.0.0.1:{}", place.port), "--fdname=http"])
            .arg(env!("CARGO_BIN_EXE_linkgate"))
            .arg("serve")
            .arg("--config")
            .arg(place.config())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    let url = format!("http://localhost:{}/", place.port);
    let headers = [("accept", "text/html")];
    let answer = eventually("the socket is there", async || {
        // The first connection waits in the socket's queue until the gateway is ready: none is lost.
        try_fetch(None, "GET", &url, &headers, Vec::new()).await.ok()
    })
    .await;
    let log = std::fs::read_to_string(place.path().join("log")).unwrap();
    assert_eq!(answer.status, 303, "{}\n{log}", answer.text());
}

/// The next message that holds `line`; what comes before it is passed over.
async fn heard(socket: &UnixDatagram, line: &str) -> String {
    let mut buffer = vec![0; 4096];
    let wait = async {
        loop {
            let length = socket.recv(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|found| found == line) {
                return text;
            }
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("{line} was never said"))
}

#[tokio::test]
async fn systemd_is_told_of_readiness_reloads_health_and_the_end() {
    let app = App::start().await;
    let place = Place::new();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let config = format!("{HEAD}{}", site(&app));
    let gateway = Gateway::start_in(place, &config, &environment).await;
    heard(&socket, "READY=1").await;
    Browser::new().visit(&gateway.url("/")).await.expect(303);
    for _ in 0..3 {
        heard(&socket, "WATCHDOG=1").await;
    }
    gateway.signal("HUP");
    let reloading = heard(&socket, "RELOADING=1").await;
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    heard(&socket, "READY=1").await;
    // A reload that fails ends too.
    std::fs::write(gateway.place.config(), "broken").unwrap();
    gateway.signal("HUP");
    heard(&socket, "RELOADING=1").await;
    heard(&socket, "READY=1").await;
    gateway.signal("TERM");
    heard(&socket, "STOPPING=1").await;
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn the_units_are_what_systemd_understands_and_well_sandboxed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd");
    let security = tokio::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20", "--no-pager"])
        .arg(format!("{folder}/linkgate.service"))
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&security.stdout);
    assert!(security.status.success(), "{text}{}", String::from_utf8_lossy(&security.stderr));
    // The unit names the installed program; for the check, ours stands in for it.
    let copy = tempfile::TempDir::new().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "service" || end == "socket") {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.replace("/usr/bin/linkgate", env!("CARGO_BIN_EXE_linkgate"));
            std::fs::write(copy.path().join(path.file_name().unwrap()), text).unwrap();
        }
    }
    let mut verify = tokio::process::Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    let mut units = 0;
    for entry in std::fs::read_dir(copy.path()).unwrap() {
        verify.arg(entry.unwrap().path());
        units += 1;
    }
    assert!(units >= 2, "{units} units");
    let verify = verify.output().await.unwrap();
    assert!(
        verify.status.success() && verify.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&verify.stderr)
    );
}
