//! What routes inherit, what apps share, and who must speak the PROXY protocol.

use super::*;

#[test]
fn a_route_inherits_and_its_own_word_wins() {
    let app = load_app(
        "upstream = [\"https://a\", \"https://b\"]\nupstream_tls = { server_name = \"a.internal\" }\nwait = \"5s\"\n\
         slow_start = \"5s\"\nhealth_check = { path = \"/up\" }\nbasic = { user = \"u\", password = \"p\" }\n\
         set_request_headers = { X-One = \"1\", X-Two = \"2\" }\ncache = \"app\"\n\
         [[site.app.route]]\npath = \"/same/\"\nstrip_prefix = \"/same/\"\nset_request_headers = { x_one = \"\" }\ncache = \"private\"\n\
         [[site.app.route]]\npath = \"/other/\"\nupstream = \"http://c\"",
    );
    let [same, other, own] = app.routes() else { panic!("three routes") };
    let upstream = |route: &Arc<Route>| route.upstream.clone().unwrap();
    assert!(Arc::ptr_eq(&upstream(same), &upstream(own)), "the same upstream has the same connections");
    assert_eq!(same.handling.strip_prefix.as_deref(), Some("/same"));
    let names = |route: &Route| {
        route
            .handling
            .request_headers
            .iter()
            .map(|(n, v)| format!("{n}={}", v.to_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(same),
        ["x-two=2", "x_one="],
        "a route's word replaces its app's, however it is spelled"
    );
    assert_eq!(names(own), ["x-one=1", "x-two=2"]);
    assert!(!same.handling.app_caches && own.handling.app_caches && same.handling.basic.is_some());
    // What was written for one server does not go to another.
    assert!(other.handling.basic.is_none());
    let theirs = upstream(other);
    assert!(theirs.health.is_none() && theirs.tls.server_name.is_none());
    assert_eq!((theirs.wait.as_secs(), theirs.slow_start), (5, Duration::ZERO));
    assert_eq!(theirs.endpoints[0].protocol, Protocol::Http);
}

#[test]
fn keys_of_an_app_are_not_dead_where_one_of_its_routes_uses_them() {
    load_app(
        "wait = \"5s\"\nslow_start = \"5s\"\naccess = \"deny\"\nset_response_headers = { Server = \"\" }\n\
         [[site.app.route]]\npath = \"/x\"\naccess = \"signed-in\"\nupstream = [\"http://a\", \"http://b\"]",
    );
}

#[test]
fn equal_upstreams_of_different_apps_are_one() {
    let loaded = try_load(&app("upstream = [\"http://127.0.0.1:3000/\"]")).unwrap();
    let upstreams: Vec<_> =
        loaded.sites[0].site.apps.iter().map(|app| app.routes()[0].upstream.clone().unwrap()).collect();
    assert!(Arc::ptr_eq(&upstreams[0], &upstreams[1]));
}

#[test]
fn who_must_speak_the_proxy_protocol_is_read() {
    let loaded = try_load(&file("proxy_protocol = [\"192.0.2.10\", \"2001:db8::/32\"]", "", "")).unwrap();
    assert_eq!(loaded.proxy_protocol.networks.len(), 2);
    assert!(!loaded.proxy_protocol.unix && loaded.trusted_proxies.is_empty());
    assert!(try_load(GOOD).unwrap().proxy_protocol.is_empty());
    let loaded =
        try_load(&file("listen = \"unix:/run/x\"\nproxy_protocol = [\"unix\", \"private\"]", "", ""))
            .unwrap();
    assert!(loaded.proxy_protocol.unix && loaded.proxy_protocol.trusts(Some("10.0.0.1".parse().unwrap())));
}
