//! WebSockets and whatever else leaves HTTP: who may, how the app is asked, and that no byte is lost or changed.

use crate::harness::authority::Authority;
use crate::harness::h2::H2;
use crate::harness::noise;
use crate::harness::stage::ALICE;
use crate::harness::stage::Stage;
use crate::harness::stage::Wire;
use crate::harness::websocket::ASKING;
use crate::harness::websocket::KEY;
use crate::harness::websocket::PROOF;
use crate::harness::websocket::YES;
use crate::harness::websocket::agree;
use crate::harness::websocket::ask_with;
use crate::harness::websocket::both_ways;
use crate::harness::websocket::frame;
use crate::harness::websocket::from_app;
use crate::harness::websocket::from_visitor;
use crate::harness::websocket::header;
use crate::harness::websocket::next;
use crate::harness::websocket::open;
use crate::harness::websocket::yes_to;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio_rustls::TlsAcceptor;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn status(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or_default()
}

/// A WebSocket asked for by a page of this origin: what the visitor hears; empty where the app is asked.
async fn asked_by(stage: &Stage, path: &str, origins: &[&str]) -> String {
    let lines: String = origins.iter().flat_map(|origin| ["origin: ", origin, "\r\n"]).collect();
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request(&format!("GET {path}"), &format!("{lines}{ASKING}"))).await;
    tokio::select! {
        head = visitor.until("\r\n\r\n") => head,
        mut app = stage.app() => {
            app.until("\r\n\r\n").await;
            String::new()
        }
    }
}

#[tokio::test]
async fn the_app_is_asked_as_the_visitor_asked_and_knows_who_it_is() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    let more = "origin: http://@\r\nsec-websocket-protocol: chat, superchat\r\n\
                sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\nremote-user: eve\r\n\
                connection: x-private\r\nx-private: 1\r\n";
    let more = format!("{}{ASKING}", more.replace('@', &stage.host));
    visitor.say(stage.request("GET /socket?room=1", &more)).await;
    let mut app = stage.app().await;
    let asked = app.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(asked.starts_with("get /socket?room=1 http/1.1\r\n"), "{asked}");
    for line in [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-version: 13",
        &format!("sec-websocket-key: {KEY}").to_ascii_lowercase(),
        "sec-websocket-protocol: chat, superchat",
        "sec-websocket-extensions: permessage-deflate; client_max_window_bits",
        "remote-user: alice@example.com",
        &format!("origin: http://{}", stage.host),
    ] {
        assert_eq!(asked.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {asked}");
    }
    for never in
        ["eve", "x-private", &stage.cookie.to_ascii_lowercase(), "content-length", "transfer-encoding"]
    {
        assert!(!asked.contains(never), "{never} in {asked}");
    }
    let yes =
        YES.replace("\r\n\r\n", "\r\nsec-websocket-protocol: chat\r\nx-app: 1\r\nalt-svc: h3=\":1\"\r\n\r\n");
    app.say(yes).await;
    let answer = visitor.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 switching protocols\r\n"), "{answer}");
    for line in [
        "upgrade: websocket",
        "connection: upgrade",
        &format!("sec-websocket-accept: {PROOF}").to_ascii_lowercase(),
        "sec-websocket-protocol: chat",
        "x-app: 1",
    ] {
        assert_eq!(answer.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {answer}");
    }
    assert!(!answer.contains("alt-svc") && !answer.contains("content-length"), "{answer}");
    both_ways(&mut visitor, &mut app).await;
}

#[tokio::test]
async fn what_is_sent_together_with_the_handshake_is_not_lost() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    let mut hasty = stage.request("GET /", ASKING).into_bytes();
    hasty.extend(from_visitor("first"));
    hasty.extend(from_visitor(&"x".repeat(5000)));
    visitor.say(&hasty).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    let mut answer = YES.as_bytes().to_vec();
    answer.extend(from_app("welcome"));
    answer.extend(from_app(&"y".repeat(5000)));
    app.say(&answer).await;
    visitor.until("\r\n\r\n").await;
    assert_eq!(next(&mut visitor).await.payload, b"welcome");
    assert_eq!(next(&mut visitor).await.payload.len(), 5000);
    assert_eq!(next(&mut app).await.payload, b"first");
    assert_eq!(next(&mut app).await.payload.len(), 5000);
    both_ways(&mut visitor, &mut app).await;
}

