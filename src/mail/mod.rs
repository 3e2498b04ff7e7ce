//! Letters: how they are written, kept sealed, and carried to a relay, a program, a folder or memory.
//!
//! Knows no status codes, cookies or pages; never logs an address, a link or a code; never sends without encryption
//! to another machine.

mod compose;
mod explain;
mod folder;
mod letter;
mod mailer;
mod memory;
mod outbox;
mod sendmail;
mod settings;
mod smtp;
mod wire;

pub use letter::{Letter, open, seal};
pub use mailer::{Mailer, Receipt, SendError};
pub use memory::Memory;
pub use outbox::{Mailers, Outbox};
pub use settings::{Mechanism, Security, Settings, Transport};
