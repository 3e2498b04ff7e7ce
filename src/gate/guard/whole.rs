//! Whole answers, for proxies that pass a refusal on to the visitor as it is: `/check/forward`, `/check/envoy/…`, and
//! `/challenge` for nginx. A refusal is the very answer that the request would have got from us: the way to the sign-in
//! page, a page that says no, or a problem document for programs. Nothing but a yes is ever a 2xx.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::header;

use super::Asking;
use super::Cure;
use super::No;
use super::Question;
use super::Way;
use crate::gate::Body;
use crate::gate::Connection;
use crate::gate::Gate;
use crate::gate::Worker;
use crate::gate::answer;
use crate::gate::answer::Fault;
use crate::gate::record::Reference;
use crate::gate::see_other;
use crate::gate::visitor;
use crate::login::Visitor;
use crate::policy::Refusal;

impl Gate {
    /// Where to go is said in full: Traefik reads `/login` as a page of ours, not of the host that was asked for.
    pub(super) async fn whole(
        &self,
        worker: &Worker,
        connection: Connection,
        way: &Way,
        asking: &Asking<'_>,
        reference: &Reference,
    ) -> Response<Body> {
        let question = match self.question(worker, connection, way, asking) {
            Ok(question) => question,
            Err(no) => {
                self.say(&no, reference);
                return answer::plain(&no.fault().shown(), reference.as_str());
            }
        };
        let mut answer = self.answered(worker, connection, way, &question, asking.headers, reference).await;
        let relative = answer.headers().get(header::LOCATION).and_then(|there| there.to_str().ok());
        let whole = relative
            .filter(|there| there.starts_with('/') && !there.starts_with("//"))
            .and_then(|there| HeaderValue::from_str(&format!("{}{there}", question.place.host.origin)).ok());
        if let Some(whole) = whole {
            answer.headers_mut().insert(header::LOCATION, whole);
        }
        answer
    }

    async fn answered(
        &self,
        worker: &Worker,
        connection: Connection,
        way: &Way,
        question: &Question<'_>,
        headers: &HeaderMap,
        reference: &Reference,
    ) -> Response<Body> {
        let visitor = visitor(question.place, &question.client, reference, &question.found);
        let mut no = match self.verdict(question, headers) {
            Ok(yes) if *way != Way::Challenge => return self.yes(question, &yes, headers, reference),
            // The check would let this through: something else, the app itself perhaps, did not.
            Ok(_) => No::Rule(Refusal::NotAllowed),
            Err(no) => no,
        };
        if let (No::Own(path), true) = (&no, *way != Way::Challenge) {
            match self.own_page(worker, connection, &visitor, question, path, headers).await {
                Ok(answer) if !answer.status().is_success() => return answer,
                Ok(_) => {}
                Err(why) => no = why,
            }
        }
        self.say(&no, reference);
        match no {
            No::Rule(refusal) => self.refuse(&visitor, refusal, &question.target, &question.method, headers),
            no => self.fault(&visitor, headers, &no.fault()),
        }
    }

    /// Our own pages on a host of which only checks reach us. Those that a sign-in begins and ends with are answered
    /// here, for they only say where to go; the others are on the host where people sign in.
    async fn own_page(
        &self,
        worker: &Worker,
        connection: Connection,
        visitor: &Visitor,
        question: &Question<'_>,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, No> {
        let refused = || No::Fault(Fault::Check);
        if question.method != Method::GET {
            return Err(refused());
        }
        let prefix = &self.parts.prefix;
        let page = path.split('?').next().unwrap_or_default();
        if visitor.on_sign_in_host() {
            // Its pages cannot be had here: a redirect would come straight back.
            let why = format!("{prefix}/ on the host where people sign in is asked about, not forwarded");
            let add = format!("a route of {prefix}/ on that host to linkgate, without a check");
            return Err(No::Setting(Cure::new("own pages", why, add)));
        }
        match page {
            "/enter" | "/login" => {
                let body = axum::body::Body::empty();
                let mut request = Request::builder().uri(path).body(body).map_err(|_| refused())?;
                request.headers_mut().clone_from(headers);
                Ok(self.own(worker, connection, visitor.clone(), request).await)
            }
            "/" | "/logout" => {
                let there = visitor.site.site.url.as_str();
                Ok(see_other(&format!("{there}{prefix}{page}")))
            }
            _ => Err(refused()),
        }
    }
}

impl No {
    /// As a visitor is told, where no rule has said no.
    fn fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            // What to set is for the administrator.
            Self::Rule(_) | Self::Own(_) | Self::Setting(_) => Fault::Check,
        }
    }
}
