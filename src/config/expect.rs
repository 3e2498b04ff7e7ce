//! `[[expect]]`: reads what must come out, and tries it. Judges by `policy` alone, on people of the file.

use std::sync::Arc;

use http::Method;
use url::Url;

use super::mistake::{Mistake, Place};
use super::reader::Reader;
use super::settings::{Expect, Loaded, Outcome};
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::Identity;
use crate::identity::Profile;
use crate::policy::Asker;
use crate::policy::Host;
use crate::policy::Refusal;
use crate::policy::Route;
use crate::policy::Sites;
use crate::policy::Target;
use crate::policy::decide;

/// Reads all `[[expect]]`; hosts must belong to a site.
pub fn expects(root: &Reader<'_>, sites: &Sites) -> Vec<Expect> {
    let read = |table| one(&Reader::new(table, "expect", root.log), sites);
    root.tables("expect").filter_map(read).collect()
}

fn one(reader: &Reader<'_>, sites: &Sites) -> Option<Expect> {
    const REQUEST_CURE: &str = "write \"GET https://wiki.example.com/path\"";
    let person = reader.required("person", "write an address, or \"nobody\"").and_then(|text| match text {
        "nobody" => Some(None),
        _ => EmailAddress::parse(text)
            .map(Some)
            .map_err(|error| {
                reader.wrong(
                    "person",
                    format!("{text:?} is no address"),
                    format!("{error}; or write \"nobody\""),
                );
            })
            .ok(),
    });
    let words =
        [("allow", Some(Outcome::Allow)), ("deny", Some(Outcome::Deny)), ("sign-in", Some(Outcome::SignIn))];
    if !reader.has("result") {
        reader.required("result", "write \"allow\", \"deny\" or \"sign-in\"");
    }
    let result = reader.choice("result", None, &words);
    let request = reader.required("request", REQUEST_CURE).and_then(|text| match parse_request(text) {
        Ok((method, url, target)) if sites.by_host(&target.host).is_some() => Some((method, url)),
        Ok((_, _, target)) => {
            let what = format!("no site has the host {}", target.host);
            reader.wrong("request", what, "name a host of a site's url or app");
            None
        }
        Err(what) => {
            reader.wrong("request", what, REQUEST_CURE);
            None
        }
    });
    let line = match &reader.table.place {
        Place::File { line, .. } => *line,
        Place::Whole | Place::Environment(_) | Place::Credential(_) => 0,
    };
    let (method, url) = request?;
    Some(Expect { person: person?, method, url, result: result?, line })
}

/// `GET https://host/path`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_request(text: &str) -> Result<(Method, String, Target), String> {
    let (method, address) = text.trim().split_once(' ').unwrap_or(("GET", text.trim()));
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("{method:?} is no method"))?;
    let address = address.trim();
    let url = Url::parse(address).map_err(|_| format!("{address:?} is no address"))?;
    let secure = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(format!("{address:?} is no web address")),
    };
    // The path is taken as written: `Url` would tidy up what an attacker would send.
    let rest = address.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
    let split = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let target =
        Target::parse(secure, authority, &path).map_err(|error| format!("{address:?}: {error:?}"))?;
    Ok((method, address.to_owned(), target))
}

/// A decision and what led to it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What comes out.
    pub outcome: Outcome,
    /// The host that was asked; `None`: unknown.
    pub host: Option<Host>,
    /// The rule that matched, and its number from one; `None`: none did, or the path is odd.
    pub route: Option<(usize, Arc<Route>)>,
    /// Why, for people.
    pub why: String,
    /// The person as rules see them; `None`: nobody, or switched off.
    pub who: Option<Arc<Identity>>,
}

