//! Follows WebSocket frames (RFC 6455 §5.2) by their lengths alone, so that a frame of our own can be put between two.
//! Reads no payload, keeps no data, changes nothing; what is no WebSocket ends nowhere.

/// Opcode of a close frame.
const CLOSE: u8 = 8;

/// Where one direction of a WebSocket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frames {
    /// Payload bytes to come.
    left: u64,
    stage: Stage,
    /// Whether this frame's payload is masked.
    masked: bool,
    /// A close frame began: no frame of ours may follow it.
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Between two frames.
    Border,
    /// Before the byte that holds the mask bit and the short length.
    Length,
    /// Before that many bytes of a long length.
    Longer(u8),
    /// Before that many bytes of the mask.
    Mask(u8),
    Payload,
}

impl Frames {
    pub const fn new() -> Self {
        Self { left: 0, stage: Stage::Border, masked: false, closed: false }
    }

    /// Whether a frame may be put in here.
    pub fn at_border(&self) -> bool {
        self.stage == Stage::Border
    }

    /// Whether a close frame went by.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many of the next bytes belong to the present frame for sure; zero between two frames.
    pub fn certain(&self) -> u64 {
        match self.stage {
            Stage::Border => 0,
            Stage::Length => 1,
            Stage::Longer(bytes) => u64::from(bytes),
            Stage::Mask(bytes) => self.left.saturating_add(u64::from(bytes)),
            Stage::Payload => self.left,
        }
    }

    /// Takes the bytes that pass.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            if self.stage == Stage::Payload {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = bytes.get(here..).unwrap_or_default();
                self.left = self.left.saturating_sub(here as u64);
                self.enter_payload();
                continue;
            }
            self.head(*byte);
            bytes = rest;
        }
    }

    fn head(&mut self, byte: u8) {
        match self.stage {
            Stage::Border => {
                self.closed |= byte & 0x0f == CLOSE;
                self.stage = Stage::Length;
            }
            Stage::Length => {
                self.masked = byte & 0x80 != 0;
                match byte & 0x7f {
                    126 => (self.left, self.stage) = (0, Stage::Longer(2)),
                    127 => (self.left, self.stage) = (0, Stage::Longer(8)),
                    length => {
                        self.left = u64::from(length);
                        self.enter_mask();
                    }
                }
            }
            Stage::Longer(bytes) => {
                self.left = self.left << 8 | u64::from(byte);
                match bytes {
                    1 => self.enter_mask(),
                    more => self.stage = Stage::Longer(more - 1),
                }
            }
            Stage::Mask(1) => self.enter_payload(),
            Stage::Mask(more) => self.stage = Stage::Mask(more - 1),
            Stage::Payload => {}
        }
    }

    fn enter_mask(&mut self) {
        if self.masked {
            self.stage = Stage::Mask(4);
        } else {
            self.enter_payload();
        }
    }

    fn enter_payload(&mut self) {
        self.stage = if self.left == 0 { Stage::Border } else { Stage::Payload };
    }
}

/// A close frame (§5.5.1); `mask`: as a client sends it. The reason is at most 123 bytes.
pub(super) fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend(reason.bytes().take(123));
    let length = u8::try_from(payload.len()).unwrap_or(125);
    let mut frame = vec![0x80 | CLOSE, length];
    if let Some(mask) = mask {
        frame = vec![0x80 | CLOSE, 0x80 | length];
        frame.extend(mask);
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
    }
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct Frame {
        opcode: u8,
        length: usize,
        masked: bool,
        /// In how many bytes the length is written: it may be more than needed.
        wide: u8,
    }

    impl Frame {
        fn bytes(&self) -> Vec<u8> {
            let mask = u8::from(self.masked) << 7;
            let mut bytes = vec![self.opcode];
            match (self.length, self.wide) {
                (..126, 0) => bytes.push(mask | u8::try_from(self.length).unwrap()),
                (..65536, 0 | 1) => {
                    bytes.push(mask | 0x7e);
                    bytes.extend(u16::try_from(self.length).unwrap().to_be_bytes());
                }
                _ => {
                    bytes.push(mask | 0x7f);
                    bytes.extend((self.length as u64).to_be_bytes());
                }
            }
            if self.masked {
                bytes.extend([1, 2, 3, 4]);
            }
            // Payload that looks like heads of frames.
            bytes.extend((0..self.length).map(|at| if at % 2 == 0 { 0x88 } else { 0x7f }));
            bytes
        }
    }

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let length = prop_oneof![0..5usize, 120..130usize, 65_530..65_540usize];
        let opcode = prop_oneof![Just(0x81u8), Just(0x02), Just(0x89), Just(0x00)];
        let frame = (opcode, length, any::<bool>(), 0..3u8)
            .prop_map(|(opcode, length, masked, wide)| Frame { opcode, length, masked, wide });
        prop::collection::vec(frame, 1..6)
    }

    proptest! {
        #[test]
        fn borders_are_found_however_the_bytes_are_split(
            frames in frames(),
            cuts in prop::collection::vec(1..70_000usize, 1..40),
        ) {
            let mut borders = vec![0];
            let mut bytes = Vec::new();
            for frame in &frames {
                bytes.extend(frame.bytes());
                borders.push(bytes.len());
            }
            let mut at = 0;
            let mut follow = Frames::new();
            for cut in cuts.iter().cycle() {
                prop_assert_eq!(follow.at_border(), borders.contains(&at));
                let next = borders.iter().find(|border| **border >= at).unwrap();
                prop_assert!(follow.certain() <= (next - at) as u64);
                prop_assert_eq!(follow.certain() == 0, *next == at);
                if at == bytes.len() {
                    break;
                }
                let end = (at + cut).min(bytes.len());
                follow.feed(&bytes[at..end]);
                at = end;
            }
            prop_assert!(!follow.is_closed());
        }

        #[test]
        fn whatever_arrives_is_followed_without_a_slip(
            bytes in prop::collection::vec(any::<u8>(), 0..4000),
            split in 0..4000usize,
        ) {
            let mut whole = Frames::new();
            whole.feed(&bytes);
            let mut parts = Frames::new();
            let (first, second) = bytes.split_at(split.min(bytes.len()));
            parts.feed(first);
            parts.feed(second);
            prop_assert_eq!(whole, parts);
        }
    }

    #[test]
    fn what_is_certain_leads_to_the_border_and_not_beyond() {
        let frame = Frame { opcode: 0x82, length: 300, masked: true, wide: 2 }.bytes();
        let mut follow = Frames::new();
        follow.feed(&frame[..1]);
        let mut at = 1;
        while !follow.at_border() {
            let step = usize::try_from(follow.certain()).unwrap();
            follow.feed(&frame[at..at + step]);
            at += step;
        }
        assert_eq!(at, frame.len());
    }

    #[test]
    fn a_close_frame_says_why_and_is_seen() {
        let plain = close(1008, "ended", None);
        assert_eq!(plain, b"\x88\x07\x03\xf0ended");
        let masked = close(1001, "", Some([0xff, 0, 0, 0]));
        assert_eq!(masked, b"\x88\x82\xff\x00\x00\x00\xfc\xe9");
        for frame in [plain, masked] {
            let mut follow = Frames::new();
            follow.feed(&frame);
            assert!(follow.is_closed() && follow.at_border());
        }
    }
}
