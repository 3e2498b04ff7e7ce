//! The outbox in Redis. A letter lies in its link's HASH, in fields that begin with `letter.`: `id`, `site`, `email`,
//! `sealed` (absent once erased), `state` (0 waiting, 1 leased, 2 dead, 3 sent), `attempts`, `next_at`, `holder`,
//! `error`, `created_at`, `expires_at`, `finished_at`, `order`. `lua/put_link.lua` writes it, `lua/revoke_link.lua`
//! recalls it.
//!
//! One index says when to look at which letter. It only points: whether a letter is due, and whose it is, its own HASH
//! says, in the one script that leases it. An entry that is wrong costs one look and is put right then.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::Value;

use super::Redis;
use super::bytes;
use super::connection::Ask;
use super::keys::Index;
use super::leases::{Due, Entry};
use super::records::SHOWN;
use super::values::{self, Fields, corrupt};
use super::walk;
use crate::clock::Timestamp;
use crate::store::{LetterRecord, LetterState, NewLetter, StoreError};

/// What a relay says is cut to this many characters.
const LONGEST_ERROR: usize = 500;
/// When a letter is looked for whose writer never said that it is there: longer than any writer may take.
const WRITTEN_BY: Duration = Duration::from_mins(2);
/// What listings need.
const LISTED: &[&str] = &[
    "letter.id",
    "letter.site",
    "letter.email",
    "letter.state",
    "letter.attempts",
    "letter.next_at",
    "letter.error",
    "letter.created_at",
    "letter.order",
];

impl Redis {
    /// What finds a letter, written before the letter. Should its writer go away between the two, it is found by this.
    pub(super) fn letter_indexes(
        &self,
        token_hash: &[u8; 32],
        _letter: &NewLetter,
        now: Timestamp,
    ) -> Vec<Ask> {
        vec![self.look_at_letter(token_hash, Some(now + WRITTEN_BY))]
    }

    /// The letter is written: look at it then. `None`: never again.
    pub(super) fn look_at_letter(&self, token_hash: &[u8; 32], at: Option<Timestamp>) -> Ask {
        let key = self.keys.letters();
        let mut command = ::redis::cmd(if at.is_some() { "ZADD" } else { "ZREM" });
        command.arg(&key);
        if let Some(at) = at {
            command.arg(at.millis());
        }
        command.arg(token_hash);
        Ask::one(&key, command)
    }

    /// The sweep looks at a link again when its letter has been shown long enough.
    pub(super) fn sweep_letter_at(&self, token_hash: &[u8; 32], finished: Timestamp) -> Ask {
        let key = self.keys.index_of(Index::Links, token_hash);
        let mut command = ::redis::cmd("ZADD");
        command.arg(&key).arg("XX").arg("LT").arg((finished + SHOWN).millis()).arg(token_hash);
        Ask::one(&key, command)
    }

    /// Commit point: the link's HASH. What no replica has confirmed is said again until one has: it stays true.
    pub(in crate::store) async fn letter_sent(&self, id: &str, holder: &str) -> Result<(), StoreError> {
        let (this, id, holder) = (self.clone(), id.to_owned(), holder.to_owned());
        let sent = async move {
            let Some(hash) = this.link_of(&id).await? else { return Ok(()) };
            let arguments = vec![id.into_bytes(), holder.into_bytes()];
            let ask = this.script(&this.scripts.letter_sent, &[this.keys.link(&hash)], arguments);
            let (answer, sure) = this.promise(std::slice::from_ref(&ask)).await?.pop().unwrap_or_default();
            if !sure {
                this.repeat(vec![ask]);
            }
            let Some(at) = number(&answer)? else { return Ok(()) };
            let after = vec![
                this.look_at_letter(&hash, None),
                this.sweep_letter_at(&hash, Timestamp::from_millis(at)),
            ];
            this.connection.ask_all(after).await.map(drop)
        };
        self.begun(sent).await
    }

