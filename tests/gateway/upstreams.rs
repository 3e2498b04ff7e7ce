//! Several endpoints of one app, one that goes and comes back, one that is ill; apps on Unix sockets and in HTTP/2.

use crate::harness::browser::Answer;
use crate::harness::browser::Browser;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::nginx::Nginx;
use crate::harness::noise;
use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

/// An endpoint that says its name, goes and comes at will, and is well or not as the test says.
struct Named {
    name: &'static str,
    port: u16,
    well: Arc<AtomicBool>,
    checked: Arc<AtomicUsize>,
    task: Option<JoinHandle<()>>,
}

impl Named {
    async fn start(name: &'static str) -> Self {
        let mut named = Self::away(name);
        named.comes().await;
        named
    }

    fn away(name: &'static str) -> Self {
        let well = Arc::new(AtomicBool::new(true));
        Self { name, port: free_port(), well, checked: Arc::default(), task: None }
    }

    async fn comes(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let (name, well, checked) = (self.name, Arc::clone(&self.well), Arc::clone(&self.checked));
        self.task = Some(tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (well, checked) = (Arc::clone(&well), Arc::clone(&checked));
                let service = service_fn(move |request: Request<Incoming>| {
                    let mut answer = Response::new(Full::new(Bytes::from_static(name.as_bytes())));
                    if request.uri().path() == "/healthz" {
                        checked.fetch_add(1, Ordering::SeqCst);
                        if !well.load(Ordering::SeqCst) {
                            *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                        }
                    }
                    async {
                        let _ = request.into_body().collect().await;
                        Ok::<_, Infallible>(answer)
                    }
                });
                connections.spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        }));
    }

    /// From now on connections are refused, and those that were open are closed.
    async fn goes(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    fn url(&self) -> String {
        format!("\"http://127.0.0.1:{}\"", self.port)
    }

    fn is_well(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }

    fn checked(&self) -> usize {
        self.checked.load(Ordering::SeqCst)
    }
}

/// A public app at these addresses; `of_app`: more keys of it.
async fn before(upstream: &str, of_app: &str) -> Gateway {
    Gateway::start(&config(upstream, of_app)).await
}

/// What follows [`HEAD`].
fn config(upstream: &str, of_app: &str) -> String {
    format!(
        "[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nallow = [\"alice@example.com\"]\n\
         [[site.app]]\nname = \"main\"\nhost = \"localhost\"\naccess = \"public\"\nupstream = {upstream}\n{of_app}\n"
    )
}

async fn visit(gateway: &Gateway) -> Answer {
    Browser::new().visit(&gateway.url("/")).await
}

/// Who answers of so many, all of whom must be answered.
async fn answers(gateway: &Gateway, times: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        *counts.entry(visit(gateway).await.expect(200).text()).or_default() += 1;
    }
    counts
}

fn only(name: &str, times: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(name.to_owned(), times)])
}

#[tokio::test]
async fn an_endpoint_that_goes_costs_nobody_an_answer_and_comes_back() {
    let (one, mut two) = (Named::start("one").await, Named::start("two").await);
    let gateway = before(&format!("[{}, {}]", one.url(), two.url()), "").await;
    let both = answers(&gateway, 60).await;
    assert_eq!(both.len(), 2, "{both:?}");
    two.goes().await;
    assert_eq!(answers(&gateway, 60).await, only("one", 60));
    two.comes().await;
    eventually("it gets requests again", async || (visit(&gateway).await.text() == "two").then_some(()))
        .await;
}

