//! Any number of machines that share one Redis are one gateway: what is asked for at one is redeemed at another, once; what
//! ends at one has ended at all.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::eventually_within;
use crate::harness::free_port;
use crate::harness::given;
use crate::harness::letters::Letter;
use crate::harness::process::assert_within_a_second;
use crate::harness::several::ALICE;
use crate::harness::several::Plan;
use crate::harness::several::Redis;
use crate::harness::several::Several;
use crate::harness::stage::Wire;
use crate::harness::websocket;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_link_asked_for_at_one_machine_is_redeemed_at_another_and_the_session_counts_at_all() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Several::on(&redis, 4, &app).await;
    let alice = Browser::new();
    several.front.aim(0);
    let link = several.ask(&alice, ALICE).await;
    several.front.aim(1);
    alice.follow(&link).await.expect(200);
    for machine in 0..4 {
        assert_eq!(several.status_at(machine, &alice).await, 200, "at machine {machine}");
    }
    // The code of the letter, asked for at 2, is typed at 3.
    let bob = Browser::new();
    several.front.aim(2);
    let page = bob.follow(&several.url("/")).await.expect(200);
    let fields = [("email", "bob@example.com"), ("return_to", &page.field("return_to"))];
    bob.post_form(&several.url("/.linkgate/login"), &fields).await.expect(303);
    let code = several.mailbox.next_to("bob@example.com").await.code;
    several.front.aim(3);
    bob.post_form(&several.url("/.linkgate/verify"), &[("code", &code)]).await.expect(303);
    assert_eq!(several.status_at(0, &bob).await, 200);
}

/// Asks for `count` links, at each machine in turn, and gives them back with their addresses.
async fn links(several: &Arc<Several>, count: u64) -> Vec<Letter> {
    let machines = several.machines.len();
    let room = Arc::new(Semaphore::new(32));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (several, room) = (Arc::clone(several), Arc::clone(&room));
        tasks.spawn(async move {
            let _place = room.acquire().await.unwrap();
            let body = format!("{{\"email\":\"person-{number}@example.org\"}}");
            let machine = usize::try_from(number).unwrap() % machines;
            let answer = several.at(machine, "POST /.linkgate/login", &body).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
        });
    }
    tasks.join_all().await;
    let wanted = usize::try_from(count).unwrap();
    let patience = Duration::from_secs(30 + count / 20);
    eventually_within(patience, "every letter is there", async || {
        if several.mailbox.count() < wanted {
            return None;
        }
        let letters = several.mailbox.all();
        (letters.len() >= wanted).then_some(letters)
    })
    .await
}

/// Each link is redeemed by two requests at every machine, all at once.
async fn each_link_has_one_winner(machines: usize) {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Arc::new(Several::on(&redis, machines, &app).await);
    let count = given("SEVERAL_LINKS", 60);
    let letters = links(&several, count).await;
    let people: HashSet<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
    assert_eq!((letters.len(), people.len()), (usize::try_from(count).unwrap(), letters.len()), "one each");
    let (mut won, began) = (0, Instant::now());
    for some in letters.chunks(16) {
        let mut tasks = JoinSet::new();
        for letter in some {
            for number in 0..2 * machines {
                let (several, letter) = (Arc::clone(&several), letter.clone());
                let body = format!("{{\"token\":\"{}\",\"email\":\"{}\"}}", letter.token(), letter.to);
                tasks.spawn(async move {
                    let answer = several.at(number % machines, "POST /.linkgate/verify", &body).await;
                    (letter.to, answer.status)
                });
            }
        }
        let answers = tasks.join_all().await;
        for letter in some {
            let statuses: Vec<u16> =
                answers.iter().filter(|(to, _)| *to == letter.to).map(|(_, status)| *status).collect();
            let winners = statuses.iter().filter(|status| **status == 200).count();
            let losers = statuses.iter().filter(|status| **status == 410).count();
            assert_eq!((winners, losers), (1, 2 * machines - 1), "{}: {statuses:?}", letter.to);
            won += 1;
        }
    }
    println!(
        "slow: {machines} machines: {won} links, each asked for by {} requests at once, redeemed once each, in {:.1} s",
        2 * machines,
        began.elapsed().as_secs_f64()
    );
    let sessions = several.machines[0].run(&["session", "list", "--json"]).await;
    let sessions: serde_json::Value = serde_json::from_str(&sessions).unwrap();
    assert_eq!(sessions.as_array().unwrap().len(), letters.len(), "and as many sessions, no more");
}

