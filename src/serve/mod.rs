//! CONNECTION: sockets, TLS, limits, time-outs, swap and drain. One worker a core, each with a runtime of its own.
//!
//! Knows bytes and connections; never who somebody is or what they may do: that is the gate's answer alone.

mod announce;
mod chunks;
mod connection;
mod desk;
mod drain;
mod error;
mod framing;
mod gate;
mod guard;
mod http1;
mod http2;
mod leftovers;
mod limits;
mod line;
mod listen;
mod monitor;
mod notify;
mod redirect;
mod reply;
mod sniff;
mod socket;
mod stamps;
mod stream;
mod sweep;
mod takers;
#[cfg(test)]
mod tests;
mod tls;
mod worker;

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::gate::Trust;

pub use connection::{Connection, Peer};
pub use error::ServeError;
pub use limits::{Counters, Limits};
pub use line::Line;
pub use listen::{Inherited, Listen};
pub use monitor::{Check, Health, Readiness};
pub use notify::{Notifier, watchdog};
pub use tls::{Tls, TlsError};

use limits::Shared;
use worker::Command;

/// What a body may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a worker has to take over a new configuration before the swap counts as failed.
const SWAP_PATIENCE: Duration = Duration::from_secs(10);

/// What the server hands requests to: the gate.
pub trait Handle: Send + Sync + 'static {
    /// What each worker keeps for itself; made on the worker's thread, never leaves it.
    type Worker: 'static;
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static;

    /// Makes one worker's own part; at a swap it takes over from `previous` what outlives a configuration.
    fn worker(self: &Arc<Self>, previous: Option<&Self::Worker>) -> Self::Worker;

    /// A stop begins: what would never end by itself is told to.
    fn leave(_worker: &Self::Worker) {}

    /// Whether `host` (lower case, no port, no final dot) is one of ours.
    fn knows_host(&self, host: &str) -> bool;

    /// Answers one request. Never fails: every error is an answer.
    fn handle(
        self: Arc<Self>,
        worker: Rc<Self::Worker>,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>>;
}

/// Everything the server needs to know to start.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen; at least one.
    pub listen: Vec<Listen>,
    /// Certificates; `None` is an error where an https listener is configured.
    pub tls: Option<Tls>,
    /// Worker threads; 0 means one a core.
    pub workers: usize,
    /// Sizes, counts and time-outs.
    pub limits: Limits,
    /// How long running requests may take to finish at a stop.
    pub drain: Duration,
    /// Where health and readiness are answered; `None`: nowhere.
    pub monitor: Option<SocketAddr>,
    /// Sockets handed over by systemd; empty when there are none.
    pub inherited: Inherited,
    /// Peers that must open with a PROXY header, before TLS too; nobody else may. The default is nobody.
    pub proxy_protocol: Trust,
    /// Where "now" comes from, for the dates of certificates.
    pub clock: Clock,
}

/// The running server. Dropping it does not stop it in an orderly way; [`Server::drain`] does.
pub struct Server<H> {
    workers: Vec<mpsc::UnboundedSender<Command<H>>>,
    ended: Mutex<Vec<oneshot::Receiver<()>>>,
    addresses: Vec<SocketAddr>,
    monitor: Option<monitor::Monitor>,
    shared: Arc<Shared>,
    sockets: listen::Files,
    tls: Option<tls::Keeper>,
    drain: Duration,
    clock: Clock,
}

impl<H: Handle> Server<H> {
    /// Binds every socket, loads the certificates, starts the workers; returns when all of them accept.
    ///
    /// # Errors
    ///
    /// Names the address or file at fault and the cure; nothing is left running.
    #[expect(clippy::needless_pass_by_value, reason = "the caller hands the gate over, as to `swap`")]
    pub fn start(settings: Settings, gate: Arc<H>, health: Health) -> Result<Self, ServeError> {
        let count = worker_count(settings.workers);
        let needs_tls = settings.listen.iter().any(Listen::is_secure);
        let tls = match &settings.tls {
            Some(tls) => Some(tls::Keeper::load(tls, settings.clock.now()).map_err(ServeError::Tls)?),
            None if needs_tls => return Err(ServeError::NoCertificate),
            None => None,
        };
        let bound = listen::bind(&settings.listen, &settings.inherited, count)?;
        let shared = Arc::new(Shared::new(settings.limits, settings.proxy_protocol));
        let monitor = settings.monitor.map(|address| monitor::bind(address, &shared, health)).transpose()?;
        let mut server = Self {
            workers: Vec::with_capacity(count),
            ended: Mutex::default(),
            addresses: bound.addresses,
            monitor: None,
            shared,
            sockets: bound.files,
            tls,
            drain: settings.drain,
            clock: settings.clock,
        };
        for (number, doors) in bound.doors.into_iter().enumerate() {
            server.add_worker(number, doors, &gate)?;
        }
        server.monitor = monitor.map(monitor::Bound::start).transpose()?;
        Ok(server)
    }

