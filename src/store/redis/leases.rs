//! Leases of letters: which are due, who sends them, which have run out. Whoever looks puts right what the index points to
//! wrongly; nothing is handed out that no replica has confirmed, nor by a lease of which little is left.

use std::time::{Duration, Instant};

use ::redis::Value;

use super::Redis;
use super::bytes;
use super::connection::Ask;
use super::server::Lane;
use super::trouble::away;
use super::values::{self, Fields, corrupt};
use crate::clock::Timestamp;
use crate::store::{LeasedLetter, StoreError};

/// When a letter is looked at again whose server is away.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Entries that the sweep looks at in one step.
const STEP: u32 = 500;
/// Steps of one lease: a long row of entries that point nowhere is worked off by several leases.
const STEPS: u32 = 16;

/// Sending may take the rest of a lease: one of which more than this part is gone is left to run out.
const LEFT: u32 = 6;

/// What `lua/lease_letter.lua` answers a leased letter with.
const LEASED: &[&str] = &["id", "site", "sealed", "attempts", "created_at", "expires_at", "order"];

/// One entry of the index, as it was seen.
pub(super) struct Entry {
    pub(super) token_hash: [u8; 32],
    pub(super) score: Vec<u8>,
}

/// What is to be looked at, and by what it is judged.
pub(super) struct Due {
    pub(super) now: Timestamp,
    pub(super) fence: i64,
    pub(super) entries: Vec<Entry>,
}

/// What became of looking at an entry.
pub(super) enum Looked {
    Leased(i64, LeasedLetter),
    Erased,
    Left,
    Away(StoreError),
}

