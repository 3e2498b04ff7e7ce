//! What the table in docs/redis.md says of Redis being away, row by row as far as it takes more than a visit: going to
//! another host for the first time, renewal, letters. And what one machine begins, others end or know: letters of one that
//! is gone, people, keys.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::letters::Letter;
use crate::harness::process::assert_within_a_second;
use crate::harness::process::crowd;
use crate::harness::relay::Relay;
use crate::harness::several::ALICE;
use crate::harness::several::NO_LIMITS;
use crate::harness::several::Plan;
use crate::harness::several::Redis;
use crate::harness::several::Several;
use crate::harness::smtp::MailServer;
use serde_json::Value;
use std::time::Duration;
use std::time::Instant;

#[tokio::test]
async fn while_redis_is_away_nobody_goes_to_another_host_for_the_first_time_and_afterwards_all_do() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let upstream = app.url();
    let apps = format!("[[site.app]]\nhost = \"photos.localhost\"\nupstream = \"{upstream}\"\n");
    let several =
        Several::with(&Plan { apps: &apps, timeout: "1s", ..Plan::new(&|_| redis.port, &upstream) }).await;
    let photos = |path: &str| format!("http://photos.localhost:{}{path}", several.front.port);
    let alice = Browser::new();
    several.sign_in(&alice, ALICE).await;
    redis.kill();
    let refused = alice.follow(&photos("/album")).await.expect(503);
    assert!(!refused.header("retry-after").is_empty(), "it says when to try again");
    assert!(refused.text().contains("<h1>"), "a page, not a bare line: {}", refused.text());
    assert_eq!(alice.cookie("photos.localhost", "linkgate"), "");
    // Where she is in already she goes on.
    alice.visit(&several.url("/")).await.expect(200);

    redis.restart().await;
    let arrived = eventually("the ticket is kept", async || {
        Some(alice.follow(&photos("/album")).await).filter(|page| page.status == 200)
    })
    .await;
    assert_eq!(arrived.url.path(), "/album");

    // A ticket that was made before it went away takes nobody in while it is away, and is not lost.
    let bob = Browser::new();
    several.sign_in(&bob, "bob@example.com").await;
    let mut answer = bob.visit(&photos("/album")).await;
    while !answer.location().contains("/enter?ticket=") {
        assert!(answer.is_redirect(), "{} answered {}", answer.url, answer.status);
        answer = bob.visit(&answer.location()).await;
    }
    redis.kill();
    bob.visit(&answer.location()).await.expect(503);
    assert_eq!(bob.cookie("photos.localhost", "linkgate"), "");
    redis.restart().await;
    eventually("the ticket is good again", async || {
        bob.visit(&answer.location()).await;
        (!bob.cookie("photos.localhost", "linkgate").is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn while_redis_is_away_sessions_are_renewed_and_afterwards_the_list_shows_it() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let more = format!("[session]\nidle = \"1m\"\n{NO_LIMITS}");
    let upstream = app.url();
    let several =
        Several::with(&Plan { more: &more, timeout: "1s", ..Plan::new(&|_| redis.port, &upstream) }).await;
    let alice = Browser::new();
    several.sign_in(&alice, ALICE).await;
    let seen = async || {
        let list = several.machines[0].run(&["session", "list", "--json"]).await;
        serde_json::from_str::<Value>(&list).unwrap()[0]["seen_at"].to_string()
    };
    let (cookie, before) = (alice.cookie("localhost", "linkgate"), seen().await);
    redis.kill();
    // A tenth of the idle time has to go by.
    let renewed = async || {
        eventually("the session is renewed", async || {
            let page = alice.visit(&several.url("/")).await.expect(200);
            Some(page.header("set-cookie")).filter(|cookie| cookie.starts_with("linkgate="))
        })
        .await
    };
    renewed().await;
    assert_ne!(alice.cookie("localhost", "linkgate"), cookie, "it is carried on");
    for machine in 0..2 {
        assert_eq!(several.status_at(machine, &alice).await, 200, "and counts at machine {machine}");
    }
    redis.restart().await;
    eventually("/readyz is content", async || {
        let ready = several.readiness(0).await;
        (ready.json()["checks"][0]["ok"] == true).then_some(())
    })
    .await;
    renewed().await;
    eventually("the list shows the next one", async || (seen().await != before).then_some(())).await;
    assert_eq!(several.status_at(1, &alice).await, 200);
}

/// The letters, as `mail queue` shows them.
async fn queue(several: &Several) -> Vec<Value> {
    let queue = several.machines[0].run(&["mail", "queue", "--json"]).await;
    serde_json::from_str::<Value>(&queue).unwrap().as_array().unwrap().clone()
}

async fn with_mail_to(redis: &Redis, port: u16, app: &App) -> Several {
    let upstream = app.url();
    let mail = |_| format!("smtp+plain://127.0.0.1:{port}");
    Several::with(&Plan { mail: &mail, timeout: "1s", ..Plan::new(&|_| redis.port, &upstream) }).await
}

async fn ask(several: &Several, machine: usize, email: &str) {
    let answer = several.at(machine, "POST /.linkgate/login", &format!("{{\"email\":\"{email}\"}}")).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

#[tokio::test]
async fn a_letter_that_is_being_sent_when_redis_goes_away_is_noted_as_sent_when_it_is_back_and_sent_once() {
    let (redis, app, relay) = (Redis::start().await, App::start().await, Relay::start().await);
    let several = with_mail_to(&redis, relay.port, &app).await;
    ask(&several, 0, "carol@example.org").await;
    eventually("the relay has it", async || (relay.letters().len() == 1).then_some(())).await;
    redis.kill();
    eventually("the machines know that Redis is away", async || {
        let ready = several.readiness(0).await.json();
        (ready["checks"][0]["ok"] == false).then_some(())
    })
    .await;
    relay.takes();
    eventually("what became of it cannot be told", async || {
        let logs = several.machines.iter().map(Gateway::log).collect::<String>();
        logs.contains("the store did not take what became of a letter").then_some(())
    })
    .await;
    redis.restart().await;
    let noted = eventually("it is noted", async || {
        let letters = queue(&several).await;
        (letters.len() == 1 && letters[0]["state"] == "sent").then_some(letters)
    })
    .await;
    assert_eq!(noted[0]["attempts"], 1, "{noted:?}");
    // A later letter would find a second copy of the first one before it.
    ask(&several, 1, "dave@example.org").await;
    eventually("the next one is there", async || (relay.letters().len() > 1).then_some(())).await;
    let letters = relay.letters();
    assert_eq!(letters.iter().filter(|letter| letter.contains("carol@example.org")).count(), 1);
    assert_eq!(letters.len(), 2);
}

#[tokio::test]
async fn letters_that_wait_while_redis_is_away_go_out_afterwards_once_each() {
    let (redis, app) = (Redis::start().await, App::start().await);
    // Nobody listens there yet.
    let port = crate::harness::free_port();
    let several = with_mail_to(&redis, port, &app).await;
    for number in 0..4 {
        ask(&several, number % 2, &format!("person-{number}@example.org")).await;
    }
    eventually("each was tried, and waits", async || {
        let letters = queue(&several).await;
        letters.iter().all(|letter| letter["state"] == "waiting" && letter["attempts"] == 1).then_some(())
    })
    .await;
    redis.kill();
    let server = MailServer::start(port, 0);
    redis.restart().await;
    for number in 0..4 {
        let letter = server.mailbox.next_to(&format!("person-{number}@example.org")).await;
        let body = format!("{{\"token\":\"{}\",\"email\":\"{}\"}}", letter.token(), letter.to);
        assert_eq!(several.at(1, "POST /.linkgate/verify", &body).await.status, 200);
    }
    eventually("all are noted", async || {
        queue(&several).await.iter().all(|letter| letter["state"] == "sent").then_some(())
    })
    .await;
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_letter_whose_machine_is_gone_before_it_took_it_up_is_sent_by_another_within_seconds() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Several::on(&redis, 2, &app).await;
    // The one that keeps it ends before it leases anything: the server there is killed already, so that a command puts
    // the letter into Redis by itself and calls nobody.
    several.machines[0].kill();
    several.machines[0].run(&["link", "create", "erin@example.org", "--send"]).await;
    let put = Instant::now();
    let letter: Letter = several.mailbox.next_to("erin@example.org").await;
    let (passed, crowd) = (put.elapsed(), crowd());
    assert!(passed < Duration::from_secs(6).mul_f64(crowd), "{passed:?}, {crowd:.1} tasks a processor");
    assert_eq!(several.mailbox.count(), 1);
    let body = format!("{{\"token\":\"{}\",\"email\":\"erin@example.org\"}}", letter.token());
    assert_eq!(several.at(1, "POST /.linkgate/verify", &body).await.status, 200);
}

#[tokio::test]
async fn a_person_and_a_key_that_come_by_command_at_one_machine_are_known_at_all_within_a_second() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Several::on(&redis, 3, &app).await;
    let alice = Browser::new();
    several.sign_in(&alice, ALICE).await;
    several.machines[0].run(&["user", "add", ALICE, "--name", "Alice of Three"]).await;
    let done = Instant::now();
    for machine in 0..3 {
        several.front.aim(machine);
        eventually("she is known by her name", async || {
            let who = alice.visit(&several.url("/.linkgate/session")).await.expect(200);
            (who.json()["name"] == "Alice of Three").then_some(())
        })
        .await;
    }
    assert_within_a_second(done);

    // Which key signs at a machine: the head of a link's token says so.
    let key = async |machine: usize| {
        ask(&several, machine, "grace@example.org").await;
        let letter = several.mailbox.next_to("grace@example.org").await;
        letter.token().split_once('.').unwrap().0.to_owned()
    };
    let before = key(0).await;
    several.machines[0].run(&["key", "rotate"]).await;
    let done = Instant::now();
    for machine in 0..3 {
        eventually("the new key is used", async || (key(machine).await != before).then_some(())).await;
    }
    assert_within_a_second(done);
    for machine in 0..3 {
        assert_eq!(several.status_at(machine, &alice).await, 200, "what the old one signed still counts");
    }
}
