//! Apps behind TLS: whom we believe there, who we are there, and what is said where either fails. The app is nginx.

use crate::harness::authority::Authority;
use crate::harness::authority::issue;
use crate::harness::authority::openssl;
use crate::harness::authority::self_sign;
use crate::harness::browser::Answer;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::nginx::Nginx;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;
use std::process::Stdio;

const NAME: &str = "app.internal";

/// An nginx that speaks TLS with `site.pem`, and says what it knows of who asks.
fn app(port: u16, prepare: impl FnOnce(&Path), listen: &str, more: &str) -> Nginx {
    Nginx::start(
        |folder| {
            Authority::make(folder, &[NAME]);
            prepare(folder);
        },
        &format!(
            "server {{ listen 127.0.0.1:{port} ssl {listen}; ssl_certificate @DIR@/site.pem;\n\
             ssl_certificate_key @DIR@/site.key; {more}\n location / {{\n\
             return 200 \"$server_protocol name=$ssl_server_name host=$http_host$host client=$ssl_client_s_dn\"; }} }}"
        ),
    )
}

/// The whole configuration of a public app; `of_app`: more keys of it.
fn config(upstream: &str, of_app: &str) -> String {
    format!(
        "{HEAD}[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nallow = [\"alice@example.com\"]\n\
         [[site.app]]\nname = \"main\"\nhost = \"localhost\"\naccess = \"public\"\nupstream = {upstream}\n{of_app}\n"
    )
}

async fn before(upstream: &str, of_app: &str) -> Gateway {
    Gateway::start(config(upstream, of_app).strip_prefix(HEAD).unwrap()).await
}

async fn visit(gateway: &Gateway) -> Answer {
    Browser::new().visit(&gateway.url("/")).await
}

/// The visitor is told nothing but that; the log names what is wrong, and the cure.
async fn is_refused(gateway: &Gateway, app: &Nginx, says: &[&str]) {
    let answer = visit(gateway).await.expect(502);
    assert!(!answer.text().contains("certificate"), "{}", answer.text());
    let log = gateway.log();
    for words in says {
        assert!(log.contains(words), "{words:?} in {log}");
    }
    assert_eq!(app.answered(), 0, "nothing was asked");
}

async fn reload(gateway: &Gateway, config: &str, says: &str) {
    let count = || gateway.log().lines().filter(|line| line.contains(says)).count();
    let before = count();
    gateway.place.write_config(config);
    gateway.signal("HUP");
    eventually(&format!("the log says {says:?}"), async || (count() > before).then_some(())).await;
}

#[tokio::test]
async fn an_app_of_an_own_authority_is_reached_in_the_http_that_it_prefers() {
    for (listen, version) in [("", "HTTP/1.1"), ("http2", "HTTP/2.0")] {
        let port = free_port();
        let app = app(port, |_| (), listen, "");
        let tls = format!(
            "upstream_tls = {{ ca = \"{}\", server_name = \"{NAME}\" }}",
            app.path("ca.pem").display()
        );
        let gateway = before(&format!("\"https://127.0.0.1:{port}\""), &tls).await;
        // On a new connection, and on one that was used.
        for _ in 0..5 {
            let answer = visit(&gateway).await.expect(200).text();
            assert!(answer.starts_with(&format!("{version} name={NAME} ")), "{answer}");
            assert!(answer.contains("host=localhost"), "as the visitor asked: {answer}");
        }
    }
}

#[tokio::test]
async fn an_authority_that_is_not_ours_is_not_believed() {
    let port = free_port();
    let make_other = |folder: &Path| {
        std::fs::create_dir(folder.join("other")).unwrap();
        Authority::make(&folder.join("other"), &[NAME]);
    };
    let app = app(port, make_other, "http2", "");
    let upstream = format!("\"https://127.0.0.1:{port}\"");
    let cure = ["signed by nobody we believe", "upstream_tls.ca", &upstream.replace('"', "")];
    let other = app.path("other/ca.pem").display().to_string();
    let tls = format!("upstream_tls = {{ ca = \"{other}\", server_name = \"{NAME}\" }}");
    let gateway = before(&upstream, &tls).await;
    is_refused(&gateway, &app, &cure).await;
    // The system's roots do not know it either.
    let gateway = before(&upstream, &format!("upstream_tls = {{ server_name = \"{NAME}\" }}")).await;
    is_refused(&gateway, &app, &cure).await;
}

