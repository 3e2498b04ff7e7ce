//! Reads `[groups]`, `[[user]]` and lists of people. Who may pass is said by `policy` alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::mistake::nearest;
use super::reader::Reader;
use super::tree::Table;
use super::values;
use crate::identity::EmailAddress;
use crate::identity::Profile;
use crate::policy::AllowList;
use crate::policy::Groups;

/// The groups and people of one site: its own over the file's.
pub struct People {
    /// `[groups]`.
    pub groups: Groups,
    /// `[[user]]`.
    pub users: HashMap<EmailAddress, Profile>,
}

/// Reads both tables; `site` is the site's own, `root` the file.
pub fn people(root: &Reader<'_>, site: &Reader<'_>) -> People {
    let mut users = HashMap::new();
    for reader in [root, site] {
        let mut seen = BTreeSet::new();
        for table in reader.tables("user") {
            let path = super::schema::join(reader.path, "user");
            let own = Reader::new(table, &path, reader.log);
            if let Some(profile) = user(&own) {
                if !seen.insert(profile.email.clone()) {
                    own.wrong("email", "this person is listed twice", "put everything into one [[user]]");
                }
                users.insert(profile.email.clone(), profile);
            }
        }
    }
    let mut lists: BTreeMap<String, AllowList> = BTreeMap::new();
    for reader in [root, site] {
        let Some(table) = reader.table("groups") else { continue };
        let path = super::schema::join(reader.path, "groups");
        let own = Reader::new(table, &path, reader.log);
        for name in table.entries.keys() {
            if !is_group_name(name) {
                own.wrong(
                    name,
                    "this cannot name a group",
                    "use letters, digits, '.', '_', '-' and '@', at most 64",
                );
            }
            lists.insert(name.clone(), allow_list(&own, name).unwrap_or_default());
        }
    }
    // A group that only a [[user]] names belongs to the file as well: the store may not give it away.
    for name in users.values().flat_map(|profile| &profile.groups) {
        lists.entry(name.clone()).or_default();
    }
    let people = People { groups: Groups(lists.into_iter().collect()), users };
    for reader in [root, site] {
        let Some(table) = reader.table("groups") else { continue };
        let path = super::schema::join(reader.path, "groups");
        let own = Reader::new(table, &path, reader.log);
        // The file's groups may name groups that some site alone has: judged there.
        for name in table.entries.keys() {
            people.check_groups(&own, name);
        }
    }
    people
}

impl People {
    /// Notes every `group:` of a list that nothing defines.
    pub fn check_groups(&self, reader: &Reader<'_>, key: &str) {
        for (index, entry) in reader.list(key).unwrap_or_default().into_iter().enumerate() {
            let Some(name) = entry.trim().strip_prefix("group:").map(str::trim) else { continue };
            if name.is_empty() || self.groups.defines(name) {
                continue;
            }
            let near = nearest(name, self.groups.0.iter().map(|(known, _)| known.as_str()));
            let cure = near.map_or_else(
                || format!("add {name} = [\"alice@example.com\"] to [groups]"),
                |near| format!("did you mean \"group:{near}\"?"),
            );
            reader.wrong_item(key, index, format!("there is no group {name:?}"), cure);
        }
    }
}

fn is_group_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
}

/// Whether a text may go into a header and a page: no control characters, not too long.
pub fn is_plain(text: &str) -> bool {
    text.len() <= 256 && !text.chars().any(char::is_control)
}

fn user(reader: &Reader<'_>) -> Option<Profile> {
    let email = reader.required("email", "write the person's address")?;
    let email = EmailAddress::parse(email)
        .map_err(|error| reader.wrong("email", format!("{email:?} is no address"), error.to_string()))
        .ok();
    let words = |key: &str| {
        let text = reader.text(key).unwrap_or_default();
        if !is_plain(text) {
            reader.wrong(
                key,
                "this is too long, or holds a control character",
                "write at most 256 plain characters",
            );
        }
        text.to_owned()
    };
    let groups = reader.parse_list("groups", |name| {
        if is_group_name(name) {
            Ok(name.to_owned())
        } else {
            Err("name a group: letters, digits, '.', '_', '-' and '@' (without \"group:\")".into())
        }
    });
    let attributes = reader.texts("attributes");
    for (name, text) in &attributes {
        if !is_plain(text) || name.contains(['{', '}', '.']) {
            let cure = "write plain names without dots, and at most 256 plain characters";
            reader.wrong("attributes", format!("{name:?} cannot go into a header"), cure);
        }
    }
    Some(Profile {
        name: words("name"),
        id: words("id"),
        groups,
        attributes: attributes.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
        until: reader.parse("until", values::moment),
        disabled: reader.flag("disabled", false),
        email: email?,
    })
}

/// A list of people. `None`: left out.
pub fn allow_list(reader: &Reader<'_>, key: &str) -> Option<AllowList> {
    let written = reader.list(key)?;
    let mut list = AllowList::default();
    for (index, entry) in written.iter().enumerate() {
        if let Some(file) = entry.strip_prefix("file:") {
            from_file(reader, key, index, file, &mut list);
        } else {
            match AllowList::parse(&[(*entry).to_owned()]) {
                Ok(one) => add(&mut list, one),
                Err((_, cure)) => reader.wrong_item(key, index, "this names nobody", cure),
            }
        }
        if entry.trim() == "*" && written.len() > 1 {
            let cure = "\"*\" lets in anyone with a mailbox: write it alone, or take it out";
            reader.wrong_item(key, index, "the other entries mean nothing beside it", cure);
        }
    }
    Some(list)
}

fn add(list: &mut AllowList, one: AllowList) {
    list.anyone |= one.anyone;
    list.users |= one.users;
    list.addresses.extend(one.addresses);
    list.domains.extend(one.domains);
    list.groups.extend(one.groups);
}

/// `"file:people.txt"`: one entry a line, `#` begins a remark.
fn from_file(reader: &Reader<'_>, key: &str, index: usize, file: &str, list: &mut AllowList) {
    let path = reader.log.path(file.trim());
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let cure = "name a text file with one address a line (relative names are meant from the folder of this file)";
            return reader.wrong_item(key, index, format!("{}: {error}", path.display()), cure);
        }
    };
    for (line, entry) in text.lines().enumerate() {
        let entry = entry.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match AllowList::parse(&[entry.to_owned()]) {
            // A file is often made by other programs: it may name people, not open the house.
            Ok(one) if !one.anyone && !one.users && one.groups.is_empty() => add(list, one),
            Ok(_) => {
                let what = format!("{}:{}: {entry:?}", path.display(), line + 1);
                reader.wrong_item(key, index, what, "a file holds addresses and \"@domains\" only");
            }
            Err((_, cure)) => {
                reader.wrong_item(key, index, format!("{}:{}: {entry:?}", path.display(), line + 1), cure);
            }
        }
    }
}

/// An empty table, for sections that were left out.
pub fn nothing() -> Table {
    Table::default()
}
