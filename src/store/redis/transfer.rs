//! Everything out of Redis: each record as it is at some moment of the call. Never holds more than a few hundred records
//! and the order of all links.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::mpsc;

use super::Redis;
use super::codes;
use super::keys::Index;
use super::records::{Link, Session};
use super::sessions;
use super::values;
use super::walk;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::store::transfer::{
    Moved, MovedCodeFailure, MovedEpoch, MovedEvent, MovedLink, MovedPerson, MovedRefused, MovedSession,
};
use crate::store::{LinkRecord, StoreError};

const DAY: Duration = Duration::from_hours(24);

type Out = mpsc::Sender<Vec<Moved>>;

impl Redis {
    pub(in crate::store) async fn export(&self, out: Out) -> Result<(), StoreError> {
        let snapshot = self.snapshot().await?;
        let epochs = snapshot.epochs.into_iter().rev();
        send(&out, epochs.map(|epoch| Moved::Epoch(MovedEpoch::of(epoch))).collect()).await?;
        for people in walk::steps(&snapshot.people) {
            let people = people.iter().cloned().map(|person| Moved::Person(MovedPerson::of(person)));
            send(&out, people.collect()).await?;
        }
        let mut refused: HashMap<SessionId, Timestamp> = snapshot.revoked.into_iter().collect();
        let ids = sessions::ids(&self.members(Index::Sessions, None).await?)?;
        for step in walk::steps(&ids) {
            let (_, sessions) = self.read_sessions(step).await?;
            for session in &sessions {
                refused.remove(&session.record.id);
            }
            let sessions = sessions.into_iter();
            let sessions = sessions.map(|Session { record, .. }| Moved::Session(MovedSession::of(record)));
            send(&out, sessions.collect()).await?;
        }
        // Ended, and nobody has a record of it.
        let refused: Vec<(SessionId, Timestamp)> = refused.into_iter().collect();
        for step in walk::steps(&refused) {
            let refused = step.iter().map(|(id, ends_at)| MovedRefused { id: *id, ends_at: *ends_at });
            send(&out, refused.map(Moved::Refused).collect()).await?;
        }
        let guessed = self.export_links(&out).await?;
        self.export_failures(&out, guessed).await?;
        let mut from = Some("-".to_owned());
        while let Some(place) = from {
            let (events, next) = self.events_from(&self.keys.audit(), &place).await?;
            let events = events.into_iter().map(|event| Moved::Audit(MovedEvent::of(event)));
            send(&out, events.collect()).await?;
            from = next;
        }
        Ok(())
    }

    /// Oldest first. Of all links only their order is held in memory. Answers whose codes were guessed wrong.
    async fn export_links(&self, out: &Out) -> Result<HashSet<(String, EmailAddress)>, StoreError> {
        let hashes = walk::hashes(&self.members(Index::Links, None).await?)?;
        let mut order: Vec<(Timestamp, i64, [u8; 32])> = Vec::with_capacity(hashes.len());
        let mut void = HashSet::new();
        let mut guessed = HashSet::new();
        for step in walk::steps(&hashes) {
            for link in self.links(step).await?.2 {
                order.push((link.record.created_at, link.order, link.record.token_hash));
                if link.record.used_at.is_some() {
                    void.extend(code_of(&link));
                }
                if link.record.code_tries > 0 {
                    guessed.insert((link.record.site, link.record.email));
                }
            }
        }
        order.sort_unstable();
        let hashes: Vec<[u8; 32]> = order.into_iter().map(|(_, _, hash)| hash).collect();
        for step in walk::steps(&hashes) {
            let links = self.links(step).await?.2.into_iter().map(|mut link| {
                // A code is void in every letter that carries it as soon as one of its links was used.
                if code_of(&link).is_none_or(|code| void.contains(&code)) {
                    (link.code_tag, link.record.code_seed) = (None, None);
                }
                Moved::Link(MovedLink::of(link.record, link.code_tag))
            });
            send(out, links.collect()).await?;
        }
        Ok(guessed)
    }

    async fn export_failures(
        &self,
        out: &Out,
        guessed: HashSet<(String, EmailAddress)>,
    ) -> Result<(), StoreError> {
        let (now, _) = self.read_fence(self.connection.ask(self.ask_fence()).await?)?;
        for (site, email) in guessed {
            let mut failures = Vec::new();
            for (_, at) in self.pairs_of("ZSCAN", &self.keys.code_failures(&site, &email)).await? {
                let at = score(&at).ok_or_else(|| values::corrupt("a wrong code"))?;
                if at > now - DAY {
                    failures.push(Moved::CodeFailure(MovedCodeFailure {
                        site: site.clone(),
                        email: email.clone(),
                        at,
                    }));
                }
            }
            send(out, failures).await?;
        }
        Ok(())
    }
}

/// What makes a link's code one code, with the browser that it is for; `None`: it carries none.
fn code_of(link: &Link) -> Option<([u8; 32], Vec<u8>)> {
    link.code_tag?;
    let LinkRecord { site, email, nonce_hash, id, .. } = &link.record;
    Some(((*nonce_hash)?, codes::code(site, email, link.code_seed, id)))
}

/// The moment that a score says.
fn score(text: &[u8]) -> Option<Timestamp> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds; a cast of a float saturates")]
    let millis = number as i64;
    Some(Timestamp::from_millis(millis))
}

async fn send(out: &Out, records: Vec<Moved>) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    out.send(records).await.map_err(|_| StoreError::Away("nobody reads the export any more".to_owned()))
}
