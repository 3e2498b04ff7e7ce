//! Fail-overs of Redis while people open their links: what was redeemed, acknowledged, and then lost with its master can be
//! redeemed once more. Counted here with `replicas = "auto"`, where nothing may be lost, and with `replicas = 0`, which shows
//! that the count can count. On a small scale in every run; `tests/slow/failover.sh` has it done again and again.

use crate::harness::app::App;
use crate::harness::eventually_within;
use crate::harness::given;
use crate::harness::letters::Letter;
use crate::harness::sentinels::Loss;
use crate::harness::sentinels::Sentinels;
use crate::harness::several::Plan;
use crate::harness::several::Several;
use serde_json::Value;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

/// People who open a link at the same moment.
const AT_ONCE: usize = 24;

/// What came of all the redemptions.
#[derive(Debug, Default)]
struct Count {
    fail_overs: u64,
    let_in: usize,
    /// Of those who were let in: with how many links somebody could come in once more.
    twice: usize,
    /// The same, where the master lived on.
    twice_beside: usize,
    refused: usize,
    /// Of those who were refused: whose link was spent all the same.
    spent: usize,
    unconfirmed: usize,
}

/// Redeems a link at one machine; again until the store has an answer, where that is `wanted`.
async fn redeem(several: &Several, machine: usize, letter: &Letter, wanted: bool) -> u16 {
    let body = format!("{{\"token\":\"{}\",\"email\":\"{}\"}}", letter.token(), letter.to);
    let ask = async || several.at(machine, "POST /.linkgate/verify", &body).await.status;
    if !wanted {
        return ask().await;
    }
    eventually_within(Duration::from_mins(1), "the store has an answer", async || {
        Some(ask().await).filter(|status| *status != 503)
    })
    .await
}

/// Links that every replica knows of.
async fn links(several: &Arc<Several>, redis: &Sentinels, round: u64, count: usize) -> Vec<Letter> {
    let mut tasks = JoinSet::new();
    for asker in 0..AT_ONCE {
        let several = Arc::clone(several);
        tasks.spawn(async move {
            for number in (asker..count).step_by(AT_ONCE) {
                let body = format!("{{\"email\":\"person-{round}-{number}@example.org\"}}");
                eventually_within(Duration::from_mins(1), "it is asked for", async || {
                    let answer = several.at(number % 2, "POST /.linkgate/login", &body).await;
                    (answer.status == 202).then_some(())
                })
                .await;
            }
        });
    }
    tasks.join_all().await;
    let letters = Mutex::new(Vec::new());
    eventually_within(Duration::from_secs(90), "every letter is there", async || {
        let mut letters = letters.lock().unwrap();
        letters.extend(several.mailbox.fresh());
        (letters.len() >= count).then_some(())
    })
    .await;
    // Nobody stood in the middle of a fail-over: one each.
    redis.settled().await;
    letters.into_inner().unwrap()
}