impl Redis {
    pub(in crate::store) async fn lease_letters(
        &self,
        most: u32,
        lease: Duration,
        holder: &str,
    ) -> Result<Vec<LeasedLetter>, StoreError> {
        let (this, holder) = (self.clone(), holder.to_owned());
        let take = async move {
            let (began, mut letters) = (Instant::now(), Vec::new());
            for _ in 0..STEPS {
                let left = most.saturating_sub(u32::try_from(letters.len()).unwrap_or(u32::MAX));
                match this.lease_some(left, &holder, lease, &mut letters).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    // What is leased already is ours to send.
                    Err(_) if !letters.is_empty() => break,
                    Err(error) => return Err(error),
                }
                // What is leased already is to be sent while there is time.
                if began.elapsed() > this.connection.timeout() {
                    break;
                }
            }
            if began.elapsed() > lease / LEFT {
                return Err(away("letters were leased too slowly to be sent in time; they come again"));
            }
            letters.sort_by_key(|(order, letter)| (letter.created_at, *order));
            Ok(letters.into_iter().map(|(_, letter)| letter).collect())
        };
        // Each step has its deadline: what one part of a Cluster has leased must not be lost to another that is away.
        self.begun_long(take).await
    }

    /// One step: every entry that it looks at is leased, or leaves the front of the index. Says whether there is more.
    async fn lease_some(
        &self,
        left: u32,
        holder: &str,
        lease: Duration,
        letters: &mut Vec<(i64, LeasedLetter)>,
    ) -> Result<bool, StoreError> {
        if left == 0 {
            return Ok(false);
        }
        let due = self.due(0, left).await?;
        let (more, mut gone) = (u32::try_from(due.entries.len()).is_ok_and(|found| found >= left), None);
        for looked in self.look(&due, holder, &bytes(lease.as_millis())).await? {
            match looked {
                Looked::Leased(order, letter) => letters.push((order, letter)),
                Looked::Away(error) => gone = Some(error),
                Looked::Erased | Looked::Left => {}
            }
        }
        gone.map_or(Ok(more), Err)
    }

    /// Erases the letters that came too late. Says how many.
    pub(super) async fn erase_letters(&self) -> Result<u64, StoreError> {
        let (mut erased, mut past) = (0, 0);
        loop {
            let due = self.due(past, STEP).await?;
            if due.entries.is_empty() {
                return Ok(erased);
            }
            for looked in self.look(&due, "", b"").await? {
                match looked {
                    Looked::Erased => erased += 1,
                    Looked::Leased(..) | Looked::Left | Looked::Away(_) => past += 1,
                }
            }
        }
    }

    /// Entries to look at now.
    pub(super) async fn due(&self, past: u32, most: u32) -> Result<Due, StoreError> {
        let arguments = vec![bytes(past), bytes(most)];
        let due = self.script(&self.scripts.due_letters, &[self.keys.letters()], arguments);
        let mut answers = self.connection.ask_all(vec![self.ask_fence(), due]).await?.into_iter();
        let (now, fence) = self.read_fence(answers.next().unwrap_or_default())?;
        let answer = answers.next().unwrap_or_default().pop().unwrap_or_default();
        let mut found = values::list(answer)?.into_iter();
        let mut entries = Vec::new();
        while let (Some(member), Some(score)) = (found.next(), found.next()) {
            let member = values::bytes(member)?.unwrap_or_default();
            let score = values::bytes(score)?.unwrap_or_default();
            entries.push(Entry { token_hash: values::hash(&member)?, score });
        }
        Ok(Due { now, fence, entries })
    }

    /// Leases what is due, erases what is too late, and puts the index right. An empty `lease`: leases nothing.
    pub(super) async fn look(
        &self,
        due: &Due,
        holder: &str,
        lease: &[u8],
    ) -> Result<Vec<Looked>, StoreError> {
        let Due { now, fence, entries } = due;
        let asks = entries.iter().map(|entry| {
            let arguments = vec![holder.as_bytes().to_vec(), lease.to_vec(), bytes(fence)];
            self.script(&self.scripts.lease_letter, &[self.keys.link(&entry.token_hash)], arguments)
        });
        let asks: Vec<Ask> = asks.collect();
        let answers = if lease.is_empty() {
            let answers = self.connection.ask_all(asks).await?.into_iter();
            answers.map(|mut own| Ok((own.pop().unwrap_or_default(), true))).collect()
        } else {
            self.run_all_surely(Lane::Letters, &asks).await
        };
        let (mut looked, mut moves, mut finished) = (Vec::new(), Vec::new(), Vec::new());
        for (entry, outcome) in entries.iter().zip(answers) {
            let (answer, sure) = match outcome {
                Ok(answer) => answer,
                Err(error) => {
                    // A part that is away must not stand in the way of the others.
                    let later = bytes((*now + LOOK_AGAIN).millis());
                    moves.extend([entry.token_hash.to_vec(), entry.score.clone(), later]);
                    looked.push(Looked::Away(error));
                    continue;
                }
            };
            let mut answer = values::list(answer)?.into_iter();
            let what = values::text(answer.next().unwrap_or_default())?;
            let again = values::bytes(answer.next().unwrap_or_default())?.unwrap_or_default();
            looked.push(match what.as_str() {
                "leased" if !sure => {
                    // A fail-over might lease it to somebody else too: nobody sends it before this lease runs out.
                    tracing::warn!("no replica has confirmed who sends a letter; it is sent a little later");
                    Looked::Left
                }
                "leased" => leased(answer.next().unwrap_or_default())?,
                "erased" => {
                    finished.push(entry.token_hash);
                    Looked::Erased
                }
                _ => Looked::Left,
            });
            if again != entry.score {
                moves.extend([entry.token_hash.to_vec(), entry.score.clone(), again]);
            }
        }
        let mut after: Vec<Ask> = Vec::new();
        if !moves.is_empty() {
            after.push(self.script(&self.scripts.settle_letters, &[self.keys.letters()], moves));
        }
        after.extend(finished.iter().map(|hash| self.sweep_letter_at(hash, *now)));
        // What is leased is ours, whatever becomes of the index.
        if let Err(error) = self.connection.ask_all(after).await {
            tracing::debug!(%error, "the index of letters is put right by the next look");
        }
        Ok(looked)
    }
}

fn leased(value: Value) -> Result<Looked, StoreError> {
    let fields = Fields::named(LEASED, value)?.ok_or_else(|| corrupt("a letter"))?;
    let letter = LeasedLetter {
        id: fields.text("id")?,
        site: fields.text("site")?,
        sealed: fields.bytes("sealed").unwrap_or_default().to_vec(),
        attempts: fields.count("attempts")?,
        created_at: fields.moment("created_at")?,
        expires_at: fields.when("expires_at")?,
    };
    Ok(Looked::Leased(fields.number("order")?.unwrap_or_default(), letter))
}
