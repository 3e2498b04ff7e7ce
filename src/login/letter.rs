//! The letter with a link in it. Never takes an address of a link from a request: it comes from the configuration.

use std::time::Duration;

use serde::Serialize;

use super::SiteSettings;
use super::frame::SiteLook;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::mail::Letter;
use crate::page::Lang;
use crate::page::PageError;
use crate::random::Random;

/// What stands in one letter.
pub(super) struct Draft<'a> {
    pub email: &'a EmailAddress,
    pub link: &'a str,
    /// As shown, `XXXX-XXXX`; empty: none.
    pub code: &'a str,
    /// `None`: works for ever.
    pub lifetime: Option<Duration>,
    pub by_administrator: bool,
    pub note: &'a str,
}

#[derive(Serialize)]
struct Context<'a> {
    site: SiteLook<'a>,
    link: &'a str,
    code: &'a str,
    lifetime: Option<u64>,
    host: &'a str,
    email: &'a str,
    invited_by_admin: bool,
    note: &'a str,
}

/// The subject of every letter of a site.
pub(super) fn subject(site: &SiteSettings, lang: Lang) -> String {
    let name = if site.look.title.is_empty() { site.site.url.host() } else { &site.look.title };
    let subject = site.pages.text(lang, "letter-subject", &[("site", name)]);
    subject.chars().filter(|c| !c.is_control()).collect()
}

/// Writes a letter in `lang`.
pub(super) fn write(
    site: &SiteSettings,
    lang: Lang,
    random: &Random,
    now: Timestamp,
    draft: &Draft<'_>,
) -> Result<Letter, PageError> {
    let context = || Context {
        site: SiteLook::of(site),
        link: draft.link,
        code: draft.code,
        lifetime: draft.lifetime.map(|lifetime| lifetime.as_secs()),
        host: site.site.url.host(),
        email: draft.email.as_str(),
        invited_by_admin: draft.by_administrator,
        note: draft.note,
    };
    let text = site.pages.render("letter.txt", lang, context())?;
    let html = site.pages.render("letter.html", lang, context())?;
    Ok(Letter {
        site: site.site.name.clone(),
        to: draft.email.clone(),
        subject: subject(site, lang),
        text,
        html,
        message_id: format!("<{}@{}>", random.uuid(), sender_domain(site)),
        created_at: now,
        link: Some(draft.link.to_owned()),
        code: (!draft.code.is_empty()).then(|| draft.code.to_owned()),
    })
}

/// The domain of `From`; the site's host where there is none.
fn sender_domain(site: &SiteSettings) -> &str {
    let domain = site.sender.rsplit_once('@').map_or("", |(_, domain)| domain.trim_end_matches(['>', ' ']));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    if !domain.is_empty() && domain.bytes().all(plain) { domain } else { site.site.url.host() }
}
