//! Reads a file line by line and believes nothing: each line must be understood, no record may come twice, and the last
//! line must say how many there were. Writes nothing.

use std::collections::HashSet;

use aws_lc_rs::digest;
use serde::Deserialize;

use super::{Census, FORMAT, Header, Moved, MovedCodeFailure, MovedEpoch, MovedEvent, MovedLink};
use super::{MovedPerson, MovedRefused, MovedSession};
use crate::store::StoreError;

/// A line below the header.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Epoch(MovedEpoch),
    Person(MovedPerson),
    Session(MovedSession),
    Refused(MovedRefused),
    Link(MovedLink),
    CodeFailure(MovedCodeFailure),
    Audit(MovedEvent),
    End(Census),
}

/// A file that is being read.
#[derive(Debug, Default)]
pub struct Reading {
    number: u64,
    header: Option<Header>,
    seen: Census,
    end: Option<Census>,
    /// What may be there once only, shortened to 16 bytes each.
    names: HashSet<[u8; 16]>,
}

impl Reading {
    /// Takes the next line; `None`: it holds no record.
    ///
    /// # Errors
    /// What is wrong with it, by its number.
    pub fn line(&mut self, text: &[u8]) -> Result<Option<Moved>, StoreError> {
        self.number += 1;
        if self.end.is_some() {
            return Err(self.wrong("this comes after the line that says `end`; two exports are not one"));
        }
        if self.header.is_none() {
            self.header = Some(self.read_header(text)?);
            return Ok(None);
        }
        let read = serde_json::from_slice(text).map_err(|error| self.broken(&error))?;
        let record = match read {
            Line::Epoch(epoch) => Moved::Epoch(epoch),
            Line::Person(person) => Moved::Person(person),
            Line::Session(session) => Moved::Session(session),
            Line::Refused(refused) => Moved::Refused(refused),
            Line::Link(link) => Moved::Link(link),
            Line::CodeFailure(failure) => Moved::CodeFailure(failure),
            Line::Audit(event) => Moved::Audit(event),
            Line::End(census) => {
                self.end = Some(census);
                return Ok(None);
            }
        };
        self.judge(&record)?;
        self.seen.count(&record);
        Ok(Some(record))
    }

    /// The first line, once it was read.
    #[must_use]
    pub const fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// All has been read: says how much it was.
    ///
    /// # Errors
    /// The file is not complete.
    pub fn finish(self) -> Result<(Header, Census), StoreError> {
        let (Some(header), Some(end)) = (self.header, self.end) else {
            return Err(StoreError::Invalid(format!(
                "the file ends after line {} without the line that says `end`: it was cut off; export again",
                self.number
            )));
        };
        if end != self.seen {
            return Err(StoreError::Invalid(format!(
                "the last line counts {end}, but the file holds {}: lines are missing or were added; export again",
                self.seen
            )));
        }
        if end.epochs == 0 {
            return Err(StoreError::Invalid(
                "the file holds no key epoch, so nothing in it could be believed; export again".to_owned(),
            ));
        }
        Ok((header, end))
    }

    fn read_header(&self, text: &[u8]) -> Result<Header, StoreError> {
        /// What tells a file of another program, or of a later one, from a broken one.
        #[derive(Deserialize)]
        struct Kind {
            linkgate: String,
            format: u32,
        }
        let kind = serde_json::from_slice::<Kind>(text).ok().filter(|kind| kind.linkgate == "store");
        let Some(kind) = kind else {
            return Err(self.wrong("this is no file that `linkgate store export` wrote"));
        };
        if kind.format > FORMAT {
            return Err(self.wrong(&format!(
                "it was written by a newer linkgate (format {}, this program reads {FORMAT}); import it with that one",
                kind.format
            )));
        }
        serde_json::from_slice(text).map_err(|error| self.broken(&error))
    }

