//! Reads one `[[site]]`: url, people, letters, looks; its apps are read by `app`.

use std::sync::Arc;

use url::Url;

use super::app;
use super::general::is_loopback;
use super::mail;
use super::mistake::nearest;
use super::people::{self, allow_list, is_plain};
use super::reader::Reader;
use super::schema::join;
use super::settings::{Look, SiteSettings};
use super::signing_in;
use super::tree::Table;
use crate::identity::EmailAddress;
use crate::page::Pages;
use crate::policy::Origin;
use crate::policy::SignIn;
use crate::policy::Site;

/// Reads a site. `root` is the file. `None`: it has no usable url (which is noted).
pub fn site(root: &Reader<'_>, table: &Table, prefix: &str) -> Option<SiteSettings> {
    let reader = Reader::new(table, "site", root.log);
    let (origin, start) = match url(&reader) {
        Some((origin, start)) => (Some(origin), start),
        None => (None, String::new()),
    };
    let name = name(&reader, origin.as_ref());
    let people = people::people(root, &reader);
    let allow = allow_list(&reader, "allow");
    people.check_groups(&reader, "allow");
    if allow.as_ref().is_none_or(crate::policy::AllowList::is_empty)
        && reader.list("allow").unwrap_or_default().is_empty()
        && (!reader.has("allow") || reader.list("allow").is_some())
    {
        let cure = "add allow = [\"you@example.com\"] (or \"@example.com\", \"group:staff\", \"users\")";
        reader.wrong("allow", "nobody can sign in", cure);
    }
    let administrators = allow_list(&reader, "administrators").unwrap_or_default();
    people.check_groups(&reader, "administrators");
    if administrators.anyone {
        let cure = "name people, or \"group:staff\"";
        reader.wrong("administrators", "everybody with a mailbox would look after this site", cure);
    }
    let words = [("self-service", SignIn::SelfService), ("invited", SignIn::Invited)];
    let sign_in = reader.choice("sign_in", SignIn::SelfService, &words);

    let section = |key: &str| merged(root, &reader, key);
    let (link, session, limits) = (section("link"), section("session"), section("limits"));
    // Named as written: what a site inherits is the file's.
    let path = |key: &str| if table.get(key).is_some() { join("site", key) } else { key.to_owned() };
    let mail = mail_of(root, &reader, &name, sign_in);
    let look = look(&reader);
    let texts = reader.texts("text");
    let pages = folder(&reader);
    let texts: std::collections::BTreeMap<String, String> =
        texts.into_iter().map(|(id, text)| (id.to_owned(), text.to_owned())).collect();
    let language = language(&reader, pages.as_deref(), &texts);
    let limits_path = path("limits");
    let limits = Reader::new(&limits, &limits_path, root.log);
    let body = limits.parse("max_body", super::values::size).flatten();
    let apps = match &origin {
        Some(origin) => app::apps(&reader, &people, origin, &name, prefix, body),
        None => Vec::new(),
    };
    let settings = SiteSettings {
        link: signing_in::link(&Reader::new(&link, &path("link"), root.log)),
        session: signing_in::session(&Reader::new(&session, &path("session"), root.log)),
        limits: signing_in::asks(&limits),
        mail,
        look,
        texts,
        language,
        contact: contact(&reader),
        pages,
        site: Site {
            name,
            url: origin.clone()?,
            start,
            allow: allow.unwrap_or_default(),
            sign_in,
            groups: people.groups,
            users: people.users,
            administrators,
            hosts: hosts(origin?, &apps),
            apps: apps.into_iter().map(Arc::new).collect(),
        },
    };
    Some(settings)
}

fn hosts(url: Origin, apps: &[crate::policy::App]) -> Vec<Origin> {
    let mut hosts = vec![url];
    for app in apps {
        if !hosts.contains(&app.origin) {
            hosts.push(app.origin.clone());
        }
    }
    hosts
}

/// `[site.x]` over `[x]`.
fn merged(root: &Reader<'_>, site: &Reader<'_>, key: &str) -> Table {
    let base = root.table(key).cloned().unwrap_or_default();
    site.table(key).map_or(base.clone(), |own| own.over(&base))
}

fn url(reader: &Reader<'_>) -> Option<(Origin, String)> {
    const CURE: &str = "write the address where people sign in: \"https://wiki.example.com\"";
    let text = reader.required("url", CURE)?;
    let wrong = |what: &str, cure: &str| {
        reader.wrong("url", format!("{text:?}: {what}"), cure);
        None
    };
    let Ok(url) = Url::parse(text) else { return wrong("this is no address", CURE) };
    let Some(origin) = Origin::of(&url) else { return wrong("this is no web address", CURE) };
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("nothing follows the path", CURE);
    }
    if !origin.secure() && !is_loopback(origin.host()) {
        let cure = format!("write \"https://{}\" (http is for localhost only)", origin.host());
        return wrong("over plain http the session cookie could be read on the way", &cure);
    }
    Some((origin, url.to_string()))
}

