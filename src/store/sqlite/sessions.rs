//! Sessions: written when a link is redeemed, listed, ended. Requests never ask here: they carry a signed token, and
//! memory holds the revoked ones.

use rusqlite::types::ToSql;
use rusqlite::{OptionalExtension as _, Row, params};

use super::Sqlite;
use super::thread::Tx;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::identity::Unsaid;
use crate::store::{LinkRecord, Redeemer, SessionFilter, SessionRecord, StoreError, Which};

pub(super) const COLUMNS: &str =
    "id, site, email, generation, created_at, seen_at, ends_at, idle_until, device, client, revoked_at";

impl Sqlite {
    pub(in crate::store) async fn list_sessions(
        &self,
        filter: SessionFilter,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let list = move |tx: &Tx<'_>| {
            let sql = format!(
                "SELECT {COLUMNS} FROM sessions WHERE (?1 IS NULL OR site = ?1) AND (?2 IS NULL OR email = ?2) \
                 AND (NOT ?3 OR (revoked_at IS NULL AND ends_at > ?4 AND idle_until > ?4)) \
                 ORDER BY created_at DESC, id"
            );
            let mut statement = tx.prepare_cached(&sql)?;
            let rows =
                statement.query_map(params![filter.site, filter.email, filter.live, tx.now], record)?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        self.reader.ask(list).await
    }

    pub(in crate::store) async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let find = move |tx: &Tx<'_>| {
            let sql = format!("SELECT {COLUMNS} FROM sessions WHERE id = ?1 AND ends_at > ?2");
            Ok(tx.prepare_cached(&sql)?.query_row(params![id, tx.now], record).optional()?)
        };
        self.reader.ask(find).await
    }

    /// What is in the file is as sure as can be.
    pub(in crate::store) async fn resume(
        &self,
        token_hash: [u8; 32],
        id: SessionId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let find = move |tx: &Tx<'_>| {
            let sql = format!(
                "SELECT {COLUMNS} FROM sessions WHERE id = ?1 AND ends_at > ?2 \
                 AND EXISTS (SELECT 1 FROM links WHERE token_hash = ?3 AND session = ?1)"
            );
            Ok(tx.prepare_cached(&sql)?.query_row(params![id, tx.now, token_hash], record).optional()?)
        };
        self.reader.ask(find).await
    }

    pub(in crate::store) async fn touch_session(
        &self,
        id: SessionId,
        seen_at: Timestamp,
        idle_until: Timestamp,
    ) -> Result<(), StoreError> {
        let touch = move |tx: &Tx<'_>| {
            tx.prepare_cached(
                "UPDATE sessions SET seen_at = max(seen_at, ?2), idle_until = max(idle_until, ?3) \
                 WHERE id = ?1 AND revoked_at IS NULL",
            )?
            .execute(params![id, seen_at, idle_until])?;
            Ok(())
        };
        self.writer.ask(touch).await
    }

    pub(in crate::store) async fn revoke_sessions(&self, which: Which) -> Result<Vec<SessionId>, StoreError> {
        let revoke = move |tx: &Tx<'_>| match which {
            Which::Ids(ids) => {
                let mut revoked = Vec::new();
                for id in ids.iter().filter_map(|id| SessionId::parse(id)) {
                    revoked.extend(revoke(tx, "id = ?2", &[&id])?);
                }
                Ok(revoked)
            }
            Which::Email(site, email) => {
                revoke(tx, "email = ?2 AND (?3 IS NULL OR site = ?3)", &[&email, &site])
            }
            Which::All(site) => revoke(tx, "(?2 IS NULL OR site = ?2)", &[&site]),
        };
        self.writer.ask(revoke).await
    }

    pub(in crate::store) async fn refuse_session(
        &self,
        id: SessionId,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.writer.ask(move |tx| refuse(tx, id, until)).await
    }

    pub(in crate::store) async fn raise_generation(
        &self,
        site: &str,
        email: &EmailAddress,
    ) -> Result<u64, StoreError> {
        let (site, email) = (site.to_owned(), email.clone());
        self.writer.ask(move |tx| raise(tx, &site, &email)).await
    }

    /// What could not be written when it happened, in one transaction.
    pub(in crate::store) async fn unite(&self, unsaid: &Unsaid) -> Result<u64, StoreError> {
        let unsaid = unsaid.clone();
        self.writer.ask(move |tx| unite(tx, &unsaid)).await
    }
}

