//! Real load balancers before two machines on one Redis: the lines of docs/redis.md as they stand there.

use crate::harness::app::App;
use crate::harness::authority::Authority;
use crate::harness::browser::Browser;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::guard::HOST;
use crate::harness::guard::block;
use crate::harness::guard::debian;
use crate::harness::several::ALICE;
use crate::harness::several::Plan;
use crate::harness::several::Redis;
use crate::harness::several::Several;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use tempfile::TempDir;

const PAGE: &str = include_str!("../../docs/redis.md");

/// Writes its configuration into the folder, and says what to run.
type Balancer = fn(&Path, u16, &Several) -> Command;

/// Puts what is here in place of what the page says; what it says no more is a fault of the page.
fn here(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (written, here)| {
        assert!(text.contains(written), "the page says no more {written}:\n{text}");
        text.replace(written, here)
    })
}

fn nginx(folder: &Path, port: u16, several: &Several) -> Command {
    let [one, two] = [0, 1].map(|machine| format!("127.0.0.1:{}", several.machines[machine].place.port));
    let folder = folder.display().to_string();
    let config = here(
        &block(PAGE, "nginx"),
        &[
            ("10.0.0.11:8080", &one),
            ("10.0.0.12:8080", &two),
            ("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl")),
            ("/etc/ssl/wiki.example.com", &format!("{folder}/site")),
            ("wiki.example.com", HOST),
        ],
    );
    let config = format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log /dev/stderr warn;\nevents {{}}\n\
         http {{\naccess_log off;\nclient_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/f;\nuwsgi_temp_path {folder}/u;\nscgi_temp_path {folder}/s;\n{config}\n}}\n"
    );
    let file = format!("{folder}/nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = debian("nginx");
    command.arg("-e").arg("/dev/stderr").arg("-c").arg(file);
    command
}

fn haproxy(folder: &Path, port: u16, several: &Several) -> Command {
    let both = ["site.pem", "site.key"].map(|name| std::fs::read_to_string(folder.join(name)).unwrap());
    std::fs::create_dir(folder.join("certificates")).unwrap();
    std::fs::write(folder.join("certificates/both.pem"), both.concat()).unwrap();
    let place = |machine: usize| &several.machines[machine].place;
    // On one machine the two monitors cannot have one port.
    let server =
        |machine: usize| format!("127.0.0.1:{} check port {}", place(machine).port, place(machine).monitor);
    let config = here(
        &block(PAGE, "haproxy"),
        &[
            ("10.0.0.11:8080", &server(0)),
            ("10.0.0.12:8080", &server(1)),
            ("default-server check port 9080 ", "default-server check "),
            ("bind :443", &format!("bind 127.0.0.1:{port}")),
            ("/etc/haproxy/certificates/", &format!("{}/certificates/", folder.display())),
        ],
    );
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, config).unwrap();
    let mut command = debian("haproxy");
    command.arg("-db").arg("-f").arg(file);
    command
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Somebody clicks all the time, while one machine after the other is stopped, started anew, and one is killed.
async fn nobody_notices(balancer: Balancer) {
    let (redis, app) = (Redis::start().await, App::start().await);
    let (folder, port) = (TempDir::new().unwrap(), free_port());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let authority = Authority::make(folder.path(), &[HOST]);
    let origin = format!("https://{HOST}:{port}");
    let several = Several::with(&Plan { origin: &origin, ..Plan::new(&|_| redis.port, &app.url()) }).await;
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = balancer(folder.path(), port, &several);
    let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let _running = Running(command.spawn().unwrap());
    let said = || std::fs::read_to_string(folder.path().join("log")).unwrap();
    eventually("the balancer leads to a machine", async || {
        let style = format!("{origin}/.linkgate/assets/style.css");
        let answer = try_fetch(Some(&authority), "GET", &style, &[], Vec::new()).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;

    let alice = Arc::new(Browser::trusting(&authority));
    let page = alice.follow(&format!("{origin}/")).await.expect(200);
    let fields = [("email", ALICE), ("return_to", &page.field("return_to"))];
    alice.post_form(&format!("{origin}/.linkgate/login"), &fields).await.expect(303);
    let link = several.mailbox.next_to(ALICE).await.link;
    alice.follow(&link).await.expect(200);
    let seen = app.request("/").await;
    assert_eq!(
        (seen.header("x-forwarded-for").as_str(), seen.header("x-forwarded-proto").as_str()),
        ("127.0.0.1", "https")
    );

    let stop = Arc::new(AtomicBool::new(false));
    let (clicking, over, place) = (Arc::clone(&alice), Arc::clone(&stop), format!("{origin}/page"));
    let clicks = tokio::spawn(async move {
        let mut count = 0_usize;
        while !over.load(Ordering::SeqCst) {
            let spoofed = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
            let answer = clicking.visit_with(&place, &spoofed).await;
            assert_eq!(answer.status, 200, "click {count}: {}", answer.text());
            count += 1;
        }
        count
    });
    for machine in 0..2 {
        several.machines[machine].signal("TERM");
        assert!(several.machines[machine].ended().await.success());
        several.machines[machine].restart().await;
        // The balancer must see it before the other one goes.
        let before = several.machines[machine].log().matches("/page").count();
        eventually("the machine gets visitors again", async || {
            (several.machines[machine].log().matches("/page").count() > before).then_some(())
        })
        .await;
    }
    several.machines[0].kill();
    for _ in 0..20 {
        alice.visit(&format!("{origin}/page")).await.expect(200);
    }
    stop.store(true, Ordering::SeqCst);
    let count = clicks.await.unwrap_or_else(|error| panic!("{error}\n{}", said()));
    assert!(count > 20, "{count} clicks");
    assert!(
        app.seen().iter().all(|seen| seen.header("x-forwarded-for") == "127.0.0.1"),
        "nobody says who they are"
    );
}

#[tokio::test]
async fn behind_nginx_nobody_notices_an_upgrade_or_the_loss_of_a_machine() {
    nobody_notices(nginx).await;
}

#[tokio::test]
async fn behind_haproxy_nobody_notices_an_upgrade_or_the_loss_of_a_machine() {
    nobody_notices(haproxy).await;
}
