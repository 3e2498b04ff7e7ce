//! The request target, normalised once: policy decides and proxy forwards from the same value.
//! Never repairs a path: what is odd is marked, and passes only where every rule of the host would let it.

use std::fmt;
use std::net::Ipv6Addr;

/// Longest path and query taken, in bytes.
const LONGEST: usize = 16 * 1024;

/// What was asked for, ready to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The visitor's connection is https (by itself, or by word of a trusted peer).
    pub secure: bool,
    /// Lower case, without port and without the final dot; IPv6 in brackets.
    pub host: String,
    /// The path with escapes decoded that stand for a character of paths (RFC 3986 §6.2.2.2, and `pchar`), and the rest
    /// escaped in capitals; what rules compare.
    pub path: String,
    /// Path and query exactly as sent; what the app gets.
    pub raw: String,
    /// The path could mean different things to different programs: see [`Target::parse`].
    pub odd: bool,
    /// All that is odd are escapes of `?` or `#`, at which careless programs cut: its segments are clear.
    pub severed: bool,
    path_end: usize,
}

/// Why a request target is refused outright (400).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// No host at all (RFC 9112 §3.2).
    NoHost,
    /// The host is not a name, an IPv4 or a bracketed IPv6 address, with an optional port.
    BadHost,
    /// A `#` in the target (class of CVE-2025-54576).
    Fragment,
    /// The path does not begin with `/`, or holds a broken `%` escape.
    BadPath,
    /// Over 16 KiB.
    TooLong,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "the request names no host",
            Self::BadHost => "the request's host is not a valid name",
            Self::Fragment => "the request target holds a '#'",
            Self::BadPath => "the request target is not a path, or holds a broken % escape",
            Self::TooLong => "the request target is too long",
        })
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// `authority` is the `Host` header or `:authority`; `path_and_query` as it stood in the request line.
    ///
    /// Odd are: encoded slash, backslash, dot, percent, `?`, `#` or NUL (CVE-2024-38474 shows who cuts there); dot segments; empty segments; `;`; backslashes;
    /// control characters, raw non-ASCII, and overlong UTF-8 in escapes (a dot or slash written in two bytes or more).
    ///
    /// # Errors
    /// [`TargetError`]: all of them are the visitor's, and end in a 400.
    pub fn parse(secure: bool, authority: &str, path_and_query: &str) -> Result<Self, TargetError> {
        let host = canonical_host(authority)?;
        if path_and_query.len() > LONGEST {
            return Err(TargetError::TooLong);
        }
        if path_and_query.contains('#') {
            return Err(TargetError::Fragment);
        }
        let path_end = path_and_query.find('?').unwrap_or(path_and_query.len());
        let raw_path = path_and_query.get(..path_end).unwrap_or_default();
        if !raw_path.starts_with('/') {
            return Err(TargetError::BadPath);
        }
        let (path, torn, cut) = normalise(raw_path)?;
        let (odd, severed) = (torn || cut, cut && !torn);
        Ok(Self { secure, host, path, raw: path_and_query.to_owned(), odd, severed, path_end })
    }

    /// What follows the `?`, as sent; `None` without one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.raw.get(self.path_end + 1..)
    }

    /// The path exactly as sent.
    #[must_use]
    pub fn raw_path(&self) -> &str {
        self.raw.get(..self.path_end).unwrap_or_default()
    }

    /// The path with every escape undone, backslashes and doubled slashes folded, lower case: the strictest reading,
    /// for asking "is this ours?" of a path that means to look otherwise.
    #[must_use]
    pub fn folded_path(&self) -> String {
        self.fold(true)
    }

    /// As [`Target::folded_path`], but with `..` left in: what stands in front, before anybody climbs out of it.
    #[must_use]
    pub fn leading_path(&self) -> String {
        self.fold(false)
    }

    fn fold(&self, climb: bool) -> String {
        let mut text = self.raw_path().to_owned();
        for _ in 0..4 {
            let decoded = decode_all(&text);
            if decoded == text {
                break;
            }
            text = decoded;
        }
        let mut segments: Vec<&str> = Vec::new();
        let text = text.replace('\\', "/").to_ascii_lowercase();
        for segment in text.split('/') {
            let segment = segment.split(';').next().unwrap_or_default();
            let segment = segment.trim_matches(|c: char| c.is_whitespace() || c.is_control());
            match segment {
                "" | "." => {}
                ".." if climb => {
                    segments.pop();
                }
                other => segments.push(other),
            }
        }
        format!("/{}", segments.join("/"))
    }
}

