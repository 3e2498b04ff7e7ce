//! Who may pass: the one judge, for requests and for sign-ins. Pure: answers from values alone, denies every doubt,
//! never sees a socket, a store or a clock.

mod decide;
#[cfg(test)]
mod fixture;
mod handling;
mod index;
mod origin;
mod routes;
mod rules;
mod target;
mod upstream;

pub use decide::{Asker, Granted, Permitted, Refusal, decide, judge, judge_app};
pub use handling::{BasicAccount, Handling, UpstreamHost, WebSocketOrigins};
pub use origin::Origin;
pub use routes::{
    Accept, Access, App, Host, IdentityHeaders, PathPattern, Route, RouteLimits, SignIn, Site, Sites,
};
pub use rules::{AllowList, Groups};
pub use target::{Target, TargetError};
pub use upstream::{Address, Endpoint, HealthCheck, Protocol, Upstream, UpstreamTls};
