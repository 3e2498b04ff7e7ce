//! What can be asked for on the command line. Does none of it.
#![expect(clippy::doc_markdown, reason = "these comments are the help that people read on a terminal")]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::Failure;
use super::output;
use crate::config::Environment;

/// Lets people into web apps by a link sent to their e-mail address.
#[derive(Debug, Parser)]
#[command(name = "linkgate", version, about, disable_help_subcommand = true)]
pub struct Arguments {
    /// The configuration [default: $LINKGATE_CONFIG, then /etc/linkgate/config.toml]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// The file meant.
    #[must_use]
    pub fn file(&self, environment: &Environment) -> PathBuf {
        let named = environment.variables.get("LINKGATE_CONFIG").filter(|name| !name.is_empty());
        self.config
            .clone()
            .or_else(|| named.map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("/etc/linkgate/config.toml"))
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway
    Serve,
    /// Try everything on this machine, with nothing configured
    Demo {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// A real app instead of the sample
        #[arg(long, value_name = "URL")]
        upstream: Option<String>,
    },
    /// Read the configuration, report every mistake, try its [[expect]]s; start nothing
    Check,
    /// Say which site, app and rule decide about a request, and why
    Explain(Explain),
    /// Write a configuration and a secret
    Init(Init),
    /// Print the configuration of another proxy that is to ask linkgate who may pass
    Snippet {
        /// Which proxy
        proxy: Proxy,
    },
    /// Links made by hand, and those that people asked for
    #[command(subcommand)]
    Link(Link),
    /// Who is signed in
    #[command(subcommand)]
    Session(Session),
    /// People beyond those in the file
    #[command(subcommand)]
    User(User),
    /// Letters
    #[command(subcommand)]
    Mail(Mail),
    /// Signing keys
    #[command(subcommand)]
    Key(Key),
    /// The store
    #[command(subcommand)]
    Store(Store),
    /// Ask the running gateway whether it is ready (for containers)
    Health,
    /// Write shell completions to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual page to standard output
    Man,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Who asks: an address, or "nobody"
    pub person: String,
    /// What: "GET https://wiki.example.com/path"
    pub request: String,
    /// From where, for rules with clients
    #[arg(long, value_name = "IP")]
    pub client: Option<IpAddr>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Proxies that can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Proxy {
    /// By auth_request
    Nginx,
    /// By forward_auth
    Caddy,
    /// By forwardAuth
    Traefik,
    /// By ext_authz
    Envoy,
    /// By a Lua file of ours
    Haproxy,
    /// By a Lua file of ours
    Apache,
}

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Where people sign in: https://wiki.example.com
    #[arg(long)]
    pub url: Option<String>,
    /// The app: http://127.0.0.1:3000
    #[arg(long)]
    pub upstream: Option<String>,
    /// Who may sign in: addresses, "@example.com" (repeat, or separate by commas)
    #[arg(long, value_delimiter = ',')]
    pub allow: Vec<String>,
    /// The sender of letters: "Example <login@example.com>"
    #[arg(long, value_name = "MAILBOX")]
    pub from: Option<String>,
    /// The relay: smtp://smtp.example.com:587
    #[arg(long, value_name = "URL")]
    pub mail_url: Option<String>,
    /// Where the store and the secret lie
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/linkgate")]
    pub state_dir: PathBuf,
}

/// `link`.
#[derive(Debug, Subcommand)]
pub enum Link {
    /// Make a link and print it, once
    Create {
        /// Whom it lets in
        email: String,
        /// The site; needed where there are several
        #[arg(long)]
        site: Option<String>,
        /// How long it works: 30m, 7d, never
        #[arg(long, value_name = "DURATION", default_value = "1d")]
        expires: String,
        /// How often it lets in: a number, or unlimited
        #[arg(long, value_name = "N", default_value = "1")]
        uses: String,
        /// Where it leads: an address of the site
        #[arg(long, value_name = "URL")]
        return_to: Option<String>,
        /// Send it by mail as well
        #[arg(long)]
        send: bool,
        /// For the record and the letter
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// List links, newest first
    List {
        /// Of one site
        #[arg(long)]
        site: Option<String>,
        /// Of one person
        #[arg(long)]
        email: Option<String>,
        /// In one state
        #[arg(long, value_parser = ["active", "used", "expired", "revoked"])]
        state: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Take links back
    Revoke(Which),
}

/// What a revocation is about.
#[derive(Debug, Args)]
pub struct Which {
    /// By id
    pub ids: Vec<String>,
    /// All of one person
    #[arg(long, conflicts_with_all = ["ids", "all"])]
    pub email: Option<String>,
    /// All there are
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// Of one site only
    #[arg(long, conflicts_with = "ids")]
    pub site: Option<String>,
}

/// `session`.
#[derive(Debug, Subcommand)]
pub enum Session {
    /// List who is signed in, newest first
    List {
        /// Of one person
        #[arg(long)]
        email: Option<String>,
        /// Of one site
        #[arg(long)]
        site: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// End sessions, within a second
    Revoke(Which),
}

/// `user`.
#[derive(Debug, Subcommand)]
pub enum User {
    /// List people in the store
    List {
        /// Of one site
        #[arg(long)]
        site: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Add a person
    Add(Person),
    /// Change a person; what is not named stays
    Set(Person),
    /// Remove a person and end their sessions
    Remove {
        /// Who
        email: String,
        /// The site; needed where there are several
        #[arg(long)]
        site: Option<String>,
    },
}

/// A person to add or change.
#[derive(Debug, Args)]
pub struct Person {
    /// Who
    pub email: String,
    /// The site; needed where there are several
    #[arg(long)]
    pub site: Option<String>,
    /// What apps call the person
    #[arg(long)]
    pub name: Option<String>,
    /// What Remote-User says; else the address
    #[arg(long)]
    pub id: Option<String>,
    /// Groups, repeated or separated by commas; "" for none
    #[arg(long, value_delimiter = ',')]
    pub groups: Option<Vec<String>>,
    /// The last day (2027-01-31), or never
    #[arg(long, value_name = "DAY")]
    pub until: Option<String>,
    /// May not sign in
    #[arg(long, conflicts_with = "enable")]
    pub disable: bool,
    /// May sign in again
    #[arg(long)]
    pub enable: bool,
}

/// `mail`.
#[derive(Debug, Subcommand)]
pub enum Mail {
    /// Send a trial letter at once, and say what the relay answered
    Test {
        /// To whom
        address: String,
        /// By whose mail; needed where there are several sites
        #[arg(long)]
        site: Option<String>,
    },
    /// List letters, newest first; bring back or drop some
    Queue {
        /// For programs
        #[arg(long)]
        json: bool,
        /// What to do with them.
        #[command(subcommand)]
        order: Option<Queue>,
    },
}

/// `mail queue`.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// Try dead letters again; none named: all of them
    Retry {
        /// Which
        ids: Vec<String>,
    },
    /// Drop letters
    Drop {
        /// Which
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// `key`.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Begin to sign with a new key; the old one is believed until what it signed has ended
    Rotate {
        /// Believe the old one no more: ends every session and every link
        #[arg(long)]
        now: bool,
    },
}

/// `store`.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Remove what has ended
    Cleanup {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Write everything into a new file, to move it into another store
    Export {
        /// The file; it must not exist yet. "-": standard output
        file: PathBuf,
    },
    /// Take what `store export` wrote into a store that is still empty
    Import {
        /// The file. "-": standard input
        file: PathBuf,
        /// Take it although the master secret is another one: everybody has to sign in again
        #[arg(long)]
        other_secret: bool,
    },
    /// Make this linkgate the one that writes to the token service (kind = "http"), when the one before is gone
    Claim,
}

/// Completions.
pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "linkgate", &mut text);
    output::bytes(&text)
}

/// The manual page.
pub fn man() -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Arguments::command())
        .render(&mut text)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    output::bytes(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
