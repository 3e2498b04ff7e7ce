//! People beyond those in the configuration, and everybody's generation. A removed person's generation stays: their old
//! sessions must not come back with a person of the same address.

use std::collections::BTreeMap;
use std::time::Instant;

use ::redis::Value;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::Redis;
use super::keys;
use super::many::Sure;
use super::repeats;
use super::values::{self, corrupt};
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::Profile;
use crate::identity::StoredPerson;
use crate::store::StoreError;

/// A profile as JSON; the address is in the field's name, whether the person is switched off before the JSON.
#[derive(Serialize, Deserialize)]
struct Kept {
    name: String,
    id: String,
    groups: Vec<String>,
    attributes: BTreeMap<String, String>,
    until: Option<i64>,
}

impl Redis {
    /// Commit point: the standing; replicas confirm it.
    pub(in crate::store) async fn put_user(&self, site: &str, profile: Profile) -> Result<(), StoreError> {
        let (this, site) = (self.clone(), site.to_owned());
        let put = async move {
            let email = profile.email.clone();
            let profile = written(profile)?;
            let arguments =
                vec![this.keys.changed().into_bytes(), keys::person(&site, &email), profile.clone()];
            let keys = ["people", "generations", "version"].map(|what| this.keys.standing(what));
            let ask = this.script(&this.scripts.put_user, &keys, arguments);
            let (answer, sure) = this.run_surely(&ask).await?;
            let raised = values::count(&answer)?;
            this.after_change(&site, &email, raised, sure, &profile).await
        };
        self.begun_long(put).await
    }

    /// Commit point: the standing; replicas confirm it.
    pub(in crate::store) async fn remove_user(
        &self,
        site: &str,
        email: &EmailAddress,
    ) -> Result<bool, StoreError> {
        let (this, site, email) = (self.clone(), site.to_owned(), email.clone());
        let remove = async move {
            let arguments = vec![this.keys.changed().into_bytes(), keys::person(&site, &email)];
            let keys = ["people", "generations", "version", "pulse"].map(|what| this.keys.standing(what));
            let ask = this.script(&this.scripts.remove_user, &keys, arguments);
            let (answer, sure) = this.run_surely(&ask).await?;
            let raised = values::count(&answer)?;
            this.after_change(&site, &email, raised, sure, b"").await?;
            Ok(raised > 0)
        };
        self.begun_long(remove).await
    }

    /// Ends in the listing what has ended with a raised generation. What ended stays ended, whatever becomes of the
    /// change; one that is not confirmed is said.
    async fn after_change(
        &self,
        site: &str,
        email: &EmailAddress,
        raised: u64,
        sure: bool,
        profile: &[u8],
    ) -> Result<(), StoreError> {
        if raised > 0 {
            self.end_in_list(site, email, raised, Sure::of(sure)).await?;
        }
        if sure {
            return Ok(());
        }
        let confirmed = self.confirm_person(&keys::person(site, email), profile).await;
        if confirmed.is_err() && raised > 0 {
            self.keep_generation(site, email, raised);
        }
        confirmed
    }

    /// Asks replicas again whether they have a change of a person, for as long as a person waits for a command. Never
    /// makes the change again: somebody may have made another one.
    async fn confirm_person(&self, person: &[u8], profile: &[u8]) -> Result<(), StoreError> {
        let keys = ["people", "pulse"].map(|what| self.keys.standing(what));
        let ask = self.script(&self.scripts.confirm_user, &keys, vec![person.to_vec(), profile.to_vec()]);
        let until = Instant::now() + self.connection.timeout() * repeats::PATIENCE;
        loop {
            match self.run_surely(&ask).await {
                Ok((Value::Int(1), true)) => return Ok(()),
                Ok((Value::Int(1), false)) | Err(StoreError::Away(_)) => {}
                Ok(_) => {
                    return Err(StoreError::Away(
                        "Redis: this person was changed by somebody else, or the change was lost with a server; look with \
                         linkgate user list, and make it again"
                            .to_owned(),
                    ));
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= until {
                return Err(repeats::unconfirmed());
            }
            sleep(repeats::FIRST_PAUSE).await;
        }
    }

    pub(in crate::store) async fn list_users(
        &self,
        site: Option<&str>,
    ) -> Result<Vec<(String, Profile)>, StoreError> {
        let people = self.pairs_of("HSCAN", &self.keys.standing("people")).await?;
        let mut users = Vec::with_capacity(people.len());
        for (field, value) in people {
            let (of, email) = keys::person_of(&field).ok_or_else(|| corrupt("a person"))?;
            if site.is_none_or(|site| site == of) {
                users.push((of, read(email, &value)?));
            }
        }
        users.sort_by(|a, b| (&a.0, a.1.email.as_str()).cmp(&(&b.0, b.1.email.as_str())));
        Ok(users)
    }

    /// Everyone with a profile or a generation.
    pub(super) async fn people(&self) -> Result<Vec<StoredPerson>, StoreError> {
        let mut people: BTreeMap<(String, String), StoredPerson> = BTreeMap::new();
        let of = |field: &[u8]| -> Result<_, StoreError> {
            let (site, email) = keys::person_of(field).ok_or_else(|| corrupt("a person"))?;
            Ok((
                (site.clone(), email.to_string()),
                StoredPerson { site, email, generation: 0, profile: None },
            ))
        };
        // Generations last: a person who is removed meanwhile is seen with too high a number rather than too low a one.
        for (field, value) in self.pairs_of("HSCAN", &self.keys.standing("people")).await? {
            let (key, mut person) = of(&field)?;
            person.profile = Some(read(person.email.clone(), &value)?);
            people.insert(key, person);
        }
        for (field, value) in self.pairs_of("HSCAN", &self.keys.standing("generations")).await? {
            let (key, person) = of(&field)?;
            let generation = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
            people.entry(key).or_insert(person).generation =
                generation.ok_or_else(|| corrupt("a generation"))?;
        }
        Ok(people.into_values().collect())
    }
}

pub(super) fn written(profile: Profile) -> Result<Vec<u8>, StoreError> {
    let off = if profile.disabled { b'1' } else { b'0' };
    let kept = Kept {
        name: profile.name,
        id: profile.id,
        groups: profile.groups,
        attributes: profile.attributes,
        until: profile.until.map(Timestamp::millis),
    };
    let json = serde_json::to_vec(&kept)
        .map_err(|error| StoreError::Invalid(format!("the profile cannot be kept: {error}")))?;
    Ok([&[off], json.as_slice()].concat())
}

pub(super) fn read(email: EmailAddress, value: &[u8]) -> Result<Profile, StoreError> {
    let (disabled, json) = match value.split_first() {
        Some((b'0', json)) => (false, json),
        Some((b'1', json)) => (true, json),
        _ => return Err(corrupt("a person")),
    };
    let kept: Kept = serde_json::from_slice(json).map_err(|_| corrupt("a person"))?;
    Ok(Profile {
        email,
        name: kept.name,
        id: kept.id,
        groups: kept.groups,
        attributes: kept.attributes,
        until: kept.until.map(Timestamp::from_millis),
        disabled,
    })
}
