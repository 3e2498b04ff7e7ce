//! The generations that new sessions carry. Asks whoever knows, once for each person; never knows one by itself.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::identity::EmailAddress;

/// Generations of people, each asked once and before anything is spent: whose code was typed, only the store finds out, and
/// what it writes down the token must carry too, whatever happens meanwhile. Clones are one.
#[derive(Clone)]
pub struct Generations(Arc<Remembered>);

struct Remembered {
    ask: Box<dyn Fn(&EmailAddress) -> u64 + Send + Sync>,
    said: Mutex<Vec<(EmailAddress, u64)>>,
}

impl Generations {
    /// As `ask` says of each person when it is asked first.
    pub fn new(ask: impl Fn(&EmailAddress) -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(Remembered { ask: Box::new(ask), said: Mutex::default() }))
    }

    /// This person's, now and ever after.
    #[must_use]
    pub fn of(&self, email: &EmailAddress) -> u64 {
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, generation)) = said.iter().find(|(of, _)| of == email) {
            return *generation;
        }
        let generation = (self.0.ask)(email);
        said.push((email.clone(), generation));
        generation
    }
}

impl fmt::Debug for Generations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generations").finish_non_exhaustive()
    }
}
