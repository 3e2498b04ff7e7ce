//! Who holds which connection, when it is used again, and when it is cut.

use super::house::Plan;
use super::house::SHORT;
use super::house::in_house;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn a_connection_read_to_its_end_serves_the_next_visitor() {
    in_house(Plan::usual(), async |house| {
        let (_first, mut app) = house.warm().await;
        for answer in [OK, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"] {
            let mut visitor = house.visitor().await;
            visitor.say(GET).await;
            app.until("\r\n\r\n").await;
            app.say(answer).await;
            visitor.until("ok").await;
        }
        let mut head = house.visitor().await;
        head.say("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        app.until("\r\n\r\n").await;
        app.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
        head.until("\r\n\r\n").await;
        assert_eq!(house.idle(), 1);
    });
}

#[test]
fn a_visitor_who_leaves_half_way_closes_the_connection_to_the_app() {
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = house.app().await;
        app.until("\r\n\r\n").await;
        app.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        visitor.until("half").await;
        drop(visitor);
        assert_eq!(app.rest().await, "");
        assert_eq!(house.idle(), 0);
        // Before the headers, too.
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = house.app().await;
        app.until("\r\n\r\n").await;
        drop(visitor);
        assert_eq!(app.rest().await, "");
    });
}

#[test]
fn bytes_after_an_answer_are_nobodys_answer() {
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = house.app().await;
        app.until("\r\n\r\n").await;
        app.say(format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")).await;
        visitor.until("ok").await;
        assert_eq!(app.rest().await, "");
        visitor.say(GET).await;
        let mut fresh = house.app().await;
        fresh.until("\r\n\r\n").await;
        fresh.say(OK).await;
        assert!(!visitor.until("ok").await.contains("evil"));
    });
}

#[test]
fn an_answer_before_the_upload_has_ended_closes_the_connection() {
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
        let mut app = house.app().await;
        app.until("half").await;
        app.say(OK).await;
        visitor.until("ok").await;
        assert_eq!(app.rest().await, "");
        assert_eq!(house.idle(), 0);
    });
}

#[test]
fn a_get_on_a_connection_that_was_closed_is_asked_once_more() {
    in_house(Plan::usual(), async |house| {
        let (mut visitor, mut app) = house.warm().await;
        visitor.say(GET).await;
        app.until("\r\n\r\n").await;
        drop(app);
        let mut fresh = house.app().await;
        assert!(fresh.until("\r\n\r\n").await.starts_with("GET / "));
        // Once: a fresh connection that breaks is an error.
        drop(fresh);
        assert!(visitor.until("\n").await.starts_with("HTTP/1.1 502 "));
    });
}

#[test]
fn a_connection_closed_while_idle_costs_nobody_a_post() {
    in_house(Plan::usual(), async |house| {
        let (mut visitor, app) = house.warm().await;
        drop(app);
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await;
        let mut fresh = house.app().await;
        fresh.until("\r\n\r\nhi").await;
        fresh.say(OK).await;
        visitor.until("ok").await;
    });
}

#[test]
fn what_may_have_happened_is_never_asked_again() {
    for request in
        ["POST / HTTP/1.1\r\nhost: a\r\n\r\n", "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi"]
    {
        in_house(Plan::usual(), async |house| {
            let (mut visitor, mut app) = house.warm().await;
            visitor.say(request).await;
            app.until("\r\n\r\n").await;
            drop(app);
            assert!(visitor.until("\n").await.starts_with("HTTP/1.1 502 "));
        });
    }
    in_house(Plan::usual(), async |house| {
        let (mut visitor, mut app) = house.warm().await;
        visitor.say(GET).await;
        app.until("\r\n\r\n").await;
        app.say("HTTP/1.1 2").await;
        drop(app);
        assert!(visitor.until("\n").await.starts_with("HTTP/1.1 502 "));
    });
}

#[test]
fn an_app_that_hangs_up_within_a_body_breaks_the_visitors_body() {
    for head in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        in_house(Plan::usual(), async |house| {
            let mut visitor = house.visitor().await;
            visitor.say(GET).await;
            let mut app = house.app().await;
            app.until("\r\n\r\n").await;
            app.say(format!("HTTP/1.1 200 OK\r\n{head}")).await;
            visitor.until("half").await;
            drop(app);
            let rest = visitor.rest().await;
            assert!(rest.trim().is_empty(), "no clean end: {rest:?}");
        });
    }
}

#[test]
fn bodies_flow_piece_by_piece_in_both_directions() {
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
        let mut app = house.app().await;
        app.until("one\r\n").await;
        app.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\neno\r\n").await;
        visitor.until("eno\r\n").await;
        visitor.say("3\r\ntwo\r\n").await;
        app.until("two\r\n").await;
        app.say("3\r\nowt\r\n").await;
        visitor.until("owt\r\n").await;
        visitor.say("0\r\n\r\n").await;
        app.until("0\r\n\r\n").await;
        app.say("0\r\n\r\n").await;
        visitor.until("0\r\n\r\n").await;
        assert_eq!(house.idle(), 1);
    });
}

#[test]
fn an_upload_beyond_the_limit_is_cut() {
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n").await;
        assert!(visitor.until("BodyTooLarge").await.starts_with("HTTP/1.1 413 "));
        let mut visitor = house.visitor().await;
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
        visitor.say(format!("3e8\r\n{}\r\n", "x".repeat(1000))).await;
        let mut app = house.app().await;
        app.until(&"x".repeat(1000)).await;
        visitor.say("1\r\ny\r\n").await;
        assert!(visitor.until("BodyTooLarge").await.starts_with("HTTP/1.1 413 "));
        assert!(!app.rest().await.contains("0\r\n\r\n"));
    });
}

#[test]
fn an_upload_that_breaks_off_never_ends_cleanly_at_the_app() {
    in_house(Plan::usual(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
        let mut app = house.app().await;
        app.until("half").await;
        drop(visitor);
        assert_eq!(app.rest().await.trim(), "");
    });
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let mut plan = Plan::usual();
    plan.settings.pool_idle = SHORT;
    in_house(plan, async |house| {
        let (_visitor, mut app) = house.warm().await;
        assert_eq!(app.rest().await, "");
        assert_eq!(house.idle(), 0);
    });
}
