//! What a route changes in the requests and answers that pass, beyond what every one has done to it. Values only.

use http::HeaderName;
use http::HeaderValue;

use super::Origin;
use crate::secret::Secret;

/// A route's wishes; the default changes nothing, and lets WebSockets of the app's own origin through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handling {
    /// `strip_prefix`: taken off the path, on segment borders, before it is forwarded.
    pub strip_prefix: Option<String>,
    /// `set_request_headers`: set last, for the app; an empty value removes the header.
    pub request_headers: Vec<(HeaderName, HeaderValue)>,
    /// `set_response_headers`: set last, for the visitor; an empty value removes the header.
    pub response_headers: Vec<(HeaderName, HeaderValue)>,
    /// `basic`: an account of the app's own that is sent as `Authorization: Basic`.
    pub basic: Option<BasicAccount>,
    /// `upstream_host`: what the app sees as `Host`.
    pub host: UpstreamHost,
    /// `websocket_origins`: origins besides the app's own whose pages may open WebSockets.
    pub websocket_origins: WebSocketOrigins,
    /// `upgrades`: protocols that `Upgrade` may ask for, in lower case; `"*"`: any.
    pub upgrades: Vec<String>,
    /// `cache = "app"`: the app's own `Cache-Control` counts for signed-in answers too.
    pub app_caches: bool,
}

impl Default for Handling {
    fn default() -> Self {
        Self {
            strip_prefix: None,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            basic: None,
            host: UpstreamHost::Visitor,
            websocket_origins: WebSocketOrigins::Listed(Vec::new()),
            upgrades: vec!["websocket".to_owned()],
            app_caches: false,
        }
    }
}

/// `basic = { user = "{attributes.php}", password_file = "php.pw" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicAccount {
    /// A template, as in an identity table.
    pub user: String,
    /// The same for everybody.
    pub password: Secret<String>,
}

/// What the app sees as `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamHost {
    /// What the visitor asked for, as configured: `"visitor"`.
    Visitor,
    /// The endpoint's own `host[:port]`: `"upstream"`.
    Upstream,
    /// A name of its own.
    Fixed(HeaderValue),
}

/// Whose pages may open WebSockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketOrigins {
    /// The app's own origin, and these.
    Listed(Vec<Origin>),
    /// `"*"`: anybody's; the app looks at `Origin` itself.
    Any,
}
