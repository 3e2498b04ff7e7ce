//! Links and sessions as they lie in Redis: names and values of a HASH. Empty values are left out.

use std::time::Duration;

use ::redis::Value;

use super::bytes;
use super::values::{self, Fields, corrupt};
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::store::{LinkRecord, LinkState, MadeBy, NewLetter, NewLink, Redeemer, StoreError};

/// How long a link that lets nobody in any more is kept, so that the page can say why and offer a fresh one.
pub(super) const SHOWN: Duration = Duration::from_hours(7 * 24);

/// What is read of a link. Its letter is not: it is large.
pub(super) const FIELDS: &[&str] = &[
    "id",
    "site",
    "email",
    "nonce_hash",
    "code_tag",
    "code_seed",
    "return_to",
    "expires_at",
    "uses",
    "by_hand",
    "note",
    "created_at",
    "order",
    "uses_left",
    "used_at",
    "session",
    "revoked_at",
    "wrong_tries",
    "code_tries",
    "again_used",
    "fence",
];

/// Names and values by turns.
pub(super) struct Pairs(Vec<Vec<u8>>);

impl Pairs {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push(name.as_bytes().to_vec());
            self.0.push(value);
        }
    }

    pub(super) fn number(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        self.add(name, value.map(bytes).unwrap_or_default());
    }

    pub(super) fn end(self) -> Vec<Vec<u8>> {
        self.0
    }
}

/// A link and its letter as fields; the script adds what only the server knows.
pub(super) fn of_link(
    link: &NewLink,
    letter: Option<&NewLetter>,
    fence: i64,
    code_tries: u32,
) -> Vec<Vec<u8>> {
    let mut pairs = Pairs::new();
    pairs.add("site", link.site.as_str());
    pairs.add("email", link.email.as_str());
    pairs.add("nonce_hash", link.nonce_hash.map(Vec::from).unwrap_or_default());
    pairs.add("code_tag", link.code_tag.map(Vec::from).unwrap_or_default());
    pairs.add("code_seed", link.code_seed.map(Vec::from).unwrap_or_default());
    pairs.add("return_to", link.return_to.as_str());
    pairs.number("expires_at", link.expires_at.map(Timestamp::millis));
    pairs.number("uses", link.uses);
    pairs.number("uses_left", link.uses);
    pairs.number("by_hand", (link.made_by == MadeBy::Administrator).then_some(1));
    pairs.add("note", link.note.as_str());
    pairs.number("fence", Some(fence));
    pairs.number("code_tries", (code_tries > 0).then_some(code_tries));
    if let Some(letter) = letter {
        pairs.add("letter.id", letter.id.as_str());
        pairs.add("letter.site", letter.site.as_str());
        pairs.add("letter.email", letter.email.as_str());
        pairs.add("letter.sealed", letter.sealed.as_slice());
        pairs.number("letter.expires_at", letter.expires_at.map(Timestamp::millis));
    }
    pairs.end()
}

/// A link that was read, with what only this room needs.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) record: LinkRecord,
    pub(super) code_tag: Option<[u8; 32]>,
    /// The code's seed even where it is void.
    pub(super) code_seed: Option<[u8; 8]>,
    pub(super) fence: i64,
    /// Among links of one millisecond: which came first.
    pub(super) order: i64,
}

impl Link {
    /// From what `HMGET` answers for [`FIELDS`]. `None`: no such link.
    pub(super) fn read(token_hash: [u8; 32], value: Value) -> Result<Option<Self>, StoreError> {
        let Some(fields) = Fields::named(FIELDS, value)? else { return Ok(None) };
        if !fields.has("id") {
            return Ok(None);
        }
        let used_at = fields.when("used_at")?;
        let seed = fields.bytes("code_seed").map(TryInto::try_into).transpose();
        let code_seed = seed.map_err(|_| corrupt("the seed of a code"))?;
        let session = fields.bytes("session").map(values::session_id).transpose()?;
        let record = LinkRecord {
            id: fields.text("id")?,
            token_hash,
            site: fields.text("site")?,
            email: fields.email()?,
            nonce_hash: fields.hash("nonce_hash")?,
            // With the link that was redeemed, its code is void.
            code_seed: code_seed.filter(|_| used_at.is_none()),
            return_to: fields.text("return_to")?,
            expires_at: fields.when("expires_at")?,
            uses: fields.limit("uses")?,
            made_by: if fields.has("by_hand") { MadeBy::Administrator } else { MadeBy::Asked },
            note: fields.text("note")?,
            created_at: fields.moment("created_at")?,
            uses_left: fields.limit("uses_left")?,
            used_at,
            session,
            revoked_at: fields.when("revoked_at")?,
            wrong_tries: fields.count("wrong_tries")?,
            code_tries: fields.count("code_tries")?,
            again_used: fields.has("again_used"),
        };
        Ok(Some(Self {
            record,
            code_tag: fields.hash("code_tag")?,
            code_seed,
            fence: fields.number("fence")?.unwrap_or_default(),
            order: fields.number("order")?.unwrap_or_default(),
        }))
    }

    /// As it is judged: a link of an earlier fence ended with it, but what was used or expired stays so.
    pub(super) fn judged(mut self, fence: i64, now: Timestamp) -> Self {
        if self.fence < fence && self.is_live(now) {
            self.record.revoked_at = Some(now);
        }
        self
    }

    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.record.state(now) == LinkState::Active
    }

    /// Newest first.
    pub(super) fn newest_first(links: &mut [Self]) {
        links.sort_by_key(|link| std::cmp::Reverse((link.record.created_at, link.order)));
    }
}

/// What a session begins with.
pub(super) fn of_session(site: &str, email: &EmailAddress, by: &Redeemer, fence: i64) -> Vec<Vec<u8>> {
    let mut pairs = Pairs::new();
    pairs.add("site", site);
    pairs.add("email", email.as_str());
    pairs.number("generation", Some(by.generations.of(email)));
    pairs.number("idle", Some(by.idle_until.millis()));
    pairs.add("device", by.device.as_str());
    pairs.add("client", by.client.as_str());
    pairs.number("fence", Some(fence));
    pairs.add("replaces", by.ends.map(|id| id.bytes().to_vec()).unwrap_or_default());
    pairs.end()
}

/// A session that was read, with what only this room needs.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) record: crate::store::SessionRecord,
    pub(super) fence: i64,
    /// The link that has to say so before this session counts; `None`: it has.
    pub(super) link: Option<[u8; 32]>,
    /// The session that this one took the place of.
    pub(super) replaces: Option<SessionId>,
    /// That it has ended is said in the standing, not in its record alone.
    pub(super) told: bool,
}

impl Session {
    /// From what `HGETALL` answers.
    pub(super) fn read(id: SessionId, value: Value) -> Result<Option<Self>, StoreError> {
        let Some(fields) = Fields::by_turns(value)? else { return Ok(None) };
        let record = crate::store::SessionRecord {
            id,
            site: fields.text("site")?,
            email: fields.email()?,
            generation: u64::try_from(fields.number("generation")?.unwrap_or_default()).unwrap_or_default(),
            created_at: fields.moment("created")?,
            seen_at: fields.moment("seen")?,
            ends_at: fields.moment("ends")?,
            idle_until: fields.moment("idle")?,
            device: fields.text("device")?,
            client: fields.text("client")?,
            revoked_at: fields.when("revoked")?,
        };
        Ok(Some(Self {
            record,
            fence: fields.number("fence")?.unwrap_or_default(),
            link: fields.hash("link")?,
            replaces: fields.bytes("replaces").map(values::session_id).transpose()?,
            told: false,
        }))
    }
}
