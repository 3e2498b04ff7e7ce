//! Who did what. Only ever added to, and swept after a year.

use rusqlite::{named_params, params};

use super::Sqlite;
use super::thread::Tx;
use crate::store::{AuditEvent, AuditFilter, StoreError};

impl Sqlite {
    pub(in crate::store) async fn audit(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.writer.ask(move |tx: &Tx<'_>| put(tx, &event)).await
    }

    pub(in crate::store) async fn audit_log(
        &self,
        filter: AuditFilter,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        Ok(self.audit_tail(filter, 0).await?.0)
    }

    pub(in crate::store) async fn audit_tail(
        &self,
        filter: AuditFilter,
        cursor: i64,
    ) -> Result<(Vec<AuditEvent>, i64), StoreError> {
        let list = move |tx: &Tx<'_>| {
            let mut statement = tx.prepare_cached(
                "SELECT number, at, site, email, what, request, client, detail FROM audit \
                 WHERE number > :cursor AND (:since IS NULL OR at >= :since) AND (:site IS NULL OR site = :site) \
                 AND (:email IS NULL OR email = :email) AND (:request IS NULL OR request = :request) \
                 ORDER BY number DESC LIMIT :most",
            )?;
            let rows = statement.query_map(
                named_params! {
                    ":cursor": cursor, ":since": filter.since, ":site": filter.site, ":email": filter.email,
                    ":request": filter.request, ":most": filter.limit.map_or(-1, i64::from)
                },
                |row| {
                    let event = AuditEvent {
                        at: row.get("at")?,
                        site: row.get("site")?,
                        email: row.get("email")?,
                        what: row.get("what")?,
                        request: row.get("request")?,
                        client: row.get("client")?,
                        detail: row.get("detail")?,
                    };
                    Ok((row.get::<_, i64>("number")?, event))
                },
            )?;
            let mut events: Vec<(i64, AuditEvent)> = rows.collect::<Result<_, _>>()?;
            events.reverse();
            let cursor = events.last().map_or(cursor, |(number, _)| *number);
            Ok((events.into_iter().map(|(_, event)| event).collect(), cursor))
        };
        self.reader.ask(list).await
    }
}

/// Adds one.
pub(super) fn put(tx: &Tx<'_>, event: &AuditEvent) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO audit (at, site, email, what, request, client, detail) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        event.at,
        event.site,
        event.email,
        event.what,
        event.request,
        event.client,
        event.detail,
    ])?;
    Ok(())
}
