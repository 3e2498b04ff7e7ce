//! The contract's cases on real servers, and what is true of Redis alone.

mod away;
mod certificates;
mod doors;
mod harness;
mod heal;
mod kinds;
mod letters;
mod line;
mod lost;
mod moves;
mod news;
mod queue;
mod replicas;
mod turns;
mod walks;

use self::harness::Server;
use crate::store::contract::{self, every_case};

macro_rules! cases {
    ($($room:ident::$case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let server = Server::start();
                contract::$room::$case(contract::Bench::of(server.settings(), server)).await;
            }
        )*
    };
}
every_case!(cases!());
