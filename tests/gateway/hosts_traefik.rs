//! The real Traefik before an app, asking by `forwardAuth`: the lines of docs/traefik.md as they stand there.

use crate::harness::guard::Ground;
use crate::harness::guard::OTHER;
use crate::harness::guard::blocks;
use crate::harness::installed;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/traefik.md");

fn traefik(ground: &Ground<'_>) -> Command {
    let folder = ground.folder();
    let blocks = blocks(PAGE, "yaml");
    let [fixed, dynamic] = blocks.as_slice() else { panic!("two blocks of YAML") };
    let own = ground.here(dynamic, &[("photos.example.com", OTHER), ("127.0.0.1:3001", ground.app)]);
    let certificate = format!("{{ certFile: {folder}/site.pem, keyFile: {folder}/site.key }}");
    let own = ground.write("linkgate.yml", &format!("{own}tls:\n  certificates: [{certificate}]\n"));
    let fixed = ground.here(
        fixed,
        &[
            ("\":80\"", "127.0.0.1:0"),
            ("\":443\"", &format!("127.0.0.1:{}", ground.port)),
            ("/etc/traefik/linkgate.yml", &own),
        ],
    );
    let mut command = Command::new(installed("venv/bin/traefik"));
    command.arg(format!("--configFile={}", ground.write("traefik.yml", &fixed))).env("HOME", folder);
    command
}

promises!(traefik);

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(PAGE);
}
