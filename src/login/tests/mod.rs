//! The promises of sign-in, over the real store and through the router.

mod asking;
mod browser;
mod links;
mod requests;
mod sessions;

use std::time::Duration;

use axum::body::Body;
use http::Method;
use http::Request;
use http::StatusCode;

use super::fixture::Browser;
use super::fixture::HERE;
use super::fixture::PHOTOS;
use super::fixture::World;
use super::*;
use crate::identity::EmailAddress;
use crate::policy::SignIn;
use crate::policy::Target;
use crate::store::AuditFilter;
use crate::store::SessionFilter;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

fn token(link: &str) -> &str {
    link.split_once("token=").unwrap().1
}

fn path_of(link: &str) -> String {
    link.strip_prefix("https://wiki.example.com/.linkgate").unwrap().to_owned()
}
