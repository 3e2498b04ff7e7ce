//! Hop-by-hop fields (RFC 9110 §7.6.1): what concerns one connection only goes no further, in either direction.
//! Runs before our own fields are set, so that no `Connection: Remote-User` can take them out. Framing is removed
//! here and made anew by whoever writes the message.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use super::fold::Folded;
use super::fold::first;

const NAMES: &[&[u8]] =
    &[b"connection", b"http2-settings", b"keep-alive", b"te", b"transfer-encoding", b"upgrade", b"expect"];

/// Whether a field concerns one connection only, in any spelling that folds to its name. A spelling of
/// `Content-Length` or `Host` that is not theirs counts too: nobody may frame or route by it.
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    // The most frequent ones that look like it and are not.
    if *name == header::CONTENT_TYPE || *name == header::CONTENT_LENGTH {
        return false;
    }
    // What the names below begin with; few others do.
    if !matches!(
        &first(name.as_str()),
        b"con" | b"exp" | b"htt" | b"kee" | b"pro" | b"te\0" | b"tra" | b"upg"
    ) {
        return false;
    }
    let folded = Folded::new(name.as_str());
    let framing_in_disguise = folded.is(b"content-length") && *name != header::CONTENT_LENGTH;
    folded.is_any(NAMES) || folded.begins(b"proxy-") || framing_in_disguise
}

/// Removes the hop-by-hop fields and all that `Connection` names. Returns whether the sender takes trailers.
pub(super) fn strip(headers: &mut HeaderMap) -> bool {
    // Nearly every message has a `Connection`, and nothing else of the list.
    let mut connection = false;
    let mut doomed = Vec::new();
    for name in headers.keys() {
        if *name == header::CONNECTION {
            connection = true;
        } else if is_hop_by_hop(name) {
            doomed.push(name.clone());
        }
    }
    let trailers = doomed.contains(&header::TE) && headers.get_all(header::TE).iter().any(wants_trailers);
    if connection {
        remove_named(headers);
        headers.remove(header::CONNECTION);
    }
    for name in doomed {
        headers.remove(&name);
    }
    trailers
}

/// Removes what `Connection` names.
fn remove_named(headers: &mut HeaderMap) {
    for name in named(headers) {
        // What frames and routes the message is not the sender's to take away.
        if name != header::CONTENT_LENGTH && name != header::HOST {
            headers.remove(&name);
        }
    }
}

/// What `Connection` names: fields that go no further.
pub(super) fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let plain =
        |token: &[u8]| token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close");
    let mut named = Vec::new();
    for line in headers.get_all(header::CONNECTION) {
        if !plain(line.as_bytes()) {
            let tokens = tokens(line).filter(|token| !plain(token));
            named.extend(tokens.filter_map(|token| HeaderName::from_bytes(token).ok()));
        }
    }
    named
}

/// Whether a `TE` field says that its sender takes trailers.
pub(super) fn wants_trailers(te: &HeaderValue) -> bool {
    tokens(te).any(|token| token.split(|b| *b == b';').next().is_some_and(is_trailers))
}

/// Says to the next hop that trailers are welcome (RFC 9110 §10.1.4 asks for both fields).
pub(super) fn offer_trailers(headers: &mut HeaderMap) {
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn is_trailers(token: &[u8]) -> bool {
    token.trim_ascii().eq_ignore_ascii_case(b"trailers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn connection_and_all_it_names_stay_behind() {
        let mut headers = map(&[
            ("connection", "close, X-Private"),
            ("connection", "remote-user,, te"),
            ("x-private", "1"),
            ("remote-user", "eve"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("proxy-authorization", "Basic eA=="),
            ("proxy_connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("transfer_encoding", "chunked"),
            ("content_length", "3"),
            ("content-length", "5"),
            ("accept", "*/*"),
        ]);
        assert!(!strip(&mut headers));
        assert_eq!(headers, map(&[("content-length", "5"), ("accept", "*/*")]));
    }

    #[test]
    fn the_quick_look_hides_no_name_of_the_list() {
        for name in
            NAMES.iter().copied().chain([&b"proxy-authorization"[..], b"content_length", b"T~E", b"Te"])
        {
            let hop = HeaderName::from_bytes(name).unwrap();
            assert_eq!(is_hop_by_hop(&hop), name != b"T~E", "{hop}");
        }
    }

    #[test]
    fn a_wish_for_trailers_is_noticed() {
        assert!(strip(&mut map(&[("te", "gzip;q=0.5, Trailers")])));
        assert!(!strip(&mut map(&[("te", "trailers-not")])));
    }
}
