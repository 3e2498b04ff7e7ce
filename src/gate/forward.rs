//! The end of the pipeline: what policy permitted is passed on, and stays watched until its answer is whole. Never lets
//! anybody pass who was not let pass already.

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::header;
use hyper::body::Incoming;

use super::Body;
use super::Gate;
use super::Journey;
use super::Worker;
use super::again::Ask;
use super::again::Over;
use super::answer;
use super::answer::Fault;
use super::body::Ready;
use super::identify::Found;
use super::open::Kind;
use super::open::Waiting;
use super::private;
use crate::login::Visitor;
use crate::policy::Permitted;
use crate::proxy::ForwardError;
use crate::proxy::Switched;
use crate::proxy::Visit;
use crate::proxy::Wish;

static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

impl Gate {
    pub(super) async fn forward(
        &self,
        worker: &Worker,
        journey: &Journey<'_>,
        found: &Found,
        permitted: &Permitted,
        mut ask: Box<Ask>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        // Only a person whom this route admits is named to the app.
        let pass = found.pass.as_ref().filter(|_| permitted.identity().is_some());
        let told = pass.and_then(|pass| {
            pass.told(&self.parts.keys, &journey.place.host, permitted.app(), permitted.route(), journey.now)
        });
        if pass.is_some() && told.is_none() {
            tracing::error!(
                reference = journey.reference.as_str(),
                "the identity assertion could not be signed"
            );
            return answer::plain(&Fault::Stale.shown(), journey.reference.as_str());
        }
        let visit = Visit {
            client: journey.client.ip,
            forwarded_for: journey.client.chain.as_deref(),
            secure: journey.client.secure,
            // As configured: what the visitor spelled (another port, a final dot) would end in the app's own links.
            host: &journey.place.authority,
            port: &journey.place.port,
            request_id: journey.reference.value(),
            cookies: &journey.place.names,
            identity: told.as_ref().map(|told| &told.values),
            consumed_authorization: found.consumed_authorization,
            assertion: told.as_ref().map(|told| &told.assertion),
        };
        let admitted =
            ask.wish.as_ref().map(|wish| wish.is_admitted(permitted.app(), &permitted.route().handling));
        match admitted {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => ask.wish = None,
            Some(Err(error)) => {
                return self.not_forwarded(journey, found, permitted, request.headers(), error);
            }
        }
        if let Some(wish) = &ask.wish {
            let headers = request.headers().clone();
            let switching = worker.proxy.switch(permitted, &ask.target, wish, request, visit);
            let outcome = allowed(worker, &ask, Box::pin(switching).as_mut()).await;
            return match outcome {
                Ok(Ok(switched)) => {
                    let mut answer = enter(worker, journey, permitted, ask, switched);
                    if pass.is_some() {
                        private::keep_private(answer.headers_mut(), &permitted.route().handling);
                    }
                    answer
                }
                Ok(Err(error)) => self.not_forwarded(journey, found, permitted, &headers, error),
                Err(over) => self.over(&journey.visitor(found), over, &ask, &headers),
            };
        }
        let (head, body) = request.into_parts();
        let answer = worker.proxy.forward(permitted, &ask.target, &head, body, visit);
        let outcome = allowed(worker, &ask, pin!(answer)).await;
        match outcome {
            Ok(Ok(answer)) => {
                let ready = || Ready {
                    register: worker.open.clone(),
                    ask,
                    judged_by: worker.number,
                    line: journey.line.clone(),
                };
                let mut answer = answer.map(|stream| Body::watched(stream, ready));
                if let Some(pass) = pass {
                    private::keep_private(answer.headers_mut(), &permitted.route().handling);
                    if !found.by_bearer && is_navigation(&head.method, &head.headers) {
                        self.renew(&journey.visitor(found), &pass.claims, answer.headers_mut());
                    }
                }
                answer
            }
            Ok(Err(error)) => self.not_forwarded(journey, found, permitted, &head.headers, error),
            Err(over) => self.over(&journey.visitor(found), over, &ask, &head.headers),
        }
    }

    fn not_forwarded(
        &self,
        journey: &Journey<'_>,
        found: &Found,
        permitted: &Permitted,
        headers: &HeaderMap,
        error: ForwardError,
    ) -> Response<Body> {
        tracing::warn!(reference = journey.reference.as_str(), app = permitted.app().name, %error, "not forwarded");
        let visitor = journey.visitor(found);
        closing(self.fault(&visitor, headers, &Fault::Forward(error)))
    }

    /// Somebody who may not wait for the answer any more.
    fn over(&self, visitor: &Visitor, over: Over, ask: &Ask, headers: &HeaderMap) -> Response<Body> {
        closing(match over {
            Over::Stale => self.fault(visitor, headers, &Fault::Stale),
            Over::Refused(refusal) => {
                let nobody = Visitor { session: None, ..visitor.clone() };
                self.refuse(&nobody, refusal, &ask.target, &ask.method, headers)
            }
        })
    }

    pub(super) fn renew(
        &self,
        visitor: &Visitor,
        claims: &crate::identity::SessionClaims,
        headers: &mut HeaderMap,
    ) {
        if let Some(cookie) = self.parts.login.renew(visitor, claims) {
            headers.append(header::SET_COOKIE, cookie);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        }
    }
}

/// What comes of a request, unless it is not allowed any more before anything does.
async fn allowed<T>(
    worker: &Worker,
    ask: &Ask,
    mut answer: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Over> {
    let mut waiting = Waiting::new(&worker.open, worker.number);
    poll_fn(|cx| waiting.poll(cx, answer.as_mut(), ask.pass.as_ref(), |gate| gate.judge_again(ask.asked())))
        .await
}

/// The answer of an app that was asked to leave HTTP, and the tunnel where it does.
fn enter(
    worker: &Worker,
    journey: &Journey<'_>,
    permitted: &Permitted,
    ask: Box<Ask>,
    switched: Switched,
) -> Response<Body> {
    match switched {
        Switched::No(answer) => {
            let (register, judged_by) = (worker.open.clone(), worker.number);
            let ready = || Ready { register, ask, judged_by, line: journey.line.clone() };
            answer.map(|stream| Body::watched(stream, ready))
        }
        Switched::Yes(answer, tunnel) => {
            let websocket = ask.wish.as_ref().is_some_and(Wish::is_websocket);
            let kind = Kind::Tunnel { idle: permitted.route().limits.idle_timeout, websocket };
            let (place, hold) = worker.open.enter(ask, worker.number, None, kind);
            let tenths = worker.open.tenths();
            tokio::task::spawn_local(tunnel.run(hold, tenths, place));
            answer.map(|()| Body::empty())
        }
    }
}

/// What is left of the request's body is not read: the connection ends with this answer.
fn closing(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

pub(super) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName, value: &str| headers.get(name).is_some_and(|said| said == value);
    method == Method::GET && says(&SEC_FETCH_MODE, "navigate") && says(&SEC_FETCH_DEST, "document")
}
