//! What is open ends when the right to it ends: WebSockets, event streams, downloads, uploads and long polls, within one
//! second, and nobody else's.

use crate::harness::PATIENCE;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::h2;
use crate::harness::h2::H2;
use crate::harness::process::assert_within_a_second;
use crate::harness::stage::ALICE;
use crate::harness::stage::Stage;
use crate::harness::stage::Wire;
use crate::harness::websocket;
use crate::harness::websocket::both_ways;
use crate::harness::websocket::from_app;
use crate::harness::websocket::next;
use crate::harness::websocket::open;
use crate::harness::websocket::open_with;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use std::time::Duration;
use std::time::Instant;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n6\r\n: hi\n\n\r\n";

fn said(stage: &Stage, what: &str) -> usize {
    stage.gateway.log().lines().filter(|line| line.contains(what)).count()
}

/// Takes a changed configuration over.
async fn reload(stage: &Stage, change: impl Fn(&str) -> String) {
    let file = stage.gateway.place.config();
    std::fs::write(&file, change(&std::fs::read_to_string(&file).unwrap())).unwrap();
    let before = said(stage, " reloaded");
    stage.gateway.signal("HUP");
    eventually("the file is taken over", async || (said(stage, " reloaded") > before).then_some(())).await;
}

async fn revoke(stage: &Stage) -> Instant {
    stage.gateway.run(&["session", "revoke", "--email", ALICE]).await;
    Instant::now()
}

/// A second session of the same person, on a device of its own.
async fn other_session(stage: &Stage) -> Browser {
    let browser = Browser::new();
    stage.gateway.sign_in(&browser, ALICE, &format!("http://{}/.linkgate/", stage.host)).await;
    browser
}

/// An event stream that has begun: the visitor's end and the app's.
async fn listen(stage: &Stage, path: &str) -> (Wire, Wire) {
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request(&format!("GET {path}"), "accept: text/event-stream\r\n")).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say(EVENTS).await;
    visitor.until(": hi\n\n\r\n").await;
    (visitor, app)
}

/// Both sides were told that the session is over, and closed.
async fn told_1008(mut visitor: Wire, mut app: Wire) {
    assert_eq!(next(&mut visitor).await.close(), (1008, "the session has ended".to_owned()));
    assert_eq!(visitor.rest().await, "");
    assert_eq!(next(&mut app).await.close().0, 1008);
    assert_eq!(app.rest().await, "");
}

#[tokio::test]
async fn a_revoked_sessions_websocket_ends_in_1008_within_a_second_and_nobody_elses() {
    let stage = Stage::start().await;
    let (mut mine, mut mine_app) = open(&stage, "/mine").await;
    let list = stage.gateway.run(&["session", "list", "--json"]).await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let mine_id = list[0]["id"].as_str().unwrap();
    let other = other_session(&stage).await;
    let (mut others, mut others_app) = open_with(&stage, &other.cookies("localhost"), "/others").await;

    both_ways(&mut mine, &mut mine_app).await;
    both_ways(&mut others, &mut others_app).await;
    stage.gateway.run(&["session", "revoke", mine_id]).await;
    let revoked = Instant::now();
    told_1008(mine, mine_app).await;
    assert_within_a_second(revoked);
    both_ways(&mut others, &mut others_app).await;
}

#[tokio::test]
async fn signing_out_ends_what_is_open() {
    let stage = Stage::start().await;
    let browser = other_session(&stage).await;
    let (visitor, app) = open_with(&stage, &browser.cookies("localhost"), "/").await;
    let (mut stays, mut stays_app) = open(&stage, "/").await;
    let logout = format!("http://{}/.linkgate/logout", stage.host);
    browser.post_form(&logout, &[]).await.expect(303);
    let out = Instant::now();
    told_1008(visitor, app).await;
    assert_within_a_second(out);
    both_ways(&mut stays, &mut stays_app).await;
}

