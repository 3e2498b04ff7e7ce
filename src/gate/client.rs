//! Who is on the other end: the visitor's address and scheme, by word of trusted peers only. Nobody is trusted
//! unless configured (CVE-2026-40575, CVE-2026-76835), and the left-most hop is never believed by itself.

use std::net::IpAddr;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderName;
use ipnet::IpNet;

/// Whose forwarding headers are believed. The default is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Networks and single addresses.
    pub networks: Vec<IpNet>,
    /// Loopback, private and link-local addresses.
    pub private: bool,
    /// Peers on a Unix socket.
    pub unix: bool,
}

impl Trust {
    /// Whether this peer is believed.
    #[must_use]
    pub fn covers(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => self.unix,
            Peer::Ip(address) => self.covers_ip(address.ip().to_canonical()),
        }
    }

    fn covers_ip(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip)) || (self.private && is_private(ip))
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// TCP.
    Ip(SocketAddr),
    /// A Unix socket: without an address.
    Unix,
}

/// One accepted connection, as far as requests need to know.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Who connected.
    pub peer: Peer,
    /// The port that it came in by; 0 for a Unix socket.
    pub local_port: u16,
    /// TLS ended here.
    pub secure: bool,
}

/// The visitor, after trusted hops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The right-most address that no trusted peer vouches away.
    pub ip: IpAddr,
    /// Whether `ip` may decide a `clients` rule.
    pub certain: bool,
    /// The visitor's connection is https.
    pub secure: bool,
    /// What trusted peers said of the way so far, to be extended; `None` where there is nothing to believe.
    pub chain: Option<String>,
    /// `X-Forwarded-Host` of a trusted peer.
    pub host: Option<String>,
    /// The peer sent forwarding headers and is not trusted: worth telling the administrator.
    pub unbelieved: bool,
}

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Reads the forwarding headers of one request.
///
/// # Errors
/// A trusted peer sent something that is no address, scheme or host: a doubt, so the request is refused.
pub fn client(trust: &Trust, connection: Connection, headers: &HeaderMap) -> Result<Client, &'static str> {
    let peer_ip = match connection.peer {
        Peer::Ip(address) => address.ip().to_canonical(),
        Peer::Unix => IpAddr::from([127, 0, 0, 1]),
    };
    let mut client = Client {
        ip: peer_ip,
        certain: connection.peer != Peer::Unix,
        secure: connection.secure,
        chain: None,
        host: None,
        unbelieved: false,
    };
    if !trust.covers(connection.peer) {
        client.unbelieved = headers.keys().any(|name| is_forwarding(name.as_str()));
        client.certain &= !client.unbelieved;
        return Ok(client);
    }
    let chain = joined(headers, &FOR)?;
    // A trusted proxy that does not say for whom it asks: its own address is nobody's.
    client.certain = !chain.is_empty();
    if !chain.is_empty() {
        let (ip, from_there) = right_most_untrusted(trust, &chain)?;
        client.ip = ip;
        // What stands further left is the visitor's own word: apps that believe the left-most hop must not see it.
        client.chain = Some(from_there.to_owned());
    }
    if let Some(proto) = single(headers, &PROTO)? {
        client.secure = match proto.to_ascii_lowercase().as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err("X-Forwarded-Proto of a trusted proxy is neither http nor https"),
        };
    }
    client.host = single(headers, &HOST)?.map(str::to_owned);
    Ok(client)
}

/// Names by which visitors pretend to come from elsewhere, however they are spelled.
fn is_forwarding(name: &str) -> bool {
    // The first letters of the names below.
    if !name.as_bytes().first().is_some_and(|first| b"cftx".contains(&first.to_ascii_lowercase())) {
        return false;
    }
    let fold = |b: u8| if b.is_ascii_alphanumeric() { b.to_ascii_lowercase() } else { b'-' };
    let is = |known: &[u8]| name.len() == known.len() && name.bytes().map(fold).eq(known.iter().copied());
    let starts = |known: &[u8]| {
        name.len() >= known.len() && name.bytes().map(fold).take(known.len()).eq(known.iter().copied())
    };
    is(b"forwarded")
        || starts(b"x-forwarded-")
        || is(b"x-real-ip")
        || is(b"x-client-ip")
        || is(b"true-client-ip")
        || is(b"cf-connecting-ip")
        || is(b"client-ip")
        || is(b"x-cluster-client-ip")
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<String, &'static str> {
    let mut text = String::new();
    for value in headers.get_all(name) {
        let value = value.to_str().map_err(|_| "X-Forwarded-For of a trusted proxy is not text")?;
        if !text.is_empty() && !value.is_empty() {
            text.push_str(", ");
        }
        text.push_str(value.trim());
    }
    Ok(text)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err("a trusted proxy sent a forwarding header twice");
    }
    let text =
        first.map(|value| value.to_str().map_err(|_| "a forwarding header of a trusted proxy is not text"));
    match text.transpose()? {
        Some(text) if text.contains(',') => Err("a forwarding header of a trusted proxy holds a list"),
        other => Ok(other.map(str::trim).filter(|text| !text.is_empty())),
    }
}