    /// Commit point: the link's HASH. Should it be lost, the lease runs out, and it is tried again: the relay has nothing.
    pub(in crate::store) async fn letter_failed(
        &self,
        id: &str,
        holder: &str,
        error: &str,
        retry_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let (this, id, holder) = (self.clone(), id.to_owned(), holder.to_owned());
        let error: String = error.chars().take(LONGEST_ERROR).collect();
        let failed = async move {
            let Some(hash) = this.link_of(&id).await? else { return Ok(()) };
            let retry = retry_at.map(|at| bytes(at.millis())).unwrap_or_default();
            let arguments = vec![id.into_bytes(), holder.into_bytes(), error.into_bytes(), retry];
            let ask = this.script(&this.scripts.letter_failed, &[this.keys.link(&hash)], arguments);
            let mut answer = values::list(this.run(ask).await?)?.into_iter();
            let Some(now) = answer.next().map(|at| number(&at)).transpose()?.flatten() else {
                return Ok(());
            };
            let again = answer.next().map(|at| number(&at)).transpose()?.flatten();
            let mut after = vec![this.look_at_letter(&hash, again.map(Timestamp::from_millis))];
            if retry_at.is_none() {
                after.push(this.sweep_letter_at(&hash, Timestamp::from_millis(now)));
            }
            this.connection.ask_all(after).await.map(drop)
        };
        self.begun(failed).await
    }

    pub(in crate::store) async fn list_letters(&self) -> Result<Vec<LetterRecord>, StoreError> {
        let mut letters = self.letters().await?;
        letters.sort_by_key(|(order, _, letter)| std::cmp::Reverse((letter.created_at, *order)));
        Ok(letters.into_iter().map(|(_, _, letter)| letter).collect())
    }

    /// All letters there are, with what orders them and their links.
    async fn letters(&self) -> Result<Vec<(i64, [u8; 32], LetterRecord)>, StoreError> {
        let hashes = walk::hashes(&self.members(Index::Links, None).await?)?;
        let mut letters = Vec::new();
        for step in walk::steps(&hashes) {
            let asks = step.iter().map(|hash| {
                let key = self.keys.link(hash);
                let mut command = ::redis::cmd("HMGET");
                command.arg(&key).arg(LISTED);
                Ask::one(&key, command)
            });
            for (hash, answer) in step.iter().zip(self.connection.ask_all(asks.collect()).await?) {
                let found = record(answer.into_iter().next().unwrap_or_default())?;
                letters.extend(found.map(|(order, letter)| (order, *hash, letter)));
            }
        }
        Ok(letters)
    }

    pub(in crate::store) async fn retry_letters(&self, ids: &[String]) -> Result<u64, StoreError> {
        let (this, ids) = (self.clone(), ids.to_vec());
        let retry = async move {
            let found = if ids.is_empty() {
                let mut letters = this.letters().await?;
                letters.retain(|(_, _, letter)| letter.state == LetterState::Dead);
                letters.into_iter().map(|(_, hash, letter)| (letter.id, hash)).collect()
            } else {
                this.links_of(&ids).await?
            };
            let (now, fence) = this.read_fence(this.connection.ask(this.ask_fence()).await?)?;
            let mut brought = 0;
            for step in walk::steps(&found) {
                brought += this.retry_some(step, now, fence).await?;
            }
            if brought > 0 {
                this.bell.notify_one();
            }
            Ok(brought)
        };
        self.begun_long(retry).await
    }

    async fn retry_some(
        &self,
        letters: &[(String, [u8; 32])],
        now: Timestamp,
        fence: i64,
    ) -> Result<u64, StoreError> {
        let score = bytes(now.millis());
        let noted = letters.iter().map(|(_, hash)| {
            let key = self.keys.letters();
            let mut command = ::redis::cmd("ZADD");
            command.arg(&key).arg("NX").arg(&score).arg(hash);
            Ask::one(&key, command)
        });
        self.connection.ask_all(noted.collect()).await?;
        let again = letters.iter().map(|(id, hash)| {
            let arguments = vec![id.as_bytes().to_vec(), bytes(fence)];
            self.script(&self.scripts.retry_letter, &[self.keys.link(hash)], arguments)
        });
        let (mut brought, mut others) = (Vec::new(), Vec::new());
        for ((_, hash), answer) in letters.iter().zip(self.connection.ask_all(again.collect()).await?) {
            match number(&answer.into_iter().next().unwrap_or_default())? {
                // Once more: somebody may have looked between the two and found it dead.
                Some(_) => brought.push(self.look_at_letter(hash, Some(now))),
                None => others.push(Entry { token_hash: *hash, score: score.clone() }),
            }
        }
        let count = u64::try_from(brought.len()).unwrap_or(u64::MAX);
        self.connection.ask_all(brought).await?;
        self.look(&Due { now, fence, entries: others }, "", b"").await?;
        Ok(count)
    }

