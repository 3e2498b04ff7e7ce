//! What is asked of the thread that speaks to the token service, and how it is answered. Decides nothing.

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::store::sqlite::Objection;
use crate::store::{CodeRedeemed, LinkRecord, NewLetter, NewLink, Redeemed, Redeemer, StoreError};

/// Where an answer goes. Who asked may have gone.
pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What somebody wants.
pub(super) enum Ask {
    Put {
        link: NewLink,
        letter: Option<NewLetter>,
        answer: Answer<()>,
    },
    /// As much work as for a link, but none.
    Pretend {
        link: NewLink,
        answer: Answer<()>,
    },
    Redeem {
        token_hash: [u8; 32],
        by: Redeemer,
        answer: Answer<Redeemed>,
    },
    Code {
        site: String,
        nonce_hash: [u8; 32],
        code_tag: [u8; 32],
        by: Redeemer,
        answer: Answer<CodeRedeemed>,
    },
    /// Tell the service what the ledger knows, and the ledger what the service took away.
    Settle {
        answer: Answer<()>,
    },
    /// Links that came from another store.
    Publish {
        links: Vec<LinkRecord>,
        answer: Answer<()>,
    },
    /// From now on this linkgate is the one that writes.
    Claim {
        answer: Answer<()>,
    },
}

/// With the moment after which nobody waits for it any more.
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) until: Instant,
}

/// What is told to the service in this round, and who is to hear of it.
pub(super) enum Job {
    Put { link: NewLink, letter: Option<NewLetter>, at: Timestamp, answer: Answer<()> },
    Pretend { link: NewLink, at: Timestamp, answer: Answer<()> },
    Spent { link: LinkRecord, by: Redeemer, answer: Spender },
    Settle { answer: Option<Answer<()>> },
    Publish { links: Vec<LinkRecord>, answer: Answer<()> },
    Claim { answer: Answer<()> },
}

/// Who spent a link.
pub(super) enum Spender {
    Link(Answer<Redeemed>),
    Code(Answer<CodeRedeemed>),
}

impl Ask {
    pub(super) fn refuse(self, error: &StoreError) {
        match self {
            Self::Put { answer, .. } | Self::Pretend { answer, .. } => drop(answer.send(Err(away(error)))),
            Self::Redeem { answer, .. } => drop(answer.send(Err(away(error)))),
            Self::Code { answer, .. } => drop(answer.send(Err(away(error)))),
            Self::Settle { answer } | Self::Publish { answer, .. } | Self::Claim { answer } => {
                drop(answer.send(Err(error.clone())));
            }
        }
    }
}

impl Spender {
    pub(super) fn won(self, link: LinkRecord) {
        match self {
            Self::Link(answer) => drop(answer.send(Ok(Redeemed::Redeemed(link)))),
            Self::Code(answer) => drop(answer.send(Ok(CodeRedeemed::Redeemed(link)))),
        }
    }

    pub(super) fn lost(self, error: StoreError) {
        match self {
            Self::Link(answer) => drop(answer.send(Err(error))),
            Self::Code(answer) => drop(answer.send(Err(error))),
        }
    }

    pub(super) fn refused(self, objection: Objection, link: LinkRecord) {
        match self {
            Self::Link(answer) => {
                let refused = match objection {
                    Objection::Revoked => Redeemed::Revoked(link),
                    Objection::Used => Redeemed::Used(link),
                    Objection::Expired(_) => Redeemed::Expired(link),
                    Objection::Unknown(_) => Redeemed::Unknown,
                };
                drop(answer.send(Ok(refused)));
            }
            Self::Code(answer) => drop(answer.send(Ok(CodeRedeemed::None))),
        }
    }
}

/// For who wants to sign in it is all one: not now.
pub(super) fn away(error: &StoreError) -> StoreError {
    match error {
        StoreError::Invalid(why) | StoreError::Corrupt(why) => StoreError::Away(why.clone()),
        StoreError::Away(_) | StoreError::Full => error.clone(),
    }
}
