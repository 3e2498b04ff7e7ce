//! Hands requests to the gate. Knows nothing of what the gate does with them.

use std::rc::Rc;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};

use super::Connection;
use super::Handle;
use super::Peer;
use crate::gate;
use crate::gate::Gate;

impl Handle for Gate {
    type Worker = gate::Worker;
    type Body = gate::Body;

    fn worker(self: &Arc<Self>, previous: Option<&gate::Worker>) -> gate::Worker {
        Gate::worker(self, previous)
    }

    fn leave(worker: &gate::Worker) {
        worker.leave();
    }

    fn knows_host(&self, host: &str) -> bool {
        self.host(host).is_some()
    }

    async fn handle(
        self: Arc<Self>,
        worker: Rc<gate::Worker>,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Response<gate::Body> {
        let peer = match connection.peer {
            Peer::Ip(address) => gate::Peer::Ip(address),
            Peer::Unix => gate::Peer::Unix,
        };
        let line = connection.line.for_gate();
        let connection =
            gate::Connection { peer, local_port: connection.local_port, secure: connection.secure };
        Gate::handle(&self, &worker, connection, line, request).await
    }
}
