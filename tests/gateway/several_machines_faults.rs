//! When Redis is away, stands still, is cut off, is full, was emptied or lost something: the rows of the table in
//! docs/redis.md, one by one, with real processes. Nothing here is restarted but Redis.

use crate::harness::app::App;
use crate::harness::browser::Answer;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::Place;
use crate::harness::letters::Letter;
use crate::harness::line::Line;
use crate::harness::line::Weather;
use crate::harness::process::crowd;
use crate::harness::several::ALICE;
use crate::harness::several::Plan;
use crate::harness::several::Redis;
use crate::harness::several::Several;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::task::JoinSet;

const BOB: &str = "bob@example.com";

/// What happens to Redis.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// `kill -9`; later it comes back with what is on its disk.
    Killed,
    /// SIGSTOP: it takes connections and answers none.
    Stopped,
    /// A partition: connections stand, no byte comes through.
    CutOff,
    /// No memory left, `noeviction`: it answers questions and takes nothing.
    Full,
}

struct House {
    redis: Redis,
    line: Line,
    several: Several,
    _app: App,
}

impl House {
    async fn start(machines: usize) -> Self {
        let (redis, app) = (Redis::start().await, App::start().await);
        let line = Line::to(vec![redis.port]).await;
        let several =
            Several::with(&Plan { machines, timeout: "1s", ..Plan::new(&|_| line.port, &app.url()) }).await;
        Self { redis, line, several, _app: app }
    }

    fn begin(&self, fault: Fault) {
        match fault {
            Fault::Killed => self.redis.kill(),
            Fault::Stopped => self.redis.signal("STOP"),
            Fault::CutOff => self.line.is(Weather::Silent),
            Fault::Full => {
                self.redis.cli(&["config", "set", "maxmemory", "1"]);
            }
        }
    }

    async fn end(&self, fault: Fault) {
        match fault {
            Fault::Killed => self.redis.restart().await,
            Fault::Stopped => self.redis.signal("CONT"),
            Fault::CutOff => self.line.is(Weather::Fair),
            Fault::Full => {
                self.redis.cli(&["config", "set", "maxmemory", "0"]);
            }
        }
    }
}

/// The deadline is a second; what a page takes beyond it is the machine's own, and here many tests share one. A page that
/// asks several things of the store waits for the first that fails.
#[track_caller]
fn assert_in_time(began: Instant) {
    let (passed, crowd) = (began.elapsed(), crowd());
    assert!(
        passed < Duration::from_secs(2).mul_f64(crowd.max(2.0)),
        "{passed:?}, {crowd:.1} tasks a processor"
    );
}

#[track_caller]
fn assert_says_so(page: Answer) {
    let page = page.expect(503);
    assert!(!page.header("retry-after").is_empty(), "it says when to try again");
    assert!(page.text().contains("<h1>"), "a page, not a bare line: {}", page.text());
}

/// The table of docs/redis.md, and that all of it is over when the fault is.
async fn the_table_holds(fault: Fault) {
    let house = House::start(2).await;
    let several = &house.several;
    several.front.aim(0);
    let (alice, bob, carol) = (Browser::new(), Browser::new(), Browser::new());
    let (phone, tablet) = (Browser::new(), Browser::new());
    for own in [&phone, &tablet, &alice] {
        several.sign_in(own, ALICE).await;
    }
    let fresh_link = several.ask(&bob, BOB).await;
    carol.visit(&several.url("/.linkgate/login")).await.expect(200);
    assert_eq!(several.status_at(1, &alice).await, 200);
    let before = alice.cookie("localhost", "linkgate");

    house.begin(fault);
    for machine in 0..2 {
        several.front.aim(machine);
        let began = Instant::now();
        // Open: who is signed in goes on, and what is public is public; neither asks Redis.
        alice.visit(&several.url("/")).await.expect(200);
        Browser::new().visit(&several.url("/open/")).await.expect(200);
        carol.visit(&several.url("/.linkgate/login")).await.expect(200);
        assert_in_time(began);
        // Closed: nobody new comes in, neither by asking nor by a link that was sent before.
        let began = Instant::now();
        let fields = [("email", "carol@example.org"), ("return_to", "/")];
        assert_says_so(carol.post_form(&several.url("/.linkgate/login"), &fields).await);
        assert_in_time(began);
        let began = Instant::now();
        assert_says_so(bob.visit(&fresh_link).await);
        assert_in_time(began);
    }
    if fault != Fault::Full {
        eventually("/readyz says that Redis is away, and that the machine serves all the same", async || {
            let ready = several.readiness(0).await.expect(200).json();
            let check = &ready["checks"][0];
            (ready["ready"] == true && check["ok"] == false).then(|| {
                let detail = check["detail"].as_str().unwrap();
                assert!(detail.contains("Redis"), "{detail}");
            })
        })
        .await;
    }
    // Signing out counts at once where it is done, and says that it could not be told to the others.
    several.front.aim(0);
    assert_says_so(alice.post_form(&several.url("/.linkgate/logout"), &[]).await);
    let thief = Browser::new();
    thief.set_cookie("localhost", "linkgate", &before);
    assert_ne!(several.status_at(0, &thief).await, 200, "out at this machine");
    assert_eq!(several.status_at(0, &tablet).await, 200, "that was one session");
    several.front.aim(0);
    let everywhere = [("everywhere", "1")];
    assert_says_so(phone.post_form(&several.url("/.linkgate/logout"), &everywhere).await);
    assert_ne!(several.status_at(0, &tablet).await, 200, "all of them are out at this machine");

    house.end(fault).await;
    // What ended while Redis was away has ended everywhere, though nobody says it again.
    for ended in [&thief, &tablet] {
        eventually("the other machine knows", async || {
            (several.status_at(1, ended).await != 200).then_some(())
        })
        .await;
    }
    eventually("/readyz is content", async || {
        let ready = several.readiness(1).await;
        (ready.status == 200 && ready.json()["checks"][0]["ok"] == true).then_some(())
    })
    .await;
    // The link was not spent, and signing in works, without any restart.
    several.front.aim(1);
    bob.follow(&fresh_link).await.expect(200);
    let dave = Browser::new();
    several.sign_in(&dave, "dave@example.org").await;
    assert_eq!(several.status_at(0, &dave).await, 200);
}

