//! From a request to the headers of its answer: which endpoint, which connection, and what may be tried again. Never
//! sends twice what may have been heard once, but where asking again cannot hurt (RFC 9110 §9.2.2).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::Response;
use hyper::body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio::time::sleep;

use super::ForwardError;
use super::Proxy;
use super::balance::Backend;
use super::balance::Busy;
use super::balance::Group;
use super::link::Fresh;
use super::link::Link;
use super::link::set_host;
use super::upload::Flow;
use super::upload::Upload;
use super::upstream::Live;
use crate::policy::Route;
use crate::policy::RouteLimits;
use crate::policy::Upstream;

/// The first pause while an app refuses connections.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl Proxy {
    /// Asks on an idle connection, else on a new one.
    pub(super) async fn exchange(
        &self,
        upstream: &Arc<Upstream>,
        request: Request<Upload>,
        flow: Option<&Flow>,
        route: &Route,
    ) -> Result<(Link, Response<Incoming>), ForwardError> {
        let group = self.group(upstream)?;
        let mut request = request;
        let mut round = Round::new(group);
        let Some(backend) = group.choose(&[], &self.dice) else { return Err(unlisted()) };
        // The usual case first: the chosen endpoint has an idle connection, and it answers.
        if let Some(mut live) = backend.take() {
            let busy = Busy::new(Rc::clone(backend));
            set_host(&mut request, &route.handling.host, &backend.line);
            let spare = spare(&request);
            match live.ask(request, flow, route.limits.response_timeout).await {
                Ok(answer) => return Ok((Link::new(live, busy), answer)),
                Err(unanswered) => match unanswered.unsent.or(spare.filter(|_| unanswered.silent)) {
                    Some(again) => request = again,
                    None => return Err(blame(flow, unanswered.error)),
                },
            }
        }
        round.next = Some(Rc::clone(backend));
        Box::pin(self.on_a_new_one(round, request, flow, route)).await
    }

    async fn on_a_new_one(
        &self,
        mut round: Round<'_>,
        mut request: Request<Upload>,
        flow: Option<&Flow>,
        route: &Route,
    ) -> Result<(Link, Response<Incoming>), ForwardError> {
        let fresh = self.connect(&mut round, &route.limits).await?;
        fresh.set_host(&mut request, &route.handling.host);
        let mut fresh = fresh;
        match fresh.ask(request, flow, route.limits.response_timeout).await {
            Ok(answer) => Ok((fresh.into_link(), answer)),
            Err(unanswered) => Err(blame(flow, unanswered.error)),
        }
    }

    /// Opens a connection of its own for a request that wants to `Upgrade`: HTTP/1.1, to an endpoint chosen as for any
    /// other request, the next one where it is refused, and after a wait where the upstream says so.
    ///
    /// # Errors
    /// No endpoint takes connections, or TLS fails.
    pub(super) async fn open_http1(
        &self,
        upstream: &Arc<Upstream>,
        limits: &RouteLimits,
    ) -> Result<Fresh, ForwardError> {
        self.connect(&mut Round::new(self.group(upstream)?), limits).await
    }

    async fn connect(&self, round: &mut Round<'_>, limits: &RouteLimits) -> Result<Fresh, ForwardError> {
        loop {
            let backend = round.turn(self).await?;
            match backend.line.connect(true, limits.connect_timeout).await {
                Ok((socket, _)) => return Ok(Fresh::new(Live::begin(socket).await?, backend)),
                Err(error) => round.failed(backend, error),
            }
        }
    }

    fn group(&self, upstream: &Arc<Upstream>) -> Result<&Group, ForwardError> {
        let number = self.numbers.get(&Arc::as_ptr(upstream).addr());
        number.and_then(|number| self.groups.get(*number)).ok_or_else(unlisted)
    }
}

/// A request's way through the endpoints of its upstream: each once, and all of them again while there is time to wait
/// for an app that is being deployed.
struct Round<'a> {
    group: &'a Group,
    /// Whose turn it is; `None`: to be chosen.
    next: Option<Rc<Backend>>,
    tried: Vec<Rc<Backend>>,
    /// Why the last one failed.
    error: Option<ForwardError>,
    /// Whether all that failed refused the connection.
    refused: bool,
    /// When the waiting ends; `None`: it has not begun.
    deadline: Option<Instant>,
    pause: Duration,
}

impl<'a> Round<'a> {
    const fn new(group: &'a Group) -> Self {
        Self {
            group,
            next: None,
            tried: Vec::new(),
            error: None,
            refused: true,
            deadline: None,
            pause: FIRST_PAUSE,
        }
    }

    /// The endpoint to try now.
    async fn turn(&mut self, proxy: &Proxy) -> Result<Rc<Backend>, ForwardError> {
        if let Some(next) = self.next.take() {
            return Ok(next);
        }
        if let Some(chosen) = self.group.choose(&self.tried, &proxy.dice) {
            return Ok(Rc::clone(chosen));
        }
        let error = self.error.take().unwrap_or_else(unlisted);
        if !self.refused || self.group.wait.is_zero() {
            return Err(error);
        }
        let now = Instant::now();
        let deadline = *self.deadline.get_or_insert_with(|| now + self.group.wait);
        if now >= deadline {
            return Err(error);
        }
        sleep(self.pause.min(deadline - now)).await;
        self.pause = (self.pause * 3 / 2).min(LONGEST_PAUSE);
        self.tried.clear();
        self.group.choose(&[], &proxy.dice).map(Rc::clone).ok_or_else(unlisted)
    }

    /// Notes that no connection to this one came about; nothing was sent there.
    fn failed(&mut self, backend: Rc<Backend>, error: ForwardError) {
        self.refused &= matches!(error, ForwardError::Refused(_));
        self.error = Some(error);
        self.tried.push(backend);
    }
}

/// The visitor's body, where it failed first, is the cause of what the app did.
fn blame(flow: Option<&Flow>, error: ForwardError) -> ForwardError {
    flow.and_then(Flow::failure).unwrap_or(error)
}

fn unlisted() -> ForwardError {
    ForwardError::Broken("no endpoint is known here".to_owned())
}

/// A copy for a second try, of requests that may be repeated.
fn spare(request: &Request<Upload>) -> Option<Request<Upload>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Upload::none());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}
