//! Writes a letter as an Internet message (RFC 5322, MIME). Never adds pictures or addresses that watch the reader.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use super::letter::Letter;

/// The message and its envelope.
///
/// # Errors
/// The letter cannot be sent as it is; says which part.
pub(super) fn compose(
    letter: &Letter,
    from: &Mailbox,
    reply_to: Option<&Mailbox>,
) -> Result<Message, String> {
    if !is_message_id(&letter.message_id) {
        return Err("the letter's message id is malformed".to_owned());
    }
    let to: lettre::Address = letter
        .to
        .as_str()
        .parse()
        .map_err(|error| format!("the receiver's address cannot be mailed to: {error}"))?;
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()])
        .map_err(|error| format!("the letter has no envelope: {error}"))?;
    let seconds = u64::try_from(letter.created_at.seconds()).unwrap_or(0);
    let mut message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(one_line(&letter.subject))
        .date(UNIX_EPOCH + Duration::from_secs(seconds))
        .message_id(Some(letter.message_id.clone()))
        // RFC 3834 §5: no holiday notices in answer.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .envelope(envelope);
    if let Some(reply_to) = reply_to {
        message = message.reply_to(reply_to.clone());
    }
    message
        .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))
        .map_err(|error| format!("the letter cannot be written: {error}"))
}

/// A header's text on one line: whoever chose it can add no second header (header injection).
fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

/// `<left@right>` of letters, digits, dots and hyphens: what `Settings::message_id` makes, and safe as a file name.
fn is_message_id(id: &str) -> bool {
    let inner = id.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    let Some((left, right)) = inner.and_then(|inner| inner.split_once('@')) else { return false };
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
    };
    id.len() <= 320 && plain(left) && plain(right)
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders as _};

    use super::super::letter::tests::letter;
    use super::*;

    fn written(letter: &Letter) -> Vec<u8> {
        let from = "Wiki für alle <login@example.com>".parse().unwrap();
        let reply_to = "help@example.com".parse().unwrap();
        compose(letter, &from, Some(&reply_to)).unwrap().formatted()
    }

    #[test]
    fn a_letter_reads_as_it_was_written() {
        let bytes = written(&letter());
        let read = MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(read.subject(), Some("Sign in to Wiki – grüße"));
        let from = read.from().unwrap().first().unwrap();
        assert_eq!((from.name(), from.address()), (Some("Wiki für alle"), Some("login@example.com")));
        assert_eq!(read.to().unwrap().first().unwrap().address(), Some("alice@example.com"));
        assert_eq!(read.reply_to().unwrap().first().unwrap().address(), Some("help@example.com"));
        assert_eq!(read.message_id(), Some("0b5f7a52-1111-4222-8333-944444444444@example.com"));
        assert_eq!(read.date().unwrap().to_timestamp(), 1_790_000_000);
        assert_eq!(read.header("Auto-Submitted").unwrap().as_text(), Some("auto-generated"));
        assert!(read.body_text(0).unwrap().contains("token=abc.def.ghi"));
        assert!(read.body_html(0).unwrap().contains("href=\"https://wiki.example.com"));
        assert_eq!(
            read.content_type().map(|t| (t.ctype(), t.subtype())),
            Some(("multipart", Some("alternative")))
        );
    }

    #[test]
    fn a_subject_adds_no_header() {
        let mut evil = letter();
        evil.subject = "Hello\r\nBcc: eve@example.org\nX-Evil: 1\u{85}".into();
        let bytes = written(&evil);
        let read = MessageParser::default().parse(&bytes).unwrap();
        assert!(read.bcc().is_none() && read.header("X-Evil").is_none());
        assert!(read.subject().unwrap().starts_with("Hello"));
    }

    #[test]
    fn a_message_is_seven_bit_with_short_lines() {
        let mut long = letter();
        long.text = format!("https://wiki.example.com/?token={}\nü\n", "a".repeat(1200));
        let bytes = written(&long);
        assert!(bytes.is_ascii());
        assert!(bytes.split(|b| *b == b'\n').all(|line| line.len() <= 998));
        assert!(!String::from_utf8(bytes).unwrap().replace("\r\n", "").contains(['\r', '\n']));
    }

    #[test]
    fn a_strange_message_id_is_refused() {
        for id in ["", "x", "<x>", "<../../x@y>", "<a@b>\r\nBcc: c@d.example", "<a b@c>", "<a@b@c>"] {
            let bad = Letter { message_id: id.into(), ..letter() };
            assert!(compose(&bad, &"login@example.com".parse().unwrap(), None).is_err(), "{id:?}");
        }
    }
}