#[tokio::test]
async fn while_redis_is_killed_the_table_holds_and_afterwards_all_works() {
    the_table_holds(Fault::Killed).await;
}

#[tokio::test]
async fn while_redis_stands_still_the_table_holds_and_afterwards_all_works() {
    the_table_holds(Fault::Stopped).await;
}

#[tokio::test]
async fn while_redis_is_cut_off_the_table_holds_and_afterwards_all_works() {
    the_table_holds(Fault::CutOff).await;
}

#[tokio::test]
async fn while_redis_has_no_memory_left_the_table_holds_and_afterwards_all_works() {
    the_table_holds(Fault::Full).await;
}

#[tokio::test]
async fn a_machine_that_starts_while_redis_is_away_guesses_nothing_and_needs_no_restart() {
    let house = House::start(2).await;
    let several = &house.several;
    let alice = Browser::new();
    several.front.aim(0);
    several.sign_in(&alice, ALICE).await;
    house.redis.kill();
    several.machines[1].kill();
    let place = Place::new();
    let config = std::fs::read_to_string(several.machines[1].place.config()).unwrap();
    let monitor = several.machines[1].place.monitor;
    let late = Gateway::begin(place, &config);
    let url = format!("http://127.0.0.1:{monitor}/readyz");
    let said = eventually("its monitor answers", async || {
        crate::harness::browser::try_fetch(None, "GET", &url, &[], Vec::new()).await.ok()
    })
    .await;
    let said = said.expect(503).json();
    assert_eq!(said["ready"], false);
    let detail = said["checks"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("since the start") && detail.contains("Redis"), "{detail}");
    several.front.aim(1);
    // It knows no revocation: who shows a session is told to wait, what is public is there, nobody can begin to sign in.
    assert_says_so(alice.visit(&several.url("/")).await);
    Browser::new().visit(&several.url("/open/")).await.expect(200);
    assert_says_so(Browser::new().visit(&several.url("/.linkgate/login")).await);

    house.redis.restart().await;
    eventually("it has loaded", async || (several.status_at(1, &alice).await == 200).then_some(())).await;
    let bob = Browser::new();
    several.sign_in(&bob, BOB).await;
    drop(late);
}

#[tokio::test]
async fn an_emptied_redis_brings_nobody_back_and_puts_nobody_out() {
    let house = House::start(2).await;
    let several = &house.several;
    let (alice, bob) = (Browser::new(), Browser::new());
    several.front.aim(0);
    several.sign_in(&alice, ALICE).await;
    several.sign_in(&bob, BOB).await;
    several.machines[0].run(&["session", "revoke", "--email", BOB]).await;
    for machine in 0..2 {
        eventually("Bob is out", async || (several.status_at(machine, &bob).await != 200).then_some(()))
            .await;
    }
    house.redis.cli(&["flushall"]);
    eventually("Redis knows again what had ended", async || {
        (house.redis.cli(&["zcard", "linkgate:{standing}:revoked"]).trim() == "1").then_some(())
    })
    .await;
    // A machine that starts now learns it too.
    several.machines[1].kill();
    several.machines[1].restart().await;
    for machine in 0..2 {
        assert_ne!(several.status_at(machine, &bob).await, 200, "Bob at machine {machine}");
        assert_eq!(several.status_at(machine, &alice).await, 200, "Alice at machine {machine}");
    }
    let carol = Browser::new();
    several.sign_in(&carol, "carol@example.org").await;
    assert_eq!(several.status_at(1, &carol).await, 200);
}

