//! What an administrator has to set right before checks can be answered: each kind is said once a minute, with the line
//! to add. Never says who asked, or for what.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::clock::Timestamp;

const PAUSE: Duration = Duration::from_mins(1);

/// What is wrong with a setting, here or at the other proxy, and the line that cures it.
pub struct Cure {
    /// Complaints of one kind wait for each other.
    kind: &'static str,
    why: String,
    add: String,
}

impl Cure {
    /// Something that the other proxy does not say, or says wrongly. `kind` tells it from other complaints.
    pub(super) fn new(kind: &'static str, why: impl Into<String>, add: impl Into<String>) -> Self {
        Self { kind, why: why.into(), add: add.into() }
    }

    /// Somebody asks who may not.
    pub(super) fn peer(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self::new("peer", format!("{ip} asks, and is not trusted"), format!("trusted_proxies = [\"{ip}\"]"))
    }

    /// The same on a Unix socket.
    pub(super) fn unix_peer() -> Self {
        Self::new(
            "unix peer",
            "somebody on the Unix socket asks, and is not trusted",
            "trusted_proxies = [\"unix\"]",
        )
    }
}

/// When each kind of complaint was last made; one for all workers.
#[derive(Default)]
pub struct Complaints(Mutex<Vec<(&'static str, Timestamp)>>);

impl Complaints {
    /// Makes it, unless it was made within the last minute.
    pub(super) fn say(&self, cure: &Cure, now: Timestamp, reference: &str) {
        if self.is_due(cure.kind, now) {
            let Cure { why, add, .. } = cure;
            tracing::warn!(reference, "a check is refused: {why}; add: {add}");
        }
    }

    fn is_due(&self, kind: &'static str, now: Timestamp) -> bool {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match made.iter_mut().find(|(known, _)| *known == kind) {
            None => made.push((kind, now)),
            // A clock that was set back does not silence it.
            Some((_, at)) if now < *at || now >= *at + PAUSE => *at = now,
            Some(_) => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_is_heard_once_a_minute_and_no_other_is_silenced_by_it() {
        let complaints = Complaints::default();
        let at = Timestamp::from_seconds;
        for (kind, second, due) in [
            ("peer", 100, true),
            ("peer", 101, false),
            ("uri", 101, true),
            ("peer", 159, false),
            ("peer", 160, true),
            ("peer", 219, false),
            ("peer", 50, true),
            ("peer", 51, false),
        ] {
            assert_eq!(complaints.is_due(kind, at(second)), due, "{kind} {second}");
        }
    }

    #[test]
    fn a_peer_is_named_as_the_configuration_spells_it() {
        let cure = Cure::peer("::ffff:192.0.2.7".parse().unwrap());
        assert_eq!(cure.add, "trusted_proxies = [\"192.0.2.7\"]");
    }
}
