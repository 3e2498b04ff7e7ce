//! Several endpoints, one that is away, one that is slow; and what each sees as `Host`.

use std::time::Duration;

use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::net::UnixListener;

use super::house::LONG;
use super::house::Plan;
use super::house::SHORT;
use super::house::Wire;
use super::house::in_house;
use super::house::until;
use crate::policy::Address;
use crate::policy::Endpoint;
use crate::policy::Protocol;
use crate::policy::Upstream;
use crate::policy::UpstreamHost;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A port that refuses until somebody listens on it.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn several(ports: &[u16]) -> Upstream {
    Upstream::new(ports.iter().map(|port| Upstream::http("127.0.0.1", *port).endpoints.remove(0)).collect())
}

fn with(upstream: impl Fn(u16) -> Upstream + 'static) -> Plan {
    Plan { upstream: Box::new(upstream), ..Plan::usual() }
}

#[test]
fn where_one_endpoint_refuses_the_next_is_asked_whatever_the_method() {
    let away = closed_port();
    in_house(with(move |port| several(&[away, port])), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(POST).await;
        let mut app = house.app().await;
        app.until("\r\n\r\nhi").await;
        app.say(OK).await;
        visitor.until("ok").await;
        for _ in 0..20 {
            visitor.say(POST).await;
            app.until("\r\n\r\nhi").await;
            app.say(OK).await;
            visitor.until("ok").await;
        }
    });
}

#[test]
fn the_endpoint_with_fewer_requests_under_way_gets_the_next() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    in_house(with(move |first| several(&[first, port])), async |house| {
        other.set_nonblocking(true).unwrap();
        let other = TcpListener::from_std(other).unwrap();
        let mut visitors = Vec::new();
        let (mut first, mut second): (Vec<Wire>, Vec<Wire>) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let mut visitor = house.visitor().await;
            visitor.say(GET).await;
            visitors.push(visitor);
            tokio::select! {
                app = house.app() => first.push(app),
                app = other.accept() => second.push(Wire::new(app.unwrap().0)),
            }
        }
        assert_eq!((first.len(), second.len()), (5, 5), "each waits for as many");
    });
}

#[test]
fn an_endpoint_that_hangs_up_costs_nobody_a_get_where_there_is_another_but_a_post() {
    for (method, is_repeated) in [("GET", true), ("POST", false)] {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        in_house(with(move |first| several(&[first, port])), async |house| {
            other.set_nonblocking(true).unwrap();
            let other = TcpListener::from_std(other).unwrap();
            let mut visitor = house.visitor().await;
            visitor.say(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            // Whichever is asked first hangs up.
            let (mut broken, is_first) = tokio::select! {
                app = house.app() => (app, true),
                app = other.accept() => (Wire::new(app.unwrap().0), false),
            };
            broken.until("\r\n\r\n").await;
            drop(broken);
            if !is_repeated {
                assert!(visitor.until("\n").await.starts_with("HTTP/1.1 502 "));
                return;
            }
            let accepted =
                if is_first { Wire::new(other.accept().await.unwrap().0) } else { house.app().await };
            let mut good = accepted;
            good.until("\r\n\r\n").await;
            // Once: a second one that hangs up is an error.
            drop(good);
            assert!(visitor.until("\n").await.starts_with("HTTP/1.1 502 "));
        });
    }
}

#[test]
fn all_endpoints_refusing_is_an_error_at_once() {
    let (one, two) = (closed_port(), closed_port());
    in_house(with(move |_| several(&[one, two])), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        assert!(visitor.until("Refused").await.starts_with("HTTP/1.1 502 "));
    });
}

#[test]
fn a_request_waits_for_an_app_that_is_being_deployed_with_its_body() {
    let port = closed_port();
    let waiting = move |_| Upstream { wait: LONG, ..Upstream::http("127.0.0.1", port) };
    in_house(with(waiting), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(POST).await;
        let record = &house.proxy.groups[0].backends[0].record;
        until("the app refused", || record.is_resting()).await;
        let app = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let mut app = Wire::new(app.accept().await.unwrap().0);
        app.until("\r\n\r\nhi").await;
        app.say(OK).await;
        visitor.until("ok").await;
    });
}

#[test]
fn waiting_ends_with_the_time_that_the_route_gives() {
    let port = closed_port();
    let waiting = move |_| Upstream { wait: SHORT, ..Upstream::http("127.0.0.1", port) };
    in_house(with(waiting), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        assert!(visitor.until("Refused").await.starts_with("HTTP/1.1 502 "));
    });
}

