//! Puts the rooms together: store, keys, mail, pages and gate from a configuration; starts the server, exchanges the
//! gate at a reload (all or nothing), and ends everything in order. Decides nothing about visitors.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::housekeeping::Housekeeping;
use super::rooms;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::gate::Gate;
use crate::gate::Parts;
use crate::identity::Keyring;
use crate::identity::MasterSecret;
use crate::identity::Standing;
use crate::login::Login;
use crate::mail::Mailers;
use crate::mail::Memory;
use crate::mail::Outbox;
use crate::policy::Sites;
use crate::proxy::Checks;
use crate::proxy::Connectors;
use crate::random::Random;
use crate::serve::Check;
use crate::serve::Health;
use crate::serve::Inherited;
use crate::serve::Readiness;
use crate::serve::Server;
use crate::store::Settings;
use crate::store::Store;
use crate::store::StoreError;

/// Beyond this age of what is known of revocations, nobody is let in by it.
const MAX_STALENESS: Duration = Duration::from_hours(1);
/// How much older than the poll the standing may be before `/readyz` says that the store does not answer.
const READY_STALENESS: Duration = Duration::from_secs(10);

/// Makes more own pages from the inbox and the sign-in room: the demo's.
pub type Extra = fn(Memory, Arc<Login>) -> Router;

/// What outlives a reload.
struct Shared {
    store: Store,
    standing: Arc<Standing>,
    keys: Arc<Keyring>,
    memory: Memory,
    clock: Clock,
    random: Random,
    extra: Option<Extra>,
}

/// A running gateway.
pub struct Gateway {
    shared: Shared,
    server: Server<Gate>,
    mailers: Mailers,
    sites: watch::Sender<Arc<Sites>>,
    /// Of the endpoints in force.
    checks: Mutex<Checks>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    fixed: Vec<(&'static str, String)>,
}

impl Gateway {
    /// Opens the store, loads what is known, and starts to serve.
    ///
    /// # Errors
    /// One sentence that names the cure; nothing is left running.
    pub async fn start(
        loaded: &Loaded,
        inherited: Inherited,
        extra: Option<Extra>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, String> {
        // The secret first: it is refused where a store exists without it.
        let masters = rooms::masters(loaded, &random)?;
        let store = Store::open(&rooms::store(loaded), &clock, &random).map_err(|error| error.to_string())?;
        store.admit().await.map_err(|error| error.to_string())?;
        let (trouble, troubles) = watch::channel(String::new());
        let keys = match store.snapshot().await {
            Ok(snapshot) => Keyring::new(masters, &snapshot.epochs),
            // It may come back; until then nobody who is signed in is let through on a guess.
            Err(error @ (StoreError::Away(_) | StoreError::Full)) if shared(&loaded.store) => {
                tracing::error!(%error, "the store does not answer; serving what is public until it does");
                trouble.send_replace(error.to_string());
                Keyring::waiting(masters, &random)
            }
            Err(error) => return Err(error.to_string()),
        };
        let keys = Arc::new(keys.map_err(|error| error.to_string())?);
        let standing = Arc::new(Standing::new());
        let shared = Shared { store, standing, keys, memory: Memory::new(), clock, random, extra };

        let built = shared.build(loaded)?;
        let (sites, sites_seen) = watch::channel(Arc::clone(&built.sites));
        let (stop, stopped) = watch::channel(false);
        let housekeeping = Housekeeping {
            store: shared.store.clone(),
            standing: Arc::clone(&shared.standing),
            keys: Arc::clone(&shared.keys),
            sites: sites_seen,
            clock: shared.clock.clone(),
            trouble,
        };
        let waiting = !troubles.borrow().is_empty();
        let seen = if waiting { None } else { first_load(&housekeeping, &loaded.store).await? };

        let mailers = Mailers::new(built.mailers);
        let settings = rooms::serve(loaded, inherited, shared.clock.clone());
        let server = Server::start(settings, Arc::new(built.gate), shared.health(troubles))
            .map_err(|error| error.to_string())?;
        let outbox = Outbox::new(
            shared.store.clone(),
            Arc::clone(&shared.keys),
            mailers.clone(),
            shared.clock.clone(),
            &shared.random,
        );
        let tasks =
            vec![tokio::spawn(housekeeping.run(seen, stopped.clone())), tokio::spawn(outbox.run(stopped))];
        let checks = Mutex::new(built.connectors.watch());
        Ok(Self { shared, server, mailers, sites, checks, stop, tasks, fixed: fixed(loaded) })
    }

    /// Builds everything anew beside the old and swaps it in, or leaves the old and says why.
    ///
    /// # Errors
    /// What is wrong with the new configuration.
    pub async fn reload(&self, loaded: &Loaded) -> Result<(), String> {
        let wanted = rooms::masters(loaded, &self.shared.random)?;
        if !self.shared.keys.same_masters(&wanted) {
            return Err(
                "the master secret has changed: restart linkgate to take a new secret_file over".to_owned()
            );
        }
        let changed = fixed(loaded).into_iter().zip(&self.fixed).find(|(new, old)| new != *old);
        if let Some(((key, _), _)) = changed {
            return Err(format!("{key} has changed: restart linkgate to take it over, or put it back"));
        }
        let built = self.shared.build(loaded)?;
        let tls = rooms::tls(loaded);
        self.checks().hand_over(&built.connectors);
        self.server.swap(Arc::new(built.gate), tls).await.map_err(|error| error.to_string())?;
        *self.checks() = built.connectors.watch();
        self.mailers.replace(built.mailers);
        self.sites.send_replace(built.sites);
        // Rights may have been taken away: every verdict is made anew.
        self.shared.standing.bump();
        Ok(())
    }

    fn checks(&self) -> MutexGuard<'_, Checks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server, for its addresses and its watchdog.
    #[must_use]
    pub const fn server(&self) -> &Server<Gate> {
        &self.server
    }

    /// Finishes what is under way, then stops.
    pub async fn drain(self) {
        self.server.drain().await;
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a background task ended badly");
            }
        }
    }
}

