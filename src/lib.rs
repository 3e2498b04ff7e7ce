//! linkgate: a reverse proxy that lets people in by a link sent to their e-mail address.
//!
//! ```text
//! a request    serve ──▶ gate ──▶ policy ──▶ proxy ──▶ the app
//!              socket    who?     may they?  pass it on
//! a sign-in    login ──▶ mail ──▶ (inbox) ──▶ login ──▶ session cookie
//! ```
//!
//! The rooms, in walking order, are the modules below; `tests/layering.rs` says who may import whom.

pub mod clock;
pub mod identity;
pub mod login;
pub mod mail;
pub mod page;
pub mod policy;
pub mod proxy;
pub mod random;
pub mod secret;
pub mod store;
