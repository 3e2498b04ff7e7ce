//! The thread that speaks to the token service: takes all that wait, reads the records once, has the ledger spend what
//! the service has nothing against, writes the records once, and answers. Never lets anybody in on a write that was not
//! confirmed, and never forgets in the ledger what it could not tell the service.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::asks::{Ask, Asked, Job, Spender, away};
use super::books;
use super::document::Object;
use super::record::{self, CLAIM, Claimant};
use super::wire::{Read, Wire, Written};
use crate::clock::Clock;
use crate::store::sqlite::{Objection, Sqlite};
use crate::store::{CodeRedeemed, LinkFilter, LinkRecord, Redeemed, StoreError};

/// Who may wait; more are refused with [`StoreError::Full`].
pub(super) const QUEUE: usize = 4096;
/// Who share one reading and one writing.
const TOGETHER: usize = 512;
/// How often somebody else may be faster (412) before we give up.
const ATTEMPTS: u32 = 6;
/// How long after a failure the service is asked again, and told what it missed.
const RETRY: Duration = Duration::from_secs(5);
/// How often it is looked whether the service is there, and whether somebody else writes to it, while nobody asks.
const LOOK: Duration = Duration::from_mins(1);
/// How often a lock that another process holds is tried.
const LOCK: Duration = Duration::from_millis(5);

pub(super) struct Worker {
    pub(super) sqlite: Sqlite,
    pub(super) wire: Wire,
    pub(super) clock: Clock,
    /// Held while records are read and written: the command line writes too.
    pub(super) lock: PathBuf,
    /// Which linkgate this is.
    pub(super) by: Claimant,
    pub(super) timeout: Duration,
    /// The service may not know all that the ledger knows.
    pub(super) behind: bool,
    /// The service has held our claim before.
    pub(super) claimed: bool,
    /// Why the last round failed, as the log says; empty: it did not.
    pub(super) trouble: watch::Sender<String>,
}

