//! From a request to the headers of its answer: which endpoint, which connection, and what may be tried again. Never
//! sends twice what may have been heard once, but where asking again cannot hurt (RFC 9110 §9.2.2).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::Response;
use http::header;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::ForwardError;
use super::Proxy;
use super::balance::Backend;
use super::balance::Busy;
use super::balance::Group;
use super::connect::Version;
use super::crowd::Waiter;
use super::link::Fresh;
use super::link::Held;
use super::link::Link;
use super::link::dress;
use super::link::set_host;
use super::outgoing::Original;
use super::upload::Flow;
use super::upload::Upload;
use super::upstream::Live;
use super::upstream::Unanswered;
use crate::policy::RouteLimits;
use crate::policy::Upstream;

/// The first pause while an app refuses connections.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How often a request that was not sent at all is sent anew.
const UNSENT: u32 = 3;

impl Proxy {
    /// Asks an endpoint of the upstream, by an idle connection where there is one.
    pub(super) async fn exchange(
        &self,
        original: &Original<'_>,
        request: Request<Upload>,
        flow: Option<&Rc<Flow>>,
    ) -> Result<(Link, Response<Incoming>), ForwardError> {
        let (upstream, route) = (original.permitted.upstream(), original.permitted.route());
        let group = self.group(upstream)?;
        if self.crowd.is_full() {
            return Err(ForwardError::Full);
        }
        let Some(backend) = group.choose(&[], &self.dice) else { return Err(unlisted()) };
        // Counted from here on: who comes while this one connects should go elsewhere.
        let busy = Busy::new(Rc::clone(backend));
        let mut request = request;
        let mut round = Round::new(group);
        // The usual case first: the endpoint has an idle connection, and answers.
        if let Some(live) = backend.take() {
            let mut link = Link::new(Held::Http1(live), busy);
            set_host(&mut request, &route.handling.host, &backend.line);
            match link.ask(request, flow, route.limits.response_timeout).await {
                Ok(answer) => {
                    backend.record.answered();
                    return Ok((link, answer));
                }
                Err(unanswered) => {
                    let once_more = OnceMore { proxy: self, original, flow, kept: None };
                    request = round.again(backend, true, once_more, unanswered)?;
                }
            }
        } else {
            round.next = Some(busy);
        }
        Box::pin(self.labour(round, original, request, flow)).await
    }

