//! The outbox: letters wait here, are leased to one sender at a time, and lose their body on delivery or expiry. Their
//! text is sealed: the store could not read it if it wanted to.

use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, named_params, params};

use super::Sqlite;
use super::thread::Tx;
use crate::clock::Timestamp;
use crate::store::{LeasedLetter, LetterRecord, LetterState, NewLetter, StoreError};

/// What a relay says is cut to this many characters.
const LONGEST_ERROR: usize = 500;

impl ToSql for LetterState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number: i64 = match self {
            Self::Waiting => 0,
            Self::Leased => 1,
            Self::Dead => 2,
            Self::Sent => 3,
        };
        Ok(number.into())
    }
}

impl FromSql for LetterState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Waiting),
            1 => Ok(Self::Leased),
            2 => Ok(Self::Dead),
            3 => Ok(Self::Sent),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

impl Sqlite {
    pub(in crate::store) async fn lease_letters(
        &self,
        most: u32,
        lease: Duration,
        holder: &str,
    ) -> Result<Vec<LeasedLetter>, StoreError> {
        let holder = holder.to_owned();
        let take = move |tx: &Tx<'_>| {
            expire(tx, tx.now)?;
            // A lease that ran out has a `next_at` in the past, like a letter that is due.
            let mut statement = tx.prepare_cached(
                "UPDATE letters SET state = :leased, holder = :holder, attempts = attempts + 1, next_at = :until \
                 WHERE number IN (SELECT number FROM letters WHERE next_at <= :now AND sealed IS NOT NULL \
                   ORDER BY next_at, number LIMIT :most) \
                 RETURNING number, id, site, sealed, attempts, created_at, expires_at",
            )?;
            let rows = statement.query_map(
                named_params! {
                    ":leased": LetterState::Leased, ":holder": holder, ":until": tx.now + lease, ":now": tx.now,
                    ":most": most
                },
                |row| Ok((row.get::<_, i64>("number")?, leased(row)?)),
            )?;
            let mut letters: Vec<(i64, LeasedLetter)> = rows.collect::<Result<_, _>>()?;
            letters.sort_by_key(|(number, _)| *number);
            Ok(letters.into_iter().map(|(_, letter)| letter).collect())
        };
        self.writer.ask(take).await
    }

    pub(in crate::store) async fn letter_sent(&self, id: &str, holder: &str) -> Result<(), StoreError> {
        let (id, holder) = (id.to_owned(), holder.to_owned());
        let sent = move |tx: &Tx<'_>| {
            tx.prepare_cached(
                "UPDATE letters SET state = ?2, sealed = NULL, next_at = NULL, holder = ?3, error = '', \
                 finished_at = ?4 WHERE id = ?1",
            )?
            .execute(params![id, LetterState::Sent, holder, tx.now])?;
            Ok(())
        };
        self.writer.ask(sent).await
    }

    pub(in crate::store) async fn letter_failed(
        &self,
        id: &str,
        holder: &str,
        error: &str,
        retry_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let (id, holder) = (id.to_owned(), holder.to_owned());
        let error: String = error.chars().take(LONGEST_ERROR).collect();
        let failed = move |tx: &Tx<'_>| {
            let state = if retry_at.is_some() { LetterState::Waiting } else { LetterState::Dead };
            let finished_at = retry_at.is_none().then_some(tx.now);
            tx.prepare_cached(
                "UPDATE letters SET state = ?3, error = ?4, next_at = ?5, finished_at = ?6, holder = '' \
                 WHERE id = ?1 AND holder = ?2 AND state = ?7",
            )?
            .execute(params![
                id,
                holder,
                state,
                error,
                retry_at,
                finished_at,
                LetterState::Leased
            ])?;
            Ok(())
        };
        self.writer.ask(failed).await
    }

    pub(in crate::store) async fn list_letters(&self) -> Result<Vec<LetterRecord>, StoreError> {
        let list = |tx: &Tx<'_>| {
            let mut statement = tx.prepare_cached(
                "SELECT id, site, email, state, attempts, next_at, error, created_at FROM letters \
                 ORDER BY number DESC",
            )?;
            let rows = statement.query_map([], record)?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.reader.ask(list).await
    }

    pub(in crate::store) async fn retry_letters(&self, ids: &[String]) -> Result<u64, StoreError> {
        let ids = ids.to_vec();
        let retry = move |tx: &Tx<'_>| {
            let mut statement = tx.prepare_cached(
                "UPDATE letters SET state = :waiting, next_at = :now, finished_at = NULL \
                 WHERE state = :dead AND sealed IS NOT NULL AND (expires_at IS NULL OR expires_at > :now) \
                 AND (:id IS NULL OR id = :id)",
            )?;
            let mut due = |id: Option<&String>| {
                statement.execute(named_params! {
                    ":waiting": LetterState::Waiting, ":now": tx.now, ":dead": LetterState::Dead, ":id": id
                })
            };
            let mut brought = if ids.is_empty() { due(None)? } else { 0 };
            for id in &ids {
                brought += due(Some(id))?;
            }
            if brought > 0 {
                tx.ring();
            }
            Ok(super::count(brought))
        };
        self.writer.ask(retry).await
    }

    pub(in crate::store) async fn drop_letters(&self, ids: &[String]) -> Result<u64, StoreError> {
        let ids = ids.to_vec();
        let remove = move |tx: &Tx<'_>| {
            let mut statement = tx.prepare_cached("DELETE FROM letters WHERE id = ?1")?;
            let mut removed = 0;
            for id in &ids {
                removed += statement.execute([id])?;
            }
            Ok(super::count(removed))
        };
        self.writer.ask(remove).await
    }

    pub(in crate::store) async fn next_letter_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let next = |tx: &Tx<'_>| {
            let mut statement =
                tx.prepare_cached("SELECT min(next_at) FROM letters WHERE next_at IS NOT NULL")?;
            Ok(statement.query_row([], |row| row.get(0))?)
        };
        self.reader.ask(next).await
    }
}

