//! What every app is told by us, written out once and copied for as long as the same person asks in the same way: most
//! of a request's headers are ours, and the same each time. Holds nothing of what the visitor's request says.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;
use http::Version;

use super::IdentityHeaderValues;
use super::Visit;
use super::forwarded;
use super::forwarded::Via;
use super::forwarded::Visitors;
use super::identity;
use crate::policy::Permitted;
use crate::policy::Route;

/// A power of two: the places that people share.
const PLACES: usize = 256;

/// One worker's memory of what it wrote out last.
pub(super) struct Prefaces {
    kept: RefCell<Vec<Option<Kept>>>,
    via: Via,
    visitors: Visitors,
}

/// Headers, and all that they were made of but the request's own name.
struct Kept {
    of: Subject,
    client: IpAddr,
    secure: bool,
    version: Version,
    host: HeaderValue,
    port: HeaderValue,
    assertion: Option<HeaderValue>,
    headers: HeaderMap,
}

/// Who is named. Held, so that its address is nobody else's meanwhile.
enum Subject {
    Somebody(Rc<IdentityHeaderValues>),
    /// Nobody, in the form of this route.
    Nobody(Arc<Route>),
}

impl Subject {
    /// On a route where nobody was let in by name, nobody is named, whatever the gate holds.
    fn of(permitted: &Permitted, visit: &Visit<'_>) -> Self {
        match visit.identity.filter(|_| permitted.identity().is_some()) {
            Some(values) => Self::Somebody(Rc::clone(values)),
            None => Self::Nobody(Arc::clone(permitted.route())),
        }
    }

    fn address(&self) -> usize {
        match self {
            Self::Somebody(values) => Rc::as_ptr(values).addr(),
            Self::Nobody(route) => Arc::as_ptr(route).addr(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Somebody(one), Self::Somebody(other)) => Rc::ptr_eq(one, other),
            (Self::Nobody(one), Self::Nobody(other)) => Arc::ptr_eq(one, other),
            (Self::Somebody(_), Self::Nobody(_)) | (Self::Nobody(_), Self::Somebody(_)) => false,
        }
    }
}

impl Kept {
    fn serves(&self, of: &Subject, visit: &Visit<'_>, version: Version) -> bool {
        self.of.is(of)
            && self.client == visit.client
            && self.secure == visit.secure
            && self.version == version
            && self.host == visit.host
            && self.port == visit.port
            && self.assertion.as_ref() == visit.assertion
    }
}

impl Prefaces {
    /// Nothing written yet. `via_name`: ours in `Via`.
    pub(super) fn new(via_name: &str) -> Self {
        let kept = std::iter::repeat_with(|| None).take(PLACES).collect();
        Self { kept: RefCell::new(kept), via: Via::new(via_name), visitors: Visitors::new() }
    }

    /// All that we tell the app of this request, and nothing else.
    pub(super) fn headers(&self, permitted: &Permitted, visit: &Visit<'_>, version: Version) -> HeaderMap {
        let of = Subject::of(permitted, visit);
        if visit.forwarded_for.is_some() {
            // By way of a trusted proxy, chains differ from one request to the next.
            return self.write(&of, visit, version);
        }
        // Fibonacci hashing: the upper byte of the product depends on every bit of the address.
        let stirred = (of.address() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut kept = self.kept.borrow_mut();
        let Some(place) = kept.get_mut(usize::from(stirred.to_be_bytes()[0])) else {
            return self.write(&of, visit, version);
        };
        if let Some(kept) = place.as_ref().filter(|kept| kept.serves(&of, visit, version)) {
            let mut headers = kept.headers.clone();
            forwarded::name(&mut headers, visit);
            return headers;
        }
        let headers = self.write(&of, visit, version);
        *place = Some(Kept {
            of,
            client: visit.client,
            secure: visit.secure,
            version,
            host: visit.host.clone(),
            port: visit.port.clone(),
            assertion: visit.assertion.cloned(),
            headers: headers.clone(),
        });
        headers
    }

    fn write(&self, of: &Subject, visit: &Visit<'_>, version: Version) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(24);
        forwarded::set(&mut headers, visit, &self.visitors);
        self.via.append(&mut headers, version);
        match of {
            Subject::Somebody(values) => identity::set(&mut headers, values, visit.assertion),
            Subject::Nobody(route) => identity::set_nobody(&mut headers, &route.identity),
        }
        headers
    }
}
