//! What can go wrong with pages, each naming the file, the line and the cure. Never holds what a visitor sent.

use std::fmt;

/// A mistake in a page, a text or a picture; all of them are the operator's to mend, none a visitor's.
#[derive(Debug)]
#[non_exhaustive]
pub enum PageError {
    /// A file or folder of pages cannot be read.
    Unreadable {
        /// The path as configured.
        file: String,
        /// What the operating system said.
        reason: String,
    },
    /// A file lies in the folder that is no page, text, style, script or picture.
    UnknownFile {
        /// The file's name.
        file: String,
        /// What to do about it.
        cure: String,
    },
    /// A template does not parse, or uses a name that no page has.
    Template {
        /// The template's name.
        file: String,
        /// Line, counted from one; zero when unknown.
        line: usize,
        /// What is wrong, and the cure.
        reason: String,
    },
    /// A Fluent file does not parse, or says one thing twice.
    Text {
        /// The file's name, or the key of a replaced text.
        file: String,
        /// Line, counted from one; zero when unknown.
        line: usize,
        /// What is wrong, and the cure.
        reason: String,
    },
    /// A replaced text has an id that no page uses.
    UnknownText {
        /// The id as written.
        id: String,
        /// The known id most like it.
        nearest: String,
    },
    /// A page was asked for that does not exist.
    UnknownPage {
        /// The name asked for.
        page: String,
    },
    /// A page could not be filled in.
    Render {
        /// The page, or the file it includes.
        page: String,
        /// Line, counted from one; zero when unknown.
        line: usize,
        /// What was missing.
        reason: String,
    },
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => write!(
                f,
                "{file} cannot be read: {reason}; make it readable for the user that runs linkgate, or \
                 remove it from the pages folder"
            ),
            Self::UnknownFile { file, cure } => write!(f, "{file} in the pages folder is of no use: {cure}"),
            Self::Template { file, line, reason } | Self::Text { file, line, reason } => {
                at(f, file, *line)?;
                write!(f, ": {reason}")
            }
            Self::UnknownText { id, nearest } => {
                write!(f, "no page has a text named {id:?}; the nearest is {nearest:?}")
            }
            Self::UnknownPage { page } => write!(f, "there is no page {page:?}"),
            Self::Render { page, line, reason } => {
                f.write_str("cannot fill in ")?;
                at(f, page, *line)?;
                write!(f, ": {reason}")
            }
        }
    }
}

impl std::error::Error for PageError {}

fn at(f: &mut fmt::Formatter<'_>, file: &str, line: usize) -> fmt::Result {
    if line == 0 { f.write_str(file) } else { write!(f, "{file}, line {line}") }
}

/// The name in `known` that takes the fewest edits from `wanted`; empty if `known` is.
pub(super) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known.min_by_key(|name| edits(wanted, name)).unwrap_or("")
}

/// Levenshtein distance, one row at a time.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (above, a) in from.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let up = *cell;
            *cell = (left + 1).min(up + 1).min(diagonal + usize::from(a != b));
            diagonal = up;
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_with_the_fewest_edits() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(nearest("login-titel", ["login-text", "login-title"].into_iter()), "login-title");
    }
}
