//! One thread with its own runtime: accepts, serves, swaps and drains. A request never leaves it.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot, watch};

use super::Handle;
use super::connection;
use super::connection::{Arrived, Peer};
use super::drain;
use super::guard::Caught;
use super::limits::Live;
use super::limits::Shared;
use super::listen::Accepts;
use super::listen::Door;
use super::socket::Socket;
use super::stamps::Tick;
use super::sweep;
use super::sweep::Register;
use super::takers::Takers;

/// How long to wait when the machine has no descriptors or memory left for another connection.
const BREATHER: Duration = Duration::from_millis(100);

/// What a worker is told; each is answered.
pub(super) enum Command<H> {
    Swap { gate: Arc<H>, config: Option<Arc<ServerConfig>>, done: oneshot::Sender<()> },
    Beat(oneshot::Sender<()>),
    Drain { within: Duration, done: oneshot::Sender<usize> },
}

/// What a worker starts with.
pub(super) struct Start<H> {
    pub number: usize,
    pub doors: Vec<Door>,
    pub gate: Arc<H>,
    pub config: Option<Arc<ServerConfig>>,
    pub shared: Arc<Shared>,
}

/// What all tasks of one worker share.
pub(super) struct Core<H: Handle> {
    pub tls: RefCell<Option<Arc<ServerConfig>>>,
    pub shared: Arc<Shared>,
    pub register: Register,
    pub takers: Rc<Takers>,
    pub tick: Tick,
    pub live: Arc<Live>,
    current: RefCell<(Arc<H>, Rc<H::Worker>)>,
}

impl<H: Handle> Core<H> {
    /// The gate for the next request, and this worker's part of it.
    pub fn current(&self) -> (Arc<H>, Rc<H::Worker>) {
        self.current.borrow().clone()
    }

    fn swap(&self, gate: Arc<H>, config: Option<Arc<ServerConfig>>) {
        let worker = Rc::new(gate.worker(Some(&self.current.borrow().1)));
        *self.current.borrow_mut() = (gate, worker);
        if config.is_some() {
            *self.tls.borrow_mut() = config;
        }
    }
}

type Commands<H> = mpsc::UnboundedSender<Command<H>>;

/// Starts a worker; returns when it accepts. The receiver ends when the thread's runtime is gone.
pub(super) fn spawn<H: Handle>(start: Start<H>) -> io::Result<(Commands<H>, oneshot::Receiver<()>)> {
    let (commands, orders) = mpsc::unbounded_channel();
    let (alive, ended) = oneshot::channel();
    let (started, ready) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new().name(format!("worker-{}", start.number)).spawn(move || {
        let _alive = alive;
        match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime.block_on(run(start, orders, &started)),
            Err(error) => {
                // Only the starter listens, and it waits.
                let _ = started.send(Err(error));
            }
        }
    })?;
    ready.recv().map_err(|_| io::Error::other("the worker ended at once"))??;
    Ok((commands, ended))
}

async fn run<H: Handle>(
    start: Start<H>,
    mut orders: mpsc::UnboundedReceiver<Command<H>>,
    started: &std::sync::mpsc::SyncSender<io::Result<()>>,
) {
    let worker = Rc::new(start.gate.worker(None));
    let core = Rc::new(Core {
        tls: RefCell::new(start.config),
        shared: start.shared,
        register: Register::default(),
        takers: Rc::default(),
        tick: Tick::new(),
        live: Arc::default(),
        current: RefCell::new((start.gate, worker)),
    });
    let (stop, stopped) = watch::channel(false);
    let doors = start.doors.into_iter().map(|door| open(door, Rc::clone(&core), stopped.clone()));
    let doors: io::Result<Vec<_>> = doors.collect();
    let doors = match doors {
        Ok(doors) => doors,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    drop(tokio::task::spawn_local(sweep::run(
        core.register.clone(),
        Rc::clone(&core.takers),
        core.tick.clone(),
        Arc::clone(&core.shared),
    )));
    let _ = started.send(Ok(()));
    while let Some(order) = orders.recv().await {
        match order {
            Command::Swap { gate, config, done } => {
                core.swap(gate, config);
                let _ = done.send(());
            }
            Command::Beat(done) => {
                let _ = done.send(());
            }
            Command::Drain { within, done } => {
                let _ = stop.send(true);
                let left = drain::run(doors, &core, &mut orders, within).await;
                let _ = done.send(left);
                return;
            }
        }
    }
}

/// Registers a listener with this worker's runtime and begins to accept.
fn open<H: Handle>(
    door: Door,
    core: Rc<Core<H>>,
    stopped: watch::Receiver<bool>,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let about = About {
        secure: door.secure,
        port: door.port,
        https_port: door.https_port,
        inherited: door.inherited,
    };
    Ok(match door.socket {
        Accepts::Tcp(socket) => {
            let socket = TcpListener::from_std(socket)?;
            tokio::task::spawn_local(async move { accept(Listener::Tcp(socket), about, core, stopped).await })
        }
        Accepts::Unix(socket) => {
            let socket = UnixListener::from_std(socket)?;
            tokio::task::spawn_local(
                async move { accept(Listener::Unix(socket), about, core, stopped).await },
            )
        }
    })
}

#[derive(Clone, Copy)]
struct About {
    secure: bool,
    port: u16,
    https_port: Option<u16>,
    inherited: bool,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                // Answers are written whole; waiting for more would only delay them.
                socket.set_nodelay(true)?;
                Ok((Socket::Tcp(socket), Some(peer)))
            }
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                Ok((Socket::Unix(socket), None))
            }
        }
    }
}

async fn accept<H: Handle>(
    listener: Listener,
    about: About,
    core: Rc<Core<H>>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            biased;
            _ = stopped.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => take_in(socket, peer, about, &core),
                Err(error) => bear(&error).await,
            },
        }
    }
    if about.inherited {
        // Whoever waits in systemd's socket is served by our successor.
        return;
    }
    // Whoever waits in our own would be turned away when it closes: take them in, they are served yet.
    while let Some(Ok((socket, peer))) = drain::at_once(listener.accept()).await {
        take_in(socket, peer, about, &core);
    }
}

/// A visitor who left before being accepted is nothing; anything else is the machine's distress.
async fn bear(error: &io::Error) {
    let gone =
        [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::InvalidInput];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "a connection cannot be accepted; check LimitNOFILE and memory");
        tokio::time::sleep(BREATHER).await;
    }
}

fn take_in<H: Handle>(socket: Socket, peer: Option<SocketAddr>, about: About, core: &Rc<Core<H>>) {
    let peer = peer.map_or(Peer::Unix, Peer::Ip);
    let announces = core.shared.announces(peer);
    let Some(permit) = core.shared.admit(peer, &core.live) else {
        tracing::debug!("a connection is refused: too many are open");
        return;
    };
    let About { secure, port, https_port, .. } = about;
    let arrived = Arrived { socket, peer, local_port: port, secure, announces, https_port, permit };
    let serve = connection::serve(Rc::clone(core), arrived);
    drop(tokio::task::spawn_local(Caught::new(serve, &core.shared)));
}
