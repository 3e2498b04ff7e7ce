//! The way to the servers: which one holds a key, what to do when it has moved, is away or was replaced. Everything that
//! is asked ends by the deadline, answered or with [`StoreError::Away`]. Knows no verb and no record.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use ::redis::{Cmd, Pipeline, ServerErrorKind, Value};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use super::address::{Address, Place, Topology};
use super::script::Script;
use super::sentinels::Master;
use super::server::{Entry, Lane, Shared};
use super::slots;
use super::slots::SlotMap;
use super::trouble::{Failure, Trouble};
use super::values;
use crate::store::Replicas;
use crate::store::StoreError;

/// Between two attempts, where something is on its way to get better.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// How often a connection that breaks is opened anew for one question, where there is one server only.
const ATTEMPTS: u32 = 3;

/// One command.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Plain(Cmd),
    Script { script: Arc<Script>, keys: Vec<String>, arguments: Vec<Vec<u8>> },
}

impl Call {
    fn command(&self, in_full: bool) -> Cmd {
        match self {
            Self::Plain(command) => command.clone(),
            Self::Script { script, keys, arguments } if in_full => script.in_full(keys, arguments),
            Self::Script { script, keys, arguments } => script.by_name(keys, arguments),
        }
    }
}

/// Commands for the server that holds `key`, in this order.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) key: String,
    pub(super) calls: Vec<Call>,
}

impl Ask {
    pub(super) fn one(key: &str, command: Cmd) -> Self {
        Self { key: key.to_owned(), calls: vec![Call::Plain(command)] }
    }

    /// As many writes on the same server, by the same scripts, of which nothing stays.
    pub(super) fn pretended(self) -> Self {
        let key = format!("{}:nothing", self.key);
        let pretended = |call| match call {
            Call::Script { script, .. } => {
                Call::Script { script, keys: vec![key.clone()], arguments: vec![b"nothing".to_vec()] }
            }
            Call::Plain(_) => {
                let mut command = ::redis::cmd("SET");
                command.arg(&key).arg("").arg("PX").arg(1);
                Call::Plain(command)
            }
        };
        let calls = self.calls.into_iter().map(pretended).collect();
        Self { key, calls }
    }

    /// Its commands as they are sent.
    pub(super) fn packed(&self) -> Vec<Vec<u8>> {
        self.calls.iter().map(|call| call.command(false).get_packed_command()).collect()
    }
}

/// The servers. Cheap to share.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) topology: Topology,
    pub(super) entry: Entry,
    pub(super) timeout: Duration,
    pub(super) replicas: Replicas,
    pub(super) servers: Mutex<HashMap<Place, Shared>>,
    /// Sentinel: who is the master now. Cluster: nobody is.
    pub(super) master: Mutex<Option<Master>>,
    pub(super) slots: RwLock<Option<Arc<SlotMap>>>,
    /// One learns the map or the master, the others wait for it.
    pub(super) learning: tokio::sync::Mutex<()>,
    /// Why that one has not learned it yet.
    pub(super) unlearned: Trouble,
    /// Another node is asked first each time: one that is cut off may believe an old map.
    pub(super) asked: AtomicUsize,
}

/// Who answered: a server, and which of the connections to it, one after the other. The same connection is the same
/// process, so that what it said before still means something to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    place: Place,
    connection: u64,
}

/// An answer to each command of one question, and from where.
type Answer = (Vec<Value>, Origin);

/// What was sent: to whom, which of the questions, and what came back on which connection.
type Outcome = (Shared, Vec<usize>, Result<(Vec<Value>, u64), Failure>);

/// What has to be asked again, and how.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    pub(super) in_full: bool,
    /// Where it has moved, or is moving (`true`).
    pub(super) to: Option<(Place, bool)>,
}

/// What follows from an error that is no last word.
pub(super) enum Next {
    Done,
    InFull,
    Moved(Place),
    Moving(Place),
    /// Something is on its way to get better.
    Pause,
    /// The server is no master any more.
    Replaced,
}

