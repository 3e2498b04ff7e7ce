//! Where one connection's requests are looked at and handed on: refused for their framing, sent to https, or the gate's.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use http::Method;
use http::StatusCode;
use http::Version;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::Connection;
use super::Handle;
use super::framing;
use super::limits::count;
use super::redirect;
use super::reply;
use super::reply::Reply;
use super::stamps::Stamps;
use super::takers::Taker;
use super::worker::Core;

/// Where one connection's requests are looked at and handed on.
pub(super) struct Desk<H: Handle> {
    core: Rc<Core<H>>,
    about: Connection,
    https_port: Option<u16>,
    stamps: Arc<Stamps>,
    requests: Cell<u64>,
}

impl<H: Handle> Desk<H> {
    pub fn new(core: &Rc<Core<H>>, about: Connection, https_port: Option<u16>, stamps: &Arc<Stamps>) -> Self {
        Self { core: Rc::clone(core), about, https_port, stamps: Arc::clone(stamps), requests: Cell::new(0) }
    }

    pub fn core(&self) -> &Rc<Core<H>> {
        &self.core
    }

    pub fn stamps(&self) -> &Arc<Stamps> {
        &self.stamps
    }

    /// Answers a request; `taker` is told how an HTTP/2 answer is taken.
    pub async fn answer(
        &self,
        mut request: Request<Incoming>,
        taker: Option<Rc<Taker>>,
    ) -> Response<Reply<H::Body>> {
        let running = self.stamps.run();
        let mut about = None;
        if let Some(taker) = &taker {
            let about = about.insert(self.about.clone());
            about.line.taker = Some(Rc::clone(taker));
        }
        let how = taker.map(|taker| (taker, self.core.tick.clone()));
        if let Some(fault) = self.fault(&request) {
            count(&self.core.shared.counters.bad_requests);
            return reply::own(fault.answer(request.version() == Version::HTTP_2), running, how);
        }
        let (gate, worker) = self.core.current();
        if let Some(port) = self.https_port {
            let answer =
                redirect::answer(request.uri(), request.headers(), port, |host| gate.knows_host(host));
            return reply::own(answer, running, how);
        }
        if request.method() == Method::CONNECT {
            // The stream of a tunnel lives on without an answer's body: for as long, the connection is in use.
            request.extensions_mut().insert(Arc::new(self.stamps.run()));
        }
        let about = about.as_ref().unwrap_or(&self.about);
        let answer = gate.handle(worker, about, request).await;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.stamps.switch();
        }
        reply::from_gate(answer, running, how)
    }

    fn fault(&self, request: &Request<Incoming>) -> Option<framing::Fault> {
        // Requests of an HTTP/1 connection arrive here one after the other, in the order of the bytes.
        let number = self.requests.get() + 1;
        self.requests.set(number);
        let first_bad = self.stamps.first_bad();
        if first_bad != 0 && number >= first_bad {
            return Some(framing::Fault::Head);
        }
        if request.headers().len() > self.core.shared.limits.max_headers {
            return Some(framing::Fault::Lines);
        }
        if framing::is_tunnel(request) {
            return framing::check(&Method::GET, request.uri(), request.version(), request.headers()).err();
        }
        framing::check(request.method(), request.uri(), request.version(), request.headers()).err()
    }
}
