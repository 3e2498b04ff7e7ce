//! What a session cookie says. Never asks whether the session was revoked: that is [`super::Standing`].

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::random::Random;

/// The longest that a session lasts, whatever the configuration says: ten years.
pub const LONGEST_SESSION: Duration = Duration::from_hours(3_650 * 24);

/// The public name of a session: 16 random bytes. It lets nobody in without a signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A new one. Its text never begins with `-`: people paste it behind `session revoke`.
    #[must_use]
    pub fn new(random: &Random) -> Self {
        loop {
            let id = Self(random.bytes());
            if !id.to_string().starts_with('-') {
                return id;
            }
        }
    }

    /// Parses the 22 characters that `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The raw bytes, as the store keeps them.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From the raw bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// The claims of a session token (JWT, RFC 7519). Names are short: the cookie is at most 500 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionClaims {
    /// Session id, 22 characters.
    pub sid: String,
    /// Canonical address.
    pub sub: String,
    /// The site's name: a session of one site never serves another.
    pub iss: String,
    /// The origin of the host that this cookie is for: no app can replay it at another.
    pub aud: String,
    /// When the person signed in, seconds.
    pub iat: i64,
    /// Idle end, seconds: moves with every renewal.
    pub exp: i64,
    /// Absolute end, seconds: never moves.
    pub end: i64,
    /// The person's generation at sign-in; a higher one in the store ends the session.
    #[serde(rename = "gen")]
    pub generation: u64,
}

impl SessionClaims {
    /// The earlier of the idle and the absolute end.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.exp.min(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_never_taken_for_an_option_and_reads_back() {
        let random = Random::seeded(7);
        for _ in 0..2_000 {
            let id = SessionId::new(&random);
            let text = id.to_string();
            assert!(!text.starts_with('-'), "{text}");
            assert_eq!(SessionId::parse(&text), Some(id));
        }
    }
}
