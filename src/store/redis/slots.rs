//! Redis Cluster: which slot a key is in (Cluster specification, "Key distribution model"), and who holds it.

use ::redis::Value;

use super::address::Place;
use super::values;
use crate::store::StoreError;

const SLOTS: u16 = 16384;

/// The slot of a key: of what is between its first braces, where there is something.
pub(super) fn slot(key: &[u8]) -> u16 {
    crc16(tag(key).unwrap_or(key)) % SLOTS
}

fn tag(key: &[u8]) -> Option<&[u8]> {
    let from = key.iter().position(|byte| *byte == b'{')? + 1;
    let rest = key.get(from..)?;
    let to = rest.iter().position(|byte| *byte == b'}')?;
    rest.get(..to).filter(|tag| !tag.is_empty())
}

/// CRC16, polynomial 1021 (XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    let mut crc: u16 = 0;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc
}

/// Who is the master of which slots.
#[derive(Debug)]
pub(super) struct SlotMap(Vec<(u16, u16, Place)>);

impl SlotMap {
    /// From what `CLUSTER SLOTS` answers at `asked`: a node without an address of its own is the one that was asked.
    pub(super) fn read(value: Value, asked: &Place) -> Result<Self, StoreError> {
        let mut ranges = Vec::new();
        for range in values::list(value)? {
            let mut parts = values::list(range)?.into_iter();
            let mut bound = || parts.next().and_then(|part| values::number(&part).ok().flatten());
            let (first, last) = (bound(), bound());
            let master = parts.next().map(values::list).transpose()?.unwrap_or_default();
            let mut node = master.into_iter();
            let host = node.next().map(values::text).transpose()?.unwrap_or_default();
            let port = node.next().and_then(|port| values::number(&port).ok().flatten());
            let (Some(first), Some(last), Some(port)) = (small(first), small(last), small(port)) else {
                return Err(values::corrupt("a slot map"));
            };
            ranges.push((first, last, node_at(&host, port, asked)));
        }
        Ok(Self(ranges))
    }

    pub(super) fn place(&self, slot: u16) -> Option<&Place> {
        self.0.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, place)| place)
    }

    /// Every master, once.
    pub(super) fn places(&self) -> Vec<&Place> {
        let mut places: Vec<&Place> = Vec::new();
        for (_, _, place) in &self.0 {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whom `MOVED` and `ASK` of the node at `asked` name: the slot, a space, host and port. IPv6 is not in brackets.
pub(super) fn sent_to(text: &str, asked: &Place) -> Option<Place> {
    let (host, port) = text.rsplit_once(' ')?.1.rsplit_once(':')?;
    Some(node_at(host, port.parse().ok()?, asked))
}

/// A node without an address of its own is where the one is that speaks of it.
fn node_at(host: &str, port: u16, asked: &Place) -> Place {
    match (host, asked) {
        ("" | "?", Place::Tcp(host, _)) => Place::Tcp(host.clone(), port),
        _ => Place::Tcp(host.to_owned(), port),
    }
}

fn small(number: Option<i64>) -> Option<u16> {
    number.and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_sent_on_finds_a_node_that_does_not_know_its_own_address() {
        let at = |host: &str, port| Place::Tcp(host.to_owned(), port);
        for (text, node) in [
            ("3999 192.0.2.1:6381", Some(at("192.0.2.1", 6381))),
            ("3999 :6381", Some(at("node", 6381))),
            ("3999 ?:6381", Some(at("node", 6381))),
            ("3999 2001:db8::1:6381", Some(at("2001:db8::1", 6381))),
            ("3999 redis.example.com:6381", Some(at("redis.example.com", 6381))),
            ("3999 192.0.2.1:x", None),
            ("3999", None),
        ] {
            assert_eq!(sent_to(text, &at("node", 7000)), node, "{text}");
        }
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot(b"123456789"), 12739);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), crc16(b"{bar") % SLOTS);
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
    }
}
