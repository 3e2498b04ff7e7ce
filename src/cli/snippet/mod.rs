//! `linkgate snippet`: what another proxy needs to ask linkgate, for the configuration at hand. The pages below docs/
//! hold what this prints for their own example. Changes nothing, and knows nothing of the apps but their hosts.

use minijinja::Environment;
use minijinja::UndefinedBehavior;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use serde::Serialize;

use super::Failure;
use super::arguments::Proxy;
use super::output;
use crate::config::Loaded;
use crate::config::SiteSettings;
use crate::identity::CookieNames;
use crate::policy::App;
use crate::policy::Origin;
use crate::proxy::IdentityHeaderValues;
use crate::serve::Listen;

/// Where apps are supposed to be: the first here, the others on the ports that follow. A placeholder, as in the docs.
const FIRST_APP: usize = 3000;

/// What templates are filled with.
#[derive(Serialize)]
struct Scene {
    prefix: String,
    /// linkgate, `host:port`; empty where it listens on a Unix socket only.
    tcp: String,
    /// Its halves, as Envoy writes them.
    tcp_host: String,
    tcp_port: String,
    /// The same, or the socket, as nginx and Caddy write it.
    nginx: String,
    caddy: String,
    guards: Vec<Guard>,
    hosts: Vec<Host>,
}

/// One way of asking: hosts whose apps are told by the same names share it.
#[derive(Serialize, PartialEq, Eq)]
struct Guard {
    id: String,
    names: Vec<String>,
    /// Names that no rule about all of linkgate's covers, as a regular expression takes them in any spelling.
    patterns: Vec<String>,
    /// The session's.
    cookie: String,
}

#[derive(Serialize)]
struct Host {
    name: String,
    port: u16,
    secure: bool,
    /// As Caddy writes it.
    address: String,
    /// For names in configurations: `wiki-example-com`.
    id: String,
    /// Traefik's entry point.
    entry: &'static str,
    /// Another proxy forwards to its app; else linkgate does.
    guarded: bool,
    sign_in: bool,
    app: String,
    app_port: usize,
    guard: String,
    names: Vec<String>,
    /// The cookies that linkgate sets there, as a regular expression without backslashes.
    cookies: String,
}

/// Prints the configuration of one proxy.
pub fn run(loaded: &Loaded, proxy: Proxy) -> Result<(), Failure> {
    let scene = scene(loaded)?;
    if !matches!(proxy, Proxy::Nginx | Proxy::Caddy) && scene.tcp.is_empty() {
        let cure = "this proxy asks over TCP only: add \"http://127.0.0.1:8080\" to listen";
        return Err(Failure::Usage(cure.into()));
    }
    let text = fill(template(proxy), &scene).map_err(|error| Failure::Failed(error.to_string()))?;
    output::bytes(text.as_bytes())
}

/// A proxy's template. Another proxy needs a file here, a word in [`Proxy`], and its page in tests/gateway/snippet.rs.
const fn template(proxy: Proxy) -> &'static str {
    match proxy {
        Proxy::Nginx => include_str!("nginx.conf"),
        Proxy::Caddy => include_str!("Caddyfile"),
        Proxy::Traefik => include_str!("traefik.yml"),
        Proxy::Envoy => include_str!("envoy.yaml"),
        Proxy::Haproxy => include_str!("haproxy.cfg"),
        Proxy::Apache => include_str!("apache.conf"),
    }
}

fn fill(template: &str, scene: &Scene) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    environment.render_str(template, Serde(scene))
}

