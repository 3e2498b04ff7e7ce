//! Mistakes in the configuration: where, which key, what is wrong, what to write instead. Never stops at the first.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole: something is missing.
    #[default]
    Whole,
    /// In the file; both counted from one, columns in characters.
    File {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A systemd credential.
    Credential(String),
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// The key in full, such as `site.mail.from`; empty where the mistake is no key's.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub cure: String,
}

/// Every mistake of one configuration, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The file that was read.
    pub file: PathBuf,
    /// What was found.
    pub list: Vec<Mistake>,
}

impl Mistakes {
    /// Sorts, and drops what was found twice (a value that several sites inherit is judged once for each).
    #[must_use]
    pub fn new(file: PathBuf, mut list: Vec<Mistake>) -> Self {
        list.sort();
        list.dedup_by(|a, b| a.place == b.place && a.what == b.what && a.cure == b.cure);
        Self { file, list }
    }

    /// A single mistake about the whole file.
    #[must_use]
    pub fn whole(file: PathBuf, what: impl Into<String>, cure: impl Into<String>) -> Self {
        let mistake =
            Mistake { place: Place::Whole, key: String::new(), what: what.into(), cure: cure.into() };
        Self { file, list: vec![mistake] }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let file = self.file.display();
            match &mistake.place {
                Place::Whole => write!(f, "{file}: ")?,
                Place::File { line, column } => write!(f, "{file}:{line}:{column}: ")?,
                Place::Environment(name) => write!(f, "environment variable {name}: ")?,
                Place::Credential(name) => write!(f, "systemd credential {name}: ")?,
            }
            if !mistake.key.is_empty() {
                write!(f, "{}: ", mistake.key)?;
            }
            write!(f, "{}", mistake.what)?;
            if !mistake.cure.is_empty() {
                write!(f, "; {}", mistake.cure)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// The known word that is nearest to `word`, if it is near enough to have been meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Damerau–Levenshtein distance, restricted: insertion, deletion, substitution, swap of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, j) + usize::from(letter != other))
                .min(at(&above, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(other) && b.get(j - 1) == Some(letter);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        let known = ["from", "url", "password", "reply_to"];
        assert_eq!(nearest("form", known.into_iter()), Some("from"));
        assert_eq!(nearest("passwrod", known.into_iter()), Some("password"));
        assert_eq!(nearest("replyto", known.into_iter()), Some("reply_to"));
        assert_eq!(nearest("zebra", known.into_iter()), None);
    }
}
