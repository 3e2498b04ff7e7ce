//! Trailers, both ways: what may not stand in a header may not stand behind the body either, and nothing there may
//! frame, route or authenticate (RFC 9110 §6.5.1).

use bytes::Bytes;
use http::HeaderName;
use http::header;
use hyper::body::Frame;

use super::cookies;
use super::fold::Folded;
use super::fold::is_one_of;
use super::fold::is_spoof;
use super::fold::remove_if;
use super::handling;
use super::hop::is_hop_by_hop;
use crate::policy::App;

const HEADERS_ONLY: &[&[u8]] = &[
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"host",
    b"max-forwards",
    b"range",
    b"set-cookie",
    b"trailer",
    b"via",
];

/// A frame of the visitor's body as the app may see it.
pub(super) fn clean_request(frame: Frame<Bytes>, app: &App) -> Frame<Bytes> {
    let mut frame = frame;
    if let Some(trailers) = frame.trailers_mut() {
        remove_if(trailers, |name| {
            is_headers_only(name)
                || is_spoof(name)
                || is_one_of(name, app.table_names())
                || handling::is_set(app, name)
        });
    }
    frame
}

/// A frame of the app's body as the visitor may see it.
pub(super) fn clean_answer(frame: Frame<Bytes>, app: &App) -> Frame<Bytes> {
    let mut frame = clean_request(frame, app);
    if let Some(trailers) = frame.trailers_mut() {
        remove_if(trailers, cookies::is_removed_from_answers);
    }
    frame
}

fn is_headers_only(name: &HeaderName) -> bool {
    *name == header::EXPECT || is_hop_by_hop(name) || Folded::new(name.as_str()).is_any(HEADERS_ONLY)
}