fn scene(loaded: &Loaded) -> Result<Scene, Failure> {
    let (tcp, unix) = listens(&loaded.listen);
    if tcp.is_empty() && unix.is_empty() {
        let cure = "another proxy asks over plain http on its own machine, and nothing here listens for that alone: \
                    add \"unix:/run/linkgate/web.sock?mode=0660&group=www-data\" to listen";
        return Err(Failure::Usage(cure.into()));
    }
    let (mut guards, mut hosts) = (Vec::new(), Vec::new());
    for site in &loaded.sites {
        if !site.site.apps.iter().any(|app| app.is_guarded()) {
            continue;
        }
        for origin in &site.site.hosts {
            let app = site.site.apps.iter().find(|app| app.origin == *origin).map(|app| &**app);
            hosts.push(host(site, origin, app, hosts.len(), &mut guards));
        }
    }
    if hosts.is_empty() {
        let what = "every app has an upstream: linkgate forwards by itself, and nobody has to ask it; \
                    leave upstream out where another proxy is to forward";
        return Err(Failure::Usage(what.into()));
    }
    let or_unix = |scheme: &str| if unix.is_empty() { tcp.clone() } else { format!("{scheme}{unix}") };
    let (nginx, caddy) = (or_unix("unix:"), or_unix("unix/"));
    let (tcp_host, tcp_port) = tcp.rsplit_once(':').unwrap_or_default();
    let (tcp_host, tcp_port) = (tcp_host.trim_matches(['[', ']']).to_owned(), tcp_port.to_owned());
    Ok(Scene { prefix: loaded.prefix.clone(), tcp, tcp_host, tcp_port, nginx, caddy, guards, hosts })
}

/// Where another proxy reaches linkgate by plain http: an address, a Unix socket. Beside https, plain http on TCP only
/// redirects.
fn listens(listen: &[Listen]) -> (String, String) {
    let secure = listen.iter().any(|listen| matches!(listen, Listen::Https(_)));
    let tcp = listen.iter().filter(|_| !secure).find_map(|listen| match listen {
        Listen::Http(address) if address.ip().is_unspecified() => {
            let here = if address.is_ipv4() { "127.0.0.1" } else { "[::1]" };
            Some(format!("{here}:{}", address.port()))
        }
        Listen::Http(address) => Some(address.to_string()),
        Listen::Https(_) | Listen::Unix { .. } | Listen::Systemd { .. } => None,
    });
    let unix = listen.iter().find_map(|listen| match listen {
        Listen::Unix { path, .. } => Some(path.display().to_string()),
        Listen::Http(_) | Listen::Https(_) | Listen::Systemd { .. } => None,
    });
    (tcp.unwrap_or_default(), unix.unwrap_or_default())
}

fn host(
    site: &SiteSettings,
    origin: &Origin,
    app: Option<&App>,
    number: usize,
    guards: &mut Vec<Guard>,
) -> Host {
    let guarded = app.is_some_and(App::is_guarded);
    let names = app.map(names).unwrap_or_default();
    let cookie = CookieNames::new(&site.session.cookie, origin.secure()).session;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let cookies = format!("{}(-login)?", cookie.replace(|c| !plain(c), "."));
    let guard = if guarded { guard(&names, cookie, guards) } else { String::new() };
    let secure = origin.secure();
    let app_port = FIRST_APP.saturating_add(number);
    let address = if secure { origin.authority() } else { origin.as_str() }.to_owned();
    Host {
        name: origin.host().to_owned(),
        port: origin.port(),
        secure,
        address,
        id: origin.host().replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
        entry: if secure { "websecure" } else { "web" },
        guarded,
        sign_in: *origin == site.site.url,
        app: format!("127.0.0.1:{app_port}"),
        app_port,
        guard,
        names,
        cookies,
    }
}

/// The guard of these names; the first is called `linkgate`.
fn guard(names: &[String], cookie: String, guards: &mut Vec<Guard>) -> String {
    if let Some(known) = guards.iter().find(|known| known.names == names && known.cookie == cookie) {
        return known.id.clone();
    }
    let number = guards.len().saturating_add(1);
    let id = if number == 1 { "linkgate".to_owned() } else { format!("linkgate-{number}") };
    let ours = |name: &&String| !name.starts_with("Remote-") && !name.starts_with("Linkgate-");
    let pattern =
        |name: &String| name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "[^a-z0-9]");
    let patterns = names.iter().filter(ours).map(pattern).collect();
    guards.push(Guard { id: id.clone(), names: names.to_vec(), patterns, cookie });
    id
}

/// Every header by which some route of an app names people, and the assertion.
fn names(app: &App) -> Vec<String> {
    let mut names = Vec::new();
    for form in app.identities() {
        for (name, _) in IdentityHeaderValues::empty(form).iter() {
            let name = spelled(name.as_str());
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.push("Linkgate-Assertion".to_owned());
    names
}

/// `remote-user` as people write it.
fn spelled(name: &str) -> String {
    let capital = |part: &str| {
        let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(capital).collect::<Vec<_>>().join("-")
}
