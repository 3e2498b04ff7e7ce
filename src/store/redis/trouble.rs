//! Why there is no answer: what passes and is tried again, what lasts until somebody does something, and what is told when
//! time is up. Never holds a password.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::address::Place;
use crate::store::StoreError;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Time is up.
    Late,
    /// It may be better in a moment.
    Broken(String),
    /// It stays so until somebody does what this says.
    Refused(String),
}

impl Failure {
    /// A connection that broke.
    pub(super) fn broken(place: &Place, error: &RedisError) -> Self {
        Self::Broken(format!("{place}: {error}"))
    }

    /// A connection that could not be opened.
    pub(super) fn closed(place: &Place, error: &RedisError) -> Self {
        let cure = match error.kind() {
            // Whoever has too many clients answers nothing else; what it said then does not come through.
            ErrorKind::AuthenticationFailed => {
                "check `user` and `password_file` (and its `maxclients`, if they are right)"
            }
            // The number of the database is all else that is said at the door.
            ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::NoPerm) => {
                "check `user`, `password_file` and the number of the database in `store.url`"
            }
            _ if error.is_timeout() => return Self::Late,
            _ => return Self::broken(place, error),
        };
        Self::Refused(format!("{place} does not let us in ({error}); {cure}"))
    }
}

/// What went wrong last on the way to one answer.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    pub(super) fn is(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// What went wrong for somebody else, who looks for the same.
    pub(super) fn is_that_of(&self, other: &Self) {
        let known = other.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(why) = known {
            self.is(why);
        }
    }

    pub(super) fn is_over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is told of a failure that ends everything.
    pub(super) fn told(&self, failure: Failure, timeout: Duration) -> StoreError {
        match failure {
            Failure::Late => self.late(timeout),
            Failure::Broken(why) | Failure::Refused(why) => away(&why),
        }
    }

    /// Time is up.
    pub(super) fn late(&self, timeout: Duration) -> StoreError {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
            Some(why) => away(&format!("no answer within {timeout:?}; the last thing heard: {why}")),
            None => away(&format!("no answer within {timeout:?}")),
        }
    }
}

pub(super) fn away(why: &str) -> StoreError {
    StoreError::Away(format!("Redis: {why}"))
}
