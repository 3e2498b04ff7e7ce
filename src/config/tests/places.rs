//! Mistakes in sites, apps, routes and expectations.

use super::*;

const BAD: &[Bad] = &[
    // Sites and people.
    (
        "",
        "",
        "[[site]]\nurl = \"http://b.example.com\"\nallow = [\"*\"]",
        "c.toml:11:7: site.url: \"http://b.example.com\": over plain http",
        "https://b.example.com",
    ),
    (
        "",
        "",
        "[[site]]\nurl = \"https://b.example.com\"",
        "c.toml:10:1: site.allow: nobody can sign in",
        "allow =",
    ),
    (
        "",
        "",
        "[[site]]\nurl = \"https://b.example.com\"\nallow = []",
        "c.toml:12:9: site.allow: nobody can sign in",
        "allow =",
    ),
    (
        "",
        "",
        "[[site]]\nurl = \"https://b.example.com\"\nallow = [\"a@b.example\", \"*\"]",
        "c.toml:12:25: site.allow: the other entries mean nothing",
        "alone",
    ),
    ("", "", "[[site]]\nallow = [\"*\"]", "c.toml:10:1: site.url: this is missing", "https://"),
    (
        "",
        "",
        "[[site]]\nname = \"b\"\nurl = \"https://wiki.example.com\"\nallow = [\"*\"]",
        "c.toml:12:7: site.url: wiki.example.com belongs to the site",
        "hosts of its own",
    ),
    (
        "",
        "administrators = [\"group:staf\"]",
        "[groups]\nstaff = [\"a@example.com\"]",
        "c.toml:9:19: site.administrators: there is no group \"staf\"",
        "group:staff",
    ),
    (
        "",
        "administrators = [\"*\"]",
        "",
        "c.toml:9:18: site.administrators: everybody with a mailbox",
        "name people",
    ),
    (
        "",
        "",
        "[[user]]\nemail = \"nobody\"",
        "c.toml:11:9: user.email: \"nobody\" is no address",
        "name@example.com",
    ),
    ("", "language = \"enn\"", "", "c.toml:9:12: site.language: no page speaks \"enn\"", "en"),
    (
        "",
        "[site.look]\naccent = \"blue\"",
        "",
        "c.toml:10:10: site.look.accent: \"blue\" cannot be taken",
        "#0b5c9e",
    ),
    // Apps, routes, headers.
    (
        "",
        "[[site.app]]\nhost = \"https://b.example.com\"",
        "",
        "c.toml:10:8: site.app.host:",
        "the host alone, \"b.example.com\"",
    ),
    (
        "",
        "[[site.app]]\nname = \"b\"",
        "",
        "c.toml:9:1: site.app.host: wiki.example.com belongs to the app",
        "add host",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nallow = []",
        "",
        "c.toml:11:9: site.app.allow: an empty list",
        "leave it out",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nupstream = \"127.0.0.1:1\"",
        "",
        "c.toml:11:12: site.app.upstream:",
        "\"http://127.0.0.1:1\"",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nidentity = \"remot\"",
        "",
        "c.toml:11:12: site.app.identity: \"remot\"",
        "\"remote\"?",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nidentity = { Host = \"{user}\" }",
        "",
        "c.toml:11:12: site.app.identity: Host is not ours",
        "X-User",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nidentity = { X-U = \"{usr}\" }",
        "",
        "c.toml:11:12: site.app.identity: X-U",
        "{user}",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\n[[site.app.route]]\npath = \"share\"",
        "",
        "c.toml:12:8: site.app.route.path: \"share\" is no path",
        "\"/share/\"",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\n[[site.app.route]]\npath = \"/\"\n[[site.app.route]]\npath = \"/x/\"\naccess = \"public\"",
        "",
        "c.toml:14:8: site.app.route.path: this never matches",
        "in front of",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\n[[site.app.route]]\npath = \"/.linkgate/x\"",
        "",
        "c.toml:12:8: site.app.route.path: everything below /.linkgate",
        "another path",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\n[[site.app.route]]\npath = \"/x\"\nmethods = [\"get\"]",
        "",
        "c.toml:13:12: site.app.route.methods: \"get\"",
        "\"GET\"",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\naccess = \"deny\"\nallow = [\"a@example.com\"]",
        "",
        "c.toml:12:9: site.app.allow: with this access nobody",
        "leave out",
    ),
    (
        "listen = [\"http://127.0.0.1:3000\"]",
        "",
        "",
        "c.toml:7:12: site.upstream: http://127.0.0.1:3000 is linkgate itself",
        "address of the app",
    ),
    // Expectations.
    (
        "",
        "",
        "[[expect]]\nperson = \"nobody\"\nrequest = \"GET https://other.example.com/\"\nresult = \"deny\"",
        "c.toml:12:11: expect.request: no site has the host other.example.com",
        "name a host",
    ),
    (
        "",
        "",
        "[[expect]]\nperson = \"nobody\"\nrequest = \"GET https://wiki.example.com/\"\nresult = \"alow\"",
        "c.toml:13:10: expect.result: \"alow\"",
        "\"allow\"?",
    ),
    (
        "",
        "",
        "[[expect]]\nrequest = \"GET https://wiki.example.com/\"\nresult = \"deny\"",
        "c.toml:10:1: expect.person: this is missing",
        "nobody",
    ),
];

#[test]
fn mistakes_in_sites_apps_and_routes_name_place_key_and_cure() {
    all_are_told(BAD);
}
