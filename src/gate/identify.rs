//! Who asks: session cookie or bearer token to person. Never asks a store: signature, dates, audience and what is
//! in memory decide. A malformed cookie is no cookie; of several own cookies exactly one must verify.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::HeaderMap;
use http::HeaderValue;
use http::header;

use crate::clock::Timestamp;
use crate::identity::AssertionClaims;
use crate::identity::CookieNames;
use crate::identity::EmailAddress;
use crate::identity::Identity;
use crate::identity::Keyring;
use crate::identity::SessionClaims;
use crate::identity::SessionId;
use crate::identity::Standing;
use crate::identity::TokenKind;
use crate::identity::cookie;
use crate::policy::App;
use crate::policy::Host;
use crate::policy::Route;
use crate::policy::Sites;
use crate::proxy::IdentityHeaderValues;

/// How many passes one worker remembers before it starts anew.
const MOST_PASSES: usize = 20_000;
/// A token longer than this is none of ours (the session cookie is at most 720 bytes).
const LONGEST_TOKEN: usize = 1024;
/// How long an assertion is good for, and when before its end it is made anew. Seconds.
const ASSERTION_SECONDS: i64 = 300;
const ASSERTION_MARGIN: i64 = 60;

/// A verified token, kept while the standing's generation stays the same.
pub struct Pass {
    generation: u64,
    /// What was verified: whether its key still counts is asked again for what stays open.
    token: Rc<str>,
    /// What the token says.
    pub claims: SessionClaims,
    /// The person; shared with the judge.
    pub identity: Arc<Identity>,
    /// The earliest of the token's ends and the person's.
    ends_at: Timestamp,
    told: RefCell<Kept>,
}

/// What was made for a person at first use: one assertion, for a pass is good for one app, and the header values of
/// every way in which its routes tell it.
#[derive(Default)]
struct Kept {
    assertion: Option<(HeaderValue, i64)>,
    values: Vec<(Arc<Route>, Rc<IdentityHeaderValues>)>,
}

/// What an app is told, ready to be copied into a request.
pub struct Told {
    /// Identity headers.
    pub values: Rc<IdentityHeaderValues>,
    /// `Linkgate-Assertion`.
    pub assertion: HeaderValue,
}

/// What was found in a request.
#[derive(Default)]
pub struct Found {
    /// The person who asks.
    pub pass: Option<Rc<Pass>>,
    /// By `Authorization`, not by cookie.
    pub by_bearer: bool,
    /// `Authorization` held a token that we signed: it never reaches the app.
    pub consumed_authorization: bool,
    /// A cookie or token of ours was sent, valid or not.
    pub presented: bool,
}

/// One worker's memory of verified tokens, by their whole bytes. Whoever could make two that collide could sign them.
#[derive(Default)]
pub struct Passes(RefCell<HashMap<Rc<str>, Rc<Pass>, RandomState>>);

/// What identification looks things up in.
pub struct Known<'a> {
    /// Revocations, generations, people.
    pub standing: &'a Standing,
    /// Keys.
    pub keys: &'a Keyring,
    /// Sites.
    pub sites: &'a Sites,
    /// Now.
    pub now: Timestamp,
}

impl Passes {
    /// Looks at cookies and `Authorization` of one request.
    pub fn find(&self, known: &Known<'_>, host: &Host, names: &CookieNames, headers: &HeaderMap) -> Found {
        let mut found = Found::default();
        let mut good = 0;
        for token in cookie::values(headers, &names.session) {
            found.presented = true;
            if let Some(pass) = self.check(known, host, token) {
                good += 1;
                found.pass = Some(pass);
            }
        }
        if good > 1 {
            found.pass = None;
        }
        let mut lines = 0;
        for value in headers.get_all(header::AUTHORIZATION) {
            lines += 1;
            let Some(token) = bearer(value) else { continue };
            let pass = self.check(known, host, token);
            if pass.is_none() && !looks_ours(known, token) {
                continue;
            }
            found.presented = true;
            // Beside other credentials it signs nobody in, and still never reaches the app.
            found.consumed_authorization = true;
            if found.pass.is_none() && good == 0 {
                found.by_bearer = pass.is_some();
                found.pass = pass;
            }
        }
        if lines > 1 && found.by_bearer {
            (found.pass, found.by_bearer) = (None, false);
        }
        found
    }

