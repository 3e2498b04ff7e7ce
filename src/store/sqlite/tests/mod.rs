//! The contract's cases on real files, and what is true of files alone.

mod file;
mod transfer;

use std::ops::Deref;

use tempfile::TempDir;

use crate::clock::Clock;
use crate::random::Random;
use crate::store::contract::{self, every_case};
use crate::store::{Settings, Store, StoreError};

macro_rules! cases {
    ($($room:ident::$case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                contract::$room::$case(contract::Bench::of(settings(&folder), folder)).await;
            }
        )*
    };
}
every_case!(cases!());

/// A bench whose folder can be looked into.
struct Bench {
    bench: contract::Bench,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { bench: contract::Bench::of(settings(&folder), ()), folder }
    }
}

impl Deref for Bench {
    type Target = contract::Bench;

    fn deref(&self) -> &contract::Bench {
        &self.bench
    }
}

fn settings(folder: &TempDir) -> Settings {
    Settings::Sqlite { path: folder.path().join("linkgate.db") }
}

fn open(folder: &TempDir, clock: &Clock) -> Result<Store, StoreError> {
    Store::open(&settings(folder), clock, &Random::system())
}
