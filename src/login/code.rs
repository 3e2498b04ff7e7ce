//! The code in a letter: eight characters, base 32 without look-alikes. Never stored: it is derived anew, and the
//! store keeps a tag of it.

use aws_lc_rs::digest;

use crate::identity::EmailAddress;
use crate::identity::Keys;
use crate::identity::Purpose;

/// Digits and letters without I, L, O, U.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code in its plain form: eight characters of the alphabet.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Code(String);

impl Code {
    /// The code for letters to `email` from the browser with this nonce, while `seed` lives.
    pub(super) fn derive(
        keys: &Keys,
        site: &str,
        nonce: &[u8; 32],
        email: &EmailAddress,
        seed: [u8; 8],
    ) -> Self {
        let parts: [&[u8]; 5] = [b"code", site.as_bytes(), nonce, email.as_str().as_bytes(), &seed];
        let mac = keys.mac(Purpose::Code, &parts);
        // Forty bits: five bytes are eight groups of five bits.
        let bits = mac.iter().take(5).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        let letter = |at: u32| {
            let index = usize::try_from((bits >> (35 - 5 * at)) & 31).unwrap_or(0);
            char::from(LETTERS.get(index).copied().unwrap_or(b'0'))
        };
        Self((0..8).map(letter).collect())
    }

    /// What a person typed, in any case, with or without hyphens and spaces, look-alikes taken for what they look like.
    pub(super) fn parse(typed: &str) -> Option<Self> {
        if typed.len() > 64 {
            return None;
        }
        let mut plain = String::with_capacity(8);
        for c in typed.chars() {
            match c.to_ascii_uppercase() {
                '-' | ' ' | '\t' | '\u{2010}'..='\u{2015}' | '\u{a0}' | '_' | '.' => {}
                'O' => plain.push('0'),
                'I' | 'L' => plain.push('1'),
                letter if u8::try_from(letter).is_ok_and(|byte| LETTERS.contains(&byte)) => {
                    plain.push(letter);
                }
                _ => return None,
            }
        }
        (plain.len() == 8).then_some(Self(plain))
    }

    /// As letters show it: `XXXX-XXXX`.
    pub(super) fn shown(&self) -> String {
        let (head, tail) = self.0.split_at_checked(4).unwrap_or((&self.0, ""));
        format!("{head}-{tail}")
    }

    /// What the store compares: does not depend on the address, so one look-up serves every letter of a browser.
    pub(super) fn tag(&self, keys: &Keys, site: &str, nonce_hash: &[u8; 32]) -> [u8; 32] {
        keys.mac(Purpose::Code, &[b"tag", site.as_bytes(), nonce_hash, self.0.as_bytes()])
    }
}

/// SHA-256.
pub(super) fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture::keys;
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let plain = Code::parse("ABCD-2310").unwrap();
        for typed in ["abcd2310", " AbCd 23IO ", "abcd\u{2013}23lo", "A-B-C-D-2-3-1-0"] {
            assert!(Code::parse(typed).unwrap() == plain, "{typed}");
        }
        assert_eq!(plain.shown(), "ABCD-2310");
        for bad in ["", "ABCD-231", "ABCD-23100", "ABCU-2310", "ABCD-231é", "ABCD/2310", "\0\0\0\0\0\0\0\0"]
        {
            assert!(Code::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_code_belongs_to_browser_address_and_seed() {
        let keys = keys();
        let alice = EmailAddress::parse("alice@example.com").unwrap();
        let bob = EmailAddress::parse("bob@example.com").unwrap();
        let code = Code::derive(&keys, "wiki", &[1; 32], &alice, [2; 8]);
        assert!(code == Code::derive(&keys, "wiki", &[1; 32], &alice, [2; 8]));
        assert!(Code::parse(&code.shown()).unwrap() == code);
        for other in [
            Code::derive(&keys, "wiki", &[9; 32], &alice, [2; 8]),
            Code::derive(&keys, "wiki", &[1; 32], &bob, [2; 8]),
            Code::derive(&keys, "wiki", &[1; 32], &alice, [3; 8]),
            Code::derive(&keys, "blog", &[1; 32], &alice, [2; 8]),
        ] {
            assert!(other != code);
        }
        assert_ne!(code.tag(&keys, "wiki", &[1; 32]), code.tag(&keys, "wiki", &[2; 32]));
    }
}
