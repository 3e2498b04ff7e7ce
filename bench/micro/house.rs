//! A house to measure in: so many sites, routes and ended sessions, and the same sixty-four requests for every size.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::request;
use linkgate::clock::Clock;
use linkgate::clock::Timestamp;
use linkgate::gate::Gate;
use linkgate::gate::Parts;
use linkgate::gate::Trust;
use linkgate::gate::bench::Desk;
use linkgate::identity::EmailAddress;
use linkgate::identity::Identity;
use linkgate::identity::KeyEpoch;
use linkgate::identity::Keyring;
use linkgate::identity::MasterSecret;
use linkgate::identity::SessionClaims;
use linkgate::identity::SessionId;
use linkgate::identity::Snapshot;
use linkgate::identity::Standing;
use linkgate::identity::TokenKind;
use linkgate::login::AskLimits;
use linkgate::login::LinkSettings;
use linkgate::login::Login;
use linkgate::login::Look;
use linkgate::login::OtherBrowser;
use linkgate::login::Remember;
use linkgate::login::SessionSettings;
use linkgate::login::SiteSettings;
use linkgate::page::Pages;
use linkgate::policy::Accept;
use linkgate::policy::Access;
use linkgate::policy::AllowList;
use linkgate::policy::App;
use linkgate::policy::Asker;
use linkgate::policy::Groups;
use linkgate::policy::Handling;
use linkgate::policy::IdentityHeaders;
use linkgate::policy::Origin;
use linkgate::policy::PathPattern;
use linkgate::policy::Permitted;
use linkgate::policy::Route;
use linkgate::policy::RouteLimits;
use linkgate::policy::SignIn;
use linkgate::policy::Site;
use linkgate::policy::Sites;
use linkgate::policy::Target;
use linkgate::policy::Upstream;
use linkgate::policy::decide;
use linkgate::proxy::Connectors;
use linkgate::random::Random;
use linkgate::store;
use linkgate::store::Quota;
use linkgate::store::Store;
use tempfile::TempDir;

/// Different requests, asked in turn: what only one request would find at hand counts for little.
pub const REQUESTS: usize = 64;
const PREFIX: &str = "/.linkgate";
const NOW: Timestamp = Timestamp::from_seconds(4_000_000_000);

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub routes: usize,
    pub revoked: u64,
    pub sites: usize,
}

/// The smallest.
pub const SMALL: Size = Size { routes: 1, revoked: 10, sites: 1 };

/// One signed-in person's request.
pub struct Ask {
    pub authority: String,
    pub path: String,
    /// What a browser sends, cookies of the app's and ours among it.
    pub head: request::Parts,
    /// The same as nginx asks about it.
    pub check: HeaderMap,
    pub identity: Arc<Identity>,
}

pub struct House {
    pub desk: Desk,
    pub sites: Arc<Sites>,
    pub asks: Vec<Ask>,
    _folder: TempDir,
}

impl House {
    pub fn build(size: Size) -> Self {
        let folder = TempDir::new().unwrap();
        let (clock, random) = (Clock::manual(NOW), Random::seeded(7));
        let routes = routes(size.routes);
        let sites = (0..size.sites).map(|number| site(number, &routes)).collect();
        let sites = Arc::new(Sites::new(sites).unwrap());
        let epoch = KeyEpoch { id: "0000abcd".into(), created_at: NOW, accepted_until: None };
        let masters = vec![MasterSecret::new(vec![7; 32]).unwrap()];
        let keys = Arc::new(Keyring::new(masters, std::slice::from_ref(&epoch)).unwrap());
        let standing = Arc::new(Standing::new());
        let ends = NOW + Duration::from_hours(24);
        let ended = |number: u64| SessionId::from_bytes(stirred(number).to_be_bytes());
        let revoked = (0..size.revoked).map(|number| (ended(number), ends)).collect();
        standing.apply(Snapshot { people: Vec::new(), revoked, epochs: vec![epoch], version: 1 }, NOW);
        let pages = Arc::new(Pages::embedded().unwrap());
        let settings: HashMap<String, Arc<SiteSettings>> = sites
            .all()
            .iter()
            .map(|site| (site.name.clone(), Arc::new(settings(Arc::clone(site), Arc::clone(&pages)))))
            .collect();
        let path = folder.path().join("store.db");
        let store = Store::open(&store::Settings::Sqlite { path }, &clock, &random).unwrap();
        let login = Login::new(linkgate::login::Parts {
            store,
            standing: Arc::clone(&standing),
            keys: Arc::clone(&keys),
            sites: settings.clone(),
            clock: clock.clone(),
            random: random.clone(),
            prefix: PREFIX.into(),
        });
        let asks = (0..REQUESTS).map(|number| ask(number, size, &sites, &keys, &random)).collect();
        let connectors = Connectors::new(&sites).unwrap();
        let trust = Trust { networks: vec!["127.0.0.1/32".parse().unwrap()], private: false, unix: false };
        let gate = Gate::new(Parts {
            sites: Arc::clone(&sites),
            settings,
            prefix: PREFIX.into(),
            trust,
            max_staleness: Duration::from_hours(1),
            proxy: linkgate::proxy::Settings {
                connectors,
                pool_idle: Duration::from_secs(55),
                max_under_way: 1000,
                max_idle_per_upstream: 8,
                via_name: "linkgate".into(),
                body_timeout: Duration::from_secs(30),
            },
            access_log: false,
            standing,
            keys,
            login,
            extra: None,
            clock,
            random,
        });
        Self { desk: Desk::new(gate), sites, asks, _folder: folder }
    }

