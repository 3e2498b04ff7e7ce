//! Reads along with hyper's HTTP/1 parser for what that parser hides: `#` in a target, a `Content-Length` beside
//! `Transfer-Encoding`, lines that end in a bare line feed. It changes no byte and only ever adds refusals.
//!
//! Follows heads and bodies exactly. Chunks that two programs could read in two ways break the connection off: hyper
//! takes a bare line feed after the last chunk for the beginning of a trailer, others for the end of the body.

use super::chunks::{Chunks, Step};

/// Longest part of a line that is looked at: enough for the names and a length.
const KEPT: usize = 64;

/// Follows the requests of one connection.
#[derive(Debug)]
pub(super) struct Sniffer {
    state: State,
    line: Line,
    head: Head,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body(u64),
    Chunks(Chunks),
    Lost,
}

#[derive(Debug)]
struct Line {
    kept: [u8; KEPT],
    length: usize,
    last: u8,
}

/// What was seen of the head that is being read.
#[derive(Debug, Default)]
struct Head {
    lines: usize,
    bad: bool,
    length: Option<u64>,
    chunked: bool,
}

/// What some bytes brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Heads completed by these bytes.
    pub heads: u64,
    /// Which of them, counted from one, is the first to be refused.
    pub first_bad: Option<u64>,
    /// How many of the bytes are before one that makes a chunked body ambiguous; it and the rest must not be read.
    pub broken: Option<usize>,
}

impl Sniffer {
    pub fn new() -> Self {
        let line = Line { kept: [0; KEPT], length: 0, last: 0 };
        Self { state: State::Head, line, head: Head::default() }
    }

    /// Whether a head has begun and is not complete.
    pub fn in_head(&self) -> bool {
        self.state == State::Head && (self.head.lines > 0 || self.line.length > 0)
    }

    /// Whether all bytes so far were whole requests, so that the next one begins one.
    pub fn at_rest(&self) -> bool {
        self.state == State::Head && self.head.lines == 0 && self.line.length == 0
    }

    /// Whether a body of announced length has not arrived in full.
    pub fn in_body(&self) -> bool {
        matches!(self.state, State::Body(_))
    }

    /// Whether the sniffer cannot say where requests begin any more.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Takes the bytes that hyper takes.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Seen {
        let (mut seen, whole) = (Seen::default(), bytes.len());
        while !bytes.is_empty() {
            match self.state {
                State::Lost => break,
                State::Body(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(here..).unwrap_or_default();
                    let left = left.saturating_sub(here as u64);
                    self.state = if left == 0 { State::Head } else { State::Body(left) };
                }
                State::Chunks(chunks) => {
                    let (step, rest) = chunks.feed(bytes);
                    bytes = rest;
                    self.state = match step {
                        Step::More(chunks) => State::Chunks(chunks),
                        Step::End => State::Head,
                        Step::Lost => {
                            seen.broken = Some(whole.saturating_sub(bytes.len() + 1));
                            State::Lost
                        }
                    };
                }
                State::Head => bytes = self.feed_head(bytes, &mut seen),
            }
        }
        seen
    }

    fn feed_head<'a>(&mut self, bytes: &'a [u8], seen: &mut Seen) -> &'a [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.add(bytes);
            return &[];
        };
        let (line, rest) = bytes.split_at(end);
        self.add(line);
        if self.end_line() {
            seen.heads += 1;
            let head = std::mem::take(&mut self.head);
            if head.is_bad() {
                seen.first_bad.get_or_insert(seen.heads);
            }
            self.state = head.next();
        }
        rest.get(1..).unwrap_or_default()
    }

    fn add(&mut self, part: &[u8]) {
        if self.head.lines == 0 && memchr::memchr(b'#', part).is_some() {
            self.head.bad = true;
        }
        let room = self.line.kept.get_mut(self.line.length..).unwrap_or_default();
        let kept = room.len().min(part.len());
        if let (Some(to), Some(from)) = (room.get_mut(..kept), part.get(..kept)) {
            to.copy_from_slice(from);
        }
        self.line.length = self.line.length.saturating_add(part.len());
        if let Some(last) = part.last() {
            self.line.last = *last;
        }
    }

    /// Judges the finished line; true when it ends the head.
    fn end_line(&mut self) -> bool {
        let length = std::mem::take(&mut self.line.length);
        let bare = length == 0 || self.line.last != b'\r';
        let empty = length == usize::from(!bare);
        if empty && self.head.lines == 0 {
            // Empty lines before a request are allowed (RFC 9112 §2.2).
            return false;
        }
        self.head.bad |= bare;
        if empty {
            return true;
        }
        self.head.lines += 1;
        if self.head.lines > 1 {
            let kept = self.line.kept.get(..length.min(KEPT)).unwrap_or_default();
            self.head.header(kept, length <= KEPT);
        }
        false
    }
}

