//! Tickets: carry a session to another host of its site, once, within thirty seconds, in the browser that asked.

use rusqlite::{OptionalExtension as _, params};

use super::Sqlite;
use super::thread::Tx;
use crate::clock::Timestamp;
use crate::secret::same;
use crate::store::{NewTicket, StoreError, TicketRecord};

impl Sqlite {
    pub(in crate::store) async fn put_ticket(&self, ticket: NewTicket) -> Result<(), StoreError> {
        let put = move |tx: &Tx<'_>| {
            tx.prepare_cached(
                "INSERT INTO tickets (ticket_hash, session, origin, nonce_hash, return_to, expires_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                ticket.ticket_hash,
                ticket.session,
                ticket.origin,
                ticket.nonce_hash,
                ticket.return_to,
                ticket.expires_at,
            ])?;
            Ok(())
        };
        self.writer.ask(put).await
    }

    pub(in crate::store) async fn take_ticket(
        &self,
        ticket_hash: [u8; 32],
        nonce_hash: [u8; 32],
        origin: &str,
    ) -> Result<Option<TicketRecord>, StoreError> {
        let origin = origin.to_owned();
        let take = move |tx: &Tx<'_>| {
            let taken = tx
                .prepare_cached(
                    "DELETE FROM tickets WHERE ticket_hash = ?1 \
                     RETURNING session, origin, nonce_hash, return_to, expires_at",
                )?
                .query_row([ticket_hash], |row| {
                    let record = TicketRecord { session: row.get(0)?, return_to: row.get(3)? };
                    Ok((
                        record,
                        row.get::<_, String>(1)?,
                        row.get::<_, [u8; 32]>(2)?,
                        row.get::<_, Timestamp>(4)?,
                    ))
                })
                .optional()?;
            let Some((record, for_origin, for_nonce, expires_at)) = taken else { return Ok(None) };
            let lives: bool = tx
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ?1 AND revoked_at IS NULL AND ends_at > ?2)",
                )?
                .query_row(params![record.session, tx.now], |row| row.get(0))?;
            let good = lives && tx.now < expires_at && for_origin == origin && same(&for_nonce, &nonce_hash);
            Ok(good.then_some(record))
        };
        self.writer.ask(take).await
    }
}