/// Asks the judge what happens to a request.
#[must_use]
pub fn judge(
    sites: &Sites,
    person: Option<(&EmailAddress, Option<&Profile>)>,
    method: &Method,
    target: &Target,
    client: Option<std::net::IpAddr>,
    now: Timestamp,
) -> Judged {
    let Some(host) = sites.by_host(&target.host) else {
        let why = format!("no site has the host {}", target.host);
        return Judged { outcome: Outcome::Deny, host: None, route: None, why, who: None };
    };
    let identity = person.map(|(email, stored)| host.site.identity(email, stored, now));
    let off = matches!(identity, Some(None));
    // A session exists only for those who may sign in.
    let who = identity.flatten().filter(|who| host.site.may_sign_in(who)).map(Arc::new);
    let refused = person.is_some() && who.is_none();
    let ask = |by_bearer| {
        let asker = who.as_ref().map(|identity| Asker { identity, by_bearer });
        decide(host, target, method, client, asker)
    };
    // By the session cookie; where the rule does not take it, by a token.
    let decision = match ask(false) {
        Err(Refusal::SignIn) if who.is_some() => ask(true),
        decision => decision,
    };
    let route =
        host.app.as_ref().filter(|_| !target.odd).and_then(|app| app.route_for(&target.path, method, client));
    let (outcome, why) = match &decision {
        Ok(permitted) if permitted.identity().is_some() => {
            (Outcome::Allow, "every list admits this person".into())
        }
        Ok(_) => (Outcome::Allow, "the rule is public; the app is told no name".into()),
        // Another proxy asks us, and gets a yes.
        Err(Refusal::NoApp) if host.app.is_some() => {
            (Outcome::Allow, "the rule lets it pass; the proxy that asks forwards it".into())
        }
        Err(Refusal::NoApp) => (Outcome::Deny, "no app lives on this host, only linkgate's own pages".into()),
        Err(Refusal::Denied) => (Outcome::Deny, "the rule lets nobody pass".into()),
        Err(Refusal::SignOut) => {
            (Outcome::Deny, "this is the app's sign-out address: the session ends".into())
        }
        Err(Refusal::NotAllowed) => {
            (Outcome::Deny, "the app's or the rule's allow does not list this person".into())
        }
        Err(Refusal::SignIn) if off => {
            (Outcome::Deny, "this person is switched off, or their time has run out".into())
        }
        Err(Refusal::SignIn) if refused => {
            (Outcome::Deny, format!("no entry of the allow of site {:?} lists this person", host.site.name))
        }
        Err(Refusal::SignIn) => (Outcome::SignIn, "nobody is signed in, and the rule wants somebody".into()),
    };
    let route = route.map(|(index, route)| (index + 1, Arc::clone(route)));
    Judged { outcome, host: Some(host.clone()), route, why, who }
}

impl Loaded {
    /// Tries every `[[expect]]`; what does not come out as written is a mistake.
    ///
    /// # Errors
    /// Never empty.
    pub fn try_expectations(&self, now: Timestamp) -> Result<usize, Vec<Mistake>> {
        let mistake = |expect: &Expect, what: String| Mistake {
            place: Place::File { line: expect.line, column: 1 },
            key: "expect".into(),
            what,
            cure: format!(
                "see linkgate explain {} \"{} {}\"",
                person_name(expect),
                expect.method,
                expect.url
            ),
        };
        let sites = self.judge_sites();
        let mut failed = Vec::new();
        for expect in &self.expects {
            match parse_request(&format!("{} {}", expect.method, expect.url)) {
                Ok((method, _, target)) => {
                    let person = expect.person.as_ref().map(|person| (person, None));
                    let judged = judge(&sites, person, &method, &target, None, now);
                    if judged.outcome != expect.result {
                        let what = format!(
                            "expected {} for {}, but the answer is {}: {}",
                            expect.result.word(),
                            person_name(expect),
                            judged.outcome.word(),
                            judged.why
                        );
                        failed.push(mistake(expect, what));
                    }
                }
                Err(what) => failed.push(mistake(expect, what)),
            }
        }
        if failed.is_empty() { Ok(self.expects.len()) } else { Err(failed) }
    }

    /// The sites as the judge wants them.
    #[must_use]
    pub fn judge_sites(&self) -> Sites {
        // `load` has built them once without a mistake.
        Sites::new(self.sites.iter().map(|site| site.site.clone()).collect()).unwrap_or_default()
    }
}

fn person_name(expect: &Expect) -> &str {
    expect.person.as_ref().map_or("nobody", EmailAddress::as_str)
}

impl Outcome {
    /// As written in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::SignIn => "sign-in",
        }
    }
}
