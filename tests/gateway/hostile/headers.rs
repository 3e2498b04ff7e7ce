//! Header fields that pretend: to be a person, a proxy, a frame.

use super::ALICE;
use super::start;
use crate::harness::app::App;
use crate::harness::app::Seen;
use crate::harness::browser::Browser;
use crate::harness::raw::exchange;

/// Names by which apps learn who asks, from where, and for what; the client has no say in any of them.
const FORGED: &[&str] = &[
    "Remote-User",
    "remote_user",
    "REMOTE_USER",
    "Remote.User",
    "Remote-Email",
    "Remote_Email",
    "Remote-Name",
    "Remote-Groups",
    "Remote~Groups",
    "X-Remote-User",
    "X-Forwarded-User",
    "X_Forwarded_User",
    "X.Forwarded.User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X_Auth_Request_User",
    "X-WebAuth-User",
    "Linkgate-Assertion",
    "Linkgate_Assertion",
    "X-Original-URL",
    "X_Original_URL",
    "X-Rewrite-URL",
    "X-Original-Method",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X_HTTP_Method_Override",
    "X-Method-Override",
    "X-Forwarded-Uri",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "Forwarded",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Client-IP",
    "Proxy",
];

#[tokio::test]
async fn forged_headers_never_reach_the_app_in_any_spelling() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    let cookie = alice.cookies("localhost");

    let mut wrong = Vec::new();
    for name in FORGED {
        for (who, cookie) in [("", String::new()), (ALICE, format!("Cookie: {cookie}\r\n"))] {
            app.forget();
            let text = format!(
                "GET /open/f HTTP/1.1\r\nHost: localhost:{}\r\n{cookie}{name}: forged\r\nConnection: close\r\n\r\n",
                gateway.place.port
            );
            let answer = exchange(gateway.place.port, text.as_bytes()).await;
            let Some(seen) = app.seen().pop().filter(|_| answer.status == 200) else {
                wrong.push(format!("{name} as {who:?}: {}", answer.text));
                continue;
            };
            if seen.headers.iter().any(|(_, value)| value.contains("forged")) {
                wrong.push(format!("{name} as {who:?} reached the app: {:?}", seen.headers));
            }
            if seen.all("remote-user") != [who] {
                wrong.push(format!("{name} as {who:?}: Remote-User is {:?}", seen.all("remote-user")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn forged_forwarding_headers_are_replaced_by_the_truth() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let text = format!(
        "GET /open/f HTTP/1.1\r\nHost: localhost:{0}\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 6\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: 6\r\n\
         Connection: close\r\n\r\n",
        gateway.place.port
    );
    exchange(gateway.place.port, text.as_bytes()).await;
    let seen = app.request("/open/f").await;
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("x-forwarded-host"), [format!("localhost:{}", gateway.place.port)]);
    assert_eq!(seen.all("x-forwarded-port"), [gateway.place.port.to_string()]);
    assert_eq!(seen.all("x-real-ip"), ["127.0.0.1"]);
    assert!(!format!("{:?}", seen.headers).contains("6.6.6.6"));
}

#[tokio::test]
async fn connection_cannot_take_identity_away_and_hop_headers_end_here() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    let names =
        "close, Remote-User, Remote-Email, Linkgate-Assertion, X-Forwarded-For, X-Real-IP, Host, X-Hop";
    let text = format!(
        "GET /hop HTTP/1.1\r\nHost: localhost:{}\r\nCookie: {}\r\nConnection: {names}\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
         TE: trailers\r\nProxy-Authorization: Basic x\r\nProxy-Connection: close\r\n\r\n",
        gateway.place.port,
        alice.cookies("localhost")
    );
    exchange(gateway.place.port, text.as_bytes()).await;
    let seen = app.request("/hop").await;
    assert_eq!(seen.all("remote-user"), [ALICE]);
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    for gone in ["x-hop", "keep-alive", "proxy-authorization", "proxy-connection", "cookie"] {
        assert!(seen.all(gone).is_empty(), "{gone}: {:?}", seen.headers);
    }
    assert!(seen.header("via").contains("1.1"), "{:?}", seen.headers);
}

#[tokio::test]
async fn identity_in_trailers_ends_here() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let text = format!(
        "POST /open/trailers HTTP/1.1\r\nHost: localhost:{}\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
         Trailer: Remote-User\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nRemote-User: forged\r\n\r\n",
        gateway.place.port
    );
    let answer = exchange(gateway.place.port, text.as_bytes()).await;
    assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    // The app reads trailers as lines after the last chunk; a forged one would stand in `headers` of nobody, so the
    // body and the next request must be clean.
    for seen in app.seen() {
        assert_eq!(seen.body, b"hello");
        assert!(!format!("{seen:?}").contains("forged"));
    }
    assert!(app.nonsense().is_empty());
}

#[tokio::test]
async fn a_body_is_framed_anew() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let text = format!(
        "POST /open/body HTTP/1.1\r\nHost: localhost:{}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         5;ext=\"x\"\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        gateway.place.port
    );
    assert_eq!(exchange(gateway.place.port, text.as_bytes()).await.status, 200);
    let seen = app.request("/open/body").await;
    assert_eq!(seen.body, b"hello world");
    let framed = |seen: &Seen| seen.all("content-length").len() + seen.all("transfer-encoding").len();
    assert_eq!(framed(&seen), 1, "{:?}", seen.headers);
}
