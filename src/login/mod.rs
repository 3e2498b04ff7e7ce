//! Sign-in: ask, letter, link or code, session, hand-over to other hosts, sign-out, start page. Never forwards a
//! request, never judges a person (that is `policy`), never sends mail (that is `mail`), never lets a mail scanner in.
//!
//! | path | does |
//! |---|---|
//! | `/login` | the form, the waiting page; asking for a link |
//! | `/login/status` | lets the waiting page go on |
//! | `/verify` | links and codes |
//! | `/enter` | a session from the sign-in host |
//! | `/logout`, `/sessions/end` | ends sessions |
//! | `/session` | who am I |
//! | `/` | start page |
//! | `/assets/…` | style, scripts, pictures |

mod ask;
mod asset;
#[cfg(test)]
mod attacks;
mod call;
mod code;
mod device;
mod door;
mod errors;
#[cfg(test)]
mod fixture;
mod frame;
mod handover;
mod leave;
mod letter;
mod limits;
mod link;
mod nonce;
mod redeem;
mod return_to;
mod session;
mod settings;
mod start;
mod status;
mod steady;
#[cfg(test)]
mod tests;
mod token;
mod verify;
mod visitor;
mod whoami;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use http::HeaderMap;
use http::header;

pub use link::{LinkOptions, MadeLink, MakeLinkError, make_link};
pub use settings::{
    AskLimits, LinkSettings, Look, OtherBrowser, Parts, Remember, SessionSettings, SiteSettings,
};
pub use visitor::{Current, Navigation, Visitor, from_own_page, wants_html};

use crate::clock::Timestamp;
use crate::identity::Keys;
use errors::Problem;
use frame::Frame;
use nonce::Nonce;

/// Largest form taken, in bytes.
const LARGEST_FORM: usize = 16 * 1024;

/// Sign-in for every site of one configuration.
#[derive(Debug)]
pub struct Login {
    parts: Parts,
}

impl Login {
    /// Takes its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts })
    }

    /// What it works with.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Our own pages, without the prefix. Every request must carry a [`Visitor`] among its extensions.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/", get(start::get))
            .route("/login", get(door::get).post(ask::post))
            .route("/login/status", get(status::get))
            .route("/verify", get(verify::get).post(verify::post))
            .route("/enter", get(handover::enter))
            .route("/logout", get(leave::get).post(leave::post))
            .route("/sessions/end", post(leave::end_one))
            .route("/session", get(whoami::get))
            .route("/assets/{name}", get(asset::get))
            .fallback(async || Problem::NotFound)
            .method_not_allowed_fallback(async || Problem::Method)
            .layer(DefaultBodyLimit::max(LARGEST_FORM))
            .layer(middleware::from_fn_with_state(Arc::clone(self), errors::draw))
            .with_state(Arc::clone(self))
    }

    /// A page with the site's face and the guards of our own answers, for rooms that add pages (the demo's inbox).
    #[must_use]
    pub fn page<C: serde::Serialize>(
        &self,
        visitor: &Visitor,
        headers: &HeaderMap,
        page: &str,
        own: C,
    ) -> Response {
        let frame = self.frame(visitor, headers);
        frame.page(http::StatusCode::OK, page, own).unwrap_or_else(IntoResponse::into_response)
    }

    fn frame<'a>(&'a self, visitor: &'a Visitor, headers: &HeaderMap) -> Frame<'a> {
        let wish = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Frame {
            site: &visitor.site,
            prefix: &self.parts.prefix,
            lang: visitor.site.pages.negotiate(wish, &visitor.site.language),
            secure: visitor.origin.secure(),
            html: wants_html(headers),
            reference: &visitor.request_id,
            nonce: self.parts.random.bytes(),
        }
    }
}

/// The browser's nonce on the visitor's host: of several cookies of that name exactly one must be good.
fn nonce_of(visitor: &Visitor, headers: &HeaderMap, keys: &Keys, now: Timestamp) -> Option<Nonce> {
    let (site, origin) = (&visitor.site.site.name, visitor.origin.as_str());
    call::one_good(headers, &visitor.cookies.nonce, |text| Nonce::read(keys, site, origin, text, now))
}
