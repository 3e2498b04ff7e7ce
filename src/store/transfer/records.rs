//! The records as they stand in the file, field by field. A field that is of today only has a default, so that an older
//! file is read; one that would let somebody in for longer if it were lost has none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::forms;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::KeyEpoch;
use crate::identity::Profile;
use crate::identity::SessionId;
use crate::identity::StoredPerson;
use crate::store::{AuditEvent, LinkRecord, MadeBy, SessionRecord};

/// [`KeyEpoch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of the same name in the type that the doc names")]
pub struct MovedEpoch {
    pub id: String,
    #[serde(with = "forms::plain")]
    pub created_at: Timestamp,
    #[serde(with = "forms::or_null")]
    pub accepted_until: Option<Timestamp>,
}

/// [`StoredPerson`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of the same name in the type that the doc names")]
pub struct MovedPerson {
    pub site: String,
    #[serde(with = "forms::plain")]
    pub email: EmailAddress,
    pub generation: u64,
    /// Nobody added this person: only the generation is kept.
    #[serde(default)]
    pub profile: Option<MovedProfile>,
}

/// [`Profile`], without the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of the same name in the type that the doc names")]
pub struct MovedProfile {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    #[serde(with = "forms::or_null")]
    pub until: Option<Timestamp>,
    pub disabled: bool,
}

/// [`SessionRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of the same name in the type that the doc names")]
pub struct MovedSession {
    #[serde(with = "forms::plain")]
    pub id: SessionId,
    pub site: String,
    #[serde(with = "forms::plain")]
    pub email: EmailAddress,
    #[serde(default)]
    pub generation: u64,
    #[serde(with = "forms::plain")]
    pub created_at: Timestamp,
    #[serde(with = "forms::plain")]
    pub seen_at: Timestamp,
    #[serde(with = "forms::plain")]
    pub ends_at: Timestamp,
    #[serde(with = "forms::plain")]
    pub idle_until: Timestamp,
    #[serde(default)]
    pub device: String,
    #[serde(default)]
    pub client: String,
    #[serde(with = "forms::or_null")]
    pub revoked_at: Option<Timestamp>,
}

/// A session that nobody has a record of, and that is refused until its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "which session, and until when it has to be refused")]
pub struct MovedRefused {
    #[serde(with = "forms::plain")]
    pub id: SessionId,
    #[serde(with = "forms::plain")]
    pub ends_at: Timestamp,
}

/// [`LinkRecord`], and what a typed code is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of the same name in the type that the doc names")]
pub struct MovedLink {
    pub id: String,
    #[serde(with = "forms::plain")]
    pub token_hash: [u8; 32],
    pub site: String,
    #[serde(with = "forms::plain")]
    pub email: EmailAddress,
    #[serde(with = "forms::or_null")]
    pub nonce_hash: Option<[u8; 32]>,
    #[serde(with = "forms::or_null", default)]
    pub code_tag: Option<[u8; 32]>,
    #[serde(with = "forms::or_null", default)]
    pub code_seed: Option<[u8; 8]>,
    #[serde(default)]
    pub return_to: String,
    #[serde(with = "forms::plain")]
    pub created_at: Timestamp,
    #[serde(with = "forms::or_null")]
    pub expires_at: Option<Timestamp>,
    #[serde(with = "forms::or_null")]
    pub uses: Option<u32>,
    #[serde(with = "forms::or_null")]
    pub uses_left: Option<u32>,
    #[serde(with = "forms::or_null")]
    pub used_at: Option<Timestamp>,
    #[serde(with = "forms::or_null")]
    pub session: Option<SessionId>,
    #[serde(with = "forms::or_null")]
    pub revoked_at: Option<Timestamp>,
    pub wrong_tries: u32,
    pub code_tries: u32,
    pub again_used: bool,
    /// Not asked for on the sign-in page.
    pub by_hand: bool,
    #[serde(default)]
    pub note: String,
}

/// A wrong code, which counts for a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "site and address that the code was typed for, and when")]
pub struct MovedCodeFailure {
    pub site: String,
    #[serde(with = "forms::plain")]
    pub email: EmailAddress,
    #[serde(with = "forms::plain")]
    pub at: Timestamp,
}

