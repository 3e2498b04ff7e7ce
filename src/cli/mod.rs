//! The command line: one file a command.

mod arguments;
mod check;
pub mod demo;
mod explain;
mod gateway;
mod health;
mod housekeeping;
mod init;
mod key;
mod link;
mod log;
mod mail;
mod moving;
mod output;
mod owner;
mod rooms;
pub mod serve;
mod session;
mod snippet;
mod store;
mod user;
mod workbench;

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

pub use arguments::Arguments;

use arguments::Command;

use crate::config::Environment;

/// Does what was asked.
///
/// # Errors
/// What went wrong, and with which exit code to end.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let environment = &Environment::process();
    let file = arguments.file(environment);
    match &arguments.command {
        Command::Serve => return serve::run(&file, environment).await,
        Command::Demo { listen, upstream } => return demo::run(*listen, upstream.clone()).await,
        Command::Init(asked) => return init::run(asked, &file),
        Command::Completions { shell } => return arguments::completions(*shell),
        Command::Man => return arguments::man(),
        Command::Check
        | Command::Explain(_)
        | Command::Snippet { .. }
        | Command::Link(_)
        | Command::Session(_)
        | Command::User(_)
        | Command::Mail(_)
        | Command::Key(_)
        | Command::Store(_)
        | Command::Health => {}
    }
    owner::become_owner(&file, environment)?;
    let loaded = crate::config::load(&file, environment)?;
    match arguments.command {
        Command::Check => check::run(&loaded),
        Command::Explain(asked) => explain::run(&loaded, &asked).await,
        Command::Snippet { proxy } => snippet::run(&loaded, proxy),
        Command::Link(asked) => link::run(&loaded, asked).await,
        Command::Session(asked) => session::run(&loaded, asked).await,
        Command::User(asked) => user::run(&loaded, asked).await,
        Command::Mail(asked) => mail::run(&loaded, asked).await,
        Command::Key(asked) => key::run(&loaded, &asked).await,
        Command::Store(asked) => store::run(&loaded, &asked).await,
        Command::Health => health::run(&loaded),
        Command::Serve
        | Command::Demo { .. }
        | Command::Init(_)
        | Command::Completions { .. }
        | Command::Man => Ok(()),
    }
}
