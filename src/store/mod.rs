//! What outlives a request: links, sessions, tickets, people, letters, audit, key epochs. Knows no status codes, cookies
//! or pages; never holds a token or a code that would let somebody in, and never sees a letter's text.
//!
//! # The contract that every backend keeps
//!
//! - Each verb is one transaction with one commit point: the end of the call. `Ok` is answered after it is on the disk
//!   (`kill -9` loses nothing answered); after `Err` nothing was changed, or, when the disk itself failed, the caller
//!   may not assume either. A caller that goes away does not undo what was begun.
//! - Expiry, revocation and uses are judged inside that transaction, by the store's own clock, never by a sweep.
//! - Verbs that spend something (`redeem`, `redeem_code`, `try_address`, `again_once`, `take_ticket`) have exactly
//!   one winner, among all tasks and all processes.
//! - Missing is `Ok(None)` or its own variant; broken is `Err`. The two never share a path.
//! - `version` changes, in every process, with every commit that changes what `snapshot` says, and with no other.

#[cfg(test)]
mod contract;
mod error;
mod generations;
mod http;
mod limit;
mod redis;
mod settings;
mod sqlite;
pub mod transfer;
mod types;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

pub use error::StoreError;
pub use generations::Generations;
pub use http::ServiceAddress;
pub use redis::check_url as check_redis_url;
pub use settings::{HttpSettings, RedisSettings, Replicas, Settings};
pub use types::{
    ADDRESS_TRIES, AddressTry, AuditEvent, AuditFilter, CODE_FAILURES_A_DAY, CODE_TRIES, CodeRedeemed,
    LeasedLetter, LetterRecord, LetterState, LinkFilter, LinkRecord, LinkState, MadeBy, NewLetter, NewLink,
    NewTicket, News, Quota, Redeemed, Redeemer, SessionFilter, SessionRecord, Swept, TicketRecord, Which,
};

use self::transfer::{Census, Delivery, Moved};
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::KeyEpoch;
use crate::identity::Profile;
use crate::identity::SessionId;
use crate::identity::Snapshot;
use crate::identity::Unsaid;
use crate::random::Random;

/// The store. Cheap to clone; clones are one.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Backend,
    limits: Arc<limit::Limits>,
    clock: Clock,
}

#[derive(Clone, Debug)]
enum Backend {
    Sqlite(sqlite::Sqlite),
    Redis(redis::Redis),
    Http(http::Http),
}

impl Store {
    /// SQLite: opens the file, or makes it (mode 0600), brings its schema up to date and sweeps it. A second process may
    /// have it open too. Blocks for some milliseconds: call it before serving.
    ///
    /// Redis: asks it nothing yet, so that a Redis that is away keeps nobody from starting; the first verb connects.
    /// Call it inside the runtime that outlives the store: connections live there, whoever uses them.
    ///
    /// # Errors
    /// A file that cannot be opened, is of a newer linkgate, or is not of linkgate at all; an address that cannot be one;
    /// each says the cure.
    pub fn open(settings: &Settings, clock: &Clock, random: &Random) -> Result<Self, StoreError> {
        let backend = match settings {
            Settings::Sqlite { path } => Backend::Sqlite(sqlite::Sqlite::open(path, clock, random)?),
            Settings::Redis(settings) => Backend::Redis(redis::Redis::open(settings, clock, random)?),
            Settings::Http(settings) => Backend::Http(http::Http::open(settings, clock, random)?),
        };
        Ok(Self { backend, limits: Arc::default(), clock: clock.clone() })
    }