#[tokio::test]
async fn an_endpoint_that_came_back_gets_little_at_first_where_the_app_says_so() {
    for (slow_start, few) in [("slow_start = \"1h\"", true), ("", false)] {
        let (one, mut two) = (Named::start("one").await, Named::start("two").await);
        let gateway = before(&format!("[{}, {}]", one.url(), two.url()), slow_start).await;
        two.goes().await;
        // Until it is known to be gone.
        answers(&gateway, 60).await;
        two.comes().await;
        eventually("it is asked again", async || (visit(&gateway).await.text() == "two").then_some(())).await;
        let counts = answers(&gateway, 200).await;
        assert_eq!(counts.get("two").copied().unwrap_or_default() < 60, few, "{slow_start:?}: {counts:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_ill_gets_nothing_until_it_is_well() {
    let (one, two) = (Named::start("one").await, Named::start("two").await);
    two.is_well(false);
    let check = "health_check = { path = \"/healthz?deep=1\", interval = \"100ms\", timeout = \"100ms\" }";
    let gateway = before(&format!("[{}, {}]", one.url(), two.url()), check).await;
    let news = |says: &'static str| {
        let (gateway, endpoint) = (&gateway, two.url().replace('"', ""));
        async move {
            eventually(says, async || {
                let log = gateway.log();
                log.lines().any(|line| line.contains(says) && line.contains(&endpoint)).then_some(())
            })
            .await;
        }
    };
    news("does not pass its health check: /healthz?deep=1 answers 503").await;
    assert_eq!(answers(&gateway, 40).await, only("one", 40));
    two.is_well(true);
    news("answers its health check again").await;
    assert_eq!(answers(&gateway, 60).await.len(), 2);
    // Where none is well, all are tried: the check may be wrong.
    one.is_well(false);
    two.is_well(false);
    eventually("both are known to be ill", async || {
        (gateway.log().matches("does not pass its health check").count() == 3).then_some(())
    })
    .await;
    assert_eq!(answers(&gateway, 60).await.len(), 2);
}

#[tokio::test]
async fn checks_end_with_their_configuration_and_their_verdicts_do_not() {
    let (one, two) = (Named::start("one").await, Named::start("two").await);
    two.is_well(false);
    let both = format!("[{}, {}]", one.url(), two.url());
    let check = |interval: &str| {
        format!("health_check = {{ path = \"/healthz\", interval = \"{interval}\", timeout = \"100ms\" }}")
    };
    let gateway = before(&both, &check("100ms")).await;
    eventually("it is known to be ill", async || {
        gateway.log().contains("does not pass its health check").then_some(())
    })
    .await;
    // The same again: what is known stays known.
    let reloaded = || gateway.log().matches(": reloaded").count();
    for (round, of_app) in [check("100ms"), String::new()].iter().enumerate() {
        gateway.place.write_config(&format!("{HEAD}{}", config(&both, of_app)));
        gateway.signal("HUP");
        eventually("it is reloaded", async || (reloaded() > round).then_some(())).await;
        if round == 0 {
            assert_eq!(answers(&gateway, 40).await, only("one", 40));
        }
    }
    assert_eq!(answers(&gateway, 60).await.len(), 2, "nobody judges any more");
    let (first, second) = (one.checked(), two.checked());
    answers(&gateway, 200).await;
    assert_eq!((one.checked(), two.checked()), (first, second), "nobody asks any more");
}

#[tokio::test]
async fn a_request_during_a_deploy_waits_where_the_route_says_so() {
    let mut app = Named::away("here");
    let of_app = "wait = \"5m\"\n[[site.app.route]]\npath = \"/hasty/\"\nwait = \"0s\"\n";
    let gateway = before(&app.url(), of_app).await;
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let url = gateway.url("/patient");
            tokio::spawn(async move {
                let method = if number % 2 == 0 { "GET" } else { "POST" };
                try_fetch(None, method, &url, &[], vec![b'x'; number * 10_000]).await.unwrap()
            })
        })
        .collect();
    // Others hear at once that nobody is there: so the first ones have asked in vain by then.
    for _ in 0..20 {
        Browser::new().visit(&gateway.url("/hasty/")).await.expect(502);
    }
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    app.comes().await;
    for waiting in waiting {
        let answer = waiting.await.unwrap().expect(200);
        assert_eq!(answer.text(), "here");
    }
}

#[tokio::test]
async fn waiting_has_an_end() {
    let app = Named::away("nowhere");
    let gateway = before(&app.url(), "wait = \"1s\"").await;
    let begun = std::time::Instant::now();
    visit(&gateway).await.expect(502);
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1));
    assert!(gateway.log().contains("cannot be reached"), "{}", gateway.log());
}

/// What nginx says of a request.
const SAYS: &str = "return 200 \"$server_protocol $request_method $request_uri\";";

