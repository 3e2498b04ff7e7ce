//! Keeps what is in memory true to the store: revocations, people and keys, four times a second; sweeps once an hour.
//! Never lets anybody in: while the store does not answer, the standing only grows older, until the gate refuses.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::Keyring;
use crate::identity::Standing;
use crate::policy::Sites;
use crate::store::Store;
use crate::store::StoreError;

/// How often the store is asked whether another process changed it. A revocation counts within one second.
const POLL: Duration = Duration::from_millis(250);
/// How often what has ended is removed.
const SWEEP: Duration = Duration::from_hours(1);

/// What the loop looks after.
pub struct Housekeeping {
    /// Asked.
    pub store: Store,
    /// Kept true.
    pub standing: Arc<Standing>,
    /// Kept true.
    pub keys: Arc<Keyring>,
    /// The sites in force: people named there may have an end too.
    pub sites: watch::Receiver<Arc<Sites>>,
    /// Time.
    pub clock: Clock,
}

impl Housekeeping {
    /// Loads everything once; the gate lets nobody in before that.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn load(&self) -> Result<i64, StoreError> {
        let version = self.store.version().await?;
        let snapshot = self.store.snapshot().await?;
        // Keys first: whoever sees the new generation must find the new keys.
        if let Err(error) = self.keys.update(&snapshot.epochs) {
            tracing::error!(%error, "the store holds no usable key epoch; the old keys stay");
        }
        self.standing.apply(snapshot, self.clock.now());
        Ok(version)
    }

    /// Runs until `stop` says true.
    pub async fn run(self, mut seen: i64, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = self.clock.now();
        let mut swept = last;
        let mut away = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let now = self.clock.now();
            match self.look(seen).await {
                Ok(version) => {
                    if away {
                        tracing::info!("the store answers again");
                    }
                    away = false;
                    seen = version;
                }
                Err(error) if !away => {
                    tracing::error!(%error, "the store does not answer; people signed in go on for a while");
                    away = true;
                }
                Err(_) => {}
            }
            if self.somebody_ran_out(last, now) {
                self.standing.bump();
            }
            last = now;
            if now.since(swept) >= SWEEP {
                swept = now;
                if let Err(error) = self.store.sweep().await {
                    tracing::warn!(%error, "what has ended could not be swept");
                }
            }
        }
    }

    async fn look(&self, seen: i64) -> Result<i64, StoreError> {
        if self.store.version().await? == seen {
            self.standing.confirm(self.clock.now());
            return Ok(seen);
        }
        self.load().await
    }

    /// Whether somebody's `until` lies between two looks: passes made before it must be judged again.
    fn somebody_ran_out(&self, before: Timestamp, now: Timestamp) -> bool {
        let ended = |until: Option<Timestamp>| until.is_some_and(|until| before < until && until <= now);
        let sites = Arc::clone(&self.sites.borrow());
        let stored = self.standing.ends();
        let in_file: HashSet<Timestamp> =
            sites.all().iter().flat_map(|site| site.users.values()).filter_map(|user| user.until).collect();
        stored.into_iter().chain(in_file).any(|until| ended(Some(until)))
    }
}