impl Connection {
    pub(super) fn new(address: Address, entry: Entry, timeout: Duration, replicas: Replicas) -> Self {
        Self {
            topology: address.topology,
            entry,
            timeout,
            replicas,
            servers: Mutex::default(),
            master: Mutex::default(),
            slots: RwLock::default(),
            learning: tokio::sync::Mutex::default(),
            unlearned: Trouble::default(),
            asked: AtomicUsize::default(),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Where the server of a key is.
    pub(super) async fn place_of(&self, key: &str) -> Result<Place, StoreError> {
        let (deadline, trouble) = (Instant::now() + self.timeout, Trouble::default());
        let server = timeout_at(deadline.into(), self.server_of(key, deadline, &trouble)).await;
        let server = server.unwrap_or(Err(Failure::Late));
        server.map(|server| server.place.clone()).map_err(|failure| trouble.told(failure, self.timeout))
    }

    pub(super) fn home(&self) -> &tokio::runtime::Handle {
        &self.entry.home
    }

    /// Asks one thing.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Vec<Value>, StoreError> {
        Ok(self.ask_all(vec![ask]).await?.pop().unwrap_or_default())
    }

    /// Asks many things at once: one journey to each server. Answers come in the order of the questions; an error of
    /// one command is the error of all.
    pub(super) async fn ask_all(&self, asks: Vec<Ask>) -> Result<Vec<Vec<Value>>, StoreError> {
        Ok(self.ask_all_from(asks).await?.into_iter().map(|(values, _)| values).collect())
    }

    /// The same, and says of each answer where it comes from.
    pub(super) async fn ask_all_from(&self, asks: Vec<Ask>) -> Result<Vec<Answer>, StoreError> {
        let (deadline, trouble) = (Instant::now() + self.timeout, Trouble::default());
        let answer = timeout_at(deadline.into(), Box::pin(self.attempts(&asks, deadline, &trouble))).await;
        answer.unwrap_or_else(|_| Err(trouble.late(self.timeout)))
    }

    async fn attempts(
        &self,
        asks: &[Ask],
        deadline: Instant,
        trouble: &Trouble,
    ) -> Result<Vec<Answer>, StoreError> {
        let mut answers: Vec<Option<Answer>> = asks.iter().map(|_| None).collect();
        let mut turns: Vec<Turn> = asks.iter().map(|_| Turn::default()).collect();
        let mut broken = 0;
        loop {
            let open: Vec<usize> =
                answers.iter().enumerate().filter(|(_, answer)| answer.is_none()).map(|(at, _)| at).collect();
            if open.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
            let (groups, mut pause) = match self.groups(asks, &turns, &open, deadline, trouble).await {
                Ok(groups) => (groups, false),
                Err(failure) => {
                    self.give_up(&mut broken, failure, trouble)?;
                    (Vec::new(), true)
                }
            };
            for (server, members, outcome) in self.send_groups(groups, asks, &turns, deadline).await {
                let (mut values, connection) = match outcome {
                    Ok((values, connection)) => (values.into_iter(), connection),
                    Err(failure) => {
                        self.lost(&server);
                        self.give_up(&mut broken, failure, trouble)?;
                        pause |= broken > 1;
                        // Who was said to have it now is gone as well.
                        for at in members {
                            if let Some(turn) = turns.get_mut(at) {
                                turn.to = None;
                            }
                        }
                        continue;
                    }
                };
                for at in members {
                    let (Some(ask), Some(turn)) = (asks.get(at), turns.get_mut(at)) else { continue };
                    let asking = matches!(turn.to, Some((_, true)));
                    let mut own: Vec<Value> = Vec::with_capacity(ask.calls.len());
                    for _ in &ask.calls {
                        if asking {
                            values.next();
                        }
                        own.extend(values.next());
                    }
                    turn.to = None;
                    match self.next(&own, &server.place, trouble)? {
                        Next::Done => {
                            if let Some(answer) = answers.get_mut(at) {
                                *answer = Some((own, Origin { place: server.place.clone(), connection }));
                            }
                        }
                        Next::InFull => turn.in_full = true,
                        Next::Moved(place) => turn.to = Some((place, false)),
                        Next::Moving(place) => turn.to = Some((place, true)),
                        Next::Pause => pause = true,
                        Next::Replaced => {
                            self.lost(&server);
                            pause = true;
                        }
                    }
                }
            }
            if pause {
                sleep(PAUSE).await;
            }
        }
    }

    /// What follows from the errors among the answers of the server at `asked` to one question.
    pub(super) fn next(
        &self,
        values: &[Value],
        asked: &Place,
        trouble: &Trouble,
    ) -> Result<Next, StoreError> {
        let error = values.iter().find_map(|value| match value {
            Value::ServerError(error) => Some(error),
            _ => None,
        });
        let Some(error) = error else { return Ok(Next::Done) };
        let cluster = matches!(self.topology, Topology::Cluster(_));
        let place = || error.details().and_then(|text| slots::sent_to(text, asked));
        if error.kind() != Some(ServerErrorKind::NoScript) {
            trouble.is(format!("{asked}: {} {}", error.code(), error.details().unwrap_or_default()));
        }
        Ok(match error.kind() {
            Some(ServerErrorKind::NoScript) => Next::InFull,
            Some(ServerErrorKind::Moved) if cluster => {
                self.forget_slots();
                place().map_or(Next::Pause, Next::Moved)
            }
            Some(ServerErrorKind::Ask) if cluster => place().map_or(Next::Pause, Next::Moving),
            Some(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
                return Err(StoreError::Away(
                    "this is a Redis Cluster: write `redis+cluster://` in `store.url`".to_owned(),
                ));
            }
            Some(ServerErrorKind::TryAgain | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown) => {
                Next::Pause
            }
            Some(ServerErrorKind::ClusterDown) => {
                self.forget_slots();
                Next::Pause
            }
            Some(ServerErrorKind::ReadOnly) => Next::Replaced,
            _ => return Err(values::refused(error)),
        })
    }

    /// Asks that go to the same server go together.
    async fn groups(
        &self,
        asks: &[Ask],
        turns: &[Turn],
        open: &[usize],
        deadline: Instant,
        trouble: &Trouble,
    ) -> Result<Vec<(Shared, Vec<usize>)>, Failure> {
        let mut groups: Vec<(Shared, Vec<usize>)> = Vec::new();
        for at in open {
            let (Some(ask), Some(turn)) = (asks.get(*at), turns.get(*at)) else { continue };
            let server = match &turn.to {
                Some((place, _)) => self.server(place),
                None => self.server_of(&ask.key, deadline, trouble).await?,
            };
            match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &server)) {
                Some((_, members)) => members.push(*at),
                None => groups.push((server, vec![*at])),
            }
        }
        Ok(groups)
    }

    async fn send_groups(
        &self,
        groups: Vec<(Shared, Vec<usize>)>,
        asks: &[Ask],
        turns: &[Turn],
        deadline: Instant,
    ) -> Vec<Outcome> {
        let mut tasks = JoinSet::new();
        let alone = groups.len() == 1;
        let mut outcomes = Vec::with_capacity(groups.len());
        for (server, members) in groups {
            let mut pipeline = Pipeline::new();
            for (ask, turn) in members.iter().filter_map(|at| Some((asks.get(*at)?, turns.get(*at)?))) {
                add(&mut pipeline, ask, turn);
            }
            let entry = self.entry.clone();
            let send = async move {
                let outcome = server.send(&entry, Lane::Swift, &pipeline, deadline, None).await;
                (server, members, outcome)
            };
            if alone {
                outcomes.push(send.await);
            } else {
                tasks.spawn_on(send, &self.entry.home);
            }
        }
        while let Some(outcome) = tasks.join_next().await {
            outcomes.extend(outcome.ok());
        }
        outcomes
    }

    /// Whether to try again: one server that is gone is gone, others may be replaced while we wait.
    pub(super) fn give_up(
        &self,
        broken: &mut u32,
        failure: Failure,
        trouble: &Trouble,
    ) -> Result<(), StoreError> {
        *broken += 1;
        let once = matches!(self.topology, Topology::Single(_));
        match failure {
            Failure::Broken(why) if !once || *broken < ATTEMPTS => {
                trouble.is(why);
                Ok(())
            }
            failure => Err(trouble.told(failure, self.timeout)),
        }
    }
}

pub(super) fn add(pipeline: &mut Pipeline, ask: &Ask, turn: &Turn) {
    for call in &ask.calls {
        if matches!(turn.to, Some((_, true))) {
            pipeline.add_command(::redis::cmd("ASKING"));
        }
        pipeline.add_command(call.command(turn.in_full));
    }
}
