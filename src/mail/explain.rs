//! Turns what a relay said, or a failing connection, into words that name the cure. Never repeats a password or a link.

use std::error::Error as StdError;
use std::io;

use lettre::transport::smtp;

use super::letter::Letter;
use super::mailer::SendError;
use super::settings::Security;
use crate::secret::Secret;

/// The longest excerpt of a relay's words that is kept.
const LONGEST: usize = 400;

/// What was being done when it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// TCP, greeting, EHLO; and TLS where it comes first.
    Connect,
    /// STARTTLS.
    Encrypt,
    /// AUTH.
    SignIn,
    /// MAIL, RCPT, DATA.
    Deliver,
}

/// The relay that an error is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay<'a> {
    pub host: &'a str,
    pub port: u16,
    pub security: Security,
    /// Whether we sign in.
    pub signed_in: bool,
}

/// Explains lettre's error. What the letter or its receiver is to blame for is permanent; a relay that cannot be
/// reached, trusted or signed in to is not, because the next one may do and settings get mended.
pub(super) fn explain(error: &smtp::Error, step: Step, relay: Relay<'_>) -> SendError {
    let Relay { host, port, .. } = relay;
    let at = format!("{host}:{port}");
    if let Some(code) = error.status() {
        let words = said(error);
        return match step {
            Step::Connect => SendError::Temporary(format!("{at} turned us away: {words}")),
            Step::Encrypt => SendError::Temporary(format!("{at} offers STARTTLS but refused it: {words}")),
            Step::SignIn => SendError::Temporary(refused_sign_in(&at, &code.to_string(), &words)),
            Step::Deliver => delivery(error, &code.to_string(), &words, relay),
        };
    }
    if let Some(cause) = find::<rustls::Error>(error) {
        return SendError::Temporary(tls(cause, relay));
    }
    if let Some(cause) = find::<io::Error>(error) {
        return SendError::Temporary(network(cause, relay));
    }
    let words = error.to_string();
    SendError::Temporary(match step {
        Step::SignIn if words.contains("No compatible authentication") => format!(
            "{at} offers no way to sign in that linkgate has (PLAIN, LOGIN, XOAUTH2), or not the one in mail.mechanism; \
             on port 25 relays often offer none: use port 587, or remove mail.user if none is needed"
        ),
        Step::SignIn if words.contains("does not expect a challenge") => format!(
            "{at} refused the access token: it has expired, is for another user, or lacks the right to send mail"
        ),
        Step::Connect if words.contains("incomplete response") => hung_up(relay),
        Step::Connect | Step::Encrypt | Step::SignIn | Step::Deliver => format!("{at}: {words}"),
    })
}

/// The relay speaks, but does not offer to encrypt.
pub(super) fn no_starttls(relay: Relay<'_>) -> SendError {
    let Relay { host, port, .. } = relay;
    SendError::Temporary(format!(
        "STARTTLS not offered by {host}:{port}, so nothing was sent: use smtps://{host}:465, or port 587; if the relay is \
         on this machine, smtp+plain://127.0.0.1:{port}"
    ))
}

/// A connection could not be made, or broke.
pub(super) fn network(error: &io::Error, relay: Relay<'_>) -> String {
    let Relay { host, port, security, .. } = relay;
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "connection refused by {host}:{port}: nothing listens there; check host and port in mail.url (587 for \
             smtp://, 465 for smtps://) and whether the relay runs"
        ),
        io::ErrorKind::TimedOut => timed_out(relay),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("no route to {host}:{port}: check this machine's network and firewall")
        }
        io::ErrorKind::InvalidData if security == Security::Tls => format!(
            "{host}:{port} does not speak TLS from the first byte: use smtp://{host}:{port} if it offers STARTTLS"
        ),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            hung_up(relay)
        }
        _ => format!("connection to {host}:{port} failed: {error}"),
    }
}

/// Nothing came in time.
pub(super) fn timed_out(relay: Relay<'_>) -> String {
    let Relay { host, port, .. } = relay;
    format!(
        "{host}:{port} did not answer in time: a firewall or the hosting provider may block outgoing port {port} (25 often \
         is: use 587 or 465), or scheme and port do not fit (smtps:// is for 465)"
    )
}

/// The name did not resolve.
pub(super) fn no_such_host(error: &io::Error, relay: Relay<'_>) -> String {
    format!("the name {} was not found ({error}): check mail.url and this machine's DNS", relay.host)
}

fn hung_up(relay: Relay<'_>) -> String {
    let Relay { host, port, security, .. } = relay;
    let cure = match security {
        Security::Tls => "it may want STARTTLS: try smtp:// on port 587",
        Security::StartTls => "it may want TLS from the first byte: try smtps:// on port 465",
        Security::Plain => "see the relay's log",
    };
    format!("{host}:{port} closed the connection: {cure}")
}

