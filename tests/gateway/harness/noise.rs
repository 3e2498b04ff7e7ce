//! Bytes that no two places have in common, so that a shift, a gap or a swap is seen.

/// A prime: no power of two divides the distance of two equal places.
const PERIOD: usize = 1_000_003;
/// The longest piece that is looked at in one go.
pub const PIECE: usize = 256 * 1024;

/// An endless stream; the same seed makes the same one.
pub struct Noise(Vec<u8>);

impl Noise {
    pub fn new(seed: u64) -> Self {
        let mut bytes = some(seed, PERIOD);
        bytes.extend_from_within(..PIECE);
        Self(bytes)
    }

    /// `length` bytes from `offset` on; [`PIECE`] at most.
    pub fn at(&self, offset: u64, length: usize) -> &[u8] {
        let from = usize::try_from(offset % PERIOD as u64).unwrap();
        &self.0[from..from + length.min(PIECE)]
    }
}

/// `length` bytes.
pub fn some(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