#[tokio::test]
async fn it_does_not_matter_which_worker_hears_of_it() {
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = app.local_addr().unwrap();
    let config = format!(
        "workers = 4\n{HEAD}[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nallow = [\"{ALICE}\"]\n\
         upstream = \"http://{upstream}\"\n"
    );
    let gateway = Gateway::start_with(Place::new(), &config).await;
    let browser = Browser::new();
    gateway.sign_in(&browser, ALICE, &gateway.url("/.linkgate/")).await;
    let (cookie, host) = (browser.cookies("localhost"), format!("localhost:{}", gateway.place.port));
    let stage = Stage { gateway, app, authority: None, cookie, host };
    let mut open_ones = Vec::new();
    for number in 0..60 {
        open_ones.push(open(&stage, &format!("/{number}")).await);
    }
    browser.post_form(&stage.gateway.url("/.linkgate/logout"), &[]).await.expect(303);
    let out = Instant::now();
    for (visitor, app) in open_ones {
        told_1008(visitor, app).await;
    }
    assert_within_a_second(out);
}

#[tokio::test]
async fn event_streams_downloads_and_long_polls_are_broken_off() {
    let stage = Stage::start().await;
    let (mut events, mut events_app) = listen(&stage, "/events").await;

    let mut download = stage.visitor().await;
    download.say(stage.request("GET /download", "")).await;
    let mut download_app = stage.app().await;
    download_app.until("\r\n\r\n").await;
    download_app.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbeginning").await;
    download.until("beginning").await;

    let mut poll = stage.visitor().await;
    poll.say(stage.request("GET /poll", "accept: application/json\r\n")).await;
    let mut poll_app = stage.app().await;
    poll_app.until("\r\n\r\n").await;

    let revoked = revoke(&stage).await;
    assert_eq!(events.rest().await, "", "no proper end");
    assert_eq!(download.rest().await, "");
    let answer = poll.rest().await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    for app in [&mut events_app, &mut download_app, &mut poll_app] {
        assert_eq!(app.rest().await, "", "the app sees that nobody listens");
    }
    assert_within_a_second(revoked);
}

#[tokio::test]
async fn who_waits_for_a_switch_of_protocols_is_told_and_the_app_asked_no_more() {
    let mut stage = Stage::with("[[site.app.route]]\npath = \"/deploy/\"\nwait = \"30s\"\n").await;
    let asking =
        |path: &str| stage.request(path, &format!("accept: application/json\r\n{}", websocket::ASKING));
    let (to_silent, to_absent) = (asking("GET /silent"), asking("GET /deploy/"));
    let mut silent = stage.visitor().await;
    silent.say(to_silent).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    // From here on the app takes no connection.
    stage.app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut absent = stage.visitor().await;
    absent.say(to_absent).await;
    eventually("it waits", async || (said(&stage, "a request waits for its app") > 0).then_some(())).await;

    let revoked = revoke(&stage).await;
    for visitor in [&mut silent, &mut absent] {
        let answer = visitor.rest().await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    assert_eq!(app.rest().await, "", "the app sees that nobody listens");
    assert_within_a_second(revoked);
}

#[tokio::test]
async fn an_upload_under_way_is_broken_off() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("POST /upload", "content-length: 1000000\r\n") + "beginning").await;
    let mut app = stage.app().await;
    app.until("beginning").await;
    let revoked = revoke(&stage).await;
    assert_eq!(app.rest().await, "");
    let answer = visitor.rest().await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_within_a_second(revoked);
}

#[tokio::test]
async fn a_visitor_who_does_not_read_gets_nothing_more_either() {
    let stage = Stage::start().await;
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("GET /large", "")).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
    // Until nobody takes any more.
    let piece = vec![b'x'; 1 << 20];
    let mut sent: u64 = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), app.tcp.write(&piece)).await {
        sent += written.unwrap() as u64;
    }
    let revoked = revoke(&stage).await;
    app.rest().await;
    assert_within_a_second(revoked);
    let got = visitor.rest().await.len() as u64;
    assert!(got < sent, "{got} of {sent} bytes reached the visitor");
}

