//! Reads `[mail]` and `[mail.fallback]`, of the file or of one site. Sends nothing.

use super::reader::Reader;
use super::secrets;
use crate::mail::Mechanism;
use crate::mail::Security;
use crate::mail::Settings;
use crate::mail::Transport;
use lettre::message::Mailbox;

const URL_CURE: &str = "write \"smtp://smtp.example.com:587\" (STARTTLS), \"smtps://smtp.example.com\" (TLS at once), \"smtp+plain://127.0.0.1:25\", \"sendmail:\", \"folder:/path\" or \"memory:\"";
const FROM_CURE: &str = "write \"Example <login@example.com>\"";

/// Reads a mail table. `credential`: what credentials are called for it, `mail` or `site.wiki.mail`.
pub fn mail(reader: &Reader<'_>, credential: &str) -> Option<Settings> {
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
    Some(Settings { from: from?, reply_to, transport: first?, fallback })
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

fn relay(reader: &Reader<'_>, credential: &str) -> Option<Transport> {
    let user = reader.text("user").filter(|user| !user.is_empty()).map(str::to_owned);
    let before = reader.log.count();
    let password = secrets::read(reader, "password", &format!("{credential}.password"));
    let password_broken = reader.log.count() > before;
    let words = [
        ("plain", Some(Mechanism::Plain)),
        ("login", Some(Mechanism::Login)),
        ("xoauth2", Some(Mechanism::XOAuth2)),
    ];
    let mechanism = reader.choice("mechanism", None, &words);
    let authorities = reader.existing_file("ca");
    let url = reader.required("url", URL_CURE)?;
    let mut transport = match Transport::parse(url) {
        Ok(transport) => transport,
        Err(wrong) => {
            reader.wrong("url", wrong, "");
            return None;
        }
    };
    let Transport::Smtp { security, user: in_url, ca, .. } = &mut transport else {
        for key in ["user", "password", "password_file", "mechanism", "ca"] {
            if reader.text(key).is_some_and(|text| !text.is_empty()) {
                reader.wrong(key, "only SMTP asks for this", "leave it out, or give an smtp:// url");
            }
        }
        return Some(transport);
    };
    if authorities.is_some() && *security == Security::Plain {
        reader.wrong("ca", "smtp+plain:// shows no certificate", "leave it out, or give an smtp:// url");
    }
    *ca = authorities;
    let password_key = if reader.has("password") { "password" } else { "password_file" };
    let anybody = user.is_some() || in_url.is_some();
    if anybody && password.is_none() {
        if !password_broken {
            let key = if user.is_some() { "user" } else { "url" };
            let cure = format!("add password_file, or a systemd credential {credential}.password");
            reader.wrong(key, "the password of this account is missing", cure);
        }
        return None;
    }
    if !anybody && password.is_some() {
        reader.wrong(password_key, "whose password is it?", "add user");
        return None;
    }
    if mechanism.is_some() && !anybody {
        reader.wrong("mechanism", "there is no user to prove", "add user and password_file, or leave it out");
    }
    transport.sign_in(user, password, mechanism).map_err(|wrong| reader.wrong("user", wrong, "")).ok()
}
