//! The nonce cookie: which browser asked, for whom it waits, and who has signed in from it before. Never believed
//! without our signature; another host's or another site's is none.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::code::hash;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::Keys;
use crate::identity::Purpose;
use crate::random::Random;

/// How long a browser keeps it.
pub(super) const KEPT: Duration = Duration::from_hours(30 * 24);
/// How many addresses that signed in here are remembered.
const MOST_FAMILIAR: usize = 3;
/// Longest text read; ours are under 700 bytes.
const LONGEST: usize = 1024;

/// One browser on one host.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Nonce {
    bytes: [u8; 32],
    /// Truncated HMACs of addresses that signed in here, newest first.
    familiar: Vec<[u8; 16]>,
    /// What this browser waits for; `None`: nothing.
    pub waiting: Option<Waiting>,
}

/// What was asked for last.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The address as this browser may see it: what was typed here, or a mask.
    pub shown: String,
    /// When.
    pub asked_at: Timestamp,
    /// How often in a row for this address.
    pub letters: u32,
    /// The person chose to stay signed in.
    pub remember: bool,
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(***)")
    }
}

impl Nonce {
    /// A new browser.
    pub(super) fn new(random: &Random) -> Self {
        Self { bytes: random.bytes(), familiar: Vec::new(), waiting: None }
    }

    /// What codes are derived from.
    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// What the store and other hosts know of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        hash(&self.bytes)
    }

    /// What a fresh letter is bound to that was asked for with somebody's old link. The address was not known here, so
    /// a click in this browser proves nothing (a mail scanner keeps cookies too); the code in the letter does.
    pub(super) fn apart(&self) -> Self {
        let mut named = b"apart".to_vec();
        named.extend_from_slice(&self.bytes);
        Self { bytes: hash(&named), familiar: Vec::new(), waiting: self.waiting.clone() }
    }

    /// The nonce of the letters for which this browser waits.
    pub(super) fn awaited(&self) -> Self {
        if self.waiting.as_ref().is_some_and(Waiting::is_masked) { self.apart() } else { self.clone() }
    }

    /// Reads a cookie's value.
    pub(super) fn read(keys: &Keys, site: &str, origin: &str, text: &str, now: Timestamp) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (body, tag) = text.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        if tag.len() != 32 || !keys.mac_matches(Purpose::Nonce, &parts(site, origin, body), &tag, now) {
            return None;
        }
        let mut fields = body.split('.');
        let (nonce, familiar, waiting) = (fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let familiar = URL_SAFE_NO_PAD.decode(familiar).ok()?;
        let familiar = familiar.chunks_exact(16).filter_map(|tag| tag.try_into().ok()).collect();
        Some(Self { bytes, familiar, waiting: Waiting::read(waiting) })
    }

    /// The cookie's value.
    pub(super) fn write(&self, keys: &Keys, site: &str, origin: &str) -> String {
        let body = format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(self.bytes),
            URL_SAFE_NO_PAD.encode(self.familiar.concat()),
            self.waiting.as_ref().map(Waiting::write).unwrap_or_default(),
        );
        let tag = keys.mac(Purpose::Nonce, &parts(site, origin, &body));
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Remembers that this address signed in here.
    pub(super) fn befriend(&mut self, keys: &Keys, site: &str, email: &EmailAddress, now: Timestamp) {
        if self.knows(keys, site, email, now) {
            return;
        }
        let tag = keys.mac(Purpose::Familiar, &self.friend(site, email));
        if let Some(tag) = tag.first_chunk::<16>() {
            self.familiar.insert(0, *tag);
            self.familiar.truncate(MOST_FAMILIAR);
        }
    }

    /// Whether this address has signed in here before. Looks at every mark, whatever it finds.
    pub(super) fn knows(&self, keys: &Keys, site: &str, email: &EmailAddress, now: Timestamp) -> bool {
        let friend = self.friend(site, email);
        self.familiar
            .iter()
            .fold(false, |found, tag| found | keys.mac_matches(Purpose::Familiar, &friend, tag, now))
    }

    fn friend<'a>(&'a self, site: &'a str, email: &'a EmailAddress) -> [&'a [u8]; 3] {
        [site.as_bytes(), &self.bytes, email.as_str().as_bytes()]
    }
}

impl Waiting {
    /// The address was not typed here: this browser may not read it.
    pub(super) fn is_masked(&self) -> bool {
        self.shown.contains('…')
    }

    fn write(&self) -> String {
        let remember = u8::from(self.remember);
        URL_SAFE_NO_PAD.encode(format!(
            "{} {} {remember} {}",
            self.asked_at.millis(),
            self.letters,
            self.shown
        ))
    }

    fn read(text: &str) -> Option<Self> {
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut fields = plain.splitn(4, ' ');
        Some(Self {
            asked_at: Timestamp::from_millis(fields.next()?.parse().ok()?),
            letters: fields.next()?.parse().ok()?,
            remember: fields.next()? == "1",
            shown: fields.next()?.to_owned(),
        })
    }
}

fn parts<'a>(site: &'a str, origin: &'a str, body: &'a str) -> [&'a [u8]; 3] {
    [site.as_bytes(), origin.as_bytes(), body.as_bytes()]
}

#[cfg(test)]
mod tests {
    use super::super::fixture::keys;
    use super::*;

    const HERE: &str = "https://wiki.example.com";

    #[test]
    fn a_nonce_is_believed_on_its_own_host_and_site_only() {
        let (keys, now) = (keys(), Timestamp::from_seconds(1));
        let mut nonce = Nonce::new(&Random::seeded(1));
        nonce.waiting = Some(Waiting {
            shown: "alice@example.com".into(),
            asked_at: Timestamp::from_seconds(1),
            letters: 2,
            remember: true,
        });
        let text = nonce.write(&keys, "wiki", HERE);
        assert!(text.len() < 400, "{}", text.len());
        assert_eq!(Nonce::read(&keys, "wiki", HERE, &text, now), Some(nonce.clone()));
        assert_eq!(Nonce::read(&keys, "blog", HERE, &text, now), None);
        assert_eq!(Nonce::read(&keys, "wiki", "https://evil.example.com", &text, now), None);
        for at in 0..text.len() {
            let mut broken = text.clone().into_bytes();
            if let Some(byte) = broken.get_mut(at) {
                *byte = if *byte == b'A' { b'B' } else { b'A' };
            }
            let broken = String::from_utf8(broken).unwrap();
            assert!(Nonce::read(&keys, "wiki", HERE, &broken, now).is_none_or(|read| read == nonce), "{at}");
        }
        assert!(!format!("{nonce:?}").contains(&text[..10]));
    }

    #[test]
    fn the_last_three_addresses_are_familiar() {
        let (keys, now) = (keys(), Timestamp::from_seconds(1));
        let address = |n: u8| EmailAddress::parse(&format!("p{n}@example.com")).unwrap();
        let mut nonce = Nonce::new(&Random::seeded(1));
        assert!(!nonce.knows(&keys, "wiki", &address(1), now));
        for n in [1, 2, 2, 3, 4] {
            nonce.befriend(&keys, "wiki", &address(n), now);
        }
        let read = Nonce::read(&keys, "wiki", HERE, &nonce.write(&keys, "wiki", HERE), now).unwrap();
        assert!(!read.knows(&keys, "wiki", &address(1), now));
        assert!((2..=4).all(|n| read.knows(&keys, "wiki", &address(n), now)));
        assert!(!read.knows(&keys, "blog", &address(2), now));
    }
}
