//! Links: put together for those who ask, and made by hand. Never keeps a token; never sends one by itself.

use std::fmt;
use std::time::Duration;

use super::Parts;
use super::SiteSettings;
use super::code::Code;
use super::letter;
use super::nonce::Nonce;
use super::return_to;
use super::token;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::KeyError;
use crate::identity::Keys;
use crate::mail;
use crate::page::Lang;
use crate::page::PageError;
use crate::store::MadeBy;
use crate::store::NewLetter;
use crate::store::NewLink;
use crate::store::StoreError;

/// How a link made by hand is to be.
#[derive(Clone, Debug, Default)]
pub struct LinkOptions {
    /// `None`: never ends.
    pub lifetime: Option<Duration>,
    /// How often it lets in; `None`: without limit.
    pub uses: Option<u32>,
    /// Where it leads; `None`: the site's start. Must be a place of the site.
    pub return_to: Option<String>,
    /// Send it by mail as well.
    pub send: bool,
    /// For the record and the letter; may be empty.
    pub note: String,
}

/// A link made by hand.
#[derive(Clone)]
pub struct MadeLink {
    /// Public name, by which it is listed and revoked.
    pub id: String,
    /// The address that lets in: shown once.
    pub url: String,
    /// `None`: never.
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for MadeLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeLink").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a link was not made.
#[derive(Debug)]
pub enum MakeLinkError {
    /// No site has this name.
    UnknownSite(String),
    /// No rule lets this person in.
    NotAllowed {
        /// The site's name.
        site: String,
        /// The address.
        email: String,
    },
    /// Not a place of the site.
    ReturnTo(String),
    /// A link that could never let in.
    NoUses,
    /// There is no mail to send it by.
    NoMail(String),
    /// The store does not do it.
    Store(StoreError),
    /// Us.
    Internal(String),
}

impl fmt::Display for MakeLinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSite(site) => write!(f, "there is no site named {site:?}"),
            Self::NotAllowed { site, email } => write!(
                f,
                "no rule of {site:?} lets {email} in; add to the [[site]] named {site:?}: allow = [\"{email}\"]"
            ),
            Self::ReturnTo(wish) => {
                write!(f, "{wish:?} is no place of this site; write an address on one of its hosts")
            }
            Self::NoUses => {
                f.write_str("a link with no uses lets nobody in; write 1 or more, or \"unlimited\"")
            }
            Self::NoMail(site) => write!(f, "{site:?} has no mail to send it by; set mail.url and mail.from"),
            Self::Store(error) => error.fmt(f),
            Self::Internal(why) => write!(f, "the link could not be made: {why}"),
        }
    }
}

impl std::error::Error for MakeLinkError {}

impl From<StoreError> for MakeLinkError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Makes a link by hand: for `link create`, the API and the dashboard. The caller writes the audit.
///
/// # Errors
/// [`MakeLinkError`] says what to change.
pub async fn make_link(
    parts: &Parts,
    site: &str,
    email: &EmailAddress,
    options: LinkOptions,
) -> Result<MadeLink, MakeLinkError> {
    let settings = parts.sites.get(site).ok_or_else(|| MakeLinkError::UnknownSite(site.to_owned()))?.clone();
    let now = parts.clock.now();
    let stored = parts.standing.profile(site, email);
    let who = settings.site.identity(email, stored.as_deref(), now);
    if !who.is_some_and(|who| settings.site.may_sign_in(&who)) {
        return Err(MakeLinkError::NotAllowed { site: site.to_owned(), email: email.to_string() });
    }
    if options.uses == Some(0) {
        return Err(MakeLinkError::NoUses);
    }
    if options.send && !settings.mail {
        return Err(MakeLinkError::NoMail(site.to_owned()));
    }
    let return_to = match &options.return_to {
        None => String::new(),
        Some(wish) => return_to::place(&settings.site, &settings.site.url, &parts.prefix, wish)
            .ok_or_else(|| MakeLinkError::ReturnTo(wish.clone()))?,
    };
    let wish = Wish {
        email,
        asked_by: None,
        return_to: &return_to,
        lifetime: options.lifetime,
        uses: options.uses,
        note: &options.note,
    };
    let lang = settings.pages.negotiate(None, &settings.language);
    let made = put_together(parts, &parts.keys.current(), &settings, lang, now, &wish)
        .map_err(|error| MakeLinkError::Internal(error.to_string()))?;
    let answer = MadeLink { id: made.link.id.clone(), url: made.url, expires_at: made.link.expires_at };
    parts.store.put_link(made.link, options.send.then_some(made.letter)).await?;
    Ok(answer)
}

