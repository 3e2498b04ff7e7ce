//! People beyond those in the configuration, and everybody's generation. A removed person's generation stays: their old
//! sessions must not come back with a person of the same address.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, Row, params};

use super::Sqlite;
use super::keys;
use super::sessions;
use super::thread::Tx;
use crate::identity::EmailAddress;
use crate::identity::Profile;
use crate::identity::Snapshot;
use crate::identity::StoredPerson;
use crate::store::StoreError;

const COLUMNS: &str = "site, email, generation, present, name, id, memberships, attributes, until, disabled";

impl Sqlite {
    pub(in crate::store) async fn put_user(&self, site: &str, profile: Profile) -> Result<(), StoreError> {
        let site = site.to_owned();
        self.writer.ask(move |tx| put(tx, &site, &profile)).await
    }

    pub(in crate::store) async fn remove_user(
        &self,
        site: &str,
        email: &EmailAddress,
    ) -> Result<bool, StoreError> {
        let (site, email) = (site.to_owned(), email.clone());
        let remove = move |tx: &Tx<'_>| {
            let removed = tx
                .prepare_cached(
                    "UPDATE people SET present = 0, name = '', id = '', memberships = '[]', attributes = '{}', \
                     until = NULL, disabled = 0 WHERE site = ?1 AND email = ?2 AND present = 1",
                )?
                .execute(params![site, email])?;
            if removed > 0 {
                sessions::raise(tx, &site, &email)?;
            }
            Ok(removed > 0)
        };
        self.writer.ask(remove).await
    }

    pub(in crate::store) async fn list_users(
        &self,
        site: Option<&str>,
    ) -> Result<Vec<(String, Profile)>, StoreError> {
        let site = site.map(str::to_owned);
        let list = move |tx: &Tx<'_>| {
            let people = people(tx, "present = 1 AND (?1 IS NULL OR site = ?1)", site.as_deref())?;
            Ok(people.into_iter().filter_map(|person| Some((person.site, person.profile?))).collect())
        };
        self.reader.ask(list).await
    }

    pub(in crate::store) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let snapshot = |tx: &Tx<'_>| {
            let mut statement = tx.prepare_cached(
                "SELECT id, ends_at FROM sessions WHERE revoked_at IS NOT NULL AND ends_at >= ?1 \
                 UNION ALL SELECT id, ends_at FROM refused WHERE ends_at >= ?1",
            )?;
            let revoked = statement.query_map([tx.now], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Snapshot {
                people: people(tx, "?1 IS NULL", None)?,
                revoked: revoked.collect::<Result<_, _>>()?,
                epochs: keys::epochs(tx)?,
                version: version(tx)?,
            })
        };
        self.reader.ask(snapshot).await
    }

    pub(in crate::store) async fn version(&self) -> Result<i64, StoreError> {
        self.reader.ask(version).await
    }
}

/// What the schema's triggers count.
fn version(tx: &Tx<'_>) -> Result<i64, StoreError> {
    let mut statement = tx.prepare_cached("SELECT value FROM meta WHERE name = 'standing'")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

pub(super) fn put(tx: &Tx<'_>, site: &str, profile: &Profile) -> Result<(), StoreError> {
    let was_disabled: Option<bool> = tx
        .prepare_cached("SELECT disabled FROM people WHERE site = ?1 AND email = ?2")?
        .query_row(params![site, profile.email], |row| row.get(0))
        .optional()?;
    let json = |error: serde_json::Error| StoreError::Invalid(format!("the profile cannot be kept: {error}"));
    tx.prepare_cached(
        "INSERT INTO people (site, email, present, name, id, memberships, attributes, until, disabled) \
         VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT (site, email) DO UPDATE SET present = 1, name = excluded.name, id = excluded.id, \
           memberships = excluded.memberships, attributes = excluded.attributes, until = excluded.until, \
           disabled = excluded.disabled",
    )?
    .execute(params![
        site,
        profile.email,
        profile.name,
        profile.id,
        serde_json::to_string(&profile.groups).map_err(json)?,
        serde_json::to_string(&profile.attributes).map_err(json)?,
        profile.until,
        profile.disabled,
    ])?;
    if profile.disabled && was_disabled != Some(true) {
        sessions::raise(tx, site, &profile.email)?;
    }
    Ok(())
}

/// Sorted by site and address.
pub(super) fn people(
    tx: &rusqlite::Connection,
    condition: &str,
    site: Option<&str>,
) -> Result<Vec<StoredPerson>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM people WHERE {condition} ORDER BY site, email");
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query([site])?;
    let mut people = Vec::new();
    while let Some(row) = rows.next()? {
        people.push(person(row)?);
    }
    Ok(people)
}

fn person(row: &Row<'_>) -> Result<StoredPerson, StoreError> {
    let broken = |_| StoreError::Corrupt("a person whose groups or attributes are no JSON".to_owned());
    let email: EmailAddress = row.get("email")?;
    let generation = u64::try_from(row.get::<_, i64>("generation")?)
        .map_err(|_| StoreError::Corrupt("a generation below zero".to_owned()))?;
    let profile = if row.get("present")? {
        let groups: Vec<String> =
            serde_json::from_str(&row.get::<_, String>("memberships")?).map_err(broken)?;
        let attributes: BTreeMap<String, String> =
            serde_json::from_str(&row.get::<_, String>("attributes")?).map_err(broken)?;
        Some(Profile {
            email: email.clone(),
            name: row.get("name")?,
            id: row.get("id")?,
            groups,
            attributes,
            until: row.get("until")?,
            disabled: row.get("disabled")?,
        })
    } else {
        None
    };
    Ok(StoredPerson { site: row.get("site")?, email, generation, profile })
}