#[tokio::test]
async fn without_an_authority_of_its_own_an_app_is_believed_by_the_systems() {
    let port = free_port();
    let app = app(port, |_| (), "http2", "");
    let config = config(
        &format!("\"https://127.0.0.1:{port}\""),
        &format!("upstream_tls = {{ server_name = \"{NAME}\" }}"),
    );
    // Where OpenSSL, and all who follow it, look for the system's authorities.
    let roots = app.path("ca.pem").display().to_string();
    let gateway = Gateway::start_in(Place::new(), &config, &[("SSL_CERT_FILE", &roots)]).await;
    let answer = visit(&gateway).await.expect(200).text();
    assert!(answer.contains(&format!("name={NAME} ")), "{answer}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_believed_and_its_names_are_told() {
    let port = free_port();
    let app = app(port, |_| (), "", "");
    let ca = app.path("ca.pem").display().to_string();
    for (tls, asked) in [
        (format!("upstream_tls = {{ ca = \"{ca}\" }}"), "127.0.0.1"),
        (format!("upstream_tls = {{ ca = \"{ca}\", server_name = \"other.internal\" }}"), "other.internal"),
    ] {
        let gateway = before(&format!("\"https://127.0.0.1:{port}\""), &tls).await;
        let names = format!("is for {NAME}, not for {asked}; set upstream_tls.server_name");
        is_refused(&gateway, &app, &[&names]).await;
    }
}

#[tokio::test]
async fn only_the_pinned_key_is_believed_and_the_key_that_came_is_told() {
    let port = free_port();
    let app = app(port, |_| (), "http2", "");
    let ca = app.path("ca.pem").display().to_string();
    let upstream = format!("\"https://127.0.0.1:{port}\"");
    let pinned = |pin: &str| {
        config(
            &upstream,
            &format!("upstream_tls = {{ ca = \"{ca}\", server_name = \"{NAME}\", pin = [\"{pin}\"] }}"),
        )
    };
    let wrong = pinned("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let gateway = Gateway::start(wrong.strip_prefix(HEAD).unwrap()).await;
    is_refused(&gateway, &app, &["its key is none of upstream_tls.pin"]).await;
    // The line to paste is in the log.
    let log = gateway.log();
    let shown = log.split("sha256//").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let shown = format!("sha256//{shown}");
    let key = openssl(&app.path(""), &["x509", "-in", "site.pem", "-noout", "-pubkey"]);
    std::fs::write(app.path("public.pem"), key).unwrap();
    let der = openssl(&app.path(""), &["pkey", "-pubin", "-in", "public.pem", "-outform", "der"]);
    std::fs::write(app.path("public.der"), der).unwrap();
    let digest = openssl(&app.path(""), &["dgst", "-sha256", "-binary", "public.der"]);
    assert_eq!(shown, format!("sha256//{}", STANDARD.encode(digest)));
    reload(&gateway, &pinned(&shown), ": reloaded").await;
    visit(&gateway).await.expect(200);
}

#[tokio::test]
async fn an_app_that_wants_to_know_who_asks_gets_our_certificate() {
    let port = free_port();
    let wants = "ssl_client_certificate @DIR@/ca.pem; ssl_verify_client on;";
    let app = app(port, |folder| issue(folder, "us", &["linkgate.internal"], "2"), "http2", wants);
    let upstream = format!("\"https://127.0.0.1:{port}\"");
    let tls = |more: &str| {
        let ca = app.path("ca.pem").display().to_string();
        format!("upstream_tls = {{ ca = \"{ca}\", server_name = \"{NAME}\"{more} }}")
    };
    let gateway = before(&upstream, &tls("")).await;
    let answer = visit(&gateway).await;
    assert!(answer.text().contains("No required SSL certificate was sent"), "{}", answer.text());
    let pair = format!(
        ", certificate = \"{}\", key = \"{}\"",
        app.path("us.pem").display(),
        app.path("us.key").display()
    );
    reload(&gateway, &config(&upstream, &tls(&pair)), ": reloaded").await;
    let answer = visit(&gateway).await.expect(200).text();
    assert!(answer.contains("client=CN=linkgate.internal"), "{answer}");
}

#[tokio::test]
async fn an_app_that_signed_its_own_certificate_is_believed_by_that_very_one() {
    let port = free_port();
    let prepare = |folder: &Path| {
        self_sign(folder, "site", NAME);
        self_sign(folder, "twin", NAME);
    };
    let app = app(port, prepare, "", "");
    let upstream = format!("\"https://127.0.0.1:{port}\"");
    let tls = |file: &str, name: &str| {
        format!("upstream_tls = {{ ca = \"{}\", server_name = \"{name}\" }}", app.path(file).display())
    };
    // Another of the same name, and itself under another name, are not.
    let gateway = before(&upstream, &tls("twin.pem", NAME)).await;
    is_refused(&gateway, &app, &["upstream_tls.ca"]).await;
    let gateway = before(&upstream, &tls("site.pem", "other.internal")).await;
    is_refused(&gateway, &app, &["upstream_tls.server_name"]).await;
    let gateway = before(&upstream, &tls("site.pem", NAME)).await;
    visit(&gateway).await.expect(200);
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_not_believed() {
    let port = free_port();
    let app = app(port, |folder| issue(folder, "site", &[NAME], "0"), "", "");
    // It ends with the second in which it was made, and is good within that second.
    let second = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let made = second();
    eventually("its second is over", async || (second() > made).then_some(())).await;
    let ca = app.path("ca.pem").display().to_string();
    let tls = format!("upstream_tls = {{ ca = \"{ca}\", server_name = \"{NAME}\" }}");
    let gateway = before(&format!("\"https://127.0.0.1:{port}\""), &tls).await;
    visit(&gateway).await.expect(502);
    assert!(gateway.log().contains("has expired; renew it"), "{}", gateway.log());
}

#[tokio::test]
async fn https_to_a_port_that_speaks_plain_http_is_told_so() {
    let port = free_port();
    let app = Nginx::start(|_| (), &format!("server {{ listen 127.0.0.1:{port}; return 200; }}"));
    let gateway = before(&format!("\"https://127.0.0.1:{port}\""), "").await;
    visit(&gateway).await.expect(502);
    assert!(gateway.log().contains("does not speak TLS there; write http://"), "{}", gateway.log());
    drop(app);
}

#[tokio::test]
async fn files_that_are_no_certificates_stop_a_start_a_check_and_a_reload() {
    let port = free_port();
    let app = app(port, |folder| issue(folder, "us", &["linkgate.internal"], "2"), "", "");
    let file = |name: &str| app.path(name).display().to_string();
    let upstream = format!("\"https://127.0.0.1:{port}\"");
    let good = format!("upstream_tls = {{ ca = \"{}\", server_name = \"{NAME}\" }}", file("ca.pem"));
    let gateway = before(&upstream, &good).await;
    std::fs::write(app.path("torn.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    std::fs::write(app.path("empty.pem"), "").unwrap();
    for (tls, says) in [
        (format!("ca = \"{}\"", file("torn.pem")), "torn.pem holds no usable PEM certificate"),
        (format!("ca = \"{}\"", file("empty.pem")), "empty.pem holds no usable PEM certificate"),
        (format!("ca = \"{}\"", file("us.key")), "us.key holds no usable PEM certificate"),
        (
            format!("certificate = \"{}\", key = \"{}\"", file("us.pem"), file("ca.pem")),
            "ca.pem holds no usable private key",
        ),
        (
            format!("certificate = \"{}\", key = \"{}\"", file("us.pem"), file("site.key")),
            "site.key is not the key of",
        ),
    ] {
        let bad = config(&upstream, &format!("upstream_tls = {{ {tls} }}"));
        reload(&gateway, &bad, "not reloaded").await;
        assert!(gateway.log().contains(says), "{says:?} in {}", gateway.log());
        visit(&gateway).await.expect(200);
        let check = gateway.command(&["check"]).await;
        assert_eq!(check.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&check.stderr).contains(says));
        let start = tokio::process::Command::new(env!("CARGO_BIN_EXE_linkgate"))
            .arg("serve")
            .arg("--config")
            .arg(gateway.place.config())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert!(!start.status.success());
        let heard = [start.stdout, start.stderr].concat();
        assert!(String::from_utf8_lossy(&heard).contains(says), "{}", String::from_utf8_lossy(&heard));
    }
}