/// All links of a round are opened, and in the middle of it the master is lost.
async fn round(several: &Arc<Several>, redis: &mut Sentinels, number: u64, count: &mut Count) {
    let size = usize::try_from(given("FAILOVER_LINKS", 120)).unwrap();
    let letters = links(several, redis, number, size).await;
    let loss = if number.is_multiple_of(2) { Loss::Dies } else { Loss::CutOff };
    let queue = Arc::new(Mutex::new(VecDeque::from(letters)));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for person in 0..AT_ONCE {
        let (several, queue, answered) = (Arc::clone(several), Arc::clone(&queue), Arc::clone(&answered));
        tasks.spawn(async move {
            let mut outcomes = Vec::new();
            loop {
                let next = queue.lock().unwrap().pop_front();
                let Some(letter) = next else { return outcomes };
                let status = redeem(&several, person % 2, &letter, false).await;
                answered.fetch_add(1, Ordering::SeqCst);
                outcomes.push((letter, status));
            }
        });
    }
    let done = async |share: usize| {
        eventually_within(Duration::from_mins(1), "part of it is done", async || {
            (answered.load(Ordering::SeqCst) >= share).then_some(())
        })
        .await;
    };
    done(size / 4).await;
    // Whoever confirms from here on is another one: it must be the next master.
    redis.one_lags();
    done(size / 3).await;
    redis.lose(loss).await;
    redis.none_lags();
    redis.replaced().await;
    let outcomes = tasks.join_all().await;
    redis.mend().await;
    count.fail_overs += 1;
    // What the new master holds of them is read first: a try that is not confirmed would change it.
    let live = eventually_within(Duration::from_mins(1), "the links are listed", async || {
        let list = several.machines[0].command(&["link", "list", "--state", "active", "--json"]).await;
        list.status.success().then_some(list.stdout)
    })
    .await;
    let live: Vec<Value> = serde_json::from_slice(&live).unwrap();
    let live: HashSet<&str> = live.iter().map(|link| link["email"].as_str().unwrap()).collect();
    let mut tasks = JoinSet::new();
    for (at, (letter, before)) in outcomes.into_iter().flatten().enumerate() {
        let is_live = live.contains(letter.to.as_str());
        let several = Arc::clone(several);
        tasks.spawn(async move { (is_live, before, redeem(&several, at % 2, &letter, true).await) });
        if tasks.len() >= AT_ONCE {
            note(count, loss, tasks.join_next().await.unwrap().unwrap());
        }
    }
    for outcome in tasks.join_all().await {
        note(count, loss, outcome);
    }
}

fn note(count: &mut Count, loss: Loss, (live, before, after): (bool, u16, u16)) {
    assert!(after == 410 || (after == 200 && live), "live: {live}, and then {after}");
    match before {
        200 => {
            count.let_in += 1;
            count.twice += usize::from(live);
            count.twice_beside += usize::from(live && loss == Loss::CutOff);
        }
        503 => {
            count.refused += 1;
            count.spent += usize::from(!live);
        }
        other => panic!("a link that nobody else has opened: {other}"),
    }
}

/// Fail-overs with this `store.replicas`; every second one leaves the old master running.
async fn fail_overs(wanted: &str) -> Count {
    let replicas = usize::try_from(given("FAILOVER_REPLICAS", 1)).unwrap();
    let (mut redis, app) = (Sentinels::start(replicas).await, App::start().await);
    let store = format!("url = \"{}\"\nreplicas = {wanted}", redis.url());
    let upstream = app.url();
    let plan = Plan { store: &store, timeout: "2s", ..Plan::new(&|_| 0, &upstream) };
    let several = Arc::new(Several::with(&plan).await);
    let mut count = Count::default();
    for number in 0..given("FAILOVER_ROUNDS", 2) {
        round(&several, &mut redis, number, &mut count).await;
    }
    for machine in &several.machines {
        count.unconfirmed += machine.log().matches("no replica has confirmed").count();
    }
    println!(
        "slow: replicas = {wanted}, {replicas} in all: {} fail-overs in mid-redemption, {} let in, {} of them a second time \
         afterwards ({} where the old master lived on); {} refused ({} because unconfirmed; {} of these links were spent)",
        count.fail_overs,
        count.let_in,
        count.twice,
        count.twice_beside,
        count.refused,
        count.unconfirmed,
        count.spent
    );
    count
}

#[tokio::test]
async fn where_a_replica_confirms_no_fail_over_lets_anybody_in_twice() {
    let count = fail_overs("\"auto\"").await;
    assert!(count.let_in > 0, "{count:?}");
    assert_eq!(count.twice, 0, "{count:?}");
}

#[tokio::test]
async fn where_none_is_asked_a_fail_over_can_let_somebody_in_twice() {
    let count = fail_overs("\"0\"").await;
    assert!(count.twice > 0, "then it shows nothing that replicas confirm: {count:?}");
}