    fn check(&self, known: &Known<'_>, host: &Host, token: &str) -> Option<Rc<Pass>> {
        if token.is_empty() || token.len() > LONGEST_TOKEN {
            return None;
        }
        // The generation is read before looking: whoever changes the standing raises it after writing.
        let generation = known.standing.generation();
        let cached = self.0.borrow().get(token).filter(|pass| pass.generation == generation).cloned();
        let pass = if let Some(pass) = cached {
            pass
        } else {
            let pass = Rc::new(verify(known, &token.into(), generation)?);
            let mut passes = self.0.borrow_mut();
            if passes.len() >= MOST_PASSES {
                passes.clear();
            }
            passes.insert(Rc::clone(&pass.token), Rc::clone(&pass));
            pass
        };
        pass.is_good(known, host).then_some(pass)
    }
}

fn verify(known: &Known<'_>, token: &Rc<str>, generation: u64) -> Option<Pass> {
    let claims: SessionClaims = known.keys.current().verify(TokenKind::Session, token, known.now).ok()?;
    let id = SessionId::parse(&claims.sid)?;
    let email = EmailAddress::parse(&claims.sub).ok().filter(|email| email.as_str() == claims.sub)?;
    if known.standing.is_revoked(&id)
        || known.standing.person_generation(&claims.iss, &email) != claims.generation
    {
        return None;
    }
    let site = known.sites.by_name(&claims.iss)?;
    let stored = known.standing.profile(&claims.iss, &email);
    let identity = Arc::new(site.identity(&email, stored.as_deref(), known.now)?);
    // Who runs out is out at that moment, whoever notices it.
    let profiles = [site.users.get(&email), stored.as_deref()];
    let until = profiles.into_iter().flatten().filter_map(|profile| profile.until).min();
    let ends_at = until.map_or(claims.ends_at(), |until| until.min(claims.ends_at()));
    let token = Rc::clone(token);
    Some(Pass { generation, token, claims, ends_at, identity, told: RefCell::default() })
}

impl Pass {
    /// The same token, verified with what is known now.
    pub fn again(&self, known: &Known<'_>, host: &Host) -> Option<Self> {
        // Read before looking, as ever.
        let generation = known.standing.generation();
        verify(known, &self.token, generation).filter(|pass| pass.is_good(known, host))
    }

    fn is_good(&self, known: &Known<'_>, host: &Host) -> bool {
        self.claims.aud == host.origin.as_str()
            && self.claims.iss == host.site.name
            && known.now < self.ends_at
    }

    /// The generation of the standing by which it was verified.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// When it is over by itself.
    pub const fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    /// What the app behind `route` is told; the assertion is signed once a session a worker and kept until a minute
    /// before its end.
    pub fn told(
        &self,
        keys: &Keyring,
        host: &Host,
        app: &App,
        route: &Arc<Route>,
        now: Timestamp,
    ) -> Option<Told> {
        let mut kept = self.told.borrow_mut();
        let fresh = kept.assertion.as_ref().filter(|(_, until)| now.seconds() < *until);
        let assertion = if let Some((assertion, _)) = fresh {
            assertion.clone()
        } else {
            let assertion = self.sign(keys, host, app, now)?;
            let until = now.seconds().saturating_add(ASSERTION_SECONDS - ASSERTION_MARGIN);
            kept.assertion = Some((assertion.clone(), until));
            assertion
        };
        let alike = |one: &Arc<Route>| Arc::ptr_eq(one, route) || one.identity == route.identity;
        if let Some((_, values)) = kept.values.iter().find(|(one, _)| alike(one)) {
            return Some(Told { values: Rc::clone(values), assertion });
        }
        let values = Rc::new(IdentityHeaderValues::new(&route.identity, &self.identity));
        kept.values.push((Arc::clone(route), Rc::clone(&values)));
        Some(Told { values, assertion })
    }

    fn sign(&self, keys: &Keyring, host: &Host, app: &App, now: Timestamp) -> Option<HeaderValue> {
        let claims = AssertionClaims {
            iss: host.site.url.as_str().to_owned(),
            aud: app.origin.as_str().to_owned(),
            sub: self.identity.user.clone(),
            email: self.identity.email.as_str().to_owned(),
            name: self.identity.name.clone(),
            groups: self.identity.groups.clone(),
            sid: self.claims.sid.clone(),
            iat: now.seconds(),
            exp: now.seconds().saturating_add(ASSERTION_SECONDS),
        };
        let mut assertion = HeaderValue::from_str(&keys.assertions().sign(&claims).ok()?).ok()?;
        assertion.set_sensitive(true);
        Some(assertion)
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?;
    let scheme = text.get(..7)?;
    scheme.eq_ignore_ascii_case("bearer ").then(|| text.get(7..).unwrap_or_default().trim())
}

/// Whether we signed it, whatever became of it since: such a token is nobody's business but ours.
fn looks_ours(known: &Known<'_>, token: &str) -> bool {
    token.len() <= LONGEST_TOKEN
        && known.keys.current().verify::<SessionClaims>(TokenKind::Session, token, known.now).is_ok()
}
