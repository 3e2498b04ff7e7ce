//! Who somebody is: addresses, profiles, session claims, cookies, keys, assertions, and what is known in memory of
//! people and revocations. Answers from values alone: never asks a store, never sees a socket.

mod address;
pub mod cookie;
mod person;
mod session;

pub use address::{AddressError, EmailAddress, canonical_domain};
pub use cookie::CookieNames;
pub use person::{Identity, Profile};
pub use session::{SessionClaims, SessionId};