/// Raises a generation to what is known to count, and ends sessions that are known to have ended. Says how many were not.
pub(super) fn unite(tx: &Tx<'_>, unsaid: &Unsaid) -> Result<u64, StoreError> {
    let mut lacked = 0;
    for (site, email, generation) in &unsaid.generations {
        let generation = i64::try_from(*generation).unwrap_or(i64::MAX);
        lacked += tx
            .prepare_cached(
                "INSERT INTO people (site, email, generation) VALUES (?1, ?2, ?3) ON CONFLICT (site, email) \
                 DO UPDATE SET generation = excluded.generation WHERE generation < excluded.generation",
            )?
            .execute(params![site, email, generation])?;
    }
    for (id, _) in &unsaid.revoked {
        lacked += tx
            .prepare_cached("UPDATE sessions SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
            .execute(params![id, tx.now])?;
    }
    Ok(u64::try_from(lacked).unwrap_or(u64::MAX))
}

/// Begins the session of a link that was just redeemed, and ends the one that the browser had.
pub(super) fn put(tx: &Tx<'_>, link: &LinkRecord, by: &Redeemer) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO sessions (id, site, email, generation, created_at, seen_at, ends_at, idle_until, device, client) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        by.session,
        link.site,
        link.email,
        i64::try_from(by.generations.of(&link.email)).unwrap_or(i64::MAX),
        tx.now,
        by.ends_at,
        by.idle_until,
        by.device,
        by.client,
    ])?;
    if let Some(old) = by.ends.filter(|old| *old != by.session) {
        // Of this site only: a cookie of one site has no say over another's sessions.
        revoke(tx, "id = ?2 AND site = ?3", &[&old, &link.site])?;
    }
    Ok(())
}

/// `condition` begins to count its parameters at `?2`.
fn revoke(tx: &Tx<'_>, condition: &str, values: &[&dyn ToSql]) -> Result<Vec<SessionId>, StoreError> {
    let sql = format!(
        "UPDATE sessions SET revoked_at = ?1 WHERE revoked_at IS NULL AND ends_at > ?1 AND {condition} RETURNING id"
    );
    let mut all: Vec<&dyn ToSql> = vec![&tx.now];
    all.extend(values);
    let mut statement = tx.prepare_cached(&sql)?;
    let ids = statement.query_map(all.as_slice(), |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Only where there is no record, which would say it better.
pub(super) fn refuse(tx: &Tx<'_>, id: SessionId, until: Timestamp) -> Result<bool, StoreError> {
    let refused = tx
        .prepare_cached(
            "INSERT INTO refused (id, ends_at) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE id = ?1) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![id, until])?;
    Ok(refused > 0)
}

/// Ends every session there is.
pub(super) fn revoke_all(tx: &Tx<'_>) -> Result<Vec<SessionId>, StoreError> {
    revoke(tx, "TRUE", &[])
}

/// Raises a person's generation by one, and ends in the listing what it ends in fact.
pub(super) fn raise(tx: &Tx<'_>, site: &str, email: &EmailAddress) -> Result<u64, StoreError> {
    let raised: i64 = tx
        .prepare_cached(
            "INSERT INTO people (site, email, generation) VALUES (?1, ?2, 1) \
             ON CONFLICT (site, email) DO UPDATE SET generation = generation + 1 RETURNING generation",
        )?
        .query_row(params![site, email], |row| row.get(0))?;
    revoke(tx, "email = ?2 AND site = ?3", &[email, &site])?;
    u64::try_from(raised).map_err(|_| StoreError::Corrupt("a generation below zero".to_owned()))
}

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    Ok(SessionRecord {
        id: row.get("id")?,
        site: row.get("site")?,
        email: row.get("email")?,
        generation: u64::try_from(row.get::<_, i64>("generation")?).unwrap_or(0),
        created_at: row.get("created_at")?,
        seen_at: row.get("seen_at")?,
        ends_at: row.get("ends_at")?,
        idle_until: row.get("idle_until")?,
        device: row.get("device")?,
        client: row.get("client")?,
        revoked_at: row.get("revoked_at")?,
    })
}
