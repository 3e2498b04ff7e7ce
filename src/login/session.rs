//! Session tokens and their cookie: issued and renewed. Never moves the absolute end, never gives a token for another
//! host than the one that asks.

use std::time::Duration;

use http::HeaderValue;

use super::Login;
use super::Remember;
use super::SessionSettings;
use super::Visitor;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::KeyError;
use crate::identity::Keys;
use crate::identity::SessionClaims;
use crate::identity::SessionId;
use crate::identity::TokenKind;

/// Where people choose, a session that is not to be remembered ends after a day, with the browser at the latest.
const UNREMEMBERED: Duration = Duration::from_hours(24);

/// A session, as it begins or as it is carried on.
pub(super) struct Term<'a> {
    pub id: SessionId,
    pub email: &'a EmailAddress,
    pub generation: u64,
    pub began: Timestamp,
    pub ends_at: Timestamp,
}

/// The absolute end of a session that begins now.
pub(super) fn end(settings: &SessionSettings, now: Timestamp, remember: bool) -> Timestamp {
    match settings.remember {
        Remember::Ask if !remember => now + settings.lifetime.min(UNREMEMBERED),
        Remember::Ask | Remember::Always | Remember::Never => now + settings.lifetime,
    }
}

/// Claims for the visitor's host.
pub(super) fn claims(visitor: &Visitor, term: &Term<'_>, now: Timestamp) -> SessionClaims {
    let idle = now + visitor.site.session.idle;
    SessionClaims {
        sid: term.id.to_string(),
        sub: term.email.as_str().to_owned(),
        iss: visitor.site.site.name.clone(),
        aud: visitor.origin.as_str().to_owned(),
        iat: term.began.seconds(),
        exp: idle.min(term.ends_at).seconds(),
        end: term.ends_at.seconds(),
        generation: term.generation,
    }
}

/// The token.
pub(super) fn token(keys: &Keys, claims: &SessionClaims) -> Result<String, KeyError> {
    keys.sign(TokenKind::Session, claims)
}

/// `Set-Cookie` for a token.
pub(super) fn cookie(visitor: &Visitor, claims: &SessionClaims, token: &str, now: Timestamp) -> String {
    let names = &visitor.cookies;
    let left = claims.ends_at().seconds().saturating_sub(now.seconds());
    names.set(&names.session, token, persistent(&visitor.site.session, claims).then_some(left))
}

fn persistent(settings: &SessionSettings, claims: &SessionClaims) -> bool {
    let long = i64::try_from(UNREMEMBERED.as_secs()).unwrap_or(i64::MAX);
    match settings.remember {
        Remember::Always => true,
        Remember::Ask => claims.end.saturating_sub(claims.iat) > long,
        Remember::Never => false,
    }
}

impl Login {
    /// `Set-Cookie` that carries a session on, once a tenth of the idle time has gone: the same id, the same absolute
    /// end. The store learns of it in the background. Call it for navigations only.
    #[must_use]
    pub fn renew(&self, visitor: &Visitor, claims: &SessionClaims) -> Option<HeaderValue> {
        let now = self.parts.clock.now();
        let idle = visitor.site.session.idle;
        let idle_seconds = i64::try_from(idle.as_secs()).unwrap_or(i64::MAX);
        let exp = now.seconds().saturating_add(idle_seconds).min(claims.end);
        let gained = exp.saturating_sub(claims.exp);
        if now >= claims.ends_at() || gained <= 0 || gained.saturating_mul(10) < idle_seconds {
            return None;
        }
        let id = SessionId::parse(&claims.sid)?;
        let renewed = SessionClaims { exp, ..claims.clone() };
        let token = token(&self.parts.keys.current(), &renewed)
            .inspect_err(|error| tracing::error!(%error, "a session could not be renewed"))
            .ok()?;
        let mut value = HeaderValue::from_str(&cookie(visitor, &renewed, &token, now)).ok()?;
        value.set_sensitive(true);
        let store = self.parts.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.touch_session(id, now, Timestamp::from_seconds(exp)).await {
                tracing::warn!(%error, "a renewal could not be noted");
            }
        });
        Some(value)
    }
}
