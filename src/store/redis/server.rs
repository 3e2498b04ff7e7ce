//! One server: three connections to it that are opened when they are needed and opened anew when they break. Never waits
//! beyond the moment that it is given, and never lets one broken connection spoil another's work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, Pipeline, ProtocolVersion,
    RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use tokio::runtime::Handle;
use tokio::time::timeout_at;

use super::address::Place;
use super::trouble::Failure;
use crate::secret::Secret;

/// How one comes in; the same at every server.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) user: String,
    pub(super) password: Option<Secret<String>>,
    pub(super) tls: bool,
    /// PEM of the authority to believe; `None`: the machine's.
    pub(super) ca: Option<Vec<u8>>,
    pub(super) database: i64,
    /// Connections live in this runtime, whoever uses them.
    pub(super) home: Handle,
}

/// Which of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Nothing on it ever waits for replicas.
    Swift,
    /// What replicas must have first: who comes in, what ends.
    Sure,
    /// What replicas must have first of letters, which anybody may ask for: `WAIT` holds up all that comes after it on
    /// its connection, and what ends something must not stand behind strangers.
    Letters,
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) place: Place,
    swift: Cable,
    sure: Cable,
    letters: Cable,
    /// When it had replicas last.
    replicas: Mutex<Option<Instant>>,
    /// When it said something last on the swift lane, where nothing waits for anybody else.
    heard: Mutex<Option<Instant>>,
}

/// Replicas that were there so recently may have been cut off, not taken away: who is on this side of the cut must not
/// go on without them.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Replicas that were heard of so recently are there still, as a rule.
const FRESH: Duration = Duration::from_secs(1);

impl Server {
    pub(super) fn new(place: Place) -> Self {
        let (swift, sure, letters) = (Cable::default(), Cable::default(), Cable::default());
        Self { place, swift, sure, letters, replicas: Mutex::default(), heard: Mutex::default() }
    }

    /// Sends `pipeline` and waits for its answers, errors of single commands among them. The connection must still be the
    /// one named by `only`, where one is named; says which it was.
    pub(super) async fn send(
        &self,
        entry: &Entry,
        lane: Lane,
        pipeline: &Pipeline,
        deadline: Instant,
        only: Option<u64>,
    ) -> Result<(Vec<Value>, u64), Failure> {
        let cable = match lane {
            Lane::Swift => &self.swift,
            Lane::Sure => &self.sure,
            Lane::Letters => &self.letters,
        };
        let (mut connection, number) = cable.connection(&self.place, entry, deadline).await?;
        if only.is_some_and(|only| only != number) {
            return Err(Failure::Broken(format!("{}: the connection broke", self.place)));
        }
        let answer =
            timeout_at(deadline.into(), connection.send_packed_commands(pipeline, 0, pipeline.len())).await;
        match answer {
            Ok(Ok(values)) => {
                if lane == Lane::Swift {
                    *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                }
                Ok((values, number))
            }
            Ok(Err(error)) => {
                cable.cut(number);
                Err(Failure::broken(&self.place, &error))
            }
            Err(_) => {
                cable.cut(number);
                Err(Failure::Late)
            }
        }
    }

    /// Whether there are replicas that must confirm. Where there were none it is looked each time: one that has just come
    /// may be the next master.
    pub(super) fn has_replicas(&self) -> bool {
        self.saw_replicas_within(REMEMBERED)
    }

    /// Whether it need not be looked again whether they are there.
    pub(super) fn has_just_heard_replicas(&self) -> bool {
        self.saw_replicas_within(FRESH)
    }

    fn saw_replicas_within(&self, span: Duration) -> bool {
        let seen = *self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_some_and(|at| at.elapsed() < span)
    }

    pub(super) fn saw_replicas(&self) {
        *self.replicas.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it has said something on the swift lane lately.
    pub(super) fn was_heard_within(&self, span: Duration) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|at| at.elapsed() < span)
    }

    /// Opens its connections anew when they are needed next.
    pub(super) fn forget(&self) {
        for cable in [&self.swift, &self.sure, &self.letters] {
            cable.cut_any();
        }
    }
}

/// A connection, or none at the moment.
#[derive(Default)]
struct Cable {
    held: Mutex<Held>,
    /// One opens, the others wait for it.
    opening: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Cable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cable")
    }
}

#[derive(Default)]
struct Held {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl Cable {
    async fn connection(
        &self,
        place: &Place,
        entry: &Entry,
        deadline: Instant,
    ) -> Result<(MultiplexedConnection, u64), Failure> {
        if let Some(held) = self.held() {
            return Ok(held);
        }
        let Ok(_turn) = timeout_at(deadline.into(), self.opening.lock()).await else {
            return Err(Failure::Late);
        };
        if let Some(held) = self.held() {
            return Ok(held);
        }
        let connection = connect(place, entry, deadline).await?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.number += 1;
        held.connection = Some(connection.clone());
        Ok((connection, held.number))
    }

    fn held(&self) -> Option<(MultiplexedConnection, u64)> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.connection.clone().map(|connection| (connection, held.number))
    }

    /// Gives up a connection that failed, unless somebody has opened the next one already.
    fn cut(&self, number: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.number == number {
            held.connection = None;
        }
    }

    fn cut_any(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).connection = None;
    }
}

/// Opens a connection; it lives at home, so that it outlives whoever needed it first.
pub(super) async fn connect(
    place: &Place,
    entry: &Entry,
    deadline: Instant,
) -> Result<MultiplexedConnection, Failure> {
    let client = client(place, entry).map_err(|error| Failure::closed(place, &error))?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(deadline.saturating_duration_since(Instant::now())))
        .set_response_timeout(None);
    let opening =
        entry.home.spawn(async move { client.get_multiplexed_async_connection_with_config(&config).await });
    match timeout_at(deadline.into(), opening).await {
        Ok(Ok(Ok(connection))) => Ok(connection),
        Ok(Ok(Err(error))) => Err(Failure::closed(place, &error)),
        Ok(Err(_)) => Err(Failure::Broken("linkgate is shutting down".to_owned())),
        Err(_) => Err(Failure::Late),
    }
}

pub(super) fn client(place: &Place, entry: &Entry) -> Result<Client, RedisError> {
    let address = match place {
        Place::Unix(path) => ConnectionAddr::Unix(path.clone()),
        Place::Tcp(host, port) if entry.tls => {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
        }
        Place::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
    };
    let mut login = RedisConnectionInfo::default()
        .set_db(entry.database)
        .set_protocol(ProtocolVersion::RESP2)
        // A server that is older, or a user that may do little, would refuse it.
        .set_skip_set_lib_name();
    if let Some(password) = &entry.password {
        login = login.set_password(password.expose());
        if !entry.user.is_empty() {
            login = login.set_username(&entry.user);
        }
    }
    let info = address
        .into_connection_info()?
        .set_redis_settings(login)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true));
    if entry.tls {
        return Client::build_with_tls(
            info,
            TlsCertificates { client_tls: None, root_cert: entry.ca.clone() },
        );
    }
    Client::open(info)
}

/// An owned share, for tasks of their own.
pub(super) type Shared = Arc<Server>;
