//! The store in Redis or Valkey: any number of machines share it. Each verb has one commit point, a change of one key by
//! one script; what points to a record is written before it, what follows from it is idempotent and done again by whoever
//! finds it undone. Never waits longer than its deadline, and never takes silence for a yes.

mod address;
mod adopt;
mod advice;
mod audit;
mod codes;
mod connection;
mod find;
mod index;
mod keys;
mod leases;
mod letters;
mod limits;
mod links;
mod listen;
mod many;
mod news;
mod people;
mod records;
mod repeats;
mod script;
mod sentinels;
mod server;
mod sessions;
mod slots;
mod standing;
mod sure;
mod sweep;
mod tickets;
mod transfer;
mod trouble;
mod unite;
mod values;
mod walk;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use ::redis::Value;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use self::address::Address;
use self::connection::{Ask, Call, Connection};
use self::keys::Keys;
use self::news::Mark;
use self::repeats::Repeats;
use self::script::{Script, Scripts};
use self::server::{Entry, Lane};
use super::{RedisSettings, StoreError};
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::random::Random;

/// Whether `store.url` can be the address of a Redis. Asks no network.
///
/// # Errors
/// [`StoreError::Invalid`]: why not.
pub fn check_url(url: &str) -> Result<(), StoreError> {
    Address::parse(url).map(drop)
}

/// One Redis, however many servers that is. Cheap to clone; clones are one.
#[derive(Clone, Debug)]
pub(super) struct Redis {
    connection: Arc<Connection>,
    keys: Keys,
    scripts: Arc<Scripts>,
    bell: Arc<Notify>,
    /// What was read last.
    mark: Arc<Mutex<Mark>>,
    /// What was to be said of Redis's settings has been said.
    advised: Arc<AtomicBool>,
    /// Revocations that no replica has confirmed.
    repeats: Arc<Repeats>,
    clock: Clock,
    random: Random,
}

impl Redis {
    pub(super) fn open(settings: &RedisSettings, clock: &Clock, random: &Random) -> Result<Self, StoreError> {
        let invalid = |why: String| StoreError::Invalid(why);
        let address = Address::parse(&settings.url)?;
        if settings.prefix.contains(['{', '}']) {
            return Err(invalid("`store.prefix` may not hold braces: choose another".to_owned()));
        }
        let ca = settings.ca.as_ref().map(std::fs::read).transpose().map_err(|error| {
            let path = settings.ca.as_deref().unwrap_or_else(|| "".as_ref()).display();
            invalid(format!(
                "`store.ca`: cannot read {path}: {error}; it must be a PEM file that linkgate may read"
            ))
        })?;
        if ca.is_some() && !address.tls {
            return Err(invalid(
                "`store.ca` is of no use without TLS: write `rediss://` in `store.url`".to_owned(),
            ));
        }
        let home = Handle::try_current()
            .map_err(|_| invalid("the Redis store must be opened inside a runtime".to_owned()))?;
        let entry = Entry {
            user: settings.user.clone(),
            password: settings.password.clone(),
            tls: address.tls,
            ca,
            database: address.database,
            home,
        };
        Ok(Self {
            connection: Arc::new(Connection::new(address, entry, settings.timeout, settings.replicas)),
            keys: Keys::new(&settings.prefix),
            scripts: Arc::new(Scripts::new(records::FIELDS)),
            bell: Arc::default(),
            mark: Arc::default(),
            advised: Arc::default(),
            repeats: Arc::default(),
            clock: clock.clone(),
            random: random.clone(),
        })
    }

    pub(super) fn letters_waiting(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// Where a hand holds the clock; empty: the servers' clocks judge.
    fn hand(&self) -> Vec<u8> {
        self.clock.hand().map(|at| bytes(at.millis())).unwrap_or_default()
    }

    /// The moment that judges: the server's, or the hand's.
    fn judged_at(&self, server: Value) -> Result<Timestamp, StoreError> {
        let server = values::time(server)?;
        Ok(self.clock.hand().unwrap_or(server))
    }

    /// A script on the server that holds the first of its keys. What lies beside a key that it names is named too:
    /// otherwise a Cluster whose slots move would end the script in its middle.
    fn script(&self, script: &Arc<Script>, keys: &[String], arguments: Vec<Vec<u8>>) -> Ask {
        let mut all = vec![self.hand()];
        all.extend(arguments);
        let key = keys.first().cloned().unwrap_or_default();
        let version = self.keys.standing("version");
        let notes = keys.contains(&version).then(|| self.keys.standing("version:notes"));
        let keys = keys.iter().cloned().chain(notes).collect();
        let call = Call::Script { script: Arc::clone(script), keys, arguments: all };
        Ask { key, calls: vec![call] }
    }

    /// Asks what has one answer.
    async fn run(&self, ask: Ask) -> Result<Value, StoreError> {
        Ok(self.connection.ask(ask).await?.pop().unwrap_or_default())
    }

    /// Asks what has one answer, and has replicas confirm it. `false`: done, but not confirmed.
    async fn run_surely(&self, ask: &Ask) -> Result<(Value, bool), StoreError> {
        let (mut answers, sure) = self.connection.ask_surely(Lane::Sure, ask).await?;
        Ok((answers.pop().unwrap_or_default(), sure))
    }

    /// Does what was begun to its end, even where the caller goes away; the caller waits no longer than the deadline.
    async fn begun<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let work = self.connection.home().spawn(work);
        match timeout(self.connection.timeout(), work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StoreError::Away("a command failed; see the log".to_owned())),
            Err(_) => {
                Err(StoreError::Away(format!("Redis: not done within {:?}", self.connection.timeout())))
            }
        }
    }

    /// The same for what may be about any number of records: each step has the deadline, the whole has none.
    async fn begun_long<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let work = self.connection.home().spawn(work).await;
        work.unwrap_or_else(|_| Err(StoreError::Away("a command failed; see the log".to_owned())))
    }
}

/// A number as Redis takes it.
fn bytes(number: impl std::fmt::Display) -> Vec<u8> {
    number.to_string().into_bytes()
}
