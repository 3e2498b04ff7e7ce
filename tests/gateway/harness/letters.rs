//! The folder transport as a mailbox: letters are read with a parser that is not ours.

use super::PATIENCE;
use super::eventually_within;
use mail_parser::MessageParser;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Letter {
    pub to: String,
    pub from: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The whole file as it lies there.
    pub raw: String,
    pub link: String,
    /// As printed, `XXXX-XXXX`; empty where the letter has none.
    pub code: String,
}

impl Letter {
    /// From the bytes of a message (RFC 5322). `None` while it is incomplete.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let message = MessageParser::default().parse(bytes)?;
        let address = |found: Option<&mail_parser::Address<'_>>| {
            found
                .and_then(|list| list.first())
                .and_then(|one| one.address())
                .map(str::to_owned)
                .unwrap_or_default()
        };
        let text = message.body_text(0)?.into_owned();
        let html = message.body_html(0)?.into_owned();
        let link = text.lines().map(str::trim).find(|line| line.starts_with("http"))?.to_owned();
        let code = text.split_whitespace().find(|word| is_code(word)).unwrap_or_default().to_owned();
        Some(Self {
            to: address(message.to()),
            from: address(message.from()),
            subject: message.subject().unwrap_or_default().to_owned(),
            raw: String::from_utf8_lossy(bytes).into_owned(),
            text,
            html,
            link,
            code,
        })
    }

    pub fn token(&self) -> &str {
        self.link.split_once("token=").expect("the link carries a token").1
    }
}

fn is_code(word: &str) -> bool {
    let capital =
        |part: &str| part.len() == 4 && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    word.split_once('-').is_some_and(|(a, b)| capital(a) && capital(b))
}

pub struct Mailbox {
    folder: PathBuf,
    read: Mutex<HashSet<PathBuf>>,
}

impl Mailbox {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, read: Mutex::default() }
    }

    /// Letters so far; the last may still be being written.
    pub fn count(&self) -> usize {
        self.files().len()
    }

    pub fn all(&self) -> Vec<Letter> {
        self.files().into_iter().filter_map(|path| Letter::parse(&std::fs::read(path).ok()?)).collect()
    }

    /// Those that were not handed out before, and are whole.
    pub fn fresh(&self) -> Vec<Letter> {
        let mut read = self.read.lock().unwrap();
        let unread: Vec<PathBuf> = self.files().into_iter().filter(|path| !read.contains(path)).collect();
        let mut letters = Vec::new();
        for path in unread {
            let letter = std::fs::read(&path).ok().and_then(|bytes| Letter::parse(&bytes));
            if let Some(letter) = letter {
                read.insert(path);
                letters.push(letter);
            }
        }
        letters
    }

    /// Waits for the next letter to `address` that was not handed out before.
    pub async fn next_to(&self, address: &str) -> Letter {
        self.next_to_within(PATIENCE, address).await
    }

    pub async fn next_to_within(&self, patience: Duration, address: &str) -> Letter {
        eventually_within(
            patience,
            &format!("a letter to {address} in {}", self.folder.display()),
            async || {
                let mut read = self.read.lock().unwrap();
                for path in self.files() {
                    if read.contains(&path) {
                        continue;
                    }
                    let Some(letter) = std::fs::read(&path).ok().and_then(|bytes| Letter::parse(&bytes))
                    else {
                        continue;
                    };
                    if letter.to.eq_ignore_ascii_case(address) {
                        read.insert(path);
                        return Some(letter);
                    }
                }
                None
            },
        )
        .await
    }

    /// All `.eml` files below the folder, oldest name first.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.folder, &mut found);
        found.sort();
        found
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "eml") {
            found.push(path);
        }
    }
}