/// Puts a letter that carries the link `link`, due now.
pub(super) fn put(tx: &Tx<'_>, letter: &NewLetter, link: &str) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO letters (id, link, site, email, sealed, state, next_at, created_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
    )?
    .execute(params![
        letter.id,
        link,
        letter.site,
        letter.email,
        letter.sealed,
        LetterState::Waiting,
        tx.now,
        letter.expires_at,
    ])?;
    tx.ring();
    Ok(())
}

/// A letter whose link was revoked is not sent any more.
pub(super) fn recall(tx: &Tx<'_>, link: &str) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE letters SET state = ?2, sealed = NULL, next_at = NULL, finished_at = ?3, \
         error = 'the link was revoked' WHERE link = ?1 AND sealed IS NOT NULL",
    )?
    .execute(params![link, LetterState::Dead, tx.now])?;
    Ok(())
}

/// Erases what came too late. Says how many.
pub(super) fn expire(tx: &rusqlite::Connection, now: Timestamp) -> Result<usize, StoreError> {
    let mut statement = tx.prepare_cached(
        "UPDATE letters SET state = ?2, sealed = NULL, next_at = NULL, finished_at = ?1, \
         error = trim('expired before it could be sent; ' || error, '; ') \
         WHERE sealed IS NOT NULL AND expires_at <= ?1",
    )?;
    Ok(statement.execute(params![now, LetterState::Dead])?)
}

fn leased(row: &Row<'_>) -> rusqlite::Result<LeasedLetter> {
    Ok(LeasedLetter {
        id: row.get("id")?,
        site: row.get("site")?,
        sealed: row.get("sealed")?,
        attempts: row.get("attempts")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
    })
}

fn record(row: &Row<'_>) -> rusqlite::Result<LetterRecord> {
    Ok(LetterRecord {
        id: row.get("id")?,
        site: row.get("site")?,
        email: row.get("email")?,
        state: row.get("state")?,
        attempts: row.get("attempts")?,
        next_at: row.get("next_at")?,
        error: row.get("error")?,
        created_at: row.get("created_at")?,
    })
}
