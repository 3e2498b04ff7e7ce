//! One letter to one person, and its sealed form for the outbox. Never prints its text: there is a key in it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::KeyError;
use crate::identity::Keys;
use crate::identity::Purpose;

/// A letter that is ready but for the sender's name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The site it speaks for; chooses the mailer.
    pub site: String,
    /// The one receiver.
    #[serde(with = "address")]
    pub to: EmailAddress,
    /// One line.
    pub subject: String,
    /// The whole message as plain text.
    pub text: String,
    /// The whole message as HTML.
    pub html: String,
    /// `<random@domain>`, see `Settings::message_id`; kept over retries, so that a letter that arrives twice is one.
    pub message_id: String,
    /// When it was asked for; its `Date`.
    #[serde(with = "millis")]
    pub created_at: Timestamp,
    /// The link in it, for the demo's inbox and to keep it out of errors. `None`: there is none.
    pub link: Option<String>,
    /// The code in it, likewise.
    pub code: Option<String>,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("site", &self.site).field("to", &self.to).finish_non_exhaustive()
    }
}

/// Encrypts a letter for the outbox; only the master secret opens it, and only for its own site.
///
/// # Errors
/// The cipher failed; nothing unsealed is ever returned.
pub fn seal(letter: &Letter, keys: &Keys) -> Result<Vec<u8>, KeyError> {
    // No letter can fail to be JSON: every key is a string.
    let plain = Zeroizing::new(serde_json::to_vec(letter).map_err(|_| KeyError::Crypto)?);
    keys.seal(Purpose::Letter, letter.site.as_bytes(), &plain)
}

/// Opens what [`seal`] made. `None`: another master secret, another site, or damage.
#[must_use]
pub fn open(sealed: &[u8], site: &str, keys: &Keys) -> Option<Letter> {
    let plain = keys.open(Purpose::Letter, site.as_bytes(), sealed)?;
    let letter: Letter = serde_json::from_slice(plain.expose()).ok()?;
    (letter.site == site).then_some(letter)
}

mod address {
    use super::{Deserialize, Deserializer, EmailAddress, Serializer};

    pub fn serialize<S: Serializer>(address: &EmailAddress, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(address.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EmailAddress, D::Error> {
        EmailAddress::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

mod millis {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.millis())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp::from_millis)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn letter() -> Letter {
        Letter {
            site: "wiki".into(),
            to: EmailAddress::parse("alice@example.com").unwrap(),
            subject: "Sign in to Wiki – grüße".into(),
            text: "Open https://wiki.example.com/.linkgate/verify?token=abc.def.ghi\nCode: ABCD-EFGH\n"
                .into(),
            html:
                "<p><a href=\"https://wiki.example.com/.linkgate/verify?token=abc.def.ghi\">Sign in</a></p>"
                    .into(),
            message_id: "<0b5f7a52-1111-4222-8333-944444444444@example.com>".into(),
            created_at: Timestamp::from_seconds(1_790_000_000),
            link: Some("https://wiki.example.com/.linkgate/verify?token=abc.def.ghi".into()),
            code: Some("ABCD-EFGH".into()),
        }
    }

    #[test]
    fn a_letter_never_prints_its_key() {
        let printed = format!("{:?}", letter());
        for secret in ["token", "ABCD", "alice"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn a_letter_survives_being_written_down() {
        let json = serde_json::to_vec(&letter()).unwrap();
        assert_eq!(serde_json::from_slice::<Letter>(&json).unwrap(), letter());
    }
}