/// Host names, lower-cased, port and final dot removed (class of CVE-2026-48794).
fn canonical_host(authority: &str) -> Result<String, TargetError> {
    if authority.is_empty() {
        return Err(TargetError::NoHost);
    }
    if authority.len() > 255 + 6 {
        return Err(TargetError::BadHost);
    }
    let (name, port) = if authority.starts_with('[') {
        let end = authority.find(']').ok_or(TargetError::BadHost)?;
        let inner = authority.get(1..end).unwrap_or_default();
        let ip: Ipv6Addr = inner.parse().map_err(|_| TargetError::BadHost)?;
        (format!("[{ip}]"), authority.get(end + 1..).unwrap_or_default())
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let name = authority.get(..end).unwrap_or_default();
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || !name.split('.').all(|label| !label.is_empty() && label.bytes().all(fine)) {
            return Err(TargetError::BadHost);
        }
        (name, authority.get(end..).unwrap_or_default())
    };
    let port_fine = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
    };
    if port_fine { Ok(name) } else { Err(TargetError::BadHost) }
}

/// The path to compare, whether programs see different segments in it, and whether some cut it at an escape.
fn normalise(raw: &str) -> Result<(String, bool, bool), TargetError> {
    let bytes = raw.as_bytes();
    let mut path = String::with_capacity(raw.len());
    let (mut odd, mut cut) = (false, false);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let value = escape(bytes, at).ok_or(TargetError::BadPath)?;
                if is_plain(value) && value != b'.' {
                    path.push(char::from(value));
                } else {
                    odd |= matches!(value, b'/' | b'\\' | b'.' | b'%' | b';') || value.is_ascii_control();
                    cut |= matches!(value, b'?' | b'#');
                    push_escape(&mut path, value);
                }
                at += 3;
                continue;
            }
            b'\\' | b';' | 0..=0x20 | 0x7f..=0xff => odd = true,
            _ if is_plain(byte) || byte == b'/' => {}
            // No browser sends these as they are, and no rule needs to know who did.
            _ => {
                push_escape(&mut path, byte);
                at += 1;
                continue;
            }
        }
        // Bytes of one character are copied together, so `path` stays UTF-8.
        let width = raw.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        path.push_str(raw.get(at..at + width).unwrap_or_default());
        at += width;
    }
    odd |= overlong(bytes);
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        odd |= segment == "." || segment == ".." || (segment.is_empty() && !last);
    }
    Ok((path, odd, cut))
}

/// What stands for itself in the path that rules compare, escaped or not: `pchar` (RFC 3986 §3.3) without `;`. Apps read
/// `%3A` as `:`, so a rule for `/Special:Export` has to; what is none of these is an escape there, however it was sent.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

fn push_escape(path: &mut String, byte: u8) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    path.push('%');
    for digit in [byte >> 4, byte & 0xf] {
        path.extend(DIGITS.get(usize::from(digit)));
    }
}

/// A path of a rule in the spelling in which requests are compared with it: `/Über uns` is `/%C3%9Cber%20uns`.
pub(super) fn comparable(path: &str) -> String {
    let mut spelled = String::with_capacity(path.len());
    for byte in path.bytes() {
        if is_plain(byte) || byte == b'/' {
            spelled.push(char::from(byte));
        } else {
            push_escape(&mut spelled, byte);
        }
    }
    spelled
}

/// Whether escapes hold a character in more bytes than it needs (RFC 3629 §10): lax decoders read `%c0%ae` as a dot.
fn overlong(raw: &[u8]) -> bool {
    let value = |at: usize| raw.get(at).filter(|byte| **byte == b'%').and_then(|_| escape(raw, at));
    (0..raw.len()).any(|at| match value(at) {
        Some(0xc0 | 0xc1) => true,
        Some(0xe0) => matches!(value(at + 3), Some(0x80..=0x9f)),
        Some(0xf0) => matches!(value(at + 3), Some(0x80..=0x8f)),
        _ => false,
    })
}