#[tokio::test]
async fn a_frame_under_way_is_finished_before_the_end_is_told() {
    let stage = Stage::start().await;
    let (mut visitor, mut app) = open(&stage, "/").await;
    let frame = from_app(&"long".repeat(50_000));
    let (first, rest) = frame.split_at(100_000);
    app.say(first).await;
    visitor.bytes(100_000).await;
    let revoked = revoke(&stage).await;
    // The app's side is at a border, and is told first.
    assert_eq!(next(&mut app).await.close().0, 1008);
    app.say(rest).await;
    app.say(from_app("too late")).await;
    assert_eq!(visitor.bytes(rest.len()).await, rest);
    assert_eq!(next(&mut visitor).await.close().0, 1008);
    assert_eq!(visitor.rest().await, "");
    assert_within_a_second(revoked);
}

#[tokio::test]
async fn over_http2_a_websocket_hears_1008_and_other_streams_are_reset() {
    let public = "[[site.app.route]]\npath = \"/public/\"\naccess = \"public\"\n";
    let stage = Stage::secure("http", public).await;
    let client = H2::connect(&stage).await;
    let begin = async |path: &str, cookie: bool| {
        let mut request = client.request("GET", path);
        if !cookie {
            request.headers_mut().unwrap().remove("cookie");
        }
        let coming = client.start(request);
        let mut app = stage.app().await;
        app.until("\r\n\r\n").await;
        app.say(EVENTS).await;
        let mut body = coming.head().await.into_body();
        assert_eq!(h2::piece(&mut body).await, ": hi\n\n");
        (body, app)
    };
    let (mut events, mut events_app) = begin("/events", true).await;
    let (mut public, mut public_app) = begin("/public/", false).await;

    let coming = client.start(client.extended("/socket"));
    let mut app = stage.app().await;
    let asked = app.until("\r\n\r\n").await;
    app.say(websocket::yes_to(&asked, "")).await;
    let mut visitor = H2::joined(coming.head().await).await;
    both_ways(&mut visitor, &mut app).await;

    let poll = client.start(client.request("GET", "/poll"));
    let mut poll_app = stage.app().await;
    poll_app.until("\r\n\r\n").await;
    let switch = client.start(client.extended("/silent"));
    let mut switch_app = stage.app().await;
    switch_app.until("\r\n\r\n").await;
    let (feed, upload) = client.send(client.request("POST", "/upload"));
    let mut upload_app = stage.app().await;
    feed.send(Frame::data(Bytes::from_static(b"beginning"))).await.unwrap();
    upload_app.until("beginning").await;

    let revoked = revoke(&stage).await;
    told_1008(visitor, app).await;
    let ended = tokio::time::timeout(PATIENCE, events.frame()).await.expect("an end");
    assert!(ended.expect("no proper end").is_err());
    assert_eq!(poll.head().await.status(), 401);
    assert_eq!(upload.head().await.status(), 401);
    assert_eq!(switch.head().await.status(), 401);
    for app in [&mut events_app, &mut poll_app, &mut upload_app, &mut switch_app] {
        assert_eq!(app.rest().await.replace("\r\n", ""), "");
    }
    assert_within_a_second(revoked);
    // Nobody's stream on the same connection.
    public_app.say("6\r\n: on\n\n\r\n").await;
    assert_eq!(h2::piece(&mut public).await, ": on\n\n");
}

#[tokio::test]
async fn over_http2_a_stream_that_nobody_reads_is_reset_too() {
    let stage = Stage::secure("http", "").await;
    let client = H2::connect(&stage).await;
    let coming = client.start(client.request("GET", "/large"));
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
    let mut body = coming.head().await.into_body();
    let piece = vec![b'x'; 1 << 20];
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), app.tcp.write(&piece)).await {
        written.unwrap();
    }
    let revoked = revoke(&stage).await;
    app.rest().await;
    assert_within_a_second(revoked);
    let end = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, end).await.expect("an end"), "no proper end");
    assert_within_a_second(revoked);
}

