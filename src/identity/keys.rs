//! One master secret, and every key that comes of it by HKDF-SHA256 (RFC 5869), one purpose each. Signs and checks
//! our own tokens and tags, seals letters. Never reads the time: callers say what "now" is, and judge dates and audience.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{digest, hkdf, hmac};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::token::{self, TokenError, TokenKind};
use crate::clock::Timestamp;
use crate::random::Random;
use crate::secret::Secret;
use crate::secret::same;

/// The shortest master secret we take, in bytes.
const MASTER_BYTES: usize = 32;
/// First byte of what [`Keys::seal`] makes: AES-256-GCM, 12 bytes of nonce in front.
const SEALED_V1: u8 = 1;

/// The secret that everything is derived from: at least 32 bytes.
#[derive(Clone, Debug)]
pub struct MasterSecret(Secret<Vec<u8>>);

/// Why keys could not be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The master secret is shorter than 32 bytes.
    TooShort,
    /// The text of the secret is not base64.
    NotBase64,
    /// No master secret, or no epoch, was given.
    Empty,
    /// What should be signed cannot be written as JSON.
    Claims,
    /// The cryptographic library refused; nothing a setting can mend.
    Crypto,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => {
                "the master secret is shorter than 32 bytes; make one with `openssl rand -base64 32`"
            }
            Self::NotBase64 => "the master secret is not base64; make one with `openssl rand -base64 32`",
            Self::Empty => "there is no master secret or no key epoch; `secret_file` names the first, the store holds the second",
            Self::Claims => "the claims cannot be written as JSON",
            Self::Crypto => "the cryptographic library refused a key or a signature",
        })
    }
}

impl std::error::Error for KeyError {}

impl MasterSecret {
    /// Takes raw bytes into keeping.
    ///
    /// # Errors
    /// [`KeyError::TooShort`] below 32 bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, KeyError> {
        let bytes = Secret::new(bytes);
        if bytes.expose().len() < MASTER_BYTES { Err(KeyError::TooShort) } else { Ok(Self(bytes)) }
    }

    /// A new one of 32 random bytes.
    #[must_use]
    pub fn generate(random: &Random) -> Self {
        Self(Secret::new(random.bytes::<MASTER_BYTES>().to_vec()))
    }

    /// The text that a secret file holds: base64url without padding.
    #[must_use]
    pub fn encode(&self) -> Secret<String> {
        Secret::new(URL_SAFE_NO_PAD.encode(self.0.expose()))
    }

    /// Reads what [`MasterSecret::encode`] writes, and plain base64 too; white space around it is dropped.
    ///
    /// # Errors
    /// [`KeyError::NotBase64`] or [`KeyError::TooShort`].
    pub fn decode(text: &str) -> Result<Self, KeyError> {
        const LAX: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let text = text.trim();
        let standard = text.contains(['+', '/']);
        let alphabet = if standard { &alphabet::STANDARD } else { &alphabet::URL_SAFE };
        let bytes = GeneralPurpose::new(alphabet, LAX).decode(text).map_err(|_| KeyError::NotBase64)?;
        Self::new(bytes)
    }

    /// One key for one purpose.
    pub(super) fn derive(&self, info: &str) -> Result<Secret<[u8; 32]>, KeyError> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"linkgate").extract(self.0.expose());
        let mut key = [0; 32];
        prk.expand(&[info.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .map_err(|_| KeyError::Crypto)?;
        Ok(Secret::new(key))
    }

    /// Thirty-two hexadecimal digits by which an exported store knows the secret again, and which say nothing about it.
    ///
    /// # Errors
    /// [`KeyError::Crypto`].
    pub fn mark(&self) -> Result<String, KeyError> {
        let derived = self.derive("linkgate/v1/mark")?;
        Ok(derived.expose().iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// Six hexadecimal digits that tell masters apart and say nothing about them.
    fn fingerprint(&self) -> Result<String, KeyError> {
        let derived = self.derive("linkgate/v1/fingerprint")?;
        let hash = digest::digest(&digest::SHA256, derived.expose());
        Ok(hash.as_ref().iter().take(3).fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
    }
}

/// A generation of signing keys. A row in the store; not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEpoch {
    /// Eight hexadecimal digits.
    pub id: String,
    /// When it became the newest.
    pub created_at: Timestamp,
    /// Until when what it signed is believed; `None`: no end is set (the newest).
    pub accepted_until: Option<Timestamp>,
}

impl KeyEpoch {
    fn accepted(&self, now: Timestamp) -> bool {
        self.accepted_until.is_none_or(|end| now < end)
    }
}

/// What a key may be used for. A key of one purpose never opens another's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The signature of the nonce cookie.
    Nonce,
    /// The code in the letter.
    Code,
    /// The address in a link's `sub`. Of the master alone: stable over key rotation.
    Subject,
    /// The mark of a browser that has signed in before.
    Familiar,
    /// Letters at rest. Of the master alone: rotation never loses a letter.
    Letter,
}

impl Purpose {
    const ALL: [Self; 5] = [Self::Nonce, Self::Code, Self::Subject, Self::Familiar, Self::Letter];

    const fn name(self) -> &'static str {
        match self {
            Self::Nonce => "nonce",
            Self::Code => "code",
            Self::Subject => "subject",
            Self::Familiar => "familiar",
            Self::Letter => "letter",
        }
    }

    /// Whether its key outlives `key rotate`.
    const fn of_master_alone(self) -> bool {
        match self {
            Self::Subject | Self::Letter => true,
            Self::Nonce | Self::Code | Self::Familiar => false,
        }
    }
}

