//! The names of all keys, and what lies under each. Each name carries a hash tag in braces (Redis Cluster specification),
//! so that what one script touches is in one slot. Never puts an address into a name: names show up in monitors.
//!
//! Hashes are in base64, those that only lead to a record are cut to 128 bits.
//!
//! | key, after the prefix | what | ends |
//! |---|---|---|
//! | `{l:<token hash>}` | HASH: a link, and its letter in fields that begin with `letter.` | seven days after the link |
//! | `{n:<link id>}`, `{m:<letter id>}` | the token hash, raw | soon after the link; without an end, four weeks after the last sweep that saw it |
//! | `{s:<session id>}` | HASH: a session; with a field `link` it counts only if that link says so | absolute end |
//! | `{e:<SHA-256 of the address>}:links`, `:sessions` | ZSET of raw token hashes, session ids | by itself |
//! | `{b:<nonce hash>}:links` | ZSET of raw token hashes: what this browser asked for | by itself |
//! | `{b:<nonce hash>}:codes` | HASH: tries and claims of this browser's codes | after the codes |
//! | `{f:<SHA-256 of site and address>}` | ZSET: wrong codes of a day | a day |
//! | `{t:<ticket hash>}` | a ticket, JSON | soon |
//! | `{i:00}` … `{i:63}`, `:links`, `:sessions` | ZSET of raw token hashes, session ids, by when to look at them next | sweep |
//! | `{letters}` | ZSET of raw token hashes by when to look at the letter next | letter by letter |
//! | `{audit}` | STREAM of what was done, in the order of the server's clock | a year |
//! | `{q:<SHA-256 of the bucket>}` | when a bucket is full again, microseconds | then |
//! | `{standing}:revoked` | ZSET of raw session ids by absolute end | sweep |
//! | `{standing}:people`, `:generations` | HASH by site, zero byte, address | never |
//! | `{standing}:import`, `:import.people` …, `{audit}:import` | an import that is under way, and what it has laid ready | with its end |
//! | `{standing}:swept` | that somebody has swept, or does | an hour |
//! | `{standing}:epochs`, `:fence`, `:version` | LIST newest first; two counters | never |
//! | `{standing}:pulse` | a moment, written where nothing else is, so that replicas confirm anew | never |
//! | `{standing}:version:notes` | ZSET of the last thousand changes, by version | change by change |
//!
//! An index is written before the record that it points to, so that a record is always found; an entry without a record
//! is passed over, and goes with the sweep.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::identity::EmailAddress;
use crate::identity::SessionId;

/// How many parts an index has, so that no key grows beyond what one server likes.
pub(super) const SHARDS: u8 = 64;

/// Between site and address: neither can hold it.
const BETWEEN: u8 = 0;

/// What an index over everything lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    Links,
    Sessions,
}

/// Makes the names.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    fn name(&self, tag: &str, rest: &str) -> String {
        format!("{}{{{tag}}}{rest}", self.prefix)
    }

    pub(super) fn link(&self, token_hash: &[u8; 32]) -> String {
        self.name(&format!("l:{}", whole(token_hash)), "")
    }

    /// From a link's public name to its token hash.
    pub(super) fn link_name(&self, id: &str) -> String {
        self.name(&format!("n:{}", short(&sha256(&[id.as_bytes()]))), "")
    }

    /// From a letter's public name to its link's token hash.
    pub(super) fn letter_name(&self, id: &str) -> String {
        self.name(&format!("m:{}", short(&sha256(&[id.as_bytes()]))), "")
    }

    pub(super) fn session(&self, id: &SessionId) -> String {
        self.name(&format!("s:{id}"), "")
    }

    pub(super) fn of_person(&self, email: &EmailAddress, index: Index) -> String {
        self.name(&format!("e:{}", short(&sha256(&[email.as_str().as_bytes()]))), index.suffix())
    }

    pub(super) fn of_browser(&self, nonce_hash: &[u8; 32]) -> String {
        self.name(&format!("b:{}", short(nonce_hash)), ":links")
    }

    pub(super) fn codes(&self, nonce_hash: &[u8; 32]) -> String {
        self.name(&format!("b:{}", short(nonce_hash)), ":codes")
    }

    pub(super) fn code_failures(&self, site: &str, email: &EmailAddress) -> String {
        self.name(&format!("f:{}", short(&sha256(&[&person(site, email)]))), "")
    }

    pub(super) fn ticket(&self, ticket_hash: &[u8; 32]) -> String {
        self.name(&format!("t:{}", whole(ticket_hash)), "")
    }

    pub(super) fn letters(&self) -> String {
        self.name("letters", "")
    }

    pub(super) fn audit(&self) -> String {
        self.name("audit", "")
    }

    /// Beside it: what an import has laid ready.
    pub(super) fn audit_to_come(&self) -> String {
        self.name("audit", ":import")
    }

    pub(super) fn bucket(&self, bucket: &str) -> String {
        self.name(&format!("q:{}", short(&sha256(&[bucket.as_bytes()]))), "")
    }

    /// The part of an index that `member` belongs to.
    pub(super) fn index_of(&self, index: Index, member: &[u8]) -> String {
        self.shard(index, member.first().copied().unwrap_or_default() % SHARDS)
    }

    pub(super) fn shard(&self, index: Index, number: u8) -> String {
        self.name(&format!("i:{number:02}"), index.suffix())
    }

    pub(super) fn standing(&self, what: &str) -> String {
        self.name("standing", &format!(":{what}"))
    }

    /// The channel on which every change of the standing is said.
    pub(super) fn changed(&self) -> String {
        format!("{}changed", self.prefix)
    }
}

impl Index {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Links => ":links",
            Self::Sessions => ":sessions",
        }
    }
}

/// The field of a person in the standing's hashes.
pub(super) fn person(site: &str, email: &EmailAddress) -> Vec<u8> {
    [site.as_bytes(), &[BETWEEN], email.as_str().as_bytes()].concat()
}

/// Site and address of such a field.
pub(super) fn person_of(field: &[u8]) -> Option<(String, EmailAddress)> {
    let (site, email) = std::str::from_utf8(field).ok()?.split_once(char::from(BETWEEN))?;
    Some((site.to_owned(), EmailAddress::parse(email).ok()?))
}

pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// All of a hash, for what is a secret's.
fn whole(hash: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(hash)
}

/// Half of a hash, for what only leads to records that are compared again: names take memory.
fn short(hash: &[u8; 32]) -> String {
    let (half, _) = hash.split_at(16);
    URL_SAFE_NO_PAD.encode(half)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Back again; `None`: it was not written by [`hex`].
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks(2).map(pair).collect()
}
