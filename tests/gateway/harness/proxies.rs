//! The proxies whose pages below docs/ are run: each takes its lines from its page, as they stand there.

use super::guard::Ground;
use super::guard::HOST;
use super::guard::OTHER;
use super::guard::block;
use super::guard::blocks;
use super::guard::debian;
use super::installed;
use std::process::Command;

pub const HAPROXY: &str = include_str!("../../../docs/haproxy.md");
pub const HAPROXY_LUA: &str = include_str!("../../../docs/haproxy/linkgate.lua");
pub const APACHE: &str = include_str!("../../../docs/apache.md");
pub const APACHE_LUA: &str = include_str!("../../../docs/apache/linkgate.lua");
pub const NGINX: &str = include_str!("../../../docs/nginx.md");
pub const CADDY: &str = include_str!("../../../docs/caddy.md");
pub const TRAEFIK: &str = include_str!("../../../docs/traefik.md");
pub const ENVOY: &str = include_str!("../../../docs/envoy.md");

pub fn haproxy(ground: &Ground<'_>) -> Command {
    let (lua, folder) = (ground.write("linkgate.lua", HAPROXY_LUA), ground.folder());
    // HAProxy wants both in one file.
    let both =
        ["site.pem", "site.key"].map(|name| std::fs::read_to_string(ground.place.path().join(name)).unwrap());
    std::fs::create_dir(ground.place.path().join("certificates")).unwrap();
    ground.write("certificates/both.pem", &both.concat());
    let config = ground.here(
        &block(HAPROXY, "haproxy"),
        &[
            ("/etc/haproxy/linkgate.lua", &lua),
            ("/etc/haproxy/certificates/", &format!("{folder}/certificates/")),
            ("bind :80\n", &format!("bind unix@{folder}/plain\n")),
            ("bind :443", &format!("bind 127.0.0.1:{}", ground.port)),
            ("photos.example.com", OTHER),
            ("127.0.0.1:3001", ground.other),
        ],
    );
    let mut command = debian("haproxy");
    command.arg("-db").arg("-f").arg(ground.write("haproxy.cfg", &config));
    command
}

/// Apache with this host, and with the modules that the page's `number`th `a2enmod` brings, beside Debian's default.
fn apache(ground: &Ground<'_>, host: &str, number: usize) -> Command {
    let folder = ground.folder();
    let wanted = APACHE
        .split("a2enmod ")
        .nth(number)
        .and_then(|rest| rest.split(['\n', '`']).next())
        .expect("a2enmod");
    let loaded = |name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so");
    let loaded: Vec<String> =
        ["mpm_event", "authz_core"].into_iter().chain(wanted.split(' ')).map(loaded).collect();
    let loaded = loaded.join("\n");
    let config = format!(
        "ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\nDefaultRuntimeDir {folder}\n\
         ErrorLog /dev/stderr\nLogLevel warn\nUser www-data\nGroup www-data\nListen 127.0.0.1:{}\n{loaded}\n{host}",
        ground.port
    );
    let mut command = debian("apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(ground.write("apache.conf", &config));
    command
}

fn host(ground: &Ground<'_>, number: usize, more: &[(&str, &str)]) -> String {
    let lines = blocks(APACHE, "apache").into_iter().nth(number).expect("a host");
    let port = format!("<VirtualHost 127.0.0.1:{}>", ground.port);
    let mut all = vec![("<VirtualHost *:443>", port.as_str())];
    all.extend(more);
    ground.here(&lines, &all)
}

/// Asking linkgate.
pub fn apache_asking(ground: &Ground<'_>) -> Command {
    let lua = ground.write(
        "linkgate.lua",
        &ground.here(
            APACHE_LUA,
            &[("http://127.0.0.1:8080", &format!("http://127.0.0.1:{}", ground.place.port))],
        ),
    );
    let other = format!("{}/site", ground.folder());
    let more = [
        ("/etc/apache2/linkgate.lua", lua.as_str()),
        ("/etc/ssl/photos.example.com", &other),
        ("photos.example.com", OTHER),
        ("127.0.0.1:3001", ground.other),
    ];
    apache(ground, &host(ground, 1, &more), 2)
}

/// Before linkgate.
pub fn apache_before_linkgate(ground: &Ground<'_>) -> Command {
    apache(ground, &host(ground, 0, &[]), 1)
}

pub fn envoy(ground: &Ground<'_>) -> Command {
    let address = |port: u16| format!("address: 127.0.0.1, port_value: {port} }}");
    let port = |app: &str| app.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let config = ground.here(
        &block(ENVOY, "yaml"),
        &[
            ("address: 0.0.0.0, port_value: 443 }", &address(ground.port)),
            ("address: 127.0.0.1, port_value: 8080 }", &address(ground.place.port)),
            ("address: 127.0.0.1, port_value: 3000 }", &address(port(ground.app))),
            ("address: 127.0.0.1, port_value: 3001 }", &address(port(ground.other))),
            ("/etc/ssl/photos.example.com", &format!("{}/site", ground.folder())),
            ("photos.example.com", OTHER),
        ],
    );
    let mut command = Command::new(installed("venv/bin/envoy"));
    command
        .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "-c"])
        .arg(ground.write("envoy.yaml", &config));
    command
}

