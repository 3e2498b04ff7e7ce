//! E-mail addresses, parsed once. Never keeps an address that it could not canonicalise.

use std::fmt;

/// An e-mail address in its canonical form: one `@`, ASCII lower case, IDNA-mapped (A-label) domain.
///
/// Rate limits, allow-lists, sessions and headers all use this form (class of CVE-2026-40574, CVE-2025-24806).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress {
    text: String,
    at: usize,
}

/// Why a text is not an address we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// There is no `@`, more than one, or nothing on one side of it.
    Shape,
    /// The part before the `@` is over 64 bytes, or the whole over 254 (RFC 5321 §4.5.3.1).
    TooLong,
    /// A character that is not allowed unquoted (RFC 5322 §3.2.3 dot-atom), or a misplaced dot.
    Local,
    /// The domain is not a name (IDNA, UTS 46), has no dot, or is an address literal.
    Domain,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "an address looks like name@example.com, with exactly one @",
            Self::TooLong => "the address is too long (64 bytes before the @, 254 in all)",
            Self::Local => {
                "the part before the @ may hold ASCII letters, digits and .!#$%&'*+-/=?^_`{|}~ only"
            }
            Self::Domain => "the part after the @ is not a domain name such as example.com",
        })
    }
}

impl std::error::Error for AddressError {}

impl EmailAddress {
    /// Parses what a person typed or a file holds. White space around it is dropped; inside it is an error.
    ///
    /// # Errors
    /// [`AddressError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.len() > 512 {
            return Err(AddressError::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(AddressError::Shape)?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return Err(AddressError::Shape);
        }
        if !is_dot_atom(local) {
            return Err(AddressError::Local);
        }
        let domain = canonical_domain(domain).ok_or(AddressError::Domain)?;
        let local = local.to_ascii_lowercase();
        if local.len() > 64 || local.len() + 1 + domain.len() > 254 {
            return Err(AddressError::TooLong);
        }
        Ok(Self { at: local.len(), text: format!("{local}@{domain}") })
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// The part after the `@`, as A-labels.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }

    /// The address without its `+tag`: one mailbox, one bucket.
    #[must_use]
    pub fn untagged(&self) -> String {
        let local = self.local();
        match local.split_once('+') {
            Some((name, _)) if !name.is_empty() => format!("{name}@{}", self.domain()),
            _ => self.text.clone(),
        }
    }

    /// Enough to recognise one's own address, not enough to learn another's: `a…e@example.com`.
    #[must_use]
    pub fn masked(&self) -> String {
        let mut letters = self.local().chars();
        let first = letters.next().unwrap_or('…');
        match letters.next_back() {
            Some(last) => format!("{first}…{last}@{}", self.domain()),
            None => format!("{first}…@{}", self.domain()),
        }
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress({})", self.masked())
    }
}

/// A domain as A-labels in lower case, or `None` where it is not a name with at least one dot
/// (`localhost` is taken: demos and tests send there).
#[must_use]
pub fn canonical_domain(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    let labels_ok = ascii.split('.').all(|l| !l.is_empty() && l.len() <= 63);
    let numeric = ascii.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    let named = ascii.contains('.') || ascii == "localhost";
    (labels_ok && named && !numeric && ascii.len() <= 253).then_some(ascii)
}

fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_become_one() {
        for spelling in ["Alice@Example.COM", " alice@example.com\r\n", "ALICE@EXAMPLE.com"] {
            assert_eq!(EmailAddress::parse(spelling).unwrap().as_str(), "alice@example.com");
        }
        let idn = EmailAddress::parse("bob@Bücher.example").unwrap();
        assert_eq!(idn.as_str(), "bob@xn--bcher-kva.example");
        assert_eq!(EmailAddress::parse("bob@xn--bcher-kva.example").unwrap(), idn);
    }

    #[test]
    fn what_is_not_exactly_one_address_is_refused() {
        for bad in [
            "",
            "@",
            "a@",
            "@b.example",
            "a@b@c.example",
            "a b@c.example",
            "a@b c.example",
            "a\r\nBcc: x@y.example",
            "a@b.example\r\nBcc: c@d.example",
            "a@b.example,c@d.example",
            "<a@b.example>",
            "\"a\"@b.example",
            ".a@b.example",
            "a..b@c.example",
            "a.@b.example",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@b",
            "a@b..example",
            "a@b.example.",
            "a\0@b.example",
            "ä@b.example",
            "a@-b.example",
            "a@b.example;c",
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
        }
        let long = format!("{}@b.example", "a".repeat(65));
        assert_eq!(EmailAddress::parse(&long), Err(AddressError::TooLong));
    }

    #[test]
    fn a_mask_shows_the_ends_only() {
        assert_eq!(EmailAddress::parse("alice@example.com").unwrap().masked(), "a…e@example.com");
        assert_eq!(EmailAddress::parse("a@example.com").unwrap().masked(), "a…@example.com");
    }

    #[test]
    fn a_tag_does_not_make_another_mailbox() {
        assert_eq!(EmailAddress::parse("a+1@example.com").unwrap().untagged(), "a@example.com");
    }
}
