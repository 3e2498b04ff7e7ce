//! Who wants to leave HTTP on this connection, and whether the route lets them: `Upgrade` (RFC 9110 §7.8) and WebSockets
//! over HTTP/2 (RFC 8441). Opens nothing. What a route does not name is never forwarded, and another HTTP never is:
//! requests in it would be judged by nobody.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Version;
use http::header;
use hyper::ext::Protocol;

use super::ForwardError;
use crate::policy::App;
use crate::policy::Handling;
use crate::policy::WebSocketOrigins;

const WEBSOCKET: &str = "websocket";

/// A protocol that somebody wants to speak instead of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// As it was spelled.
    protocol: HeaderValue,
    /// Whose page asks; `None`: no page says so. Kept as long as the tunnel, so no part of the request's buffer.
    origin: Option<Box<[u8]>>,
    /// Several origins, which no browser sends.
    torn: bool,
    /// By CONNECT, on one stream of HTTP/2: there is no plain answer to fall back to.
    by_connect: bool,
}

impl Wish {
    /// What a request wishes, if anything. One protocol, named by HTTP/1.1 in `Upgrade` and announced in `Connection`,
    /// or by HTTP/2 in `:protocol`; anything else is no wish.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        let by_connect = request.method() == Method::CONNECT;
        let headers = request.headers();
        let protocol = if by_connect {
            let protocol = request.extensions().get::<Protocol>()?;
            HeaderValue::from_str(protocol.as_str()).ok()?
        } else {
            own(upgrade(request.version(), headers)?)?
        };
        let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes());
        if is_websocket && !by_connect && request.method() != Method::GET {
            return None;
        }
        let (origin, torn) = origin(headers);
        Some(Self { protocol, origin, torn, by_connect })
    }

    /// The WebSocket that another proxy may make of a request which it asks us about. It keeps `Upgrade` to itself
    /// (RFC 9110 §7.6.1); what is left of a browser's handshake are its own fields (RFC 6455 §4.1).
    #[must_use]
    pub fn told_by_proxy(headers: &HeaderMap) -> Option<Self> {
        let own = [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION, header::UPGRADE];
        if !own.iter().any(|name| headers.contains_key(name)) {
            return None;
        }
        let (origin, torn) = origin(headers);
        Some(Self { protocol: HeaderValue::from_static(WEBSOCKET), origin, torn, by_connect: true })
    }

    /// Whether it is a WebSocket.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.is(WEBSOCKET.as_bytes())
    }

    /// Whether it came by CONNECT.
    #[must_use]
    pub const fn is_by_connect(&self) -> bool {
        self.by_connect
    }

    /// What to ask the app for.
    pub(super) const fn protocol(&self) -> &HeaderValue {
        &self.protocol
    }

    /// Whether this names the protocol that was wished for.
    pub(super) fn is(&self, protocol: &[u8]) -> bool {
        self.protocol.as_bytes().eq_ignore_ascii_case(protocol)
    }

    /// Whether the route lets it through; `Ok(false)`: the request goes on without it.
    ///
    /// # Errors
    /// A WebSocket of somebody else's page, or one by CONNECT on a route that takes none.
    pub fn is_admitted(&self, app: &App, handling: &Handling) -> Result<bool, ForwardError> {
        let named = |protocol: &String| protocol == "*" || self.is(protocol.as_bytes());
        if self.is_http() || !handling.upgrades.iter().any(named) {
            return if self.by_connect { Err(ForwardError::NoTunnel) } else { Ok(false) };
        }
        if self.is_websocket() && !self.is_of_a_known_page(app, handling) {
            return Err(ForwardError::ForeignOrigin);
        }
        Ok(true)
    }

    /// Another HTTP, or TLS below it.
    fn is_http(&self) -> bool {
        let name = self.protocol.as_bytes().split(|byte| *byte == b'/').next().unwrap_or_default();
        [&b"h2c"[..], b"h2", b"h3", b"http", b"tls"].iter().any(|http| name.eq_ignore_ascii_case(http))
    }

    /// Browsers send cookies with a WebSocket that any page opens, and say whose page it is (RFC 6455 §10.2). Who says
    /// nothing is no browser, and nobody's cookies come by themselves.
    fn is_of_a_known_page(&self, app: &App, handling: &Handling) -> bool {
        let WebSocketOrigins::Listed(listed) = &handling.websocket_origins else { return true };
        if self.torn {
            return false;
        }
        let Some(origin) = &self.origin else { return true };
        let own = std::iter::once(&app.origin);
        own.chain(listed).any(|known| **origin == *known.as_str().as_bytes())
    }
}

/// The page that asks, and whether more than one claims to.
fn origin(headers: &HeaderMap) -> (Option<Box<[u8]>>, bool) {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next().map(|origin| Box::from(origin.as_bytes()));
    (origin, origins.next().is_some())
}

