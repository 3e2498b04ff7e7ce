//! The store in Redis or Valkey: any number of machines share it. Each verb has one commit point, a change of one key by
//! one script; what points to a record is written before it, what follows from it is idempotent and done again by whoever
//! finds it undone. Never waits longer than its deadline, and never takes silence for a yes.

mod address;
mod audit;
mod codes;
mod connection;
mod keys;
mod letters;
mod links;
mod people;
mod script;
mod server;
mod sessions;
mod slots;
mod standing;
mod sweep;
mod tickets;
mod transfer;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use self::address::Address;
use self::connection::Connection;
use self::keys::Keys;
use self::server::Entry;
use super::{RedisSettings, StoreError};
use crate::clock::Clock;
use crate::random::Random;

/// One Redis, however many servers that is. Cheap to clone; clones are one.
#[derive(Clone, Debug)]
pub(super) struct Redis {
    connection: Arc<Connection>,
    keys: Keys,
    bell: Arc<Notify>,
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
            bell: Arc::default(),
            clock: clock.clone(),
            random: random.clone(),
        })
    }

    pub(super) fn letters_waiting(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }
}
