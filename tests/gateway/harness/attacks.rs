//! What was tried against guards elsewhere: one table of what a visitor sends and who may pass. It is run against every
//! dialect of linkgate's own, as the other proxy would tell it, and through every real proxy, byte for byte. The site
//! behind it: `/open/` is for everybody, `/staff/` for Alice alone, `/near/` for some addresses, `GET` below `/feed/` for
//! everybody, the rest for whoever is signed in. Bob is, and nobody is not.

use super::app::App;
use super::app::Seen;
use super::guard::BOB;
use super::guard::Guard;
use super::guard::HOST;
use super::guard::Kind;
use super::guard::OTHER;
use super::raw::RawAnswer;

/// Who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    Everybody,
    Bob,
    Nobody,
}

use May::Bob;
use May::Everybody;
use May::Nobody;

impl May {
    /// Whether this one passes: Bob, or nobody.
    pub fn admits(self, who: Self) -> bool {
        self == Everybody || (self == Bob && who == Bob)
    }
}

pub const IDENTITY: [&str; 5] =
    ["remote-user", "remote-email", "remote-name", "remote-groups", "linkgate-assertion"];

/// Addresses that programs read differently.
pub const TARGETS: &[(&str, May)] = &[
    ("/open/x", Everybody),
    ("/page", Bob),
    ("/staff/x", Nobody),
    // Doubled slashes, dot segments.
    ("//open/x", Nobody),
    ("/open//x", Nobody),
    ("//staff/x", Nobody),
    ("/open/../staff/x", Nobody),
    ("/open/./x", Nobody),
    ("/open/..", Nobody),
    ("/open/../page", Nobody),
    ("/open//../staff/x", Nobody),
    ("/open/../../staff/x", Nobody),
    ("/./staff/x", Nobody),
    ("/open/%2e%2e/staff/x", Nobody),
    ("/open/.%2e/staff/x", Nobody),
    ("/%2e/open/x", Nobody),
    // Encoded slashes and the like.
    ("/open%2fx", Nobody),
    ("/open/..%2fstaff/x", Nobody),
    ("/open/..%5cstaff/x", Nobody),
    ("/staff%2Fx", Nobody),
    ("/open/%252e%252e/staff/x", Nobody),
    ("/open/%25252e%25252e/staff/x", Nobody),
    ("/open/%252e%252e%252fstaff/x", Nobody),
    ("/open/%c0%ae%c0%ae/staff/x", Nobody),
    ("/open/x%00", Nobody),
    ("/open/%00/../staff/x", Nobody),
    ("/open/x%0d%0aremote-user:%20root", Nobody),
    ("/open/\\..\\staff\\x", Nobody),
    ("/open/..;/staff/x", Nobody),
    ("/open/x;y", Nobody),
    ("/staff;x/y", Nobody),
    // Other spellings of a plain character.
    ("/%73taff/x", Nobody),
    ("/st%61ff", Nobody),
    ("/%2573taff/x", Nobody),
    ("/%6fpen/x", Everybody),
    // A query is nobody's path, and a fragment nobody's at all.
    ("/page?/open/", Bob),
    ("/staff/x?/open/x", Nobody),
    ("/open/x?/staff/", Everybody),
    ("/staff/x#/open/", Nobody),
    ("/open/#/../staff/x", Nobody),
    ("/open/x#", Nobody),
    ("/open/x?#y", Nobody),
    ("/open/%zz", Nobody),
    ("/open/%", Nobody),
    // Absolute and other forms, as a proxy tells of them that takes them for a path.
    ("open/x", Nobody),
    ("*", Nobody),
    ("@evil.example/open/x", Nobody),
    // Ours.
    ("/.linkgate/", Nobody),
    ("/.linkgate/session", Nobody),
    ("/.LINKGATE/session", Nobody),
    ("/%2elinkgate/session", Nobody),
    ("/open/../.linkgate/session", Nobody),
    ("//.linkgate/session", Nobody),
    ("/.linkgate;x/session", Nobody),
    ("/.linkgate/check/nginx", Nobody),
    ("/.linkgate/check/forward", Nobody),
    ("/.linkgate/check/envoy/open/x", Nobody),
    ("/.linkgate/check/%2e%2e/%2e%2e/staff/x", Nobody),
    ("/.linkgate/..%2fstaff/x", Nobody),
    ("/.linkgate/../staff/x", Nobody),
    ("/.linkgate/assets/%2e%2e/%2e%2e/page", Nobody),
];