impl Head {
    fn header(&mut self, line: &[u8], whole: bool) {
        // The first letters of the names below.
        if !line.first().is_some_and(|byte| b"cCtTuU".contains(byte)) {
            return;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value.get(1..).unwrap_or_default()).unwrap_or_default().trim();
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let length = value.parse().ok().filter(|_| digits && whole);
            self.bad |= length.is_none() || self.length.is_some();
            self.length = length.or(Some(0));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        }
    }

    fn is_bad(&self) -> bool {
        self.bad || (self.chunked && self.length.is_some())
    }

    fn next(&self) -> State {
        match self.length {
            // Nothing after a bad head is looked at: its answer ends the connection.
            _ if self.is_bad() => State::Lost,
            _ if self.chunked => State::Chunks(Chunks::START),
            Some(length) if length > 0 => State::Body(length),
            _ => State::Head,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Seen {
        Sniffer::new().feed(bytes)
    }

    #[test]
    fn a_fragment_a_bare_line_feed_and_a_double_length_are_seen() {
        for head in [
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n",
        ] {
            assert_eq!(all(head.as_bytes()), Seen { heads: 1, first_bad: Some(1), broken: None }, "{head:?}");
        }
    }

    #[test]
    fn the_pieces_in_which_a_head_arrives_do_not_matter() {
        let text = "\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n#\r\nGET /#x HTTP/1.1\r\nA: b\r\n\r\n";
        assert_eq!(all(text.as_bytes()), Seen { heads: 2, first_bad: Some(2), broken: None });
        let mut sniffer = Sniffer::new();
        let (mut heads, mut bad) = (0, None);
        for byte in text.as_bytes() {
            let seen = sniffer.feed(std::slice::from_ref(byte));
            bad = bad.or(seen.first_bad.map(|at| heads + at));
            heads += seen.heads;
        }
        assert_eq!((heads, bad), (2, Some(2)));
    }

    #[test]
    fn what_follows_a_chunked_body_is_looked_at_as_well() {
        let text = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n#\n\r\n0\r\n\r\n";
        let mut sniffer = Sniffer::new();
        assert_eq!(sniffer.feed(text.as_bytes()), Seen { heads: 1, first_bad: None, broken: None });
        assert!(sniffer.at_rest());
        let next = "GET / HTTP/1.1\nHost: a\r\n\r\n";
        assert_eq!(sniffer.feed(next.as_bytes()), Seen { heads: 1, first_bad: Some(1), broken: None });
        let mut sniffer = Sniffer::new();
        let broken = text.replace("0\r\n\r\n", "0\r\n\nGET");
        let good = broken.len() - "\nGET".len();
        assert_eq!(sniffer.feed(broken.as_bytes()), Seen { heads: 1, first_bad: None, broken: Some(good) });
        assert!(sniffer.is_lost() && !sniffer.at_rest());
    }

    #[test]
    fn a_body_is_not_mistaken_for_a_head_and_a_fragment_in_a_header_is_nothing() {
        let text = "POST / HTTP/1.1\r\nReferer: /#a\r\nContent-Length: 4\r\n\r\n#\n\n#GET / HTTP/1.1\r\n";
        let mut sniffer = Sniffer::new();
        assert_eq!(sniffer.feed(text.as_bytes()), Seen { heads: 1, first_bad: None, broken: None });
        assert!(sniffer.in_head() && !sniffer.in_body());
    }
}
