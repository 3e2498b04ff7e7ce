//! The nouns of the store's verbs. Plain values: nothing here reads or writes.

use std::fmt;
use std::time::Duration;

use super::generations::Generations;
use crate::clock::Timestamp;
use crate::identity::Change;
use crate::identity::EmailAddress;
use crate::identity::SessionId;

/// Wrong addresses that one link takes before it takes no typed address any more.
pub const ADDRESS_TRIES: u32 = 5;
/// Wrong codes that one code takes before it is off.
pub const CODE_TRIES: u32 = 5;
/// Wrong codes for one address in 24 hours that turn all its codes off (never its links).
pub const CODE_FAILURES_A_DAY: u32 = 20;
/// How long a key epoch that has ended is kept, so that a process that was away meanwhile hears of its end and does not
/// take it for lost: longer than anything that it signed may be good for.
pub(super) const EPOCHS_REMEMBERED: Duration = Duration::from_hours(10 * 366 * 24);

/// Who made a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeBy {
    /// Somebody asked for it on the sign-in page.
    Asked,
    /// An administrator made it by hand.
    Administrator,
}

/// A link to keep.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Public name, UUID v4: what people list and revoke by.
    pub id: String,
    /// SHA-256 of the token's 32 random bytes.
    pub token_hash: [u8; 32],
    /// The site's name.
    pub site: String,
    /// Whom it lets in.
    pub email: EmailAddress,
    /// SHA-256 of the nonce of the browser that asked; `None`: made by hand.
    pub nonce_hash: Option<[u8; 32]>,
    /// What a typed code is compared with; `None`: the letter carries no code.
    pub code_tag: Option<[u8; 32]>,
    /// From which the code is derived again for another letter; goes with `code_tag`.
    pub code_seed: Option<[u8; 8]>,
    /// Where the person wanted to go; empty: the site's start.
    pub return_to: String,
    /// Not valid from this moment on; `None`: never ends.
    pub expires_at: Option<Timestamp>,
    /// How often it lets in; `None`: without limit.
    pub uses: Option<u32>,
    /// Asked for, or made by hand.
    pub made_by: MadeBy,
    /// An administrator's note; may be empty.
    pub note: String,
}

/// A link as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRecord {
    /// Public name, UUID v4.
    pub id: String,
    /// SHA-256 of the token's 32 random bytes.
    pub token_hash: [u8; 32],
    /// The site's name.
    pub site: String,
    /// Whom it lets in.
    pub email: EmailAddress,
    /// SHA-256 of the nonce of the browser that asked; `None`: made by hand.
    pub nonce_hash: Option<[u8; 32]>,
    /// `None`: no code, or the code has been used.
    pub code_seed: Option<[u8; 8]>,
    /// Where the person wanted to go; empty: the site's start.
    pub return_to: String,
    /// Not valid from this moment on; `None`: never ends.
    pub expires_at: Option<Timestamp>,
    /// How often it lets in; `None`: without limit.
    pub uses: Option<u32>,
    /// Asked for, or made by hand.
    pub made_by: MadeBy,
    /// An administrator's note; may be empty.
    pub note: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Zero: used up; `None`: without limit.
    pub uses_left: Option<u32>,
    /// When it was used last.
    pub used_at: Option<Timestamp>,
    /// The session that the last use made.
    pub session: Option<SessionId>,
    /// When somebody took it back.
    pub revoked_at: Option<Timestamp>,
    /// Wrong addresses typed for it.
    pub wrong_tries: u32,
    /// Wrong codes typed for it.
    pub code_tries: u32,
    /// Its one fresh letter has been asked for.
    pub again_used: bool,
}

impl LinkRecord {
    /// What has become of it at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> LinkState {
        if self.revoked_at.is_some() {
            LinkState::Revoked
        } else if self.uses_left == Some(0) {
            LinkState::Used
        } else if self.expires_at.is_some_and(|end| end <= now) {
            LinkState::Expired
        } else {
            LinkState::Active
        }
    }
}

/// What has become of a link. The first that holds, in this order: revoked, used, expired, active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Lets in.
    Active,
    /// Used up.
    Used,
    /// Past its end.
    Expired,
    /// Taken back.
    Revoked,
}

/// Which links to list; the default is all.
#[derive(Clone, Debug, Default)]
pub struct LinkFilter {
    /// `None`: of every site.
    pub site: Option<String>,
    /// `None`: of everybody.
    pub email: Option<EmailAddress>,
    /// `None`: in any state.
    pub state: Option<LinkState>,
}

/// Which records a revocation is about.
#[derive(Clone, Debug)]
pub enum Which {
    /// By public name. Unknown names are passed over.
    Ids(Vec<String>),
    /// All of one person, at one site or at every site (`None`).
    Email(Option<String>, EmailAddress),
    /// All of one site, or all there are (`None`).
    All(Option<String>),
}

/// Who redeems, and the session that begins.
#[derive(Clone, Debug)]
pub struct Redeemer {
    /// The id of the new session.
    pub session: SessionId,
    /// The generation of whoever it turns out to be, which record and token carry.
    pub generations: Generations,
    /// Absolute end.
    pub ends_at: Timestamp,
    /// First idle end.
    pub idle_until: Timestamp,
    /// The browser in words, for the list of devices.
    pub device: String,
    /// The client's address, for the list of devices.
    pub client: String,
    /// The session that this browser had: ended in the same transaction.
    pub ends: Option<SessionId>,
}

