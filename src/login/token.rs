//! The token in a link (JWT, RFC 7519). Never holds the address, and never reaches the store with a bad signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;

use super::code::hash;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::KeyError;
use crate::identity::Keys;
use crate::identity::Purpose;
use crate::identity::TokenKind;
use crate::policy::Site;
use crate::random::Random;

/// Longest token read; ours are about 350 bytes.
const LONGEST: usize = 2048;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkClaims {
    /// 32 random bytes: the store knows only their hash.
    jti: String,
    /// The origin of the site's `url`.
    iss: String,
    /// The site's name.
    aud: String,
    /// Seconds; absent: for ever.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    exp: Option<i64>,
    /// HMAC of the canonical address: who holds the link does not read the address.
    sub: String,
}

/// A token as made: its text, and what the store keeps of it.
pub(super) struct Minted {
    pub text: String,
    pub hash: [u8; 32],
}

/// A token as read: ours, for this site.
#[derive(Debug)]
pub(super) struct Read {
    pub hash: [u8; 32],
    pub expired: bool,
}

/// Why a token is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not even our form: an older system's link.
    Foreign,
    /// Cut, altered, of another site, or signed with a key that is no longer known.
    Invalid,
}

/// A fresh token.
pub(super) fn mint(
    keys: &Keys,
    random: &Random,
    site: &Site,
    email: &EmailAddress,
    expires_at: Option<Timestamp>,
) -> Result<Minted, KeyError> {
    let jti: [u8; 32] = random.bytes();
    let claims = LinkClaims {
        jti: URL_SAFE_NO_PAD.encode(jti),
        iss: site.url.as_str().to_owned(),
        aud: site.name.clone(),
        exp: expires_at.map(Timestamp::seconds),
        sub: subject(keys, site, email),
    };
    Ok(Minted { text: keys.sign(TokenKind::Link, &claims)?, hash: hash(&jti) })
}

/// Reads a token; an expired one is still ours (a fresh letter may be asked for with it).
pub(super) fn read(keys: &Keys, site: &Site, text: &str, now: Timestamp) -> Result<Read, Fault> {
    if !text.starts_with("eyJ") {
        return Err(if text.is_empty() { Fault::Invalid } else { Fault::Foreign });
    }
    if text.len() > LONGEST {
        return Err(Fault::Invalid);
    }
    let claims: LinkClaims = keys.verify(TokenKind::Link, text, now).map_err(|_| Fault::Invalid)?;
    if claims.iss != site.url.as_str() || claims.aud != site.name {
        return Err(Fault::Invalid);
    }
    let jti = URL_SAFE_NO_PAD.decode(&claims.jti).map_err(|_| Fault::Invalid)?;
    if jti.len() != 32 {
        return Err(Fault::Invalid);
    }
    let expired = claims.exp.is_some_and(|exp| now >= Timestamp::from_seconds(exp));
    Ok(Read { hash: hash(&jti), expired })
}

fn subject(keys: &Keys, site: &Site, email: &EmailAddress) -> String {
    URL_SAFE_NO_PAD.encode(keys.mac(Purpose::Subject, &[site.name.as_bytes(), email.as_str().as_bytes()]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::keys;
    use super::super::fixture::site;
    use super::*;

    #[test]
    fn a_token_is_read_by_its_own_site_only_and_names_nobody() {
        let (keys, site, now) = (keys(), site(), Timestamp::from_seconds(1_000_000));
        let alice = EmailAddress::parse("alice@example.com").unwrap();
        let end = now + Duration::from_mins(10);
        let minted = mint(&keys, &Random::seeded(1), &site, &alice, Some(end)).unwrap();
        let middle = minted.text.split('.').nth(1).unwrap();
        let body = String::from_utf8(URL_SAFE_NO_PAD.decode(middle).unwrap()).unwrap();
        assert!(!body.contains("alice"), "{body}");

        let read_at = |at| read(&keys, &site, &minted.text, at);
        assert_eq!(read_at(now).unwrap().hash, minted.hash);
        assert!(!read_at(now).unwrap().expired);
        assert!(read_at(end).unwrap().expired);

        let mut other = site.clone();
        other.name = "blog".into();
        assert_eq!(read(&keys, &other, &minted.text, now).unwrap_err(), Fault::Invalid);
    }

    #[test]
    fn what_is_cut_or_altered_is_invalid_and_what_is_not_ours_is_foreign() {
        let (keys, site, now) = (keys(), site(), Timestamp::from_seconds(1_000_000));
        let alice = EmailAddress::parse("alice@example.com").unwrap();
        let text = mint(&keys, &Random::seeded(1), &site, &alice, None).unwrap().text;
        assert!(read(&keys, &site, &text, now).is_ok());
        for cut in 3..text.len() {
            assert_eq!(read(&keys, &site, text.get(..cut).unwrap(), now).unwrap_err(), Fault::Invalid);
        }
        for other in ["abc123", "0f8fad5b-d9cb-469f-a165-70867728950e", "v1.x.y"] {
            assert_eq!(read(&keys, &site, other, now).unwrap_err(), Fault::Foreign);
        }
        assert_eq!(read(&keys, &site, "", now).unwrap_err(), Fault::Invalid);
        assert_eq!(read(&keys, &site, &"eyJ".repeat(5000), now).unwrap_err(), Fault::Invalid);
    }
}