/// The keys of one master, one epoch.
struct EpochKeys {
    epoch: KeyEpoch,
    tokens: Vec<(TokenKind, token::Signer)>,
    tags: Vec<(Purpose, hmac::Key)>,
}

/// The keys of one master that outlive every epoch.
struct MasterKeys {
    tags: Vec<(Purpose, hmac::Key)>,
    /// One sealing key for each purpose.
    seals: Vec<(Purpose, RandomizedNonceKey)>,
}

/// Every key in use, derived once. Built anew when an epoch or a master comes or goes.
pub struct Keys {
    /// Newest epoch × current master first.
    epochs: Vec<EpochKeys>,
    /// Current master first.
    masters: Vec<MasterKeys>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("epochs", &self.epochs.len()).finish_non_exhaustive()
    }
}

impl Keys {
    /// `masters`: the current one first, then previous ones that are still believed. `epochs`: newest first.
    ///
    /// # Errors
    /// [`KeyError::Empty`] when either is empty.
    pub fn new(masters: &[MasterSecret], epochs: &[KeyEpoch]) -> Result<Self, KeyError> {
        if masters.is_empty() || epochs.is_empty() {
            return Err(KeyError::Empty);
        }
        let mut keys = Self { epochs: Vec::new(), masters: Vec::new() };
        for epoch in epochs {
            for master in masters {
                keys.epochs.push(epoch_keys(master, epoch)?);
            }
        }
        for master in masters {
            keys.masters.push(master_keys(master)?);
        }
        Ok(keys)
    }

    /// Signs `claims` as a JWT (HS256, RFC 7515) with the newest key. The header says `alg`, `typ`, `kid`.
    ///
    /// # Errors
    /// [`KeyError::Claims`] when they are not JSON.
    pub fn sign<C: Serialize>(&self, kind: TokenKind, claims: &C) -> Result<String, KeyError> {
        let newest = self.epochs.first().ok_or(KeyError::Empty)?;
        let (_, signer) = newest.tokens.iter().find(|(k, _)| *k == kind).ok_or(KeyError::Empty)?;
        signer.sign(claims)
    }

    /// Reads a token of this kind, if a key that is believed at `now` signed it. Dates and audience are the caller's.
    ///
    /// # Errors
    /// [`TokenError`] says whether it is no token of ours, a forged one, or one whose key has retired.
    pub fn verify<C: DeserializeOwned>(
        &self,
        kind: TokenKind,
        token: &str,
        now: Timestamp,
    ) -> Result<C, TokenError> {
        let parts = token::split(token)?;
        let mut known = false;
        for keys in &self.epochs {
            let signers = keys.tokens.iter().filter(|(k, signer)| *k == kind && signer.wrote(&parts));
            for (_, signer) in signers {
                if signer.signed(&parts) {
                    if !keys.epoch.accepted(now) {
                        return Err(TokenError::Retired);
                    }
                    return token::claims(&parts);
                }
                known = true;
            }
        }
        Err(if known {
            TokenError::Signature
        } else if token::is_ours(&parts, kind) {
            TokenError::Retired
        } else {
            TokenError::Malformed
        })
    }

