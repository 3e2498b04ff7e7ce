//! Knows TOML and the environment; nobody else does. Turns a file into usable values ([`Loaded`]) or into every
//! mistake of it at once ([`Mistakes`]). Starts nothing, and writes nothing but a master secret that was never made.

mod app;
mod environment;
mod expect;
mod general;
mod handling;
mod headers;
mod mail;
mod mistake;
mod people;
mod reader;
mod schema;
mod secrets;
mod settings;
mod signing_in;
mod site;
mod store;
mod tree;
mod upstream;
pub mod values;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use self::mistake::nearest;
use self::reader::{Log, Reader};
use self::tree::Table;
use crate::policy::Sites;
use crate::random::Random;
use crate::secret::Secret;
use crate::store::Settings;

pub use self::environment::Environment;
pub use self::expect::{Judged, judge, parse_request};
pub use self::mistake::{Mistake, Mistakes, Place};
pub use self::schema::{Kind, all_keys};
pub use crate::serve::Listen;

pub use self::settings::{
    ConnectionLimits, Expect, Loaded, LogFormat, LogSettings, Look, Master, Outcome, SiteSettings, Tls,
    Trusted,
};

/// Reads a file and what the environment lays over it.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn load(file: &Path, environment: &Environment) -> Result<Loaded, Mistakes> {
    let source = read(file)?;
    load_text(&source, file, environment).map(|(loaded, _)| loaded)
}

/// As [`load`], from text; also says which keys were asked for.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    source: &str,
    file: &Path,
    environment: &Environment,
) -> Result<(Loaded, BTreeSet<String>), Mistakes> {
    let (table, log) = prepare(source, file, environment);
    let root = Reader::new(&table, "", &log);
    let loaded = whole(&root, file);
    let mistakes = log.take();
    if mistakes.is_empty() {
        Ok((loaded, log.asked()))
    } else {
        Err(Mistakes::new(file.to_owned(), mistakes))
    }
}

/// Only `state_dir`: enough to become its owner before anything else is read.
///
/// # Errors
/// The file cannot be read, or is not TOML.
pub fn state_dir(file: &Path, environment: &Environment) -> Result<PathBuf, Mistakes> {
    let source = read(file)?;
    let (table, log) = prepare(&source, file, environment);
    Ok(general::state_dir(&Reader::new(&table, "", &log)))
}

fn read(file: &Path) -> Result<String, Mistakes> {
    std::fs::read_to_string(file).map_err(|error| {
        let cure = match error.kind() {
            std::io::ErrorKind::NotFound => "make one with: linkgate init; or name it with --config",
            std::io::ErrorKind::PermissionDenied => "run linkgate as a user who may read it",
            std::io::ErrorKind::InvalidData => "save it as UTF-8",
            _ => "name a file with --config",
        };
        Mistakes::whole(file.to_owned(), error.to_string(), cure)
    })
}

fn prepare(source: &str, file: &Path, environment: &Environment) -> (Table, Log) {
    let (mut table, mut mistakes) = tree::parse(source);
    mistakes.extend(environment.overlay(&mut table));
    schema::check(&table, schema::ROOT, "", &mut mistakes);
    let mut log = Log::default();
    log.base = file.parent().map(Path::to_owned).unwrap_or_default();
    log.credentials.clone_from(&environment.credentials);
    for mistake in mistakes {
        log.push(mistake);
    }
    (table, log)
}

/// Everything, as far as it can be read: worth nothing where a mistake was noted.
fn whole(root: &Reader<'_>, file: &Path) -> Loaded {
    let listen = general::listen(root);
    root.log.listens(&listen);
    let prefix = general::prefix(root);
    let trusted_proxies = general::trusted(root, "trusted_proxies");
    let proxy_protocol = general::trusted(root, "proxy_protocol");
    let state_dir = general::state_dir(root);
    let empty = Table::default();
    let limits = Reader::new(root.table("limits").unwrap_or(&empty), "limits", root.log);
    let workers = root.has("workers").then(|| root.number("workers", 1, 1_024));
    let mut sites = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut hosts: Vec<(String, String)> = Vec::new();
    for table in root.tables("site") {
        let reader = Reader::new(table, "site", root.log);
        let Some(site) = site::site(root, table, &prefix) else { continue };
        if names.contains(&site.site.name) {
            let key = if table.get("name").is_some() { "name" } else { "url" };
            let what = format!("two sites are named {:?}", site.site.name);
            reader.wrong(key, what, "give this one a name of its own");
        }
        for host in &site.site.hosts {
            if let Some((_, owner)) = hosts.iter().find(|(known, _)| known == host.host()) {
                let what = format!("{} belongs to the site {owner:?} already", host.host());
                reader.wrong("url", what, "a host belongs to one site: give this one hosts of its own");
            }
        }
        names.push(site.site.name.clone());
        let owner = &site.site.name;
        hosts.extend(site.site.hosts.iter().map(|host| (host.host().to_owned(), owner.clone())));
        sites.push(site);
    }
    if root.tables("site").next().is_none() && !root.has("site") {
        let cure = "add [[site]] with url, upstream and allow";
        root.wrong("site", "there is no site, so nobody can be let in", cure);
    }
    let judge = Sites::new(sites.iter().map(|site| site.site.clone()).collect());
    let expects = match &judge {
        Ok(sites) => expect::expects(root, sites),
        Err(reason) => {
            if root.log.count() == 0 {
                root.wrong("site", reason.clone(), "");
            }
            Vec::new()
        }
    };
    let master = general::master(root, &state_dir);
    let shared_secret = master.given.is_some() || root.has("secret") || root.has("secret_file");
    let loaded = Loaded {
        file: file.to_owned(),
        master,
        drain: general::drain(root),
        workers,
        tls: general::tls(root, &listen),
        store: store::store(root, &state_dir, shared_secret),
        monitor: general::monitor(root, &listen),
        log: general::log(root),
        limits: general::limits(&limits),
        listen,
        prefix,
        trusted_proxies,
        proxy_protocol,
        state_dir,
        sites,
        expects,
    };
    together(root, &loaded);
    loaded
}

