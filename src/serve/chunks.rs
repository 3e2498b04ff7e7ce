//! Follows a chunked body to its end (RFC 9112 §7.1). Takes nothing in another way than hyper's decoder does: where
//! the two could differ, it says that it lost the way. Keeps no data and changes none.

/// Where in a chunked body the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In a chunk's size, with what its digits say so far.
    Size { value: u64, digits: bool },
    /// After the size, to the end of its line.
    Extension(u64),
    /// Before the line feed after a size.
    SizeEnd(u64),
    /// That many bytes of data are to come.
    Data(u64),
    /// Before the carriage return after the data.
    DataCr,
    /// Before the line feed after the data.
    DataEnd,
    /// In a line after the last chunk.
    Trailer { empty: bool },
    /// Before the line feed after such a line.
    TrailerEnd { empty: bool },
}

/// What became of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    More(Chunks),
    /// The byte was the body's last.
    End,
    Lost,
}

impl Chunks {
    pub const START: Self = Self::Size { value: 0, digits: false };

    /// Takes some bytes; says what became of the body, and what is left of the bytes.
    pub fn feed(self, mut bytes: &[u8]) -> (Step, &[u8]) {
        let mut at = self;
        while let Some((byte, rest)) = bytes.split_first() {
            if let Self::Data(left) = at {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = bytes.get(here..).unwrap_or_default();
                let left = left.saturating_sub(here as u64);
                at = if left == 0 { Self::DataCr } else { Self::Data(left) };
                continue;
            }
            bytes = rest;
            match at.step(*byte) {
                Step::More(next) => at = next,
                end @ (Step::End | Step::Lost) => return (end, bytes),
            }
        }
        (Step::More(at), bytes)
    }

    fn step(self, byte: u8) -> Step {
        let next = match (self, byte) {
            (Self::Size { value, digits: true } | Self::Extension(value), b'\r') => Self::SizeEnd(value),
            (Self::Size { value, digits: true }, b';' | b' ' | b'\t') => Self::Extension(value),
            (Self::Size { value, .. }, digit) => {
                let digit = char::from(digit).to_digit(16).map(u64::from);
                match digit.and_then(|digit| value.checked_mul(16)?.checked_add(digit)) {
                    Some(value) => Self::Size { value, digits: true },
                    None => return Step::Lost,
                }
            }
            (Self::SizeEnd(0) | Self::TrailerEnd { empty: false }, b'\n') => Self::Trailer { empty: true },
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::START,
            (Self::TrailerEnd { empty: true }, b'\n') => return Step::End,
            (Self::Extension(_) | Self::Trailer { .. }, b'\n') => return Step::Lost,
            (Self::Trailer { empty }, b'\r') => Self::TrailerEnd { empty },
            (Self::Extension(_), _) => self,
            (Self::Trailer { .. }, _) => Self::Trailer { empty: false },
            _ => return Step::Lost,
        };
        Step::More(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_after_its_last_chunk_and_trailers_however_it_arrives() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\";c\r\nhello\r\n1 \r\n\n\r\n0;x\r\nA: b\r\nC: d\r\n\r\n",
            "a\r\n0123456789\r\n00\r\n\r\n",
        ] {
            let more = format!("{body}GET /");
            assert_eq!(Chunks::START.feed(more.as_bytes()), (Step::End, b"GET /".as_slice()), "{body:?}");
            let mut at = Chunks::START;
            for (number, byte) in body.bytes().enumerate() {
                match at.feed(&[byte]).0 {
                    Step::More(next) => at = next,
                    end => assert_eq!((end, number), (Step::End, body.len() - 1), "{body:?}"),
                }
            }
        }
    }

    #[test]
    fn what_could_be_read_otherwise_is_not_followed() {
        for body in [
            "\r\n",
            ";a\r\n",
            "g\r\n",
            "0x5\r\n",
            "-1\r\n",
            "5\nhello",
            "5;a\nhello",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "5\rX",
            "fffffffffffffffff\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\rX",
        ] {
            assert_eq!(Chunks::START.feed(body.as_bytes()).0, Step::Lost, "{body:?}");
        }
    }
}
