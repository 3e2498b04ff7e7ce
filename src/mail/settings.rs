//! Where letters go, as an operator writes it: one URL. Never quotes a URL back when it might hold a password.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use lettre::message::Mailbox;

use crate::random::Random;
use crate::secret::Secret;

/// Who letters come from, and which way they leave.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A mailbox: `Example <login@example.com>` or the bare address. Its domain also names our message ids.
    pub from: String,
    /// A mailbox that answers go to. `None`: the sender's.
    pub reply_to: Option<String>,
    /// The first way out.
    pub transport: Transport,
    /// Tried when the first way fails for now or cannot be reached. `None`: there is no second way.
    pub fallback: Option<Transport>,
}

impl Settings {
    /// A fresh Message-ID (RFC 5322 §3.6.4): `<random@domain of the sender>`. It tells nothing about the receiver.
    ///
    /// # Errors
    /// `from` is not a mailbox.
    pub fn message_id(&self, random: &Random) -> Result<String, String> {
        let from = mailbox("from", &self.from)?;
        Ok(format!("<{}@{}>", random.uuid(), from.email.domain()))
    }
}

/// Reads a mailbox. `key` names the setting in the error.
///
/// # Errors
/// It is no mailbox with an address, or carries control characters.
pub(super) fn mailbox(key: &str, text: &str) -> Result<Mailbox, String> {
    if text.chars().any(char::is_control) {
        return Err(format!("mail.{key} holds a line break or another control character"));
    }
    text.trim().parse().map_err(|error| {
        format!("mail.{key} is not a mailbox ({error}); write \"Example <login@example.com>\" or \"login@example.com\"")
    })
}

/// One way out.
#[derive(Clone, Debug)]
pub enum Transport {
    /// A relay that speaks SMTP.
    Smtp {
        /// Name (checked against the certificate) or address.
        host: String,
        /// TCP port.
        port: u16,
        /// How the connection is encrypted.
        security: Security,
        /// Who we are at the relay. `None`: no AUTH.
        user: Option<String>,
        /// The password, or the access token with [`Mechanism::XOAuth2`].
        password: Option<Secret<String>>,
        /// `None`: PLAIN, else LOGIN, whichever the relay offers.
        mechanism: Option<Mechanism>,
        /// PEM file of certificates trusted beside the system's, for relays with a private authority.
        ca: Option<PathBuf>,
    },
    /// A program that takes letters on standard input, like sendmail.
    Sendmail {
        /// Absolute path.
        program: PathBuf,
    },
    /// One `.eml` file a letter.
    Folder {
        /// Made (0700) when it is not there.
        path: PathBuf,
    },
    /// Kept in memory, for the demo and for tests.
    Memory,
}

/// How a connection to a relay is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// `smtp://`: begins in the clear and must upgrade (RFC 3207) before anything is said.
    StartTls,
    /// `smtps://`: TLS from the first byte (RFC 8314).
    Tls,
    /// `smtp+plain://`: none; only to this machine.
    Plain,
}

/// How we prove who we are (RFC 4954).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// The older two-step form that some relays still want.
    Login,
    /// An `OAuth` access token instead of a password.
    XOAuth2,
}

const SCHEMES: &str = "smtp://host:587 (STARTTLS), smtps://host:465, smtp+plain://127.0.0.1:25 (this machine only), \
    sendmail:, folder:/path or memory:";

