//! The contract's cases on real servers, and what is true of Redis alone.

mod away;
mod harness;
mod kinds;

use self::harness::Server;
use crate::store::contract::{self, every_case};

/// Cases whose verbs are not written yet. Must become empty.
const NOT_YET: &[&str] =
    &["letters::", "links::one_refused_command", "people::a_revoked_session", "people::a_key_rotation"];

macro_rules! cases {
    ($($room:ident::$case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                if NOT_YET.iter().any(|name| concat!(stringify!($room), "::", stringify!($case)).starts_with(name)) {
                    return;
                }
                let server = Server::start();
                contract::$room::$case(contract::Bench::of(server.settings(), server)).await;
            }
        )*
    };
}
every_case!(cases!());