    /// A tag over `parts` (each with its length in front, so that no two lists of parts look alike), by the newest key.
    #[must_use]
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let mut tag = [0; 32];
        if let Some(key) = self.tag_keys(purpose, None).next() {
            let signed = tag_of(key, parts);
            for (to, from) in tag.iter_mut().zip(signed.as_ref()) {
                *to = *from;
            }
        }
        tag
    }

    /// Whether `tag` (or at least its first 16 bytes) is over `parts` by any key believed at `now`. Constant time.
    #[must_use]
    pub fn mac_matches(&self, purpose: Purpose, parts: &[&[u8]], tag: &[u8], now: Timestamp) -> bool {
        (16..=32).contains(&tag.len())
            && self.tag_keys(purpose, Some(now)).fold(false, |found, key| {
                let expected = tag_of(key, parts);
                found | expected.as_ref().get(..tag.len()).is_some_and(|start| same(start, tag))
            })
    }

    /// Seals `plain` (AES-256-GCM, random nonce), bound to `context`, by the current master.
    ///
    /// # Errors
    /// [`KeyError::Crypto`] when the library refuses: nothing unsealed is ever returned.
    pub fn seal(&self, purpose: Purpose, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = self.seal_keys(purpose).next().ok_or(KeyError::Empty)?;
        let mut secret = plain.to_vec();
        let nonce =
            key.seal_in_place_append_tag(Aad::from(context), &mut secret).map_err(|_| KeyError::Crypto)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + secret.len());
        sealed.push(SEALED_V1);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&secret);
        Ok(sealed)
    }

    /// Opens what [`Keys::seal`] made under this or a previous master; `None` for anything else.
    #[must_use]
    pub fn open(&self, purpose: Purpose, context: &[u8], sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        let (&version, rest) = sealed.split_first()?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
        if version != SEALED_V1 {
            return None;
        }
        self.seal_keys(purpose).find_map(|key| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut plain = body.to_vec();
            let length = key.open_in_place(nonce, Aad::from(context), &mut plain).ok()?.len();
            plain.truncate(length);
            Some(Secret::new(plain))
        })
    }

    /// Newest and current first; all of them for `None`, else those believed at that moment.
    fn tag_keys(&self, purpose: Purpose, at: Option<Timestamp>) -> impl Iterator<Item = &hmac::Key> {
        let of_epochs = self
            .epochs
            .iter()
            .filter(move |keys| at.is_none_or(|now| keys.epoch.accepted(now)))
            .flat_map(|keys| &keys.tags);
        let of_masters = self.masters.iter().flat_map(|keys| &keys.tags);
        of_epochs.chain(of_masters).filter(move |(p, _)| *p == purpose).map(|(_, key)| key)
    }

    fn seal_keys(&self, purpose: Purpose) -> impl Iterator<Item = &RandomizedNonceKey> {
        let all = self.masters.iter().flat_map(|keys| &keys.seals);
        all.filter(move |(p, _)| *p == purpose).map(|(_, key)| key)
    }
}

fn epoch_keys(master: &MasterSecret, epoch: &KeyEpoch) -> Result<EpochKeys, KeyError> {
    let kid = format!("{}{}", epoch.id, master.fingerprint()?);
    let key = |purpose: &str| master.derive(&format!("linkgate/v1/{purpose}/{}", epoch.id));
    let mut keys = EpochKeys { epoch: epoch.clone(), tokens: Vec::new(), tags: Vec::new() };
    for kind in TokenKind::ALL {
        keys.tokens.push((kind, token::Signer::new(kind, &kid, &key(kind.purpose())?)));
    }
    for purpose in Purpose::ALL.into_iter().filter(|p| !p.of_master_alone()) {
        keys.tags.push((purpose, hmac::Key::new(hmac::HMAC_SHA256, key(purpose.name())?.expose())));
    }
    Ok(keys)
}

fn master_keys(master: &MasterSecret) -> Result<MasterKeys, KeyError> {
    let mut keys = MasterKeys { tags: Vec::new(), seals: Vec::new() };
    for purpose in Purpose::ALL {
        if purpose.of_master_alone() {
            let key = master.derive(&format!("linkgate/v1/{}/master", purpose.name()))?;
            keys.tags.push((purpose, hmac::Key::new(hmac::HMAC_SHA256, key.expose())));
        }
        let key = master.derive(&format!("linkgate/v1/seal-{}/master", purpose.name()))?;
        let seal = RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map_err(|_| KeyError::Crypto)?;
        keys.seals.push((purpose, seal));
    }
    Ok(keys)
}

