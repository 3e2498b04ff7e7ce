//! Letters kept in memory, for the demo and for tests. Never grows without bound.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::letter::Letter;
use super::mailer::Receipt;

/// How many letters are kept; the oldest make room.
const MOST: usize = 500;

/// A shared inbox. Clones hold the same letters.
#[derive(Clone, Debug)]
pub struct Memory {
    letters: Arc<Mutex<VecDeque<Letter>>>,
    arrivals: watch::Sender<u64>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty inbox.
    #[must_use]
    pub fn new() -> Self {
        Self { letters: Arc::default(), arrivals: watch::Sender::new(0) }
    }

    /// All letters, newest first.
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How many letters ever arrived; changes with each.
    #[must_use]
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    pub(super) fn put(&self, letter: Letter) -> Receipt {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push_front(letter);
        letters.truncate(MOST);
        drop(letters);
        self.arrivals.send_modify(|count| *count += 1);
        Receipt { way: "memory".to_owned(), said: "kept in memory".to_owned(), first: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn the_newest_come_first_and_the_oldest_go() {
        let memory = Memory::new();
        for number in 0..=MOST {
            memory.clone().put(Letter { subject: number.to_string(), ..letter() });
        }
        let letters = memory.letters();
        assert_eq!(letters.len(), MOST);
        assert_eq!(letters[0].subject, MOST.to_string());
        assert_eq!(letters[MOST - 1].subject, "1");
        assert_eq!(*memory.arrivals().borrow(), MOST as u64 + 1);
    }
}
