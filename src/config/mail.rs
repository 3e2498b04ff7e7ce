//! Reads `[mail]` and `[mail.fallback]`, of the file or of one site. Sends nothing.

use lettre::message::Mailbox;
use url::Url;

use super::general::is_loopback;
use super::mistake::nearest;
use super::reader::Reader;
use super::secrets;
use super::settings::{MailSettings, Mechanism, Relay};

const URL_CURE: &str = "write \"smtp://smtp.example.com:587\" (STARTTLS), \"smtps://smtp.example.com\" (TLS at once), \"smtp+plain://127.0.0.1:25\", \"sendmail:\", \"folder:/path\" or \"memory:\"";
const FROM_CURE: &str = "write \"Example <login@example.com>\"";

/// Reads a mail table. `credential`: what credentials are called for it, `mail` or `site.wiki.mail`.
pub fn mail(reader: &Reader<'_>, credential: &str) -> Option<MailSettings> {
    let from = mailbox(reader, "from", true);
    let reply_to = mailbox(reader, "reply_to", false);
    let first = relay(reader, credential);
    let fallback = reader.table("fallback").map(|table| {
        let path = format!("{}.fallback", reader.path);
        // A letter keeps its sender whichever way it goes, so the fallback has none of its own.
        let own = Reader::new(table, &path, reader.log);
        relay(&own, &format!("{credential}.fallback"))
    });
    let fallback = match fallback {
        Some(None) => return None,
        Some(Some(relay)) => Some(relay),
        None => None,
    };
    Some(MailSettings { from: from?, reply_to, relay: first?, fallback })
}

fn mailbox(reader: &Reader<'_>, key: &str, required: bool) -> Option<String> {
    let text = if required {
        reader.required(key, FROM_CURE)?
    } else {
        reader.text(key).filter(|text| !text.is_empty())?
    };
    let good = !text.contains(['\r', '\n']) && text.parse::<Mailbox>().is_ok();
    if !good {
        reader.wrong(key, format!("{text:?} is no sender"), FROM_CURE);
    }
    good.then(|| text.to_owned())
}

fn relay(reader: &Reader<'_>, credential: &str) -> Option<Relay> {
    let user = reader.text("user").filter(|user| !user.is_empty()).map(str::to_owned);
    let before = reader.log.count();
    let password = secrets::read(reader, "password", &format!("{credential}.password"));
    let password_broken = reader.log.count() > before;
    let words =
        [("plain", Some(Mechanism::Plain)), ("login", Some(Mechanism::Login)), ("xoauth2", Some(Mechanism::XOAuth2))];
    let mechanism = reader.choice("mechanism", None, &words);
    let url = reader.required("url", URL_CURE)?;
    let smtp = match check_url(url) {
        Ok(smtp) => smtp,
        Err((what, cure)) => {
            reader.wrong("url", what, cure);
            return None;
        }
    };
    let dead = |key: &str, what: &str, cure: &str| reader.wrong(key, what, cure);
    if !smtp {
        for key in ["user", "password", "password_file", "mechanism"] {
            if reader.text(key).is_some_and(|text| !text.is_empty()) {
                dead(key, "only SMTP asks who we are", "leave it out, or give an smtp:// url");
            }
        }
    } else if user.is_some() && password.is_none() && !password_broken {
        dead("user", "its password is missing", "add password_file, or a systemd credential mail.password");
    } else if user.is_none() && password.is_some() {
        let key = if reader.has("password") { "password" } else { "password_file" };
        dead(key, "whose password is it?", "add user");
    } else if mechanism.is_some() && user.is_none() {
        dead("mechanism", "there is no user to prove", "add user and password_file, or leave it out");
    }
    Some(Relay { url: url.to_owned(), user, password, mechanism })
}

/// Whether it is SMTP.
fn check_url(text: &str) -> Result<bool, (String, String)> {
    const SCHEMES: [&str; 6] = ["smtp", "smtps", "smtp+plain", "sendmail", "folder", "memory"];
    let wrong = |what: &str| Err((format!("{text:?}: {what}"), URL_CURE.to_owned()));
    let Some((scheme, rest)) = text.split_once(':') else { return wrong("this is no address of a relay") };
    match scheme {
        "sendmail" | "folder" | "memory" => match (scheme, rest.starts_with('/'), rest.is_empty()) {
            ("sendmail", _, true) | ("sendmail" | "folder", true, _) | ("memory", _, true) => Ok(false),
            ("memory", ..) => wrong("nothing follows memory:"),
            _ => wrong("the path must be written in full"),
        },
        "smtp" | "smtps" | "smtp+plain" => {
            let Ok(url) = Url::parse(text) else { return wrong("this is no address") };
            let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
                return wrong("the host is missing");
            };
            if !url.username().is_empty() || url.password().is_some() {
                let cure = "write the account as user, and its password as password_file".to_owned();
                return Err(("the address holds an account".into(), cure));
            }
            if !matches!(url.path(), "" | "/") || url.query().is_some() {
                return wrong("nothing follows the host and port");
            }
            if scheme == "smtp+plain" && !is_loopback(host) {
                let what = format!("letters would cross the network to {host} in the clear");
                return Err((what, format!("write \"smtp://{host}:587\" (STARTTLS) or \"smtps://{host}\"")));
            }
            Ok(true)
        }
        _ => {
            let near = nearest(scheme, SCHEMES.into_iter());
            let cure = near.map_or_else(|| URL_CURE.to_owned(), |near| format!("did you mean \"{near}:…\"?"));
            Err((format!("{scheme:?} is no way to send a letter"), cure))
        }
    }
}
