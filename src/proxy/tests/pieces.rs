//! Nobody is forgotten who waits: each end says its next piece only after the other has had the last one, so that a
//! wake-up that went missing would be the end of the conversation.

use super::house::House;
use super::house::Plan;
use super::house::Wire;
use super::house::in_house;
use crate::policy::RouteLimits;

const ROUNDS: usize = 300;

fn unlimited() -> Plan {
    Plan { limits: RouteLimits { max_body: None, ..Plan::usual().limits }, ..Plan::usual() }
}

/// A chunk of a body.
fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Both ends of an exchange of which the app's answer has begun, and the visitor's body is to come.
async fn begun(house: &House) -> (Wire, Wire) {
    let mut visitor = house.visitor().await;
    visitor.say("POST /talk HTTP/1.1\r\nhost: wiki.example.com\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let mut app = house.app().await;
    app.until("\r\n\r\n").await;
    app.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    visitor.until("\r\n\r\n").await;
    (visitor, app)
}

#[test]
fn an_answer_in_many_pieces_arrives_piece_by_piece() {
    in_house(Plan::usual(), async |house| {
        let (mut visitor, mut app) = house.warm().await;
        for _ in 0..2 {
            visitor.say("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
            app.until("\r\n\r\n").await;
            for byte in "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".chars() {
                app.say(byte.to_string()).await;
                tokio::task::yield_now().await;
            }
            visitor.until("\r\n\r\n").await;
            for round in 0..ROUNDS {
                let piece = format!("piece {round}.");
                app.say(chunk(&piece)).await;
                visitor.until(&piece).await;
            }
            app.say("0\r\n\r\n").await;
            visitor.until("0\r\n\r\n").await;
        }
    });
}

#[test]
fn an_upload_in_many_pieces_arrives_piece_by_piece_before_there_is_an_answer() {
    in_house(unlimited(), async |house| {
        let mut visitor = house.visitor().await;
        visitor.say("POST /talk HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
        let mut app = house.app().await;
        app.until("\r\n\r\n").await;
        for round in 0..ROUNDS {
            let piece = format!("piece {round}.");
            visitor.say(chunk(&piece)).await;
            app.until(&piece).await;
        }
        visitor.say("0\r\n\r\n").await;
        app.until("0\r\n\r\n").await;
        app.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        visitor.until("\r\n\r\nok").await;
    });
}

#[test]
fn a_conversation_goes_on_in_both_directions_while_an_answer_comes() {
    in_house(unlimited(), async |house| {
        let (mut visitor, mut app) = begun(&house).await;
        for round in 0..ROUNDS {
            let (there, back) = (format!("there {round}."), format!("back {round}."));
            visitor.say(chunk(&there)).await;
            app.until(&there).await;
            // Twice in one direction, then the other again.
            for again in [&there, &back] {
                app.say(chunk(again)).await;
                visitor.until(again).await;
            }
        }
        visitor.say("0\r\n\r\n").await;
        app.until("0\r\n\r\n").await;
        app.say("0\r\n\r\n").await;
        visitor.until("0\r\n\r\n").await;
    });
}

#[test]
fn what_is_larger_than_every_buffer_comes_whole_to_a_reader_who_rests() {
    const MUCH: usize = 20_000_000;
    in_house(unlimited(), async |house| {
        let (mut visitor, mut app) = begun(&house).await;
        let much = "x".repeat(MUCH);
        // Neither reads before the other cannot write any more.
        for from_the_app in [true, false, true] {
            let text = chunk(&format!("{much}end."));
            let mut heard = 0;
            let (from, to) = if from_the_app { (&mut app, &mut visitor) } else { (&mut visitor, &mut app) };
            let reading = async {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                heard = to.until("end.").await.matches('x').count();
            };
            tokio::join!(from.say(text), reading);
            assert_eq!(heard, MUCH);
        }
    });
}
