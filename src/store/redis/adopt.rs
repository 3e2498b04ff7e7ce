//! Everything into an empty Redis. Commit point is the standing, which is written last and in one step: until then
//! nothing that was written is signed by a key that anybody believes, and what an import that was broken off left behind
//! is removed. Never mixes what it brings with what is there.

use std::time::Duration;

use ::redis::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Redis;
use super::bytes;
use super::codes;
use super::connection::{Ask, Call};
use super::keys::{self, Index, SHARDS};
use super::people;
use super::records::{Pairs, SHOWN};
use super::sessions;
use super::values;
use super::walk;
use crate::clock::Timestamp;
use crate::store::transfer::{
    Census, Delivery, Moved, MovedCodeFailure, MovedEpoch, MovedRefused, MovedSession,
};
use crate::store::{LinkRecord, MadeBy, StoreError};

const DAY: Duration = Duration::from_hours(24);
/// How often it is asked again whether an import counts, and what lies between.
const ASKED_AGAIN: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// What the records of an import are measured by.
#[derive(Clone, Copy)]
struct Moment {
    now: Timestamp,
    fence: i64,
}

impl Redis {
    pub(in crate::store) async fn import(
        &self,
        mut records: mpsc::Receiver<Delivery>,
    ) -> Result<Census, StoreError> {
        let this = self.clone();
        let work = async move {
            let name = super::keys::hex(&this.random.bytes::<16>());
            this.begin_import(&name).await?;
            let taken = match this.take(&mut records).await {
                Ok(taken) => taken,
                Err(error) => {
                    this.undo(&name).await?;
                    return Err(error);
                }
            };
            // Where nothing is heard of it, what is there may be in force: nothing is removed.
            if !this.adopt(&name).await? {
                this.undo(&name).await?;
                return Err(StoreError::Invalid(
                    "another import into this Redis began meanwhile; nothing was changed by this one"
                        .to_owned(),
                ));
            }
            // It counts already, whatever becomes of the log.
            if let Err(error) = this.adopt_audit().await {
                tracing::warn!(%error, "the import counts; its part of the log follows with the next sweep");
            }
            Ok(taken)
        };
        self.begun_long(work).await
    }

    /// Removes what this import wrote, unless another one has begun since.
    async fn undo(&self, name: &str) -> Result<(), StoreError> {
        if self.import_note().await? == name { self.clear(name).await } else { Ok(()) }
    }

    /// Refuses a Redis that holds anything; removes what an import that was broken off has left.
    async fn begin_import(&self, name: &str) -> Result<(), StoreError> {
        let key = self.keys.standing("import");
        let held = self.import_note().await?;
        if is_under_way(&held) {
            // Whoever broke it off may have asked for it to count, and be heard only now: not under this name any more.
            let mut undo = ::redis::cmd("SET");
            undo.arg(&key).arg(format!("undo {held}"));
            self.run(Ask::one(&key, undo)).await?;
            self.clear(&held).await?;
        }
        self.census().await?.must_be_empty()?;
        let mut note = ::redis::cmd("SET");
        note.arg(&key).arg(name);
        self.run(Ask::one(&key, note)).await.map(drop)
    }

    /// The import that is under way here, or was broken off, or `done` and the last one; empty: there was none.
    async fn import_note(&self) -> Result<String, StoreError> {
        let key = self.keys.standing("import");
        let mut held = ::redis::cmd("GET");
        held.arg(&key);
        values::text(self.run(Ask::one(&key, held)).await?)
    }

    /// Who sweeps uses this Redis: what an import that was broken off has left stays from now on, beside all that came
    /// since, and no later import removes it. Of one that counts the log follows, where it has not.
    pub(super) async fn settle_import(&self) -> Result<(), StoreError> {
        let note = self.import_note().await?;
        if is_under_way(&note) {
            tracing::warn!("an import into this Redis was broken off; what it left stays, without force");
            self.run(delete(&self.keys.standing("import"))).await?;
        }
        if is_done(&note) { self.adopt_audit().await } else { Ok(()) }
    }

