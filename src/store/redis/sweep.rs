//! Removes what is of no more use to anybody. Nothing depends on it but size: most records end by themselves, and whether
//! something is valid is judged when it is used. Any number of instances may sweep at once; one an hour is enough.

use std::time::Duration;

use ::redis::Value;

use super::Redis;
use super::bytes;
use super::connection::{Ask, Call};
use super::keys::{Index, SHARDS};
use super::records::{Link, SHOWN};
use super::values;
use crate::clock::Timestamp;
use crate::store::{LinkState, StoreError, Swept};

/// Entries that are looked at in one step.
const STEP: usize = 500;

/// What becomes of an entry of the index of links.
enum Fate {
    /// The link is gone, or to go.
    Gone,
    /// To be looked at again then.
    Later(Timestamp),
}

/// For so long one sweep is enough for all instances: a little less than the hour after which each asks again.
const TURN: Duration = Duration::from_mins(55);

impl Redis {
    /// Whether nobody has swept for about an hour; then it is ours to do, and nobody else's. Should we not come to it,
    /// somebody does in the next hour.
    pub(in crate::store) async fn is_our_turn(&self) -> Result<bool, StoreError> {
        // Whoever would sweep uses this Redis, whose turn it ever is.
        self.settle_import().await?;
        let key = self.keys.standing("swept");
        let mut take = ::redis::cmd("SET");
        take.arg(&key).arg("").arg("NX").arg("PX").arg(bytes(TURN.as_millis()));
        Ok(self.run(Ask::one(&key, take)).await? != Value::Nil)
    }

    /// Commit point: each record's own removal.
    pub(in crate::store) async fn sweep(&self) -> Result<Swept, StoreError> {
        let this = self.clone();
        let sweep = async move {
            let mut swept = Swept { erased: this.erase_letters().await?, ..Swept::default() };
            for number in 0..SHARDS {
                this.sweep_links(&this.keys.shard(Index::Links, number), &mut swept).await?;
                swept.sessions += this.sweep_sessions(&this.keys.shard(Index::Sessions, number)).await?;
            }
            let (now, _) = this.read_fence(this.connection.ask(this.ask_fence()).await?)?;
            swept.audit = this.sweep_audit(now).await?;
            this.sweep_standing().await?;
            this.settle_import().await?;
            Ok(swept)
        };
        self.begun_long(sweep).await
    }

    /// Works one part of the index off, from its old end: each entry goes, or is to be looked at later.
    async fn sweep_links(&self, key: &str, swept: &mut Swept) -> Result<(), StoreError> {
        loop {
            let (now, members) = self.ripe(key, "").await?;
            let mut hashes = Vec::new();
            for member in &members {
                hashes.push(values::hash(member)?);
            }
            if hashes.is_empty() {
                return Ok(());
            }
            let reads = hashes.iter().map(|hash| self.ask_link_and_letter(hash));
            let mut asks = Vec::new();
            for (hash, answer) in hashes.iter().zip(self.connection.ask_all(reads.collect()).await?) {
                let (fate, names) = self.sweep_link(hash, answer, now, swept).await?;
                asks.extend(names);
                asks.push(settled(key, hash, &fate));
            }
            let full = members.len() == STEP;
            self.connection.ask_all(asks).await?;
            if !full {
                return Ok(());
            }
        }
    }

    /// A link, and when its letter was done with.
    fn ask_link_and_letter(&self, hash: &[u8; 32]) -> Ask {
        let mut ask = self.ask_link(hash);
        let mut letter = ::redis::cmd("HMGET");
        letter.arg(&ask.key).arg(&["letter.id", "letter.finished_at"]);
        ask.calls.push(Call::Plain(letter));
        ask
    }