/// A copy that does not share the request's buffer.
fn own(value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// The one protocol in `Upgrade`, where it is to be heeded.
fn upgrade(version: Version, headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(header::UPGRADE).iter();
    let protocol = lines.next()?;
    let announced = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
    let lone = lines.next().is_none() && is_protocol(protocol.as_bytes());
    (version == Version::HTTP_11 && announced && lone).then_some(protocol)
}

/// `name` or `name/version`, both tokens.
fn is_protocol(text: &[u8]) -> bool {
    let token = |part: &[u8]| {
        let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        !part.is_empty() && part.iter().all(fine)
    };
    let mut parts = text.splitn(2, |byte| *byte == b'/');
    parts.next().is_some_and(token) && parts.next().is_none_or(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Origin;

    fn wish(method: &str, headers: &[(&str, &str)]) -> Option<Wish> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Wish::of(&request.body(()).unwrap())
    }

    fn app() -> App {
        let origin = Origin::parse("https://wiki.example.com").unwrap();
        App::new("wiki".into(), origin, None, Vec::new())
    }

    fn admitted(wish: &Wish, upgrades: &[&str], origins: WebSocketOrigins) -> Result<bool, String> {
        let upgrades = upgrades.iter().map(|&name| name.to_owned()).collect();
        let handling = Handling { upgrades, websocket_origins: origins, ..Handling::default() };
        wish.is_admitted(&app(), &handling).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_wish_is_one_protocol_that_connection_announces() {
        let (upgrade, connection) = (("upgrade", "websocket"), ("connection", "Upgrade"));
        assert!(wish("GET", &[upgrade, connection]).unwrap().is_websocket());
        assert!(wish("GET", &[("upgrade", "WebSocket"), ("connection", "close, upgrade")]).is_some());
        assert!(wish("POST", &[("upgrade", "tcp"), connection]).is_some());
        assert!(wish("GET", &[("upgrade", "irc/6.9"), connection]).is_some());
        for none in [
            &[upgrade][..],
            &[connection],
            &[upgrade, ("connection", "keep-alive")],
            &[upgrade, upgrade, connection],
            &[("upgrade", "websocket, h2c"), connection],
            &[("upgrade", "websocket,"), connection],
            &[("upgrade", ""), connection],
            &[("upgrade", "/1"), connection],
            &[("upgrade", "a/"), connection],
            &[("upgrade", "web socket"), connection],
        ] {
            assert_eq!(wish("GET", none), None, "{none:?}");
        }
        assert_eq!(wish("POST", &[upgrade, connection]), None, "a WebSocket is asked for by GET");
        assert_eq!(wish("CONNECT", &[upgrade, connection]), None, "without a protocol it is a plain CONNECT");
    }

    #[test]
    fn a_route_admits_what_it_names_and_another_http_never() {
        let of = |protocol| wish("GET", &[("upgrade", protocol), ("connection", "upgrade")]).unwrap();
        let none = || WebSocketOrigins::Listed(Vec::new());
        for (protocol, upgrades, passes) in [
            ("websocket", &["websocket"][..], true),
            ("WEBSOCKET", &["websocket"], true),
            ("websocket", &[], false),
            ("websocket", &["tcp"], false),
            ("TCP", &["websocket", "tcp"], true),
            ("tcp", &["*"], true),
            ("tcp/2", &["tcp"], false),
            ("h2c", &["*", "h2c"], false),
            ("H2C", &["*"], false),
            ("h2", &["*"], false),
            ("HTTP/2.0", &["*"], false),
            ("tls/1.2", &["*"], false),
        ] {
            assert_eq!(admitted(&of(protocol), upgrades, none()), Ok(passes), "{protocol} {upgrades:?}");
        }
    }

    #[test]
    fn only_known_pages_open_websockets() {
        let of = |origins: &[&str]| {
            let mut headers = vec![("upgrade", "websocket"), ("connection", "upgrade")];
            headers.extend(origins.iter().map(|origin| ("origin", *origin)));
            wish("GET", &headers).unwrap()
        };
        let listed = || WebSocketOrigins::Listed(vec![Origin::parse("https://other.example:8443").unwrap()]);
        let judge = |origins: &[&str], known| admitted(&of(origins), &["websocket"], known);
        for good in [&["https://wiki.example.com"][..], &["https://other.example:8443"], &[]] {
            assert_eq!(judge(good, listed()), Ok(true), "{good:?}");
        }
        for bad in [
            &["null"][..],
            &[""],
            &["http://wiki.example.com"],
            &["https://wiki.example.com:8443"],
            &["https://wiki.example.com."],
            &["https://wiki.example.com.evil.example"],
            &["https://evil.example/https://wiki.example.com"],
            &["https://sub.wiki.example.com"],
            &["https://other.example"],
            &["wiki.example.com"],
            &["https://wiki.example.com", "https://wiki.example.com"],
            &["https://wiki.example.com https://evil.example"],
        ] {
            assert_eq!(judge(bad, listed()), Err("ForeignOrigin".to_owned()), "{bad:?}");
            assert_eq!(judge(bad, WebSocketOrigins::Any), Ok(true), "{bad:?}");
        }
    }
}
