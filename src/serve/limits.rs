//! How much one server, one client and one connection may use, and the count of what was refused.
//! Never asks who a client is: addresses only.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Notify;

use super::Peer;
use crate::gate;
use crate::gate::Trust;

/// Sizes, counts and time-outs of connections.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most bytes a request's head may have.
    pub max_header_bytes: usize,
    /// The most header lines a request may have.
    pub max_headers: usize,
    /// How long a TLS handshake, or a request's head, may take to arrive.
    pub header_timeout: Duration,
    /// How long an answer may be stuck in sending, or a body of announced length in arriving, without progress.
    pub body_timeout: Duration,
    /// How long a connection may be open without a request.
    pub idle_timeout: Duration,
    /// After this age a connection is asked to end once its running requests are done.
    pub connection_age: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one client: an IPv4 address, an IPv6 /64.
    pub connections_per_client: usize,
    /// Concurrent HTTP/2 streams of one connection.
    pub h2_streams: u32,
    /// Peers to which the limit per client does not apply: proxies in front, which speak for many.
    pub exempt: Vec<IpNet>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_bytes: 64 * 1024,
            max_headers: 100,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            connection_age: Duration::from_hours(1),
            connections: 10_000,
            connections_per_client: 200,
            h2_streams: 100,
            exempt: Vec::new(),
        }
    }
}

/// What happened on connections since the start; only ever grows.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections taken in.
    pub accepted: AtomicU64,
    /// Connections closed at once because there were too many in all.
    pub refused_total: AtomicU64,
    /// Connections closed at once because their client had too many.
    pub refused_client: AtomicU64,
    /// TLS handshakes that failed; those cut for their slowness count as timed out.
    pub handshakes_failed: AtomicU64,
    /// Connections closed at once because their peer must speak the PROXY protocol and did not.
    pub announcements_refused: AtomicU64,
    /// Connections cut by a time-out, and HTTP/2 answers that were not taken in time.
    pub timed_out: AtomicU64,
    /// Times that an idle connection gave back what it needs for requests.
    pub parked: AtomicU64,
    /// Requests refused for their framing.
    pub bad_requests: AtomicU64,
    /// Panics caught; each is a bug.
    pub panics: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What all workers share: the limits, who is connected, the counters.
#[derive(Debug)]
pub(super) struct Shared {
    pub limits: Limits,
    pub counters: Counters,
    /// Who speaks the PROXY protocol.
    announcers: Trust,
    total: AtomicUsize,
    clients: Mutex<HashMap<IpAddr, usize>>,
    draining: AtomicBool,
}

impl Shared {
    pub fn new(limits: Limits, announcers: Trust) -> Self {
        Self {
            limits,
            counters: Counters::default(),
            announcers,
            total: AtomicUsize::new(0),
            clients: Mutex::default(),
            draining: AtomicBool::new(false),
        }
    }

    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether this peer must say for whom it connects.
    pub fn announces(&self, peer: Peer) -> bool {
        self.announcers.covers(match peer {
            Peer::Ip(address) => gate::Peer::Ip(address),
            Peer::Unix => gate::Peer::Unix,
        })
    }

    /// Takes in one connection; `None` is a refusal, already counted. Who announces visitors is bound by the total
    /// only, each visitor by its own limit: [`Permit::for_client`].
    pub fn admit(self: &Arc<Self>, peer: Peer, live: &Arc<Live>) -> Option<Permit> {
        if self.total.fetch_add(1, Ordering::AcqRel) >= self.limits.connections {
            self.total.fetch_sub(1, Ordering::AcqRel);
            count(&self.counters.refused_total);
            return None;
        }
        live.open.fetch_add(1, Ordering::AcqRel);
        let permit = Permit { shared: Arc::clone(self), live: Arc::clone(live), client: None };
        let permit = match peer {
            Peer::Ip(address) if !self.announces(peer) => permit.for_client(address.ip())?,
            Peer::Ip(_) | Peer::Unix => permit,
        };
        count(&self.counters.accepted);
        Some(permit)
    }