    /// Asks one endpoint after the other, for as long as nothing was sent, or may be sent again.
    async fn labour(
        &self,
        mut round: Round<'_>,
        original: &Original<'_>,
        mut request: Request<Upload>,
        flow: Option<&Rc<Flow>>,
    ) -> Result<(Link, Response<Incoming>), ForwardError> {
        let route = original.permitted.route();
        let (limits, wish) = (&route.limits, &route.handling.host);
        let visitor = request.headers().get(header::HOST).cloned();
        loop {
            let busy = round.turn(self).await?;
            let backend = Rc::clone(busy.backend());
            let reached = backend.reach(round.fresh, flow.is_some(), limits.connect_timeout).await;
            let (held, used) = match reached {
                Ok(reached) => {
                    round.reached();
                    reached
                }
                Err(error) => {
                    round.failed(backend, error);
                    continue;
                }
            };
            let mut link = Link::new(held, busy);
            dress(&mut request, link.version(), &backend.line, wish, visitor.as_ref())?;
            let kept = match link.version() {
                // An app that goes away may not have looked at it.
                Version::Http2 if flow.is_some() => Some(copy(&request, request.body().again())),
                Version::Http1 | Version::Http2 => None,
            };
            match link.ask(request, flow, limits.response_timeout).await {
                Ok(answer) => {
                    if let Some(kept) = kept {
                        kept.body().settle();
                    }
                    backend.record.answered();
                    return Ok((link, answer));
                }
                Err(unanswered) => {
                    let once_more = OnceMore { proxy: self, original, flow, kept };
                    request = round.again(&backend, used, once_more, unanswered)?;
                }
            }
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
        if self.crowd.is_full() {
            return Err(ForwardError::Full);
        }
        self.connect(&mut Round::new(self.group(upstream)?), limits).await
    }

    async fn connect(&self, round: &mut Round<'_>, limits: &RouteLimits) -> Result<Fresh, ForwardError> {
        loop {
            let busy = round.turn(self).await?;
            match busy.backend().line.connect(true, limits.connect_timeout).await {
                Ok((socket, _)) => {
                    round.reached();
                    return Ok(Fresh::new(Live::begin(socket).await?, busy));
                }
                Err(error) => round.failed(Rc::clone(busy.backend()), error),
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
    next: Option<Busy>,
    /// An idle connection turned out to be closed, so no other one is trusted.
    fresh: bool,
    tried: Vec<Rc<Backend>>,
    /// Why the last one failed.
    error: Option<ForwardError>,
    /// Whether all that failed refused the connection.
    refused: bool,
    /// How often it may still be sent anew when it was not sent at all.
    unsent: u32,
    /// Whether it was sent twice already.
    repeated: bool,
    /// When the waiting ends; `None`: it has not begun.
    deadline: Option<Instant>,
    waiter: Option<Waiter<'a>>,
    pause: Duration,
}

impl<'a> Round<'a> {
    const fn new(group: &'a Group) -> Self {
        Self {
            group,
            next: None,
            fresh: false,
            tried: Vec::new(),
            error: None,
            refused: true,
            unsent: UNSENT,
            repeated: false,
            deadline: None,
            waiter: None,
            pause: FIRST_PAUSE,
        }
    }

    /// The endpoint to try now.
    async fn turn(&mut self, proxy: &Proxy) -> Result<Busy, ForwardError> {
        if let Some(next) = self.next.take() {
            return Ok(next);
        }
        if let Some(chosen) = self.group.choose(&self.tried, &proxy.dice) {
            return Ok(Busy::new(Rc::clone(chosen)));
        }
        let error = self.error.take().unwrap_or_else(unlisted);
        if !self.refused || self.group.wait.is_zero() {
            return Err(error);
        }
        let now = Instant::now();
        let deadline = *self.deadline.get_or_insert_with(|| now + self.group.wait);
        let waiter = match &mut self.waiter {
            Some(waiter) => waiter,
            none => {
                tracing::debug!(%error, "a request waits for its app");
                none.insert(self.group.queue.join().ok_or(ForwardError::Full)?)
            }
        };
        if now >= deadline || !waiter.turn(self.pause, deadline).await {
            return Err(error);
        }
        self.pause = (self.pause * 3 / 2).min(LONGEST_PAUSE);
        self.tried.clear();
        let chosen = self.group.choose(&[], &proxy.dice).ok_or_else(unlisted)?;
        Ok(Busy::new(Rc::clone(chosen)))
    }

    /// Notes that a connection came about.
    fn reached(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.enters();
        }
    }

    /// Notes that no connection to this one came about; nothing was sent there.
    fn failed(&mut self, backend: Rc<Backend>, error: ForwardError) {
        // What we lack ourselves is not the app's fault.
        if !matches!(error, ForwardError::Full) {
            backend.record.unreachable();
        }
        self.refused &= matches!(error, ForwardError::Refused(_));
        self.error = Some(error);
        self.tried.push(backend);
    }

    /// Whether it may go out once more after an answer that never began: by a new connection where a `used` one had
    /// been closed, else to another endpoint.
    fn may_repeat(&self, used: bool) -> bool {
        !self.repeated && (used || self.group.backends.len() > 1)
    }

    /// The request for another try, or why there is none.
    fn again(
        &mut self,
        backend: &Rc<Backend>,
        used: bool,
        mut once_more: OnceMore<'_>,
        unanswered: Unanswered,
    ) -> Result<Request<Upload>, ForwardError> {
        let Unanswered { error, unsent, silent, unseen } = unanswered;
        // The visitor's body, where it failed first, is the cause of what the app did.
        if let Some(cause) = once_more.flow.and_then(|flow| flow.failure()) {
            return Err(cause);
        }
        // What was never sent, or never looked at, may be sent anywhere; a used connection was closed meanwhile, and
        // says nothing of the app.
        let unheard = if unseen { unsent.or_else(|| once_more.unseen()) } else { unsent };
        if let Some(request) = unheard.filter(|_| self.unsent > 0) {
            self.unsent -= 1;
            self.turn_away(backend, used || self.group.backends.len() == 1, error);
            return Ok(request);
        }
        if !(used && silent) {
            backend.record.unanswered();
        }
        let may_repeat = silent && !unseen && self.may_repeat(used);
        let request = if may_repeat { once_more.repeated() } else { None };
        match request {
            None => Err(error),
            Some(request) => {
                self.repeated = true;
                self.turn_away(backend, used, error);
                Ok(request)
            }
        }
    }

    /// To a new connection of the same endpoint, or to the next one.
    fn turn_away(&mut self, backend: &Rc<Backend>, same: bool, error: ForwardError) {
        if same {
            (self.fresh, self.next) = (true, Some(Busy::new(Rc::clone(backend))));
        } else {
            (self.refused, self.error) = (false, Some(error));
            self.tried.push(Rc::clone(backend));
        }
    }
}

/// How the same request is made once more, should it be needed.
struct OnceMore<'a> {
    proxy: &'a Proxy,
    original: &'a Original<'a>,
    /// Of its body; `None`: it had none.
    flow: Option<&'a Rc<Flow>>,
    /// A copy with what was sent of its body; `None`: nothing was kept.
    kept: Option<Request<Upload>>,
}

impl OnceMore<'_> {
    /// Of a request that was never looked at.
    fn unseen(&mut self) -> Option<Request<Upload>> {
        if self.flow.is_none() {
            return self.bodyless();
        }
        self.kept.take().filter(|request| request.body().is_whole())
    }

    /// Of a request that does no harm twice, and has nothing that would have to be asked for again.
    fn repeated(&self) -> Option<Request<Upload>> {
        let repeatable = self.flow.is_none() && self.original.head.method.is_idempotent();
        if repeatable { self.bodyless() } else { None }
    }

    fn bodyless(&self) -> Option<Request<Upload>> {
        self.proxy.outgoing(self.original, Upload::none()).ok()
    }
}

fn unlisted() -> ForwardError {
    ForwardError::Broken("no endpoint is known here".to_owned())
}

fn copy(request: &Request<Upload>, body: Upload) -> Request<Upload> {
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
