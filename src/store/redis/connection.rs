//! The way to the servers: which one holds a key, what to do when it has moved, is away or was replaced. Everything that
//! is asked ends by the deadline, answered or with [`StoreError::Away`]. Knows no verb and no record.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ::redis::{Cmd, Pipeline, ServerErrorKind, Value};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use super::address::{Address, Place, Topology, tcp};
use super::script::Script;
use super::server::{Entry, Failure, Lane, Server, Shared};
use super::slots::{SlotMap, slot};
use super::values;
use crate::store::Replicas;
use crate::store::StoreError;

/// Between two attempts, where something is on its way to get better.
const PAUSE: Duration = Duration::from_millis(50);
/// How often a connection that breaks is opened anew for one question, where there is one server only.
const ATTEMPTS: u32 = 3;
/// How long one sentinel may think before the next is asked.
const SENTINEL_PATIENCE: Duration = Duration::from_millis(500);

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
}

/// The servers. Cheap to share.
#[derive(Debug)]
pub(super) struct Connection {
    topology: Topology,
    entry: Entry,
    timeout: Duration,
    replicas: Replicas,
    servers: Mutex<HashMap<Place, Shared>>,
    /// Sentinel: who is the master now. Cluster: nobody is.
    master: Mutex<Option<Place>>,
    slots: RwLock<Option<Arc<SlotMap>>>,
    /// One learns the map, the others wait for it.
    learning: tokio::sync::Mutex<()>,
    /// Another node is asked first each time: one that is cut off may believe an old map.
    asked: AtomicUsize,
}

/// What has to be asked again, and how.
#[derive(Clone, Debug, Default)]
struct Turn {
    in_full: bool,
    /// Where it has moved, or is moving (`true`).
    to: Option<(Place, bool)>,
}

/// What follows from an error that is no last word.
enum Next {
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

    /// Asks the server of one key, and has its replicas confirm before it counts. `false`: done, but not confirmed in
    /// time, so that it may be lost with its server.
    pub(super) async fn ask_surely(&self, ask: &Ask) -> Result<(Vec<Value>, bool), StoreError> {
        let deadline = Instant::now() + self.timeout;
        let answer = timeout_at(deadline.into(), Box::pin(self.sure_attempts(ask, deadline))).await;
        answer.unwrap_or_else(|_| Err(self.late()))
    }

