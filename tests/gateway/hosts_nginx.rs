//! The real nginx before an app, asking by `auth_request`: the lines of docs/nginx.md as they stand there.

use crate::harness::app::App;
use crate::harness::authority::Authority;
use crate::harness::browser::Browser;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const HOST: &str = "wiki.localhost";
const PAGE: &str = include_str!("../../docs/nginx.md");

struct Nginx {
    child: Mutex<Child>,
    gateway: Gateway,
    authority: Arc<Authority>,
    port: u16,
}

impl Nginx {
    async fn before(app: &App) -> Self {
        let (place, port) = (Place::new(), free_port());
        let authority = Authority::make(place.path(), &[HOST]);
        let config = format!(
            r#"trusted_proxies = ["127.0.0.1"]
{HEAD}
[[site]]
name = "wiki"
url = "https://{HOST}:{port}"
allow = ["{ALICE}", "{BOB}"]
[[site.app]]
host = "{HOST}"
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/staff/"
allow = ["{ALICE}"]
[[site.app.route]]
path = "= /bye"
access = "sign-out"
"#
        );
        let gateway = Gateway::start_with(place, &config).await;
        let place = &gateway.place;
        let lines = PAGE
            .split("```nginx\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .expect("a block of nginx");
        let mut lines = lines.to_owned();
        for (written, here) in [
            ("127.0.0.1:8080", format!("127.0.0.1:{}", place.port)),
            ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
            ("/etc/ssl/wiki.example.com", format!("{}/site", place.path().display())),
            ("wiki.example.com", HOST.to_owned()),
            ("http://127.0.0.1:3000", app.url()),
        ] {
            assert!(lines.contains(written), "docs/nginx.md says no more {written}");
            lines = lines.replace(written, &here);
        }
        let whole = place.fill_in(&format!(
            "daemon off;\npid @DIR@/nginx.pid;\nworker_processes 1;\nerror_log stderr info;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path @DIR@/t1;\nproxy_temp_path @DIR@/t2;\nfastcgi_temp_path @DIR@/t3;\n\
             uwsgi_temp_path @DIR@/t4;\nscgi_temp_path @DIR@/t5;\nclient_max_body_size 1m;\nclient_body_buffer_size 1m;\n{lines}\n}}\n"
        ));
        let file = place.path().join("nginx.conf");
        std::fs::write(&file, whole).unwrap();
        let log = std::fs::File::create(place.path().join("nginx.log")).unwrap();
        // Debian keeps servers in sbin, which is not on everybody's path.
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists());
        let child = Command::new(program.expect("nginx: tests/check.sh --install brings it"))
            .args(["-e", "stderr", "-p"])
            .arg(place.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let nginx = Self { child: Mutex::new(child), gateway, authority, port };
        let ended = eventually("nginx answers", async || {
            if let Some(status) = nginx.child.lock().unwrap().try_wait().unwrap() {
                return Some(Some(status));
            }
            let url = nginx.url("/.linkgate/assets/style.css");
            try_fetch(Some(&nginx.authority), "GET", &url, &[], Vec::new()).await.ok().map(|_| None)
        })
        .await;
        assert!(ended.is_none(), "{ended:?}: {:?}", nginx.complaints());
        nginx
    }

    fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.port)
    }

    fn browser(&self) -> Browser {
        Browser::trusting(&self.authority)
    }

    async fn signed_in(&self, email: &str) -> Browser {
        let browser = self.browser();
        self.gateway.sign_in(&browser, email, &self.url("/")).await;
        browser
    }

    /// What nginx complained of.
    fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.gateway.place.path().join("nginx.log")).unwrap();
        let bad = ["[warn]", "[error]", "[crit]", "[alert]", "[emerg]"];
        // A refusal by auth_request is an error to nginx.
        let ours = |line: &&str| {
            bad.iter().any(|bad| line.contains(bad)) && !line.contains("access forbidden by rule")
        };
        log.lines().filter(ours).map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM: its workers end with it.
        let Ok(child) = self.child.get_mut() else { return };
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let _ = child.wait();
    }
}