fn tag_of(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Claims {
        sub: String,
    }

    fn claims() -> Claims {
        Claims { sub: "alice@example.com".to_owned() }
    }

    fn master(byte: u8) -> MasterSecret {
        MasterSecret::new(vec![byte; 32]).unwrap()
    }

    fn epoch(id: &str, until: Option<i64>) -> KeyEpoch {
        KeyEpoch {
            id: id.to_owned(),
            created_at: Timestamp::default(),
            accepted_until: until.map(Timestamp::from_seconds),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_seconds(1_000)
    }

    fn keys() -> Keys {
        Keys::new(&[master(1)], &[epoch("00000001", None)]).unwrap()
    }

    #[test]
    fn a_token_comes_back_as_it_was_signed() {
        let token = keys().sign(TokenKind::Session, &claims()).unwrap();
        assert_eq!(keys().verify::<Claims>(TokenKind::Session, &token, now()), Ok(claims()));
    }

    #[test]
    fn a_session_token_is_not_a_link_token() {
        let token = keys().sign(TokenKind::Session, &claims()).unwrap();
        assert_eq!(keys().verify::<Claims>(TokenKind::Link, &token, now()), Err(TokenError::Malformed));
        // Nor does a link's header over the same signature help.
        let link = keys().sign(TokenKind::Link, &claims()).unwrap();
        let mixed = format!("{}.{}", link.split('.').next().unwrap(), token.split_once('.').unwrap().1);
        assert_eq!(keys().verify::<Claims>(TokenKind::Link, &mixed, now()), Err(TokenError::Signature));
    }

    #[test]
    fn a_token_without_an_algorithm_or_with_another_is_refused() {
        let token = keys().sign(TokenKind::Session, &claims()).unwrap();
        let mut parts = token.split('.');
        let kid: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap();
        let body = parts.next().unwrap();
        for alg in ["none", "None", "HS384", "ES256"] {
            let header = serde_json::json!({"alg": alg, "typ": "lgs+jwt", "kid": kid["kid"]}).to_string();
            let header = URL_SAFE_NO_PAD.encode(header);
            for forged in
                [format!("{header}.{body}."), format!("{header}.{body}.{}", parts.clone().next().unwrap())]
            {
                assert!(keys().verify::<Claims>(TokenKind::Session, &forged, now()).is_err(), "{alg}");
            }
        }
    }

    #[test]
    fn a_token_of_another_key_is_retired_and_never_read() {
        let other = Keys::new(&[master(1)], &[epoch("00000002", None)]).unwrap();
        let token = other.sign(TokenKind::Session, &claims()).unwrap();
        assert_eq!(keys().verify::<Claims>(TokenKind::Session, &token, now()), Err(TokenError::Retired));
        let stranger = Keys::new(&[master(9)], &[epoch("00000001", None)]).unwrap();
        let token = stranger.sign(TokenKind::Session, &claims()).unwrap();
        assert_eq!(keys().verify::<Claims>(TokenKind::Session, &token, now()), Err(TokenError::Retired));
    }

    #[test]
    fn a_rotated_epoch_is_believed_until_its_end() {
        let token = keys().sign(TokenKind::Session, &claims()).unwrap();
        let rotated =
            Keys::new(&[master(1)], &[epoch("00000002", None), epoch("00000001", Some(2_000))]).unwrap();
        assert!(rotated.verify::<Claims>(TokenKind::Session, &token, now()).is_ok());
        let late = Timestamp::from_seconds(2_000);
        assert_eq!(rotated.verify::<Claims>(TokenKind::Session, &token, late), Err(TokenError::Retired));
        assert_ne!(rotated.sign(TokenKind::Session, &claims()).unwrap(), token);
    }

    #[test]
    fn every_tampered_byte_is_noticed() {
        let token = keys().sign(TokenKind::Link, &claims()).unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            assert!(keys().verify::<Claims>(TokenKind::Link, &forged, now()).is_err(), "{at}");
        }
        for odd in ["", ".", "..", "a.b", "a.b.c.d", "ä.ö.ü", &format!("{token}="), &format!(" {token}")] {
            assert!(keys().verify::<Claims>(TokenKind::Link, odd, now()).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_previous_master_is_believed_and_a_dropped_one_is_not() {
        let token = keys().sign(TokenKind::Session, &claims()).unwrap();
        let both = Keys::new(&[master(2), master(1)], &[epoch("00000001", None)]).unwrap();
        assert_eq!(both.verify::<Claims>(TokenKind::Session, &token, now()), Ok(claims()));
        let alone = Keys::new(&[master(2)], &[epoch("00000001", None)]).unwrap();
        assert_eq!(alone.verify::<Claims>(TokenKind::Session, &token, now()), Err(TokenError::Retired));
    }

    #[test]
    fn a_session_token_with_a_long_address_fits_its_cookie() {
        use crate::identity::{SessionClaims, SessionId};
        let claims = SessionClaims {
            sid: SessionId::from_bytes([255; 16]).to_string(),
            sub: format!("{}@{}.example", "a".repeat(60), "b".repeat(31)),
            iss: "wiki.example.com".to_owned(),
            aud: "https://wiki.example.com".to_owned(),
            iat: 1_700_000_000,
            exp: 1_700_000_000,
            end: 1_700_000_000,
            generation: 12,
        };
        assert_eq!(claims.sub.len(), 100);
        let token = keys().sign(TokenKind::Session, &claims).unwrap();
        assert!("__Host-linkgate=".len() + token.len() <= 500, "{}", token.len());
    }

    #[test]
    fn tags_know_where_their_parts_begin_and_what_they_are_for() {
        let tag = keys().mac(Purpose::Nonce, &[b"ab", b"c"]);
        assert!(keys().mac_matches(Purpose::Nonce, &[b"ab", b"c"], &tag, now()));
        assert!(keys().mac_matches(Purpose::Nonce, &[b"ab", b"c"], &tag[..16], now()));
        assert!(!keys().mac_matches(Purpose::Nonce, &[b"a", b"bc"], &tag, now()));
        assert!(!keys().mac_matches(Purpose::Code, &[b"ab", b"c"], &tag, now()));
        assert!(!keys().mac_matches(Purpose::Nonce, &[b"ab", b"c"], &tag[..15], now()));
        assert!(!keys().mac_matches(Purpose::Nonce, &[b"ab", b"c"], &[], now()));
    }

    #[test]
    fn a_tag_of_a_subject_outlives_rotation_and_a_nonce_does_not() {
        let (subject, nonce) = (keys().mac(Purpose::Subject, &[b"x"]), keys().mac(Purpose::Nonce, &[b"x"]));
        let rotated =
            Keys::new(&[master(1)], &[epoch("00000002", None), epoch("00000001", Some(10))]).unwrap();
        assert_eq!(rotated.mac(Purpose::Subject, &[b"x"]), subject);
        assert!(!rotated.mac_matches(Purpose::Nonce, &[b"x"], &nonce, now()));
    }

    #[test]
    fn a_sealed_letter_opens_after_rotation_and_only_in_its_context() {
        let sealed = keys().seal(Purpose::Letter, b"letter-1", b"hello").unwrap();
        assert!(!sealed.windows(5).any(|w| w == b"hello"));
        let later = Keys::new(&[master(2), master(1)], &[epoch("00000002", None)]).unwrap();
        assert_eq!(later.open(Purpose::Letter, b"letter-1", &sealed).unwrap().expose(), b"hello");
        assert!(later.open(Purpose::Letter, b"letter-2", &sealed).is_none());
        assert!(later.open(Purpose::Nonce, b"letter-1", &sealed).is_none());
        let alone = Keys::new(&[master(2)], &[epoch("00000002", None)]).unwrap();
        assert!(alone.open(Purpose::Letter, b"letter-1", &sealed).is_none());
        for cut in 0..sealed.len() {
            assert!(later.open(Purpose::Letter, b"letter-1", &sealed[..cut]).is_none());
        }
        assert_ne!(keys().seal(Purpose::Letter, b"letter-1", b"hello").unwrap(), sealed);
    }

    #[test]
    fn a_secret_is_long_enough_or_refused_and_never_printed() {
        assert_eq!(MasterSecret::new(vec![0; 31]).unwrap_err(), KeyError::TooShort);
        assert_eq!(MasterSecret::decode("not base64 at all").unwrap_err(), KeyError::NotBase64);
        assert_eq!(MasterSecret::decode("c2hvcnQ").unwrap_err(), KeyError::TooShort);
        let made = MasterSecret::generate(&Random::seeded(1));
        let text = made.encode();
        let read = MasterSecret::decode(&format!("{}\n", text.expose())).unwrap();
        assert_eq!(read.0, made.0);
        let padded = base64::engine::general_purpose::STANDARD.encode([251; 32]);
        assert_eq!(MasterSecret::decode(&padded).unwrap().0.expose(), &vec![251; 32]);
        let keys = Keys::new(std::slice::from_ref(&made), &[epoch("00000001", None)]).unwrap();
        assert!(!format!("{made:?} {keys:?}").contains(text.expose().as_str()));
        assert_eq!(Keys::new(&[], &[]).unwrap_err(), KeyError::Empty);
    }
}
