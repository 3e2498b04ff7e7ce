//! Who somebody is: addresses, profiles, session claims, cookies, keys, assertions, and what is known in memory of
//! people and revocations. Answers from values alone: never asks a store, never sees a socket.

mod address;
mod assertion;
pub mod cookie;
mod keyring;
mod keys;
mod person;
mod session;
mod standing;
mod token;

pub use address::{AddressError, EmailAddress, canonical_domain};
pub use assertion::{AssertionClaims, AssertionKey};
pub use cookie::CookieNames;
pub use keyring::Keyring;
pub use keys::{KeyEpoch, KeyError, Keys, MasterSecret, Purpose};
pub use person::{Identity, Profile};
pub use session::{LONGEST_SESSION, SessionClaims, SessionId};
pub use standing::{Change, Snapshot, Standing, StoredPerson, Unsaid};
pub use token::{TokenError, TokenKind};
