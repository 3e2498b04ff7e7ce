//! What a master and its replica owe to people who sign in: nobody comes in on a word that no replica has heard, and what a
//! page promised outlives the master. Real servers; the replica is stopped, the master killed.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::several::ALICE;
use crate::harness::several::Plan;
use crate::harness::several::Redis;
use crate::harness::several::Several;

/// A master, its replica, and machines that ask the master.
struct Pair {
    master: Redis,
    replica: Redis,
    several: Several,
    _app: App,
}

impl Pair {
    async fn start(machines: usize) -> Self {
        let (master, app) = (Redis::start().await, App::start().await);
        let replica = master.replica().await;
        let several =
            Several::with(&Plan { machines, timeout: "2s", ..Plan::new(&|_| master.port, &app.url()) }).await;
        Self { master, replica, several, _app: app }
    }
}

#[tokio::test]
async fn a_redemption_that_no_replica_confirmed_lets_in_at_no_later_click_before_one_has() {
    let Pair { master: _master, replica, several, _app } = Pair::start(1).await;
    let alice = Browser::new();
    let link = several.ask(&alice, ALICE).await;
    replica.signal("STOP");
    alice.visit(&link).await.expect(503);
    // The link says that it is used, and by which session: no reason to hand that session out.
    for click in ["second", "third"] {
        alice.visit(&link).await.expect(503);
        assert_eq!(several.status_at(0, &alice).await, 303, "not signed in by the {click} click");
    }
    // What the page says to do helps as soon as the replica hears again.
    replica.signal("CONT");
    alice.follow(&link).await.expect(200);
    assert_eq!(several.status_at(0, &alice).await, 200);
    // It was spent once: nobody else comes in by it.
    Browser::new().visit(&link).await.expect(410);
}
