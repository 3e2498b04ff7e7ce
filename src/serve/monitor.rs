//! Health and readiness on a listener of their own, never on a public one, never chosen by a header.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Semaphore, oneshot};

use super::error::ServeError;
use super::guard::Caught;
use super::limits::Shared;
use super::listen;

/// Connections at a time: a few watchers, not the public.
const CONNECTIONS: usize = 64;

/// One asks, gets an answer, leaves.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Says whether the program's parts are ready. Called for every request to `/readyz`; must not block.
pub type Health = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// What `/readyz` shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Readiness {
    /// Whether visitors can be served at all: 503 where not. A part that is not well need not keep anybody from serving.
    pub ready: bool,
    /// One part each.
    pub checks: Vec<Check>,
}

/// One part that is well or not.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The part, e.g. `store`.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What is wrong, without secrets; empty when it is well.
    pub detail: String,
}

#[derive(Serialize)]
struct Report {
    ready: bool,
    draining: bool,
    checks: Vec<Check>,
}

/// A monitor that has its address but does not answer yet.
pub(super) struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    health: Health,
}

/// The running monitor; ends when dropped.
pub(super) struct Monitor {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Monitor {
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

pub(super) fn bind(address: SocketAddr, shared: &Arc<Shared>, health: Health) -> Result<Bound, ServeError> {
    let open = || -> io::Result<Bound> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Bound { socket, address, shared: Arc::clone(shared), health })
    };
    open().map_err(|error| listen::failed(format!("the monitor's address {address}"), error))
}

impl Bound {
    /// Answers on a thread of its own, so that a busy worker does not look like a dead program.
    pub fn start(self) -> Result<Monitor, ServeError> {
        let (stop, stopped) = oneshot::channel::<()>();
        let address = self.address;
        let runtime = move || Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let run = move || match runtime() {
            Ok(runtime) => runtime.block_on(async move {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(self) => {}
                }
            }),
            Err(error) => tracing::error!(%error, "the monitor cannot run"),
        };
        std::thread::Builder::new().name("monitor".to_owned()).spawn(run).map_err(ServeError::Worker)?;
        Ok(Monitor { address, _stop: stop })
    }
}

async fn accept(bound: Bound) {
    let Bound { socket, shared, health, .. } = bound;
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "the monitor cannot listen"),
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (shared, health) = (Arc::clone(&shared), Arc::clone(&health));
        drop(tokio::task::spawn_local(async move {
            let _place = place;
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(&request, &shared, &health);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(TIMEOUT).keep_alive(false).half_close(false);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            // A watcher that leaves early or dawdles is nobody's concern.
            let _ = Caught::new(tokio::time::timeout(2 * TIMEOUT, connection), &shared).await;
        }));
    }
}

fn answer(request: &Request<Incoming>, shared: &Shared, health: &Health) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if path != "/healthz" && path != "/readyz" {
        return text(StatusCode::NOT_FOUND, "There is only /healthz and /readyz.\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if path == "/healthz" {
        return text(StatusCode::OK, "ok\n");
    }
    let draining = shared.is_draining();
    let Readiness { ready, checks } = health();
    let ready = ready && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_vec(&Report { ready, draining, checks }) {
        Ok(json) => respond(status, "application/json", json.into()),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "The report cannot be written.\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