#[tokio::test]
async fn a_reload_that_takes_rights_away_ends_what_is_open_and_any_other_does_not() {
    let public = "[[site.app.route]]\npath = \"/public/\"\naccess = \"public\"\n\
                  [[site.app.route]]\npath = \"/private/\"\n";
    let stage = Stage::with(public).await;
    let mut nobody = stage.visitor().await;
    nobody.say(format!("GET /public/events HTTP/1.1\r\nhost: {}\r\n\r\n", stage.host)).await;
    let mut nobody_app = stage.app().await;
    nobody_app.until("\r\n\r\n").await;
    nobody_app.say(EVENTS).await;
    nobody.until(": hi\n\n\r\n").await;
    let (mut private, mut private_app) = open(&stage, "/private/").await;
    let (mut rest, mut rest_app) = open(&stage, "/").await;

    reload(&stage, |config| format!("{config}\n[groups]\nunused = []\n")).await;
    stage.gateway.run(&["user", "add", "bob@example.com"]).await;
    both_ways(&mut private, &mut private_app).await;
    both_ways(&mut rest, &mut rest_app).await;
    nobody_app.say("6\r\n: on\n\n\r\n").await;
    nobody.until(": on\n\n\r\n").await;

    reload(&stage, |config| config.replace("access = \"public\"", "access = \"deny\"")).await;
    let taken = Instant::now();
    assert_eq!(nobody.rest().await, "");
    assert_within_a_second(taken);
    both_ways(&mut private, &mut private_app).await;

    reload(&stage, |config| config.replace("\"/private/\"", "\"/private/\"\nupgrades = []")).await;
    let taken = Instant::now();
    told_1008(private, private_app).await;
    assert_within_a_second(taken);
    both_ways(&mut rest, &mut rest_app).await;

    reload(&stage, |config| config.replace(&format!("allow = [\"{ALICE}\"]"), "allow = [\"@example.org\"]"))
        .await;
    let taken = Instant::now();
    told_1008(rest, rest_app).await;
    assert_within_a_second(taken);
}

#[tokio::test]
async fn a_group_taken_away_ends_what_the_app_was_told_of_and_one_given_does_not() {
    let stage = Stage::start().await;
    stage.gateway.run(&["user", "add", ALICE, "--groups", "editors,readers"]).await;
    eventually("the groups are told", async || {
        let (asked, _) = stage.exchange(&stage.request("GET /", ""), OK, "ok").await;
        asked.to_ascii_lowercase().contains("\r\nremote-groups: editors,readers\r\n").then_some(())
    })
    .await;
    let (mut visitor, mut app) = open(&stage, "/").await;
    let (mut events, mut events_app) = listen(&stage, "/").await;
    let more = ["user", "set", ALICE, "--groups", "editors,readers,writers", "--name", "Alice"];
    stage.gateway.run(&more).await;
    eventually("the third group is told", async || {
        let (asked, _) = stage.exchange(&stage.request("GET /", ""), OK, "ok").await;
        asked.to_ascii_lowercase().contains("writers").then_some(())
    })
    .await;
    both_ways(&mut visitor, &mut app).await;
    events_app.say("6\r\n: on\n\n\r\n").await;
    events.until(": on\n\n\r\n").await;

    stage.gateway.run(&["user", "set", ALICE, "--groups", "readers,writers"]).await;
    let taken = Instant::now();
    told_1008(visitor, app).await;
    assert_eq!(events.rest().await, "");
    assert_eq!(events_app.rest().await, "");
    assert_within_a_second(taken);
}