    async fn census(&self) -> Result<Census, StoreError> {
        let ask = |command: &str, key: String| {
            let mut count = ::redis::cmd(command);
            count.arg(&key);
            Ask::one(&key, count)
        };
        let mut asks = vec![ask("LLEN", self.keys.standing("epochs")), ask("XLEN", self.keys.audit())];
        for index in [Index::Links, Index::Sessions] {
            asks.extend((0..SHARDS).map(|shard| ask("ZCARD", self.keys.shard(index, shard))));
        }
        let answers = self.connection.ask_all(asks).await?;
        let counts: Result<Vec<u64>, StoreError> =
            answers.iter().map(|answer| values::count(answer.first().unwrap_or(&Value::Nil))).collect();
        let counts = counts?;
        let sum = |from: usize| counts.iter().skip(from).take(usize::from(SHARDS)).sum();
        Ok(Census {
            epochs: counts.first().copied().unwrap_or_default(),
            audit: counts.get(1).copied().unwrap_or_default(),
            links: sum(2),
            sessions: sum(2 + usize::from(SHARDS)),
            people: u64::try_from(self.people().await?.len()).unwrap_or(u64::MAX),
            code_failures: 0,
            refused: 0,
        })
    }

    async fn take(&self, records: &mut mpsc::Receiver<Delivery>) -> Result<Census, StoreError> {
        let mut taken = Census::default();
        let (now, fence) = self.read_fence(self.connection.ask(self.ask_fence()).await?)?;
        let moment = Moment { now, fence };
        let mut epochs = Vec::new();
        loop {
            match records.recv().await {
                Some(Delivery::Records(records)) => {
                    let mut asks = Vec::new();
                    for record in records {
                        taken.count(&record);
                        if let Moved::Epoch(epoch) = record {
                            epochs.push(epoch);
                            continue;
                        }
                        asks.extend(self.lay(record, moment, &taken)?);
                    }
                    self.connection.ask_all(asks).await?;
                }
                Some(Delivery::Complete) => {
                    self.run(self.lay_epochs(epochs)).await?;
                    return Ok(taken);
                }
                None => {
                    return Err(StoreError::Invalid(
                        "the import was broken off; nothing was changed".to_owned(),
                    ));
                }
            }
        }
    }

    /// What writes one record. `so_far`: how many of each kind came, this one included.
    fn lay(&self, record: Moved, moment: Moment, so_far: &Census) -> Result<Vec<Ask>, StoreError> {
        let staged = |command: &str, what: &str, arguments: &[Vec<u8>]| {
            let key = self.keys.standing(&format!("import.{what}"));
            let mut write = ::redis::cmd(command);
            write.arg(&key).arg(arguments);
            Ask::one(&key, write)
        };
        Ok(match record {
            Moved::Epoch(epoch) => vec![self.lay_epochs(vec![epoch])],
            Moved::Person(person) => {
                let person = person.into_person();
                let name = keys::person(&person.site, &person.email);
                let mut asks = Vec::new();
                if let Some(profile) = person.profile {
                    asks.push(staged("HSET", "people", &[name.clone(), people::written(profile)?]));
                }
                if person.generation > 0 {
                    asks.push(staged("HSET", "generations", &[name, bytes(person.generation)]));
                }
                asks
            }
            Moved::Session(session) => {
                let mut asks = self.lay_session(&session, moment);
                if session.revoked_at.is_some() && !asks.is_empty() {
                    let member = session.id.bytes().to_vec();
                    asks.push(staged("ZADD", "revoked", &[bytes(session.ends_at.millis()), member]));
                }
                asks
            }
            Moved::Refused(MovedRefused { id, ends_at }) => {
                vec![staged("ZADD", "revoked", &[bytes(ends_at.millis()), id.bytes().to_vec()])]
            }
            Moved::Link(link) => {
                let (link, code_tag) = link.into_link();
                self.lay_link(&link, code_tag, moment, so_far.links)
            }
            Moved::CodeFailure(MovedCodeFailure { site, email, at }) => {
                let key = self.keys.code_failures(&site, &email);
                let mut note = ::redis::cmd("ZADD");
                // Named by what it is: an import that is done again counts nothing twice.
                let number = so_far.code_failures.to_be_bytes();
                let name = keys::sha256(&[&keys::person(&site, &email), &at.millis().to_be_bytes(), &number]);
                note.arg(&key).arg(at.millis()).arg(&name);
                let left = (at + DAY).since(moment.now);
                if left.is_zero() { Vec::new() } else { vec![Ask::one(&key, note), expire(&key, DAY)] }
            }
            Moved::Audit(event) => vec![self.ask_note(&self.keys.audit_to_come(), event.into_event())],
        })
    }

