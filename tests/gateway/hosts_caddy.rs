//! The real Caddy before an app, asking by `forward_auth` written out: the lines of docs/caddy.md as they stand there.

use crate::harness::guard::Ground;
use crate::harness::guard::HOST;
use crate::harness::guard::OTHER;
use crate::harness::installed;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/caddy.md");

fn caddy(ground: &Ground<'_>) -> Command {
    let folder = ground.folder();
    let block = ground.block(PAGE, "caddyfile");
    let site = |host: &str| {
        format!("{host}:{} {{\n\tbind 127.0.0.1\n\ttls {folder}/site.pem {folder}/site.key", ground.port)
    };
    let own = ground.here(
        &block,
        &[
            ("wiki.example.com {", &site(HOST)),
            ("photos.example.com {", &site(OTHER)),
            ("127.0.0.1:3001", ground.app),
        ],
    );
    let file = format!("{{\n\tadmin off\n\tauto_https off\n\tstorage file_system {folder}/caddy\n}}\n{own}");
    let mut command = Command::new(installed("venv/bin/caddy"));
    let file = ground.write("Caddyfile", &file);
    command.args(["run", "--adapter", "caddyfile", "--config", &file]).env("HOME", folder);
    command
}

promises!(caddy);

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(PAGE);
}