/// [`AuditEvent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of the same name in the type that the doc names")]
pub struct MovedEvent {
    #[serde(with = "forms::plain")]
    pub at: Timestamp,
    #[serde(default)]
    pub site: String,
    #[serde(default)]
    pub email: String,
    pub what: String,
    #[serde(default)]
    pub request: String,
    #[serde(default)]
    pub client: String,
    #[serde(default)]
    pub detail: String,
}

impl MovedEpoch {
    /// Of today's epoch.
    #[must_use]
    pub fn of(epoch: KeyEpoch) -> Self {
        let KeyEpoch { id, created_at, accepted_until } = epoch;
        Self { id, created_at, accepted_until }
    }
}

impl MovedPerson {
    /// Of a person with a profile or a generation.
    #[must_use]
    pub fn of(person: StoredPerson) -> Self {
        let StoredPerson { site, email, generation, profile } = person;
        let profile = profile.map(|profile| {
            let Profile { email: _, name, id, groups, attributes, until, disabled } = profile;
            MovedProfile { name, id, groups, attributes, until, disabled }
        });
        Self { site, email, generation, profile }
    }

    /// As the store knows it.
    #[must_use]
    pub fn into_person(self) -> StoredPerson {
        let Self { site, email, generation, profile } = self;
        let profile = profile.map(|profile| {
            let MovedProfile { name, id, groups, attributes, until, disabled } = profile;
            Profile { email: email.clone(), name, id, groups, attributes, until, disabled }
        });
        StoredPerson { site, email, generation, profile }
    }
}

impl MovedSession {
    /// Of a session.
    #[must_use]
    pub fn of(session: SessionRecord) -> Self {
        let SessionRecord {
            id,
            site,
            email,
            generation,
            created_at,
            seen_at,
            ends_at,
            idle_until,
            device,
            client,
            revoked_at,
        } = session;
        Self {
            id,
            site,
            email,
            generation,
            created_at,
            seen_at,
            ends_at,
            idle_until,
            device,
            client,
            revoked_at,
        }
    }
}

impl MovedLink {
    /// Of a link and its code's tag.
    #[must_use]
    pub fn of(link: LinkRecord, code_tag: Option<[u8; 32]>) -> Self {
        Self {
            id: link.id,
            token_hash: link.token_hash,
            site: link.site,
            email: link.email,
            nonce_hash: link.nonce_hash,
            code_tag,
            code_seed: link.code_seed,
            return_to: link.return_to,
            created_at: link.created_at,
            expires_at: link.expires_at,
            uses: link.uses,
            uses_left: link.uses_left,
            used_at: link.used_at,
            session: link.session,
            revoked_at: link.revoked_at,
            wrong_tries: link.wrong_tries,
            code_tries: link.code_tries,
            again_used: link.again_used,
            by_hand: link.made_by == MadeBy::Administrator,
            note: link.note,
        }
    }

    /// As the store knows it, and its code's tag.
    #[must_use]
    pub fn into_link(self) -> (LinkRecord, Option<[u8; 32]>) {
        let link = LinkRecord {
            id: self.id,
            token_hash: self.token_hash,
            site: self.site,
            email: self.email,
            nonce_hash: self.nonce_hash,
            code_seed: self.code_seed,
            return_to: self.return_to,
            expires_at: self.expires_at,
            uses: self.uses,
            made_by: if self.by_hand { MadeBy::Administrator } else { MadeBy::Asked },
            note: self.note,
            created_at: self.created_at,
            uses_left: self.uses_left,
            used_at: self.used_at,
            session: self.session,
            revoked_at: self.revoked_at,
            wrong_tries: self.wrong_tries,
            code_tries: self.code_tries,
            again_used: self.again_used,
        };
        (link, self.code_tag)
    }
}

impl MovedEvent {
    /// Of an event.
    #[must_use]
    pub fn of(event: AuditEvent) -> Self {
        let AuditEvent { at, site, email, what, request, client, detail } = event;
        Self { at, site, email, what, request, client, detail }
    }

    /// As the store knows it.
    #[must_use]
    pub fn into_event(self) -> AuditEvent {
        let Self { at, site, email, what, request, client, detail } = self;
        AuditEvent { at, site, email, what, request, client, detail }
    }
}