/// The same with a scheme and host before the path; `@HOST@` is the site's, with its port.
pub const WHOLE_TARGETS: &[&str] = &[
    "http://@HOST@/open/x",
    "https://@HOST@/staff/x",
    "http://@HOST@/staff/x",
    "https://@HOST@/open/../staff/x",
    "https://evil.example/open/x",
    "https://evil.example/staff/x",
    "http://evil.example/page",
    "//evil.example/open/x",
    "https://@HOST@@evil.example/open/x",
    "https://evil.example#@HOST@/open/x",
    "https://@HOST@",
    "file:///etc/passwd",
];

/// Hosts, with who may see `/open/x` there: `@NAME@` is the site's, `@UPPER@` the same, `@PORT@` its port.
pub const HOSTS: &[(&str, May)] = &[
    ("@NAME@:@PORT@", Everybody),
    ("@UPPER@:@PORT@", Everybody),
    ("@UPPER@.:@PORT@", Everybody),
    ("@NAME@.:@PORT@", Everybody),
    ("@NAME@", Everybody),
    ("@NAME@.", Everybody),
    ("@NAME@:1", Everybody),
    ("@NAME@..:@PORT@", Nobody),
    (".@NAME@:@PORT@", Nobody),
    ("evil.example:@PORT@", Nobody),
    ("@NAME@.evil.example", Nobody),
    ("evil.example@@NAME@", Nobody),
    ("@NAME@@evil.example", Nobody),
    ("@NAME@:80:80", Nobody),
    ("@NAME@:x", Nobody),
    ("@NAME@,evil.example", Nobody),
    ("@NAME@ evil.example", Nobody),
    ("@NAME@%00.evil.example", Nobody),
    ("@NAME@?x", Nobody),
    ("@NAME@\\x", Nobody),
    ("@NAME@#", Nobody),
    ("127.0.0.1", Nobody),
    ("[::1]", Nobody),
    // Only by https, and behind no proxy.
    ("bank.example.com", Nobody),
];

/// Methods, with who may send them to `/feed/x`.
pub const METHODS: &[(&str, May)] = &[
    ("GET", Everybody),
    ("POST", Bob),
    ("OPTIONS", Bob),
    ("PROPFIND", Bob),
    ("get", Nobody),
    ("Get", Nobody),
    ("TRACE", Nobody),
    ("G=T", Nobody),
];

/// Lines that a visitor adds; they change neither what is asked nor who asks. `@HOST@` is the site's, with its port.
pub const ADDED: &[&str] = &[
    "x-rewrite-url: /open/x",
    "x-original-uri: /open/x",
    "x-http-method-override: GET",
    "x-forwarded-path: /open/x",
    "x-forwarded-prefix: /open",
    "x-envoy-original-path: /open/x",
    "forwarded: for=127.0.0.1;host=@HOST@;proto=http",
    "remote-user: s3cret",
    "remote-email: s3cret",
    "linkgate-assertion: s3cret",
    "x-forwarded-user: s3cret",
    "location: s3cret",
    // No health check is let in by what it calls itself.
    "user-agent: kube-probe/1.30",
    "user-agent: GoogleHC/1.0",
    "user-agent: ELB-HealthChecker/2.0",
    "authorization: Bearer",
    "authorization: Bearer  ",
    "authorization: Bearer a.b.c",
    "authorization: bearer eyJhbGciOiJub25lIn0.e30.",
    "authorization: Basic !",
    "authorization: Basic YWxpY2VAZXhhbXBsZS5jb206",
    "authorization: Negotiate",
];