#[tokio::test]
async fn at_two_machines_each_link_is_redeemed_exactly_once() {
    each_link_has_one_winner(2).await;
}

#[tokio::test]
async fn at_four_machines_each_link_is_redeemed_exactly_once() {
    each_link_has_one_winner(4).await;
}

#[tokio::test]
async fn what_is_revoked_at_one_machine_is_refused_at_all_within_a_second_and_open_sockets_close() {
    let redis = Redis::start().await;
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let several = Several::with(&Plan {
        machines: 4,
        ..Plan::new(&|_| redis.port, &format!("http://{}", app.local_addr().unwrap()))
    })
    .await;
    let alice = Browser::new();
    several.front.aim(0);
    let login = several.url("/.linkgate/login?return_to=/.linkgate/");
    let page = alice.visit(&login).await.expect(200);
    let fields = [("email", ALICE), ("return_to", &page.field("return_to"))];
    alice.post_form(&several.url("/.linkgate/login"), &fields).await.expect(303);
    let link = several.mailbox.next_to(ALICE).await.link;
    let arrived = alice.visit(&link).await.expect(303);
    assert!(!alice.cookie("localhost", "linkgate").is_empty(), "{}", arrived.text());

    let front = several.front.port;
    let mut open = Vec::new();
    for machine in &several.machines {
        let mut visitor = Wire::new(TcpStream::connect(("127.0.0.1", machine.place.port)).await.unwrap());
        let cookie = alice.cookies("localhost");
        let asking = websocket::ASKING;
        visitor
            .say(format!(
                "GET /chat HTTP/1.1\r\nhost: localhost:{front}\r\ncookie: {cookie}\r\n\
                 origin: http://localhost:{front}\r\n{asking}\r\n"
            ))
            .await;
        let (tcp, _) = app.accept().await.unwrap();
        let mut app = Wire::new(tcp);
        websocket::agree(&mut visitor, &mut app).await;
        open.push((visitor, app));
    }
    several.machines[2].run(&["session", "revoke", "--email", ALICE]).await;
    let done = Instant::now();
    for machine in 0..4 {
        several.front.aim(machine);
        eventually("every machine refuses", async || {
            let who = alice.visit(&several.url("/.linkgate/session")).await;
            (who.status == 401).then_some(())
        })
        .await;
    }
    assert_within_a_second(done);
    for (mut visitor, _app) in open {
        assert_eq!(websocket::next(&mut visitor).await.close().0, 1008);
    }
}

#[tokio::test]
async fn who_signs_out_at_one_machine_is_out_at_all_and_a_person_added_at_one_is_known_at_all() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Several::on(&redis, 2, &app).await;
    let alice = Browser::new();
    several.front.aim(0);
    several.sign_in(&alice, ALICE).await;
    assert_eq!(several.status_at(1, &alice).await, 200);
    let kept = alice.cookie("localhost", "linkgate");
    several.front.aim(0);
    alice.post_form(&several.url("/.linkgate/logout"), &[]).await;
    let thief = Browser::new();
    thief.set_cookie("localhost", "linkgate", &kept);
    eventually("the session has ended at the other machine", async || {
        (several.status_at(1, &thief).await != 200).then_some(())
    })
    .await;
    several.machines[0].run(&["key", "rotate"]).await;
    several.front.aim(1);
    several.sign_in(&alice, ALICE).await;
    assert_eq!(several.status_at(0, &alice).await, 200, "signed with the new key, known here too");
}

#[tokio::test]
async fn who_signs_out_everywhere_comes_in_again_and_stays_in() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Several::on(&redis, 2, &app).await;
    let alice = Browser::new();
    several.sign_in(&alice, ALICE).await;
    for time in 1..=5 {
        several.front.aim(0);
        alice.post_form(&several.url("/.linkgate/logout"), &[("everywhere", "1")]).await.expect(303);
        several.front.aim(1);
        several.sign_in(&alice, ALICE).await;
        // Each time by one: whoever told Redis of it twice would put out who has come in since.
        assert_eq!(redis.cli(&["hvals", "linkgate:{standing}:generations"]).trim(), time.to_string());
        assert_eq!((several.status_at(0, &alice).await, several.status_at(1, &alice).await), (200, 200));
    }
}

#[tokio::test]
async fn limits_are_those_of_all_machines_together() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Several::with(&Plan {
        machines: 4,
        more: "[limits]\nask_per_client = \"6/15m\"\n",
        ..Plan::new(&|_| redis.port, &app.url())
    })
    .await;
    let ask = async |machine: usize| {
        several.at(machine, "POST /.linkgate/login", "{\"email\":\"carol@example.org\"}").await.status
    };
    for number in 0..6 {
        assert_eq!(ask(number % 4).await, 202);
    }
    for machine in 0..4 {
        assert_eq!(ask(machine).await, 429, "at machine {machine}");
    }
}