    fn add_worker(
        &mut self,
        number: usize,
        doors: Vec<listen::Door>,
        gate: &Arc<H>,
    ) -> Result<(), ServeError> {
        let config = self.tls.as_ref().map(tls::Keeper::config);
        let start =
            worker::Start { number, doors, gate: Arc::clone(gate), config, shared: Arc::clone(&self.shared) };
        let (commands, ended) = worker::spawn(start).map_err(ServeError::Worker)?;
        self.workers.push(commands);
        self.ended.get_mut().unwrap_or_else(PoisonError::into_inner).push(ended);
        Ok(())
    }

    /// The TCP addresses listened on, in the order of the settings (a port 0 is filled in).
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// The address of the monitor, where there is one.
    #[must_use]
    pub fn monitor_addr(&self) -> Option<SocketAddr> {
        self.monitor.as_ref().map(monitor::Monitor::address)
    }

    /// What happened on all connections so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Puts a new gate, and new certificates if given, in place of the old; no connection is dropped.
    /// Returns when every worker has taken them over.
    ///
    /// # Errors
    ///
    /// When the certificates cannot be used (nothing has changed then), or a worker does not answer.
    pub async fn swap(&self, gate: Arc<H>, tls: Option<Tls>) -> Result<(), ServeError> {
        let config = match (&tls, &self.tls) {
            (None, _) => None,
            (Some(tls), Some(keeper)) => Some(keeper.reload(tls, self.clock.now()).map_err(ServeError::Tls)?),
            (Some(_), None) => return Err(ServeError::NoTlsListener),
        };
        let all = self.ask(|done| Command::Swap { gate: Arc::clone(&gate), config: config.clone(), done });
        if all_answer(all, SWAP_PATIENCE).await { Ok(()) } else { Err(ServeError::Stuck) }
    }

    /// Whether every worker answers within `patience`: the heartbeat behind the watchdog.
    pub async fn alive(&self, patience: Duration) -> bool {
        all_answer(self.ask(Command::Beat), patience).await
    }

    fn ask(&self, command: impl Fn(oneshot::Sender<()>) -> Command<H>) -> Vec<oneshot::Receiver<()>> {
        self.workers
            .iter()
            .map(|worker| {
                let (done, answer) = oneshot::channel();
                // A worker that is gone drops the sender, which the receiver sees.
                let _ = worker.send(command(done));
                answer
            })
            .collect()
    }

    /// Stops accepting, lets running requests finish (at most the configured drain), closes what is idle
    /// at once. Returns how many connections had to be cut at the end of the time.
    pub async fn drain(&self) -> usize {
        self.shared.start_draining();
        let within = self.drain;
        let reports: Vec<_> = self
            .workers
            .iter()
            .map(|worker| {
                let (done, report) = oneshot::channel();
                let _ = worker.send(Command::Drain { within, done });
                report
            })
            .collect();
        let mut cut = 0;
        for report in reports {
            cut += report.await.unwrap_or(0);
        }
        let ended = std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in ended {
            // The error is the normal case: the thread drops its end when its runtime is gone.
            let _ = thread.await;
        }
        self.sockets.remove();
        cut
    }
}

async fn all_answer(answers: Vec<oneshot::Receiver<()>>, patience: Duration) -> bool {
    let all = async {
        for answer in answers {
            if answer.await.is_err() {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(patience, all).await.unwrap_or(false)
}

/// How many workers there are where so many are asked for; 0: as many as there are cores.
#[must_use]
pub fn worker_count(asked: usize) -> usize {
    if asked > 0 {
        return asked;
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
