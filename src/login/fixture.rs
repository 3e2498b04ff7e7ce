//! What tests of this room share: one site on two hosts over a real store, and browsers that keep cookies.
//! Never part of the program.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Body;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header;
use tempfile::TempDir;
use tower_service::Service;

use super::*;
use crate::clock::Clock;
use crate::identity::CookieNames;
use crate::identity::EmailAddress;
use crate::identity::KeyEpoch;
use crate::identity::Keyring;
use crate::identity::MasterSecret;
use crate::identity::SessionClaims;
use crate::identity::SessionId;
use crate::identity::Standing;
use crate::identity::TokenKind;
use crate::mail;
use crate::mail::Letter;
use crate::page::Pages;
use crate::policy::AllowList;
use crate::policy::Groups;
use crate::policy::Origin;
use crate::policy::SignIn;
use crate::policy::Site;
use crate::random::Random;
use crate::store;
use crate::store::Quota;
use crate::store::Store;

pub const HERE: &str = "https://wiki.example.com";
pub const PHOTOS: &str = "https://photos.example.com";
const PREFIX: &str = "/.linkgate";

fn epoch() -> KeyEpoch {
    KeyEpoch { id: "0000abcd".into(), created_at: Timestamp::from_seconds(0), accepted_until: None }
}

fn master() -> MasterSecret {
    MasterSecret::new(vec![7; 32]).unwrap()
}

pub fn keys() -> Keys {
    Keys::new(&[master()], &[epoch()]).unwrap()
}

pub fn site() -> Site {
    let url = Origin::parse(HERE).unwrap();
    let allow = ["@example.com".to_owned(), "bob@partner.example".to_owned()];
    Site {
        name: "wiki".into(),
        url: url.clone(),
        start: format!("{HERE}/home"),
        allow: AllowList::parse(&allow).unwrap(),
        sign_in: SignIn::SelfService,
        groups: Groups::default(),
        users: HashMap::new(),
        administrators: AllowList::default(),
        apps: Vec::new(),
        hosts: vec![url, Origin::parse(PHOTOS).unwrap()],
    }
}

fn pages() -> Arc<Pages> {
    static PAGES: OnceLock<Arc<Pages>> = OnceLock::new();
    Arc::clone(PAGES.get_or_init(|| Arc::new(Pages::embedded().unwrap())))
}

pub fn settings() -> SiteSettings {
    let quota = |count| Quota { count, per: Duration::from_mins(15) };
    SiteSettings {
        site: Arc::new(site()),
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
        look: Look { title: "Wiki".into(), logo: String::new(), accent: "#0b5c9e".into() },
        language: "en".into(),
        contact: "it@example.com".into(),
        pages: pages(),
        sender: "Wiki <login@example.com>".into(),
        limits: AskLimits {
            ask_per_address: quota(5),
            ask_per_client: quota(1000),
            ask_per_domain: quota(1000),
            ask_per_site: quota(1000),
            redeem_per_client: quota(1000),
        },
        mail: true,
    }
}

