//! Where the store is, one kind each. Checks nothing: the backend says what it cannot use, with the cure.

use std::path::PathBuf;
use std::time::Duration;

use super::ServiceAddress;
use crate::secret::Secret;

/// Where the store is.
#[derive(Clone, Debug)]
pub enum Settings {
    /// One machine.
    Sqlite {
        /// The file; made (mode 0600) when absent. Its folder must exist.
        path: PathBuf,
    },
    /// Any number of machines that share one Redis or Valkey.
    Redis(RedisSettings),
    /// The organisation's own token service, beside a ledger of one machine.
    Http(HttpSettings),
}

/// Which Redis, and how to come in.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `redis://host:port/db`, `rediss://…`, `redis+unix:///path?db=0`, `redis+sentinel://a,b,c/name`,
    /// `redis+cluster://a,b,c`; `rediss+sentinel` and `rediss+cluster` with TLS. Holds no password.
    pub url: String,
    /// ACL user; empty: the default user.
    pub user: String,
    /// `None`: Redis asks for none.
    pub password: Option<Secret<String>>,
    /// PEM of the authority that signed Redis's certificate; `None`: the machine's authorities.
    pub ca: Option<PathBuf>,
    /// Before every key, so that others may use the same Redis. No braces.
    pub prefix: String,
    /// The longest that anything waits for Redis.
    pub timeout: Duration,
    /// Who must have a redemption or a revocation before it counts.
    pub replicas: Replicas,
}

/// Where the token service is, and how it knows us.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Its address.
    pub address: ServiceAddress,
    /// The bearer token.
    pub token: Secret<String>,
    /// PEM of the authority that signed its certificate; `None`: the machine's authorities.
    pub ca: Option<PathBuf>,
    /// The longest that anything waits for the service.
    pub timeout: Duration,
    /// The ledger, a SQLite file; made (mode 0600) when absent. Its folder must exist.
    pub path: PathBuf,
}

/// How many replicas confirm what must not be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// One, behind Sentinel and in a Cluster; at a single server one where it has replicas, none where it has none.
    Auto,
    /// So many, always.
    AtLeast(u32),
}