    /// What policy does for a request: the target read, the host found, the rule found and asked.
    pub fn judge(&self, ask: &Ask) -> Permitted {
        let target = Target::parse(true, &ask.authority, &ask.path).unwrap();
        self.decide(ask, &target)
    }

    pub fn decide(&self, ask: &Ask, target: &Target) -> Permitted {
        let host = self.sites.by_host(&target.host).unwrap();
        let who = Asker { identity: &ask.identity, by_bearer: false };
        decide(host, target, &Method::GET, None, Some(who)).unwrap()
    }
}

/// The paths that requests ask for have rules of their own, strewn evenly among those that nobody asks for.
fn routes(count: usize) -> Vec<Arc<Route>> {
    let upstream = Arc::new(Upstream::http("127.0.0.1", 1));
    let route = |path: &str| {
        let wait = Duration::from_mins(1);
        Arc::new(Route {
            path: PathPattern::parse(path).unwrap(),
            methods: Vec::new(),
            clients: Vec::new(),
            access: Access::SignedIn,
            allow: None,
            accept: Accept { session: true, bearer: true },
            identity: IdentityHeaders::Remote,
            upstream: Some(Arc::clone(&upstream)),
            limits: RouteLimits {
                max_body: None,
                connect_timeout: wait,
                response_timeout: wait,
                idle_timeout: wait,
            },
            handling: Handling::default(),
            ignore_case: false,
        })
    };
    let step = (count / REQUESTS).max(1);
    let mut asked = 0..REQUESTS;
    (0..count)
        .map(|number| match (number + 1 == count, asked.start) {
            (true, _) => route("/"),
            (false, next) if number % step == 0 && next < REQUESTS => {
                asked.start += 1;
                route(&format!("/team-{next}/docs/"))
            }
            (false, _) if number % 2 == 0 => route(&format!("= /other-{number}/page")),
            (false, _) => route(&format!("/other-{number}/")),
        })
        .collect()
}

fn site(number: usize, routes: &[Arc<Route>]) -> Site {
    let url = Origin::parse(&format!("https://wiki-{number:04}.example.com")).unwrap();
    let app = App::new("wiki".into(), url.clone(), None, routes.to_vec());
    Site {
        name: format!("wiki-{number:04}"),
        url: url.clone(),
        start: format!("{url}/"),
        allow: AllowList::parse(&["@example.com".to_owned()]).unwrap(),
        sign_in: SignIn::SelfService,
        groups: Groups::default(),
        users: HashMap::new(),
        administrators: AllowList::default(),
        apps: vec![Arc::new(app)],
        hosts: vec![url],
    }
}

fn settings(site: Arc<Site>, pages: Arc<Pages>) -> SiteSettings {
    let quota = Quota { count: 5, per: Duration::from_mins(15) };
    SiteSettings {
        site,
        link: LinkSettings {
            lifetime: Some(Duration::from_mins(10)),
            code: true,
            other_browser: OtherBrowser::TypeAddress,
        },
        session: SessionSettings {
            lifetime: Duration::from_hours(30 * 24),
            idle: Duration::from_hours(7 * 24),
            remember: Remember::Always,
            cookie: "linkgate".into(),
        },
        look: Look::default(),
        language: "en".into(),
        contact: String::new(),
        pages,
        sender: "login@example.com".into(),
        limits: AskLimits {
            ask_per_address: quota,
            ask_per_client: quota,
            ask_per_domain: quota,
            ask_per_site: quota,
            redeem_per_client: quota,
        },
        mail: true,
    }
}

fn ask(number: usize, size: Size, sites: &Sites, keys: &Keyring, random: &Random) -> Ask {
    let host = format!("wiki-{:04}.example.com", number * (size.sites / REQUESTS).max(1) % size.sites);
    let (path, url) = (format!("/team-{number}/docs/page?x=1"), format!("https://{host}"));
    let own = &sites.by_host(&host).unwrap().site;
    let email = EmailAddress::parse(&format!("person-{number:02}@example.com")).unwrap();
    let identity = Arc::new(own.identity(&email, None, NOW).unwrap());
    let end = NOW.seconds() + 86_400;
    let claims = SessionClaims {
        sid: SessionId::new(random).to_string(),
        sub: email.as_str().to_owned(),
        iss: own.name.clone(),
        aud: url.clone(),
        iat: NOW.seconds(),
        // As late as can be: a renewal is not due with every request.
        exp: end,
        end,
        generation: 0,
    };
    let token = keys.current().sign(TokenKind::Session, &claims).unwrap();
    let headers = browser(&token);
    let mut check = headers.clone();
    check.insert("x-original-url", HeaderValue::from_str(&format!("{url}{path}")).unwrap());
    check.insert("x-original-method", HeaderValue::from_static("GET"));
    check.insert("x-forwarded-host", HeaderValue::from_str(&host).unwrap());
    check.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.7"));
    Ask { authority: host, head: Desk::head(&path, &headers).unwrap(), path, check, identity }
}

/// The headers of a browser that opens a page.
fn browser(token: &str) -> HeaderMap {
    let cookie = format!("theme=dark; _ga=GA1.2.1234567890.1700000000; __Host-linkgate={token}; lang=en");
    [
        ("host", "wiki-0000.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://wiki-0000.example.com/team-1/docs/"),
        ("connection", "keep-alive"),
        ("upgrade-insecure-requests", "1"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-user", "?1"),
        ("priority", "u=0, i"),
        ("cookie", &cookie),
    ]
    .into_iter()
    .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
    .collect()
}

/// Numbers that look like chance and are the same in every run (`SplitMix64`, twice).
fn stirred(number: u64) -> u128 {
    let stir = |seed: u64| {
        let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    u128::from(stir(number)) << 64 | u128::from(stir(!number))
}