#[tokio::test]
async fn a_person_signs_in_and_the_app_learns_who_it_is_and_nothing_else() {
    let app = App::start().await;
    let nginx = Nginx::before(&app).await;
    let alice = nginx.browser();
    let letter = nginx.gateway.ask(&alice, ALICE, &nginx.url("/page?x=%2F&y=ü")).await;
    assert!(app.seen().is_empty(), "nothing reaches the app before: {:?}", app.seen());
    let page = alice.follow(&letter.link).await.expect(200);
    assert_eq!(page.url.as_str(), nginx.url("/page?x=%2F&y=%C3%BC"));
    alice.set_cookie(HOST, "theme", "dark");
    let spoofed = [
        ("remote-user", "root"),
        ("Remote_User", "root"),
        ("remote.user", "root"),
        ("linkgate-assertion", "x"),
    ];
    alice.visit_with(&nginx.url("/second"), &spoofed).await.expect(200);
    let seen = app.request("/second").await;
    assert_eq!(seen.header("remote-user"), ALICE);
    assert_eq!(seen.header("remote-email"), ALICE);
    assert_eq!(seen.header("linkgate-assertion").split('.').count(), 3);
    assert!(!seen.headers.iter().any(|(_, value)| value == "root"), "{:?}", seen.headers);
    let cookies = seen.header("cookie");
    assert!(cookies.contains("theme=dark") && !cookies.contains("__Host-linkgate="), "{cookies}");
    assert!(nginx.complaints().is_empty(), "{:?}", nginx.complaints());
}

#[tokio::test]
async fn nobody_else_passes_and_everybody_gets_the_answer_that_fits() {
    let app = App::start().await;
    let nginx = Nginx::before(&app).await;
    let nobody = nginx.browser();
    let page = nobody.visit(&nginx.url("/page")).await;
    assert_eq!(page.status, 303);
    assert!(page.location().starts_with(&nginx.url("/.linkgate/login?return_to=")), "{}", page.location());
    let json = nobody.json("POST", &nginx.url("/api"), &serde_json::json!({"a": 1})).await.expect(401);
    assert_eq!(json.json()["type"], "urn:linkgate:problem:not-signed-in");
    assert!(json.header("www-authenticate").starts_with("Bearer"));
    nobody.visit(&nginx.url("/open/x")).await.expect(200);
    let seen = app.request("/open/x").await;
    assert_eq!(seen.header("remote-user"), "");

    let bob = nginx.signed_in(BOB).await;
    let no = bob.visit(&nginx.url("/staff/")).await.expect(403);
    assert!(no.text().contains(BOB), "{}", no.text());
    let away = bob.visit(&nginx.url("/bye")).await;
    assert_eq!((away.status, away.location()), (303, nginx.url("/.linkgate/logout")));
    bob.visit(&nginx.url("/.linkgate/check/nginx")).await.expect(404);
    for disguise in ["/.linkgate/check/%6eginx", "//.linkgate//check/nginx", "/x/../.linkgate/check/nginx"] {
        let own = [("x-original-method", "GET"), ("x-original-url", "https://wiki.localhost/open/x")];
        let answer = bob.visit_with(&nginx.url(disguise), &own).await;
        assert_eq!((answer.status, answer.header("linkgate-assertion")), (404, String::new()), "{disguise}");
    }
    assert!(
        !app.seen().iter().any(|seen| !seen.target.starts_with("/open/") && seen.target != "/"),
        "{:?}",
        app.seen()
    );
}

#[tokio::test]
async fn a_body_reaches_the_app_whole_and_a_revoked_session_nothing_more() {
    let app = App::start().await;
    let nginx = Nginx::before(&app).await;
    let alice = nginx.signed_in(ALICE).await;
    let body = vec![b'x'; 300_000];
    let sent = alice.send("POST", &nginx.url("/upload"), &[("accept", "*/*")], body.clone()).await;
    assert_eq!(sent.status, 200);
    assert_eq!(app.request("/upload").await.body, body);
    let long = format!("/long?{}", "q".repeat(7_000));
    alice.visit(&nginx.url(&long)).await.expect(200);
    assert_eq!(nginx.browser().visit(&nginx.url(&long)).await.status, 303);
    nginx.gateway.run(&["session", "revoke", "--email", ALICE]).await;
    eventually("the session has ended", async || {
        (alice.visit(&nginx.url("/")).await.status == 303).then_some(())
    })
    .await;
    let post = alice.send("POST", &nginx.url("/after"), &[("accept", "*/*")], body).await;
    assert_eq!(post.status, 401);
    assert!(!app.seen().iter().any(|seen| seen.target == "/after"));
    assert!(nginx.complaints().is_empty(), "{:?}", nginx.complaints());
}
