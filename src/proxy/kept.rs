//! The beginning of a body that went out on a shared connection, kept until the app has answered: an app that goes away
//! says which requests it never looked at, and those are sent anew, whatever their method (RFC 9113 §8.7).

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Frame;

/// What is kept of one body; one that is longer cannot be sent anew. An app that does not look at a request takes no
/// more of it than it lets everybody send at first, which is 64 KiB for most.
const MOST: usize = 256 * 1024;

/// What a piece costs besides its bytes: somebody who sends byte by byte must not make us keep a hundred times as much.
const PIECE: usize = 128;

/// A shorter piece is copied: the buffer that it came in may be a thousand times its size.
const SHORT: usize = 2 * 1024;

/// Pieces in their order, as they were sent.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pieces: Vec<Piece>,
    bytes: usize,
    /// The next to be sent anew; at the end where nothing is.
    at: usize,
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Kept {
    /// Keeps a frame that is being sent. Returns whether all of the body so far is kept.
    pub(super) fn push(&mut self, frame: &Frame<Bytes>) -> bool {
        let piece = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) if data.len() < SHORT => Piece::Data(Bytes::copy_from_slice(data)),
            (Some(data), _) => Piece::Data(data.clone()),
            (None, Some(trailers)) => Piece::Trailers(trailers.clone()),
            (None, None) => return true,
        };
        self.bytes += PIECE;
        self.bytes += match &piece {
            Piece::Data(data) => data.len(),
            Piece::Trailers(trailers) => trailers.iter().map(|(n, v)| n.as_str().len() + v.len()).sum(),
        };
        self.pieces.push(piece);
        self.at = self.pieces.len();
        self.bytes <= MOST
    }

    /// From the beginning.
    pub(super) const fn rewind(&mut self) {
        self.at = 0;
    }

    /// Whether something is to be sent anew, before anything new.
    pub(super) const fn is_due(&self) -> bool {
        self.at < self.pieces.len()
    }

    /// The next frame to be sent anew.
    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        let piece = self.pieces.get(self.at)?;
        self.at += 1;
        Some(match piece {
            Piece::Data(data) => Frame::data(data.clone()),
            Piece::Trailers(trailers) => Frame::trailers(trailers.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_comes_again_in_its_order_and_only_what_is_short_is_kept() {
        let mut kept = Kept::default();
        assert!(kept.push(&Frame::data(Bytes::from_static(b"one"))));
        assert!(kept.push(&Frame::data(Bytes::from(vec![0; MOST - 2 * PIECE - 3]))));
        assert!(!kept.is_due() && kept.next().is_none());
        for _ in 0..2 {
            kept.rewind();
            assert!(kept.is_due());
            assert_eq!(kept.next().unwrap().into_data().unwrap(), "one");
            assert_eq!(kept.next().unwrap().into_data().unwrap().len(), MOST - 2 * PIECE - 3);
            assert!(!kept.is_due() && kept.next().is_none());
        }
        assert!(!kept.push(&Frame::trailers(HeaderMap::from_iter([(
            http::HeaderName::from_static("x"),
            http::HeaderValue::from_static("")
        )]))));
    }

    #[test]
    fn of_a_body_that_comes_byte_by_byte_little_is_kept() {
        let (mut kept, whole) = (Kept::default(), Bytes::from(vec![b'x'; 64 * 1024]));
        let count = (0..whole.len()).take_while(|at| kept.push(&Frame::data(whole.slice(*at..=*at)))).count();
        assert!(count * (PIECE + 1) <= MOST, "{count} pieces");
        kept.rewind();
        let first = kept.next().unwrap().into_data().unwrap();
        assert!(!whole.as_ptr_range().contains(&first.as_ptr()), "the whole buffer is kept for a byte");
    }
}