impl Transport {
    /// Reads a URL. A user may stand in it (percent-encoded); a password may not.
    ///
    /// # Errors
    /// Says what is wrong and what to write instead, without quoting what may be secret.
    pub fn parse(url: &str) -> Result<Self, String> {
        let url = url.trim();
        if url.is_empty() {
            return Err(format!("the mail URL is empty; write {SCHEMES}"));
        }
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("the mail URL holds white space or a control character; encode it as %20".to_owned());
        }
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(format!("the mail URL has no scheme; write {SCHEMES}"));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "smtp" => smtp(rest, Security::StartTls),
            "smtps" | "submissions" => smtp(rest, Security::Tls),
            "smtp+plain" => smtp(rest, Security::Plain),
            "sendmail" if rest.is_empty() => Ok(Self::Sendmail { program: "/usr/sbin/sendmail".into() }),
            "sendmail" => Ok(Self::Sendmail { program: absolute("sendmail:/usr/sbin/sendmail", rest)? }),
            "folder" | "file" => Ok(Self::Folder { path: absolute("folder:/var/spool/linkgate", rest)? }),
            "memory" if matches!(rest, "" | "//") => Ok(Self::Memory),
            "memory" => Err("memory: takes nothing after the colon".to_owned()),
            "smtp+starttls" | "smtp+tls" => {
                Err("smtp:// already requires STARTTLS; write smtp://host:587".to_owned())
            }
            "http" | "https" => Err(format!("letters leave by SMTP, not over HTTP; write {SCHEMES}")),
            _ => Err(format!("unknown scheme in the mail URL; write {SCHEMES}")),
        }
    }

    /// The same way with a user and a password or token.
    ///
    /// # Errors
    /// The way knows no users, the URL already names another, or one half is missing.
    pub fn sign_in(
        mut self,
        name: Option<String>,
        secret: Option<Secret<String>>,
        how: Option<Mechanism>,
    ) -> Result<Self, String> {
        let name = name.filter(|n| !n.is_empty());
        let secret = secret.filter(|s| !s.expose().is_empty());
        if let Self::Smtp { user, password, mechanism, .. } = &mut self {
            match (&user, &name) {
                (Some(old), Some(new)) if old != new => {
                    return Err("the mail URL and mail.user name different users; keep mail.user".to_owned());
                }
                (None, Some(_)) => *user = name,
                (Some(_), _) | (None, None) => {}
            }
            *password = secret;
            *mechanism = how;
            return match (&user, &password) {
                (Some(_), None) => Err("mail.user is set but no password; set mail.password_file".to_owned()),
                (None, Some(_)) => Err("a mail password is set but no user; set mail.user".to_owned()),
                (Some(u), Some(p)) if [u, p.expose()].iter().any(|t| t.contains(['\r', '\n', '\0'])) => {
                    Err("mail.user or its password holds a line break; is the password file one line?"
                        .to_owned())
                }
                (Some(_), Some(_)) | (None, None) => Ok(self),
            };
        }
        if name.is_some() || secret.is_some() {
            return Err("mail.user and mail.password are for smtp:// and smtps:// only".to_owned());
        }
        Ok(self)
    }

    /// The same way, trusting also the certificates in the PEM file `file`.
    ///
    /// # Errors
    /// The way uses no TLS.
    pub fn trust(mut self, file: PathBuf) -> Result<Self, String> {
        match &mut self {
            Self::Smtp { ca, security: Security::StartTls | Security::Tls, .. } => {
                *ca = Some(file);
                Ok(self)
            }
            Self::Smtp { .. } | Self::Sendmail { .. } | Self::Folder { .. } | Self::Memory => {
                Err("mail.ca is for smtp:// and smtps:// only".to_owned())
            }
        }
    }
}

fn absolute(example: &str, rest: &str) -> Result<PathBuf, String> {
    // Both folder:/path and folder:///path are in use.
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = percent(path).ok_or("the path in the mail URL holds a broken %-escape")?;
    if path.starts_with('/') && path.len() > 1 && !path.contains('\0') {
        return Ok(PathBuf::from(path));
    }
    Err(format!("the mail URL needs an absolute path, as in {example}"))
}

fn smtp(rest: &str, security: Security) -> Result<Transport, String> {
    let scheme = match security {
        Security::StartTls => "smtp",
        Security::Tls => "smtps",
        Security::Plain => "smtp+plain",
    };
    let rest = rest.strip_prefix("//").ok_or_else(|| format!("write {scheme}://host, with two slashes"))?;
    if rest.contains(['?', '#']) {
        return Err(
            "the mail URL takes no ? or #; use the keys of [mail], and write %23 or %3F in a user".to_owned()
        );
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, authority) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((user, _)) if user.contains(':') => {
            return Err("no password in the mail URL: put it into mail.password_file".to_owned());
        }
        Some((user, authority)) => {
            let user = percent(user).filter(|u| !u.is_empty() && !u.chars().any(char::is_control));
            (Some(user.ok_or("the user in the mail URL is empty or wrongly %-encoded")?), authority)
        }
    };
    let (host, port) = host_and_port(authority)?;
    let port = match (security, port) {
        (Security::StartTls, Some(465)) => {
            return Err(format!("port 465 speaks TLS from the first byte: write smtps://{host}:465"));
        }
        (Security::Tls, Some(port @ (25 | 587))) => {
            return Err(format!("port {port} begins in the clear and upgrades: write smtp://{host}:{port}"));
        }
        (_, Some(port)) => port,
        (Security::StartTls, None) => 587,
        (Security::Tls, None) => 465,
        (Security::Plain, None) => 25,
    };
    if security == Security::Plain && !is_loopback(&host) {
        return Err(format!(
            "smtp+plain:// sends passwords and links readable, so it goes to this machine only (127.0.0.1, ::1, \
             localhost); write smtp://{host}:587 or smtps://{host}:465"
        ));
    }
    Ok(Transport::Smtp { host, port, security, user, password: None, mechanism: None, ca: None })
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("the mail URL has a [ without ]")?;
        let host: Ipv6Addr =
            host.parse().map_err(|_| "what stands in [] in the mail URL is no IPv6 address")?;
        (host.to_string(), port.strip_prefix(':').or(port.is_empty().then_some("")))
    } else {
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        (host_name(host)?, Some(port))
    };
    match port {
        Some("") => Ok((host, None)),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
            Ok(port @ 1..) => Ok((host, Some(port))),
            Ok(0) | Err(_) => Err("the port in the mail URL is not between 1 and 65535".to_owned()),
        },
        Some(_) | None => Err("after the host of the mail URL comes nothing but :port".to_owned()),
    }
}

