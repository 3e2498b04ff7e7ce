//! The real Envoy before an app, asking by `ext_authz`: the lines of docs/envoy.md as they stand there.

use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use crate::harness::proxies::ENVOY;
use crate::harness::proxies::envoy;

promises!(envoy);
promises!(envoy: a_page_with_a_renewed_cookie_goes_into_no_cache);

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(ENVOY);
}
