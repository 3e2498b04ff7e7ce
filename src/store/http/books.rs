//! What is written into the service's records. Changes nothing that is not ours, and of ours only what the ledger knows
//! for certain.

use std::collections::HashSet;
use std::time::Duration;

use super::document::Object;
use super::record::{self, CLAIM, Claimant, Facts, OWNER};
use crate::clock::Timestamp;
use crate::store::sqlite::Objection;
use crate::store::{LinkRecord, LinkState, NewLink, StoreError};

/// Our own records that the ledger does not know are removed when they are older: by then no process is about to
/// write them into the ledger.
const STRAY: Duration = Duration::from_hours(1);

/// What came of laying the two books side by side.
pub(super) struct Settled {
    /// There is something to write.
    pub(super) changed: bool,
    /// What the service has taken away, by token.
    pub(super) objections: Vec<([u8; 32], Objection)>,
}

/// Whether no linkgate has ever written a link here.
pub(super) fn untouched(all: &Object) -> bool {
    all.names().filter(|id| *id != CLAIM).all(|id| {
        let marked = all.get(id).is_some_and(|raw| raw.get().contains(OWNER));
        !(marked && all.object(id).is_some_and(|record| record.has(OWNER)))
    })
}

/// What a new link's record says.
pub(super) fn new(link: &NewLink, created_at: Timestamp) -> Facts<'_> {
    Facts {
        email: &link.email,
        token_hash: &link.token_hash,
        created_at,
        expires_at: link.expires_at,
        uses: link.uses,
    }
}

/// Adds a link.
pub(super) fn enter(all: &mut Object, owner: &str, id: &str, facts: &Facts<'_>) -> Result<bool, StoreError> {
    let record = record::fresh(facts, owner).map_err(|error| broken(&error))?;
    all.set(id, &record).map_err(|error| broken(&error))?;
    Ok(true)
}

/// Adds links from another store that the service lacks.
pub(super) fn publish(all: &mut Object, owner: &str, links: &[LinkRecord]) -> Result<bool, StoreError> {
    let mut changed = false;
    for link in links {
        if all.has(&link.id) {
            continue;
        }
        let facts = Facts {
            email: &link.email,
            token_hash: &link.token_hash,
            created_at: link.created_at,
            expires_at: link.expires_at,
            uses: link.uses,
        };
        changed |= enter(all, owner, &link.id, &facts)?;
        // A link of many uses may have been used before.
        date(all, link, "used_at", link.used_at, false)?;
    }
    Ok(changed)
}

/// Notes the last use.
pub(super) fn spent(all: &mut Object, link: &LinkRecord) -> Result<bool, StoreError> {
    date(all, link, "used_at", link.used_at, true)
}

/// Each takes over what the other took away. What only the service holds is left alone, unless it is of our own making
/// and long forgotten here.
pub(super) fn settle(
    all: &mut Object,
    owner: &str,
    links: &[LinkRecord],
    now: Timestamp,
) -> Result<Settled, StoreError> {
    let mut settled = Settled { changed: false, objections: Vec::new() };
    for link in links {
        if !all.object(&link.id).is_some_and(|record| record::is_of(&record, link)) {
            continue;
        }
        let objection = record::objection(all, link, now).filter(|_| link.state(now) == LinkState::Active);
        if let Some(objection) = objection {
            settled.objections.push((link.token_hash, objection));
        }
        settled.changed |= date(all, link, "used_at", link.used_at, false)?;
        settled.changed |= date(all, link, "revoked_at", link.revoked_at, false)?;
    }
    let known: HashSet<&str> = links.iter().map(|link| link.id.as_str()).collect();
    settled.changed |= all.remove(|id, raw| {
        id != CLAIM && !known.contains(id) && raw.get().contains(owner) && is_stray(raw.get(), owner, now)
    });
    Ok(settled)
}

/// Says that this linkgate writes here. False: it is said already.
pub(super) fn claim(all: &mut Object, by: &Claimant, now: Timestamp) -> Result<bool, StoreError> {
    if all.object(CLAIM).is_some_and(|claim| by.claims_now(&claim)) {
        return Ok(false);
    }
    all.set(CLAIM, &record::claim(by, now).map_err(|error| broken(&error))?)
        .map_err(|error| broken(&error))?;
    Ok(true)
}

fn is_stray(raw: &str, owner: &str, now: Timestamp) -> bool {
    let Ok(record) = Object::parse(raw.as_bytes()) else { return false };
    let made = record::moment(&record, "created_at").ok().flatten();
    record.text(OWNER).is_some_and(|by| by == owner) && made.is_some_and(|made| now.since(made) >= STRAY)
}

/// Writes a date that the ledger knows into a link's record. One that is there stays, unless it is to be `replaced`;
/// a record that is missing, broken or about something else is left alone.
fn date(
    all: &mut Object,
    link: &LinkRecord,
    name: &str,
    at: Option<Timestamp>,
    replaced: bool,
) -> Result<bool, StoreError> {
    let Some(at) = at else { return Ok(false) };
    let Some(mut record) = all.object(&link.id).filter(|record| record::is_of(record, link)) else {
        return Ok(false);
    };
    if !replaced && !record.is_null(name) {
        return Ok(false);
    }
    record.set(name, &record::written(at)).map_err(|error| broken(&error))?;
    all.set(&link.id, &record).map_err(|error| broken(&error))?;
    Ok(true)
}

fn broken(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt(format!("a record that cannot be written: {error}"))
}
