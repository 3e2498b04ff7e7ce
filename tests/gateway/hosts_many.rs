//! One sign-in for many hosts behind another proxy, with what `linkgate snippet` prints for them: two subdomains and two
//! unrelated domains, of which only the first has a route to linkgate.

use crate::harness::app::App;
use crate::harness::authority::Authority;
use crate::harness::browser::Browser;
use crate::harness::free_port;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::guard::ALICE;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::guard::debian;
use crate::harness::installed;
use std::process::Command;

const HOSTS: [&str; 4] = ["wiki.example.test", "photos.example.test", "album.test", "files.other.test"];
const SESSION: &str = "__Host-linkgate";

/// Puts what is here in place of placeholders, and says what to run.
type Run = fn(&Ground<'_>, &str) -> Command;

fn caddy(ground: &Ground<'_>, printed: &str) -> Command {
    let (folder, port) = (ground.folder(), ground.port);
    let tls = format!(":{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/site.pem {folder}/site.key\n");
    let own = printed.replace(&format!(":{port} {{\n"), &tls);
    let file = format!("{{\n\tadmin off\n\tauto_https off\n\tstorage file_system {folder}/caddy\n}}\n{own}");
    let mut command = Command::new(installed("venv/bin/caddy"));
    command
        .args(["run", "--adapter", "caddyfile", "--config", &ground.write("Caddyfile", &file)])
        .env("HOME", folder);
    command
}

fn traefik(ground: &Ground<'_>, printed: &str) -> Command {
    let folder = ground.folder();
    let certificate = format!("{{ certFile: {folder}/site.pem, keyFile: {folder}/site.key }}");
    let own = ground.write("linkgate.yml", &format!("{printed}tls:\n  certificates: [{certificate}]\n"));
    let fixed = format!(
        "entryPoints: {{ websecure: {{ address: \"127.0.0.1:{}\" }} }}\nproviders: {{ file: {{ filename: {own} }} }}\n",
        ground.port
    );
    let mut command = Command::new(installed("venv/bin/traefik"));
    command.arg(format!("--configFile={}", ground.write("traefik.yml", &fixed))).env("HOME", folder);
    command
}

fn nginx(ground: &Ground<'_>, printed: &str) -> Command {
    let folder = ground.folder();
    let mut own = printed.replace("listen ", "listen 127.0.0.1:");
    for host in HOSTS {
        own = own.replace(&format!("/etc/ssl/{host}"), &format!("{folder}/site"));
    }
    let whole = format!(
        "daemon off;\npid {folder}/nginx.pid;\nworker_processes 1;\nerror_log stderr info;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {folder}/t1;\nproxy_temp_path {folder}/t2;\nfastcgi_temp_path {folder}/t3;\n\
         uwsgi_temp_path {folder}/t4;\nscgi_temp_path {folder}/t5;\n{own}\n}}\n"
    );
    let mut command = debian("nginx");
    command.args(["-e", "stderr", "-p"]).arg(&folder).arg("-c").arg(ground.write("nginx.conf", &whole));
    command
}

async fn start(name: &str, run: Run, app: &App) -> Guard {
    let (place, port) = (Place::new(), free_port());
    let authority = Authority::make(place.path(), &HOSTS);
    let apps = HOSTS.map(|host| format!("[[site.app]]\nhost = \"{host}\"\n")).concat();
    let config = format!(
        "trusted_proxies = [\"127.0.0.1\"]\n{HEAD}[[site]]\nname = \"family\"\nurl = \"https://{}:{port}\"\n\
         allow = [\"{ALICE}\"]\n{apps}",
        HOSTS[0]
    );
    let gateway = Gateway::start_with(place, &config).await;
    let mut printed = gateway.run(&["snippet", name]).await;
    let address = app.url();
    for number in 0..HOSTS.len() {
        for end in [";", "\n", "\"", " "] {
            let app = format!("{}{end}", address.trim_start_matches("http://"));
            printed = printed.replace(&format!("127.0.0.1:{}{end}", 3000 + number), &app);
        }
    }
    let command = run(&Ground { place: &gateway.place, port, app: "", other: "" }, &printed);
    Guard::run(command, gateway, authority, port, HOSTS[0]).await
}

async fn one_sign_in_opens_all_and_one_sign_out_closes_all(name: &str, run: Run) {
    let app = App::start().await;
    let guard = start(name, run, &app).await;
    let url = |host: &str, path: &str| format!("https://{host}:{}{path}", guard.port);
    // It begins on an unrelated domain, and ends there.
    let alice = guard.browser();
    let wanted = url(HOSTS[2], "/album?year=2026&x=%2F");
    let page = guard.gateway.sign_in(&alice, ALICE, &wanted).await;
    assert_eq!(page.url.as_str(), wanted);
    for host in HOSTS {
        let wanted = url(host, &format!("/on/{host}?a=1&b=%26"));
        let page = alice.follow(&wanted).await.expect(200);
        assert_eq!(page.url.as_str(), wanted);
        let seen = app.request(&format!("/on/{host}")).await;
        assert_eq!(seen.header("remote-email"), ALICE);
        assert_eq!(seen.header("host"), format!("{host}:{}", guard.port));
        assert!(!seen.header("cookie").contains(SESSION), "{seen:?}");
    }
    assert_eq!(guard.gateway.letters().len(), 1);
    let sessions = HOSTS.map(|host| alice.cookie(host, SESSION));
    for (number, session) in sessions.iter().enumerate() {
        assert!(!session.is_empty() && !sessions[..number].contains(session), "each host has its own");
        // And is worth nothing on another.
        let thief = guard.browser();
        let other = HOSTS[(number + 1) % HOSTS.len()];
        thief.set_cookie(other, SESSION, session);
        assert!(thief.visit(&url(other, "/")).await.is_redirect());
    }
    leave(&guard, &alice, &url(HOSTS[3], "/.linkgate/logout")).await;
    for (host, kept) in HOSTS.iter().zip(&sessions) {
        alice.set_cookie(host, SESSION, kept);
        let end = alice.follow(&url(host, "/")).await.expect(200);
        assert_eq!((end.url.host_str(), end.url.path()), (Some(HOSTS[0]), "/.linkgate/login"), "{host}");
    }
}

/// Presses the button of the page that is found there.
async fn leave(guard: &Guard, who: &Browser, page: &str) {
    let page = who.follow(page).await.expect(200);
    assert_eq!(page.url.path(), "/.linkgate/logout", "{}", guard.log());
    who.post_form(page.url.as_str(), &[]).await.expect(303);
}

#[tokio::test]
async fn behind_caddy() {
    one_sign_in_opens_all_and_one_sign_out_closes_all("caddy", caddy).await;
}

#[tokio::test]
async fn behind_traefik() {
    one_sign_in_opens_all_and_one_sign_out_closes_all("traefik", traefik).await;
}

#[tokio::test]
async fn behind_nginx() {
    one_sign_in_opens_all_and_one_sign_out_closes_all("nginx", nginx).await;
}