    async fn sure_attempts(&self, ask: &Ask, deadline: Instant) -> Result<(Vec<Value>, bool), StoreError> {
        let mut turn = Turn::default();
        let mut broken = 0;
        loop {
            let server = match turn.to.as_ref() {
                Some((place, _)) => Ok(self.server(place)),
                None => self.server_of(&ask.key, deadline).await,
            };
            let attempt = match server {
                Ok(server) => {
                    let outcome = self.send_surely(&server, ask, &turn, deadline).await;
                    outcome.map_err(|failure| (server, failure))
                }
                Err(error) => {
                    broken += 1;
                    self.give_up(broken, error)?;
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (own, sure) = match attempt {
                Ok(outcome) => outcome,
                Err((server, Failure::Late)) => {
                    self.lost(&server);
                    return Err(self.late());
                }
                Err((server, Failure::Broken(error))) => {
                    self.lost(&server);
                    broken += 1;
                    self.give_up(broken, away(&error.to_string()))?;
                    continue;
                }
            };
            turn.to = None;
            match self.next(&own)? {
                Next::Done => return Ok((own, sure)),
                Next::InFull => turn.in_full = true,
                Next::Moved(place) => {
                    self.forget_slots();
                    turn.to = Some((place, false));
                }
                Next::Moving(place) => turn.to = Some((place, true)),
                Next::Pause => sleep(PAUSE).await,
                Next::Replaced => {
                    if let Ok(server) = self.server_of(&ask.key, deadline).await {
                        self.lost(&server);
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// The commands, then `WAIT` behind them on the same connection, where anybody has to confirm.
    async fn send_surely(
        &self,
        server: &Shared,
        ask: &Ask,
        turn: &Turn,
        deadline: Instant,
    ) -> Result<(Vec<Value>, bool), Failure> {
        let mut pipeline = Pipeline::new();
        add(&mut pipeline, ask, turn);
        let commands = pipeline.len();
        let wanted = match self.replicas {
            Replicas::AtLeast(count) => Some(count),
            Replicas::Auto => server.has_replicas().map(u32::from),
        };
        match wanted {
            Some(0) => {}
            Some(count) => {
                pipeline.add_command(self.wait(count, deadline));
            }
            None => {
                pipeline.add_command(::redis::cmd("ROLE"));
            }
        }
        let (mut values, number) = server.send(&self.entry, Lane::Sure, &pipeline, deadline, None).await?;
        let after = values.split_off(commands.min(values.len()));
        let mut own = values;
        if matches!(turn.to, Some((_, true))) {
            // The answers to ASKING.
            own = own.into_iter().skip(1).step_by(2).collect();
        }
        let confirmed = match (wanted, after.first()) {
            (Some(0), _) => true,
            (Some(count), Some(Value::Int(got))) => u32::try_from(*got).is_ok_and(|got| got >= count),
            (Some(_), _) => false,
            (None, role) => match replicas_in(role) {
                Some(0) => {
                    server.saw_replicas(false);
                    true
                }
                // Who may not ask is told by the kind of address whether there should be any.
                None if matches!(self.topology, Topology::Single(_)) => true,
                _ => {
                    server.saw_replicas(true);
                    let mut wait = Pipeline::new();
                    wait.add_command(self.wait(1, deadline));
                    let heard = server.send(&self.entry, Lane::Sure, &wait, deadline, Some(number)).await?;
                    matches!(heard.0.first(), Some(Value::Int(got)) if *got >= 1)
                }
            },
        };
        Ok((own, confirmed))
    }

    /// Waits for a third of the time, so that the answer is heard even where the first word was not understood, and never
    /// for more than three quarters of what is left.
    fn wait(&self, replicas: u32, deadline: Instant) -> Cmd {
        let left = deadline.saturating_duration_since(Instant::now()) * 3 / 4;
        let millis = left.min(self.timeout / 3).as_millis().max(1);
        let mut command = ::redis::cmd("WAIT");
        command.arg(replicas).arg(u64::try_from(millis).unwrap_or(u64::MAX));
        command
    }

    /// What follows from the errors among the answers to one question.
    fn next(&self, values: &[Value]) -> Result<Next, StoreError> {
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

    async fn server_of(&self, key: &str, deadline: Instant) -> Result<Shared, StoreError> {
        match &self.topology {
            Topology::Single(place) => Ok(self.server(place)),
            Topology::Sentinel { sentinels, name } => {
                let known = self.master.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let place = match known {
                    Some(place) => place,
                    None => self.find_master(sentinels, name, deadline).await?,
                };
                Ok(self.server(&place))
            }
            Topology::Cluster(seeds) => {
                let slot = slot(key.as_bytes());
                if let Some(place) = self.slots().and_then(|slots| slots.place(slot).cloned()) {
                    return Ok(self.server(&place));
                }
                let slots = self.learn_slots(seeds, deadline).await?;
                let place = slots.place(slot).ok_or_else(|| {
                    StoreError::Away(
                        "no server of the Redis Cluster holds this part; see `CLUSTER INFO`".to_owned(),
                    )
                })?;
                Ok(self.server(place))
            }
        }
    }

    fn server(&self, place: &Place) -> Shared {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(servers.entry(place.clone()).or_insert_with(|| Arc::new(Server::new(place.clone()))))
    }

    fn slots(&self) -> Option<Arc<SlotMap>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget_slots(&self) {
        *self.slots.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A server that broke, or is no master any more: who is in its place must be asked for.
    fn lost(&self, server: &Server) {
        match self.topology {
            Topology::Single(_) => {}
            Topology::Sentinel { .. } => {
                server.forget();
                *self.master.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            Topology::Cluster(_) => self.forget_slots(),
        }
    }

    /// Whether to try again: one server that is gone is gone, others may be replaced while we wait.
    fn give_up(&self, broken: u32, error: StoreError) -> Result<(), StoreError> {
        let once = matches!(self.topology, Topology::Single(_));
        if once && broken >= ATTEMPTS { Err(error) } else { Ok(()) }
    }

    async fn find_master(
        &self,
        sentinels: &[Place],
        name: &str,
        deadline: Instant,
    ) -> Result<Place, StoreError> {
        let mut why = "no sentinel answers".to_owned();
        for sentinel in sentinels {
            let until = deadline.min(Instant::now() + SENTINEL_PATIENCE);
            match self.ask_sentinel(sentinel, name, until).await {
                Ok(Some(place)) => match self
                    .is_master(&place, until.max(Instant::now() + SENTINEL_PATIENCE))
                    .await
                {
                    Ok(true) => {
                        *self.master.lock().unwrap_or_else(PoisonError::into_inner) = Some(place.clone());
                        return Ok(place);
                    }
                    Ok(false) => why = format!("{place}, named by the sentinel {sentinel}, is no master yet"),
                    Err(_) => why = format!("{place}, named by the sentinel {sentinel}, does not answer"),
                },
                Ok(None) => why = format!("the sentinel {sentinel} knows no master called {name:?}"),
                Err(Failure::Late) => why = format!("the sentinel {sentinel} does not answer"),
                Err(Failure::Broken(error)) => why = format!("the sentinel {sentinel}: {error}"),
            }
        }
        Err(away(&why))
    }

    async fn ask_sentinel(
        &self,
        sentinel: &Place,
        name: &str,
        until: Instant,
    ) -> Result<Option<Place>, Failure> {
        let mut question = Pipeline::new();
        question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        // Sentinels have no databases, and often other passwords, or none.
        let mut entry = Entry { database: 0, password: None, ..self.entry.clone() };
        let mut answer = self.server(sentinel).send(&entry, Lane::Swift, &question, until, None).await;
        let closed = |values: &[Value]| values.iter().any(|value| matches!(value, Value::ServerError(_)));
        if self.entry.password.is_some() && answer.as_ref().is_ok_and(|(values, _)| closed(values)) {
            entry.password.clone_from(&self.entry.password);
            let server = Server::new(sentinel.clone());
            answer = server.send(&entry, Lane::Swift, &question, until, None).await;
        }
        let (values, _) = answer?;
        let parts = values.into_iter().next().map(values::list).and_then(Result::ok).unwrap_or_default();
        let mut texts = parts.into_iter().map(values::text).filter_map(Result::ok);
        let (Some(host), Some(port)) = (texts.next(), texts.next()) else { return Ok(None) };
        Ok(port.parse().ok().map(|port| Place::Tcp(host, port)))
    }

    async fn is_master(&self, place: &Place, until: Instant) -> Result<bool, Failure> {
        let mut question = Pipeline::new();
        question.cmd("ROLE");
        let server = self.server(place);
        let (values, _) = server.send(&self.entry, Lane::Swift, &question, until, None).await?;
        match values.into_iter().next() {
            Some(Value::Array(parts)) => {
                let role = parts.into_iter().next().map(values::text).and_then(Result::ok);
                Ok(role.as_deref() == Some("master"))
            }
            // Who may not ask believes the sentinel; a replica refuses writes.
            _ => Ok(true),
        }
    }

    async fn learn_slots(&self, seeds: &[Place], deadline: Instant) -> Result<Arc<SlotMap>, StoreError> {
        let Ok(_turn) = timeout_at(deadline.into(), self.learning.lock()).await else {
            return Err(self.late());
        };
        if let Some(slots) = self.slots() {
            return Ok(slots);
        }
        let mut question = Pipeline::new();
        question.cmd("CLUSTER").arg("SLOTS");
        let known: Vec<Place> =
            self.servers.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        let mut why = "no node of the Redis Cluster answers".to_owned();
        let mut nodes: Vec<&Place> =
            seeds.iter().chain(known.iter().filter(|place| !seeds.contains(place))).collect();
        let first = self.asked.fetch_add(1, Ordering::Relaxed) % nodes.len().max(1);
        nodes.rotate_left(first);
        for place in nodes {
            let until = deadline.min(Instant::now() + SENTINEL_PATIENCE);
            let answer = self.server(place).send(&self.entry, Lane::Swift, &question, until, None).await;
            match answer {
                Ok((values, _)) => {
                    let slots = values.into_iter().next().map(|value| SlotMap::read(value, place));
                    match slots {
                        Some(Ok(slots)) if !slots.is_empty() => {
                            let slots = Arc::new(slots);
                            *self.slots.write().unwrap_or_else(PoisonError::into_inner) =
                                Some(Arc::clone(&slots));
                            return Ok(slots);
                        }
                        Some(Err(error)) => why = error.to_string(),
                        _ => why = format!("{place} knows of no slots; is the Cluster made?"),
                    }
                }
                Err(Failure::Late) => {}
                Err(Failure::Broken(error)) => why = format!("{place}: {error}"),
            }
        }
        Err(away(&why))
    }

    /// Asks every server that holds something, for what is true of a server and not of a key.
    pub(super) async fn ask_each(&self, commands: Vec<Cmd>) -> Result<Vec<(Place, Vec<Value>)>, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let mut servers = vec![self.server_of("", deadline).await?];
        if let Some(slots) = self.slots() {
            servers = slots.places().into_iter().map(|place| self.server(place)).collect();
        }
        let mut pipeline = Pipeline::new();
        for command in commands {
            pipeline.add_command(command);
        }
        let mut answers = Vec::with_capacity(servers.len());
        for server in servers {
            match server.send(&self.entry, Lane::Swift, &pipeline, deadline, None).await {
                Ok((values, _)) => answers.push((server.place.clone(), values)),
                Err(Failure::Late) => return Err(self.late()),
                Err(Failure::Broken(error)) => return Err(away(&error.to_string())),
            }
        }
        Ok(answers)
    }

    fn late(&self) -> StoreError {
        away(&format!("no answer within {:?}", self.timeout))
    }
}

fn add(pipeline: &mut Pipeline, ask: &Ask, turn: &Turn) {
    for call in &ask.calls {
        if matches!(turn.to, Some((_, true))) {
            pipeline.add_command(::redis::cmd("ASKING"));
        }
        pipeline.add_command(call.command(turn.in_full));
    }
}

/// How many replicas `ROLE` names; `None`: it says nothing of them.
fn replicas_in(role: Option<&Value>) -> Option<usize> {
    match role {
        Some(Value::Array(parts)) => match parts.get(2) {
            Some(Value::Array(replicas)) => Some(replicas.len()),
            _ => None,
        },
        _ => None,
    }
}

fn away(why: &str) -> StoreError {
    StoreError::Away(format!("Redis: {why}"))
}
