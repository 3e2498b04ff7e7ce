//! `linkgate demo`: everything on one machine with nothing configured. A sample app, the gateway in front of it,
//! letters kept in memory. Never for the public: everybody with a mailbox may sign in, and the inbox is readable here.

mod app;
mod inbox;

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use super::Failure;
use super::gateway::Gateway;
use crate::clock::Clock;
use crate::config;
use crate::config::Environment;
use crate::random::Random;
use crate::serve::Inherited;

const PREFIX: &str = "/.linkgate";

/// Runs the demo until it is interrupted.
///
/// # Errors
/// What kept it from starting, and the cure.
pub async fn run(listen: SocketAddr, upstream: Option<String>) -> Result<(), Failure> {
    let random = Random::system();
    let upstream = match upstream {
        Some(upstream) => upstream,
        None => sample_app().await?,
    };
    let state = State::new(&random)?;
    let port = listen.port();
    let text = configuration(listen, &upstream, &state.0);
    let (loaded, _) = config::load_text(&text, &state.0.join("demo.toml"), &Environment::default())?;
    super::log::start(&loaded.log)?;
    let gateway =
        Gateway::start(&loaded, Inherited::default(), Some(inbox::router), Clock::system(), random).await?;
    announce(listen, port, &upstream);
    let failed = |error: std::io::Error| Failure::from(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(failed)?,
    }
    gateway.drain().await;
    Ok(())
}

fn announce(listen: SocketAddr, port: u16, upstream: &str) {
    println!("linkgate demo");
    println!();
    println!("  the app, behind the gateway   http://localhost:{port}/");
    println!("  letters, to be read here      http://localhost:{port}{PREFIX}/demo/inbox");
    println!("  the app itself                {upstream}");
    println!();
    println!("Open the first address, give any e-mail address, and find the letter at the second one.");
    println!("Stop with Ctrl-C; nothing is kept.");
    if inbox::is_public(listen.ip()) {
        println!();
        println!("{listen} can be reached from elsewhere, where anybody may ask for a link. The inbox");
        println!("answers this machine only. For real use: linkgate init");
    }
}

fn configuration(listen: SocketAddr, upstream: &str, state: &std::path::Path) -> String {
    let port = listen.port();
    let quoted = |text: &str| toml::Value::from(text).to_string();
    format!(
        "listen = [\"http://{listen}\"]\nstate_dir = {}\n[mail]\nfrom = \"Demo <login@example.com>\"\nurl = \"memory:\"\n\
         [monitor]\nlisten = \"\"\n[log]\nlevel = \"warn\"\naccess = false\n[[site]]\nname = \"demo\"\n\
         url = \"http://localhost:{port}\"\nupstream = {}\nallow = [\"*\"]\n[site.look]\ntitle = \"Linkgate demo\"\n",
        quoted(&state.to_string_lossy()),
        quoted(upstream),
    )
}

/// Starts the sample app on a free loopback port and says where.
async fn sample_app() -> Result<String, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::from(format!("the sample app cannot start: {error}"));
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(|e| failed(&e))?;
    let address = listener.local_addr().map_err(|e| failed(&e))?;
    let router = app::router(PREFIX).map_err(|e| failed(&e))?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service),
            );
        }
    });
    Ok(format!("http://{address}"))
}

/// A folder of the demo's own that goes with it.
struct State(PathBuf);

impl State {
    fn new(random: &Random) -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("linkgate-demo-{}", random.uuid()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Failure::from(format!("cannot make {}: {error}; set TMPDIR", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // Nothing in it outlives the demo; if it cannot be removed, the system's own cleaning will.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
