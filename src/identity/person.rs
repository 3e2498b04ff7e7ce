//! Who somebody is at one site. Never says what they may do: that is `policy`.

use std::collections::BTreeMap;

use super::EmailAddress;
use crate::clock::Timestamp;

/// What is known of a person beyond the address: from the file's `[[user]]` or the store's `user add`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The canonical address: the key.
    pub email: EmailAddress,
    /// For `Remote-Name`; empty where unknown.
    pub name: String,
    /// For `Remote-User`; empty: the address stands in.
    pub id: String,
    /// Groups named in this profile (not those that the file's `[groups]` give by pattern).
    pub groups: Vec<String>,
    /// For header tables such as `"{attributes.role}"`.
    pub attributes: BTreeMap<String, String>,
    /// After this moment the profile counts as absent; `None`: no end.
    pub until: Option<Timestamp>,
    /// Switched off by an administrator: the person may not sign in, whatever a rule says.
    pub disabled: bool,
}

impl Profile {
    /// A profile that holds nothing but the address.
    #[must_use]
    pub const fn bare(email: EmailAddress) -> Self {
        Self {
            email,
            name: String::new(),
            id: String::new(),
            groups: Vec::new(),
            attributes: BTreeMap::new(),
            until: None,
            disabled: false,
        }
    }
}

/// A signed-in person as rules and apps see them: profile and groups, put together for one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The canonical address.
    pub email: EmailAddress,
    /// Empty where unknown.
    pub name: String,
    /// What `Remote-User` says: the profile's id, else the address.
    pub user: String,
    /// Sorted, each once.
    pub groups: Vec<String>,
    /// As in the profile.
    pub attributes: BTreeMap<String, String>,
    /// True where a `[[user]]` or a `user add` names this person (the rule `users`).
    pub listed: bool,
}
