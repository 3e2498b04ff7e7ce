//! `/challenge`: what a visitor gets whom `/check/nginx` did not let through, for `error_page 401 403 = @challenge` in
//! nginx. The same answer that the request would have got from us: the way to the sign-in page, a page that says no,
//! or a problem document for programs. Lets nobody through, and asks as little of its peer as the check itself.

use http::Request;
use http::Response;
use hyper::body::Incoming;

use super::Body;
use super::Connection;
use super::Gate;
use super::Journey;
use super::Line;
use super::Worker;
use super::answer;
use super::answer::Fault;
use super::check;
use super::record::Reference;
use super::visitor;
use crate::policy::Asker;
use crate::policy::Refusal;
use crate::policy::judge;

const PATH: &str = "/challenge";

/// Whether a request asks for this.
pub(super) fn asks(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix) == Some(PATH)
}

impl Gate {
    /// Answers a visitor in nginx's place.
    pub(super) fn challenge(
        &self,
        worker: &Worker,
        connection: Connection,
        line: Line,
        request: &Request<Incoming>,
        reference: &Reference,
    ) -> Response<Body> {
        let headers = request.headers();
        let mut answer = match self.question(worker, connection, headers) {
            Err(no) => {
                no.log(reference.as_str());
                answer::plain(&Fault::Check.shown(), reference.as_str())
            }
            Ok(asked) => {
                let pass = asked.found.pass.as_ref();
                let who =
                    pass.map(|pass| Asker { identity: &pass.identity, by_bearer: asked.found.by_bearer });
                let client = asked.client.certain.then_some(asked.client.ip);
                let refusal = match judge(&asked.place.host, &asked.target, &asked.method, client, who) {
                    Err(refusal) => refusal,
                    // The check would let this through: something else, the app itself perhaps, did not.
                    Ok(_) => Refusal::NotAllowed,
                };
                let (place, client, now) = (asked.place, &asked.client, asked.now);
                let journey = Journey { place, client, reference, now, line };
                let visitor = visitor(&journey, &asked.found);
                self.refuse(&visitor, refusal, &asked.target, &asked.method, headers)
            }
        };
        check::end_after(request, answer.headers_mut());
        answer
    }
}
