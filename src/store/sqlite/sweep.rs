//! Removes what is of no more use to anybody. Nothing depends on it but size: whether something is valid is judged when
//! it is used.

use std::time::Duration;

use rusqlite::Connection;

use super::Sqlite;
use super::codes::DAY;
use super::letters;
use crate::clock::Timestamp;
use crate::store::types::EPOCHS_REMEMBERED;
use crate::store::{StoreError, Swept};

/// How long a link that lets nobody in any more is kept, so that the page can say why and offer a fresh one; and how
/// long a letter that is done with is listed.
const SHOWN: Duration = Duration::from_hours(7 * 24);
/// How long audit events are kept.
const AUDIT: Duration = Duration::from_hours(365 * 24);

impl Sqlite {
    pub(in crate::store) async fn sweep(&self) -> Result<Swept, StoreError> {
        self.writer.ask(|tx| sweep(tx, tx.now)).await
    }
}

/// Each statement walks an index from its old end: when there is nothing to do it costs next to nothing.
pub(super) fn sweep(connection: &Connection, now: Timestamp) -> Result<Swept, StoreError> {
    let before = |sql: &str, at: Timestamp| -> Result<u64, StoreError> {
        Ok(super::count(connection.prepare_cached(sql)?.execute([at])?))
    };
    let mut swept = Swept::default();
    for gone in ["expires_at <= ?1", "uses_left = 0 AND used_at <= ?1", "revoked_at <= ?1"] {
        swept.links += before(&format!("DELETE FROM links WHERE {gone}"), now - SHOWN)?;
    }
    // Not before the absolute end: until then a revocation must be remembered.
    swept.sessions = before("DELETE FROM sessions WHERE ends_at < ?1", now)?;
    before("DELETE FROM refused WHERE ends_at < ?1", now)?;
    swept.tickets = before("DELETE FROM tickets WHERE expires_at <= ?1", now)?;
    swept.erased = super::count(letters::expire(connection, now)?);
    let done = "DELETE FROM letters WHERE finished_at <= ?1";
    swept.letters = before(done, now - SHOWN)?;
    swept.audit = before("DELETE FROM audit WHERE at < ?1", now - AUDIT)?;
    before("DELETE FROM code_failures WHERE at <= ?1", now - DAY)?;
    before("DELETE FROM epochs WHERE accepted_until <= ?1", now - EPOCHS_REMEMBERED)?;
    Ok(swept)
}
