//! The command line: one file a command.

pub mod demo;
mod gateway;
mod housekeeping;
mod log;
mod rooms;
pub mod serve;

/// Why a command ended badly.
#[derive(Debug)]
pub enum Failure {
    /// Exit 1.
    Failed(String),
    /// Exit 2.
    Usage(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

impl From<crate::config::Mistakes> for Failure {
    fn from(mistakes: crate::config::Mistakes) -> Self {
        Self::Usage(mistakes.to_string())
    }
}

mod check {
    pub fn unmet(_: &crate::config::Loaded) -> Option<String> {
        None
    }
}
