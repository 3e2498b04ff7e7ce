//! The organisation's own token service holds the link records, beside a ledger of our own in SQLite. Each link is in
//! both, and lets in only while both agree: the ledger spends first and never forgets, the service can take away and
//! never give. Sessions, people, letters, audit and keys are in SQLite alone. Never follows a redirect, never waits
//! longer than it was told to.

mod address;
mod asks;
mod books;
mod document;
mod record;
mod tls;
mod wire;
mod worker;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

pub use address::ServiceAddress;

use self::asks::{Answer, Ask, Asked};
use self::record::Claimant;
use self::wire::Wire;
use self::worker::{QUEUE, Worker};
use super::sqlite::{Objection, Sqlite};
use super::transfer::{Census, Delivery, Moved};
use super::{
    CodeRedeemed, HttpSettings, LinkRecord, LinkState, NewLetter, NewLink, Redeemed, Redeemer, SessionRecord,
    StoreError, Swept, Which,
};
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::KeyEpoch;
use crate::identity::SessionId;
use crate::random::Random;

/// How much longer than the service we wait for our own thread, so that it can say what went wrong.
const GRACE: Duration = Duration::from_millis(100);

/// How long the service may take for all links of another store at once, while nobody waits who wants to sign in.
const PUBLISHING: Duration = Duration::from_mins(1);

/// A ledger, and a thread that speaks to the service.
#[derive(Clone, Debug)]
pub(super) struct Http {
    sqlite: Sqlite,
    asks: mpsc::Sender<Asked>,
    troubles: watch::Receiver<String>,
    clock: Clock,
    timeout: Duration,
}

