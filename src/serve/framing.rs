//! Refuses, before the gate is asked, requests that two programs could read in two ways (request smuggling).
//! Knows only HTTP's rules; never routes, people or apps.

use http::header;
use http::uri::Authority;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use hyper::ext::Protocol;
use hyper::{Request, Response};

use super::reply;

/// Why a request is refused; the visitor's fault. Every HTTP/1 answer to one closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// What the sniffer saw: a fragment, bare line feeds, two lengths, a length beside chunked.
    Head,
    TransferEncoding,
    ContentLength,
    Host,
    Target,
    Method,
    /// More header lines than allowed; HTTP/1's are counted before they come here.
    Lines,
}

impl Fault {
    pub fn answer(self, http2: bool) -> Response<&'static str> {
        let (status, text) = match self {
            Self::Head => (StatusCode::BAD_REQUEST, "This request can be read in more than one way.\n"),
            Self::TransferEncoding => {
                (StatusCode::BAD_REQUEST, "Transfer-Encoding must be exactly chunked.\n")
            }
            Self::ContentLength => (StatusCode::BAD_REQUEST, "Content-Length must be one number.\n"),
            Self::Host => (StatusCode::BAD_REQUEST, "The request must name exactly one host.\n"),
            Self::Target => (StatusCode::BAD_REQUEST, "The request target must be a path.\n"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "This method is not allowed here.\n"),
            Self::Lines => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Too many header lines.\n"),
        };
        let mut response = reply::plain(status, text);
        if self == Self::Method {
            let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if !http2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A WebSocket over HTTP/2 (RFC 8441): judged as the GET that it would be over HTTP/1.1. Any other CONNECT is refused.
pub(super) fn is_tunnel<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.method() == Method::CONNECT
        && request.version() == Version::HTTP_2
        && protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
        && request.uri().scheme().is_some()
}

/// Accepts only what has one reading.
pub(super) fn check(method: &Method, uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), Fault> {
    // Some apps take `delete` for `DELETE`; a rule with methods does not.
    let lower = method.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
    if lower || method == Method::CONNECT || method == Method::TRACE {
        return Err(Fault::Method);
    }
    check_length(version, headers)?;
    check_host(uri, version, headers)?;
    // `ftp://` on our host is not ours: whoever asks for that means another program.
    let ours = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    if ours && uri.path().starts_with('/') { Ok(()) } else { Err(Fault::Target) }
}

/// RFC 9112 §6.1 and §6.3, and stricter: one spelling, one value.
fn check_length(version: Version, headers: &HeaderMap) -> Result<(), Fault> {
    let mut framed = false;
    for name in headers.keys() {
        framed |= *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING;
        disguised(name.as_str())?;
    }
    if !framed {
        return Ok(());
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some()
        || length.is_some_and(|value| value.is_empty() || !value.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Err(Fault::ContentLength);
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next()
        && (version != Version::HTTP_11
            || length.is_some()
            || encoding.as_bytes() != b"chunked"
            || encodings.next().is_some())
    {
        return Err(Fault::TransferEncoding);
    }
    Ok(())
}

/// `Transfer_Encoding` and `Content.Length`: apps behind CGI or WSGI read them as the real ones.
fn disguised(name: &str) -> Result<(), Fault> {
    let is_like = |real: &str| {
        name.len() == real.len()
            && name != real
            && name
                .bytes()
                .zip(real.bytes())
                .all(|(have, real)| have == real || (real == b'-' && !have.is_ascii_alphanumeric()))
    };
    if is_like("transfer-encoding") {
        return Err(Fault::TransferEncoding);
    }
    if is_like("content-length") { Err(Fault::ContentLength) } else { Ok(()) }
}

/// RFC 9112 §3.2, RFC 9113 §8.3.1: exactly one host, the same wherever it is named.
fn check_host(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), Fault> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if host.is_some_and(|host| !names_host(host.as_bytes())) || hosts.next().is_some() {
        return Err(Fault::Host);
    }
    match (uri.authority(), host) {
        (Some(target), _) if !is_simple(target.as_str().as_bytes()) && !is_plain(target) => Err(Fault::Host),
        (Some(target), Some(host)) if !target.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            Err(Fault::Host)
        }
        (_, None) if version == Version::HTTP_11 => Err(Fault::Host),
        (None, None) if version == Version::HTTP_2 => Err(Fault::Host),
        _ => Ok(()),
    }
}

fn names_host(value: &[u8]) -> bool {
    is_simple(value) || Authority::try_from(value).is_ok_and(|authority| is_plain(&authority))
}

/// Letters, digits, hyphens and dots, and at most a port: nearly every host, told without taking it apart.
fn is_simple(host: &[u8]) -> bool {
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let name = host.iter().take_while(|byte| named(byte)).count();
    match host.split_at_checked(name) {
        Some(([], _)) | None => false,
        Some((_, [])) => true,
        Some((_, [b':', port @ ..])) => {
            let fits = matches!(port.len(), 1..=4) || (port.len() == 5 && *port <= b"65535"[..]);
            fits && port.iter().all(u8::is_ascii_digit)
        }
        Some(_) => false,
    }
}

/// A host and at most a port: no user, nothing else.
fn is_plain(authority: &Authority) -> bool {
    let text = authority.as_str();
    let after = text.get(authority.host().len()..).unwrap_or("@");
    let port = after.is_empty() || (after.starts_with(':') && authority.port_u16().is_some());
    !authority.host().is_empty() && !text.contains('@') && port
}

/// The host that a checked request names, as it was spelled.
pub(super) fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let named = uri.authority().map(Authority::as_str);
    named.or_else(|| headers.get(header::HOST).and_then(|value| value.to_str().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(method: &str, uri: &str, version: Version, headers: &[(&'static str, &str)]) -> Option<Fault> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        check(&method.parse().unwrap(), &uri.parse().unwrap(), version, &map).err()
    }

    const HOST: (&str, &str) = ("host", "a.example.com:8080");

    #[test]
    fn transfer_encoding_is_one_plain_chunked_or_the_request_is_refused() {
        let with = |version, value| fault("POST", "/", version, &[HOST, ("transfer-encoding", value)]);
        assert_eq!(with(Version::HTTP_11, "chunked"), None);
        for value in
            ["gzip, chunked", "chunked, chunked", "Chunked", "xchunked", "identity", "", "chunked;a=b"]
        {
            assert_eq!(with(Version::HTTP_11, value), Some(Fault::TransferEncoding), "{value}");
        }
        assert_eq!(with(Version::HTTP_10, "chunked"), Some(Fault::TransferEncoding));
        assert_eq!(with(Version::HTTP_2, "chunked"), Some(Fault::TransferEncoding));
        let twice = [HOST, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(fault("POST", "/", Version::HTTP_11, &twice), Some(Fault::TransferEncoding));
        let both = [HOST, ("transfer-encoding", "chunked"), ("content-length", "3")];
        assert_eq!(fault("POST", "/", Version::HTTP_11, &both), Some(Fault::TransferEncoding));
    }

    #[test]
    fn lengths_are_one_number_and_disguises_are_refused() {
        for value in ["+3", "3, 3", "0x3", "", "3 "] {
            let headers = [HOST, ("content-length", value)];
            assert_eq!(fault("POST", "/", Version::HTTP_11, &headers), Some(Fault::ContentLength), "{value}");
        }
        let disguised = [HOST, ("transfer_encoding", "chunked")];
        assert_eq!(fault("POST", "/", Version::HTTP_11, &disguised), Some(Fault::TransferEncoding));
        let disguised = [HOST, ("content.length", "3")];
        assert_eq!(fault("POST", "/", Version::HTTP_11, &disguised), Some(Fault::ContentLength));
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        let refused = Some(Fault::Host);
        assert_eq!(fault("GET", "/", Version::HTTP_11, &[]), refused);
        assert_eq!(fault("GET", "/", Version::HTTP_10, &[]), None);
        assert_eq!(fault("GET", "/", Version::HTTP_11, &[HOST, HOST]), refused);
        for host in ["", "user@a.example.com", "a b", "a/b", "a:99999", "a:", "a:b", "[::1"] {
            assert_eq!(fault("GET", "/", Version::HTTP_11, &[("host", host)]), refused, "{host}");
        }
        assert_eq!(fault("GET", "/", Version::HTTP_11, &[("host", "[::1]:8080")]), None);
        let target = "http://A.example.com:8080/x";
        assert_eq!(fault("GET", target, Version::HTTP_11, &[HOST]), None);
        assert_eq!(fault("GET", target, Version::HTTP_11, &[("host", "b.example.com")]), refused);
        assert_eq!(fault("GET", target, Version::HTTP_2, &[]), None);
        assert_eq!(fault("GET", target, Version::HTTP_2, &[("host", "b.example.com")]), refused);
        assert_eq!(fault("GET", "/", Version::HTTP_2, &[]), refused);
    }

    #[test]
    fn tunnels_traces_and_stars_are_refused() {
        assert_eq!(fault("CONNECT", "a.example.com:443", Version::HTTP_11, &[HOST]), Some(Fault::Method));
        assert_eq!(fault("delete", "/", Version::HTTP_11, &[HOST]), Some(Fault::Method));
        assert_eq!(fault("PROPFIND", "/", Version::HTTP_11, &[HOST]), None);
        assert_eq!(fault("TRACE", "/", Version::HTTP_11, &[HOST]), Some(Fault::Method));
        assert_eq!(fault("OPTIONS", "*", Version::HTTP_11, &[HOST]), Some(Fault::Target));
        for (scheme, answer) in
            [("HTTP", None), ("https", None), ("ftp", Some(Fault::Target)), ("ws", Some(Fault::Target))]
        {
            let target = format!("{scheme}://a.example.com:8080/x");
            assert_eq!(fault("GET", &target, Version::HTTP_11, &[HOST]), answer, "{scheme}");
            assert_eq!(fault("GET", &target, Version::HTTP_2, &[]), answer, "{scheme}");
        }
    }
}