/// The value of the `%xx` at `at`; `None` where it is broken.
fn escape(bytes: &[u8], at: usize) -> Option<u8> {
    let high = char::from(*bytes.get(at + 1)?).to_digit(16)?;
    let low = char::from(*bytes.get(at + 2)?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

fn decode_all(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%'
            && let Some(value) = escape(bytes, at)
        {
            out.push(value);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> (String, bool) {
        let target = Target::parse(true, "h.example", raw).unwrap();
        (target.path, target.odd)
    }

    #[test]
    fn a_host_is_one_name_however_it_is_written() {
        for host in ["Wiki.Example.COM", "wiki.example.com.", "wiki.example.com:8443", "WIKI.example.com.:1"]
        {
            assert_eq!(Target::parse(true, host, "/").unwrap().host, "wiki.example.com");
        }
        assert_eq!(Target::parse(true, "[::1]:80", "/").unwrap().host, "[::1]");
        for bad in [
            "a b",
            "a@b.example",
            "a/b",
            "a..b",
            ".",
            "a.example:",
            "a.example:x",
            "a.example:99999",
            "[::1",
            "[x]",
            "a,b",
            "a%2eb",
            "a.example..",
            "é.example",
        ] {
            assert_eq!(Target::parse(true, bad, "/").unwrap_err(), TargetError::BadHost, "{bad}");
        }
        assert_eq!(Target::parse(true, "", "/").unwrap_err(), TargetError::NoHost);
    }

    #[test]
    fn unreserved_escapes_are_decoded_and_the_rest_stays() {
        assert_eq!(path("/%61dmin/%7Eb"), ("/admin/~b".into(), false));
        assert_eq!(path("/a%20b/%c3%a4"), ("/a%20b/%C3%A4".into(), false));
        assert_eq!(path("/a//"), ("/a//".into(), true));
        assert_eq!(path("/a/?x=//..;"), ("/a/".into(), false));
    }

    #[test]
    fn what_apps_read_alike_is_compared_alike() {
        for (one, other) in [
            ("/wiki/Special:Export", "/wiki/Special%3aExport"),
            ("/a!b", "/a%21b"),
            ("/@alice", "/%40alice"),
            ("/x=1,2", "/x%3D1%2c2"),
            ("/a{b}", "/a%7bb%7D"),
            ("/[x]", "/%5Bx%5d"),
            ("/a|b^c", "/a%7Cb%5Ec"),
        ] {
            assert_eq!(path(one), path(other), "{one}");
            assert!(!path(one).1, "{one}");
        }
        for (rule, asked) in [("/Über uns/", "/%c3%9cber%20uns/"), ("/a{b}", "/a{b}"), ("/a:b", "/a%3Ab")] {
            assert_eq!(comparable(rule), path(asked).0, "{rule}");
        }
    }

    #[test]
    fn paths_that_programs_read_differently_are_odd() {
        for odd in [
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a/../b",
            "/a/./b",
            "/..",
            "/a/..",
            "//a",
            "/a//b",
            "/a;b",
            "/a%3bb",
            "/%2e%2e/b",
            "/%2e/b",
            "/a%3fb",
            "/a%23",
            "/a%00b",
            "/a%0ab",
            "/\u{fc}",
            "/a%252fb",
            "/a/%c0%ae%c0%ae/b",
            "/a%c0%afb",
            "/a%e0%80%af",
            "/a%f0%80%80%af",
            "/a\u{7f}",
        ] {
            assert!(path(odd).1, "{odd}");
        }
        for plain in ["/", "/a", "/a/", "/a.b/c", "/...", "/a:b@c!$&'()*+,=", "/.well-known/x"] {
            assert!(!path(plain).1, "{plain}");
        }
    }

    #[test]
    fn broken_targets_are_refused() {
        for (bad, error) in [
            ("a", TargetError::BadPath),
            ("", TargetError::BadPath),
            ("/%", TargetError::BadPath),
            ("/%zz", TargetError::BadPath),
            ("/a#b", TargetError::Fragment),
            ("/a?b#c", TargetError::Fragment),
            ("*", TargetError::BadPath),
        ] {
            assert_eq!(Target::parse(true, "h.example", bad).unwrap_err(), error, "{bad}");
        }
    }

    #[test]
    fn a_disguised_path_folds_to_what_it_means() {
        for disguise in [
            "/.linkgate/login",
            "/%2elinkgate/login",
            "//.linkgate//login",
            "/x/..//.LinkGate/login",
            "/.linkgate;a=b/login",
            "/%252elinkgate/login",
            "/\\.linkgate\\login",
            "/.linkgate%20/login",
        ] {
            assert_eq!(
                Target::parse(true, "h.example", disguise).unwrap().folded_path(),
                "/.linkgate/login",
                "{disguise}"
            );
        }
    }
}