/// What became of redeeming a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// A use is spent, the session exists.
    Redeemed(LinkRecord),
    /// No use was left.
    Used(LinkRecord),
    /// Too late.
    Expired(LinkRecord),
    /// Taken back.
    Revoked(LinkRecord),
    /// No such link (any more).
    Unknown,
}

/// What became of redeeming a code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one a sign-in, matched at once: a box would buy nothing")]
pub enum CodeRedeemed {
    /// A use is spent, the code is void, the session exists.
    Redeemed(LinkRecord),
    /// Counted as wrong.
    Wrong {
        /// Tries left; zero: this was the last.
        left: u32,
    },
    /// Too many wrong codes, for this code or for the address today. Links go on working.
    Off,
    /// No live code for this browser.
    None,
}

/// What became of typing the address that a link was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressTry {
    /// It is the one. Nothing was spent.
    Right,
    /// Counted as wrong.
    Wrong {
        /// Tries left; zero: this was the last.
        left: u32,
    },
    /// Too many wrong addresses, or no such link: it takes no typed address.
    Off,
}

/// A session as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id, in the token too.
    pub id: SessionId,
    /// The site's name.
    pub site: String,
    /// Whose it is.
    pub email: EmailAddress,
    /// Theirs at sign-in; the token carries the same.
    pub generation: u64,
    /// Sign-in.
    pub created_at: Timestamp,
    /// Last renewal.
    pub seen_at: Timestamp,
    /// Absolute end.
    pub ends_at: Timestamp,
    /// Idle end.
    pub idle_until: Timestamp,
    /// The browser in words.
    pub device: String,
    /// The client's address at sign-in.
    pub client: String,
    /// When somebody ended it.
    pub revoked_at: Option<Timestamp>,
}

/// Which sessions to list; the default is all that are kept.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// `None`: of every site.
    pub site: Option<String>,
    /// `None`: of everybody.
    pub email: Option<EmailAddress>,
    /// Only those neither revoked nor past an end.
    pub live: bool,
}

/// A ticket that carries a session to another host of the site.
#[derive(Clone, Debug)]
pub struct NewTicket {
    /// SHA-256 of the ticket.
    pub ticket_hash: [u8; 32],
    /// The session to carry.
    pub session: SessionId,
    /// The only origin that may take it.
    pub origin: String,
    /// SHA-256 of the nonce that the target host set in this browser.
    pub nonce_hash: [u8; 32],
    /// Where the person wanted to go on that host.
    pub return_to: String,
    /// Thirty seconds from now.
    pub expires_at: Timestamp,
}

/// What a ticket was good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketRecord {
    /// The session to carry.
    pub session: SessionId,
    /// Where the person wanted to go on that host.
    pub return_to: String,
}

/// A letter to send.
#[derive(Clone)]
pub struct NewLetter {
    /// UUID.
    pub id: String,
    /// The site's name: says which relay.
    pub site: String,
    /// To whom, for listings.
    pub email: EmailAddress,
    /// The letter, sealed; the store cannot read it.
    pub sealed: Vec<u8>,
    /// Useless from this moment on (the link's end).
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for NewLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewLetter").field("id", &self.id).field("site", &self.site).finish_non_exhaustive()
    }
}

/// A letter in the hands of one sender, until the lease runs out.
#[derive(Clone)]
pub struct LeasedLetter {
    /// UUID.
    pub id: String,
    /// The site's name.
    pub site: String,
    /// The letter, sealed.
    pub sealed: Vec<u8>,
    /// Leases so far, this one included.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
    /// Useless from this moment on.
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for LeasedLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedLetter")
            .field("id", &self.id)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// What has become of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterState {
    /// To be sent at `next_at`.
    Waiting,
    /// Somebody is sending it.
    Leased,
    /// Given up; `retry_letters` brings it back while it has its body.
    Dead,
    /// Delivered to the relay.
    Sent,
}

/// A letter as listings show it: without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterRecord {
    /// UUID.
    pub id: String,
    /// The site's name.
    pub site: String,
    /// To whom.
    pub email: EmailAddress,
    /// What has become of it.
    pub state: LetterState,
    /// Leases so far.
    pub attempts: u32,
    /// Waiting: when it is due; leased: when the lease runs out.
    pub next_at: Option<Timestamp>,
    /// What the relay said last; empty: nothing yet.
    pub error: String,
    /// When it was written.
    pub created_at: Timestamp,
}

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// The site's name; empty: none.
    pub site: String,
    /// About whom; empty: nobody.
    pub email: String,
    /// What, as `noun.verb`: `link.redeemed`.
    pub what: String,
    /// The request's reference, which error pages show.
    pub request: String,
    /// The client's address.
    pub client: String,
    /// Anything more, in words.
    pub detail: String,
}

/// Which events to list; the default is all that are kept, oldest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Of one site.
    pub site: Option<String>,
    /// About one person.
    pub email: Option<String>,
    /// Of one request.
    pub request: Option<String>,
    /// At most so many, the newest; `None`: all.
    pub limit: Option<u32>,
}

/// What has changed in what `snapshot` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// This, and nothing else.
    Told {
        /// The version now.
        version: i64,
        /// What has changed.
        change: Change,
    },
    /// Read the snapshot.
    Much,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many at once; zero: never.
    pub count: u32,
    /// In how long they come back.
    pub per: Duration,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Links gone for seven days.
    pub links: u64,
    /// Sessions past their absolute end.
    pub sessions: u64,
    /// Tickets nobody took.
    pub tickets: u64,
    /// Letters done with for seven days.
    pub letters: u64,
    /// Letters whose body was erased because they came too late.
    pub erased: u64,
    /// Audit events over a year old.
    pub audit: u64,
}
