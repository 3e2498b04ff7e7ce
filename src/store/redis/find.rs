//! Which server to ask: the only one, the master that the sentinels name, the node that holds the slot. Believes what it
//! found until a server breaks or says otherwise.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use ::redis::{Cmd, Pipeline, Value};
use tokio::time::timeout_at;

use super::address::{Place, Topology};
use super::connection::Connection;
use super::server::{Lane, Server, Shared};
use super::slots::{SlotMap, slot};
use super::trouble::{Failure, Trouble};
use super::values;
use crate::store::StoreError;

/// How long one node may think before the next is asked.
const PATIENCE: Duration = Duration::from_millis(500);

impl Connection {
    /// Who holds a key. One looks for it, the others wait for that one, and are told the same.
    pub(super) async fn server_of(
        &self,
        key: &str,
        deadline: Instant,
        trouble: &Trouble,
    ) -> Result<Shared, Failure> {
        if let Some(server) = self.known_server(key) {
            return Ok(server);
        }
        let turn = timeout_at(deadline.into(), self.learning.lock()).await;
        trouble.is_that_of(&self.unlearned);
        let Ok(_turn) = turn else { return Err(Failure::Late) };
        if let Some(server) = self.known_server(key) {
            return Ok(server);
        }
        let learned = self.learn(key, deadline, trouble).await;
        match &learned {
            Ok(_) => self.unlearned.is_over(),
            Err(Failure::Broken(why) | Failure::Refused(why)) => self.unlearned.is(why.clone()),
            Err(Failure::Late) => {}
        }
        learned
    }

    fn known_server(&self, key: &str) -> Option<Shared> {
        match &self.topology {
            Topology::Single(place) => Some(self.server(place)),
            Topology::Sentinel { .. } => self.known_master().map(|master| self.server(&master.place)),
            Topology::Cluster(_) => self.slots()?.place(slot(key.as_bytes())).map(|place| self.server(place)),
        }
    }

    async fn learn(&self, key: &str, deadline: Instant, trouble: &Trouble) -> Result<Shared, Failure> {
        match &self.topology {
            Topology::Single(place) => Ok(self.server(place)),
            Topology::Sentinel { sentinels, name } => {
                Ok(self.server(&self.find_master(sentinels, name, deadline).await?))
            }
            Topology::Cluster(seeds) => {
                let slots = self.learn_slots(seeds, deadline, trouble).await?;
                if let Some(place) = slots.place(slot(key.as_bytes())) {
                    return Ok(self.server(place));
                }
                // Who was asked may be behind the others.
                self.forget_slots();
                let why = "no server of the Redis Cluster holds this part; see `CLUSTER INFO`";
                Err(Failure::Broken(why.to_owned()))
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
                self.set_master(None);
            }
            Topology::Cluster(_) => self.forget_slots(),
        }
    }

    async fn learn_slots(
        &self,
        seeds: &[Place],
        deadline: Instant,
        trouble: &Trouble,
    ) -> Result<Arc<SlotMap>, Failure> {
        let mut question = Pipeline::new();
        question.cmd("CLUSTER").arg("SLOTS");
        let known: Vec<Place> =
            self.servers.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        let mut nodes: Vec<&Place> =
            seeds.iter().chain(known.iter().filter(|place| !seeds.contains(place))).collect();
        let first = self.asked.fetch_add(1, Ordering::Relaxed) % nodes.len().max(1);
        nodes.rotate_left(first);
        let (mut failure, mut refused) = (None, None);
        for place in nodes {
            let until = deadline.min(Instant::now() + PATIENCE);
            let answer = self.server(place).send(&self.entry, Lane::Swift, &question, until, None).await;
            let why = match answer {
                Ok((values, _)) => match map(values, place) {
                    Ok(slots) => {
                        let slots = Arc::new(slots);
                        *self.slots.write().unwrap_or_else(PoisonError::into_inner) =
                            Some(Arc::clone(&slots));
                        return Ok(slots);
                    }
                    Err(Failure::Refused(why)) => refused.insert(why).clone(),
                    Err(Failure::Broken(why)) => why,
                    Err(Failure::Late) => continue,
                },
                // Our time is up, not its.
                Err(Failure::Late) if until == deadline => return Err(Failure::Late),
                Err(Failure::Late) => format!("{place} does not answer"),
                Err(Failure::Broken(why)) => why,
                Err(Failure::Refused(why)) => refused.insert(why).clone(),
            };
            trouble.is(why.clone());
            failure = Some(why);
        }
        Err(match (refused, failure) {
            (Some(why), _) => Failure::Refused(why),
            (None, Some(why)) => Failure::Broken(why),
            (None, None) => Failure::Broken("no node of the Redis Cluster is known".to_owned()),
        })
    }

    /// Asks every server that holds something, for what is true of a server and not of a key.
    pub(super) async fn ask_each(&self, commands: Vec<Cmd>) -> Result<Vec<(Place, Vec<Value>)>, StoreError> {
        let (deadline, trouble) = (Instant::now() + self.timeout, Trouble::default());
        let answers = self.answers_of_each(commands, deadline, &trouble).await;
        answers.map_err(|failure| trouble.told(failure, self.timeout))
    }

    async fn answers_of_each(
        &self,
        commands: Vec<Cmd>,
        deadline: Instant,
        trouble: &Trouble,
    ) -> Result<Vec<(Place, Vec<Value>)>, Failure> {
        let mut servers = vec![self.server_of("", deadline, trouble).await?];
        if let Some(slots) = self.slots() {
            servers = slots.places().into_iter().map(|place| self.server(place)).collect();
        }
        let mut pipeline = Pipeline::new();
        for command in commands {
            pipeline.add_command(command);
        }
        let mut answers = Vec::with_capacity(servers.len());
        for server in servers {
            let (values, _) = server.send(&self.entry, Lane::Swift, &pipeline, deadline, None).await?;
            answers.push((server.place.clone(), values));
        }
        Ok(answers)
    }
}

/// What a node says of the slots.
fn map(values: Vec<Value>, place: &Place) -> Result<SlotMap, Failure> {
    let value = values.into_iter().next().unwrap_or_default();
    if let Value::ServerError(error) = &value {
        let why = format!("{place}: {}", values::said(error));
        return Err(if values::lasts(error) { Failure::Refused(why) } else { Failure::Broken(why) });
    }
    match SlotMap::read(value, place) {
        Ok(slots) if !slots.is_empty() => Ok(slots),
        Ok(_) => Err(Failure::Broken(format!("{place} knows of no slots; is the Cluster made?"))),
        Err(error) => Err(Failure::Broken(format!("{place}: {error}"))),
    }
}