    /// All of them, newest first: written anew where it is said twice.
    fn lay_epochs(&self, epochs: Vec<MovedEpoch>) -> Ask {
        let key = self.keys.standing("import.epochs");
        let (mut delete, mut write) = (::redis::cmd("DEL"), ::redis::cmd("RPUSH"));
        delete.arg(&key);
        write.arg(&key);
        for MovedEpoch { id, created_at, accepted_until } in epochs.into_iter().rev() {
            let until = accepted_until.map_or_else(|| "-".to_owned(), |end| end.millis().to_string());
            write.arg(format!("{id} {} {until}", created_at.millis()));
        }
        let mut ask = Ask::one(&key, delete);
        ask.calls.push(Call::Plain(write));
        ask
    }

    /// Index first, record last. What is over already is not written.
    fn lay_session(&self, session: &MovedSession, moment: Moment) -> Vec<Ask> {
        if session.ends_at < moment.now {
            return Vec::new();
        }
        let mut pairs = Pairs::new();
        pairs.add("site", session.site.as_str());
        pairs.add("email", session.email.as_str());
        pairs.number("generation", Some(session.generation));
        pairs.number("created", Some(session.created_at.millis()));
        pairs.number("seen", Some(session.seen_at.millis()));
        pairs.number("ends", Some(session.ends_at.millis()));
        pairs.number("idle", Some(session.idle_until.millis()));
        pairs.add("device", session.device.as_str());
        pairs.add("client", session.client.as_str());
        pairs.number("fence", Some(moment.fence));
        pairs.number("revoked", session.revoked_at.map(Timestamp::millis));
        let (key, member) = (self.keys.session(&session.id), session.id.bytes());
        let left = session.ends_at.since(moment.now) + Duration::from_mins(1);
        vec![
            Self::large_index(&self.keys.index_of(Index::Sessions, member), member, Some(session.ends_at)),
            self.small_index(
                self.keys.of_person(&session.email, Index::Sessions),
                member,
                Some(session.ends_at),
            ),
            write(&key, pairs),
            expire(&key, left),
        ]
    }