impl Http {
    /// Opens the ledger. The service is not asked before somebody needs it.
    pub(super) fn open(settings: &HttpSettings, clock: &Clock, random: &Random) -> Result<Self, StoreError> {
        let wire = Wire::new(settings)?;
        let sqlite = Sqlite::open(&settings.path, clock, random)?;
        let (asks, waiting) = mpsc::channel(QUEUE);
        let (trouble, troubles) = watch::channel(String::new());
        let mut lock = settings.path.as_os_str().to_owned();
        lock.push("-service");
        let (timeout, lock, ledger, time) =
            (settings.timeout, PathBuf::from(lock), sqlite.clone(), clock.clone());
        let no_thread =
            |error: &dyn std::fmt::Display| StoreError::Away(format!("no thread for it: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| no_thread(&error))?;
        let work = move || {
            runtime.block_on(async move {
                let by = Claimant { owner: ledger.instance().to_owned(), turns: Vec::new() };
                let worker = Worker {
                    sqlite: ledger,
                    wire,
                    clock: time,
                    lock,
                    by,
                    timeout,
                    behind: false,
                    claimed: false,
                    trouble,
                };
                worker.run(waiting).await;
            });
        };
        thread::Builder::new()
            .name("store-service".to_owned())
            .spawn(work)
            .map_err(|error| no_thread(&error))?;
        Ok(Self { sqlite, asks, troubles, clock: clock.clone(), timeout })
    }

    /// Why the service could not be used when it was asked last; empty: it could.
    pub(super) fn trouble(&self) -> String {
        self.troubles.borrow().clone()
    }

    pub(super) fn letters_waiting(&self) -> Arc<Notify> {
        self.sqlite.letters_waiting()
    }

    async fn ask<T>(&self, ask: impl FnOnce(Answer<T>) -> Ask) -> Result<T, StoreError> {
        self.ask_within(self.timeout, ask).await
    }

    async fn ask_within<T>(
        &self,
        patience: Duration,
        ask: impl FnOnce(Answer<T>) -> Ask,
    ) -> Result<T, StoreError> {
        let until = Instant::now() + patience;
        let (sender, answer) = oneshot::channel();
        self.asks.try_send(Asked { ask: ask(sender), until }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Full,
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        match timeout_at(until + GRACE, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(ended())),
            Err(_) => Err(StoreError::Away("the token service did not answer in time".to_owned())),
        }
    }

    /// For verbs in which the service has a part.
    pub(super) const fn both(&self) -> &Self {
        self
    }

    /// For all others: records that are ours alone.
    pub(super) const fn ledger(&self) -> &Sqlite {
        &self.sqlite
    }

    /// The service first: what was never promised may lie there, but a letter never carries a link that the service does
    /// not hold. Commits with the ledger.
    pub(super) async fn put_link(&self, link: NewLink, letter: Option<NewLetter>) -> Result<(), StoreError> {
        self.ask(|answer| Ask::Put { link, letter, answer }).await
    }

    /// The service reads and writes as for a link, but what it holds already.
    pub(super) async fn pretend_link(
        &self,
        link: NewLink,
        letter: Option<NewLetter>,
    ) -> Result<(), StoreError> {
        let pretended = link.clone();
        self.ask(|answer| Ask::Pretend { link: pretended, answer }).await?;
        self.sqlite.pretend_link(link, letter).await
    }

    /// Commits in the ledger; nobody is let in before the service has heard of it. What the ledger refuses is refused
    /// without asking anybody.
    pub(super) async fn redeem(&self, token_hash: [u8; 32], by: Redeemer) -> Result<Redeemed, StoreError> {
        let live = self.sqlite.peek_link(token_hash).await?;
        if live.is_none_or(|link| link.state(self.clock.now()) != LinkState::Active) {
            let nobody = |_: &LinkRecord| Some(Objection::Unknown("the service was not asked"));
            return self.sqlite.redeem_judged(token_hash, by, nobody).await;
        }
        self.ask(|answer| Ask::Redeem { token_hash, by, answer }).await
    }

    /// As `redeem`.
    pub(super) async fn redeem_code(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
        code_tag: [u8; 32],
        by: Redeemer,
    ) -> Result<CodeRedeemed, StoreError> {
        let site = site.to_owned();
        self.ask(|answer| Ask::Code { site, nonce_hash, code_tag, by, answer }).await
    }

    /// A redemption that the service is just being told of comes first: should it not be heard, its session has ended.
    pub(super) async fn resume(
        &self,
        token_hash: [u8; 32],
        id: SessionId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        self.settle().await?;
        self.sqlite.resume(token_hash, id).await
    }

    /// Commits in the ledger, where it is in force at once; the service is told, and told again if need be.
    pub(super) async fn revoke_links(&self, which: Which) -> Result<u64, StoreError> {
        let revoked = self.sqlite.revoke_links(which).await?;
        if revoked > 0 {
            self.tell().await;
        }
        Ok(revoked)
    }

    /// As `revoke_links`.
    pub(super) async fn rotate_keys(
        &self,
        now_only: bool,
        keep_until: Timestamp,
    ) -> Result<KeyEpoch, StoreError> {
        let epoch = self.sqlite.rotate_keys(now_only, keep_until).await?;
        if now_only {
            self.tell().await;
        }
        Ok(epoch)
    }

    /// Lays the two books side by side too. A service that is away is no failure; another linkgate that writes there is.
    pub(super) async fn sweep(&self) -> Result<Swept, StoreError> {
        let swept = self.sqlite.sweep().await?;
        self.look().await.map(|()| swept)
    }

    /// Begins to serve: who does so with an older copy of the ledger is known from then on.
    pub(super) async fn admit(&self) -> Result<(), StoreError> {
        self.sqlite.begin_turn().await?;
        self.look().await
    }

    async fn look(&self) -> Result<(), StoreError> {
        match self.settle().await {
            Err(error @ StoreError::Invalid(_)) => Err(error),
            // It is in the log, and is done as soon as the service answers.
            Ok(()) | Err(StoreError::Away(_) | StoreError::Full | StoreError::Corrupt(_)) => Ok(()),
        }
    }

    pub(super) async fn export(&self, out: mpsc::Sender<Vec<Moved>>) -> Result<(), StoreError> {
        // What the service took away is taken away in the export. One that is gone for good must not keep anybody.
        self.tell().await;
        self.sqlite.export(out).await
    }

    /// Live links are written to the service before the ledger counts, unless a linkgate has written there before: then
    /// the service knows best which of them are still wanted.
    pub(super) async fn import(&self, mut records: mpsc::Receiver<Delivery>) -> Result<Census, StoreError> {
        let (sender, inner) = mpsc::channel(1);
        let pass = async move {
            let mut links = Vec::new();
            while let Some(delivery) = records.recv().await {
                match &delivery {
                    Delivery::Records(records) => links.extend(self.live(records)),
                    Delivery::Complete => {
                        let links = std::mem::take(&mut links);
                        self.ask_within(PUBLISHING, |answer| Ask::Publish { links, answer }).await?;
                    }
                }
                // Who refused says why itself.
                if sender.send(delivery).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let (imported, passed) = tokio::join!(self.sqlite.import(inner), pass);
        passed.and(imported)
    }

    /// Makes this linkgate the one that writes to the service.
    pub(super) async fn claim(&self) -> Result<(), StoreError> {
        self.sqlite.begin_turn().await?;
        self.ask(|answer| Ask::Claim { answer }).await
    }

    fn live(&self, records: &[Moved]) -> Vec<LinkRecord> {
        let now = self.clock.now();
        let links = records.iter().filter_map(|record| match record {
            Moved::Link(link) => Some(link.clone().into_link().0),
            Moved::Epoch(_)
            | Moved::Person(_)
            | Moved::Session(_)
            | Moved::Refused(_)
            | Moved::CodeFailure(_)
            | Moved::Audit(_) => None,
        });
        links.filter(|link| link.state(now) == LinkState::Active).collect()
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.ask(|answer| Ask::Settle { answer }).await
    }

    /// As `settle`; where it fails it is in the log, and is done later.
    async fn tell(&self) {
        if let Err(error) = self.settle().await {
            tracing::warn!(%error, "the token service will be told later what was taken away");
        }
    }
}

fn ended() -> StoreError {
    StoreError::Away(
        "the thread that speaks to the token service has ended; see the log, and restart linkgate".to_owned(),
    )
}
