//! The way to the servers: which one holds a key, what to do when it has moved, is away or was replaced. Everything that
//! is asked ends by the deadline, answered or with [`StoreError::Away`]. Knows no verb and no record.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use ::redis::{Cmd, Pipeline, ServerErrorKind, Value};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use super::address::{Address, Place, Topology, tcp};
use super::script::Script;
use super::server::{Entry, Failure, Lane, Shared};
use super::slots::SlotMap;
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
    pub(super) master: Mutex<Option<Place>>,
    pub(super) slots: RwLock<Option<Arc<SlotMap>>>,
    /// One learns the map, the others wait for it.
    pub(super) learning: tokio::sync::Mutex<()>,
    /// Another node is asked first each time: one that is cut off may believe an old map.
    pub(super) asked: AtomicUsize,
}

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
        let deadline = Instant::now() + self.timeout;
        let server = timeout_at(deadline.into(), self.server_of(key, deadline)).await;
        server.unwrap_or_else(|_| Err(self.late())).map(|server| server.place.clone())
    }

    /// Whether keys are spread over several servers.
    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.topology, Topology::Cluster(_))
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
        let deadline = Instant::now() + self.timeout;
        let answer = timeout_at(deadline.into(), Box::pin(self.attempts(&asks, deadline))).await;
        answer.unwrap_or_else(|_| Err(self.late()))
    }

    async fn attempts(&self, asks: &[Ask], deadline: Instant) -> Result<Vec<Vec<Value>>, StoreError> {
        let mut answers: Vec<Option<Vec<Value>>> = asks.iter().map(|_| None).collect();
        let mut turns: Vec<Turn> = asks.iter().map(|_| Turn::default()).collect();
        let mut broken = 0;
        loop {
            let open: Vec<usize> =
                answers.iter().enumerate().filter(|(_, answer)| answer.is_none()).map(|(at, _)| at).collect();
            if open.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
            let (groups, mut pause) = match self.groups(asks, &turns, &open, deadline).await {
                Ok(groups) => (groups, false),
                Err(error) => {
                    broken += 1;
                    self.give_up(broken, error)?;
                    (Vec::new(), true)
                }
            };
            for (server, members, outcome) in self.send_groups(groups, asks, &turns, deadline).await {
                let mut values = match outcome {
                    Ok(values) => values.into_iter(),
                    Err(Failure::Late) => {
                        self.lost(&server);
                        return Err(self.late());
                    }
                    Err(Failure::Broken(error)) => {
                        self.lost(&server);
                        broken += 1;
                        self.give_up(broken, away(&error.to_string()))?;
                        pause |= broken > 1;
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
                    match self.next(&own)? {
                        Next::Done => {
                            if let Some(answer) = answers.get_mut(at) {
                                *answer = Some(own);
                            }
                        }
                        Next::InFull => turn.in_full = true,
                        Next::Moved(place) => {
                            self.forget_slots();
                            turn.to = Some((place, false));
                        }
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

    /// What follows from the errors among the answers to one question.
    pub(super) fn next(&self, values: &[Value]) -> Result<Next, StoreError> {
        let error = values.iter().find_map(|value| match value {
            Value::ServerError(error) => Some(error),
            _ => None,
        });
        let Some(error) = error else { return Ok(Next::Done) };
        let place = || {
            let node = error.details()?.rsplit_once(' ')?.1;
            tcp(node, 0).ok()
        };
        let cluster = matches!(self.topology, Topology::Cluster(_));
        Ok(match error.kind() {
            Some(ServerErrorKind::NoScript) => Next::InFull,
            Some(ServerErrorKind::Moved) if cluster => place().map_or(Next::Pause, Next::Moved),
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
    ) -> Result<Vec<(Shared, Vec<usize>)>, StoreError> {
        let mut groups: Vec<(Shared, Vec<usize>)> = Vec::new();
        for at in open {
            let (Some(ask), Some(turn)) = (asks.get(*at), turns.get(*at)) else { continue };
            let server = match &turn.to {
                Some((place, _)) => self.server(place),
                None => self.server_of(&ask.key, deadline).await?,
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
    ) -> Vec<(Shared, Vec<usize>, Result<Vec<Value>, Failure>)> {
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
                (server, members, outcome.map(|(values, _)| values))
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
    pub(super) fn give_up(&self, broken: u32, error: StoreError) -> Result<(), StoreError> {
        let once = matches!(self.topology, Topology::Single(_));
        if once && broken >= ATTEMPTS { Err(error) } else { Ok(()) }
    }

    pub(super) fn late(&self) -> StoreError {
        away(&format!("no answer within {:?}", self.timeout))
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

pub(super) fn away(why: &str) -> StoreError {
    StoreError::Away(format!("Redis: {why}"))
}
