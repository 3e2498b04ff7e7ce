//! The real Caddy before an app, asking by `forward_auth` written out: the lines of docs/caddy.md as they stand there.

use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use crate::harness::proxies::CADDY;
use crate::harness::proxies::caddy;

promises!(caddy);
promises!(caddy: a_page_with_a_renewed_cookie_goes_into_no_cache);

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(CADDY);
}