#[tokio::test]
async fn frames_of_every_size_arrive_whole_in_both_directions_at_once() {
    let stage = Stage::start().await;
    let (visitor, app) = open(&stage, "/").await;
    let sizes = [0, 1, 125, 126, 127, 4096, 65_535, 65_536, 300_000, 2_000_000];
    let talk = |mut wire: Wire, mask: Option<[u8; 4]>| async move {
        let frames: Vec<Vec<u8>> = sizes.iter().map(|size| frame(2, &noise::some(1, *size), mask)).collect();
        let (mut read, mut write) = wire.tcp.into_split();
        let saying = tokio::spawn(async move {
            for frame in frames {
                tokio::io::AsyncWriteExt::write_all(&mut write, &frame).await.unwrap();
            }
            write
        });
        for size in sizes {
            let message = read_message(&mut read).await;
            assert!(message == noise::some(1, size), "a frame of {size} bytes");
        }
        wire = Wire::new(read.reunite(saying.await.unwrap()).unwrap());
        wire
    };
    let (mut visitor, mut app) = tokio::join!(talk(visitor, Some([9, 8, 7, 6])), talk(app, None));
    both_ways(&mut visitor, &mut app).await;
}

async fn read_message(from: &mut tokio::net::tcp::OwnedReadHalf) -> Vec<u8> {
    use tokio::io::AsyncReadExt as _;
    from.read_u8().await.unwrap();
    let second = from.read_u8().await.unwrap();
    let length = match second & 0x7f {
        126 => u64::from(from.read_u16().await.unwrap()),
        127 => from.read_u64().await.unwrap(),
        length => u64::from(length),
    };
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        from.read_exact(&mut mask).await.unwrap();
    }
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    from.read_exact(&mut payload).await.unwrap();
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    payload
}

#[tokio::test]
async fn a_side_that_closes_is_followed_and_a_half_that_ends_is_passed_on() {
    let stage = Stage::start().await;
    let (mut visitor, mut app) = open(&stage, "/").await;
    visitor.say(frame(8, &[0x03, 0xe8], Some([1, 2, 3, 4]))).await;
    assert_eq!(next(&mut app).await.close(), (1000, String::new()));
    app.say(frame(8, &[0x03, 0xe8], None)).await;
    assert_eq!(next(&mut visitor).await.close(), (1000, String::new()));
    drop(app);
    assert_eq!(visitor.rest().await, "");

    let (visitor, mut app) = open(&stage, "/").await;
    drop(visitor);
    assert_eq!(app.rest().await, "");

    let (mut visitor, mut app) = open(&stage, "/").await;
    tokio::io::AsyncWriteExt::shutdown(&mut visitor.tcp).await.unwrap();
    assert_eq!(app.rest().await, "", "the end is passed on");
    app.say(from_app("last words")).await;
    assert_eq!(next(&mut visitor).await.payload, b"last words");
}

#[tokio::test]
async fn only_pages_of_the_app_or_listed_ones_open_websockets() {
    let routes = "websocket_origins = [\"https://friend.example:8443\"]\n[[site.app.route]]\npath = \"/any/\"\n\
                  websocket_origins = \"*\"\n";
    let stage = Stage::with(routes).await;
    let own = format!("http://{}", stage.host);
    for good in [&[own.as_str()][..], &["https://friend.example:8443"], &[]] {
        assert_eq!(asked_by(&stage, "/", good).await, "", "{good:?}");
    }
    let elsewhere = format!("https://{}", stage.host);
    let longer = format!("{own}.evil.example");
    for bad in [
        &["null"][..],
        &["https://evil.example"],
        &["https://friend.example"],
        &["http://localhost"],
        &[elsewhere.as_str()],
        &[longer.as_str()],
        &[own.as_str(), own.as_str()],
        &[own.as_str(), "https://evil.example"],
        &[""],
    ] {
        let answer = asked_by(&stage, "/", bad).await;
        assert_eq!(status(&answer), "403", "{bad:?}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert_eq!(asked_by(&stage, "/any/", bad).await, "", "{bad:?}");
    }
}

#[tokio::test]
async fn who_is_not_signed_in_opens_none_and_is_told_so_in_json() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    let host = &stage.host;
    visitor.say(format!("GET / HTTP/1.1\r\nhost: {host}\r\naccept: text/html\r\n{ASKING}\r\n")).await;
    let answer = visitor.until("\r\n\r\n").await.to_ascii_lowercase();
    assert_eq!(status(&answer.to_ascii_uppercase()), "401", "{answer}");
    assert!(answer.contains("www-authenticate:") && answer.contains("json"), "{answer}");
}

