//! Why the server cannot start or take over a configuration. Every text names the thing at fault and the cure.

use std::fmt;
use std::io;

use super::tls::TlsError;

/// Why a start or a swap failed; the fault is ours or the machine's, never a visitor's.
#[derive(Debug)]
pub enum ServeError {
    /// Another program, or another linkgate, has this address.
    InUse(String),
    /// The operating system does not let us have this address.
    NotAllowed(String),
    /// This address cannot be listened on for another reason.
    Listen(String, io::Error),
    /// There is something at the path of a Unix socket that is not a socket.
    NotASocket(String),
    /// The group for a Unix socket does not exist.
    NoSuchGroup(String),
    /// systemd handed over no socket of this name; the second part lists those it did.
    NotInherited(String, String),
    /// An https listener without a certificate.
    NoCertificate,
    /// New certificates for a server that has no TLS at all.
    NoTlsListener,
    /// Certificates that cannot be used.
    Tls(TlsError),
    /// A worker thread could not be started.
    Worker(io::Error),
    /// A worker did not take over the new configuration in time.
    Stuck,
    /// Nothing to listen on.
    Nothing,
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(at) => write!(
                f,
                "{at} is already in use: stop the program that has it (perhaps another linkgate; \
                 `ss -lptn` shows it), or choose another address in `listen`"
            ),
            Self::NotAllowed(at) => write!(
                f,
                "not allowed to listen on {at}: use a port above 1023, let systemd open the socket \
                 (`systemd:NAME`), or give the service CAP_NET_BIND_SERVICE"
            ),
            Self::Listen(at, why) => {
                write!(f, "cannot listen on {at}: {why}; check that the address is one of this machine's")
            }
            Self::NotASocket(path) => {
                write!(f, "{path} exists and is not a socket: remove it, or choose another path in `listen`")
            }
            Self::NoSuchGroup(group) => {
                write!(f, "there is no group {group}: create it, or change `group=` in `listen`")
            }
            Self::NotInherited(name, given) => write!(
                f,
                "systemd handed over no socket named {name} (it gave: {given}): set FileDescriptorName={name} \
                 in the .socket unit and start that unit first"
            ),
            Self::NoCertificate => {
                write!(f, "an https listener needs a certificate: set `tls.certificate` and `tls.key`")
            }
            Self::NoTlsListener => {
                write!(f, "certificates were added to a server started without TLS: restart linkgate")
            }
            Self::Tls(why) => why.fmt(f),
            Self::Worker(why) => {
                write!(f, "cannot start a worker thread: {why}; check TasksMax and the memory limit")
            }
            Self::Stuck => write!(
                f,
                "a worker did not take over the new configuration in time: restart linkgate and report this"
            ),
            Self::Nothing => write!(f, "nothing to listen on: add an address to `listen`"),
        }
    }
}

impl std::error::Error for ServeError {}