#[tokio::test]
async fn with_four_machines_every_letter_is_sent_once() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Arc::new(Several::on(&redis, 4, &app).await);
    links(&several, 80).await;
    // Nothing waits any more, nothing is under way: what was sent is all that will be.
    eventually("the queue is done", async || {
        let queue = several.machines[3].run(&["mail", "queue", "--json"]).await;
        (!queue.contains("\"waiting\"") && !queue.contains("\"leased\"")).then_some(())
    })
    .await;
    let letters = several.mailbox.all();
    let people: HashSet<&str> = letters.iter().map(|letter| letter.to.as_str()).collect();
    assert_eq!((letters.len(), people.len()), (80, 80));
}

#[tokio::test]
async fn a_letter_held_by_a_machine_that_is_killed_is_sent_by_another_after_the_lease() {
    let (redis, app) = (Redis::start().await, App::start().await);
    // A relay that takes connections and says nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = deaf.local_addr().unwrap().port();
    let several = Several::with(&Plan {
        mail: &|machine| if machine == 0 { format!("smtp+plain://127.0.0.1:{port}") } else { String::new() },
        ..Plan::new(&|_| redis.port, &app.url())
    })
    .await;
    // The other one stands still, so that the first has the letter.
    several.machines[1].signal("STOP");
    let answer = several.at(0, "POST /.linkgate/login", "{\"email\":\"dave@example.org\"}").await;
    assert_eq!(answer.status, 202);
    let (_held, _) = deaf.accept().await.unwrap();
    several.machines[0].kill();
    several.machines[1].signal("CONT");
    several.machines[1].ready().await;
    assert!(several.mailbox.all().is_empty(), "the lease is another's");
    // A minute passes: for the letter, whose record says until when it is held.
    let pass = "for _, key in ipairs(redis.call('KEYS', 'linkgate:*')) do \
                  local held = redis.call('TYPE', key).ok == 'hash' and redis.call('HGET', key, 'letter.next_at') \
                  if held then redis.call('HSET', key, 'letter.next_at', string.format('%.0f', held - 60000)) end end \
                for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do \
                  redis.call('ZINCRBY', KEYS[1], -60000, member) end return 1";
    assert_eq!(redis.cli(&["eval", pass, "1", "linkgate:{letters}"]).trim(), "1");
    let letter = several.mailbox.next_to("dave@example.org").await;
    assert_eq!(several.mailbox.all().len(), 1);
    let body = format!("{{\"token\":\"{}\",\"email\":\"dave@example.org\"}}", letter.token());
    assert_eq!(several.at(1, "POST /.linkgate/verify", &body).await.status, 200);
}

#[tokio::test]
async fn the_command_line_works_with_redis_as_with_a_file() {
    let (redis, app) = (Redis::start().await, App::start().await);
    let several = Several::on(&redis, 1, &app).await;
    let machine = &several.machines[0];
    let made =
        machine.run(&["link", "create", ALICE, "--expires", "30m", "--note", "by hand", "--json"]).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let listed = machine.run(&["link", "list", "--json"]).await;
    assert!(listed.contains(made["id"].as_str().unwrap()) && listed.contains("by hand"), "{listed}");
    machine.run(&["user", "add", "erin@example.org", "--name", "Erin"]).await;
    assert!(machine.run(&["user", "list"]).await.contains("erin@example.org"));
    let alice = Browser::new();
    several.sign_in(&alice, ALICE).await;
    assert!(machine.run(&["session", "list"]).await.contains(ALICE));
    assert!(machine.run(&["mail", "queue"]).await.contains("sent"));
    machine.run(&["link", "revoke", made["id"].as_str().unwrap()]).await;
    assert!(machine.run(&["link", "list", "--state", "revoked"]).await.contains("by hand"));
    machine.run(&["store", "cleanup"]).await;
    machine.run(&["explain", ALICE, &format!("GET {}", several.url("/"))]).await;
    let none = free_port();
    let config = std::fs::read_to_string(machine.place.config()).unwrap();
    let wrong = config
        .replace(&format!("127.0.0.1:{}\"\ntimeout", redis.port), &format!("127.0.0.1:{none}\"\ntimeout"));
    std::fs::write(machine.place.config(), wrong).unwrap();
    let began = Instant::now();
    let refused = machine.command(&["link", "list"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the store is away: Redis:"), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
}