/// The visitor, and the chain from there on.
fn right_most_untrusted<'a>(trust: &Trust, chain: &'a str) -> Result<(IpAddr, &'a str), &'static str> {
    let mut last = None;
    let mut start = chain.len();
    for hop in chain.rsplit(',') {
        start = start.saturating_sub(hop.len());
        let ip = parse_hop(hop.trim())
            .ok_or("X-Forwarded-For of a trusted proxy holds something that is no address")?;
        last = Some((ip, chain.get(start..).unwrap_or_default().trim()));
        if !trust.covers_ip(ip) {
            break;
        }
        // The comma in front.
        start = start.saturating_sub(1);
    }
    last.ok_or("X-Forwarded-For of a trusted proxy is empty")
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]`, `[::1]:567`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let ip = hop
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(ip.to_canonical())
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(trusted: &[&str], peer: &str, headers: &[(&'static str, &str)]) -> Result<Client, &'static str> {
        let trust = Trust {
            networks: trusted.iter().map(|n| n.parse().unwrap()).collect(),
            private: false,
            unix: false,
        };
        let peer = Peer::Ip(SocketAddr::new(peer.parse().unwrap(), 1));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        client(&trust, Connection { peer, local_port: 80, secure: false }, &map)
    }

    #[test]
    fn nobody_is_believed_by_default() {
        let told = ask(
            &[],
            "127.0.0.1",
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.example"),
            ],
        )
        .unwrap();
        assert_eq!(
            (told.ip.to_string().as_str(), told.secure, told.certain, told.host),
            ("127.0.0.1", false, false, None)
        );
        for spelling in ["x_forwarded_for", "X-Real-IP", "forwarded", "x_real_ip"] {
            assert!(!ask(&[], "9.9.9.9", &[(spelling, "1.2.3.4")]).unwrap().certain, "{spelling}");
        }
    }

    #[test]
    fn the_right_most_untrusted_hop_is_the_visitor() {
        let told = ask(
            &["10.0.0.0/8"],
            "10.0.0.1",
            &[("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.0.0.9")],
        )
        .unwrap();
        assert_eq!(told.ip.to_string(), "1.2.3.4");
        assert!(told.certain);
        assert_eq!(told.chain.as_deref(), Some("1.2.3.4, 10.0.0.9"), "the forged hop ends here");
        let near = ask(&["10.0.0.0/8"], "10.0.0.1", &[("x-forwarded-for", "10.0.0.7,10.0.0.9")]).unwrap();
        assert_eq!(
            (near.ip.to_string().as_str(), near.chain.as_deref()),
            ("10.0.0.7", Some("10.0.0.7,10.0.0.9"))
        );
        assert_eq!(
            ask(&["10.0.0.0/8"], "10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:44")])
                .unwrap()
                .ip
                .to_string(),
            "2001:db8::1"
        );
        assert_eq!(
            ask(&["10.0.0.0/8"], "::ffff:10.0.0.1", &[("x-forwarded-for", "1.2.3.4")])
                .unwrap()
                .ip
                .to_string(),
            "1.2.3.4"
        );
    }

    #[test]
    fn a_trusted_proxy_that_names_nobody_decides_no_client_rule() {
        let told = ask(&["10.0.0.0/8"], "10.0.0.1", &[("x-forwarded-proto", "https")]).unwrap();
        assert_eq!((told.certain, told.secure), (false, true));
    }

    #[test]
    fn nonsense_from_a_trusted_peer_is_refused() {
        for (name, value) in [
            ("x-forwarded-for", "unknown"),
            ("x-forwarded-for", "1.2.3.4, "),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "a.example, b.example"),
        ] {
            assert!(ask(&["10.0.0.1/32"], "10.0.0.1", &[(name, value)]).is_err(), "{name}: {value}");
        }
    }
}
