//! A store on its way into another: one JSON object a line. First a header, then the records in the order in which they
//! are written again, at last how many there were, so that a file that was cut off is known. Holds no token, no code, no
//! letter and no key; never guesses: a line that is not understood is an error that names it.

mod forms;
mod reading;
mod records;

pub(super) use forms::hex;
pub use reading::Reading;
pub use records::{
    MovedCodeFailure, MovedEpoch, MovedEvent, MovedLink, MovedPerson, MovedProfile, MovedRefused,
    MovedSession,
};

use std::fmt;

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::clock::Timestamp;

/// The form that this program writes, and the newest that it reads. 2: with sessions that are refused without a record, and
/// how many there are in the last line.
pub const FORMAT: u32 = 2;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Always `store`: says what the file is.
    pub linkgate: String,
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// When it was begun.
    #[serde(with = "forms::plain")]
    pub made_at: Timestamp,
    /// The marks of the master secrets that what is in it was signed with, the present one first. They say nothing
    /// about the secrets.
    pub secrets: Vec<String>,
}

impl Header {
    /// Of an export that begins now.
    #[must_use]
    pub fn new(made_at: Timestamp, secrets: Vec<String>) -> Self {
        Self { linkgate: "store".to_owned(), format: FORMAT, made_at, secrets }
    }
}

/// One record, with everything that the store knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// A generation of signing keys, oldest first.
    Epoch(MovedEpoch),
    /// A person, or only their generation.
    Person(MovedPerson),
    /// A session; revoked ones say so.
    Session(MovedSession),
    /// A session without a record, which is refused.
    Refused(MovedRefused),
    /// A link, oldest first.
    Link(MovedLink),
    /// A wrong code of the last day.
    CodeFailure(MovedCodeFailure),
    /// An event, oldest first.
    Audit(MovedEvent),
}

/// What goes into [`Store::import`](super::Store::import).
#[derive(Debug)]
pub enum Delivery {
    /// Some more.
    Records(Vec<Moved>),
    /// That was all: now it counts. Without this nothing is kept.
    Complete,
}

/// How many records there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Census {
    /// Key epochs.
    pub epochs: u64,
    /// People and generations.
    pub people: u64,
    /// Sessions.
    pub sessions: u64,
    /// Sessions without a record, which are refused.
    pub refused: u64,
    /// Links.
    pub links: u64,
    /// Wrong codes of the last day.
    pub code_failures: u64,
    /// Audit events.
    pub audit: u64,
}

impl Census {
    /// One more.
    pub fn count(&mut self, record: &Moved) {
        let field = match record {
            Moved::Epoch(_) => &mut self.epochs,
            Moved::Person(_) => &mut self.people,
            Moved::Session(_) => &mut self.sessions,
            Moved::Refused(_) => &mut self.refused,
            Moved::Link(_) => &mut self.links,
            Moved::CodeFailure(_) => &mut self.code_failures,
            Moved::Audit(_) => &mut self.audit,
        };
        *field += 1;
    }

    /// Refuses to mix an import with what is there already. A first key epoch, which every store has, and audit events
    /// are no hindrance.
    ///
    /// # Errors
    /// What is there, and the cure.
    pub fn must_be_empty(&self) -> Result<(), StoreError> {
        if self.links == 0
            && self.sessions == 0
            && self.people == 0
            && self.code_failures == 0
            && self.epochs <= 1
        {
            return Ok(());
        }
        Err(StoreError::Invalid(format!(
            "the store is not empty ({self}), and two stores cannot be mixed; nothing was changed. Import into a new \
             one: stop linkgate, move the old store away or name another in [store], and import again"
        )))
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epochs, people, sessions, refused, links, code_failures, audit } = self;
        write!(
            f,
            "{links} links, {sessions} sessions, {people} people, {epochs} key epochs, {code_failures} wrong codes, \
             {refused} refused sessions, {audit} audit events"
        )
    }
}

/// One line of the file, with its end.
///
/// # Errors
/// None that a value of ours can cause.
pub fn line<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec(value)
        .map_err(|error| StoreError::Corrupt(format!("a record that cannot be written: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The last line.
///
/// # Errors
/// As [`line`].
pub fn last_line(census: &Census) -> Result<Vec<u8>, StoreError> {
    #[derive(Serialize)]
    struct Last<'a> {
        end: &'a Census,
    }
    line(&Last { end: census })
}
