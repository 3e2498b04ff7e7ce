//! `/check/nginx` for `auth_request`: 200, 401 or 403 and nothing else, for nginx turns every other answer into a 500.
//! What the visitor is shown, nginx fetches from `/challenge`, or makes of the 401's `Location`.

use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use url::form_urlencoded::byte_serialize;

use super::Asking;
use super::No;
use super::Question;
use super::Way;
use crate::gate::Body;
use crate::gate::Connection;
use crate::gate::Gate;
use crate::gate::Worker;
use crate::gate::record::Reference;
use crate::policy::Host;
use crate::policy::Refusal;
use crate::policy::Target;

/// nginx reads an answer's head into one buffer (`proxy_buffer_size`), and a larger one is a 502 that it turns into 500.
const LONGEST_LOCATION: usize = 2048;

impl Gate {
    pub(in crate::gate) fn nginx(
        &self,
        worker: &Worker,
        connection: Connection,
        asking: &Asking<'_>,
        reference: &Reference,
    ) -> Response<Body> {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::FORBIDDEN;
        match self.question(worker, connection, &Way::Nginx, asking) {
            Err(no) => self.say(&no, reference),
            Ok(question) => match self.verdict(&question, asking.headers) {
                Ok(yes) => return self.yes(&question, &yes, asking.headers, reference),
                // Who is signed in by a credential that this route does not take would be led back here.
                Err(No::Rule(Refusal::SignIn)) if question.found.pass.is_none() => {
                    *answer.status_mut() = StatusCode::UNAUTHORIZED;
                    challenge(answer.headers_mut(), &self.parts.prefix, &question);
                }
                Err(no) => self.say(&no, reference),
            },
        }
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        answer
    }
}

/// RFC 9110 §11.6.1; without `error`, for no token was sent that counts (RFC 6750 §3.1).
fn challenge(headers: &mut HeaderMap, prefix: &str, question: &Question<'_>) {
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"linkgate\""));
    if let Ok(address) = HeaderValue::from_str(&sign_in(&question.place.host, prefix, &question.target)) {
        headers.insert(header::LOCATION, address);
    }
}

/// The sign-in page as the host itself offers it: on another host than the site's `url` it leads on, and leaves the
/// nonce there that the way back needs. A wish too long for nginx is shortened, then left out.
fn sign_in(host: &Host, prefix: &str, target: &Target) -> String {
    let page = format!("{}{prefix}/login", host.origin);
    let to = |place: &str| {
        let place = format!("{}{place}", host.origin);
        let place: String = byte_serialize(place.as_bytes()).collect();
        Some(format!("{page}?return_to={place}")).filter(|address| address.len() <= LONGEST_LOCATION)
    };
    to(&target.raw).or_else(|| to(target.raw_path())).unwrap_or_else(|| page.clone())
}