fn name(reader: &Reader<'_>, origin: Option<&Origin>) -> String {
    let default = origin.map(|origin| origin.host().to_owned()).unwrap_or_default();
    let name = reader.parse("name", |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) {
            Ok(text.to_owned())
        } else {
            Err("write letters, digits, '.', '_' and '-', at most 64; what people read is [site.look] title"
                .into())
        }
    });
    name.unwrap_or(default)
}

/// The site's mail over the file's. A relay of the site's own never gets the account of the file's.
fn mail_of(
    root: &Reader<'_>,
    site: &Reader<'_>,
    name: &str,
    sign_in: SignIn,
) -> Option<crate::mail::Settings> {
    let mut base = root.table("mail").cloned();
    let own = site.table("mail");
    if own.is_some_and(|own| own.entries.contains_key("url")) {
        for key in ["user", "password", "password_file", "mechanism", "ca", "fallback"] {
            if let Some(base) = &mut base {
                base.entries.remove(key);
            }
        }
    }
    let site_credential = format!("site.{name}.mail");
    let has_credential = |name: &str| {
        let folder = root.log.credentials.as_deref();
        folder.is_some_and(|folder| folder.join(format!("{name}.password")).exists())
    };
    let (table, path, credential) = match (own, base) {
        (Some(own), base) => {
            let base = base.unwrap_or_default();
            let of_site = own.entries.contains_key("url") || has_credential(&site_credential);
            let credential = if of_site { site_credential } else { "mail".to_owned() };
            (own.over(&base), "site.mail", credential)
        }
        (None, Some(base)) => (base, "mail", "mail".to_owned()),
        (None, None) if sign_in == SignIn::Invited => return None,
        (None, None) => {
            let what = "[mail] is missing, so nobody can be sent a link";
            let cure = "add [mail] with from and url, or sign_in = \"invited\" to the site";
            site.wrong("mail", what, cure);
            return None;
        }
    };
    mail::mail(&Reader::new(&table, path, root.log), &credential)
}

fn look(reader: &Reader<'_>) -> Look {
    let empty = people::nothing();
    let own = Reader::new(reader.table("look").unwrap_or(&empty), "site.look", reader.log);
    let title = own.text("title").unwrap_or_default();
    if !is_plain(title) || title.len() > 100 {
        own.wrong(
            "title",
            "this is too long, or holds a control character",
            "write at most 100 plain characters",
        );
    }
    let logo = own.existing_file("logo");
    if let Some(path) = &logo {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let small = std::fs::metadata(path).is_ok_and(|about| about.len() <= 1 << 20);
        if !["svg", "png", "jpg", "webp"].contains(&ending) || !small {
            own.wrong(
                "logo",
                "this is no picture that fits",
                "name a .svg, .png, .jpg or .webp of at most 1 MiB",
            );
        }
    }
    let accent = own.parse("accent", |text| {
        Pages::accent_css(text).map(|_| text.to_owned()).ok_or_else(|| "write \"#0b5c9e\"".into())
    });
    Look { title: title.to_owned(), logo, accent: accent.unwrap_or_default() }
}

fn folder(reader: &Reader<'_>) -> Option<std::path::PathBuf> {
    let name = reader.text("pages").filter(|name| !name.is_empty())?;
    let path = reader.log.path(name);
    if path.is_dir() {
        return Some(path);
    }
    let cure = "name a folder (relative names are meant from the folder of this file)";
    reader.wrong("pages", format!("{} is not a folder that linkgate can open", path.display()), cure);
    None
}

/// `language`, which the pages must speak; loading them finds mistakes in `[site.text]` and in the folder as well.
fn language(
    reader: &Reader<'_>,
    folder: Option<&std::path::Path>,
    texts: &std::collections::BTreeMap<String, String>,
) -> String {
    let language = reader.text("language").unwrap_or("en");
    match Pages::load(folder, texts) {
        Err(error) => {
            let key = if texts.is_empty() { "pages" } else { "text" };
            reader.wrong(key, error.to_string(), "");
        }
        Ok(pages) => {
            if !pages.languages().any(|known| known == language) {
                let known: Vec<&str> = pages.languages().collect();
                let cure = nearest(language, pages.languages()).map_or_else(
                    || {
                        format!(
                            "write one of {}, or add {language}.ftl to the folder of pages",
                            known.join(", ")
                        )
                    },
                    |near| format!("did you mean {near:?}?"),
                );
                reader.wrong("language", format!("no page speaks {language:?}"), cure);
            }
        }
    }
    language.to_owned()
}

fn contact(reader: &Reader<'_>) -> String {
    let contact = reader.parse("contact", |text| {
        let address = EmailAddress::parse(text).is_ok();
        let page = Url::parse(text).is_ok_and(|url| url.scheme() == "https");
        if text.is_empty() || address || page {
            Ok(text.to_owned())
        } else {
            Err("write an address, \"it@example.com\", or a page, \"https://example.com/help\"".into())
        }
    });
    contact.unwrap_or_default()
}
