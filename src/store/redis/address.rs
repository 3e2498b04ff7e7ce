//! From `store.url` to which servers there are. Asks no network; every complaint says the cure.

use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// One server's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How the servers hang together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    Single(Place),
    /// The sentinels know which server is the master of this name.
    Sentinel {
        sentinels: Vec<Place>,
        name: String,
    },
    /// Some of its nodes; they know the others.
    Cluster(Vec<Place>),
}

/// What `store.url` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) topology: Topology,
    pub(super) tls: bool,
    pub(super) database: i64,
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        if let "redis+unix" | "unix" = scheme {
            return unix(rest);
        }
        if rest.contains('@') {
            return Err(bad("a password does not belong there: use `user` and `password_file`"));
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (true, kind),
            None => (false, scheme.strip_prefix("redis").ok_or_else(|| bad("its scheme is unknown"))?),
        };
        let places = |port| hosts.split(',').map(|host| tcp(host, port)).collect::<Result<Vec<_>, _>>();
        let mut database = 0;
        let topology = match kind {
            "" => {
                database = number(path)?;
                Topology::Single(tcp(hosts, PORT)?)
            }
            "+sentinel" => {
                let (name, db) = path.split_once('/').unwrap_or((path, ""));
                database = number(db)?;
                if name.is_empty() {
                    return Err(bad("the name of the master is missing: redis+sentinel://host,host/name"));
                }
                let mut sentinels: Vec<Place> = Vec::new();
                for sentinel in places(SENTINEL_PORT)? {
                    // Each has one voice.
                    if !sentinels.contains(&sentinel) {
                        sentinels.push(sentinel);
                    }
                }
                Topology::Sentinel { sentinels, name: name.to_owned() }
            }
            "+cluster" if path.is_empty() => Topology::Cluster(places(PORT)?),
            "+cluster" => return Err(bad("a Cluster has one database only: leave the number out")),
            _ => return Err(bad("its scheme is unknown")),
        };
        Ok(Self { topology, tls, database })
    }
}

/// `/path`, `/path?db=2`.
fn unix(rest: &str) -> Result<Address, StoreError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let database = match query {
        "" => 0,
        query => number(query.strip_prefix("db=").ok_or_else(|| bad("only `db=` may follow a socket"))?)?,
    };
    if !Path::new(path).is_absolute() {
        return Err(bad("the path of a socket begins with a slash: redis+unix:///run/redis.sock"));
    }
    Ok(Address { topology: Topology::Single(Place::Unix(path.into())), tls: false, database })
}

fn number(text: &str) -> Result<i64, StoreError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().ok().filter(|number| *number >= 0).ok_or_else(|| bad("its database is not a number"))
}

/// `host`, `host:port`, `[::1]:port`.
pub(super) fn tcp(text: &str, port: u16) -> Result<Place, StoreError> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (text, port),
        Some((host, given)) if !given.ends_with(']') => {
            (host, given.parse().map_err(|_| bad("a port is not a number"))?)
        }
        _ => (text, port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(bad("a host is missing"));
    }
    Ok(Place::Tcp(host.to_owned(), port))
}

fn bad(why: &str) -> StoreError {
    StoreError::Invalid(format!(
        "`store.url` cannot be used: {why}; examples: redis://localhost:6379/0, rediss://redis.example.com, \
         redis+unix:///run/redis/redis.sock, redis+sentinel://a,b,c/name, redis+cluster://a,b,c"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Place {
        Place::Tcp(host.to_owned(), port)
    }

    #[test]
    fn each_kind_of_address_is_understood() {
        let single = Address::parse("redis://localhost:7000/2").unwrap();
        assert_eq!(
            (single.topology, single.tls, single.database),
            (Topology::Single(at("localhost", 7000)), false, 2)
        );
        let tls = Address::parse("rediss://[::1]").unwrap();
        assert_eq!((tls.topology, tls.tls), (Topology::Single(at("::1", 6379)), true));
        let unix = Address::parse("redis+unix:///run/r.sock?db=3").unwrap();
        assert_eq!((unix.topology, unix.database), (Topology::Single(Place::Unix("/run/r.sock".into())), 3));
        let sentinel = Address::parse("rediss+sentinel://a,b:7,[::2]:9/main/1").unwrap();
        let sentinels = vec![at("a", 26379), at("b", 7), at("::2", 9)];
        assert_eq!(sentinel.topology, Topology::Sentinel { sentinels, name: "main".into() });
        assert_eq!((sentinel.tls, sentinel.database), (true, 1));
        let cluster = Address::parse("redis+cluster://a,b:1").unwrap();
        assert_eq!(cluster.topology, Topology::Cluster(vec![at("a", 6379), at("b", 1)]));
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_with_the_cure() {
        for (url, said) in [
            ("localhost", "no scheme"),
            ("http://a", "unknown"),
            ("redis+ring://a", "unknown"),
            ("redis://u:p@a", "password_file"),
            ("redis://a:x", "port"),
            ("redis://a/x", "number"),
            ("redis://", "host is missing"),
            ("redis+sentinel://a", "name of the master"),
            ("redis+cluster://a/1", "one database"),
            ("redis+unix://run/r.sock", "slash"),
            ("redis+unix:///r?x=1", "db="),
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("store.url"), "{url}: {error}");
        }
    }
}