/// What a link is to be.
pub(super) struct Wish<'a> {
    pub email: &'a EmailAddress,
    /// The browser that asked, and the seed of its code; `None`: made by hand.
    pub asked_by: Option<(&'a Nonce, [u8; 8])>,
    /// Already judged; empty: the site's start.
    pub return_to: &'a str,
    pub lifetime: Option<Duration>,
    pub uses: Option<u32>,
    pub note: &'a str,
}

/// A link and its letter, ready for the store.
pub(super) struct Made {
    pub link: NewLink,
    pub letter: NewLetter,
    pub url: String,
}

/// Why a link could not be put together: ours to mend.
#[derive(Debug)]
pub(super) enum Failure {
    Key(KeyError),
    Page(PageError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::Page(error) => error.fmt(f),
        }
    }
}

/// Signs the token, derives the code, writes and seals the letter: the same work for whomever it is.
pub(super) fn put_together(
    parts: &Parts,
    keys: &Keys,
    site: &SiteSettings,
    lang: Lang,
    now: Timestamp,
    wish: &Wish<'_>,
) -> Result<Made, Failure> {
    let name = &site.site.name;
    // Whole seconds, as in the token: store and token agree about the very moment.
    let expires_at = wish.lifetime.map(|lifetime| Timestamp::from_seconds((now + lifetime).seconds()));
    let token = token::mint(keys, &parts.random, &site.site, wish.email, expires_at).map_err(Failure::Key)?;
    let url = format!("{}{}/verify?token={}", site.site.url.as_str(), parts.prefix, token.text);
    let asked_by = wish.asked_by.filter(|_| site.link.code);
    let code = asked_by.map(|(nonce, seed)| Code::derive(keys, name, nonce.bytes(), wish.email, seed));
    let shown = code.as_ref().map(Code::shown).unwrap_or_default();
    let draft = letter::Draft {
        email: wish.email,
        link: &url,
        code: &shown,
        lifetime: wish.lifetime,
        by_administrator: wish.asked_by.is_none(),
        note: wish.note,
    };
    let letter = letter::write(site, lang, &parts.random, now, &draft).map_err(Failure::Page)?;
    let sealed = mail::seal(&letter, keys).map_err(Failure::Key)?;
    let nonce_hash = wish.asked_by.map(|(nonce, _)| nonce.hash());
    let code_tag =
        code.as_ref().zip(nonce_hash.as_ref()).map(|(code, nonce_hash)| code.tag(keys, name, nonce_hash));
    Ok(Made {
        link: NewLink {
            id: parts.random.uuid(),
            token_hash: token.hash,
            site: name.clone(),
            email: wish.email.clone(),
            nonce_hash,
            code_tag,
            code_seed: asked_by.map(|(_, seed)| seed),
            return_to: wish.return_to.to_owned(),
            expires_at,
            uses: wish.uses,
            made_by: if wish.asked_by.is_some() { MadeBy::Asked } else { MadeBy::Administrator },
            note: wish.note.to_owned(),
        },
        letter: NewLetter {
            id: parts.random.uuid(),
            site: name.clone(),
            email: wish.email.clone(),
            sealed,
            expires_at,
        },
        url,
    })
}