    /// Before serving: refuses a store that another linkgate uses as its own. One that is away is no hindrance.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: who else is there, and the cure.
    pub async fn admit(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Http(http) => http.admit().await,
            Backend::Sqlite(_) | Backend::Redis(_) => Ok(()),
        }
    }

    /// Why nobody can be signed in though records can be read: the token service could not be used when it was asked last.
    /// Empty: it could, or there is none.
    #[must_use]
    pub fn trouble(&self) -> String {
        match &self.backend {
            Backend::Http(http) => http.trouble(),
            Backend::Sqlite(_) | Backend::Redis(_) => String::new(),
        }
    }

    /// Rung when a letter was put or brought back by this process. It holds one ring for one listener.
    #[must_use]
    pub fn letters_waiting(&self) -> Arc<Notify> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.letters_waiting(),
            Backend::Redis(redis) => redis.letters_waiting(),
            Backend::Http(http) => http.letters_waiting(),
        }
    }

    /// Rung when another process may have changed what `snapshot` says: look at `version` then, and from time to time
    /// without it. Call it once, inside the runtime that outlives the store. A store that cannot tell never rings.
    #[must_use]
    pub fn changes(&self) -> Arc<Notify> {
        match &self.backend {
            Backend::Redis(redis) => redis.changes(),
            Backend::Sqlite(_) | Backend::Http(_) => Arc::default(),
        }
    }

    /// What has changed since version `seen`, of which [`Store::snapshot`] or an earlier call has told.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is known then.
    pub async fn news(&self, seen: i64) -> Result<News, StoreError> {
        if let Backend::Redis(redis) = &self.backend {
            return redis.news(seen).await;
        }
        Ok(if self.version().await? == seen { News::None } else { News::Much })
    }

    /// Tells the store what memory knows and it may lack, and says how much it did. A file loses nothing that it has
    /// committed; it lacks what it could not write when it was asked to.
    ///
    /// # Errors
    /// [`StoreError`]; part of it may have been taken: tell it again.
    pub async fn unite(&self, unsaid: &Unsaid) -> Result<u64, StoreError> {
        match &self.backend {
            _ if unsaid.is_empty() => Ok(0),
            Backend::Redis(redis) => redis.unite(unsaid).await,
            Backend::Sqlite(sqlite) => sqlite.unite(unsaid).await,
            Backend::Http(http) => http.ledger().unite(unsaid).await,
        }
    }

    /// Waits until replicas have confirmed what this process took away, where they are to; some seconds at most. For
    /// processes that end, and whose repetitions end with them. A file confirms with each commit.
    ///
    /// # Errors
    /// [`StoreError::Away`]: it is in force, but may be lost with its server; and the cure.
    pub async fn confirmed(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Redis(redis) => redis.confirmed().await,
            Backend::Sqlite(_) | Backend::Http(_) => Ok(()),
        }
    }

    /// Takes one from a bucket, if the quota has one left. SQLite: in memory, of this process alone. Redis: shared by
    /// all who use it.
    ///
    /// # Errors
    /// [`StoreError::Away`]: nobody knows what is left, so nothing may be done that the quota is about.
    pub async fn spend(&self, bucket: &str, quota: Quota) -> Result<bool, StoreError> {
        if let Backend::Redis(redis) = &self.backend {
            return redis.spend_from(bucket, quota).await;
        }
        Ok(self.limits.spend(bucket, quota, self.clock.now()))
    }

    /// Removes what is of no more use to anybody. Nothing depends on it but size.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was removed then.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        self.limits.shrink(self.clock.now());
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.sweep().await,
            Backend::Redis(redis) => redis.sweep().await,
            Backend::Http(http) => http.sweep().await,
        }
    }

    /// As [`Store::sweep`], which one of all who share the store does for all of them each hour. `None`: it was not our
    /// turn.
    ///
    /// # Errors
    /// [`StoreError`]; whose turn it is nobody may know then, and another hour comes.
    pub async fn sweep_in_turn(&self) -> Result<Option<Swept>, StoreError> {
        if let Backend::Redis(redis) = &self.backend
            && !redis.is_our_turn().await?
        {
            return Ok(None);
        }
        self.sweep().await.map(Some)
    }

    /// Makes this linkgate the one that writes to the organisation's token service, in place of one that is gone.
    ///
    /// # Errors
    /// [`StoreError`]; a store of another kind has nothing to claim.
    pub async fn claim(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Http(http) => http.claim().await,
            Backend::Sqlite(_) | Backend::Redis(_) => Err(StoreError::Invalid(
                "only a store of kind = \"http\" is claimed; this one is of another kind".to_owned(),
            )),
        }
    }
}

