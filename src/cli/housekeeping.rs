//! Keeps what is in memory true to the store: revocations, people and keys, four times a second and whenever the store
//! rings; tells the store what it lost; sweeps once an hour. Never lets anybody in: while the store does not answer, the
//! standing only grows older, until the gate refuses.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::KeyEpoch;
use crate::identity::Keyring;
use crate::identity::Standing;
use crate::policy::Sites;
use crate::store::News;
use crate::store::Store;
use crate::store::StoreError;

/// How often the store is asked whether another process changed it. A revocation counts within one second.
const POLL: Duration = Duration::from_millis(250);
/// So many ended sessions the store is told of between two looks. Where it lost a million, it has them all a minute or two
/// later, and nobody's news waits for that.
const TOLD_AT_ONCE: usize = 5_000;
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
    /// Why the store does not answer; empty while it does.
    pub trouble: watch::Sender<String>,
}

impl Housekeeping {
    /// Loads everything once; the gate lets nobody in before that.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn load(&self) -> Result<i64, StoreError> {
        let snapshot = self.store.snapshot().await?;
        let (version, now) = (snapshot.version, self.clock.now());
        self.renew_keys(&snapshot.epochs, now);
        self.standing.apply(snapshot, now);
        Ok(version)
    }

    /// Before the standing: whoever sees the new generation must find the new keys.
    fn renew_keys(&self, epochs: &[KeyEpoch], now: Timestamp) {
        if let Err(error) = self.keys.update(&self.standing.epochs_with(epochs, now)) {
            tracing::error!(%error, "the store holds no usable key epoch; the old keys stay");
        }
    }

    /// Runs until `stop` says true. `seen`: the version that was loaded; `None`: nothing was loaded yet.
    pub async fn run(self, mut seen: Option<i64>, mut stop: watch::Receiver<bool>) {
        let changes = self.store.changes();
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = self.clock.now();
        let mut swept: Option<Timestamp> = None;
        let mut sweeping: Option<JoinHandle<()>> = None;
        let mut away = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = changes.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let now = self.clock.now();
            match self.look(seen).await {
                Ok(version) => {
                    if away {
                        tracing::info!("the store answers again");
                        self.trouble.send_replace(String::new());
                    }
                    away = false;
                    seen = Some(version);
                }
                Err(error) => {
                    if !away {
                        tracing::error!(%error, "the store does not answer; people signed in go on for a while");
                    }
                    away = true;
                    self.trouble.send_replace(error.to_string());
                }
            }
            if self.somebody_ran_out(last, now) {
                self.standing.bump();
            }
            last = now;
            let due = swept.is_none_or(|swept| now.since(swept) >= SWEEP);
            if due && !away && sweeping.as_ref().is_none_or(JoinHandle::is_finished) {
                swept = Some(now);
                self.standing.sweep(now);
                // Beside the looks: with many records it may take longer than a revocation may.
                sweeping = Some(tokio::spawn(sweep(self.store.clone())));
            }
        }
    }

    /// Any other number is a change, a lower one too: a fail-over or a backup brought an older state back.
    async fn look(&self, seen: Option<i64>) -> Result<i64, StoreError> {
        let version = match seen {
            Some(seen) => match self.store.news(seen).await? {
                News::None => {
                    self.standing.confirm(self.clock.now());
                    seen
                }
                News::Told { version, change } => {
                    let now = self.clock.now();
                    if let Some(epochs) = &change.epochs {
                        self.renew_keys(epochs, now);
                    }
                    self.standing.change(change, now);
                    version
                }
                News::Much => self.load().await?,
            },
            None => self.load().await?,
        };
        self.unite().await;
        Ok(version)
    }

    /// What ended here has ended, whatever the store remembers: it is told until it has it, a part with each look.
    async fn unite(&self) {
        let unsaid = self.standing.unsaid(TOLD_AT_ONCE);
        if unsaid.is_empty() {
            return;
        }
        match self.store.unite(&unsaid).await {
            Ok(lost) => {
                self.standing.said(&unsaid);
                if lost > 0 {
                    tracing::info!(lost, "the store lacked what is known here to have ended, and has it now");
                }
            }
            // Reading may work where writing does not: what is known here stays in force here.
            Err(error) => tracing::debug!(%error, "the store does not take what it lacks; trying again"),
        }
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

async fn sweep(store: Store) {
    match store.sweep_in_turn().await {
        Ok(Some(_)) => {}
        Ok(None) => tracing::debug!("another instance sweeps this hour"),
        Err(error) => tracing::warn!(%error, "what has ended could not be swept"),
    }
}