/// What cannot change while the program runs: sockets, the store, the log.
fn fixed(loaded: &Loaded) -> Vec<(&'static str, String)> {
    vec![
        ("listen", format!("{:?}", loaded.listen)),
        ("state_dir", loaded.state_dir.display().to_string()),
        ("store", format!("{:?}", loaded.store)),
        ("workers", format!("{:?}", loaded.workers)),
        ("drain", format!("{:?}", loaded.drain)),
        ("monitor.listen", format!("{:?}", loaded.monitor)),
        ("limits", format!("{:?}", loaded.limits)),
        // The limit of connections a client excepts them, and is the server's.
        ("trusted_proxies", format!("{:?}", loaded.trusted_proxies)),
        ("proxy_protocol", format!("{:?}", loaded.proxy_protocol)),
        ("log", format!("{:?}", loaded.log)),
        ("tls", format!("{:?}", loaded.tls.is_some())),
    ]
}

/// What one configuration makes.
struct Built {
    gate: Gate,
    connectors: Arc<Connectors>,
    sites: Arc<Sites>,
    mailers: HashMap<String, crate::mail::Mailer>,
}

impl Shared {
    fn build(&self, loaded: &Loaded) -> Result<Built, String> {
        let sites = Arc::new(Sites::new(loaded.sites.iter().map(|site| site.site.clone()).collect())?);
        let settings = rooms::sites(loaded, &sites)?;
        let mailers = rooms::mailers(loaded, &self.memory)?;
        let login = Login::new(crate::login::Parts {
            store: self.store.clone(),
            standing: Arc::clone(&self.standing),
            keys: Arc::clone(&self.keys),
            sites: settings.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            prefix: loaded.prefix.clone(),
        });
        let proxy = rooms::proxy(loaded, &sites)?;
        let connectors = Arc::clone(&proxy.connectors);
        let gate = Gate::new(Parts {
            sites: Arc::clone(&sites),
            settings,
            prefix: loaded.prefix.clone(),
            trust: rooms::trust(&loaded.trusted_proxies),
            max_staleness: MAX_STALENESS,
            access_log: loaded.log.access,
            proxy,
            standing: Arc::clone(&self.standing),
            keys: Arc::clone(&self.keys),
            extra: self.extra.map(|extra| extra(self.memory.clone(), Arc::clone(&login))),
            login,
            clock: self.clock.clone(),
            random: self.random.clone(),
        });
        Ok(Built { gate, connectors, sites, mailers })
    }

    fn health(&self, troubles: watch::Receiver<String>) -> Health {
        let (standing, clock, store) = (Arc::clone(&self.standing), self.clock.clone(), self.store.clone());
        Arc::new(move || {
            let age = standing.age(clock.now());
            let ready = age.is_some_and(|age| age <= MAX_STALENESS);
            let trouble = troubles.borrow().clone();
            let fresh = trouble.is_empty() && age.is_some_and(|age| age <= READY_STALENESS);
            let service = store.trouble();
            let ok = fresh && service.is_empty();
            let detail = match age {
                Some(_) if ok => "answers".to_owned(),
                Some(_) if fresh => format!("{service}; nobody new comes in, people signed in go on"),
                Some(age) if ready => format!(
                    "has not answered for {} s: {trouble}; nobody new comes in, people signed in go on for an hour",
                    age.as_secs()
                ),
                Some(_) => {
                    format!("has not answered for over an hour: {trouble}; people signed in are kept waiting")
                }
                None => {
                    format!("has not answered since the start: {trouble}; people signed in are kept waiting")
                }
            };
            Readiness { ready, checks: vec![Check { name: "store", ok, detail }] }
        })
    }
}

/// `None`: it went away just now, and is loaded when it is back.
async fn first_load(housekeeping: &Housekeeping, store: &Settings) -> Result<Option<i64>, String> {
    match housekeeping.load().await {
        Ok(seen) => Ok(Some(seen)),
        Err(StoreError::Away(_) | StoreError::Full) if shared(store) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the store is shared with other machines, so that it may be away while we are here.
const fn shared(store: &Settings) -> bool {
    matches!(store, Settings::Redis(_))
}

/// Master secrets from their text.
pub(super) fn decode(texts: &[crate::secret::Secret<String>]) -> Result<Vec<MasterSecret>, String> {
    texts.iter().map(|text| MasterSecret::decode(text.expose()).map_err(|error| error.to_string())).collect()
}

#[cfg(test)]
mod tests;
