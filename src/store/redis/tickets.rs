//! Tickets: carry a session to another host of its site, once, within thirty seconds, in the browser that asked.

use std::time::Duration;

use ::redis::Value;
use serde::{Deserialize, Serialize};

use super::Redis;
use super::bytes;
use super::connection::{Ask, Call};
use super::keys;
use super::values::{self, corrupt};
use crate::clock::Timestamp;
use crate::identity::SessionId;
use crate::secret::same;
use crate::store::{NewTicket, StoreError, TicketRecord};

/// Tickets are kept longer than they are good for, however far the clocks are apart; when they end is judged by Redis's.
const SLACK: Duration = Duration::from_mins(10);
/// No ticket is kept for longer, whatever it says.
const LONGEST: Duration = Duration::from_hours(24);

#[derive(Serialize, Deserialize)]
struct Kept {
    session: String,
    origin: String,
    nonce_hash: String,
    return_to: String,
    expires_at: i64,
}

impl Redis {
    /// Commit point: the ticket's key.
    pub(in crate::store) async fn put_ticket(&self, ticket: NewTicket) -> Result<(), StoreError> {
        let kept = Kept {
            session: ticket.session.to_string(),
            origin: ticket.origin,
            nonce_hash: keys::hex(&ticket.nonce_hash),
            return_to: ticket.return_to,
            expires_at: ticket.expires_at.millis(),
        };
        let kept = serde_json::to_string(&kept)
            .map_err(|error| StoreError::Invalid(format!("the ticket cannot be kept: {error}")))?;
        let left = ticket.expires_at.since(self.clock.now()) + SLACK;
        let key = self.keys.ticket(&ticket.ticket_hash);
        let mut command = ::redis::cmd("SET");
        command.arg(&key).arg(kept).arg("PX").arg(bytes(left.min(LONGEST).as_millis()));
        self.run(Ask::one(&key, command)).await.map(drop)
    }

    /// Commit point: the ticket's key is gone.
    pub(in crate::store) async fn take_ticket(
        &self,
        ticket_hash: [u8; 32],
        nonce_hash: [u8; 32],
        origin: &str,
    ) -> Result<Option<TicketRecord>, StoreError> {
        let key = self.keys.ticket(&ticket_hash);
        let mut command = ::redis::cmd("GETDEL");
        command.arg(&key);
        let mut ask = Ask::one(&key, command);
        ask.calls.push(Call::Plain(::redis::cmd("TIME")));
        let mut answers = self.connection.ask(ask).await?.into_iter();
        let kept = match answers.next() {
            Some(Value::Nil) | None => return Ok(None),
            Some(value) => values::bytes(value)?.unwrap_or_default(),
        };
        let now = self.judged_at(answers.next().unwrap_or_default())?;
        let kept: Kept = serde_json::from_slice(&kept).map_err(|_| corrupt("a ticket"))?;
        let session = SessionId::parse(&kept.session).ok_or_else(|| corrupt("a ticket"))?;
        let lives = self.session(session).await?.is_some_and(|session| session.revoked_at.is_none());
        let good = lives
            && now < Timestamp::from_millis(kept.expires_at)
            && kept.origin == origin
            && same(kept.nonce_hash.as_bytes(), keys::hex(&nonce_hash).as_bytes());
        Ok(good.then_some(TicketRecord { session, return_to: kept.return_to }))
    }
}
