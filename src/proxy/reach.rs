//! How a worker comes by a connection to one endpoint: an idle one, a place on a shared one, else a new one. Of those
//! that all wait for the same HTTP/2 connection, one opens it.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use tokio::time::timeout;

use super::ForwardError;
use super::balance::Backend;
use super::connect::Version;
use super::h2::Lane;
use super::h2::Shared;
use super::link::Held;
use super::upstream::Live;
use crate::policy::Protocol;

/// HTTP/2 connections of one endpoint, and what is known of its preference.
#[derive(Default)]
pub(super) struct Lanes {
    shared: RefCell<Vec<Rc<Shared>>>,
    opening: RefCell<Option<Rc<Opening>>>,
    /// What it chose last; `None`: not known.
    spoken: Cell<Option<Version>>,
}

impl Lanes {
    /// Closes what is not to be kept. Returns whether anything is left.
    pub(super) fn tidy(&self, max_age: Duration) -> bool {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|shared| shared.is_good(max_age));
        !shared.is_empty()
    }

    fn lane(&self, upload: bool) -> Option<Lane> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|shared| shared.is_open());
        shared.iter().find(|shared| shared.has_room(upload)).map(Lane::new)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shared.borrow().len()
    }
}

impl Backend {
    /// A connection, and whether it was used before. `fresh`: no idle HTTP/1 connection, for one has just turned out to
    /// be closed. `upload`: the request has a body.
    pub(super) async fn reach(
        self: &Rc<Self>,
        fresh: bool,
        upload: bool,
        limit: Duration,
    ) -> Result<(Held, bool), ForwardError> {
        if !fresh && let Some(live) = self.take() {
            return Ok((Held::Http1(live), true));
        }
        loop {
            if self.speaks_http1() {
                let opening = timeout(limit, self.open());
                return opening.await.map_err(|_| ForwardError::ConnectTimeout)?.map(|held| (held, false));
            }
            if let Some(lane) = self.lanes.lane(upload) {
                return Ok((Held::Http2(lane), true));
            }
            let opening = self.lanes.opening.borrow().clone();
            let Some(opening) = opening else { break };
            if let Some(error) = opening.wait().await {
                return Err(error);
            }
        }
        // Whoever comes meanwhile waits for this one; should the visitor leave, the next of them begins anew.
        let opening = Rc::new(Opening::default());
        *self.lanes.opening.borrow_mut() = Some(Rc::clone(&opening));
        let guard = Leading { backend: self, opening: &opening };
        let outcome = timeout(limit, self.open()).await.unwrap_or(Err(ForwardError::ConnectTimeout));
        if let Err(error) = &outcome {
            opening.error.replace(Some(error.copy()));
        }
        drop(guard);
        outcome.map(|held| (held, false))
    }

    /// Opens a connection of whichever kind it turns out to be.
    async fn open(self: &Rc<Self>) -> Result<Held, ForwardError> {
        let (socket, version) = self.line.connect_at_leisure(false).await?;
        self.lanes.spoken.set(Some(version));
        match version {
            Version::Http1 => Ok(Held::Http1(Live::begin(socket).await?)),
            Version::Http2 => {
                let shared = Shared::begin(socket, &self.line.endpoint).await?;
                let lane = Lane::new(&shared);
                self.lanes.shared.borrow_mut().push(shared);
                self.look_after();
                Ok(Held::Http2(lane))
            }
        }
    }

    /// Whether every request needs a connection of its own, as far as is known.
    fn speaks_http1(&self) -> bool {
        match self.line.endpoint.protocol {
            Protocol::Http => true,
            Protocol::H2c => false,
            Protocol::Https => self.lanes.spoken.get() == Some(Version::Http1),
        }
    }
}

/// A connection that somebody opens, and others wait for.
#[derive(Default)]
struct Opening {
    over: Cell<bool>,
    /// Why it failed; `None`: it did not, or whoever opened it left.
    error: RefCell<Option<ForwardError>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Opening {
    async fn wait(&self) -> Option<ForwardError> {
        poll_fn(|cx| {
            if self.over.get() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
        self.error.borrow().as_ref().map(ForwardError::copy)
    }
}

/// Whoever opens it: at the end, however it comes, all others go on.
struct Leading<'a> {
    backend: &'a Rc<Backend>,
    opening: &'a Rc<Opening>,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.opening.over.set(true);
        self.backend.lanes.opening.take();
        for waker in self.opening.waiting.take() {
            waker.wake();
        }
    }
}