    /// Index first, record last. What nobody would be shown any more is not written.
    fn lay_link(
        &self,
        link: &LinkRecord,
        code_tag: Option<[u8; 32]>,
        moment: Moment,
        number: u64,
    ) -> Vec<Ask> {
        let used_up = link.used_at.filter(|_| link.uses_left == Some(0));
        let ended = [link.expires_at, used_up, link.revoked_at].into_iter().flatten().min();
        let until = ended.map(|end| end + SHOWN);
        if until.is_some_and(|until| until <= moment.now) {
            return Vec::new();
        }
        let mut pairs = Pairs::new();
        pairs.add("id", link.id.as_str());
        pairs.add("site", link.site.as_str());
        pairs.add("email", link.email.as_str());
        pairs.add("nonce_hash", link.nonce_hash.map(Vec::from).unwrap_or_default());
        pairs.add("code_tag", code_tag.map(Vec::from).unwrap_or_default());
        pairs.add("code_seed", link.code_seed.map(Vec::from).unwrap_or_default());
        pairs.add("return_to", link.return_to.as_str());
        pairs.number("expires_at", link.expires_at.map(Timestamp::millis));
        pairs.number("uses", link.uses);
        pairs.number("uses_left", link.uses_left);
        pairs.number("by_hand", (link.made_by == MadeBy::Administrator).then_some(1));
        pairs.add("note", link.note.as_str());
        pairs.number("created_at", Some(link.created_at.millis()));
        // Before everything that is made here, in the order in which they came.
        pairs.number("order", Some(number));
        pairs.number("used_at", link.used_at.map(Timestamp::millis));
        pairs.add("session", link.session.map(|id| id.bytes().to_vec()).unwrap_or_default());
        pairs.number("revoked_at", link.revoked_at.map(Timestamp::millis));
        pairs.number("wrong_tries", Some(link.wrong_tries));
        pairs.number("code_tries", Some(link.code_tries));
        pairs.number("again_used", link.again_used.then_some(1));
        pairs.number("fence", Some(moment.fence));

        let (key, hash) = (self.keys.link(&link.token_hash), &link.token_hash);
        let look_at = until.or(Some(moment.now + SHOWN));
        let name = self.keys.link_name(&link.id);
        let mut asks = vec![
            self.point(&name, hash, until, false),
            Self::large_index(&self.keys.index_of(Index::Links, hash), hash, look_at),
            self.small_index(self.keys.of_person(&link.email, Index::Links), hash, until),
        ];
        if let Some(nonce_hash) = &link.nonce_hash {
            asks.push(self.small_index(self.keys.of_browser(nonce_hash), hash, until));
            if code_tag.is_some() && link.code_tries > 0 {
                let codes = self.keys.codes(nonce_hash);
                let code = codes::code(&link.site, &link.email, link.code_seed, &link.id);
                let mut tries = ::redis::cmd("HSET");
                tries.arg(&codes).arg(codes::tries(&code)).arg(link.code_tries);
                asks.push(Ask::one(&codes, tries));
                let kept = link.expires_at.map_or(codes::LONG, |end| end.since(moment.now) + DAY);
                asks.push(expire(&codes, kept));
            }
        }
        asks.push(write(&key, pairs));
        if let Some(until) = until {
            asks.push(expire(&key, until.since(moment.now)));
        }
        asks
    }

    /// Puts it in force. `false`: it is not the one that is under way. An error: nobody knows.
    async fn adopt(&self, name: &str) -> Result<bool, StoreError> {
        const PARTS: [&str; 4] = ["epochs", "people", "generations", "revoked"];
        let mut keys: Vec<String> = PARTS.iter().map(|what| self.keys.standing(what)).collect();
        keys.extend(PARTS.iter().map(|what| self.keys.standing(&format!("import.{what}"))));
        keys.extend(["version", "import"].map(|what| self.keys.standing(what)));
        let arguments = vec![self.keys.changed().into_bytes(), name.as_bytes().to_vec()];
        let ask = self.script(&self.scripts.adopt_standing, &keys, arguments);
        let mut asked = 0;
        let (answer, sure) = loop {
            // Said twice, it is done once: where the answer was lost, the next one says what became of it.
            match self.run_surely(&ask).await {
                Ok(answer) => break answer,
                Err(error) if asked == ASKED_AGAIN => {
                    tracing::debug!(%error, "whether an import counts was not answered");
                    return Err(in_doubt());
                }
                Err(_) => {
                    asked += 1;
                    sleep(PAUSE).await;
                }
            }
        };
        if answer != Value::Int(1) {
            return Ok(false);
        }
        if !sure {
            self.repeat(vec![ask]);
        }
        Ok(true)
    }

