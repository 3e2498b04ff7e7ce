//! References and the access log. Never writes a query, an address of a person, or a token.

use std::cell::Cell;
use std::cell::RefCell;
use std::time::Instant;

use bytes::BytesMut;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::StatusCode;
use hyper::body::Incoming;

use crate::random::Random;

const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// Letters of a reference, with two hyphens.
const LENGTH: usize = 14;
/// References whose texts share one piece of memory.
const BATCH: usize = 64;

/// Makes the reference of each request of one worker: unguessable in series, cheap to make.
pub struct References {
    state: Cell<u64>,
    room: RefCell<BytesMut>,
}

/// Names one request, such as `k3f9-2m7q-x0bd`.
#[derive(Clone, Debug)]
pub struct Reference {
    text: [u8; LENGTH],
    value: HeaderValue,
}

impl Reference {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Of our own letters: always text.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The same as a header's value.
    #[must_use]
    pub const fn value(&self) -> &HeaderValue {
        &self.value
    }
}

impl References {
    /// Seeds them.
    #[must_use]
    pub fn new(random: &Random) -> Self {
        Self { state: Cell::new(u64::from_le_bytes(random.bytes())), room: RefCell::default() }
    }

    /// The next.
    #[must_use]
    pub fn next(&self) -> Reference {
        // SplitMix64: a counter, well stirred. References name requests; they protect nothing.
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mut stirred = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        stirred = (stirred ^ (stirred >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        stirred ^= stirred >> 31;
        let mut text = [b'-'; LENGTH];
        let places = (0..4).chain(5..9).chain(10..LENGTH);
        for (number, place) in places.enumerate() {
            let letter = LETTERS.get(usize::from((stirred >> (number * 5)).to_le_bytes()[0] & 31));
            if let (Some(place), Some(letter)) = (text.get_mut(place), letter) {
                *place = *letter;
            }
        }
        let mut room = self.room.borrow_mut();
        if room.capacity() < LENGTH {
            *room = BytesMut::with_capacity(BATCH * LENGTH);
        }
        room.extend_from_slice(&text);
        let value = HeaderValue::from_maybe_shared(room.split().freeze());
        Reference { text, value: value.unwrap_or(const { HeaderValue::from_static("") }) }
    }
}

/// What the access log says of a request, noted before the request is used up.
pub struct Line {
    began: Instant,
    method: Method,
    path: String,
}

impl Line {
    /// Notes method and path; the query may hold tokens and stays out.
    #[must_use]
    pub fn of(request: &Request<Incoming>) -> Self {
        Self {
            began: Instant::now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
        }
    }

    /// Writes the line.
    pub fn write(self, reference: &str, status: StatusCode) {
        let milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "linkgate::access",
            reference,
            method = %self.method,
            path = self.path,
            status = status.as_u16(),
            milliseconds,
            "request"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_do_not_repeat_and_hold_no_look_alikes() {
        let references = References::new(&Random::seeded(1));
        let next = || {
            let reference = references.next();
            assert_eq!(reference.value(), reference.as_str());
            reference.as_str().to_owned()
        };
        let many: std::collections::HashSet<String> = (0..10_000).map(|_| next()).collect();
        assert_eq!(many.len(), 10_000);
        assert!(many.iter().all(|text| text.len() == 14 && !text.contains(['l', 'o', '1', 'i'])));
    }
}
