//! Judges anew what was let pass before: the same question, by the gate in force and what is known now. "Allow" is still
//! said by `policy` alone.

use std::net::IpAddr;
use std::rc::Rc;

use http::Method;

use super::Gate;
use super::identify::Known;
use super::identify::Pass;
use crate::identity::Identity;
use crate::policy::Asker;
use crate::policy::Refusal;
use crate::policy::Target;
use crate::policy::decide;
use crate::proxy::Wish;

/// What was asked, kept for as long as the answer is open.
pub struct Ask {
    pub(super) target: Target,
    pub(super) method: Method,
    /// As rules may know it.
    pub(super) client: Option<IpAddr>,
    /// As whom; `None`: nobody.
    pub(super) pass: Option<Rc<Pass>>,
    pub(super) by_bearer: bool,
    /// Whether the app was told who asks.
    pub(super) told: bool,
    pub(super) wish: Option<Wish>,
}

/// The same, lent.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub(super) target: &'a Target,
    pub(super) method: &'a Method,
    pub(super) client: Option<IpAddr>,
    pub(super) pass: Option<&'a Rc<Pass>>,
    pub(super) by_bearer: bool,
    pub(super) told: bool,
    pub(super) wish: Option<&'a Wish>,
}

impl Ask {
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked {
            target: &self.target,
            method: &self.method,
            client: self.client,
            pass: self.pass.as_ref(),
            by_bearer: self.by_bearer,
            told: self.told,
            wish: self.wish.as_ref(),
        }
    }
}

/// Why something open has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It would not be let pass now.
    Refused(Refusal),
    /// What is known of revocations is too old to go on by it.
    Stale,
}

impl Gate {
    /// Judges again. Returns the person's pass as it is now; `None` for nobody.
    ///
    /// # Errors
    /// [`Over`]: it has to end.
    pub(super) fn judge_again(&self, asked: Asked<'_>) -> Result<Option<Rc<Pass>>, Over> {
        let parts = &self.parts;
        let now = parts.clock.now();
        let host = parts.sites.by_host(&asked.target.host).ok_or(Over::Refused(Refusal::NoApp))?;
        if host.origin.secure() && !asked.target.secure {
            return Err(Over::Refused(Refusal::Denied));
        }
        if asked.pass.is_some() && !self.fresh(now) {
            return Err(Over::Stale);
        }
        let known = Known { standing: &parts.standing, keys: &parts.keys, sites: &parts.sites, now };
        let pass = asked.pass.and_then(|pass| pass.again(&known, host)).map(Rc::new);
        let who = pass.as_ref().map(|pass| Asker { identity: &pass.identity, by_bearer: asked.by_bearer });
        let permitted = decide(host, asked.target, asked.method, asked.client, who).map_err(Over::Refused)?;
        // The app goes on serving whom it was told of.
        let same = match (asked.pass.filter(|_| asked.told), permitted.identity()) {
            (None, _) => true,
            (Some(before), Some(now)) => is_no_less(now, &before.identity),
            (Some(_), None) => false,
        };
        if !same {
            return Err(Over::Refused(Refusal::SignIn));
        }
        if let Some(wish) = asked.wish {
            match wish.is_admitted(permitted.app(), &permitted.route().handling) {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(Over::Refused(Refusal::Denied)),
            }
        }
        Ok(pass)
    }
}

/// Whether all that the app was told of a person still holds. A name may change and groups may be added; what was taken
/// away counts.
fn is_no_less(now: &Identity, before: &Identity) -> bool {
    now.email == before.email
        && now.user == before.user
        && now.attributes == before.attributes
        && before.groups.iter().all(|group| now.groups.contains(group))
}
