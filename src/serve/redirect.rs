//! Plain http beside https: sends people to the same address over https. Never to a host that is not ours.

use std::fmt::Write;

use http::header;
use http::{HeaderValue, StatusCode, Uri};
use hyper::Response;

use super::framing;
use super::reply;

/// The answer to a plain request: 308 to https for a host of ours, else 421.
pub(super) fn answer(
    uri: &Uri,
    headers: &http::HeaderMap,
    https_port: u16,
    knows_host: impl Fn(&str) -> bool,
) -> Response<&'static str> {
    let host = framing::host_of(uri, headers).map(bare_host);
    let place = host.filter(|host| knows_host(host)).and_then(|host| location(&host, https_port, uri));
    let Some(place) = place else {
        return reply::plain(StatusCode::MISDIRECTED_REQUEST, "This host is not served here.\n");
    };
    let mut response = reply::plain(StatusCode::PERMANENT_REDIRECT, "");
    response.headers_mut().insert(header::LOCATION, place);
    response
}

/// Lower case, without port and final dot.
fn bare_host(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn location(host: &str, port: u16, uri: &Uri) -> Option<HeaderValue> {
    let mut place = format!("https://{host}");
    if port != 443 {
        write!(place, ":{port}").ok()?;
    }
    for byte in uri.path_and_query()?.as_str().bytes() {
        if byte.is_ascii_graphic() {
            place.push(char::from(byte));
        } else {
            write!(place, "%{byte:02X}").ok()?;
        }
    }
    HeaderValue::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(host: &str, path: &str, port: u16) -> (StatusCode, Option<String>) {
        let mut headers = http::HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let answer = answer(&path.parse().unwrap(), &headers, port, |host| host == "wiki.example.com");
        let place = answer.headers().get(header::LOCATION).map(|place| place.to_str().unwrap().to_owned());
        (answer.status(), place)
    }

    #[test]
    fn a_host_of_ours_is_sent_to_https_with_path_and_query() {
        let (status, place) = go("WIKI.example.com.:80", "/a?b=c", 443);
        assert_eq!(status, StatusCode::PERMANENT_REDIRECT);
        assert_eq!(place.unwrap(), "https://wiki.example.com/a?b=c");
        let (_, place) = go("wiki.example.com", "//evil.example/é", 8443);
        assert_eq!(place.unwrap(), "https://wiki.example.com:8443//evil.example/%C3%A9");
    }

    #[test]
    fn a_host_that_is_not_ours_is_sent_nowhere() {
        assert_eq!(go("evil.example", "/", 443), (StatusCode::MISDIRECTED_REQUEST, None));
    }
}