    fn is_exempt(&self, ip: &IpAddr) -> bool {
        self.limits.exempt.iter().any(|net| net.contains(ip))
    }

    fn enter(&self, client: IpAddr) -> bool {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let open = clients.entry(client).or_insert(0);
        let room = *open < self.limits.connections_per_client;
        if room {
            *open += 1;
        } else if *open == 0 {
            clients.remove(&client);
        }
        room
    }

    fn leave(&self, client: IpAddr) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = clients.get_mut(&client) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                clients.remove(&client);
            }
        }
    }
}

/// IPv6 clients own a /64: the lower half is theirs to change at will.
fn client_key(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

/// One worker's open sockets, tunnels included.
#[derive(Debug, Default)]
pub(super) struct Live {
    open: AtomicUsize,
    emptied: Notify,
}

impl Live {
    pub fn count(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Returns once no socket is open.
    pub async fn empty(&self) {
        while self.count() > 0 {
            self.emptied.notified().await;
        }
    }
}

/// The right to be connected; held by the socket itself, so that a tunnel counts until it ends.
#[derive(Debug)]
pub(super) struct Permit {
    shared: Arc<Shared>,
    live: Arc<Live>,
    client: Option<IpAddr>,
}

impl Permit {
    /// Counts the connection as this client's; `None` is a refusal, already counted.
    pub fn for_client(mut self, ip: IpAddr) -> Option<Self> {
        let ip = ip.to_canonical();
        if self.client.is_some() || self.shared.is_exempt(&ip) {
            return Some(self);
        }
        let client = client_key(ip);
        if !self.shared.enter(client) {
            count(&self.shared.counters.refused_client);
            return None;
        }
        self.client = Some(client);
        Some(self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.total.fetch_sub(1, Ordering::AcqRel);
        if let Some(client) = self.client {
            self.shared.leave(client);
        }
        if self.live.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.live.emptied.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn shared(connections: usize, per_client: usize) -> Arc<Shared> {
        let exempt = vec!["10.0.0.0/8".parse().unwrap()];
        let limits = Limits { connections, connections_per_client: per_client, exempt, ..Limits::default() };
        Arc::new(Shared::new(limits, Trust::default()))
    }

    fn admit(shared: &Arc<Shared>, peer: &str, live: &Arc<Live>) -> Option<Permit> {
        shared.admit(Peer::Ip(SocketAddr::new(peer.parse().unwrap(), 1)), live)
    }

    #[test]
    fn a_client_over_its_limit_is_refused_until_a_connection_of_its_own_ends() {
        let (shared, live) = (shared(10, 1), Arc::default());
        let first = admit(&shared, "192.0.2.1", &live).unwrap();
        assert!(admit(&shared, "::ffff:192.0.2.1", &live).is_none(), "the mapped form is the same client");
        assert!(admit(&shared, "192.0.2.2", &live).is_some());
        drop(first);
        assert!(admit(&shared, "192.0.2.1", &live).is_some());
        assert_eq!(shared.counters.refused_client.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let (shared, live) = (shared(10, 1), Arc::default());
        let _first = admit(&shared, "2001:db8::1", &live).unwrap();
        assert!(admit(&shared, "2001:db8::ffff:1", &live).is_none());
        assert!(admit(&shared, "2001:db8:0:1::1", &live).is_some());
    }

    #[test]
    fn a_trusted_proxy_is_bound_by_the_total_only() {
        let (shared, live) = (shared(2, 1), Arc::default());
        let _held = [admit(&shared, "10.1.1.1", &live).unwrap(), admit(&shared, "10.1.1.1", &live).unwrap()];
        assert!(admit(&shared, "10.1.1.1", &live).is_none());
        assert_eq!(shared.counters.refused_total.load(Ordering::Relaxed), 1);
        assert_eq!(live.count(), 2);
    }

    #[test]
    fn nothing_is_remembered_of_clients_that_left() {
        let (shared, live) = (shared(2, 1), Arc::default());
        drop(admit(&shared, "192.0.2.1", &live));
        assert!(shared.clients.lock().unwrap().is_empty());
        assert_eq!(shared.total.load(Ordering::Relaxed), 0);
    }
}
