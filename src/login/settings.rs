//! What sign-in needs to know of each site, and the parts it works with. Never reads a file: `config` fills this.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::identity::Keyring;
use crate::identity::Standing;
use crate::page::Pages;
use crate::policy::Site;
use crate::random::Random;
use crate::store::Quota;
use crate::store::Store;

/// One site, as sign-in sees it.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// Its people, hosts and rules: the one judge.
    pub site: Arc<Site>,
    /// How links behave.
    pub link: LinkSettings,
    /// How sessions behave.
    pub session: SessionSettings,
    /// Title, logo, accent.
    pub look: Look,
    /// The language where the browser's wish is not spoken.
    pub language: String,
    /// Whom people may ask; empty: nobody is named.
    pub contact: String,
    /// The site's pages and texts.
    pub pages: Arc<Pages>,
    /// `From`, as people see it in their mailbox.
    pub sender: String,
    /// How often links may be asked for and tried.
    pub limits: AskLimits,
    /// A mail transport is configured; false: nobody is ever sent a letter.
    pub mail: bool,
}

/// How links behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// `None`: for ever.
    pub lifetime: Option<Duration>,
    /// Letters carry a code too.
    pub code: bool,
    /// What a link does away from the browser that asked for it.
    pub other_browser: OtherBrowser,
}

/// What a link that was asked for does in another browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherBrowser {
    /// The person types the address that it was sent to.
    TypeAddress,
    /// Only the code works, and only where it was asked for.
    CodeOnly,
    /// It does nothing.
    Refuse,
}

/// How sessions behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// From sign-in to the absolute end.
    pub lifetime: Duration,
    /// From the last visit to the idle end.
    pub idle: Duration,
    /// Whether the cookie outlives the browser window.
    pub remember: Remember,
    /// Base name of the cookies.
    pub cookie: String,
}

/// Whether the session cookie outlives the browser window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// It does.
    Always,
    /// The person chooses.
    Ask,
    /// It does not.
    Never,
}

/// What the site looks like.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Empty: no heading.
    pub title: String,
    /// Address of a picture; empty: none.
    pub logo: String,
    /// `#rrggbb`; empty: the built-in colour.
    pub accent: String,
}

/// How often links may be asked for and tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskLimits {
    /// Per canonical address, and again per address without its `+tag`.
    pub ask_per_address: Quota,
    /// Per IPv4 address or IPv6 /64 (four times that per /56, sixteen times per /48).
    pub ask_per_client: Quota,
    /// Letters per recipient domain.
    pub ask_per_domain: Quota,
    /// Letters of the whole site.
    pub ask_per_site: Quota,
    /// Tries to redeem, counted like `ask_per_client`.
    pub redeem_per_client: Quota,
}

/// What sign-in works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Links, sessions, tickets, letters, audit.
    pub store: Store,
    /// What is known in memory of people and revocations.
    pub standing: Arc<Standing>,
    /// The keys of the moment.
    pub keys: Arc<Keyring>,
    /// By site name.
    pub sites: HashMap<String, Arc<SiteSettings>>,
    /// Now.
    pub clock: Clock,
    /// Chance.
    pub random: Random,
    /// Where own pages live on every host, such as `/.linkgate`.
    pub prefix: String,
}
