//! Lists of people: who is meant by `allow`, `administrators` and `[groups]`. An empty list means nobody.

use std::collections::BTreeSet;
use std::collections::HashSet;

use crate::identity::EmailAddress;
use crate::identity::Identity;
use crate::identity::canonical_domain;

/// A list as written in the configuration, ready for look-ups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    /// `"*"`: anyone with a mailbox.
    pub anyone: bool,
    /// `"users"`: everybody added as `[[user]]` or by `user add`.
    pub users: bool,
    /// Whole addresses.
    pub addresses: HashSet<EmailAddress>,
    /// `"@example.com"`: the domain itself, not those below it.
    pub domains: HashSet<String>,
    /// `"group:staff"`.
    pub groups: Vec<String>,
}

impl AllowList {
    /// Parses the entries.
    ///
    /// # Errors
    /// The index of the first entry that is none of the forms above, and what to write instead.
    pub fn parse(entries: &[String]) -> Result<Self, (usize, String)> {
        let mut list = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let entry = entry.trim();
            if entry == "*" {
                list.anyone = true;
            } else if entry == "users" {
                list.users = true;
            } else if let Some(group) = entry.strip_prefix("group:") {
                if group.trim().is_empty() {
                    return Err((index, "name the group after \"group:\"".into()));
                }
                list.groups.push(group.trim().to_owned());
            } else if let Some(domain) = entry.strip_prefix('@') {
                let domain = canonical_domain(domain)
                    .ok_or_else(|| (index, format!("{entry:?} is not a domain; write \"@example.com\"")))?;
                list.domains.insert(domain);
            } else {
                let address = EmailAddress::parse(entry).map_err(|error| {
                    (index, format!("{entry:?}: {error}; or write \"@example.com\", \"group:staff\", \"users\" or \"*\""))
                })?;
                list.addresses.insert(address);
            }
        }
        Ok(list)
    }

    /// Whether nobody is on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.anyone
            && !self.users
            && self.addresses.is_empty()
            && self.domains.is_empty()
            && self.groups.is_empty()
    }

    /// Everything on it in one order: equal for equal lists.
    pub(super) fn sorted(&self) -> (bool, bool, Vec<&str>, Vec<&str>, Vec<&str>) {
        let mut addresses: Vec<&str> = self.addresses.iter().map(EmailAddress::as_str).collect();
        let mut domains: Vec<&str> = self.domains.iter().map(String::as_str).collect();
        let mut groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        addresses.sort_unstable();
        domains.sort_unstable();
        groups.sort_unstable();
        groups.dedup();
        (self.anyone, self.users, addresses, domains, groups)
    }

    /// Whether this person is on it.
    #[must_use]
    pub fn admits(&self, who: &Identity) -> bool {
        self.anyone
            || (self.users && who.listed)
            || self.names(&who.email)
            || self.groups.iter().any(|group| who.groups.binary_search(group).is_ok())
    }

    /// Whether the address itself, or its domain, is on it.
    #[must_use]
    pub fn names(&self, email: &EmailAddress) -> bool {
        self.addresses.contains(email) || self.domains.contains(email.domain())
    }
}

/// The groups of `[groups]`: a name and who is in it. A group may name another group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(pub Vec<(String, AllowList)>);

impl Groups {
    /// Every group of a person: those of the profile, and those whose list names the address. Sorted, each once.
    #[must_use]
    pub fn of(&self, email: &EmailAddress, listed: bool, own: impl Iterator<Item = String>) -> Vec<String> {
        let mut found: BTreeSet<String> = own.collect();
        // A group may name a group that stands later: go round until nothing is added.
        loop {
            let before = found.len();
            for (name, list) in &self.0 {
                let inside = list.anyone
                    || (list.users && listed)
                    || list.names(email)
                    || list.groups.iter().any(|group| found.contains(group));
                if inside {
                    found.insert(name.clone());
                }
            }
            if found.len() == before {
                return found.into_iter().collect();
            }
        }
    }

    /// Whether the file defines a group of this name.
    #[must_use]
    pub fn defines(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}
