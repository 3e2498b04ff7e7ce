//! The scripts: each runs on one server, whole or not at all, with the moment that judges. Kept in `.lua` files, each of
//! which says its keys, its arguments and its commit point.

use std::sync::Arc;

use aws_lc_rs::digest;

use super::keys::hex;

/// What every script begins with.
const PRELUDE: &str = include_str!("lua/prelude.lua");

/// A script, and the name by which a server knows it.
#[derive(Debug)]
pub(super) struct Script {
    source: String,
    sha1: String,
}

impl Script {
    /// From the text of one file; `fields`: what it answers a link with.
    pub(super) fn new(text: &str, fields: &[&str]) -> Self {
        let fields: Vec<String> = fields.iter().map(|field| format!("'{field}'")).collect();
        let source = format!("local FIELDS = {{{}}}\n{PRELUDE}\n{text}", fields.join(","));
        // SHA-1 is Redis's name for a script, nothing more.
        let sha1 = hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, source.as_bytes()).as_ref());
        Self { source, sha1 }
    }

    /// By its name, which a server that never saw it does not know.
    pub(super) fn by_name(&self, keys: &[String], arguments: &[Vec<u8>]) -> ::redis::Cmd {
        Self::command("EVALSHA", &self.sha1, keys, arguments)
    }

    /// In full; the server remembers it.
    pub(super) fn in_full(&self, keys: &[String], arguments: &[Vec<u8>]) -> ::redis::Cmd {
        Self::command("EVAL", &self.source, keys, arguments)
    }

    fn command(verb: &str, script: &str, keys: &[String], arguments: &[Vec<u8>]) -> ::redis::Cmd {
        let mut command = ::redis::cmd(verb);
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        command
    }
}

/// All scripts, by name.
macro_rules! scripts {
    ($($name:ident,)*) => {
        #[derive(Debug)]
        pub(super) struct Scripts {
            $(pub(super) $name: Arc<Script>,)*
        }

        impl Scripts {
            pub(super) fn new(fields: &[&str]) -> Self {
                Self {
                    $($name: Arc::new(Script::new(
                        include_str!(concat!("lua/", stringify!($name), ".lua")),
                        fields,
                    )),)*
                }
            }
        }
    };
}

scripts! {
    adopt_standing,
    again,
    begin_epoch,
    begin_session,
    code_tries,
    confirm_user,
    confirm_won,
    count_failure,
    drop_letter,
    due_letters,
    forget_session,
    guess_code,
    index,
    keep_epochs,
    lease_letter,
    letter_failed,
    letter_sent,
    mark_session,
    news,
    note_event,
    put_link,
    put_user,
    redeem,
    remove_user,
    retry_letter,
    revoke_link,
    rotate_keys,
    settle_letters,
    spend,
    standing_keep,
    standing_raise,
    standing_revoke,
    sweep_standing,
    touch_session,
    try_address,
    won,
}
