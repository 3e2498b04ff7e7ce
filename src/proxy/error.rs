//! What can go wrong between visitor and app, by who is at fault. Never a status: only the gate answers visitors.

use std::error::Error;
use std::fmt;
use std::io;

use super::tls;

/// Why a request was not forwarded, or an answer broke off.
#[derive(Debug)]
pub enum ForwardError {
    /// No connection to the upstream: refused, unreachable, or its name is unknown.
    Refused(io::Error),
    /// Too much is under way to apps already, or the kernel gives no more descriptors or ports.
    Full,
    /// A connection, but no trust: the handshake of TLS failed. Names the endpoint, what is wrong, and the cure.
    Tls(String),
    /// No connection within `connect_timeout`, name look-up included.
    ConnectTimeout,
    /// No answer within `response_timeout`, or a body that stood still for `idle_timeout`.
    ResponseTimeout,
    /// The upstream spoke nonsense or hung up.
    Broken(String),
    /// The visitor's body is larger than `max_body`.
    BodyTooLarge,
    /// The visitor's body failed, or the request cannot be written as it was asked.
    VisitorBody(String),
    /// The visitor's body stood still for too long.
    BodyTimeout,
    /// The visitor's path cannot be turned into one that the app is asked for.
    Path(&'static str),
    /// A WebSocket that a page of somebody else opens.
    ForeignOrigin,
    /// A WebSocket over HTTP/2 on a route that takes none.
    NoTunnel,
    /// A request with a body that wants to switch protocols, or one that cannot be written so.
    UpgradeBody,
}

impl ForwardError {
    /// The same once more, for others who waited for the same connection.
    pub(super) fn copy(&self) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(io::Error::new(error.kind(), error.to_string())),
            Self::Tls(why) => Self::Tls(why.clone()),
            Self::Broken(why) => Self::Broken(why.clone()),
            Self::Full => Self::Full,
            Self::ConnectTimeout => Self::ConnectTimeout,
            other => Self::Broken(other.to_string()),
        }
    }

    /// From hyper's error on the upstream's connection, with what lies below it.
    pub(super) fn broken(error: &hyper::Error) -> Self {
        // TLS 1.3 lets an app refuse our certificate when the handshake is over for us.
        let mut below = error.source();
        while let Some(cause) = below {
            if let Some(why) = cause.downcast_ref::<io::Error>().and_then(tls::explain) {
                return Self::Tls(why);
            }
            below = cause.source();
        }
        Self::Broken(chain(error))
    }
}

/// An error with its sources, outermost first.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        below = cause.source();
    }
    text
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => {
                write!(
                    f,
                    "the app cannot be reached ({error}); check that it runs and the upstream's address"
                )
            }
            Self::Full => f.write_str(
                "too many requests are under way to apps; look for an app that hangs, or raise LimitNOFILE of the unit",
            ),
            Self::Tls(why) => write!(f, "the app cannot be trusted or does not trust us: {why}"),
            Self::ConnectTimeout => f.write_str(
                "the app takes no connection, or does not finish the handshake on it; check its address and \
                     scheme, or raise connect_timeout",
            ),
            Self::ResponseTimeout => f.write_str(
                "the app does not answer; look into its log or raise response_timeout, idle_timeout",
            ),
            Self::Broken(why) => write!(f, "the app's answer is broken ({why}); look into its log"),
            Self::BodyTooLarge => f.write_str("the request's body is too large; send less or raise max_body"),
            Self::VisitorBody(why) => {
                write!(f, "the visitor's request broke off or cannot be sent on ({why})")
            }
            Self::BodyTimeout => {
                f.write_str("the visitor's request body stood still for too long; send it again")
            }
            Self::Path(why) => write!(f, "the visitor's path is not sent on ({why})"),
            Self::ForeignOrigin => f.write_str(
                "a page of another origin opened a WebSocket; if it may, add its origin to websocket_origins",
            ),
            Self::NoTunnel => f.write_str("this route takes no WebSockets; if it should, add it to upgrades"),
            Self::UpgradeBody => f.write_str("a request that switches protocols has no body"),
        }
    }
}

impl Error for ForwardError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Full
            | Self::Tls(_)
            | Self::ConnectTimeout
            | Self::ResponseTimeout
            | Self::Broken(_)
            | Self::BodyTooLarge
            | Self::VisitorBody(_)
            | Self::BodyTimeout
            | Self::Path(_)
            | Self::ForeignOrigin
            | Self::NoTunnel
            | Self::UpgradeBody => None,
        }
    }
}