#[tokio::test]
async fn ending_all_sessions_and_rotating_keys_at_once_end_what_is_open() {
    let stage = Stage::start().await;
    for command in [&["key", "rotate", "--now"][..], &["session", "revoke", "--all"]] {
        let browser = other_session(&stage).await;
        let (visitor, app) = open_with(&stage, &browser.cookies("localhost"), "/").await;
        stage.gateway.run(command).await;
        let taken = Instant::now();
        told_1008(visitor, app).await;
        assert_within_a_second(taken);
    }
    let browser = other_session(&stage).await;
    let (mut visitor, mut app) = open_with(&stage, &browser.cookies("localhost"), "/").await;
    stage.gateway.run(&["key", "rotate"]).await;
    stage.gateway.run(&["user", "add", "bob@example.com"]).await;
    both_ways(&mut visitor, &mut app).await;
}

#[tokio::test]
async fn on_a_public_route_who_was_named_is_cut_and_who_was_not_is_not() {
    let stage = Stage::with("[[site.app.route]]\npath = \"/public/\"\naccess = \"public\"\n").await;
    let (named, named_app) = open(&stage, "/public/").await;
    let (mut nobody, mut nobody_app) = open_with(&stage, "x=1", "/public/").await;
    let revoked = revoke(&stage).await;
    told_1008(named, named_app).await;
    assert_within_a_second(revoked);
    both_ways(&mut nobody, &mut nobody_app).await;
}

#[tokio::test]
async fn any_other_protocol_is_closed_without_a_word() {
    let stage = Stage::with("upgrades = [\"tcp\"]\n").await;
    let mut visitor = stage.visitor().await;
    visitor.say(stage.request("GET /attach", "connection: upgrade\r\nupgrade: tcp\r\n")).await;
    let mut app = stage.app().await;
    app.until("\r\n\r\n").await;
    app.say("HTTP/1.1 101 Switching Protocols\r\nupgrade: tcp\r\nconnection: upgrade\r\n\r\n").await;
    visitor.until("\r\n\r\n").await;
    app.say("hello").await;
    assert_eq!(visitor.bytes(5).await, b"hello");
    let revoked = revoke(&stage).await;
    assert_eq!(visitor.rest().await, "");
    assert_eq!(app.rest().await, "");
    assert_within_a_second(revoked);
}

#[tokio::test]
async fn a_websocket_in_which_nothing_moves_is_closed_and_a_busy_one_is_not() {
    let stage = Stage::with("[[site.app.route]]\npath = \"/short/\"\nidle_timeout = \"4s\"\n").await;
    let (mut busy, mut busy_app) = open(&stage, "/short/busy").await;
    let begun = Instant::now();
    let (mut idle, mut idle_app) = open(&stage, "/short/idle").await;
    let end = loop {
        both_ways(&mut busy, &mut busy_app).await;
        if let Ok(end) = tokio::time::timeout(Duration::from_millis(100), next(&mut idle)).await {
            break end;
        }
    };
    assert_eq!(end.close(), (1001, "idle for too long".to_owned()));
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(next(&mut idle_app).await.close().0, 1001);
    both_ways(&mut busy, &mut busy_app).await;
}

#[tokio::test]
async fn at_a_stop_websockets_are_sent_elsewhere_at_once_and_the_rest_may_finish() {
    let stage = Stage::start().await;
    let (mut visitor, mut app) = open(&stage, "/").await;
    let mut download = stage.visitor().await;
    download.say(stage.request("GET /download", "")).await;
    let mut download_app = stage.app().await;
    download_app.until("\r\n\r\n").await;
    download_app.say("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nbegin-").await;
    download.until("begin-").await;

    stage.gateway.signal("TERM");
    assert_eq!(next(&mut visitor).await.close(), (1001, "restarting".to_owned()));
    assert_eq!(next(&mut app).await.close().0, 1001);
    assert_eq!(visitor.rest().await, "");
    assert_eq!(app.rest().await, "");
    download_app.say("-ended").await;
    download.until("-ended").await;
    assert!(stage.gateway.ended().await.success());
}
