//! What the commands work with: the store (opened beside a running gateway, which sees changes within a second), the
//! keys, the people. Serves nothing.

use std::sync::Arc;

use super::Failure;
use super::rooms;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::identity::EmailAddress;
use crate::identity::Keyring;
use crate::identity::Standing;
use crate::login;
use crate::random::Random;
use crate::store::AuditEvent;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Which;

/// An open store and what goes with it.
pub struct Workbench {
    /// The store.
    pub store: Store,
    /// Now.
    pub clock: Clock,
    /// Chance.
    pub random: Random,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Workbench {
    /// Opens the store; makes secret and store where this is the first command ever.
    pub fn open(loaded: &Loaded) -> Result<Self, Failure> {
        let (clock, random) = (Clock::system(), Random::system());
        // The secret first: a store without its secret is worth nothing.
        rooms::masters(loaded, &random)?;
        let store = Store::open(&rooms::store(loaded), &clock, &random)?;
        Ok(Self { store, clock, random })
    }

    /// Everything that makes links.
    pub async fn parts(&self, loaded: &Loaded) -> Result<login::Parts, Failure> {
        let snapshot = self.store.snapshot().await?;
        let masters = rooms::masters(loaded, &self.random)?;
        let keys = Keyring::new(masters, &snapshot.epochs).map_err(|error| error.to_string())?;
        let standing = Standing::new();
        standing.apply(snapshot, self.clock.now());
        Ok(login::Parts {
            store: self.store.clone(),
            standing: Arc::new(standing),
            keys: Arc::new(keys),
            sites: rooms::sites(loaded, &loaded.judge_sites())?,
            clock: self.clock.clone(),
            random: self.random.clone(),
            prefix: loaded.prefix.clone(),
        })
    }

    /// Notes what was done by hand.
    pub async fn note(
        &self,
        what: &str,
        site: &str,
        email: Option<&EmailAddress>,
        detail: String,
    ) -> Result<(), Failure> {
        let event = AuditEvent {
            at: self.clock.now(),
            site: site.to_owned(),
            email: email.map(ToString::to_string).unwrap_or_default(),
            what: what.to_owned(),
            request: String::new(),
            client: "command line".to_owned(),
            detail,
        };
        Ok(self.store.audit(event).await?)
    }
}

/// What a revocation on the command line is about.
pub fn which(loaded: &Loaded, asked: super::arguments::Which) -> Result<Which, Failure> {
    let site = site_name(loaded, asked.site.as_deref())?;
    match (asked.email, asked.all) {
        (Some(email), _) => Ok(Which::Email(site, super::output::address(&email)?)),
        (None, true) => Ok(Which::All(site)),
        (None, false) if asked.ids.is_empty() => {
            Err(Failure::Usage("name ids, or --email ADDRESS, or --all".to_owned()))
        }
        (None, false) => Ok(Which::Ids(asked.ids)),
    }
}

/// In words, for the audit.
pub fn said(which: &Which) -> (String, Option<EmailAddress>, String) {
    match which {
        Which::Ids(ids) => (String::new(), None, ids.join(" ")),
        Which::Email(site, email) => {
            (site.clone().unwrap_or_default(), Some(email.clone()), "all of one person".into())
        }
        Which::All(site) => (site.clone().unwrap_or_default(), None, "all".into()),
    }
}

/// A site named on the command line must exist.
pub fn site_name(loaded: &Loaded, name: Option<&str>) -> Result<Option<String>, Failure> {
    match name {
        None => Ok(None),
        Some(name) => {
            loaded.site(Some(name)).map(|site| Some(site.site.name.clone())).map_err(Failure::Usage)
        }
    }
}