/// Lines by which a proxy asks in one dialect or another, as a visitor writes them.
pub const ASKING: &[&str] = &[
    "x-forwarded-uri: /open/x",
    "x-forwarded-method: OPTIONS",
    "x-forwarded-host: @HOST@",
    "x-forwarded-host: evil.example",
    "x-forwarded-proto: http",
    "x-forwarded-for: 203.0.113.9",
    "x-original-url: https://@HOST@/open/x",
    "x-original-url: /open/x",
    "x-original-method: OPTIONS",
    "x-real-ip: 203.0.113.9",
    "x-forwarded-uri: /open/x\r\nx-forwarded-uri: /open/x",
    "X_Forwarded_Uri: /open/x",
    "X.Original.Url: /open/x",
    "connection: close, x-forwarded-uri",
    "connection: close, x-forwarded-for, x-original-url, cookie",
    "x-envoy-original-method: GET",
    "x-envoy-decorator-operation: x",
    "x-envoy-internal: true",
];

/// Credentials that are none.
pub const MALFORMED: &[&[u8]] = &[
    b"cookie: ;;=\"\r\n",
    b"cookie: @COOKIE@\r\n",
    b"cookie: @COOKIE@=\r\n",
    b"cookie: @COOKIE@=;@COOKIE@=\r\n",
    b"cookie: @COOKIE@=a.b.c\r\n",
    b"cookie: @COOKIE@==.=.=\r\n",
    b"cookie: @COOKIE@=\xff\xfe\r\n",
    b"cookie: @COOKIE@=eyJhbGciOiJub25lIn0.e30.\r\n",
    b"cookie: =@COOKIE@=x\r\n",
    b"cookie: @COOKIE@=\"a\r\n",
    b"cookie:\r\n",
    b"cookie: a=1\r\ncookie: @COOKIE@=x\r\n",
    b"authorization: Bearer \xff\r\n",
    b"authorization:\r\n",
    b"authorization: Bearer a.b.c\r\nauthorization: Bearer a.b.c\r\n",
    b"authorization: \t\r\n",
    b"authorization: Basic !\r\n",
    b"authorization: Basic Ym9iQGV4YW1wbGUuY29tOg==\r\n",
    b"authorization: \xc3\xbc\r\n",
];

