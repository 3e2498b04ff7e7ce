//! Walks through indexes and reads the records that they point to, in steps that a server hardly feels. Never holds a
//! server for long, and never gives a record twice.

use std::collections::HashMap;
use std::collections::HashSet;

use super::Redis;
use super::connection::{Ask, Origin};
use super::keys::{Index, SHARDS};
use super::records::{FIELDS, Link, SHOWN};
use super::trouble::away;
use super::values;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::store::StoreError;

/// Entries that are read at once.
const STEP: usize = 500;
/// Where a walk begins, and what is answered at its end.
const START: &[u8] = b"0";
/// How often the walk through one key may begin anew. Servers that change more often than that are not in order.
const BEGINNINGS: u32 = 8;

/// On the way through one key.
struct Walk<T> {
    key: String,
    cursor: Vec<u8>,
    /// Who gave the cursor.
    origin: Option<Origin>,
    /// How often it has begun anew.
    begun: u32,
    found: T,
}

impl<T: Default> Walk<T> {
    fn new(key: String) -> Self {
        Self { key, cursor: START.to_vec(), origin: None, begun: 0, found: T::default() }
    }

    fn anew(self) -> Result<Self, StoreError> {
        let begun = self.begun + 1;
        if begun > BEGINNINGS {
            return Err(away("the server changes again and again while it is read; do it again later"));
        }
        Ok(Self { begun, ..Self::new(self.key) })
    }
}

impl Redis {
    /// All members of an index of one person, or of everything.
    pub(super) async fn members(
        &self,
        index: Index,
        email: Option<&EmailAddress>,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let keys: Vec<String> = match email {
            Some(email) => vec![self.keys.of_person(email, index)],
            None => (0..SHARDS).map(|number| self.keys.shard(index, number)).collect(),
        };
        self.members_of(keys).await
    }

    pub(super) async fn members_of(&self, keys: Vec<String>) -> Result<Vec<Vec<u8>>, StoreError> {
        let found = self
            .walk("ZSCAN", keys, |found: &mut HashSet<Vec<u8>>, entries| {
                found.extend(entries.into_iter().step_by(2));
            })
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Names and values of a HASH, members and scores of a ZSET.
    pub(super) async fn pairs_of(
        &self,
        command: &'static str,
        key: &str,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let found = self
            .walk(command, vec![key.to_owned()], |found: &mut HashMap<Vec<u8>, Vec<u8>>, entries| {
                let mut entries = entries.into_iter();
                while let (Some(name), Some(value)) = (entries.next(), entries.next()) {
                    found.insert(name, value);
                }
            })
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Everything in these keys, read in steps, all keys at once. Whatever was there all the time is found, even where
    /// the server is replaced in the middle: a cursor means something only to the process that gave it, so a walk that
    /// another one would have to go on with begins anew.
    async fn walk<T: Default + Send>(
        &self,
        command: &'static str,
        keys: Vec<String>,
        keep: fn(&mut T, Vec<Vec<u8>>),
    ) -> Result<Vec<T>, StoreError> {
        let mut open: Vec<Walk<T>> = keys.into_iter().map(Walk::new).collect();
        let mut done = Vec::with_capacity(open.len());
        while !open.is_empty() {
            let asks = open.iter().map(|walk| scan(command, &walk.key, &walk.cursor)).collect();
            let answers = self.connection.ask_all_from(asks).await?;
            let mut next = Vec::with_capacity(open.len());
            for (mut walk, (answer, origin)) in open.into_iter().zip(answers) {
                if walk.origin.as_ref().is_some_and(|before| *before != origin) {
                    next.push(walk.anew()?);
                    continue;
                }
                let (cursor, entries) = scanned(answer)?;
                keep(&mut walk.found, entries);
                if cursor == START {
                    done.push(walk.found);
                } else {
                    next.push(Walk { cursor, origin: Some(origin), ..walk });
                }
            }
            open = next;
        }
        Ok(done)
    }

    /// The moment that judges, and the fence that is in force: links and sessions of an earlier one have ended.
    pub(super) fn ask_fence(&self) -> Ask {
        let key = self.keys.standing("fence");
        let mut fence = ::redis::cmd("GET");
        fence.arg(&key);
        let mut ask = Ask::one(&key, ::redis::cmd("TIME"));
        ask.calls.push(super::connection::Call::Plain(fence));
        ask
    }

    pub(super) fn read_fence(&self, answer: Vec<::redis::Value>) -> Result<(Timestamp, i64), StoreError> {
        let mut answer = answer.into_iter();
        let now = self.judged_at(answer.next().unwrap_or_default())?;
        Ok((now, values::number(&answer.next().unwrap_or_default())?.unwrap_or_default()))
    }

    pub(super) fn ask_link(&self, token_hash: &[u8; 32]) -> Ask {
        let key = self.keys.link(token_hash);
        let mut command = ::redis::cmd("HMGET");
        command.arg(&key).arg(FIELDS);
        Ask::one(&key, command)
    }

    /// Links by their token hashes, as they are judged now; what is not there is left out.
    pub(super) async fn links(&self, hashes: &[[u8; 32]]) -> Result<(Timestamp, i64, Vec<Link>), StoreError> {
        let mut links = Vec::new();
        let mut judged = None;
        for step in hashes.chunks(STEP) {
            let mut asks = vec![self.ask_fence()];
            asks.extend(step.iter().map(|hash| self.ask_link(hash)));
            let mut answers = self.connection.ask_all(asks).await?.into_iter();
            let (now, fence) = self.read_fence(answers.next().unwrap_or_default())?;
            judged = Some((now, fence));
            for (hash, answer) in step.iter().zip(answers) {
                let link = Link::read(*hash, answer.into_iter().next().unwrap_or_default())?;
                links.extend(link.map(|link| link.judged(fence, now)));
            }
        }
        let (now, fence) = match judged {
            Some(judged) => judged,
            None => self.read_fence(self.connection.ask(self.ask_fence()).await?)?,
        };
        Ok((now, fence, links))
    }

    /// When the sweep may remove a link that ends then.
    pub(super) fn kept_until(expires_at: Option<Timestamp>) -> Option<Timestamp> {
        expires_at.map(|end| end + SHOWN)
    }
}

/// In steps of the same size.
pub(super) fn steps<T>(items: &[T]) -> std::slice::Chunks<'_, T> {
    items.chunks(STEP)
}

/// Token hashes as indexes hold them.
pub(super) fn hashes(members: &[Vec<u8>]) -> Result<Vec<[u8; 32]>, StoreError> {
    members.iter().map(|member| values::hash(member)).collect()
}

fn scan(command: &str, key: &str, cursor: &[u8]) -> Ask {
    let mut scan = ::redis::cmd(command);
    scan.arg(key).arg(cursor).arg("COUNT").arg(1000);
    Ask::one(key, scan)
}

/// The next cursor, and what was found.
fn scanned(answer: Vec<::redis::Value>) -> Result<(Vec<u8>, Vec<Vec<u8>>), StoreError> {
    let mut parts = values::list(answer.into_iter().next().unwrap_or_default())?.into_iter();
    let cursor =
        values::bytes(parts.next().unwrap_or_default())?.ok_or_else(|| values::corrupt("no cursor"))?;
    let entries = values::list(parts.next().unwrap_or_default())?;
    let entries = entries.into_iter().map(|entry| Ok(values::bytes(entry)?.unwrap_or_default()));
    Ok((cursor, entries.collect::<Result<_, StoreError>>()?))
}
