//! Who may pass: the one judge, for requests and for sign-ins. Pure: answers from values alone, denies every doubt,
//! never sees a socket, a store or a clock.

mod decide;
mod origin;
mod routes;
mod rules;
mod target;

pub use decide::{Asker, Permitted, Refusal, decide};
pub use origin::Origin;
pub use routes::{
    Accept, Access, App, Host, IdentityHeaders, PathPattern, Route, RouteLimits, SignIn, Site, Sites,
    Upstream,
};
pub use rules::{AllowList, Groups};
pub use target::{Target, TargetError};