/// A name in place of another, in bytes.
pub fn replace(line: &[u8], name: &str, by: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(at) = super::app::find(rest, name.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by.as_bytes());
        rest = &rest[at + name.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// A row of the table on its way through a real proxy.
struct Row<'a> {
    method: &'a str,
    target: &'a str,
    host: &'a str,
    /// Whole lines.
    more: &'a [u8],
}

/// The real proxy, the app behind it, and Bob's cookies.
struct Through {
    app: App,
    guard: Guard,
    cookies: String,
    host: String,
}

impl Through {
    async fn start(kind: Kind) -> Self {
        let app = App::start().await;
        let guard = Guard::before(kind, &app).await;
        let bob = guard.browser();
        // A page of ours: the app has no part in it.
        guard.gateway.sign_in(&bob, BOB, &guard.url("/.linkgate/")).await;
        let host = format!("{HOST}:{}", guard.port);
        Self { cookies: bob.cookies(HOST), app, guard, host }
    }

    fn written(&self, text: &str) -> String {
        let text = text.replace("@HOST@", &self.host).replace("@PORT@", &self.guard.port.to_string());
        text.replace("@NAME@", HOST).replace("@UPPER@", &HOST.to_uppercase())
    }

    /// As Bob and as nobody: whoever may not pass does not, and whatever reaches the app, on whatever way the proxy
    /// reads it, is what this one may see. The status for Bob.
    async fn row(&self, row: &Row<'_>, may: May) -> [u16; 2] {
        let mut statuses = [0; 2];
        for (status, (who, cookies)) in statuses.iter_mut().zip([(Bob, self.cookies.as_str()), (Nobody, "")])
        {
            *status = self.ask(row, may, who, cookies).await.status;
        }
        statuses
    }

    async fn ask(&self, row: &Row<'_>, may: May, who: May, cookies: &str) -> RawAnswer {
        self.app.forget();
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", row.method, row.target, row.host);
        if !cookies.is_empty() {
            head = format!("{head}cookie: {cookies}\r\n");
        }
        let connection = if row.more.starts_with(b"connection:") { "" } else { "connection: close\r\n" };
        let mut bytes = format!("{head}{connection}").into_bytes();
        bytes.extend_from_slice(row.more);
        bytes.extend_from_slice(b"\r\n");
        let answer = self.guard.exchange(&bytes).await;
        let (seen, nonsense) = (self.app.seen(), self.app.nonsense());
        let said = || format!("{} by {who:?} got\n{}", String::from_utf8_lossy(&bytes), answer.text);
        assert!(nonsense.is_empty() && seen.len() <= 1, "{} and the app {seen:?} {nonsense:?}", said());
        if let Some(seen) = seen.first() {
            let theirs = admitted(seen);
            assert!(theirs.admits(who), "{} and the app got {seen:?}", said());
            // What is not as it was sent was made so before linkgate was asked.
            assert!(may.admits(who) || seen.target != row.target, "{} and the app got {seen:?}", said());
            assert!(is_told(seen, who), "{} and the app got {seen:?}", said());
            assert!(seen.method == row.method, "{} and the app got {seen:?}", said());
        }
        // The question's answer is the proxy's; the page that the app makes names whom it was told of.
        let (top, _) = answer.text.split_once("\r\n\r\n").unwrap_or((&answer.text, ""));
        let top = top.to_ascii_lowercase();
        assert!(!IDENTITY.iter().any(|name| top.contains(&format!("\r\n{name}:"))), "{}", said());
        // Not even in part: nobody answers a second request that was not sent.
        assert!(answer.answers <= 1, "{}", said());
        answer
    }

    /// A row that has to pass, and does.
    async fn passes(&self, row: &Row<'_>) {
        let answer = self.ask(row, Bob, Bob, &self.cookies).await;
        let said = || format!("{} {} {}: {}", row.method, row.host, row.target, answer.text);
        assert!(answer.status == 200 && self.app.seen().len() == 1, "{}", said());
    }
}

/// Everybody whom the rules admit to what the app got, however an app may read it: the strictest reading counts.
fn admitted(seen: &Seen) -> May {
    let path = seen.target.split(['?', '#']).next().unwrap_or_default();
    let first = |path: &str| path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let once = String::from_utf8_lossy(&decoded(path.as_bytes())).into_owned();
    [first(&once), first(&read_laxly(path, 1)), first(&read_laxly(path, 4))]
        .iter()
        .map(|first| match first.split(';').next().unwrap_or_default() {
            "open" => Everybody,
            "feed" if seen.method == "GET" => Everybody,
            "staff" | ".linkgate" => Nobody,
            _ => Bob,
        })
        .max_by_key(|may| match may {
            Everybody => 0,
            Bob => 1,
            Nobody => 2,
        })
        .unwrap_or(Nobody)
}

/// As a lax app would read a path: decoded so many times, either slash, dots resolved, what follows `;` dropped.
pub fn read_laxly(path: &str, times: usize) -> String {
    let mut bytes = path.to_ascii_lowercase().into_bytes();
    for _ in 0..times {
        bytes = decoded(&bytes);
    }
    let text = String::from_utf8_lossy(&bytes).replace('\\', "/").replace('\0', "");
    let mut kept: Vec<&str> = Vec::new();
    for part in text.split('/').map(|part| part.split(';').next().unwrap_or_default()) {
        match part {
            "" | "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

fn decoded(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let code =
            rest.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code.filter(|_| *first == b'%') {
            Some(byte) => (out.push(byte), bytes = &rest[2..]),
            None => (out.push(*first), bytes = rest),
        };
    }
    out
}

/// The app was told of this one, by each name once, and of nobody else.
fn is_told(seen: &Seen, who: May) -> bool {
    let email = seen.header("remote-email");
    let expected = if who == Bob { email == BOB } else { email.is_empty() };
    let nothing = who == Bob || IDENTITY.iter().all(|name| seen.header(name).is_empty());
    expected && nothing && IDENTITY.iter().all(|name| seen.all(name).len() <= 1)
}

pub async fn no_address_that_programs_read_differently_leads_around_a_rule(kind: Kind) {
    let through = Through::start(kind).await;
    for (target, may) in TARGETS {
        let row = Row { method: "GET", target, host: &through.host, more: b"" };
        let [bob, nobody] = through.row(&row, *may).await;
        // Nobody's way is not everybody's: the plain ones pass through each proxy.
        let expected = match may {
            Everybody => [200, 200],
            Bob => [200, 401],
            Nobody => continue,
        };
        assert_eq!([bob, nobody], expected, "{target}");
    }
    for target in WHOLE_TARGETS {
        let target = through.written(target);
        let row = Row { method: "GET", target: &target, host: &through.host, more: b"" };
        through.row(&row, Nobody).await;
    }
    let long = format!("/staff/{}", "x".repeat(17_000));
    through.row(&Row { method: "GET", target: &long, host: &through.host, more: b"" }, Nobody).await;
}

pub async fn no_host_that_programs_read_differently_leads_around_a_rule(kind: Kind) {
    let through = Through::start(kind).await;
    for (host, may) in HOSTS {
        let host = through.written(host);
        for (target, may) in [("/open/x", *may), ("/staff/x", Nobody), ("//staff/x", Nobody)] {
            through.row(&Row { method: "GET", target, host: &host, more: b"" }, may).await;
            let seen = through.app.seen();
            let named = seen.first().map(|seen| seen.header("host").to_ascii_lowercase());
            let ours = named.is_none_or(|named| {
                let name = named.split(':').next().unwrap_or_default();
                name.strip_suffix('.').unwrap_or(name) == HOST
            });
            assert!(ours, "{host}: {seen:?}");
        }
    }
    for host in ["@NAME@:@PORT@", "@UPPER@:@PORT@", "@NAME@"] {
        let host = through.written(host);
        through.passes(&Row { method: "GET", target: "/page", host: &host, more: b"" }).await;
    }
    // Two hosts, and none.
    for more in [&b"host: evil.example\r\n"[..], format!("host: {}\r\n", through.host).as_bytes()] {
        let row = Row { method: "GET", target: "/open/x", host: "evil.example", more };
        through.row(&row, Nobody).await;
        assert!(through.app.seen().is_empty(), "{:?}", through.app.seen());
    }
    let row = Row { method: "GET", target: "/open/x", host: "", more: b"" };
    through.row(&row, Nobody).await;
    assert!(through.app.seen().is_empty(), "{:?}", through.app.seen());
}

/// One host decides which app it is, and whether it may be: never two of them.
pub async fn no_request_names_one_host_to_the_rules_and_another_to_the_proxy(kind: Kind) {
    let (app, other) = (App::start().await, App::start().await);
    let guard = Guard::before_two(kind, &app, &other).await;
    let bob = guard.browser();
    guard.gateway.sign_in(&bob, BOB, &guard.url("/.linkgate/")).await;
    // Bob is signed in on both.
    let there = format!("https://{OTHER}:{}/staff/x", guard.port);
    bob.follow(&there).await.expect(200);
    assert!(app.seen().is_empty() && other.request("/staff/x").await.header("remote-email") == BOB);
    let both = format!("{}; {}", bob.cookies(HOST), bob.cookies(OTHER));
    let with = |port: u16| [HOST.to_owned(), format!("{HOST}:{port}")];
    let wrong = |port: u16| [OTHER.to_owned(), format!("{OTHER}:{port}"), format!("{OTHER}.")];
    let own = bob.cookies(OTHER);
    for cookies in [own.as_str(), &both, ""] {
        for (inside, outside) in with(guard.port)
            .iter()
            .flat_map(|inside| wrong(guard.port).map(|outside| (inside.clone(), outside)))
        {
            for (line, host) in [
                (format!("GET https://{inside}/staff/x"), outside.clone()),
                (format!("GET http://{inside}/staff/x"), outside.clone()),
                (format!("GET https://{outside}/staff/x"), inside.clone()),
                (
                    "GET /staff/x".to_owned(),
                    format!(
                        "{outside}
host: {inside}"
                    ),
                ),
                (
                    "GET /staff/x".to_owned(),
                    format!(
                        "{inside}
host: {outside}"
                    ),
                ),
                (
                    "GET /staff/x".to_owned(),
                    format!(
                        "{inside}
x-forwarded-host: {outside}"
                    ),
                ),
                (
                    "GET /staff/x".to_owned(),
                    format!(
                        "{inside}
x-original-url: https://{outside}/staff/x"
                    ),
                ),
            ] {
                app.forget();
                other.forget();
                let request = format!(
                    "{line} HTTP/1.1
host: {host}
cookie: {cookies}
connection: close

"
                );
                let answer = guard.exchange(request.as_bytes()).await;
                assert!(
                    app.seen().is_empty(),
                    "{request}{}
{:?}",
                    answer.text,
                    app.seen()
                );
                for seen in other.seen() {
                    assert!(!cookies.is_empty(), "{request} {seen:?}");
                    assert!(seen.header("host").starts_with(OTHER), "{request} {seen:?}");
                }
            }
        }
    }
    // By HTTP/2, where `:authority` and `host` may differ. First one that is as it should be.
    let origin = |host: &str| format!("https://{host}:{}", guard.port);
    let request = |authority: &str, path: &str| {
        http::Request::builder().uri(format!("{}{path}", origin(authority))).header("cookie", &both)
    };
    let Some(plain) = guard.by_h2(request(OTHER, "/staff/x")).await else { return };
    assert_eq!(plain, 200);
    let (inside, outside) = (HOST.to_owned(), OTHER.to_owned());
    let (loud, with_port) = (HOST.to_uppercase(), format!("{OTHER}.:{}", guard.port));
    for (authority, path, hosts) in [
        (&inside, "/staff/x", vec![&outside]),
        (&inside, "/staff/x", vec![&with_port]),
        (&inside, "//staff/x", vec![&outside]),
        (&loud, "/staff/x", vec![&outside]),
        (&outside, "/staff/x", vec![&inside]),
        (&inside, "/staff/x", vec![&outside, &inside]),
        (&inside, "/staff/x", vec![&inside, &outside]),
        (&outside, "/staff/x", vec![&inside, &outside]),
    ] {
        app.forget();
        let asked = hosts.iter().fold(request(authority, path), |asked, host| asked.header("host", *host));
        let status = guard.by_h2(asked).await;
        assert!(app.seen().is_empty(), "{authority} {hosts:?} {status:?} {:?}", app.seen());
    }
}

pub async fn no_line_that_a_visitor_adds_changes_what_is_asked(kind: Kind) {
    let through = Through::start(kind).await;
    for (method, may) in METHODS {
        through.row(&Row { method, target: "/feed/x", host: &through.host, more: b"" }, *may).await;
    }
    for line in ADDED.iter().chain(ASKING) {
        let more = through.written(&format!("{line}\r\n"));
        for (target, may) in [("/staff/x", Nobody), ("/page", Bob), ("/near/x", Bob)] {
            let row = Row { method: "GET", target, host: &through.host, more: more.as_bytes() };
            let [bob, nobody] = through.row(&row, may).await;
            assert!(nobody == 0 || nobody >= 300, "{line} {target}: {nobody}");
            // To refuse is as good as to take it out, but it is no answer to what an honest visitor may send.
            // Who calls his own cookie a matter of one hop is not known.
            let refused = matches!(bob, 0 | 400 | 403) || (bob == 401 && line.ends_with("cookie"));
            assert!(if may == Bob { bob == 200 || refused } else { refused }, "{line} {target}: {bob}");
        }
        if let Some(seen) = through.app.seen().first() {
            for name in IDENTITY.iter().chain(&["x-forwarded-for", "x-original-url", "x-forwarded-uri"]) {
                let value = seen.header(name);
                assert!(!["s3cret", "open", "203.0.113"].iter().any(|own| value.contains(own)), "{seen:?}");
            }
        }
    }
    for line in ["user-agent: kube-probe/1.30", "accept: */*", "x-my-own: 1"] {
        let more = format!("{line}\r\n");
        let row = Row { method: "GET", target: "/page", host: &through.host, more: more.as_bytes() };
        through.passes(&row).await;
    }
}

pub async fn no_malformed_credential_is_one(kind: Kind) {
    let through = Through::start(kind).await;
    for line in MALFORMED {
        let more = replace(line, "@COOKIE@", "__Host-linkgate");
        for (target, may) in [("/page", Bob), ("/staff/x", Nobody), ("/open/x", Everybody)] {
            let row = Row { method: "GET", target, host: &through.host, more: &more };
            let status = through.ask(&row, may, Nobody, "").await.status;
            let text = String::from_utf8_lossy(&more).into_owned();
            if may == Everybody {
                assert!(matches!(status, 200 | 400 | 403), "{text}: {status}");
            } else {
                assert!(matches!(status, 400 | 401 | 403), "{text} {target}: {status}");
            }
            // Nor does it hide one that counts, or give it to the app.
            through.ask(&row, may, Bob, &through.cookies).await;
        }
    }
}
