//! What can go wrong in the store, by what can be done about it. Never carries an address or a token.

use std::fmt;

/// Why the store did not do what it was asked. Nothing was changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// It cannot be reached or written just now: no new sign-ins, who is signed in goes on.
    Away(String),
    /// More is waiting than it can write: come again.
    Full,
    /// What it holds cannot be read; restore a backup.
    Corrupt(String),
    /// The caller asked for something that cannot be: the text says what, and the cure.
    Invalid(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => write!(f, "the store is away: {why}"),
            Self::Full => f.write_str("the store has more to write than it can; try again in a moment"),
            Self::Corrupt(why) => {
                write!(f, "the store is damaged ({why}); stop linkgate and restore a backup")
            }
            Self::Invalid(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StoreError {}
