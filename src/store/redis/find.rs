//! Which server to ask: the only one, the master that the sentinels name, the node that holds the slot. Believes what it
//! found until a server breaks or says otherwise.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use ::redis::{Cmd, Pipeline, Value};
use tokio::time::timeout_at;

use super::address::{Place, Topology};
use super::connection::{Connection, away};
use super::server::{Entry, Failure, Lane, Server, Shared};
use super::slots::{SlotMap, slot};
use super::values;
use crate::store::StoreError;

/// How long one sentinel or node may think before the next is asked.
const PATIENCE: Duration = Duration::from_millis(500);

impl Connection {
    pub(super) async fn server_of(&self, key: &str, deadline: Instant) -> Result<Shared, StoreError> {
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

    pub(super) fn server(&self, place: &Place) -> Shared {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(servers.entry(place.clone()).or_insert_with(|| Arc::new(Server::new(place.clone()))))
    }

    pub(super) fn slots(&self) -> Option<Arc<SlotMap>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn forget_slots(&self) {
        *self.slots.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A server that broke, or is no master any more: who is in its place must be asked for.
    pub(super) fn lost(&self, server: &Server) {
        match self.topology {
            Topology::Single(_) => {}
            Topology::Sentinel { .. } => {
                server.forget();
                *self.master.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            Topology::Cluster(_) => self.forget_slots(),
        }
    }

    async fn find_master(
        &self,
        sentinels: &[Place],
        name: &str,
        deadline: Instant,
    ) -> Result<Place, StoreError> {
        let mut why = "no sentinel answers".to_owned();
        for sentinel in sentinels {
            let until = deadline.min(Instant::now() + PATIENCE);
            match self.ask_sentinel(sentinel, name, until).await {
                Ok(Some(place)) => match self.is_master(&place, until.max(Instant::now() + PATIENCE)).await {
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
            let until = deadline.min(Instant::now() + PATIENCE);
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
}
