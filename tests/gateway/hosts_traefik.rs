//! The real Traefik before an app, asking by `forwardAuth`: the lines of docs/traefik.md as they stand there.

use crate::harness::app::App;
use crate::harness::eventually;
use crate::harness::guard::ALICE;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use crate::harness::proxies::TRAEFIK;
use crate::harness::proxies::traefik;
use std::process::Command;

// All but one: for how long Traefik waits for a silent linkgate cannot be set (30 seconds).
promises!(traefik:
    a_person_signs_in_and_comes_back_to_the_very_address,
    the_app_learns_who_it_is_and_nothing_of_the_session,
    no_spelling_of_an_identity_reaches_the_app,
    no_visitor_chooses_an_address,
    another_host_of_the_site_lets_in_without_a_second_letter,
    everybody_gets_the_answer_that_fits,
    nobody_asks_linkgate_in_the_proxys_name,
    no_address_that_programs_read_differently_leads_around_a_rule,
    no_host_that_programs_read_differently_leads_around_a_rule,
    no_request_names_one_host_to_the_rules_and_another_to_the_proxy,
    no_line_that_a_visitor_adds_changes_what_is_asked,
    no_malformed_credential_is_one,
    an_address_arrives_as_it_was_written,
    a_rule_for_addresses_sees_the_visitors_own,
    a_websocket_opens_for_the_app_s_own_pages_only,
    bodies_long_addresses_and_large_headers_arrive_whole,
    a_preflight_passes_where_a_rule_lets_it,
    signing_out_ends_it,
    a_revoked_session_ends_within_a_second,
    nobody_passes_while_linkgate_is_away,
    many_at_once_are_never_taken_for_each_other,
    a_renewed_cookie_reaches_the_browser
);

/// With the middleware of the page for apps without cookies.
fn cookieless(ground: &Ground<'_>) -> Command {
    let command = traefik(ground);
    let own = std::fs::read_to_string(ground.place.path().join("linkgate.yml")).unwrap();
    let line =
        TRAEFIK.split("add `cookieless:").nth(1).and_then(|rest| rest.split('`').next()).expect("a line");
    let own = own
        .replacen("  middlewares:\n", &format!("  middlewares:\n    cookieless:{line}\n"), 1)
        .replace("middlewares: [linkgate]", "middlewares: [linkgate, cookieless]");
    ground.write("linkgate.yml", &own);
    command
}

#[tokio::test]
async fn an_app_without_cookies_sets_none_and_ours_pass() {
    let app = App::start().await;
    let address = app.url();
    let guard = Guard::with(cookieless, address.trim_start_matches("http://"), "idle = \"1m\"").await;
    let alice = guard.signed_in(ALICE).await;
    let renewed = eventually("the session is carried on", async || {
        let answer = alice.visit(&guard.url("/cookies")).await.expect(200);
        let cookies = answer.header("set-cookie");
        assert!(!cookies.contains("stolen") && !cookies.contains("first="), "{cookies}");
        (!cookies.is_empty()).then_some(cookies)
    })
    .await;
    assert!(renewed.starts_with("__Host-linkgate="), "{renewed}");
}

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(TRAEFIK);
}