pub fn nginx(ground: &Ground<'_>) -> Command {
    let folder = ground.folder();
    let page = block(NGINX, "nginx");
    // The page has one host; the harness's other one gets the same, as the page says.
    let (before, server) = page.split_at(page.find("server {\n    listen").expect("a server"));
    let port = format!("listen 127.0.0.1:{} ssl", ground.port);
    let server = ground.here(server, &[("listen 443 ssl", &port)]);
    let other = server.replace(&format!("server_name {HOST}"), &format!("server_name {OTHER}"));
    let other = other.replace(&format!("http://{};", ground.app), &format!("http://{};", ground.other));
    let whole = format!(
        "daemon off;\npid {folder}/nginx.pid;\nworker_processes 1;\nerror_log stderr info;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {folder}/t1;\nproxy_temp_path {folder}/t2;\nfastcgi_temp_path {folder}/t3;\n\
         uwsgi_temp_path {folder}/t4;\nscgi_temp_path {folder}/t5;\nclient_max_body_size 1m;\nclient_body_buffer_size 1m;\n\
         {}\n{server}\n{other}\n}}\n",
        ground.here(before, &[])
    );
    let mut command = debian("nginx");
    command.args(["-e", "stderr", "-p"]).arg(&folder).arg("-c").arg(ground.write("nginx.conf", &whole));
    command
}

pub fn caddy(ground: &Ground<'_>) -> Command {
    let folder = ground.folder();
    let block = block(CADDY, "caddyfile");
    let site = |host: &str| {
        format!("{host}:{} {{\n\tbind 127.0.0.1\n\ttls {folder}/site.pem {folder}/site.key", ground.port)
    };
    let own = ground.here(
        &block,
        &[
            ("wiki.example.com {", &site(HOST)),
            ("photos.example.com {", &site(OTHER)),
            ("127.0.0.1:3001", ground.other),
        ],
    );
    let file = format!("{{\n\tadmin off\n\tauto_https off\n\tstorage file_system {folder}/caddy\n}}\n{own}");
    let mut command = Command::new(installed("venv/bin/caddy"));
    let file = ground.write("Caddyfile", &file);
    command.args(["run", "--adapter", "caddyfile", "--config", &file]).env("HOME", folder);
    command
}

pub fn traefik(ground: &Ground<'_>) -> Command {
    let folder = ground.folder();
    let blocks = blocks(TRAEFIK, "yaml");
    let [fixed, dynamic] = blocks.as_slice() else { panic!("two blocks of YAML") };
    let own = ground.here(dynamic, &[("photos.example.com", OTHER), ("127.0.0.1:3001", ground.other)]);
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
