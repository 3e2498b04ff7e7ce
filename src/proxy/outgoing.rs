//! The request as the app gets it: what we tell, and of the visitor's fields those that are the app's to see. What the
//! visitor sent stays as it is, so that the same can be made again.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::header;
use http::request;
use hyper::body::Body as _;

use super::ForwardError;
use super::Proxy;
use super::Visit;
use super::cookies;
use super::fold;
use super::handling;
use super::hop;
use super::upload::Upload;
use crate::policy::Permitted;
use crate::policy::Target;

/// What a request to an app is made of.
#[derive(Clone, Copy)]
pub(super) struct Original<'a> {
    pub(super) permitted: &'a Permitted,
    pub(super) target: &'a Target,
    pub(super) head: &'a request::Parts,
    pub(super) visit: &'a Visit<'a>,
}

/// What was noticed of the visitor's fields on the way.
#[derive(Default)]
struct Noticed {
    /// A length was declared.
    length: bool,
    /// The sender takes trailers.
    trailers: bool,
    /// Other hops have named themselves.
    via: bool,
}

impl Proxy {
    /// The request as the app gets it.
    ///
    /// # Errors
    /// The path cannot be written as it was judged.
    pub(super) fn outgoing(
        &self,
        original: &Original<'_>,
        upload: Upload,
    ) -> Result<Request<Upload>, ForwardError> {
        let Original { permitted, target, head, visit } = *original;
        let ours = self.prefaces.headers(permitted, visit, head.version);
        let (headers, noticed) = if handling::changes_requests(permitted.route()) {
            let mut headers = HeaderMap::with_capacity(head.headers.len() + ours.len());
            let noticed = pass_on(original, &mut headers);
            handling::request(&mut headers, permitted);
            // Ours come last, and replace.
            headers.extend(ours);
            (headers, noticed)
        } else {
            // None of the fields passed on has a name of ours: see `fold`.
            let mut headers = ours;
            let noticed = pass_on(original, &mut headers);
            (headers, noticed)
        };
        let mut outgoing = Request::new(upload);
        *outgoing.uri_mut() = handling::address(permitted, target, &head.uri)?;
        *outgoing.headers_mut() = headers;
        let headers = outgoing.headers_mut();
        if noticed.via {
            queue_up(headers, &head.headers);
        }
        if noticed.trailers {
            hop::offer_trailers(headers);
        }
        frame(&mut outgoing, noticed.length, &head.method);
        *outgoing.method_mut() = head.method.clone();
        Ok(outgoing)
    }
}

/// Copies what is the app's to see.
fn pass_on(original: &Original<'_>, to: &mut HeaderMap) -> Noticed {
    let Original { permitted, head, visit, .. } = *original;
    let fields = &head.headers;
    let tables = permitted.app().table_names();
    let hops = hop::named(fields);
    let mut noticed = Noticed::default();
    let mut cookies = false;
    for (name, value) in fields {
        if *name == header::HOST || fold::is_one_of(name, tables) {
            // Set by us.
        } else if *name == header::COOKIE {
            cookies = true;
        } else if *name == header::CONTENT_LENGTH {
            noticed.length = true;
        } else if *name == header::VIA {
            noticed.via = true;
        } else if hop::is_hop_by_hop(name) {
            noticed.trailers |= *name == header::TE && hop::wants_trailers(value);
        } else if !(fold::is_spoof(name)
            || hops.contains(name)
            || (visit.consumed_authorization && *name == header::AUTHORIZATION))
        {
            to.append(name.clone(), value.clone());
        }
    }
    if cookies
        && !hops.contains(&header::COOKIE)
        && let Some(others) = cookies::others(fields, visit.cookies)
    {
        to.insert(header::COOKIE, others);
    }
    noticed.via &= !hops.contains(&header::VIA);
    noticed
}

/// Our hop stands behind those that the message has passed (RFC 9110 §7.6.3).
fn queue_up(headers: &mut HeaderMap, before: &HeaderMap) {
    let ours = headers.remove(header::VIA);
    for line in before.get_all(header::VIA).iter().chain(&ours) {
        headers.append(header::VIA, line.clone());
    }
}

/// Frames the request anew: a length where it is known, else chunks; a declared empty body stays declared.
fn frame(request: &mut Request<Upload>, declared: bool, method: &Method) {
    let empty = request.body().is_end_stream();
    let length = request.body().size_hint().exact();
    let headers = request.headers_mut();
    match (empty, length) {
        (true, _) => {
            if declared && *method != Method::GET && *method != Method::HEAD {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0u64));
            }
        }
        (false, Some(length)) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        (false, None) => {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::policy::IdentityHeaders;
    use crate::proxy::IdentityHeaderValues;

    /// What is passed on is put beside ours, so none of it may have a name of ours.
    #[test]
    fn no_name_of_ours_is_passed_on() {
        let mut ours: Vec<HeaderName> = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
            .into_iter()
            .chain([
                "x-forwarded-port",
                "x-real-ip",
                "x-request-id",
                "linkgate-assertion",
                "x-forwarded-prefix",
            ])
            .map(HeaderName::from_static)
            .collect();
        for preset in [IdentityHeaders::Remote, IdentityHeaders::XForwarded, IdentityHeaders::XAuthRequest] {
            ours.extend(IdentityHeaderValues::empty(&preset).iter().map(|(name, _)| name.clone()));
        }
        assert!(ours.len() > 15);
        for name in ours {
            assert!(fold::is_spoof(&name), "{name}");
        }
    }
}