/// What is wrong only in company.
fn together(root: &Reader<'_>, loaded: &Loaded) {
    let secure_listener =
        loaded.listen.iter().any(|l| matches!(l, Listen::Https(_) | Listen::Systemd { .. }));
    let secure_site = loaded.sites.iter().any(|site| site.site.url.secure());
    for (index, listen) in loaded.listen.iter().enumerate() {
        if let Listen::Http(address) = listen
            && !address.ip().is_loopback()
            && secure_site
            && !secure_listener
            && loaded.trusted_proxies.is_empty()
        {
            let cure =
                "name the proxy that ends TLS in trusted_proxies, or add an https:// listener and [tls]";
            root.wrong_item("listen", index, "session cookies would cross the network in the clear", cure);
        }
    }
    let unix = loaded.listen.iter().any(|l| matches!(l, Listen::Unix { .. } | Listen::Systemd { .. }));
    for (key, peers) in
        [("trusted_proxies", &loaded.trusted_proxies), ("proxy_protocol", &loaded.proxy_protocol)]
    {
        if peers.unix && !unix {
            let cure = "add \"unix:/run/linkgate/web.sock\" to listen, or take \"unix\" out";
            root.wrong(key, "nothing listens on a Unix socket", cure);
        }
    }
    guarded(root, loaded);
}

/// Checks are answered to trusted peers only: without any, everybody would be refused, and nobody would know why.
fn guarded(root: &Reader<'_>, loaded: &Loaded) {
    // Where something else is wrong, an upstream may only be misspelled; and then sites and tables do not pair.
    if root.log.count() > 0 || !loaded.trusted_proxies.is_empty() {
        return;
    }
    for (table, site) in root.tables("site").zip(&loaded.sites) {
        let Some(app) = site.site.apps.iter().find(|app| app.is_guarded()) else { continue };
        let host = app.origin.host();
        let what = format!("{host} has no upstream, so another proxy asks, and nobody is trusted to ask");
        let cure = "add trusted_proxies = [\"127.0.0.1\"] (that proxy's address) at the top of the file; \
                    or the upstream that linkgate is to forward to";
        Reader::new(table, "site", root.log).wrong("upstream", what, cure);
    }
}

impl Loaded {
    /// The site of this name; where there is only one, no name is needed.
    ///
    /// # Errors
    /// What to write.
    pub fn site(&self, name: Option<&str>) -> Result<&SiteSettings, String> {
        let names = || self.sites.iter().map(|site| site.site.name.as_str());
        match (name, self.sites.as_slice()) {
            (None, [site]) => Ok(site),
            (None, _) => Err(format!(
                "there are several sites; name one with --site: {}",
                names().collect::<Vec<_>>().join(", ")
            )),
            (Some(name), sites) => sites.iter().find(|site| site.site.name == name).ok_or_else(|| {
                nearest(name, names()).map_or_else(
                    || {
                        format!(
                            "there is no site {name:?}; the file has {}",
                            names().collect::<Vec<_>>().join(", ")
                        )
                    },
                    |near| format!("there is no site {name:?}; did you mean {near:?}?"),
                )
            }),
        }
    }

    /// The master secrets, the present one first. Makes one in `state_dir` (mode 0600) where none was ever given.
    ///
    /// # Errors
    /// What is wrong, and the cure.
    pub fn master_secrets(&self, random: &Random) -> Result<Vec<Secret<String>>, String> {
        let present = match &self.master.given {
            Some(secret) => secret.clone(),
            None => self.generated_secret(random)?,
        };
        Ok(std::iter::once(present).chain(self.master.previous.iter().cloned()).collect())
    }

    fn generated_secret(&self, random: &Random) -> Result<Secret<String>, String> {
        let path = &self.master.generated;
        if let Some(secret) = secrets::read_own(path)? {
            return if secret.expose().len() >= 32 {
                Ok(secret)
            } else {
                Err(format!(
                    "{} is too short to be a secret that linkgate made; restore it from a backup",
                    path.display()
                ))
            };
        }
        let file = match &self.store {
            Settings::Sqlite { path } => Some(path),
            Settings::Http(http) => Some(&http.path),
            Settings::Redis(_) => None,
        };
        if let Some(store) = file.filter(|file| file.exists()) {
            // A new secret would quietly end every session and link, and unseal no letter.
            return Err(format!(
                "{} is missing, though {} exists; restore it from a backup, or remove both to begin anew",
                path.display(),
                store.display()
            ));
        }
        self.make_state_dir()?;
        let made = Secret::new(URL_SAFE_NO_PAD.encode(random.bytes::<32>()));
        if secrets::write_new(path, &made)? {
            return Ok(made);
        }
        secrets::read_own(path)?.ok_or_else(|| format!("{} came and went; try again", path.display()))
    }

    /// The first start makes the folder, for its owner alone; the folder above must be there.
    fn make_state_dir(&self) -> Result<(), String> {
        use std::os::unix::fs::DirBuilderExt as _;
        match std::fs::DirBuilder::new().mode(0o700).create(&self.state_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(format!(
                "state_dir {} cannot be made: {error}; make it for the user that runs linkgate, \
                 or set state_dir to a folder that this user may write",
                self.state_dir.display()
            )),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
