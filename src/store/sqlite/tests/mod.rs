//! What the contract promises, tried on real files.

mod file;
mod letters;
mod links;
mod people;
mod transfer;

use std::time::Duration;

use tempfile::TempDir;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::random::Random;
use crate::store::{MadeBy, NewLetter, NewLink, Redeemer, Settings, Store, StoreError};

/// A store in a folder of its own, and a clock to move.
struct Bench {
    folder: TempDir,
    clock: Clock,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
        let store = open(&folder, &clock).unwrap();
        Self { folder, clock, store }
    }

    /// Another handle on the same file, as the command line has.
    fn another(&self) -> Store {
        open(&self.folder, &self.clock).unwrap()
    }

    fn minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_mins(minutes));
    }

    fn days(&self, days: u64) {
        self.clock.advance(Duration::from_hours(days * 24));
    }

    fn in_minutes(&self, minutes: u64) -> Timestamp {
        self.clock.now() + Duration::from_mins(minutes)
    }

    /// A link of ten minutes and one use.
    fn link(&self, number: u8) -> NewLink {
        NewLink {
            id: format!("link-{number}"),
            token_hash: [number; 32],
            site: "wiki".to_owned(),
            email: alice(),
            nonce_hash: Some([100; 32]),
            code_tag: None,
            code_seed: None,
            return_to: "/page".to_owned(),
            expires_at: Some(self.in_minutes(10)),
            uses: Some(1),
            made_by: MadeBy::Asked,
            note: String::new(),
        }
    }

    /// A link whose letter carries a code as well.
    fn link_with_code(&self, number: u8, seed: u8) -> NewLink {
        NewLink { code_tag: Some([seed; 32]), code_seed: Some([seed; 8]), ..self.link(number) }
    }

    fn letter(&self, id: &str) -> NewLetter {
        NewLetter {
            id: id.to_owned(),
            site: "wiki".to_owned(),
            email: alice(),
            sealed: b"sealed-letter-body".to_vec(),
            expires_at: Some(self.in_minutes(10)),
        }
    }

    /// A session of thirty days.
    fn redeemer(&self, session: u16) -> Redeemer {
        Redeemer {
            session: session_id(session),
            generation: 0,
            ends_at: self.in_minutes(30 * 24 * 60),
            idle_until: self.in_minutes(7 * 24 * 60),
            device: "Firefox".to_owned(),
            client: "192.0.2.1".to_owned(),
            ends: None,
        }
    }

    /// Signs Alice in and gives her session's id.
    async fn signed_in(&self, number: u8) -> SessionId {
        self.store.put_link(self.link(number), None).await.unwrap();
        let redeemer = self.redeemer(u16::from(number));
        self.store.redeem([number; 32], redeemer.clone()).await.unwrap();
        redeemer.session
    }
}

fn open(folder: &TempDir, clock: &Clock) -> Result<Store, StoreError> {
    Store::open(&Settings { path: folder.path().join("linkgate.db") }, clock, &Random::system())
}

fn alice() -> EmailAddress {
    EmailAddress::parse("alice@example.com").unwrap()
}

fn bob() -> EmailAddress {
    EmailAddress::parse("bob@example.com").unwrap()
}

fn session_id(number: u16) -> SessionId {
    let [high, low] = number.to_be_bytes();
    SessionId::from_bytes([high, low, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
}