/// The house.
pub struct World {
    pub login: Arc<Login>,
    pub clock: Clock,
    router: Router,
    settings: Arc<SiteSettings>,
    holder: Random,
    _folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A browser: cookies by host, and headers of its own.
#[derive(Clone, Default)]
pub struct Browser {
    cookies: BTreeMap<(String, String), String>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut SiteSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_seconds(1_790_000_000));
        let random = Random::system();
        let path = folder.path().join("store.db");
        let store = Store::open(&store::Settings::Sqlite { path }, &clock, &random).unwrap();
        let mut settings = settings();
        change(&mut settings);
        let settings = Arc::new(settings);
        let login = Login::new(Parts {
            store,
            standing: Arc::new(Standing::new()),
            keys: Arc::new(Keyring::new(vec![master()], &[epoch()]).unwrap()),
            sites: HashMap::from([("wiki".to_owned(), Arc::clone(&settings))]),
            clock: clock.clone(),
            random: random.clone(),
            prefix: PREFIX.into(),
        });
        let router = login.router();
        Self { login, clock, router, settings, holder: random, _folder: folder }
    }

    /// What the outbox holds, newest last; each letter once.
    pub async fn letters(&self) -> Vec<Letter> {
        let holder = self.holder.uuid();
        let store = &self.login.parts.store;
        let mut letters = Vec::new();
        for leased in store.lease_letters(50, Duration::from_mins(1), &holder).await.unwrap() {
            store.letter_sent(&leased.id, &holder).await.unwrap();
            letters.push(mail::open(&leased.sealed, &leased.site, &keys()).unwrap());
        }
        letters
    }

    /// As the gate does: names the visitor, then calls the router.
    pub async fn call(&self, browser: &mut Browser, host: &str, request: Request<Body>) -> Answer {
        let (mut parts, body) = request.into_parts();
        let names = CookieNames::new("linkgate", true);
        let cookies: Vec<String> = browser
            .cookies
            .iter()
            .filter(|((own, _), _)| own == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            parts.headers.insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        let token = browser.cookies.get(&(host.to_owned(), names.session.clone()));
        parts.extensions.insert(Visitor {
            site: Arc::clone(&self.settings),
            origin: Origin::parse(host).unwrap(),
            cookies: names,
            client: IpAddr::from([192, 0, 2, 1]),
            session: token.and_then(|token| self.session(token, host)),
            request_id: "k3f9-2m7q".into(),
        });
        let answer = self.router.clone().call(Request::from_parts(parts, body)).await.unwrap();
        let (parts, body) = answer.into_parts();
        for set in parts.headers.get_all(header::SET_COOKIE) {
            let (pair, attributes) = set.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let key = (host.to_owned(), name.to_owned());
            if attributes.contains("Max-Age=0") {
                browser.cookies.remove(&key);
            } else {
                browser.cookies.insert(key, value.to_owned());
            }
        }
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    fn session(&self, token: &str, host: &str) -> Option<Arc<Current>> {
        let parts = &self.login.parts;
        let now = self.clock.now();
        let claims: SessionClaims = parts.keys.current().verify(TokenKind::Session, token, now).ok()?;
        let email = EmailAddress::parse(&claims.sub).unwrap();
        let good = claims.aud == host
            && now < claims.ends_at()
            && !parts.standing.is_revoked(&SessionId::parse(&claims.sid).unwrap())
            && parts.standing.person_generation("wiki", &email) == claims.generation;
        let identity = Arc::new(self.settings.site.identity(&email, None, now)?);
        good.then(|| Arc::new(Current { claims, identity }))
    }

    /// A person goes to a page.
    pub async fn go(&self, browser: &mut Browser, host: &str, path: &str) -> Answer {
        self.get(browser, host, path, "document", "navigate", Method::GET).await
    }

    pub async fn get(
        &self,
        browser: &mut Browser,
        host: &str,
        path: &str,
        dest: &str,
        mode: &str,
        method: Method,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("accept", "text/html");
        if !mode.is_empty() {
            request = request.header("sec-fetch-mode", mode).header("sec-fetch-dest", dest);
        }
        self.call(browser, host, request.body(Body::empty()).unwrap()).await
    }

    /// A person sends a form of ours.
    pub async fn form(&self, browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header("accept", "text/html")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        self.call(browser, HERE, request).await
    }

    /// A program sends JSON.
    pub async fn json(&self, path: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap();
        self.call(&mut Browser::default(), HERE, request).await
    }

    /// Asks for a link; the path of the link, and the code.
    pub async fn ask(&self, browser: &mut Browser, email: &str, return_to: &str) -> (String, String) {
        let answer = self.form(browser, "/login", &[("email", email), ("return_to", return_to)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        let letter = self.letters().await.pop().expect("a letter");
        assert_eq!(letter.to.as_str(), email);
        let link = letter.link.unwrap();
        (link.strip_prefix(&format!("{HERE}{PREFIX}")).unwrap().to_owned(), letter.code.unwrap_or_default())
    }

    /// Who is signed in there.
    pub async fn who(&self, browser: &mut Browser, host: &str) -> String {
        let answer = self.go(browser, host, "/session").await;
        match answer.status {
            StatusCode::OK => answer.json()["email"].as_str().unwrap().to_owned(),
            _ => String::new(),
        }
    }

    /// Signs in by the same browser's click.
    pub async fn sign_in(&self, browser: &mut Browser, email: &str) {
        let (link, _) = self.ask(browser, email, "/a").await;
        let answer = self.go(browser, HERE, &link).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "https://wiki.example.com/a"));
        assert_eq!(self.who(browser, HERE).await, email);
    }
}

impl Browser {
    /// Name and value of its first cookie there.
    pub fn first_cookie(&self, host: &str) -> (String, String) {
        let ((_, name), value) = self.cookies.iter().find(|((own, _), _)| own == host).unwrap();
        (name.clone(), value.clone())
    }

    pub fn has(&self, host: &str, name: &str) -> bool {
        self.cookies.contains_key(&(host.to_owned(), name.to_owned()))
    }
}
