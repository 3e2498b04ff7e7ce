//! The JWT form of our own tokens (RFC 7519, HS256 as RFC 7515 writes it). Never takes an algorithm, key or type from a
//! header: a header counts only when it is, byte for byte, the one that we would have written (RFC 8725 §3.1, §3.11).

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keys::KeyError;
use crate::secret::Secret;

/// Longer texts are not ours: no need to look.
const LONGEST: usize = 4096;

/// What a token is for; each has its own `typ` and its own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A session cookie or bearer token: `lgs+jwt`.
    Session,
    /// A sign-in link: `lgl+jwt`.
    Link,
}

impl TokenKind {
    pub(super) const ALL: [Self; 2] = [Self::Session, Self::Link];

    const fn typ(self) -> &'static str {
        match self {
            Self::Session => "lgs+jwt",
            Self::Link => "lgl+jwt",
        }
    }

    pub(super) const fn purpose(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Link => "link",
        }
    }
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not a token of this kind at all.
    Malformed,
    /// It names a key of ours, which did not sign it.
    Signature,
    /// It names a key that is not believed any more.
    Retired,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "this is not a token of linkgate",
            Self::Signature => "the token's signature is wrong",
            Self::Retired => "the token was signed with a key that has retired; sign in again",
        })
    }
}

impl std::error::Error for TokenError {}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// One key for one kind of token, with the header that it writes.
pub(super) struct Signer {
    /// Base64url of the header.
    header: String,
    key: hmac::Key,
}

impl Signer {
    pub(super) fn new(kind: TokenKind, key_id: &str, secret: &Secret<[u8; 32]>) -> Self {
        let header = format!(r#"{{"alg":"HS256","typ":"{}","kid":"{key_id}"}}"#, kind.typ());
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        Self { header: URL_SAFE_NO_PAD.encode(header), key }
    }

    pub(super) fn sign<C: Serialize>(&self, claims: &C) -> Result<String, KeyError> {
        let claims = serde_json::to_vec(claims).map_err(|_| KeyError::Claims)?;
        let mut token = self.header.clone();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let tag = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut token);
        Ok(token)
    }

    /// Whether the header is the one that this key writes.
    pub(super) fn wrote(&self, parts: &Parts<'_>) -> bool {
        parts.header == self.header
    }

    /// Whether this key made the signature. Constant time.
    pub(super) fn signed(&self, parts: &Parts<'_>) -> bool {
        hmac::verify(&self.key, parts.signed.as_bytes(), &parts.tag).is_ok()
    }
}

/// A token taken apart; nothing in it is believed yet.
pub(super) struct Parts<'a> {
    header: &'a str,
    body: &'a str,
    /// Header, dot, body.
    signed: &'a str,
    tag: Vec<u8>,
}

pub(super) fn split(token: &str) -> Result<Parts<'_>, TokenError> {
    if token.len() > LONGEST {
        return Err(TokenError::Malformed);
    }
    let (signed, tag) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, body) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| TokenError::Malformed)?;
    Ok(Parts { header, body, signed, tag })
}

/// Whether the header is of a token that we may have signed once, with a key that we no longer know.
pub(super) fn is_ours(parts: &Parts<'_>, kind: TokenKind) -> bool {
    URL_SAFE_NO_PAD.decode(parts.header).is_ok_and(|json| {
        serde_json::from_slice::<Header<'_>>(&json).is_ok_and(|h| h.alg == "HS256" && h.typ == kind.typ())
    })
}

/// The claims; only ever called after the signature was found good.
pub(super) fn claims<C: DeserializeOwned>(parts: &Parts<'_>) -> Result<C, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(parts.body).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_library_reads_what_we_sign() {
        #[derive(Deserialize)]
        struct Claims {
            sub: String,
        }
        let key = Secret::new([7; 32]);
        let token = Signer::new(TokenKind::Link, "k", &key).sign(&serde_json::json!({"sub": "s"})).unwrap();
        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        let read = jsonwebtoken::decode::<Claims>(
            &token,
            &jsonwebtoken::DecodingKey::from_secret(key.expose()),
            &rules,
        )
        .unwrap();
        assert_eq!(read.claims.sub, "s");
        assert_eq!(read.header.typ.as_deref(), Some("lgl+jwt"));
    }
}
