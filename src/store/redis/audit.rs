//! Who did what: a stream in the order of the server's clock, only ever added to, and trimmed after a year by the sweep.
//! A place in it is `milliseconds-number`; cursors pack the two into one number.

use std::time::Duration;

use ::redis::Value;

use super::Redis;
use super::connection::Ask;
use super::records::Pairs;
use super::values::{self, Fields, corrupt};
use crate::clock::Timestamp;
use crate::store::{AuditEvent, AuditFilter, StoreError};

/// Events that are read at once.
const STEP: usize = 500;
/// How long events are kept.
const KEPT: Duration = Duration::from_hours(365 * 24);
/// How far an instance's clock may be from the server's before `since` misses its events.
const SKEW: Duration = Duration::from_hours(1);
/// The number's share of a cursor.
const NUMBER_BITS: u32 = 20;

/// Where an event is in the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    at: i64,
    number: i64,
}

impl Place {
    fn of_cursor(cursor: i64) -> Self {
        Self { at: cursor >> NUMBER_BITS, number: cursor & ((1 << NUMBER_BITS) - 1) }
    }

    const fn cursor(self) -> i64 {
        (self.at << NUMBER_BITS) | self.number
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        let (at, number) = text.split_once('-').ok_or_else(|| corrupt("an event"))?;
        match (at.parse(), number.parse()) {
            (Ok(at), Ok(number)) => Ok(Self { at, number }),
            _ => Err(corrupt("an event")),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at, self.number)
    }
}

impl Redis {
    /// Commit point: the stream.
    pub(in crate::store) async fn audit(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.run(self.ask_note(&self.keys.audit(), event)).await.map(drop)
    }

    pub(super) fn ask_note(&self, key: &str, event: AuditEvent) -> Ask {
        let mut pairs = Pairs::new();
        pairs.number("at", Some(event.at.millis()));
        pairs.add("site", event.site);
        pairs.add("email", event.email);
        pairs.add("what", event.what);
        pairs.add("request", event.request);
        pairs.add("client", event.client);
        pairs.add("detail", event.detail);
        self.script(&self.scripts.note_event, &[key.to_owned()], pairs.end())
    }

    pub(in crate::store) async fn audit_log(
        &self,
        filter: AuditFilter,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        Ok(self.audit_tail(filter, 0).await?.0)
    }

    /// Read from its new end, in steps.
    pub(in crate::store) async fn audit_tail(
        &self,
        filter: AuditFilter,
        cursor: i64,
    ) -> Result<(Vec<AuditEvent>, i64), StoreError> {
        let most = filter.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let since = filter.since.map_or(0, |since| (since - SKEW).millis().max(0));
        let from = if cursor >> NUMBER_BITS >= since {
            format!("({}", Place::of_cursor(cursor))
        } else {
            format!("{since}-0")
        };
        let mut events = Vec::new();
        let mut newest = cursor;
        let mut until = "+".to_owned();
        while events.len() < most {
            let step = self.events(&until, &from).await?;
            let Some((last, _)) = step.last() else { break };
            until = format!("({last}");
            let whole = step.len() == STEP;
            for (place, event) in step {
                newest = newest.max(place.cursor());
                if events.len() < most && is_asked_for(&filter, &event) {
                    events.push(event);
                }
            }
            if !whole {
                break;
            }
        }
        events.reverse();
        Ok((events, newest))
    }

    /// From `until` back to `from`.
    async fn events(&self, until: &str, from: &str) -> Result<Vec<(Place, AuditEvent)>, StoreError> {
        let key = self.keys.audit();
        let mut command = ::redis::cmd("XREVRANGE");
        command.arg(&key).arg(until).arg(from).arg("COUNT").arg(STEP);
        values::list(self.run(Ask::one(&key, command)).await?)?.into_iter().map(event).collect()
    }

    /// Some events from a place on, oldest first, and the place to go on from; `None`: that was all.
    pub(super) async fn events_from(
        &self,
        key: &str,
        from: &str,
    ) -> Result<(Vec<AuditEvent>, Option<String>), StoreError> {
        let mut command = ::redis::cmd("XRANGE");
        command.arg(key).arg(from).arg("+").arg("COUNT").arg(STEP);
        let step = values::list(self.run(Ask::one(key, command)).await?)?.into_iter().map(event);
        let step = step.collect::<Result<Vec<_>, _>>()?;
        let next = step.last().filter(|_| step.len() == STEP).map(|(place, _)| format!("({place}"));
        Ok((step.into_iter().map(|(_, event)| event).collect(), next))
    }

    /// Forgets what was noted over a year ago. Says how much.
    pub(super) async fn sweep_audit(&self, now: Timestamp) -> Result<u64, StoreError> {
        let key = self.keys.audit();
        let mut command = ::redis::cmd("XTRIM");
        command.arg(&key).arg("MINID").arg((now - KEPT).millis().max(0));
        values::count(&self.run(Ask::one(&key, command)).await?)
    }
}

fn is_asked_for(filter: &AuditFilter, event: &AuditEvent) -> bool {
    filter.since.is_none_or(|since| event.at >= since)
        && filter.site.as_ref().is_none_or(|site| *site == event.site)
        && filter.email.as_ref().is_none_or(|email| *email == event.email)
        && filter.request.as_ref().is_none_or(|request| *request == event.request)
}

fn event(value: Value) -> Result<(Place, AuditEvent), StoreError> {
    let mut parts = values::list(value)?.into_iter();
    let place = Place::parse(&values::text(parts.next().unwrap_or_default())?)?;
    let fields = Fields::by_turns(parts.next().unwrap_or_default())?.ok_or_else(|| corrupt("an event"))?;
    let event = AuditEvent {
        at: fields.moment("at")?,
        site: fields.text("site")?,
        email: fields.text("email")?,
        what: fields.text("what")?,
        request: fields.text("request")?,
        client: fields.text("client")?,
        detail: fields.text("detail")?,
    };
    Ok((place, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_a_place_and_keeps_its_order() {
        let places = [(1_700_000_000_000, 0), (1_700_000_000_000, 1_048_575), (1_700_000_000_001, 0)];
        let cursors = places.map(|(at, number)| Place { at, number }.cursor());
        assert!(cursors.is_sorted() && cursors[0] > 0);
        for (cursor, (at, number)) in cursors.into_iter().zip(places) {
            assert!(Place::of_cursor(cursor) == Place { at, number });
        }
    }
}