    /// What becomes of a link's entry, and of the names that lead to the link.
    async fn sweep_link(
        &self,
        hash: &[u8; 32],
        answer: Vec<Value>,
        now: Timestamp,
        swept: &mut Swept,
    ) -> Result<(Fate, Vec<Ask>), StoreError> {
        let mut answer = answer.into_iter();
        // Redis has ended it by itself, or its writer never came to write it.
        let Some(Link { record, .. }) = Link::read(*hash, answer.next().unwrap_or_default())? else {
            swept.links += 1;
            return Ok((Fate::Gone, Vec::new()));
        };
        let mut letter = values::list(answer.next().unwrap_or_default())?.into_iter();
        let letter_id = values::text(letter.next().unwrap_or_default())?;
        let finished = letter.next().map(|at| values::number(&at)).transpose()?.flatten();
        let ended = match record.state(now) {
            LinkState::Revoked => record.revoked_at,
            LinkState::Used => record.used_at,
            LinkState::Expired => record.expires_at,
            LinkState::Active => None,
        };
        if ended.is_some_and(|ended| ended + SHOWN <= now) {
            self.forget_link(hash, &record.id, &letter_id).await?;
            swept.links += 1;
            return Ok((Fate::Gone, Vec::new()));
        }
        let finished = finished.map(Timestamp::from_millis).filter(|_| !letter_id.is_empty());
        let over = finished.filter(|finished| *finished + SHOWN <= now);
        if over.is_some() {
            swept.letters += u64::from(self.drop_letter(&letter_id, hash, &bytes(SHOWN.as_millis())).await?);
        }
        let mut names = Vec::new();
        if ended.is_none() && record.expires_at.is_none() {
            names.push(self.point(&self.keys.link_name(&record.id), hash, None, false));
            if !letter_id.is_empty() && over.is_none() {
                names.push(self.point(&self.keys.letter_name(&letter_id), hash, None, false));
            }
        }
        let finished = finished.filter(|_| over.is_none());
        let next = [ended, finished, record.expires_at].into_iter().flatten().map(|at| at + SHOWN);
        // A link without an end is looked at as often as others end.
        Ok((Fate::Later(next.filter(|at| *at > now).min().unwrap_or(now + SHOWN)), names))
    }

    /// Removes a link, its letter, and the names that lead to them. `letter`: empty where there is none.
    pub(super) async fn forget_link(
        &self,
        hash: &[u8; 32],
        id: &str,
        letter: &str,
    ) -> Result<(), StoreError> {
        let delete = |key: String| {
            let mut command = ::redis::cmd("DEL");
            command.arg(&key);
            Ask::one(&key, command)
        };
        let mut asks = vec![delete(self.keys.link(hash)), delete(self.keys.link_name(id))];
        if !letter.is_empty() {
            asks.push(delete(self.keys.letter_name(letter)));
        }
        self.connection.ask_all(asks).await.map(drop)
    }

    /// Sessions past their absolute end. Until then a revocation must be remembered, and so must they.
    async fn sweep_sessions(&self, key: &str) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let (_, members) = self.ripe(key, "(").await?;
            let mut asks = Vec::new();
            for member in &members {
                let session = self.keys.session(&values::session_id(member)?);
                let mut delete = ::redis::cmd("DEL");
                delete.arg(&session);
                asks.push(Ask::one(&session, delete));
            }
            if asks.is_empty() {
                return Ok(gone);
            }
            self.connection.ask_all(asks).await?;
            let mut remove = ::redis::cmd("ZREM");
            remove.arg(key).arg(&members);
            gone += values::count(&self.run(Ask::one(key, remove)).await?)?;
            if members.len() < STEP {
                return Ok(gone);
            }
        }
    }

    /// The moment that judges, and what an index has to be looked at by then. `open`: "(" leaves the moment itself out.
    async fn ripe(&self, key: &str, open: &str) -> Result<(Timestamp, Vec<Vec<u8>>), StoreError> {
        let (now, _) = self.read_fence(self.connection.ask(self.ask_fence()).await?)?;
        let mut command = ::redis::cmd("ZRANGEBYSCORE");
        command.arg(key).arg("-inf").arg(format!("{open}{}", now.millis()));
        command.arg("LIMIT").arg(0).arg(STEP);
        let members = values::list(self.run(Ask::one(key, command)).await?)?;
        let members = members.into_iter().map(|member| Ok(values::bytes(member)?.unwrap_or_default()));
        Ok((now, members.collect::<Result<_, StoreError>>()?))
    }
}

fn settled(key: &str, hash: &[u8; 32], fate: &Fate) -> Ask {
    let mut command = match fate {
        Fate::Gone => ::redis::cmd("ZREM"),
        Fate::Later(_) => ::redis::cmd("ZADD"),
    };
    command.arg(key);
    if let Fate::Later(at) = fate {
        command.arg(at.millis());
    }
    command.arg(hash);
    Ask::one(key, command)
}