#[tokio::test]
async fn an_older_state_of_redis_makes_no_revocation_and_no_key_rotation_undone() {
    let house = House::start(2).await;
    let several = &house.several;
    let (alice, bob) = (Browser::new(), Browser::new());
    several.front.aim(0);
    several.sign_in(&alice, ALICE).await;
    let old = house.redis.cli(&["lrange", "linkgate:{standing}:epochs", "0", "-1"]);
    let version = house.redis.cli(&["get", "linkgate:{standing}:version"]);
    several.machines[0].run(&["key", "rotate", "--now"]).await;
    eventually("Alice is out", async || (several.status_at(1, &alice).await != 200).then_some(())).await;
    several.front.aim(0);
    several.sign_in(&bob, BOB).await;
    // What a fail-over, or a backup that was put back, may do: the counter goes back as well.
    for key in ["revoked", "epochs"] {
        house.redis.cli(&["del", &format!("linkgate:{{standing}}:{key}")]);
    }
    house.redis.cli(&["rpush", "linkgate:{standing}:epochs", old.trim()]);
    house.redis.cli(&["set", "linkgate:{standing}:version", version.trim()]);
    eventually("the machines have told Redis", async || {
        let epochs = house.redis.cli(&["lrange", "linkgate:{standing}:epochs", "0", "-1"]);
        (epochs.lines().count() == 2 && !epochs.lines().nth(1).unwrap().ends_with('-')).then_some(())
    })
    .await;
    several.machines[1].kill();
    several.machines[1].restart().await;
    for machine in 0..2 {
        assert_ne!(several.status_at(machine, &alice).await, 200, "Alice at machine {machine}");
        assert_eq!(several.status_at(machine, &bob).await, 200, "Bob at machine {machine}");
    }
}

/// Letters for so many people, asked for at machine 0.
async fn letters(several: &Several, count: usize) -> Vec<Letter> {
    for number in 0..count {
        let body = format!("{{\"email\":\"person-{number}@example.org\"}}");
        let answer = several.at(0, "POST /.linkgate/login", &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }
    eventually("every letter is there", async || {
        let letters = several.mailbox.all();
        (letters.len() >= count).then_some(letters)
    })
    .await
}

/// Everybody's link at both machines, twice at once: how often it let in, and how often Redis was said to be away.
async fn tried(several: &Arc<Several>, letter: &Letter) -> (usize, usize) {
    let mut tasks = JoinSet::new();
    for number in 0..4 {
        let several = Arc::clone(several);
        let body = format!("{{\"token\":\"{}\",\"email\":\"{}\"}}", letter.token(), letter.to);
        tasks.spawn(async move { several.at(number % 2, "POST /.linkgate/verify", &body).await.status });
    }
    let statuses = tasks.join_all().await;
    assert!(statuses.iter().all(|status| [200, 410, 503].contains(status)), "{statuses:?}");
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    (count(200), count(503))
}

#[tokio::test]
async fn on_a_slow_line_that_loses_pieces_each_link_lets_in_once() {
    let House { redis: _redis, line, several, _app } = House::start(2).await;
    let several = Arc::new(several);
    line.is(Weather::Rough { late: Duration::from_millis(5), every: 40 });
    for letter in letters(&several, 12).await {
        assert_eq!(tried(&several, &letter).await.0, 1, "{}", letter.to);
    }
}

#[tokio::test]
async fn on_a_line_that_breaks_again_and_again_no_link_lets_in_twice() {
    let House { redis: _redis, line, several, _app } = House::start(2).await;
    let several = Arc::new(several);
    let letters = letters(&several, 20).await;
    let line = Arc::new(line);
    let breaking = Arc::clone(&line);
    let breaker = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_millis(15));
        loop {
            pause.tick().await;
            breaking.is(Weather::Cut);
            pause.tick().await;
            breaking.is(Weather::Fair);
        }
    });
    let mut won = Vec::new();
    for letter in &letters {
        won.push(tried(&several, letter).await);
    }
    breaker.abort();
    line.is(Weather::Fair);
    assert!(won.iter().any(|(_, away)| *away > 0), "the line broke where it mattered: {won:?}");
    // What was spent stays spent, even where the answer never came; what was not spent lets in once.
    for (letter, (before, _)) in letters.iter().zip(won) {
        let (after, _) = tried(&several, letter).await;
        assert!(before + after <= 1, "{}: {before} and {after}", letter.to);
    }
}