fn tls(error: &rustls::Error, relay: Relay<'_>) -> String {
    use rustls::CertificateError as Bad;
    let Relay { host, port, security, .. } = relay;
    match error {
        rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            format!(
                "TLS name mismatch: the certificate of {host}:{port} is not for {host} ({error}); write into mail.url the name \
             that the certificate bears"
            )
        }
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            format!(
                "the certificate of {host}:{port} has expired; the relay must renew it (is this machine's clock right?)"
            )
        }
        rustls::Error::InvalidCertificate(_) => format!(
            "the certificate of {host}:{port} is not trusted ({error}); for a relay with a private authority, name its PEM \
             file in mail.ca"
        ),
        rustls::Error::InvalidMessage(_) if security == Security::Tls => format!(
            "{host}:{port} does not speak TLS from the first byte: use smtp://{host}:{port} if it offers STARTTLS"
        ),
        _ => format!("TLS with {host}:{port} failed: {error}"),
    }
}

fn refused_sign_in(at: &str, code: &str, words: &str) -> String {
    let cure = match code {
        "535" => {
            "wrong user or password; many providers want an app password or an SMTP key, not the one for reading mail"
        }
        "534" => "the provider wants an app password, or another way to sign in",
        "530" | "538" => "the relay wants encryption before signing in: use smtp:// or smtps://",
        "504" => "the relay does not know this way to sign in: change mail.mechanism",
        "454" | "421" | "451" => "the relay cannot check passwords now; it is tried again",
        _ => "check mail.user and the password",
    };
    format!("{at} refused the sign-in ({cure}): {words}")
}

fn delivery(error: &smtp::Error, code: &str, words: &str, relay: Relay<'_>) -> SendError {
    let at = format!("{}:{}", relay.host, relay.port);
    if !error.is_permanent() {
        return SendError::Temporary(format!("{at} cannot take the letter now: {words}"));
    }
    if code == "530" && !relay.signed_in {
        return SendError::Temporary(format!(
            "{at} wants a sign-in: set mail.user and mail.password_file; it said: {words}"
        ));
    }
    let low = words.to_ascii_lowercase();
    if low.contains("relay") || low.contains("5.7.1 ") && low.contains("client host") {
        let cure = if relay.signed_in {
            "this user may not send to other domains, or not as mail.from"
        } else {
            "the relay wants a sign-in (mail.user), or this machine's address among those it trusts"
        };
        return SendError::Permanent(format!("relay denied by {at} ({cure}): {words}"));
    }
    if low.contains("sender") || low.contains("from address") || low.contains("not verified") {
        return SendError::Permanent(format!(
            "{at} refused the letter (may this user send as mail.from? many providers want the address or domain verified \
             first): {words}"
        ));
    }
    SendError::Permanent(format!("{at} refused the letter: {words}"))
}

/// The relay's own words with its code.
fn said(error: &smtp::Error) -> String {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{code} {text}").trim().to_owned()
}

/// Looks for a cause of type `T`, also inside `io::Error`, whose `source` skips what it wraps.
fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(this) = next {
        if let Some(found) = this.downcast_ref::<T>() {
            return Some(found);
        }
        next = match this.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => this.source(),
        };
    }
    None
}

/// Words fit to be stored and shown: one line, not endless, without the link, the code or anything in `hidden`.
pub(super) fn presentable(words: &str, letter: Option<&Letter>, hidden: &[Secret<String>]) -> String {
    let mut text: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut hide = |secret: &str| {
        if secret.len() >= 4 {
            text = text.replace(secret, "***");
        }
    };
    for secret in hidden {
        hide(secret.expose());
    }
    if let Some(letter) = letter {
        if let Some(link) = &letter.link {
            hide(link);
        }
        if let Some(code) = &letter.code {
            hide(code);
            hide(&code.replace('-', ""));
        }
    }
    let text = without_tokens(&text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// A link that a relay broke up or encoded anew is still known by its `token=`.
fn without_tokens(text: &str) -> String {
    let mut parts = text.split("token=");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("token=***");
        let end = part.find([' ', '"', '\'', '>', '<', '&', ')', ';']).unwrap_or(part.len());
        out.push_str(part.get(end..).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn a_relays_words_never_carry_what_is_secret() {
        let words = "554 spam: https://wiki.example.com/.linkgate/verify?token=abc.def.ghi\r\n code ABCDEFGH ABCD-EFGH \
                     for me:hunter2 <http://x/?token=3Dzzz>";
        let shown = presentable(words, Some(&letter()), &[Secret::new("hunter2".to_owned())]);
        for secret in ["abc.def", "ABCD", "hunter2", "zzz", "\r", "\n"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.starts_with("554 spam:"));
    }

    #[test]
    fn endless_words_are_cut() {
        assert_eq!(presentable(&"ü".repeat(10_000), None, &[]).chars().count(), LONGEST + 1);
    }
}
