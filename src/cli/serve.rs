//! `linkgate serve`: runs until it is told to stop. SIGHUP reloads, SIGTERM and SIGINT drain.

use std::path::Path;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use super::gateway::Gateway;
use crate::clock::Clock;
use crate::config;
use crate::config::Environment;
use crate::random::Random;
use crate::serve::Inherited;
use crate::serve::Notifier;
use crate::serve::watchdog;

/// Runs the gateway with the configuration in `file`.
///
/// # Errors
/// What kept it from starting, and the cure.
pub async fn run(file: &Path, environment: &Environment) -> Result<(), super::Failure> {
    let loaded = config::load(file, environment)?;
    super::log::start(&loaded.log)?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let notifier = Notifier::connect(environment.notify_socket.as_deref())
        .map_err(|error| format!("NOTIFY_SOCKET cannot be reached: {error}"))?;
    let inherited = Inherited::take(&environment.socket_names).map_err(|error| error.to_string())?;
    let gateway = Gateway::start(&loaded, inherited, None, Clock::system(), Random::system()).await?;
    for address in gateway.server().local_addrs() {
        tracing::info!(%address, "listening");
    }
    notifier.ready("serving");
    {
        let period = environment.watchdog.unwrap_or_default();
        let watchdog = std::pin::pin!(watchdog(&notifier, period, gateway.server()));
        let orders = async {
            loop {
                tokio::select! {
                    _ = hangup.recv() => {
                        notifier.reloading();
                        reload(&gateway, file, environment).await;
                        notifier.ready("serving");
                    }
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                }
            }
        };
        tokio::select! { () = orders => {} () = watchdog => {} }
    }
    tracing::info!("stopping: open requests may finish");
    notifier.stopping();
    gateway.drain().await;
    Ok(())
}

/// All or nothing: a failing file keeps the old configuration and says why.
async fn reload(gateway: &Gateway, file: &Path, environment: &Environment) {
    let outcome = match config::load(file, environment) {
        Ok(loaded) => match super::check::unmet(&loaded) {
            None => gateway.reload(&loaded).await,
            Some(unmet) => Err(unmet),
        },
        Err(mistakes) => Err(mistakes.to_string()),
    };
    match outcome {
        Ok(()) => tracing::info!("reloaded"),
        Err(why) => tracing::error!("not reloaded, the old configuration stays: {why}"),
    }
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal, super::Failure> {
    signal(kind).map_err(|error| super::Failure::from(format!("cannot listen for signals: {error}")))
}