fn host_name(host: &str) -> Result<String, String> {
    if host.is_empty() {
        return Err("the mail URL names no host".to_owned());
    }
    if host.parse::<IpAddr>().is_ok() {
        return Ok(host.to_owned());
    }
    let ascii = idna::domain_to_ascii_strict(host.strip_suffix('.').unwrap_or(host))
        .map_err(|_| "the host of the mail URL is not a name")?;
    let digits = ascii.rsplit('.').next().is_none_or(|top| top.bytes().all(|b| b.is_ascii_digit()));
    if ascii.is_empty() || digits {
        Err("the host of the mail URL is not a name".to_owned())
    } else {
        Ok(ascii)
    }
}

/// Whether `host` can only mean this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn percent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(url: &str) -> (String, u16, Security, Option<String>) {
        match Transport::parse(url).unwrap() {
            Transport::Smtp { host, port, security, user, .. } => (host, port, security, user),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_scheme_has_its_port_and_its_encryption() {
        assert_eq!(
            way("smtp://Mail.Example.com"),
            ("mail.example.com".into(), 587, Security::StartTls, None)
        );
        assert_eq!(way("smtp://mail.example.com:25/").1, 25);
        assert_eq!(way("smtps://mail.example.com"), ("mail.example.com".into(), 465, Security::Tls, None));
        assert_eq!(way("smtp+plain://localhost"), ("localhost".into(), 25, Security::Plain, None));
        assert_eq!(way("smtp+plain://[::1]:2525"), ("::1".into(), 2525, Security::Plain, None));
        assert_eq!(way("smtps://a%40b.example@mail.example.com").3.as_deref(), Some("a@b.example"));
    }

    #[test]
    fn programs_folders_and_memory_are_read() {
        let program = |url| match Transport::parse(url).unwrap() {
            Transport::Sendmail { program } => program,
            other => panic!("{other:?}"),
        };
        assert_eq!(program("sendmail:"), PathBuf::from("/usr/sbin/sendmail"));
        assert_eq!(program("sendmail:/opt/msmtp"), PathBuf::from("/opt/msmtp"));
        assert!(matches!(Transport::parse("folder:/var/mail%20out"), Ok(Transport::Folder { path })
            if path.as_os_str() == "/var/mail out"));
        assert!(matches!(Transport::parse("memory:"), Ok(Transport::Memory)));
    }

    #[test]
    fn a_wrong_url_gets_the_cure() {
        for (url, cure) in [
            ("", "smtps://host:465"),
            ("mail.example.com", "no scheme"),
            ("imap://mail.example.com", "unknown scheme"),
            ("smtp:mail.example.com", "two slashes"),
            ("smtp://mail.example.com:465", "smtps://mail.example.com:465"),
            ("smtps://mail.example.com:587", "smtp://mail.example.com:587"),
            ("smtp+plain://mail.example.com", "this machine only"),
            ("smtp+plain://10.0.0.1", "this machine only"),
            ("smtp://mail.example.com:0", "between 1 and 65535"),
            ("smtp://mail.example.com:abc", "nothing but :port"),
            ("smtp://mail.example.com/x", "not a name"),
            ("smtp://", "no host"),
            ("smtp://127.0.0.999", "not a name"),
            ("smtp://[::1", "without ]"),
            ("smtp://mail.example.com?tls=off", "keys of [mail]"),
            ("smtp://mail.example.com\r\nx", "white space"),
            ("folder:relative", "absolute path"),
            ("folder:", "absolute path"),
            ("memory:x", "nothing after"),
        ] {
            let error = Transport::parse(url).unwrap_err();
            assert!(error.contains(cure), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = Transport::parse("smtp://me:hunter2@mail.example.com").unwrap_err();
        assert!(error.contains("mail.password_file") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn half_a_sign_in_is_refused() {
        let url = || Transport::parse("smtp://mail.example.com").unwrap();
        let secret = || Some(Secret::new("x".to_owned()));
        assert!(url().sign_in(Some("me".into()), None, None).unwrap_err().contains("mail.password_file"));
        assert!(url().sign_in(None, secret(), None).unwrap_err().contains("mail.user"));
        assert!(url().sign_in(Some("me".into()), Some(Secret::new("x\n".to_owned())), None).is_err());
        assert!(url().sign_in(Some("me".into()), secret(), Some(Mechanism::Login)).is_ok());
        assert!(Transport::Memory.sign_in(Some("me".into()), secret(), None).is_err());
        assert!(Transport::Memory.trust("/x".into()).is_err());
    }

    #[test]
    fn settings_never_print_the_password() {
        let way = Transport::parse("smtp://mail.example.com").unwrap();
        let way = way.sign_in(Some("me".into()), Some(Secret::new("hunter2".to_owned())), None).unwrap();
        assert!(!format!("{way:?}").contains("hunter2"));
    }

    #[test]
    fn a_message_id_is_random_and_at_the_senders_domain() {
        let settings = Settings {
            from: "Example <login@example.com>".into(),
            reply_to: None,
            transport: Transport::Memory,
            fallback: None,
        };
        let random = Random::seeded(1);
        let id = settings.message_id(&random).unwrap();
        assert!(id.starts_with('<') && id.ends_with("@example.com>"), "{id}");
        assert_ne!(id, settings.message_id(&random).unwrap());
    }
}
