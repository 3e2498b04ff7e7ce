//! Carries one letter out by the way that the settings name, and by the second way when the first cannot.

use std::fmt;

use lettre::message::Mailbox;

use super::compose::compose;
use super::folder;
use super::letter::Letter;
use super::memory::Memory;
use super::sendmail;
use super::settings::{Settings, Transport, mailbox};
use super::smtp::Smtp;

/// Why a letter did not leave. The words are fit to be shown to an administrator: secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Another try, or another relay, may succeed.
    Temporary(String),
    /// This letter will never be taken: it, its sender or its receiver was refused.
    Permanent(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temporary(words) | Self::Permanent(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for SendError {}

/// What was said when a letter was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The way it took, as `host:port`, the program's path, or the file it lies in.
    pub way: String,
    /// The server's words, `250 2.0.0 Ok: queued as …`.
    pub said: String,
    /// What the first way said, where the second had to help.
    pub first: Option<String>,
}

/// Sends letters for one site. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Mailer {
    from: Mailbox,
    reply_to: Option<Mailbox>,
    first: Way,
    second: Option<Way>,
}

#[derive(Debug)]
enum Way {
    Smtp(Box<Smtp>),
    Sendmail(std::path::PathBuf),
    Folder(std::path::PathBuf),
    Memory(Memory),
}

impl Mailer {
    /// Makes ready what `settings` describe; connects to nothing yet.
    ///
    /// # Errors
    /// A mailbox is malformed, or a file of certificates cannot be read; names the key.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        Self::with_memory(settings, &Memory::new())
    }

    /// Like [`Mailer::new`]; letters for `memory:` land in `memory`.
    ///
    /// # Errors
    /// As [`Mailer::new`].
    pub fn with_memory(settings: &Settings, memory: &Memory) -> Result<Self, String> {
        let from = mailbox("from", &settings.from)?;
        let domain = from.email.domain().to_owned();
        let way = |transport: &Transport| Way::new(transport, &domain, memory);
        Ok(Self {
            first: way(&settings.transport)?,
            second: settings.fallback.as_ref().map(way).transpose()?,
            reply_to: settings.reply_to.as_deref().map(|text| mailbox("reply_to", text)).transpose()?,
            from,
        })
    }

    /// Sends one letter. Takes at most a minute, whatever the relays do.
    ///
    /// # Errors
    /// [`SendError`], in words that name the cure.
    pub async fn send(&self, letter: &Letter) -> Result<Receipt, SendError> {
        let message = compose(letter, &self.from, self.reply_to.as_ref()).map_err(SendError::Permanent)?;
        let bytes = message.formatted();
        let first = match self.first.send(letter, message.envelope(), &bytes).await {
            Ok(receipt) => return Ok(receipt),
            Err(SendError::Permanent(words)) => return Err(SendError::Permanent(words)),
            Err(SendError::Temporary(words)) => words,
        };
        let Some(second) = &self.second else { return Err(SendError::Temporary(first)) };
        match second.send(letter, message.envelope(), &bytes).await {
            Ok(receipt) => Ok(Receipt { first: Some(first), ..receipt }),
            Err(SendError::Permanent(words)) => {
                Err(SendError::Permanent(format!("{first}; fallback: {words}")))
            }
            Err(SendError::Temporary(words)) => {
                Err(SendError::Temporary(format!("{first}; fallback: {words}")))
            }
        }
    }

    /// Says good-bye on connections that are kept open for the next letter.
    pub async fn rest(&self) {
        for way in std::iter::once(&self.first).chain(&self.second) {
            match way {
                Way::Smtp(smtp) => smtp.rest().await,
                Way::Sendmail(_) | Way::Folder(_) | Way::Memory(_) => {}
            }
        }
    }
}

impl Way {
    fn new(transport: &Transport, domain: &str, memory: &Memory) -> Result<Self, String> {
        Ok(match transport {
            Transport::Smtp { .. } => Self::Smtp(Box::new(Smtp::new(transport, domain)?)),
            Transport::Sendmail { program } => Self::Sendmail(program.clone()),
            Transport::Folder { path } => Self::Folder(path.clone()),
            Transport::Memory => Self::Memory(memory.clone()),
        })
    }

    async fn send(
        &self,
        letter: &Letter,
        envelope: &lettre::address::Envelope,
        bytes: &[u8],
    ) -> Result<Receipt, SendError> {
        match self {
            Self::Smtp(smtp) => smtp.send(letter, envelope, bytes).await,
            Self::Sendmail(program) => sendmail::send(program, letter, envelope, bytes).await,
            Self::Folder(path) => folder::send(path, letter, bytes).await,
            Self::Memory(memory) => Ok(memory.put(letter.clone())),
        }
    }
}
