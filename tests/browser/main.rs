//! What a person does and sees, in a real headless Chromium against the real binary. A test that cannot run here fails;
//! `tests/check.sh --install` brings what is missing. With `SCREENSHOTS=FOLDER` every page that is looked at
//! is also put there as a picture.

#[path = "../gateway/harness/mod.rs"]
#[expect(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "the socket-level tests use all of it, these only a part"
)]
mod harness;

mod chrome;
mod detonator;
mod guards;
mod hosts;
mod jupyter;
mod keyboard;
mod links;
mod looks;
mod seldom;
mod sign_in;
mod streams;