/// Writes each verb once: its promise, its name, and the backend that does it. `$part`: of a store with a token service,
/// the ledger alone, or both.
macro_rules! verbs {
    ($part:ident: $($(#[$promise:meta])* $verb:ident($($name:ident: $what:ty),*) -> $answer:ty;)*) => {
        impl Store {
            $(
                $(#[$promise])*
                ///
                /// # Errors
                /// [`StoreError`]; see the contract of this room.
                pub async fn $verb(&self, $($name: $what),*) -> Result<$answer, StoreError> {
                    match &self.backend {
                        Backend::Sqlite(sqlite) => sqlite.$verb($($name),*).await,
                        // On the heap: where the store is SQLite, nobody's task grows by what the others need.
                        Backend::Redis(redis) => Box::pin(redis.$verb($($name),*)).await,
                        Backend::Http(http) => Box::pin(http.$part().$verb($($name),*)).await,
                    }
                }
            )*
        }
    };
}

// In which a token service has a part.
verbs! { both:
    /// Keeps a link and its letter, both or neither, and rings [`Store::letters_waiting`]. A link that carries the code
    /// of an earlier one (same browser, address and seed) takes over its count of wrong tries.
    put_link(link: NewLink, letter: Option<NewLetter>) -> ();
    /// Asks everybody whom `put_link` would ask, waits for whom it would wait for, fails where it would, and keeps
    /// nothing: for who must not learn that no letter is sent.
    pretend_link(link: NewLink, letter: Option<NewLetter>) -> ();
    /// Spends one use of a live link, writes the session, notes it in the link, voids the link's code and ends the old
    /// session: all or nothing. Among any number of callers a single-use link has one winner.
    redeem(token_hash: [u8; 32], by: Redeemer) -> Redeemed;
    /// The same by a typed code. Tries are counted here, before anybody learns whether the code was right.
    redeem_code(site: &str, nonce_hash: [u8; 32], code_tag: [u8; 32], by: Redeemer) -> CodeRedeemed;
    /// The session that a link made, to be given to its browser a second time: as sure as `redeem` would be of it, or an
    /// error. `None`: the link did not make it, or it is past its absolute end.
    resume(token_hash: [u8; 32], id: SessionId) -> Option<SessionRecord>;
    /// Takes back links that still let in, with the letters that wait to carry them. Says how many.
    revoke_links(which: Which) -> u64;
    /// Begins a new key epoch. Older ones are believed until `keep_until`; with `now_only` not at all any more, and
    /// every link, session and ticket ends in the same step.
    rotate_keys(now_only: bool, keep_until: Timestamp) -> KeyEpoch;
    /// Sends everything but tickets and letters, a few hundred records at a time, as fast as they are taken: epochs,
    /// people, sessions, links, wrong codes, events. SQLite: one moment of the file. Where a store knows no such moment,
    /// each record is as it was at some moment of the call.
    export(out: mpsc::Sender<Vec<Moved>>) -> ();
    /// Takes what `export` sent into a store that holds nothing yet: all of it, after [`Delivery::Complete`], or nothing.
    /// The sender has looked at all of it before ([`transfer::Reading`]), and sends epochs and people first.
    import(records: mpsc::Receiver<Delivery>) -> Census;
}

// Of which a token service hears nothing.
verbs! { ledger:
    /// The seed of a code of this browser for this address that is live and has tries left.
    live_code(site: &str, nonce_hash: [u8; 32], email: &EmailAddress) -> Option<[u8; 8]>;
    /// A link, looked at: spends nothing.
    peek_link(token_hash: [u8; 32]) -> Option<LinkRecord>;
    /// Compares a typed address with the link's, and counts a wrong one, in one step. Spends no use.
    try_address(token_hash: [u8; 32], typed: &EmailAddress) -> AddressTry;
    /// Counts a wrong address and says how many there were; [`ADDRESS_TRIES`] or more: takes no typed address any more
    /// (a link that does not exist says so at once). Prefer [`Store::try_address`], which cannot be raced.
    wrong_address(token_hash: [u8; 32]) -> u32;
    /// A used or expired link, the first time that a fresh letter is asked for on the strength of it; later `None`.
    again_once(token_hash: [u8; 32]) -> Option<LinkRecord>;
    /// Newest first.
    list_links(filter: LinkFilter) -> Vec<LinkRecord>;
    /// The newest link that this browser asked for.
    asked(site: &str, nonce_hash: [u8; 32]) -> Option<LinkRecord>;

    /// Newest first.
    list_sessions(filter: SessionFilter) -> Vec<SessionRecord>;
    /// One session, ended or not; `None` after its absolute end.
    session(id: SessionId) -> Option<SessionRecord>;
    /// Notes a renewal. Neither date ever moves back; a revoked session is left alone.
    touch_session(id: SessionId, seen_at: Timestamp, idle_until: Timestamp) -> ();
    /// Ends sessions and says which. They stay in the snapshot's revoked list until their absolute end.
    revoke_sessions(which: Which) -> Vec<SessionId>;
    /// Refuses a session that the store has no record of: it is in the snapshot's revoked list until then. False: there
    /// is a record (see [`Store::revoke_sessions`]), or it is refused already.
    refuse_session(id: SessionId, until: Timestamp) -> bool;
    /// Ends every session of a person, known or not, by raising the generation; says the new one.
    raise_generation(site: &str, email: &EmailAddress) -> u64;

    /// Keeps a ticket.
    put_ticket(ticket: NewTicket) -> ();
    /// Takes a ticket: whoever shows it, it is gone. Good only in time, with its nonce, at its origin, and while its
    /// session lives.
    take_ticket(ticket_hash: [u8; 32], nonce_hash: [u8; 32], origin: &str) -> Option<TicketRecord>;

    /// Adds or replaces a person. Switching somebody off raises the generation in the same step.
    put_user(site: &str, profile: Profile) -> ();
    /// Removes a person and raises the generation in the same step. False: nobody was there (nothing is raised).
    remove_user(site: &str, email: &EmailAddress) -> bool;
    /// Sorted by site and address.
    list_users(site: Option<&str>) -> Vec<(String, Profile)>;

    /// Takes up to `most` letters that are due, or whose lease ran out, for so long. Oldest first; expired ones are
    /// erased on the way.
    lease_letters(most: u32, lease: Duration, holder: &str) -> Vec<LeasedLetter>;
    /// The relay has it: the body is erased. Counts even when the lease ran out meanwhile, because it is true.
    letter_sent(id: &str, holder: &str) -> ();
    /// It failed: again at `retry_at`, or dead (`None`). Ignored when somebody else holds it by now.
    letter_failed(id: &str, holder: &str, error: &str, retry_at: Option<Timestamp>) -> ();
    /// Newest first; delivered ones are shown for seven days.
    list_letters() -> Vec<LetterRecord>;
    /// Makes dead letters that still have their body due now; none named: all of them. Says how many.
    retry_letters(ids: &[String]) -> u64;
    /// Removes the letters named, in whatever state. Says how many.
    drop_letters(ids: &[String]) -> u64;
    /// When the next letter is due, or the next lease runs out.
    next_letter_at() -> Option<Timestamp>;

    /// Notes an event. Kept for a year.
    audit(event: AuditEvent) -> ();
    /// Oldest first.
    audit_log(filter: AuditFilter) -> Vec<AuditEvent>;
    /// As `audit_log`, but only what was noted after `cursor` (zero: everything), and the cursor for the next call.
    audit_tail(filter: AuditFilter, cursor: i64) -> (Vec<AuditEvent>, i64);

    /// All that requests need to know in memory, read at one moment.
    snapshot() -> Snapshot;
    /// Changes whenever what `snapshot` says has changed, whichever process changed it.
    version() -> i64;
}
