//! The only reader of randomness. Never seeded outside tests: secrets come from the operating system.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng as _, SeedableRng as _, TryRng as _};

/// A source of random bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Random(Option<Arc<Mutex<StdRng>>>);

impl Random {
    /// The operating system's generator.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A repeatable generator, for tests only.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: nothing safe can be done then.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Some(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes),
            None => {
                #[expect(clippy::expect_used, reason = "without randomness every secret would be guessable")]
                SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
            }
        }
        bytes
    }

    /// A random UUID version 4 (RFC 9562 §5.4) in its usual text form.
    #[must_use]
    pub fn uuid(&self) -> String {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid().to_string()
    }
}
