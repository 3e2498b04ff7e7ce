//! The real HAProxy before an app, asking by Lua: the lines of docs/haproxy.md and docs/haproxy/linkgate.lua as they
//! stand there.

use crate::harness::guard::Ground;
use crate::harness::guard::debian;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/haproxy.md");
const LUA: &str = include_str!("../../docs/haproxy/linkgate.lua");

fn haproxy(ground: &Ground<'_>) -> Command {
    let (lua, folder) = (ground.write("linkgate.lua", LUA), ground.folder());
    // HAProxy wants both in one file.
    let both = ["site.pem", "site.key"].map(|name| std::fs::read_to_string(ground.place.path().join(name)).unwrap());
    let both = ground.write("both.pem", &both.concat());
    let config = ground.here(
        &ground.block(PAGE, "haproxy"),
        &[
            ("/etc/haproxy/linkgate.lua", &lua),
            ("/etc/haproxy/wiki.example.com.pem", &both),
            ("bind :80\n", &format!("bind unix@{folder}/plain\n")),
            ("bind :443", &format!("bind 127.0.0.1:{}", ground.port)),
        ],
    );
    let mut command = debian("haproxy");
    command.arg("-db").arg("-f").arg(ground.write("haproxy.cfg", &config));
    command
}

promises!(haproxy);

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(PAGE);
}
