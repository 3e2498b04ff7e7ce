//! Sentinel: who is the master now. Believes what a majority of the sentinels in `store.url` says, and asks them again
//! every few seconds: one of them, or a master, that is cut off together with us must not be believed for long.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ::redis::{Pipeline, Value};
use tokio::task::JoinSet;

use super::address::{Place, Topology};
use super::connection::Connection;
use super::server::{Entry, Lane, Shared};
use super::trouble::{Failure, Trouble};
use super::values;
use crate::store::StoreError;

/// How long a majority's word is believed where it matters whether the master still is one.
const BELIEVED: Duration = Duration::from_secs(3);

/// The master, and when a majority of the sentinels named it last.
#[derive(Clone, Debug)]
pub(super) struct Master {
    pub(super) place: Place,
    named: Instant,
}

impl Connection {
    /// Whom the sentinels name, if it is a master.
    pub(super) async fn find_master(
        &self,
        sentinels: &[Place],
        name: &str,
        deadline: Instant,
    ) -> Result<Place, Failure> {
        let named = Instant::now();
        let place = self.majority(sentinels, name, deadline).await?;
        let until = deadline.min(Instant::now() + self.patience());
        match self.is_master(&place, until).await {
            Ok(true) => {
                self.set_master(Some(Master { place: place.clone(), named }));
                Ok(place)
            }
            Ok(false) => Err(Failure::Broken(format!("{place}, named by the sentinels, is no master yet"))),
            Err(Failure::Late) => {
                Err(Failure::Broken(format!("{place}, named by the sentinels, does not answer")))
            }
            Err(Failure::Broken(why)) => Err(Failure::Broken(format!("{why}; the sentinels name it"))),
            Err(refused) => Err(refused),
        }
    }

    /// Whether the master that is asked is one still. What it says is no news otherwise: whoever is cut off together
    /// with an old master hears nothing of what is done elsewhere. Where no majority of the sentinels names it, it is
    /// forgotten, and nothing is asked or done until a majority names one.
    pub(super) async fn vouched(&self) -> Result<(), StoreError> {
        let Topology::Sentinel { sentinels, name } = &self.topology else { return Ok(()) };
        let Some(known) = self.known_master().filter(|known| known.named.elapsed() >= BELIEVED) else {
            return Ok(());
        };
        let asked_at = Instant::now();
        let named = self.majority(sentinels, name, asked_at + self.timeout).await;
        let same = named.as_ref().is_ok_and(|place| *place == known.place);
        {
            let mut master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(now) = master.as_mut().filter(|now| now.place == known.place) {
                now.named = asked_at;
                if !same {
                    *master = None;
                }
            }
        }
        if !same {
            self.server(&known.place).forget();
        }
        named.map(drop).map_err(|failure| Trouble::default().told(failure, self.timeout))
    }

    pub(super) fn known_master(&self) -> Option<Master> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_master(&self, master: Option<Master>) {
        *self.master.lock().unwrap_or_else(PoisonError::into_inner) = master;
    }

    /// How long sentinels and nodes may think about who is where.
    pub(super) fn patience(&self) -> Duration {
        (self.timeout / 2).min(Duration::from_secs(1))
    }

    /// Whom more than half of the sentinels name. All are asked at once, and nobody waits for the others.
    async fn majority(&self, sentinels: &[Place], name: &str, deadline: Instant) -> Result<Place, Failure> {
        let until = deadline.min(Instant::now() + self.patience());
        let mut asked = JoinSet::new();
        for sentinel in sentinels {
            let (server, entry, name) = (self.server(sentinel), self.entry.clone(), name.to_owned());
            let ask =
                async move { (server.place.clone(), ask_sentinel(&server, &entry, &name, until).await) };
            asked.spawn_on(ask, &self.entry.home);
        }
        let needed = sentinels.len() / 2 + 1;
        let mut votes: Vec<(Place, usize)> = Vec::new();
        let (mut refused, mut why) = (0, None);
        while let Some(answer) = asked.join_next().await {
            let Ok((sentinel, answer)) = answer else { continue };
            let complaint = match answer {
                Ok(Some(place)) => {
                    let (before, others): (Vec<_>, Vec<_>) =
                        votes.into_iter().partition(|(named, _)| *named == place);
                    let count = 1 + before.iter().map(|(_, count)| count).sum::<usize>();
                    if count >= needed {
                        return Ok(place);
                    }
                    votes = others;
                    votes.push((place, count));
                    continue;
                }
                Ok(None) => format!("the sentinel at {sentinel} knows no master called {name:?}"),
                // Our time is up, not its.
                Err(Failure::Late) if until == deadline => return Err(Failure::Late),
                Err(Failure::Late) => format!("the sentinel at {sentinel} does not answer"),
                Err(Failure::Broken(error)) => format!("the sentinel at {error}"),
                Err(Failure::Refused(error)) => {
                    let error = format!("the sentinel at {error}");
                    refused += 1;
                    // The others cannot be a majority any more.
                    if refused + needed > sentinels.len() {
                        return Err(Failure::Refused(error));
                    }
                    error
                }
            };
            why = Some(complaint);
        }
        let named: Vec<String> = votes.iter().map(|(place, count)| format!("{count} name {place}")).collect();
        let mut said = format!("no majority of the {} sentinels names a master", sentinels.len());
        for more in [(!named.is_empty()).then(|| named.join(", ")), why].into_iter().flatten() {
            said = format!("{said}; {more}");
        }
        Err(Failure::Broken(said))
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
            // Who may not ask believes the sentinels; a replica refuses writes.
            _ => Ok(true),
        }
    }
}

/// Whom a sentinel names. Sentinels have no databases, and often no password: it is said only where it is asked for.
async fn ask_sentinel(
    server: &Shared,
    entry: &Entry,
    name: &str,
    until: Instant,
) -> Result<Option<Place>, Failure> {
    let mut question = Pipeline::new();
    question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let mut entry = Entry { database: 0, ..entry.clone() };
    let password = entry.password.take();
    let (mut values, _) = server.send(&entry, Lane::Swift, &question, until, None).await?;
    let mut refused = refusal(&values);
    if refused.is_some() && password.is_some() {
        // The next connection is one that has said it, and it stays.
        server.forget();
        entry.password = password;
        (values, _) = server.send(&entry, Lane::Swift, &question, until, None).await?;
        refused = refusal(&values);
    }
    if let Some(error) = refused {
        return Err(Failure::Refused(format!("{}: {error}", server.place)));
    }
    let parts = values.into_iter().next().map(values::list).and_then(Result::ok).unwrap_or_default();
    let mut texts = parts.into_iter().map(values::text).filter_map(Result::ok);
    let (Some(host), Some(port)) = (texts.next(), texts.next()) else { return Ok(None) };
    Ok(port.parse().ok().map(|port| Place::Tcp(host, port)))
}

fn refusal(values: &[Value]) -> Option<String> {
    values.iter().find_map(|value| match value {
        Value::ServerError(error) => Some(values::said(error)),
        _ => None,
    })
}
