//! How HTTP/2 towards apps ends: another protocol, no answer, no more requests; and every method on the way.

use super::*;

#[test]
fn an_app_that_speaks_another_http_is_named_and_hears_no_request() {
    in_house(h2c(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(POST).await;
        let mut app = house.app().await;
        app.until("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        app.say("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
        assert!(visitor.until("write http://").await.starts_with("HTTP/1.1 502 "));
        assert!(!app.rest().await.contains("wiki.example.com"));
        visitor.say(GET).await;
        drop(house.app().await);
        assert!(visitor.until("write http://").await.contains("HTTP/1.1 502 "));
    });
}

#[test]
fn an_app_that_does_not_answer_is_not_waited_for() {
    let mut plan = h2c();
    plan.limits.response_timeout = SHORT;
    in_house(plan, async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = App::accept(&house, 100).await;
        let mut asked = app.asked().await;
        assert!(visitor.until("ResponseTimeout").await.starts_with("HTTP/1.1 504 "));
        assert_eq!(asked.reset().await, Reason::CANCEL);
        assert_eq!(house.shared(), 1, "others may be on it");
    });
}

#[test]
fn a_shared_connection_without_requests_is_closed_in_time() {
    let mut plan = h2c();
    plan.settings.pool_idle = SHORT;
    in_house(plan, async |house| {
        let mut visitor = house.visitor().await;
        visitor.say(GET).await;
        let mut app = App::accept(&house, 100).await;
        let mut held = app.asked().await;
        tokio::time::sleep(SHORT * 3).await;
        held.ok();
        visitor.until("ok").await;
        assert!(app.asked.recv().await.is_none(), "the connection ends");
        assert_eq!(house.shared(), 0);
    });
}

#[test]
fn a_visitor_of_http_2_reaches_an_app_of_http_2_with_every_method() {
    in_house(Plan { http2: true, ..h2c() }, async |house| {
        let io = hyper_util::rt::TokioIo::new(house.socket().await);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(Local, io).await.unwrap();
        tokio::task::spawn_local(connection);
        let mut app = None;
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PATCH", "PROPFIND"] {
            let request = Request::builder().method(method).uri("https://wiki.example.com/h2?x");
            let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
            let answer = tokio::task::spawn_local(sender.send_request(request));
            let app = match &mut app {
                None => app.insert(App::accept(&house, 10).await),
                Some(app) => app,
            };
            let mut asked = app.asked().await;
            assert_eq!(asked.request.method(), method);
            assert!(asked.request.body().is_end_stream());
            asked.answer.send_response(Response::new(()), true).unwrap();
            assert_eq!(answer.await.unwrap().unwrap().status(), 200);
        }
    });
}
