//! The store in one SQLite file (WAL, `synchronous=FULL`). Never shares a connection between threads, and never assumes
//! to be the only process: the command line writes to the same file.

mod audit;
mod codes;
mod judged;
mod keys;
mod letters;
mod links;
mod people;
mod schema;
mod sessions;
mod sweep;
mod thread;
mod tickets;
mod transfer;
mod values;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Notify;

pub(super) use self::judged::Objection;
use self::thread::Queue;
use super::StoreError;
use crate::clock::Clock;
use crate::random::Random;

/// How long one process waits for another to finish writing.
const PATIENCE: Duration = Duration::from_secs(5);

/// One open file: a thread that writes, a thread that reads.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    instance: String,
    writer: Queue,
    reader: Queue,
    bell: Arc<Notify>,
    random: Random,
}

impl Sqlite {
    pub(super) fn open(path: &Path, clock: &Clock, random: &Random) -> Result<Self, StoreError> {
        private_file(path)?;
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::inspect(&connection)?;
        connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
            .map_err(StoreError::from)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(StoreError::from)?;
        connection.pragma_update(None, "foreign_keys", "ON").map_err(StoreError::from)?;
        // An erased letter is overwritten, not only unlinked.
        connection.pragma_update(None, "secure_delete", "ON").map_err(StoreError::from)?;
        schema::migrate(&mut connection)?;
        let start = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(StoreError::from)?;
        keys::begin(&start, random, clock.now())?;
        sweep::sweep(&start, clock.now())?;
        let instance = judged::instance(&start, random)?;
        start.commit().map_err(StoreError::from)?;

        let read_only = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let bell = Arc::new(Notify::new());
        Ok(Self {
            path: path.to_owned(),
            instance,
            writer: thread::writer(connection, clock.clone(), Arc::clone(&bell))?,
            reader: thread::reader(read_only, clock.clone())?,
            bell,
            random: random.clone(),
        })
    }

    pub(super) fn letters_waiting(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::from)?;
    connection.busy_timeout(PATIENCE).map_err(StoreError::from)?;
    connection.pragma_update(None, "trusted_schema", "OFF").map_err(StoreError::from)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes the file if need be, readable for its owner alone; SQLite gives the same mode to the files beside it.
fn private_file(path: &Path) -> Result<(), StoreError> {
    let away = |what: &str, error: &std::io::Error| {
        StoreError::Away(format!(
            "cannot {what} {}: {error}; its folder (`state_dir`) must exist and belong to the user that linkgate runs as",
            path.display()
        ))
    };
    let file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| away("open", &error))?;
    let mode = file.metadata().map_err(|error| away("look at", &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| away("make private", &error))?;
    }
    Ok(())
}

/// A count that SQLite gives as `usize`.
fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