impl Worker {
    /// Until nobody can ask any more.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Asked>) {
        loop {
            let pause = if self.behind || !self.trouble.borrow().is_empty() { RETRY } else { LOOK };
            let first = match timeout(pause, asks.recv()).await {
                Ok(None) => return,
                Ok(first) => first,
                Err(_) => None,
            };
            let mut together: Vec<Asked> = first.into_iter().collect();
            while together.len() < TOGETHER {
                let Ok(next) = asks.try_recv() else { break };
                together.push(next);
            }
            self.round(together).await;
        }
    }

    async fn round(&mut self, asks: Vec<Asked>) {
        let now = Instant::now();
        let until = asks.iter().map(|asked| asked.until).max().unwrap_or(now + self.timeout);
        let takes_over = asks.iter().any(|asked| matches!(asked.ask, Ask::Claim { .. }));
        let read = match self.lock(until).await {
            Ok(lock) => self.read(takes_over, until).await.map(|read| (lock, read)),
            Err(error) => Err(error),
        };
        let (lock, read) = match read {
            Ok(read) => read,
            Err(error) => {
                self.failed(&error);
                self.behind |= asks.iter().any(|asked| matches!(asked.ask, Ask::Settle { .. }));
                for asked in asks {
                    asked.ask.refuse(&error);
                }
                return;
            }
        };
        let Read { all, version } = read;
        let all = Arc::new(all);
        let mut jobs = self.decide(asks, &all).await;
        if self.behind && !jobs.iter().any(|job| matches!(job, Job::Settle { .. })) {
            jobs.push(Job::Settle { answer: None });
        }
        // The judges are gone: nobody shares it any more, and nothing is copied.
        let read = Read { all: Arc::unwrap_or_clone(all), version };
        let outcome = self.tell(read, &mut jobs, takes_over, until).await;
        match &outcome {
            Ok(()) => self.succeeded(),
            Err(error) => self.failed(error),
        }
        self.answer(jobs, &outcome).await;
        drop(lock);
    }

    /// Waits for other processes of this machine that write.
    async fn lock(&self, until: Instant) -> Result<File, StoreError> {
        let away = |error: &std::io::Error| StoreError::Away(format!("{}: {error}", self.lock.display()));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.lock)
            .map_err(|error| away(&error))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(away(&error)),
                Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(LOCK).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Away(
                        "another process on this machine has been writing to the token service for too long; look for \
                         a stuck linkgate command"
                            .to_owned(),
                    ));
                }
            }
        }
    }

    /// The records, unless another linkgate writes them.
    async fn read(&mut self, takes_over: bool, until: Instant) -> Result<Read, StoreError> {
        self.by.turns = self.sqlite.turns().await?;
        let read = self.wire.read(until).await?;
        match read.all.object(CLAIM) {
            Some(claim) if self.by.claims(&claim) => self.claimed = true,
            None if !read.all.has(CLAIM) => {
                if self.claimed {
                    tracing::warn!(
                        "the token service did not keep the record {CLAIM}, by which linkgate claims it; make sure that \
                         no other linkgate writes there"
                    );
                    self.claimed = false;
                }
            }
            Some(_) | None if takes_over => {}
            Some(_) | None => {
                return Err(StoreError::Invalid(format!(
                    "another linkgate, or one with a copy of this ledger, writes to this token service; what it did is \
                     unknown here (record {CLAIM}). Stop one of the two; when the other is gone for good, run \
                     `linkgate store claim` here"
                )));
            }
        }
        Ok(read)
    }

    /// Has the ledger spend what is to be spent, and answers who need not wait for a write.
    async fn decide(&mut self, asks: Vec<Asked>, all: &Arc<Object>) -> Vec<Job> {
        let mut jobs = Vec::new();
        let mut names: HashSet<String> = HashSet::new();
        let mut spending = JoinSet::new();
        let now = Instant::now();
        for Asked { ask, until } in asks {
            if until <= now {
                ask.refuse(&StoreError::Away("the token service took too long".to_owned()));
                continue;
            }
            match ask {
                Ask::Put { link, letter, answer } => {
                    if all.has(&link.id) || !names.insert(link.id.clone()) {
                        let taken =
                            "the store refuses it: the token service holds a link of this id".to_owned();
                        let _ = answer.send(Err(StoreError::Invalid(taken)));
                        continue;
                    }
                    jobs.push(Job::Put { link, letter, at: self.clock.now(), answer });
                }
                Ask::Pretend { link, answer } => {
                    jobs.push(Job::Pretend { link, at: self.clock.now(), answer });
                }
                Ask::Redeem { token_hash, by, answer } => {
                    let (sqlite, judge) = (self.sqlite.clone(), judge(all, &self.clock));
                    spending.spawn(async move {
                        match sqlite.redeem_judged(token_hash, by.clone(), judge).await {
                            Ok(Redeemed::Redeemed(link)) => {
                                Some(Job::Spent { link, by, answer: Spender::Link(answer) })
                            }
                            other => {
                                let _ = answer.send(other);
                                None
                            }
                        }
                    });
                }
                Ask::Code { site, nonce_hash, code_tag, by, answer } => {
                    let (sqlite, judge) = (self.sqlite.clone(), judge(all, &self.clock));
                    spending.spawn(async move {
                        let redeemed =
                            sqlite.redeem_code_judged(&site, nonce_hash, code_tag, by.clone(), judge).await;
                        match redeemed {
                            Ok(CodeRedeemed::Redeemed(link)) => {
                                Some(Job::Spent { link, by, answer: Spender::Code(answer) })
                            }
                            other => {
                                let _ = answer.send(other);
                                None
                            }
                        }
                    });
                }
                Ask::Settle { answer } => jobs.push(Job::Settle { answer: Some(answer) }),
                Ask::Publish { links, answer } => jobs.push(Job::Publish { links, answer }),
                Ask::Claim { answer } => jobs.push(Job::Claim { answer }),
            }
        }
        while let Some(spent) = spending.join_next().await {
            // A panic costs the one who asked: the dropped answer tells them.
            jobs.extend(spent.ok().flatten());
        }
        jobs
    }

    /// Writes what the jobs change, anew each time that somebody else was faster.
    async fn tell(
        &mut self,
        mut read: Read,
        jobs: &mut Vec<Job>,
        takes_over: bool,
        until: Instant,
    ) -> Result<(), StoreError> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                read = self.read(takes_over, until).await?;
                self.judge_again(jobs, &read.all).await?;
            }
            let changed = self.change(&mut read.all, jobs).await?;
            if !changed {
                return Ok(());
            }
            let room = self.pretended(jobs)?;
            match self.wire.write(&read.all, room, read.version.as_ref(), until).await? {
                Written::Done => {
                    self.claimed = true;
                    return Ok(());
                }
                Written::Changed => {}
            }
        }
        Err(StoreError::Away(
            "others keep writing to the token service at the same time; try again in a moment".to_owned(),
        ))
    }

    /// How many bytes the links would take that are only pretended: where they had no room, they fail as others do.
    fn pretended(&self, jobs: &[Job]) -> Result<usize, StoreError> {
        let mut all = Object::default();
        for job in jobs {
            if let Job::Pretend { link, at, .. } = job {
                books::enter(&mut all, &self.by.owner, &link.id, &books::new(link, *at))?;
            }
        }
        let bytes = all.bytes();
        let bytes =
            bytes.map_err(|error| StoreError::Corrupt(format!("records that cannot be written: {error}")))?;
        // Without its braces.
        Ok(bytes.len().saturating_sub(2))
    }

    /// What somebody took away between our reading and our writing is not redeemed after all.
    async fn judge_again(&self, jobs: &mut Vec<Job>, all: &Object) -> Result<(), StoreError> {
        let mut kept = Vec::new();
        for job in jobs.drain(..) {
            match job {
                Job::Spent { link, by, answer } => match record::objection(all, &link, self.clock.now()) {
                    None => kept.push(Job::Spent { link, by, answer }),
                    Some(objection) => {
                        tracing::warn!(link = %link.id, ?objection, "taken away while it was redeemed");
                        self.sqlite.end_session(by.session).await?;
                        self.sqlite.note_objections(vec![(link.token_hash, objection)]).await?;
                        answer.refused(objection, link);
                    }
                },
                Job::Put { link, letter: _, at: _, answer } if all.has(&link.id) => {
                    let taken = "the store refuses it: the token service holds a link of this id".to_owned();
                    let _ = answer.send(Err(StoreError::Invalid(taken)));
                }
                other => kept.push(other),
            }
        }
        *jobs = kept;
        Ok(())
    }

    /// Writes the jobs' changes into the records. False: there was nothing to change.
    async fn change(&mut self, all: &mut Object, jobs: &[Job]) -> Result<bool, StoreError> {
        let mut changed = false;
        // Before our own go in: whether any linkgate has ever written links here.
        let never_ours = books::untouched(all);
        for job in jobs {
            changed |= match job {
                Job::Put { link, at, .. } => {
                    books::enter(all, &self.by.owner, &link.id, &books::new(link, *at))
                }
                // Written as it was read: that there is nothing to write would show in the time that it takes.
                Job::Pretend { .. } => Ok(true),
                Job::Spent { link, .. } => books::spent(all, link),
                Job::Settle { .. } => {
                    let links = self.sqlite.list_links(LinkFilter::default()).await?;
                    let settled = books::settle(all, &self.by.owner, &links, self.clock.now())?;
                    self.sqlite.note_objections(settled.objections).await?;
                    Ok(settled.changed)
                }
                Job::Publish { links, .. } if never_ours => books::publish(all, &self.by.owner, links),
                Job::Publish { .. } | Job::Claim { .. } => Ok(false),
            }?;
        }
        Ok(changed | books::claim(all, &self.by, self.clock.now())?)
    }

    async fn answer(&mut self, jobs: Vec<Job>, outcome: &Result<(), StoreError>) {
        let mut putting = JoinSet::new();
        for job in jobs {
            match (job, outcome) {
                (Job::Put { link, letter, answer, .. }, Ok(())) => {
                    let sqlite = self.sqlite.clone();
                    putting.spawn(async move {
                        let _ = answer.send(sqlite.put_link(link, letter).await);
                    });
                }
                (Job::Pretend { answer, .. }, Ok(())) => drop(answer.send(Ok(()))),
                (Job::Spent { link, answer, .. }, Ok(())) => answer.won(link),
                (Job::Settle { answer }, outcome) => {
                    self.behind = outcome.is_err();
                    if let Some(answer) = answer {
                        let _ = answer.send(outcome.clone());
                    }
                }
                (Job::Publish { answer, .. } | Job::Claim { answer }, outcome) => {
                    let _ = answer.send(outcome.clone());
                }
                (Job::Put { answer, .. } | Job::Pretend { answer, .. }, Err(error)) => {
                    let _ = answer.send(Err(away(error)));
                }
                (Job::Spent { by, answer, .. }, Err(error)) => {
                    // Spent it stays; whether the service knows is not known, so nobody is let in by it.
                    self.behind = true;
                    if let Err(error) = self.sqlite.end_session(by.session).await {
                        tracing::error!(%error, "a session that nobody has the cookie of could not be ended");
                    }
                    answer.lost(away(error));
                }
            }
        }
        putting.join_all().await;
    }

    fn succeeded(&mut self) {
        if !self.trouble.borrow().is_empty() {
            tracing::info!("the token service answers again");
            self.trouble.send_replace(String::new());
        }
    }

    fn failed(&mut self, error: &StoreError) {
        if self.trouble.send_replace(error.to_string()).is_empty() {
            tracing::error!(%error, "the token service cannot be used; nobody new can sign in");
        }
    }
}

/// What the service has against a link, judged inside the ledger's transaction.
fn judge(
    all: &Arc<Object>,
    clock: &Clock,
) -> impl Fn(&LinkRecord) -> Option<Objection> + Send + use<> + 'static {
    let (all, clock) = (Arc::clone(all), clock.clone());
    move |link| {
        let objection = record::objection(&all, link, clock.now());
        if let Some(Objection::Unknown(why)) = objection {
            tracing::warn!(link = %link.id, why, "a link of ours is not redeemed");
        }
        objection
    }
}
