//! A door for `bench/micro`: what is done to a request's headers, without a socket. Only with the feature `bench`,
//! never part of the program.

use http::request;

use super::Original;
use super::Proxy;
use super::Upload;
use super::Visit;
use crate::policy::Permitted;
use crate::policy::Target;

impl Proxy {
    /// The number of headers that the app would get; none where the request would not be passed on.
    #[must_use]
    pub fn header_rules(
        &self,
        permitted: &Permitted,
        target: &Target,
        head: &request::Parts,
        visit: &Visit<'_>,
    ) -> usize {
        let made = self.outgoing(&Original { permitted, target, head, visit }, Upload::none());
        made.map_or(0, |request| request.headers().len())
    }
}