    /// What no store of ours would ever write.
    fn judge(&mut self, record: &Moved) -> Result<(), StoreError> {
        let fresh = match record {
            Moved::Epoch(epoch) => self.fresh(&[b"epoch", epoch.id.as_bytes()]),
            Moved::Person(person) => {
                self.fresh(&[b"person", person.site.as_bytes(), person.email.as_str().as_bytes()])
            }
            Moved::Session(session) => self.fresh(&[b"session", session.id.bytes()]),
            Moved::Refused(refused) => self.fresh(&[b"session", refused.id.bytes()]),
            Moved::Link(link) => {
                self.fresh(&[b"link", link.id.as_bytes()]) && self.fresh(&[b"token", &link.token_hash])
            }
            Moved::CodeFailure(_) | Moved::Audit(_) => true,
        };
        if !fresh {
            return Err(self.wrong("this record came before; each may be there once"));
        }
        let too_large = |number: u64| i64::try_from(number).is_err();
        let impossible = match record {
            Moved::Epoch(epoch) => epoch.id.is_empty().then_some("an epoch without a name"),
            Moved::Person(person) => too_large(person.generation).then_some("a generation that large"),
            Moved::Session(session) => too_large(session.generation).then_some("a generation that large"),
            Moved::Link(link) => match (link.uses, link.uses_left) {
                (Some(uses), Some(left)) if left > uses => Some("more uses left than there were"),
                (Some(_), None) | (None, Some(_)) => Some("uses that are limited on one side only"),
                (Some(_), Some(_)) | (None, None) => None,
            },
            Moved::Refused(_) | Moved::CodeFailure(_) | Moved::Audit(_) => None,
        };
        impossible.map_or(Ok(()), |what| Err(self.wrong(&format!("{what} cannot be"))))
    }

    fn fresh(&mut self, parts: &[&[u8]]) -> bool {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let mut name = [0; 16];
        name.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        self.names.insert(name)
    }

    fn broken(&self, error: &serde_json::Error) -> StoreError {
        // The parser counts lines of its own; only ours mean something.
        let said = error.to_string();
        let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
        self.wrong(&format!("{said} (column {})", error.column()))
    }

    fn wrong(&self, what: &str) -> StoreError {
        StoreError::Invalid(format!("line {}: {what}; nothing was changed", self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"linkgate":"store","format":2,"made_at":0,"secrets":["ab"]}"#;
    const EPOCH: &str = r#"{"epoch":{"id":"00000001","created_at":0,"accepted_until":null}}"#;

    /// What is said of a file of these lines.
    fn said(lines: &[&str]) -> Result<Census, String> {
        let mut reading = Reading::default();
        for line in lines {
            reading.line(line.as_bytes()).map_err(|error| error.to_string())?;
        }
        reading.finish().map(|(_, census)| census).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_only_when_every_line_of_it_is_right() {
        let end = r#"{"end":{"epochs":1}}"#;
        assert_eq!(said(&[HEADER, EPOCH, end]), Ok(Census { epochs: 1, ..Census::default() }));
        let older = HEADER.replace(":2,", ":1,");
        assert!(said(&[&older, EPOCH, end]).is_ok(), "an older file, which counts no refused sessions");
        let session = r#"{"session":{"id":"00112233445566778899aabbccddeeff","site":"wiki","email":"a@example.com","created_at":0,"seen_at":0,"ends_at":9,"idle_until":9,"revoked_at":null}}"#;
        let two = r#"{"end":{"epochs":1,"sessions":1}}"#;
        assert!(said(&[HEADER, EPOCH, session, two]).is_ok(), "an older file, without device and client");
        let spoilt = |from: &str, to: &str| session.replace(from, to);
        for (lines, words) in [
            (vec![], "ends after line 0"),
            (vec!["{}"], "line 1: this is no file that `linkgate store export` wrote"),
            (vec!["not JSON"], "line 1: this is no file"),
            (vec![&*HEADER.replace(":2,", ":3,")], "newer linkgate (format 3"),
            (vec![&*HEADER.replace("secrets", "secret")], "line 1: unknown field `secret`"),
            (vec![HEADER, EPOCH], "ends after line 2 without"),
            (vec![HEADER, end], "the last line counts"),
            (vec![HEADER, r#"{"end":{}}"#], "no key epoch"),
            (vec![HEADER, EPOCH, end, EPOCH], "line 4: this comes after"),
            (vec![HEADER, EPOCH, EPOCH], "line 3: this record came before"),
            (vec![HEADER, r#"{"epoch":"#], "line 2: EOF"),
            (vec![HEADER, r#"{"letter":{}}"#], "line 2: unknown variant `letter`"),
            (vec![HEADER, &spoilt(r#""site""#, r#""sight""#)], "line 2: unknown field `sight`"),
            (vec![HEADER, &spoilt(r#","revoked_at":null"#, "")], "line 2: missing field `revoked_at`"),
            (vec![HEADER, &spoilt("ddeeff", "ddeef")], "line 2: 32 hexadecimal digits"),
            (vec![HEADER, &spoilt("a@example.com", "a")], "line 2: no address"),
            (vec![HEADER, session, session], "line 3: this record came before"),
        ] {
            let why = said(&lines).unwrap_err();
            assert!(why.contains(words), "{why:?} instead of {words:?}");
        }
    }
}
