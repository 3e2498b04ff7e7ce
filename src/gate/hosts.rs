//! What one worker needs to know of each host, looked up once a request. Never changes: a reload makes another.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::HeaderValue;

use super::Parts;
use crate::identity::CookieNames;
use crate::login::SiteSettings;
use crate::policy::Host;

/// All hosts of all sites, by canonical name. The names are the configuration's: nobody chooses them to collide.
pub struct Hosts(HashMap<String, Hosted, RandomState>);

/// One host.
pub struct Hosted {
    /// What policy knows of it.
    pub host: Host,
    /// Its site's pages, looks, lifetimes.
    pub settings: Arc<SiteSettings>,
    /// Our cookies there.
    pub names: CookieNames,
    /// `host[:port]` as configured, for the app.
    pub authority: HeaderValue,
    /// The port, for the app.
    pub port: HeaderValue,
}

impl Hosts {
    /// Looks everything up that requests will ask for.
    pub fn new(parts: &Parts) -> Self {
        let origins = parts.sites.all().iter().flat_map(|site| &site.hosts);
        let hosted = |name: &str| {
            let host = parts.sites.by_host(name)?.clone();
            let settings = Arc::clone(parts.settings.get(&host.site.name)?);
            let names = CookieNames::new(&settings.session.cookie, host.origin.secure());
            let authority = HeaderValue::from_str(host.origin.authority()).ok()?;
            let port = HeaderValue::from(host.origin.port());
            Some(Hosted { host, settings, names, authority, port })
        };
        Self(origins.filter_map(|origin| Some((origin.host().to_owned(), hosted(origin.host())?))).collect())
    }

    /// By canonical name.
    pub fn get(&self, name: &str) -> Option<&Hosted> {
        self.0.get(name)
    }
}
