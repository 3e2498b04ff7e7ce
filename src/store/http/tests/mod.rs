//! The contract's cases with a real token service, with and without versions, and what is true of it alone.

mod faults;
mod service;
mod together;
mod words;

use std::ops::Deref;

use self::service::{Service, Tags};
use crate::store::contract;
use crate::store::{Redeemed, Store};

macro_rules! cases {
    ($tags:expr; $($room:ident::$case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let service = Service::start($tags);
                contract::$room::$case(contract::Bench::of(service.of("linkgate.db"), service)).await;
            }
        )*
    };
}

mod with_versions {
    use super::*;
    use crate::store::contract::every_case;
    every_case!(cases!(Tags::Strong;));
}

mod without_versions {
    use super::*;
    use crate::store::contract::every_case;
    every_case!(cases!(Tags::None;));
}

/// A bench whose service can be looked at.
struct Bench {
    bench: contract::Bench,
    service: Service,
}

impl Bench {
    fn new() -> Self {
        Self::with(Tags::Strong)
    }

    fn with(tags: Tags) -> Self {
        let service = Service::start(tags);
        Self { bench: contract::Bench::of(service.of("linkgate.db"), ()), service }
    }

    /// Redeems the link of this number.
    async fn redeem(&self, number: u8) -> Redeemed {
        self.try_redeem(&self.store, number).await.unwrap()
    }

    async fn try_redeem(&self, store: &Store, number: u8) -> Result<Redeemed, crate::store::StoreError> {
        store.redeem([number; 32], self.redeemer(u16::from(number))).await
    }

    async fn live_sessions(&self) -> usize {
        let live = crate::store::SessionFilter { live: true, ..Default::default() };
        self.store.list_sessions(live).await.unwrap().len()
    }
}

impl Deref for Bench {
    type Target = contract::Bench;

    fn deref(&self) -> &contract::Bench {
        &self.bench
    }
}