    pub(in crate::store) async fn drop_letters(&self, ids: &[String]) -> Result<u64, StoreError> {
        let (this, ids) = (self.clone(), ids.to_vec());
        let remove = async move {
            let mut removed = 0;
            for step in walk::steps(&this.links_of(&ids).await?) {
                for (id, hash) in step {
                    removed += u64::from(this.drop_letter(id, hash, b"").await?);
                }
            }
            Ok(removed)
        };
        self.begun_long(remove).await
    }

    /// `after`: not before it was done with for so long, in milliseconds; empty: at once.
    pub(super) async fn drop_letter(
        &self,
        id: &str,
        hash: &[u8; 32],
        after: &[u8],
    ) -> Result<bool, StoreError> {
        let arguments = vec![id.as_bytes().to_vec(), after.to_vec()];
        let ask = self.script(&self.scripts.drop_letter, &[self.keys.link(hash)], arguments);
        let (answer, sure) = if after.is_empty() {
            self.promise(std::slice::from_ref(&ask)).await?.pop().unwrap_or_default()
        } else {
            // It was sent, or given up: should it come back, it is swept once more.
            (self.run(ask.clone()).await?, true)
        };
        if answer != Value::Int(1) {
            return Ok(false);
        }
        let mut follows = vec![self.look_at_letter(hash, None)];
        if sure {
            let name = self.keys.letter_name(id);
            let mut forget = ::redis::cmd("DEL");
            forget.arg(&name);
            follows.push(Ask::one(&name, forget));
        } else {
            // Its name stays, so that it can be dropped again.
            self.repeat(vec![ask]);
        }
        self.connection.ask_all(follows).await?;
        Ok(true)
    }

    pub(in crate::store) async fn next_letter_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let key = self.keys.letters();
        let mut command = ::redis::cmd("ZRANGE");
        command.arg(&key).arg(0).arg(0).arg("WITHSCORES");
        let first = values::list(self.run(Ask::one(&key, command)).await?)?.into_iter().nth(1);
        Ok(first.map(|score| number(&score)).transpose()?.flatten().map(Timestamp::from_millis))
    }

    /// The link that a letter belongs to.
    async fn link_of(&self, id: &str) -> Result<Option<[u8; 32]>, StoreError> {
        Ok(self.links_of(&[id.to_owned()]).await?.into_iter().next().map(|(_, hash)| hash))
    }

    /// The links that letters belong to; unknown letters are left out, and each is named once.
    async fn links_of(&self, ids: &[String]) -> Result<Vec<(String, [u8; 32])>, StoreError> {
        let asks = ids.iter().map(|id| {
            let key = self.keys.letter_name(id);
            let mut command = ::redis::cmd("GET");
            command.arg(&key);
            Ask::one(&key, command)
        });
        let mut found = HashMap::new();
        for (id, answer) in ids.iter().zip(self.connection.ask_all(asks.collect()).await?) {
            if let Some(hash) = values::bytes(answer.into_iter().next().unwrap_or_default())? {
                found.insert(id.clone(), values::hash(&hash)?);
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// A number; `None` where there is nothing, or nothing in it.
pub(super) fn number(value: &Value) -> Result<Option<i64>, StoreError> {
    match value {
        Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
        value => values::number(value),
    }
}

fn record(value: Value) -> Result<Option<(i64, LetterRecord)>, StoreError> {
    let Some(fields) = Fields::named(LISTED, value)?.filter(|fields| fields.has("letter.id")) else {
        return Ok(None);
    };
    let email = fields.text("letter.email")?;
    let state = match fields.number("letter.state")? {
        Some(0) => LetterState::Waiting,
        Some(1) => LetterState::Leased,
        Some(2) => LetterState::Dead,
        Some(3) => LetterState::Sent,
        _ => return Err(corrupt("the state of a letter")),
    };
    let letter = LetterRecord {
        id: fields.text("letter.id")?,
        site: fields.text("letter.site")?,
        email: crate::identity::EmailAddress::parse(&email).map_err(|_| corrupt("an address"))?,
        state,
        attempts: fields.count("letter.attempts")?,
        next_at: fields.when("letter.next_at")?,
        error: fields.text("letter.error")?,
        created_at: fields.moment("letter.created_at")?,
    };
    Ok(Some((fields.number("letter.order")?.unwrap_or_default(), letter)))
}