#[tokio::test]
async fn an_app_that_does_not_switch_answers_as_to_any_request() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    for answer in [
        "HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 8\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\nno",
    ] {
        visitor.say(stage.request("GET /", ASKING)).await;
        let mut app = stage.app().await;
        app.until("\r\n\r\n").await;
        app.say(answer).await;
        let heard = visitor.until("no").await;
        assert!(heard.starts_with(&answer[..12]), "{heard}");
        if answer.contains("chunked") {
            visitor.until("0\r\n\r\n").await;
        }
    }
    // The connection is still one for HTTP.
    visitor.say(stage.request("GET /plain", "")).await;
    let mut app = stage.app().await;
    assert!(app.until("\r\n\r\n").await.starts_with("GET /plain "));
    app.say(OK).await;
    visitor.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn an_app_that_switches_to_something_else_or_unasked_is_not_believed() {
    let stage = Stage::start().await;
    for (asking, answer) in [
        (ASKING, "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
        (ASKING, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n"),
        (ASKING, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nupgrade: websocket\r\n\r\n"),
        ("", YES),
    ] {
        let (_, answered) = stage.exchange(&stage.request("GET /", asking), answer, "\r\n\r\n").await;
        assert_eq!(status(&answered), "502", "{answer:?}: {answered}");
    }
}

#[tokio::test]
async fn what_a_route_does_not_name_is_not_asked_for() {
    let routes = "[[site.app.route]]\npath = \"/none/\"\nupgrades = []\n[[site.app.route]]\npath = \"/any/\"\n\
                  upgrades = [\"*\"]\n[[site.app.route]]\npath = \"/tcp/\"\nupgrades = [\"tcp\"]\n";
    let stage = Stage::with(routes).await;
    for (line, protocol, passes) in [
        ("GET /", "WebSocket", true),
        ("GET /", "tcp", false),
        ("GET /none/", "websocket", false),
        ("GET /tcp/", "TCP", true),
        ("POST /tcp/", "tcp", true),
        ("GET /tcp/", "websocket", false),
        ("GET /any/", "irc/6.9", true),
        ("GET /any/", "h2c", false),
        ("GET /any/", "HTTP/2.0", false),
        ("GET /any/", "TLS/1.2", false),
        ("GET /any/", "websocket, h2c", false),
        ("POST /any/", "websocket", false),
        ("GET /any/", "websocket\r\nupgrade: websocket", false),
    ] {
        let more = format!(
            "connection: upgrade, http2-settings\r\nupgrade: {protocol}\r\nhttp2-settings: AAMAAABk\r\n"
        );
        let (asked, answered) = stage.exchange(&stage.request(line, &more), OK, "\r\n\r\nok").await;
        let asked = asked.to_ascii_lowercase();
        let asks = asked.contains("\r\nupgrade: ");
        assert_eq!(asks, passes, "{line} {protocol}: {asked}");
        assert_eq!(asked.contains("\r\nconnection: upgrade\r\n"), passes, "{line} {protocol}: {asked}");
        assert!(!asked.contains("http2-settings"), "{asked}");
        assert_eq!(status(&answered), "200");
    }
}

#[tokio::test]
async fn any_other_protocol_is_passed_byte_for_byte_where_the_route_names_it() {
    let stage = Stage::with("[[site.app.route]]\npath = \"/attach\"\nupgrades = [\"tcp\"]\n").await;
    let mut visitor = stage.visitor().await;
    let more = "connection: Upgrade\r\nupgrade: tcp\r\ncontent-length: 0\r\n";
    visitor.say(stage.request("POST /attach", more)).await;
    let mut app = stage.app().await;
    assert!(app.until("\r\n\r\n").await.starts_with("POST /attach HTTP/1.1\r\n"));
    app.say("HTTP/1.1 101 UPGRADED\r\nupgrade: tcp\r\nconnection: upgrade\r\n\r\n\x00\x01raw").await;
    visitor.until("\r\n\r\n").await;
    assert_eq!(visitor.bytes(5).await, b"\x00\x01raw");
    visitor.say(b"\x88\x00GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(app.bytes(20).await, b"\x88\x00GET / HTTP/1.1\r\n\r\n");
}

#[tokio::test]
async fn a_request_with_a_body_does_not_switch() {
    let stage = Stage::start().await;
    for (more, body) in
        [("content-length: 5\r\n", "hello"), ("transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")]
    {
        let mut visitor = stage.visitor().await;
        visitor.say(stage.request("GET /", &format!("{ASKING}{more}")) + body).await;
        let answer = visitor.until("\r\n\r\n").await;
        assert_eq!(status(&answer), "400", "{answer}");
    }
}

#[tokio::test]
async fn over_http2_a_websocket_is_one_stream_and_the_app_is_asked_by_http1() {
    let stage = Stage::secure("http", "").await;
    let client = H2::connect(&stage).await;
    let origin = format!("https://{}", stage.host);
    let extended = || {
        client
            .extended("/socket?x=1")
            .header("origin", &origin)
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "chat")
            .header("sec-websocket-key", "not the visitor's to say")
            .header("remote-user", "eve")
    };
    let coming = client.start(extended());
    let mut app = stage.app().await;
    let asked = app.until("\r\n\r\n").await;
    assert!(asked.starts_with("GET /socket?x=1 HTTP/1.1\r\n"), "{asked}");
    let key = header(&asked, "sec-websocket-key");
    assert_eq!(key.len(), 24, "{asked}");
    for line in ["upgrade: websocket", "connection: upgrade", "sec-websocket-protocol: chat"] {
        assert_eq!(asked.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {asked}");
    }
    assert!(asked.contains("\r\nremote-user: alice@example.com\r\n") && !asked.contains("eve"), "{asked}");
    assert!(!asked.contains("not the visitor"), "{asked}");
    app.say(yes_to(&asked, "sec-websocket-protocol: chat\r\n")).await;
    let answer = coming.head().await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    for gone in ["sec-websocket-accept", "upgrade", "connection", "content-length", "transfer-encoding"] {
        assert!(!answer.headers().contains_key(gone), "{answer:?}");
    }
    let mut visitor = H2::joined(answer).await;
    visitor.say(from_visitor("hello")).await;
    assert_eq!(next(&mut app).await.payload, b"hello");
    app.say(from_app(&"z".repeat(200_000))).await;
    assert_eq!(next(&mut visitor).await.payload.len(), 200_000);
    // Other streams of the connection go on.
    let other = client.start(client.request("GET", "/plain"));
    let mut plain = stage.app().await;
    plain.until("\r\n\r\n").await;
    plain.say(OK).await;
    assert_eq!(other.head().await.status(), 200);
    drop(app);
    assert_eq!(visitor.rest().await, "");
}

#[tokio::test]
async fn over_http2_what_would_be_no_websocket_is_an_error_and_never_a_tunnel() {
    let routes = "[[site.app.route]]\npath = \"/none/\"\nupgrades = []\n[[site.app.route]]\npath = \"/get/\"\n\
                  methods = [\"GET\"]\naccess = \"public\"\n[[site.app.route]]\npath = \"/post/\"\n\
                  methods = [\"POST\"]\naccess = \"public\"\n";
    let stage = Stage::secure("http", routes).await;
    let client = H2::connect(&stage).await;
    let asks = async |path: &str, answer: fn(&str) -> String| {
        let coming = client.start(client.extended(path));
        let mut app = stage.app().await;
        let asked = app.until("\r\n\r\n").await;
        app.say(answer(&asked)).await;
        coming.head().await.status().as_u16()
    };
    // A success that is none would be taken for a tunnel.
    assert_eq!(asks("/", |_| OK.to_owned()).await, 502);
    assert_eq!(asks("/", |_| YES.to_owned()).await, 502, "the proof is another key's");
    assert_eq!(asks("/", |asked| yes_to(asked, "").replace("websocket\r", "tcp\r")).await, 502);
    assert_eq!(asks("/", |_| "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n".to_owned()).await, 403);
    assert_eq!(asks("/get/", |asked| yes_to(asked, "")).await, 200, "to rules it is a GET");

    let refused =
        async |request: http::request::Builder| client.start(request).head().await.status().as_u16();
    assert_eq!(refused(client.extended("/none/")).await, 403);
    assert_eq!(refused(client.extended("/").header("origin", "https://evil.example")).await, 403);
    let nobody = client.extended("/post/").header("accept", "text/html");
    let nobody = nobody.header("cookie", "linkgate=none");
    assert_eq!(refused(without_cookie(nobody)).await, 401, "to rules it is no POST");
    let mut other = client.extended("/");
    other.extensions_mut().unwrap().insert(hyper::ext::Protocol::from_static("connect-udp"));
    assert_eq!(refused(other).await, 405);
    let mut plain = client.extended("/");
    plain.extensions_mut().unwrap().remove::<hyper::ext::Protocol>();
    assert_eq!(refused(plain.uri(stage.host.as_str())).await, 405);
    // None of which reached the app.
    let (asked, _) = stage_plain(&stage, &client).await;
    assert!(asked.starts_with("GET /last "), "{asked}");
}

fn without_cookie(mut request: http::request::Builder) -> http::request::Builder {
    request.headers_mut().unwrap().remove("cookie");
    request
}

async fn stage_plain(stage: &Stage, client: &H2) -> (String, u16) {
    let coming = client.start(client.request("GET", "/last"));
    let mut app = stage.app().await;
    let asked = app.until("\r\n\r\n").await;
    app.say(OK).await;
    (asked, coming.head().await.status().as_u16())
}

#[tokio::test]
async fn hundreds_of_websockets_talk_at_once_and_each_hears_its_own() {
    let stage = Stage::start().await;
    let mut pairs = Vec::new();
    for number in 0..300 {
        pairs.push((number, open(&stage, &format!("/{number}")).await));
    }
    for (number, (visitor, _)) in &mut pairs {
        visitor.say(from_visitor(&format!("I am {number}"))).await;
    }
    for (number, (visitor, app)) in &mut pairs {
        assert_eq!(next(app).await.payload, format!("I am {number}").as_bytes());
        app.say(from_app(&format!("You are {number}"))).await;
        assert_eq!(next(visitor).await.payload, format!("You are {number}").as_bytes());
    }
}

#[tokio::test]
async fn over_http2_a_websocket_keeps_its_connection_in_use() {
    let stage = Stage::impatient().await;
    let client = H2::connect(&stage).await;
    let coming = client.start(client.extended("/"));
    let mut app = stage.app().await;
    let asked = app.until("\r\n\r\n").await;
    app.say(yes_to(&asked, "")).await;
    let mut visitor = H2::joined(coming.head().await).await;
    // Connections that ask for nothing are closed after a second; by the fourth ours would have been, too.
    for _ in 0..4 {
        both_ways(&mut visitor, &mut app).await;
        stage.visitor().await.rest().await;
    }
    both_ways(&mut visitor, &mut app).await;
}

#[tokio::test]
async fn with_tls_on_the_visitors_side_nothing_is_different() {
    let stage = Stage::secure("http", "").await;
    let mut visitor = stage.secure_visitor().await;
    ask_with(&stage, &mut visitor, "https", &stage.cookie, "/").await;
    let mut app = stage.app().await;
    agree(&mut visitor, &mut app).await;
    let large = "large".repeat(100_000);
    visitor.say(from_visitor(&large)).await;
    assert!(next(&mut app).await.payload == large.as_bytes());
    app.say(from_app(&large)).await;
    assert!(next(&mut visitor).await.payload == large.as_bytes());
    stage.gateway.run(&["session", "revoke", "--email", ALICE]).await;
    assert_eq!(next(&mut visitor).await.close().0, 1008);
    assert_eq!(visitor.rest().await, "");
    assert_eq!(next(&mut app).await.close().0, 1008);
}

#[tokio::test]
async fn an_app_on_a_unix_socket_or_behind_tls_is_spoken_to_likewise() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let stage = Stage::before(&format!("unix:{}", path.display())).await;
    let mut visitor = stage.visitor().await;
    ask_with(&stage, &mut visitor, "http", &stage.cookie, "/").await;
    let mut app = Wire::over(unix.accept().await.unwrap().0).await;
    agree(&mut visitor, &mut app).await;
    drop(app);
    assert_eq!(visitor.rest().await, "");

    let _authority = Authority::make(folder.path(), &["localhost"]);
    let read = |name: &str| folder.path().join(name);
    let chain = vec![CertificateDer::from_pem_file(read("site.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(read("site.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    // It would rather speak HTTP/2, in which there is no `Upgrade`.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let tls = format!("upstream_tls = {{ ca = \"{}\" }}\n", read("ca.pem").display());
    let stage = Stage::secure_before(&upstream, &tls).await;
    let mut visitor = stage.secure_visitor().await;
    ask_with(&stage, &mut visitor, "https", &stage.cookie, "/").await;
    let shaken = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
    assert_eq!(shaken.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut app = Wire::over(shaken).await;
    agree(&mut visitor, &mut app).await;
    drop(app);
    assert_eq!(visitor.rest().await, "");
}