    /// The log follows. Where there is one already, event by event: the old ones end up behind it, with their own dates.
    async fn adopt_audit(&self) -> Result<(), StoreError> {
        let (key, to_come) = (self.keys.audit(), self.keys.audit_to_come());
        if !self.exists(&to_come).await? {
            return Ok(());
        }
        if !self.exists(&key).await? {
            let mut rename = ::redis::cmd("RENAMENX");
            rename.arg(&to_come).arg(&key);
            if self.run(Ask::one(&key, rename)).await? == Value::Int(1) {
                return Ok(());
            }
        }
        let mut from = Some("-".to_owned());
        while let Some(place) = from {
            let (events, next) = self.events_from(&to_come, &place).await?;
            let asks = events.into_iter().map(|event| self.ask_note(&key, event));
            let mut asks: Vec<Ask> = asks.collect();
            if let Some(place) = next.as_deref().and_then(|next| next.strip_prefix('(')) {
                // In the same slot, so on the same journey: should this be broken off, it goes on about here.
                let mut trim = ::redis::cmd("XTRIM");
                trim.arg(&to_come).arg("MINID").arg(place);
                asks.push(Ask::one(&key, trim));
            }
            self.connection.ask_all(asks).await?;
            from = next;
        }
        self.run(delete(&to_come)).await.map(drop)
    }

    async fn exists(&self, key: &str) -> Result<bool, StoreError> {
        let mut exists = ::redis::cmd("EXISTS");
        exists.arg(key);
        Ok(values::count(&self.run(Ask::one(key, exists)).await?)? > 0)
    }

    /// Removes what an import wrote that never came into force.
    async fn clear(&self, name: &str) -> Result<(), StoreError> {
        let hashes = walk::hashes(&self.members(Index::Links, None).await?)?;
        for step in walk::steps(&hashes) {
            for link in self.links(step).await?.2 {
                self.forget_link(&link.record.token_hash, &link.record.id, "").await?;
            }
        }
        let ids = sessions::ids(&self.members(Index::Sessions, None).await?)?;
        for step in walk::steps(&ids) {
            let asks = step.iter().map(|id| delete(&self.keys.session(id))).collect();
            self.connection.ask_all(asks).await?;
        }
        let mut asks: Vec<Ask> = Vec::new();
        for index in [Index::Links, Index::Sessions] {
            asks.extend((0..SHARDS).map(|shard| delete(&self.keys.shard(index, shard))));
        }
        for what in ["epochs", "people", "generations", "revoked"] {
            asks.push(delete(&self.keys.standing(&format!("import.{what}"))));
        }
        asks.push(delete(&self.keys.audit_to_come()));
        self.connection.ask_all(asks).await?;
        tracing::debug!(name, "an import that was broken off is removed");
        self.run(delete(&self.keys.standing("import"))).await.map(drop)
    }
}

fn is_under_way(note: &str) -> bool {
    !note.is_empty() && !is_done(note)
}

fn is_done(note: &str) -> bool {
    note.starts_with("done ")
}

fn in_doubt() -> StoreError {
    StoreError::Away(
        "Redis: everything is written, but no answer came whether it counts: it may. When Redis answers again, import \
         again: where it counts, that is refused, because the store is not empty, and you are done (`linkgate link list` \
         shows what there is); where it does not, it is done then"
            .to_owned(),
    )
}

fn write(key: &str, pairs: Pairs) -> Ask {
    let mut write = ::redis::cmd("HSET");
    write.arg(key).arg(pairs.end());
    Ask::one(key, write)
}

fn delete(key: &str) -> Ask {
    let mut delete = ::redis::cmd("DEL");
    delete.arg(key);
    Ask::one(key, delete)
}

fn expire(key: &str, left: Duration) -> Ask {
    let mut expire = ::redis::cmd("PEXPIRE");
    expire.arg(key).arg(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1));
    Ask::one(key, expire)
}
