//! The real Envoy before an app, asking by `ext_authz`: the lines of docs/envoy.md as they stand there.

use crate::harness::guard::Ground;
use crate::harness::installed;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/envoy.md");

fn envoy(ground: &Ground<'_>) -> Command {
    let address = |port: u16| format!("address: 127.0.0.1, port_value: {port} }}");
    let app = ground.app.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let config = ground.here(
        &ground.block(PAGE, "yaml"),
        &[
            ("address: 0.0.0.0, port_value: 443 }", &address(ground.port)),
            ("address: 127.0.0.1, port_value: 8080 }", &address(ground.place.port)),
            ("address: 127.0.0.1, port_value: 3000 }", &address(app)),
        ],
    );
    let mut command = Command::new(installed("venv/bin/envoy"));
    command
        .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "-c"])
        .arg(ground.write("envoy.yaml", &config));
    command
}

promises!(envoy);

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(PAGE);
}
