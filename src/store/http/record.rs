//! One link as the service knows it, and what its word is worth: it can only take away. Never believes a record that is
//! not the link that our ledger knows, and never a date that is later than ours.

use std::time::Duration;

use aws_lc_rs::digest;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::document::Object;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::store::LinkRecord;
use crate::store::sqlite::Objection;
use crate::store::transfer::hex;

/// In our records, and in no others: which linkgate wrote them.
pub(super) const OWNER: &str = "linkgate";

/// The record that says which linkgate writes here. It looks like a link, so that every service keeps it, and has been
/// revoked, used and past since it was made.
pub(super) const CLAIM: &str = "6c696e6b-6761-4465-a000-696e7374616e";

/// A service may round to whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

/// What a link needs to be written.
pub(super) struct Facts<'a> {
    pub(super) email: &'a EmailAddress,
    pub(super) token_hash: &'a [u8; 32],
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) uses: Option<u32>,
}

/// A link that nobody has used yet.
pub(super) fn fresh(facts: &Facts<'_>, owner: &str) -> Result<Object, serde_json::Error> {
    let mut record = Object::default();
    record.set("email", &facts.email.as_str())?;
    record.set("token_hash", &hex(facts.token_hash))?;
    record.set("created_at", &written(facts.created_at))?;
    record.set("expires_at", &facts.expires_at.map(written))?;
    record.set("single_use", &(facts.uses == Some(1)))?;
    record.set("used_at", &None::<()>)?;
    record.set("revoked_at", &None::<()>)?;
    record.set(OWNER, &owner)?;
    Ok(record)
}

/// Who writes to the service: a ledger, and how often somebody has begun to serve with it. A copy of the ledger is told
/// from the original by the turn that only one of the two knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Claimant {
    pub(super) owner: String,
    /// Oldest first; empty: nobody has begun to serve with it yet.
    pub(super) turns: Vec<i64>,
}

impl Claimant {
    /// Whether the record under [`CLAIM`] is this ledger's, of this turn or of an earlier one. The hash says it: a service
    /// may drop fields that it does not know.
    pub(super) fn claims(&self, record: &Object) -> bool {
        let turns = self.turns.iter().copied().map(Some).chain([None]);
        turns.into_iter().any(|turn| self.is_in(record, turn))
    }

    /// Whether it is of the last turn.
    pub(super) fn claims_now(&self, record: &Object) -> bool {
        self.is_in(record, self.turns.last().copied())
    }

    fn is_in(&self, record: &Object, turn: Option<i64>) -> bool {
        record.text("token_hash").is_some_and(|hash| hash.eq_ignore_ascii_case(&self.hash(turn)))
    }

    fn hash(&self, turn: Option<i64>) -> String {
        let turn = turn.map(|turn| format!(" {turn:016x}")).unwrap_or_default();
        let name = format!("linkgate instance {}{turn}", self.owner);
        hex(digest::digest(&digest::SHA256, name.as_bytes()).as_ref())
    }
}

/// The record under [`CLAIM`].
pub(super) fn claim(by: &Claimant, now: Timestamp) -> Result<Object, serde_json::Error> {
    let mut record = Object::default();
    record.set("email", &"linkgate@instance.invalid")?;
    record.set("token_hash", &by.hash(by.turns.last().copied()))?;
    for date in ["created_at", "expires_at"] {
        record.set(date, &written(now))?;
    }
    record.set("single_use", &true)?;
    for date in ["used_at", "revoked_at"] {
        record.set(date, &written(now))?;
    }
    record.set(OWNER, &by.owner)?;
    Ok(record)
}

/// What the service has against a link that our ledger would let in at `now`; `None`: nothing.
pub(super) fn objection(all: &Object, link: &LinkRecord, now: Timestamp) -> Option<Objection> {
    if !all.has(&link.id) {
        return Some(Objection::Unknown("the token service does not hold it (any more)"));
    }
    let Some(record) = all.object(&link.id) else {
        return Some(Objection::Unknown(
            "its record at the token service is no object, or says a name twice",
        ));
    };
    if !is_of(&record, link) {
        return Some(Objection::Unknown("its record at the token service is about another address or token"));
    }
    if !record.is_null("revoked_at") {
        return Some(Objection::Revoked);
    }
    // One that may be used once here stays so, whatever they say.
    let once = match record.get("single_use").map(serde_json::value::RawValue::get) {
        None | Some("false" | "null") => link.uses == Some(1),
        Some("true") => true,
        Some(_) => {
            return Some(Objection::Unknown("single_use at the token service is neither true nor false"));
        }
    };
    if once && !record.is_null("used_at") {
        return Some(Objection::Used);
    }
    let Ok(theirs) = moment(&record, "expires_at") else {
        return Some(Objection::Unknown("expires_at at the token service is no date"));
    };
    match (link.expires_at, theirs) {
        (Some(_), None) => Some(Objection::Unknown("the token service says that it never ends")),
        (Some(ours), Some(theirs)) if theirs > ours + ROUNDING => {
            Some(Objection::Unknown("the token service says that it ends later than it does"))
        }
        (_, Some(theirs)) if theirs <= now => Some(Objection::Expired(theirs)),
        (Some(_) | None, Some(_)) | (None, None) => None,
    }
}

/// Whether a record is about this very link.
pub(super) fn is_of(record: &Object, link: &LinkRecord) -> bool {
    let email = record.text("email").and_then(|text| EmailAddress::parse(&text).ok());
    let hash = record.text("token_hash");
    email.is_some_and(|email| email == link.email)
        && hash.is_some_and(|hash| hash.eq_ignore_ascii_case(&hex(&link.token_hash)))
}

/// A date: RFC 3339, or seconds since 1970. `Ok(None)`: missing or `null`.
pub(super) fn moment(record: &Object, name: &str) -> Result<Option<Timestamp>, ()> {
    if record.is_null(name) {
        return Ok(None);
    }
    if let Some(text) = record.text(name) {
        let parsed = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| ())?;
        let millis = i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| ())?;
        return Ok(Some(Timestamp::from_millis(millis)));
    }
    let raw = record.get(name).ok_or(())?.get();
    let whole = raw.split('.').next().unwrap_or_default();
    let fraction = raw.get(whole.len()..).unwrap_or_default().trim_start_matches('.');
    if raw.contains(['e', 'E']) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(());
    }
    // What is left of a second is dropped: a moment early at most.
    whole.parse().map(|seconds| Some(Timestamp::from_seconds(seconds))).map_err(|_| ())
}

/// RFC 3339, UTC; what is beyond the year 9999 is as good as its end.
pub(super) fn written(at: Timestamp) -> String {
    let nanos = i128::from(at.millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
}
