//! Tells systemd how the service is doing (`sd_notify(3)`), and keeps its watchdog content while workers answer.
//! Never reads the environment: `config` passes on `NOTIFY_SOCKET` and `WATCHDOG_USEC`.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

use super::Handle;
use super::Server;

/// A line to the service manager; without one, every message goes nowhere.
#[derive(Debug, Default)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// Connects to the socket that `NOTIFY_SOCKET` names; `None` when not run by a service manager.
    ///
    /// # Errors
    ///
    /// When there is a name but no socket behind it.
    pub fn connect(socket: Option<&OsStr>) -> io::Result<Self> {
        let Some(name) = socket else { return Ok(Self(None)) };
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let line = UnixDatagram::unbound()?;
        line.set_nonblocking(true)?;
        line.connect_addr(&address)?;
        Ok(Self(Some(line)))
    }

    /// Started, or reloaded: requests are served.
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(one_line(status))]);
    }

    /// A reload begins; [`Notifier::ready`] must follow, whether it worked or not.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read; systemd is not told"),
        }
    }

    /// The service stops.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// One line for `systemctl status`, without addresses and secrets.
    pub fn status(&self, text: &str) {
        self.send(&[NotifyState::Status(one_line(text))]);
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(line) = &self.0 else { return };
        let mut message = states.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        message.push('\n');
        if let Err(error) = line.send(message.as_bytes()) {
            tracing::warn!(%error, "the service manager cannot be told how the service is doing");
        }
    }
}

/// A line break would begin another assignment.
fn one_line(text: &str) -> &str {
    text.split(['\n', '\r']).next().unwrap_or_default()
}

/// Twice within `period` (`WATCHDOG_USEC`), tells the watchdog that all is well, but only when every worker answers.
/// Runs until dropped.
pub async fn watchdog<H: Handle>(notifier: &Notifier, period: Duration, server: &Server<H>) {
    let half = period / 2;
    if half.is_zero() {
        return std::future::pending().await;
    }
    let mut beat = tokio::time::interval(half);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if server.alive(half).await {
            notifier.send(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("a worker does not answer; the watchdog is not told that all is well");
        }
    }
}
