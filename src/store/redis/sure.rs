//! What must not be lost with one server: a command, and `WAIT` behind it on the same connection. Never takes a replica's
//! silence for a yes.

use std::time::Instant;

use ::redis::{Cmd, Pipeline, Value};
use tokio::time::{sleep, timeout_at};

use super::address::Topology;
use super::connection::{Ask, Connection, Next, PAUSE, Turn, add};
use super::many::Outcome;
use super::server::{Lane, Shared};
use super::trouble::{Failure, Trouble};
use crate::store::Replicas;
use crate::store::StoreError;

impl Connection {
    /// Asks the server of one key, and has its replicas confirm before it counts. `false`: done, but not confirmed in
    /// time, so that it may be lost with its server.
    pub(super) async fn ask_surely(&self, lane: Lane, ask: &Ask) -> Result<(Vec<Value>, bool), StoreError> {
        let (deadline, trouble) = (Instant::now() + self.timeout, Trouble::default());
        let attempts = Box::pin(self.sure_attempts(lane, ask, deadline, &trouble));
        let answer = timeout_at(deadline.into(), attempts).await;
        answer.unwrap_or_else(|_| Err(trouble.late(self.timeout)))
    }

    /// Whether anybody is there who could confirm what is asked of this key, as far as one knows. Asked before something is
    /// spent for good that nobody would get then.
    pub(super) async fn may_be_sure(&self, key: &str) -> bool {
        let needed = match self.replicas {
            Replicas::AtLeast(0) => return true,
            Replicas::AtLeast(count) => count,
            Replicas::Auto => 1,
        };
        let (deadline, trouble) = (Instant::now() + self.timeout, Trouble::default());
        let look = async {
            let server = self.server_of(key, deadline, &trouble).await.ok()?;
            let alone = matches!((&self.topology, self.replicas), (Topology::Single(_), Replicas::Auto));
            if server.has_just_heard_replicas() || (alone && !server.has_replicas()) {
                return None;
            }
            let mut question = Pipeline::new();
            question.cmd("ROLE");
            let (values, _) = server.send(&self.entry, Lane::Swift, &question, deadline, None).await.ok()?;
            replicas_in(values.first())
        };
        // Where nothing is known, what comes next finds its own words.
        let found = timeout_at(deadline.into(), Box::pin(look)).await.ok().flatten();
        found.is_none_or(|found| u32::try_from(found).is_ok_and(|found| found >= needed))
    }

    async fn sure_attempts(
        &self,
        lane: Lane,
        ask: &Ask,
        deadline: Instant,
        trouble: &Trouble,
    ) -> Result<(Vec<Value>, bool), StoreError> {
        let mut turn = Turn::default();
        let mut broken = 0;
        loop {
            let server = match turn.to.as_ref() {
                Some((place, _)) => Ok(self.server(place)),
                None => self.server_of(&ask.key, deadline, trouble).await,
            };
            let server = match server {
                Ok(server) => server,
                Err(failure) => {
                    self.give_up(&mut broken, failure, trouble)?;
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (own, sure) = match self.send_surely(&server, lane, ask, &turn, deadline).await {
                Ok(outcome) => outcome,
                Err(failure) => {
                    self.lost(&server);
                    turn.to = None;
                    self.give_up(&mut broken, failure, trouble)?;
                    if broken > 1 {
                        sleep(PAUSE).await;
                    }
                    continue;
                }
            };
            turn.to = None;
            match self.next(&own, &server.place, trouble)? {
                Next::Done => return Ok((own, sure)),
                Next::InFull => turn.in_full = true,
                Next::Moved(place) => turn.to = Some((place, false)),
                Next::Moving(place) => turn.to = Some((place, true)),
                Next::Pause => sleep(PAUSE).await,
                Next::Replaced => {
                    self.lost(&server);
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Asks things that have one answer each of the server that holds the first of them, all at once. `None`: this was not
    /// done there, or nobody knows: it is to be asked alone.
    pub(super) async fn ask_together(
        &self,
        lane: Lane,
        asks: &[&Ask],
        in_full: bool,
    ) -> Result<Vec<Option<Outcome>>, StoreError> {
        let Some(first) = asks.first() else { return Ok(Vec::new()) };
        let (deadline, trouble) = (Instant::now() + self.timeout, Trouble::default());
        let calls = asks.iter().flat_map(|ask| ask.calls.iter().cloned()).collect();
        let (together, turn) = (Ask { key: first.key.clone(), calls }, Turn { in_full, to: None });
        let attempt = async {
            let server = self.server_of(&together.key, deadline, &trouble).await?;
            let sent = self.send_surely(&server, lane, &together, &turn, deadline).await;
            if sent.is_err() {
                self.lost(&server);
            }
            sent.map(|(values, sure)| (server, values, sure))
        };
        let (server, values, sure) = match timeout_at(deadline.into(), Box::pin(attempt)).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(Failure::Broken(_))) => return Ok(vec![None; asks.len()]),
            Ok(Err(failure)) => return Err(trouble.told(failure, self.timeout)),
            Err(_) => return Err(trouble.late(self.timeout)),
        };
        let judged = |value: Value| match self.next(std::slice::from_ref(&value), &server.place, &trouble) {
            Ok(Next::Done) => Some(Ok((value, sure))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        Ok(values.into_iter().map(judged).collect())
    }

    /// The commands, then `WAIT` behind them on the same connection, where anybody has to confirm.
    async fn send_surely(
        &self,
        server: &Shared,
        lane: Lane,
        ask: &Ask,
        turn: &Turn,
        deadline: Instant,
    ) -> Result<(Vec<Value>, bool), Failure> {
        let mut pipeline = Pipeline::new();
        add(&mut pipeline, ask, turn);
        let commands = pipeline.len();
        let wanted = match self.replicas {
            Replicas::AtLeast(count) => Some(count),
            Replicas::Auto if matches!(self.topology, Topology::Single(_)) => {
                server.has_replicas().then_some(1)
            }
            // There should be some: a master without any was cut off, or is the last of its kind.
            Replicas::Auto => Some(1),
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
        let (mut values, number) = server.send(&self.entry, lane, &pipeline, deadline, None).await?;
        let after = values.split_off(commands.min(values.len()));
        let mut own = values;
        if matches!(turn.to, Some((_, true))) {
            // The answers to ASKING.
            own = own.into_iter().skip(1).step_by(2).collect();
        }
        let confirmed = match (wanted, after.first()) {
            (Some(0), _) => true,
            (Some(count), Some(Value::Int(got))) => {
                if *got > 0 {
                    server.saw_replicas();
                }
                u32::try_from(*got).is_ok_and(|got| got >= count)
            }
            (Some(_), _) => false,
            (None, role) => match replicas_in(role) {
                // Who may not ask is told by the kind of address that there need not be any.
                Some(0) | None => true,
                Some(_) => {
                    server.saw_replicas();
                    let mut wait = Pipeline::new();
                    wait.add_command(self.wait(1, deadline));
                    let heard = server.send(&self.entry, lane, &wait, deadline, Some(number)).await?;
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
