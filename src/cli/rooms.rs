//! The configuration, room by room: from what the file says to what each room is built from. Checks nothing that the
//! configuration has checked already; what only exists at run time (pages, mailers) is checked here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Loaded;
use crate::config::Trusted;
use crate::gate::Trust;
use crate::identity::MasterSecret;
use crate::login;
use crate::mail::Mailer;
use crate::mail::Memory;
use crate::page::Pages;
use crate::policy::Sites;
use crate::proxy;
use crate::random::Random;
use crate::serve;
use crate::serve::Inherited;
use crate::store;

/// How long a connection to an app may lie idle.
const POOL_IDLE: Duration = Duration::from_secs(55);
/// Idle connections for each upstream and worker, where descriptors allow: as many as requests are often under way at
/// once, for who closes a connection at the end of a busy moment makes it anew at the next.
const POOL_SIZE: usize = 512;

/// The master secrets, current first.
pub fn masters(loaded: &Loaded, random: &Random) -> Result<Vec<MasterSecret>, String> {
    super::gateway::decode(&loaded.master_secrets(random)?)
}

/// The store's settings.
pub fn store(loaded: &Loaded) -> store::Settings {
    loaded.store.clone()
}

/// Peers as the rooms name them.
pub fn trust(peers: &Trusted) -> Trust {
    Trust { networks: peers.networks.clone(), private: false, unix: peers.unix }
}

/// The pools', and what is needed to connect to every upstream: its files are read here.
pub fn proxy(loaded: &Loaded, sites: &Sites) -> Result<proxy::Settings, String> {
    let connectors = proxy::Connectors::new(sites).map_err(|error| error.to_string())?;
    let max_under_way = under_way(loaded.workers);
    Ok(proxy::Settings {
        pool_idle: POOL_IDLE,
        max_idle_per_upstream: POOL_SIZE.min(max_under_way / 2),
        max_under_way,
        via_name: "linkgate".to_owned(),
        body_timeout: loaded.limits.body_timeout,
        connectors,
    })
}

/// Half of the descriptors for what goes to apps, in equal parts: with none left, no visitor would be taken any more.
fn under_way(workers: Option<usize>) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    // What the kernel gives where nobody says anything else.
    let descriptors = soft.and_then(|number| number.parse().ok()).unwrap_or(1024_usize);
    (descriptors / 2 / serve::worker_count(workers.unwrap_or(0))).max(16)
}

/// Certificates.
pub fn tls(loaded: &Loaded) -> Option<serve::Tls> {
    loaded.tls.as_ref().map(|tls| serve::Tls { certificates: tls.certificates.clone() })
}

/// The server's.
pub fn serve(loaded: &Loaded, inherited: Inherited, clock: Clock) -> serve::Settings {
    let limits = &loaded.limits;
    serve::Settings {
        listen: loaded.listen.clone(),
        tls: tls(loaded),
        workers: loaded.workers.unwrap_or(0),
        limits: serve::Limits {
            max_header_bytes: limits.max_header_bytes,
            max_headers: limits.max_headers,
            connections: limits.connections,
            connections_per_client: limits.connections_per_client,
            h2_streams: limits.streams_per_connection,
            header_timeout: limits.header_timeout,
            body_timeout: limits.body_timeout,
            idle_timeout: limits.idle_timeout,
            connection_age: limits.connection_age,
            // Behind a trusted proxy many people share one address.
            exempt: loaded.trusted_proxies.networks.clone(),
        },
        drain: loaded.drain,
        monitor: loaded.monitor,
        inherited,
        proxy_protocol: trust(&loaded.proxy_protocol),
        clock,
    }
}

/// Per site what the sign-in room needs: pages are loaded here, all or nothing.
pub fn sites(loaded: &Loaded, sites: &Sites) -> Result<HashMap<String, Arc<login::SiteSettings>>, String> {
    let mut built = HashMap::new();
    for settings in &loaded.sites {
        let name = &settings.site.name;
        let site = sites.by_name(name).ok_or_else(|| format!("the site {name:?} is not filed"))?;
        let pages =
            Pages::load_with_logo(settings.pages.as_deref(), settings.look.logo.as_deref(), &settings.texts)
                .map_err(|error| format!("the pages of site {name:?}: {error}"))?;
        let logo = pages.logo().map(|name| format!("{}/assets/{name}", loaded.prefix)).unwrap_or_default();
        let title = if settings.look.title.is_empty() { name.clone() } else { settings.look.title.clone() };
        let built_settings = login::SiteSettings {
            site: Arc::clone(site),
            link: settings.link.clone(),
            session: settings.session.clone(),
            look: login::Look { title, logo, accent: settings.look.accent.clone() },
            language: settings.language.clone(),
            contact: settings.contact.clone(),
            pages: Arc::new(pages),
            sender: settings.mail.as_ref().map(|mail| mail.from.clone()).unwrap_or_default(),
            limits: settings.limits.clone(),
            mail: settings.mail.is_some(),
        };
        built.insert(name.clone(), Arc::new(built_settings));
    }
    Ok(built)
}

/// Per site the way its letters go.
pub fn mailers(loaded: &Loaded, memory: &Memory) -> Result<HashMap<String, Mailer>, String> {
    let mut built = HashMap::new();
    for site in &loaded.sites {
        let Some(settings) = &site.mail else { continue };
        let mailer = Mailer::with_memory(settings, memory);
        let name = &site.site.name;
        built.insert(name.clone(), mailer.map_err(|error| format!("the mail of site {name:?}: {error}"))?);
    }
    Ok(built)
}
