//! Key epochs: which generations of signing keys are believed, and until when. Never sees a key.

use rusqlite::{Connection, params};

use super::Sqlite;
use super::links;
use super::sessions;
use super::thread::Tx;
use crate::clock::Timestamp;
use crate::identity::KeyEpoch;
use crate::random::Random;
use crate::store::StoreError;

impl Sqlite {
    pub(in crate::store) async fn rotate_keys(
        &self,
        now_only: bool,
        keep_until: Timestamp,
    ) -> Result<KeyEpoch, StoreError> {
        let id = epoch_id(&self.random);
        let rotate = move |tx: &Tx<'_>| {
            let end = if now_only { tx.now } else { keep_until };
            tx.prepare_cached("UPDATE epochs SET accepted_until = min(coalesce(accepted_until, ?1), ?1)")?
                .execute([end])?;
            if now_only {
                sessions::revoke_all(tx)?;
                links::revoke_all(tx)?;
                tx.execute("DELETE FROM tickets", [])?;
            }
            add(tx, id, tx.now)
        };
        self.writer.ask(rotate).await
    }
}

/// The first epoch of a new file.
pub(super) fn begin(connection: &Connection, random: &Random, now: Timestamp) -> Result<(), StoreError> {
    if epochs(connection)?.is_empty() {
        add(connection, epoch_id(random), now)?;
    }
    Ok(())
}

/// Newest first.
pub(super) fn epochs(connection: &Connection) -> Result<Vec<KeyEpoch>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id, created_at, accepted_until FROM epochs ORDER BY number DESC")?;
    let rows = statement.query_map([], |row| {
        Ok(KeyEpoch { id: row.get(0)?, created_at: row.get(1)?, accepted_until: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn add(connection: &Connection, id: String, now: Timestamp) -> Result<KeyEpoch, StoreError> {
    connection.execute("INSERT INTO epochs (id, created_at) VALUES (?1, ?2)", params![id, now])?;
    Ok(KeyEpoch { id, created_at: now, accepted_until: None })
}

fn epoch_id(random: &Random) -> String {
    format!("{:08x}", u32::from_be_bytes(random.bytes()))
}
