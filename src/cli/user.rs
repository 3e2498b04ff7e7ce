//! `linkgate user`: people beyond those in the file. Whether they may sign in is still said by the file's lists.

use serde_json::json;

use super::Failure;
use super::arguments::{Person, User};
use super::output;
use super::workbench::{self, Workbench};
use crate::config::{Loaded, SiteSettings, values};
use crate::identity::EmailAddress;
use crate::identity::Profile;

/// Does one of them.
pub async fn run(loaded: &Loaded, asked: User) -> Result<(), Failure> {
    match asked {
        User::List { site, json } => {
            let site = workbench::site_name(loaded, site.as_deref())?;
            let bench = Workbench::open(loaded)?;
            let people = bench.store.list_users(site.as_deref()).await?;
            list(&people, json)
        }
        User::Add(person) => put(loaded, person, true).await,
        User::Set(person) => put(loaded, person, false).await,
        User::Remove { email, site } => {
            let email = output::address(&email)?;
            let site = &loaded.site(site.as_deref()).map_err(Failure::Usage)?.site;
            let bench = Workbench::open(loaded)?;
            if !bench.store.remove_user(&site.name, &email).await? {
                return Err(Failure::Failed(format!("{email} is not in the store; see linkgate user list")));
            }
            bench.note("user.removed", &site.name, Some(&email), String::new()).await?;
            if site.identity(&email, None, bench.clock.now()).is_some_and(|who| site.may_sign_in(&who)) {
                output::remark(&format!("{email} may still sign in: the file's allow lists this person"))?;
            }
            bench.store.confirmed().await?;
            output::line("removed, sessions ended")
        }
    }
}

async fn put(loaded: &Loaded, person: Person, new: bool) -> Result<(), Failure> {
    let email = output::address(&person.email)?;
    let site = loaded.site(person.site.as_deref()).map_err(Failure::Usage)?;
    let bench = Workbench::open(loaded)?;
    let name = &site.site.name;
    let mut people = bench.store.list_users(Some(name)).await?.into_iter();
    let known = people.find(|(_, profile)| profile.email == email).map(|(_, profile)| profile);
    let profile = match (known, new) {
        (Some(_), true) => {
            return Err(Failure::Failed(format!("{email} is there already; change with: linkgate user set")));
        }
        (None, false) => {
            return Err(Failure::Failed(format!("{email} is not in the store; add with: linkgate user add")));
        }
        (Some(profile), false) => profile,
        (None, true) => Profile::bare(email.clone()),
    };
    let profile = changed(site, profile, person)?;
    bench.store.put_user(name, profile.clone()).await?;
    let what = if new { "user.added" } else { "user.changed" };
    bench.note(what, name, Some(&email), String::new()).await?;
    remark_on(site, &email, &profile, &bench)?;
    bench.store.confirmed().await?;
    output::line(if new { "added" } else { "changed" })
}

fn changed(site: &SiteSettings, mut profile: Profile, person: Person) -> Result<Profile, Failure> {
    let plain = |what: &str, text: String| {
        if text.len() > 256 || text.chars().any(char::is_control) {
            return Err(Failure::Usage(format!("--{what}: write at most 256 plain characters")));
        }
        Ok(text)
    };
    if let Some(name) = person.name {
        profile.name = plain("name", name)?;
    }
    if let Some(id) = person.id {
        profile.id = plain("id", id)?;
    }
    if let Some(groups) = person.groups {
        profile.groups =
            groups.into_iter().map(|group| group.trim().to_owned()).filter(|g| !g.is_empty()).collect();
        for group in &profile.groups {
            let good = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
            if group.len() > 64 || !group.chars().all(good) {
                return Err(Failure::Usage(format!(
                    "--groups {group}: use letters, digits, '.', '_', '-' and '@', at most 64"
                )));
            }
            if site.site.groups.defines(group) {
                return Err(Failure::Failed(format!(
                    "the group {group:?} belongs to the file: rights come from there; add {} to [groups] {group}",
                    profile.email
                )));
            }
        }
    }
    match person.until.as_deref() {
        None => {}
        Some("never") => profile.until = None,
        Some(day) => {
            let moment = values::moment(day)
                .map_err(|cure| Failure::Usage(format!("--until {day}: {cure}, or never")))?;
            profile.until = Some(moment);
        }
    }
    if person.disable || person.enable {
        profile.disabled = person.disable;
    }
    Ok(profile)
}

fn remark_on(
    site: &SiteSettings,
    email: &EmailAddress,
    profile: &Profile,
    bench: &Workbench,
) -> Result<(), Failure> {
    let who = site.site.identity(email, Some(profile), bench.clock.now());
    match who {
        Some(who) if !site.site.may_sign_in(&who) => output::remark(&format!(
            "{email} may not sign in yet: add \"users\" (everybody added) or {:?} to allow of site {:?}",
            email.as_str(),
            site.site.name
        )),
        Some(_) | None => Ok(()),
    }
}

fn list(people: &[(String, Profile)], json: bool) -> Result<(), Failure> {
    if json {
        let rows = people.iter().map(|(site, person)| {
            json!({
                "site": site,
                "email": person.email.as_str(),
                "name": person.name,
                "id": person.id,
                "groups": person.groups,
                "attributes": person.attributes,
                "until": output::json_moment(person.until),
                "disabled": person.disabled,
            })
        });
        return output::json(&rows.collect());
    }
    let row = |(site, person): &(String, Profile)| {
        vec![
            site.clone(),
            person.email.to_string(),
            person.name.clone(),
            person.id.clone(),
            person.groups.join(","),
            person.until.map(values::spoken_moment).unwrap_or_default(),
            if person.disabled { "disabled".into() } else { String::new() },
        ]
    };
    let head = ["SITE", "EMAIL", "NAME", "ID", "GROUPS", "UNTIL", "STATE"];
    output::table(&head, &people.iter().map(row).collect::<Vec<_>>())
}
