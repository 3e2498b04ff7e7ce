//! The identity assertion that apps may verify: a JWT with ES256 (RFC 7518 §3.4) and the public keys for it (RFC 7517).
//! Never used for anything of our own: sessions and links have keys that nobody else knows.

use std::fmt;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::keys::KeyError;
use super::keys::MasterSecret;

/// What an app learns of the person, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AssertionClaims {
    /// The site's origin.
    pub iss: String,
    /// The app's origin: an assertion for one app is worthless at another.
    pub aud: String,
    /// What `Remote-User` says.
    pub sub: String,
    /// The canonical address.
    pub email: String,
    /// Empty where unknown.
    pub name: String,
    /// Sorted.
    pub groups: Vec<String>,
    /// The session's id.
    pub sid: String,
    /// Signed at, seconds.
    pub iat: i64,
    /// Not believed after, seconds: `iat` + 300.
    pub exp: i64,
}

/// The key that signs assertions, and the public keys of this and of previous masters.
pub struct AssertionKey {
    pair: EcdsaKeyPair,
    /// Base64url of the header.
    header: String,
    jwks: String,
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionKey").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
    r#use: &'static str,
    alg: &'static str,
    kid: String,
}

#[derive(Serialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

impl AssertionKey {
    /// `masters`: the current one, which signs, first.
    ///
    /// # Errors
    /// [`KeyError::Empty`] without a master.
    pub fn new(masters: &[MasterSecret]) -> Result<Self, KeyError> {
        let mut pairs = Vec::new();
        let mut keys = Vec::new();
        for master in masters {
            let (pair, public) = key_pair(master)?;
            keys.push(jwk(&public)?);
            pairs.push(pair);
        }
        let kid = &keys.first().ok_or(KeyError::Empty)?.kid;
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{kid}"}}"#));
        let jwks = serde_json::to_string(&Jwks { keys }).map_err(|_| KeyError::Claims)?;
        let pair = pairs.into_iter().next().ok_or(KeyError::Empty)?;
        Ok(Self { pair, header, jwks })
    }

    /// The public keys as a JWK set (RFC 7517 §5): the current master's first.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.jwks.clone()
    }

    /// Signs an assertion. Costs about as much as a whole request: sign once a session, not once a request.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the library refuses.
    pub fn sign(&self, claims: &AssertionClaims) -> Result<String, KeyError> {
        let claims = serde_json::to_vec(claims).map_err(|_| KeyError::Claims)?;
        let mut token = self.header.clone();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature =
            self.pair.sign(&SystemRandom::new(), token.as_bytes()).map_err(|_| KeyError::Crypto)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }
}

/// The P-256 key of a master. A derived value that is no scalar of the curve (chance 2⁻³²) is passed over.
fn key_pair(master: &MasterSecret) -> Result<(EcdsaKeyPair, Vec<u8>), KeyError> {
    for attempt in 0..8 {
        let scalar = master.derive(&format!("linkgate/v1/assertion/{attempt}"))?;
        let Ok(private) = PrivateKey::from_private_key(&ECDH_P256, scalar.expose()) else { continue };
        let public = private.compute_public_key().map_err(|_| KeyError::Crypto)?.as_ref().to_vec();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            scalar.expose(),
            &public,
        )
        .map_err(|_| KeyError::Crypto)?;
        return Ok((pair, public));
    }
    Err(KeyError::Crypto)
}

/// From the uncompressed point (`04 x y`); `kid` is the thumbprint (RFC 7638).
fn jwk(public: &[u8]) -> Result<Jwk, KeyError> {
    let point = public.strip_prefix(&[4]).filter(|p| p.len() == 64).ok_or(KeyError::Crypto)?;
    let (x, y) = point.split_at(32);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let kid = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
    Ok(Jwk { kty: "EC", crv: "P-256", x, y, r#use: "sig", alg: "ES256", kid })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Read {
        sub: String,
        groups: Vec<String>,
    }

    fn master(byte: u8) -> MasterSecret {
        MasterSecret::new(vec![byte; 32]).unwrap()
    }

    fn claims() -> AssertionClaims {
        AssertionClaims {
            iss: "https://wiki.example.com".to_owned(),
            aud: "https://photos.example.com".to_owned(),
            sub: "1017".to_owned(),
            email: "alice@example.com".to_owned(),
            name: "Alice".to_owned(),
            groups: vec!["staff".to_owned()],
            sid: "s".to_owned(),
            iat: 4_000_000_000,
            exp: 4_000_000_300,
        }
    }

    fn read(jwks: &str, token: &str, audience: &str) -> Option<Read> {
        let set: JwkSet = serde_json::from_str(jwks).unwrap();
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&[audience]);
        rules.set_issuer(&["https://wiki.example.com"]);
        let key = DecodingKey::from_jwk(set.find(&kid)?).unwrap();
        jsonwebtoken::decode::<Read>(token, &key, &rules).ok().map(|data| data.claims)
    }

    #[test]
    fn an_app_verifies_an_assertion_with_the_published_keys() {
        let key = AssertionKey::new(&[master(1)]).unwrap();
        let token = key.sign(&claims()).unwrap();
        let seen = read(&key.jwks(), &token, "https://photos.example.com").unwrap();
        assert_eq!((seen.sub.as_str(), seen.groups.len()), ("1017", 1));
        assert!(read(&key.jwks(), &token, "https://other.example.com").is_none());
        let stranger = AssertionKey::new(&[master(9)]).unwrap();
        assert!(read(&stranger.jwks(), &token, "https://photos.example.com").is_none());
    }

    #[test]
    fn the_key_is_the_same_after_a_restart_and_published_after_a_change_of_master() {
        let token = AssertionKey::new(&[master(1)]).unwrap().sign(&claims()).unwrap();
        let changed = AssertionKey::new(&[master(2), master(1)]).unwrap();
        assert!(read(&changed.jwks(), &token, "https://photos.example.com").is_some());
        let ours = changed.sign(&claims()).unwrap();
        assert_ne!(ours.split('.').next(), token.split('.').next());
        assert!(!changed.jwks().contains("\"d\""));
        assert_eq!(AssertionKey::new(&[]).unwrap_err(), KeyError::Empty);
    }
}