#[test]
fn a_visitor_who_leaves_waits_no_longer() {
    let port = closed_port();
    let waiting = move |_| Upstream { wait: LONG, ..Upstream::http("127.0.0.1", port) };
    in_house(with(waiting), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        until("the request waits", || house.under_way() == 1).await;
        drop(visitor);
        until("nobody waits", || house.under_way() == 0).await;
    });
}

#[test]
fn a_slow_answer_delays_nobody_else() {
    in_house(Plan::usual(), async |house| {
        let mut slow = house.visitor().await;
        slow.say(GET).await;
        let mut slow_app = house.app().await;
        slow_app.until("\r\n\r\n").await;
        for _ in 0..3 {
            house.warm().await;
        }
        slow_app.say(OK).await;
        slow.until("ok").await;
    });
}

#[test]
fn a_unix_socket_is_an_app_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let endpoint = Endpoint { address: Address::Unix(path.clone()), protocol: Protocol::Http };
    let upstream = move |_| Upstream { wait: LONG, ..Upstream::new(vec![endpoint.clone()]) };
    in_house(Plan { host: UpstreamHost::Upstream, ..with(upstream) }, async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(POST).await;
        let record = &house.proxy.groups[0].backends[0].record;
        until("there is no such file", || record.is_resting()).await;
        let app = UnixListener::bind(&path).unwrap();
        let mut app = Wire::new(app.accept().await.unwrap().0);
        let seen = app.until("\r\n\r\nhi").await;
        assert!(seen.contains("\r\nhost: localhost\r\n"), "{seen}");
        app.say(OK).await;
        visitor.until("ok").await;
    });
}

#[test]
fn the_app_sees_the_host_that_the_route_says() {
    for (wish, expected) in [
        (UpstreamHost::Visitor, "wiki.example.com"),
        (UpstreamHost::Upstream, "127.0.0.1:PORT"),
        (UpstreamHost::Fixed(HeaderValue::from_static("inner.example")), "inner.example"),
    ] {
        in_house(Plan { host: wish, ..Plan::usual() }, async |house| {
            let mut visitor = house.visitor().await;
            let port = house.port();
            // On a new connection, and on one that was used.
            let mut app = None;
            for _ in 0..2 {
                visitor.say(GET).await;
                let app = match &mut app {
                    None => app.insert(house.app().await),
                    Some(app) => app,
                };
                let seen = app.until("\r\n\r\n").await;
                let line = format!("\r\nhost: {}\r\n", expected.replace("PORT", &port.to_string()));
                assert_eq!(seen.matches("\r\nhost: ").count(), 1, "{seen}");
                assert!(seen.contains(&line), "{line:?} in {seen}");
                assert!(seen.contains("\r\nx-forwarded-host: wiki.example.com\r\n"), "{seen}");
                app.say(OK).await;
                visitor.until("ok").await;
            }
        });
    }
}

#[test]
fn the_usual_port_is_left_out_of_an_endpoints_own_host() {
    for (host, port, protocol, expected) in [
        ("app.example", 80, Protocol::Http, "app.example"),
        ("app.example", 443, Protocol::Http, "app.example:443"),
        ("app.example", 443, Protocol::Https, "app.example"),
        ("app.example", 80, Protocol::Https, "app.example:80"),
        ("::1", 3000, Protocol::H2c, "[::1]:3000"),
        ("::1", 80, Protocol::H2c, "[::1]"),
    ] {
        let address = Address::Tcp { host: host.to_owned(), port };
        let line = crate::proxy::connect::Line::new(&Endpoint { address, protocol }, None, None).unwrap();
        assert_eq!(line.host, expected);
    }
}

#[test]
fn connections_that_lie_idle_at_several_endpoints_are_all_closed_in_time() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let mut plan = with(move |first| several(&[first, port]));
    plan.settings.pool_idle = Duration::from_millis(100);
    in_house(plan, async |house| {
        other.set_nonblocking(true).unwrap();
        let other = TcpListener::from_std(other).unwrap();
        let (mut one, mut two) = (house.visitor().await, house.visitor().await);
        one.say(GET).await;
        two.say(GET).await;
        let (mut first, mut second) = (house.app().await, Wire::new(other.accept().await.unwrap().0));
        for app in [&mut first, &mut second] {
            app.until("\r\n\r\n").await;
            app.say(OK).await;
        }
        one.until("ok").await;
        two.until("ok").await;
        assert_eq!((first.rest().await, second.rest().await), (String::new(), String::new()));
        assert_eq!(house.idle(), 0);
    });
}