#[tokio::test]
async fn an_app_on_a_unix_socket_is_reached_and_comes_back() {
    let mut nginx =
        Nginx::start(|_| (), &format!("server {{ listen unix:@DIR@/app.sock; location / {{ {SAYS} }} }}"));
    let gateway = before(&format!("\"unix:{}\"", nginx.path("app.sock").display()), "wait = \"30s\"").await;
    assert_eq!(visit(&gateway).await.expect(200).text(), "HTTP/1.1 GET /");
    nginx.stop();
    let _ = std::fs::remove_file(nginx.path("app.sock"));
    let url = gateway.url("/later");
    let later = tokio::spawn(async move { try_fetch(None, "GET", &url, &[], Vec::new()).await.unwrap() });
    nginx.again();
    assert_eq!(later.await.unwrap().expect(200).text(), "HTTP/1.1 GET /later");
}

#[tokio::test]
async fn files_pass_whole_in_both_directions_over_http_2() {
    let port = free_port();
    let nginx = Nginx::start(
        |folder| {
            std::fs::create_dir(folder.join("www")).unwrap();
            std::fs::set_permissions(folder.join("www"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
                .unwrap();
            std::fs::write(folder.join("www/down"), noise::some(1, 12 << 20)).unwrap();
        },
        // A short life of each connection: going away in the middle of the work is the usual case.
        &format!(
            "server {{ listen 127.0.0.1:{port} http2; keepalive_requests 20; root @DIR@/www;\n\
             location / {{ dav_methods PUT DELETE; }} location /says {{ {SAYS} }} }}"
        ),
    );
    let gateway = before(&format!("\"h2c://127.0.0.1:{port}\""), "").await;
    assert_eq!(
        Browser::new().visit(&gateway.url("/says?x")).await.expect(200).text(),
        "HTTP/2.0 GET /says?x"
    );
    let mut all = JoinSet::new();
    for number in 0..60_usize {
        let (url, up) = (gateway.url("/down"), gateway.url(&format!("/up{number}")));
        all.spawn(async move {
            if number % 3 == 0 {
                let sent = noise::some(number as u64, 300_000 + number);
                let answer = try_fetch(None, "PUT", &up, &[], sent.clone()).await.unwrap();
                assert!(matches!(answer.status, 201 | 204), "{}", answer.text());
                let back = try_fetch(None, "GET", &up, &[], Vec::new()).await.unwrap().expect(200);
                assert!(back.body == sent, "{number}");
            } else {
                let answer = try_fetch(None, "GET", &url, &[("range", "bytes=100-2000099")], Vec::new());
                let answer = answer.await.unwrap().expect(206);
                assert!(answer.body == noise::some(1, 12 << 20)[100..2_000_100], "{number}");
            }
        });
    }
    all.join_all().await;
    let whole = Browser::new().visit(&gateway.url("/down")).await.expect(200);
    assert!(whole.body == noise::some(1, 12 << 20));
    assert!(nginx.answered() > 60);
}

#[tokio::test]
async fn the_app_sees_its_own_host_where_the_route_says_so() {
    for (protocol, listen) in [("http", ""), ("h2c", "http2")] {
        let port = free_port();
        let _nginx = Nginx::start(
            |_| (),
            &format!(
                "server {{ listen 127.0.0.1:{port} {listen} default_server; return 200 wrong; }}\n\
                 server {{ listen 127.0.0.1:{port} {listen}; server_name inner.example; return 200 $host; }}\n\
                 server {{ listen 127.0.0.1:{port} {listen}; server_name 127.0.0.1; return 200 $host; }}"
            ),
        );
        let upstream = format!("\"{protocol}://127.0.0.1:{port}\"");
        for (wish, seen) in [
            ("upstream_host = \"upstream\"", "127.0.0.1"),
            ("upstream_host = \"inner.example\"", "inner.example"),
            ("upstream_host = \"visitor\"", "wrong"),
        ] {
            let gateway = before(&upstream, wish).await;
            assert_eq!(visit(&gateway).await.expect(200).text(), seen, "{protocol} {wish}");
        }
    }
}
