//! What has changed since an instance looked last, told as such: a session that ended costs every instance that session,
//! not all that ever ended. Whatever else has changed, or cannot be told apart from it, is read as a whole.

use std::sync::PoisonError;

use super::Redis;
use super::bytes;
use super::values::{self, corrupt};
use crate::clock::Timestamp;
use crate::identity::SessionId;
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
    ended: Option<Vec<u8>>,
}

impl Redis {
    /// Reads only.
    pub(in crate::store) async fn news(&self, seen: i64) -> Result<News, StoreError> {
        let mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Somebody else's number: nothing is known of it.
        let note = if mark.version == seen { mark.note } else { Vec::new() };
        let told = self.tell(bytes(seen), note.clone()).await?;
        let same = told.mark.version == seen && (note.is_empty() || told.mark.note == note);
        match told.ended {
            _ if same => Ok(News::None),
            Some(ended) => {
                let (version, ended) = (told.mark.version, unpacked(&ended)?);
                self.remember(told.mark);
                Ok(News::Ended { version, ended })
            }
            None => Ok(News::Much),
        }
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
        let version = values::number(&answer.next().unwrap_or_default())?.unwrap_or_default();
        let note = values::bytes(answer.next().unwrap_or_default())?.unwrap_or_default();
        let ended = values::bytes(answer.next().unwrap_or_default())?;
        Ok(Told { mark: Mark { version, note }, ended })
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
