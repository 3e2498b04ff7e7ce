//! What has changed since an instance looked last, told as such: a session that ended, or a person who changed, costs every
//! instance that session or that person, not all that ever ended. Whatever cannot be told apart is read as a whole.

use std::sync::PoisonError;

use ::redis::Value;

use super::Redis;
use super::bytes;
use super::connection::{Ask, Call};
use super::keys;
use super::people;
use super::values::{self, corrupt};
use crate::clock::Timestamp;
use crate::identity::Change;
use crate::identity::SessionId;
use crate::identity::StoredPerson;
use crate::store::{News, StoreError};

/// An id, and the milliseconds of its absolute end in decimal digits.
const PACKED: usize = 16 + 15;

/// A version, and the note that tells it from the same number in another history.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    version: i64,
    note: Vec<u8>,
}

/// What `lua/news.lua` answers.
struct Told {
    mark: Mark,
    /// `None`: all must be read.
    notes: Option<Notes>,
}

/// What lies between two versions.
struct Notes {
    ended: Vec<(SessionId, Timestamp)>,
    /// Who has changed, as fields of the standing's hashes; each once.
    people: Vec<Vec<u8>>,
    epochs: bool,
}

impl Redis {
    /// Reads only. What is read of people and epochs is at least as new as the version that goes with it: what changed
    /// since then is told again.
    pub(in crate::store) async fn news(&self, seen: i64) -> Result<News, StoreError> {
        let mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if mark.version != seen {
            // Somebody else's number: nothing is known of it.
            return Ok(News::Much);
        }
        let told = self.tell(bytes(seen), mark.note.clone()).await?;
        // The same number with another note is another history, even where there was none before.
        if told.mark.version == seen && told.mark.note == mark.note {
            return Ok(News::None);
        }
        let Some(notes) = told.notes else { return Ok(News::Much) };
        let epochs = if notes.epochs { Some(self.epochs().await?) } else { None };
        // Somebody has emptied Redis meanwhile.
        if epochs.as_ref().is_some_and(Vec::is_empty) {
            return Ok(News::Much);
        }
        let people = self.people_now(&notes.people).await?;
        let version = told.mark.version;
        self.remember(told.mark);
        Ok(News::Told { version, change: Change { ended: notes.ended, people, epochs } })
    }

    /// These people as they are now.
    async fn people_now(&self, fields: &[Vec<u8>]) -> Result<Vec<StoredPerson>, StoreError> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        // Generations last: a person who is removed meanwhile is seen with too high a number rather than too low a one.
        let calls = ["people", "generations"].map(|what| {
            let mut read = ::redis::cmd("HMGET");
            read.arg(self.keys.standing(what)).arg(fields);
            Call::Plain(read)
        });
        let ask = Ask { key: self.keys.standing("people"), calls: calls.into() };
        let mut answers = self.connection.ask(ask).await?.into_iter();
        let profiles = values::list(answers.next().unwrap_or_default())?;
        let generations = values::list(answers.next().unwrap_or_default())?;
        if profiles.len() != fields.len() || generations.len() != fields.len() {
            return Err(corrupt("people"));
        }
        let one = |((field, profile), generation): ((&Vec<u8>, Value), Value)| {
            let (site, email) = keys::person_of(field).ok_or_else(|| corrupt("a person"))?;
            let profile =
                values::bytes(profile)?.map(|kept| people::read(email.clone(), &kept)).transpose()?;
            Ok(StoredPerson { site, email, generation: values::count(&generation)?, profile })
        };
        fields.iter().zip(profiles).zip(generations).map(one).collect()
    }

    /// The version, remembered so that [`Redis::news`] can tell what follows it.
    pub(super) async fn marked_version(&self) -> Result<i64, StoreError> {
        let Told { mark, .. } = self.tell(Vec::new(), Vec::new()).await?;
        let version = mark.version;
        self.remember(mark);
        // Whoever loads the standing is the first to be answered.
        self.advise_once();
        Ok(version)
    }

    fn remember(&self, mark: Mark) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    async fn tell(&self, seen: Vec<u8>, note: Vec<u8>) -> Result<Told, StoreError> {
        self.connection.vouched().await?;
        let ask = self.script(&self.scripts.news, &[self.keys.standing("version")], vec![seen, note]);
        let mut answer = values::list(self.run(ask).await?)?.into_iter();
        let mut next = || answer.next().unwrap_or_default();
        let version = values::number(&next())?.unwrap_or_default();
        let note = values::bytes(next())?.unwrap_or_default();
        let notes = match values::bytes(next())? {
            Some(ended) => Some(Notes {
                ended: unpacked(&ended)?,
                people: named(values::list(next())?)?,
                epochs: values::count(&next())? > 0,
            }),
            None => None,
        };
        Ok(Told { mark: Mark { version, note }, notes })
    }
}

fn unpacked(ended: &[u8]) -> Result<Vec<(SessionId, Timestamp)>, StoreError> {
    let one = |packed: &[u8]| {
        let (id, end) = packed.split_at_checked(16).ok_or_else(|| corrupt("an ended session"))?;
        let end = std::str::from_utf8(end).ok().and_then(|digits| digits.parse().ok());
        let end = end.ok_or_else(|| corrupt("the end of a session"))?;
        Ok((values::session_id(id)?, Timestamp::from_millis(end)))
    };
    ended.chunks(PACKED).map(one).collect()
}

/// People out of their hexadecimal names.
fn named(people: Vec<Value>) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut fields = people
        .into_iter()
        .map(|name| keys::unhex(&values::text(name)?).ok_or_else(|| corrupt("the name of a person")))
        .collect::<Result<Vec<_>, StoreError>>()?;
    fields.sort_unstable();
    fields.dedup();
    Ok(fields)
}
