//! `linkgate session`: who is signed in, and ending it. A running gateway follows within a second.

use serde_json::json;

use super::Failure;
use super::arguments::Session;
use super::output;
use super::workbench::{self, Workbench};
use crate::config::Loaded;
use crate::identity::EmailAddress;
use crate::identity::LONGEST_SESSION;
use crate::identity::SessionId;
use crate::store::{SessionFilter, SessionRecord, Which};

/// Does one of them.
pub async fn run(loaded: &Loaded, asked: Session) -> Result<(), Failure> {
    match asked {
        Session::List { email, site, json } => {
            let filter = SessionFilter {
                site: workbench::site_name(loaded, site.as_deref())?,
                email: email.as_deref().map(output::address).transpose()?,
                live: true,
            };
            let bench = Workbench::open(loaded)?;
            let now = bench.clock.now();
            let sessions = bench.store.list_sessions(filter).await?;
            if json {
                return output::json(&sessions.iter().map(as_json).collect());
            }
            let row = |session: &SessionRecord| {
                vec![
                    session.id.to_string(),
                    session.site.clone(),
                    session.email.to_string(),
                    output::moment(Some(session.created_at), now),
                    output::moment(Some(session.seen_at), now),
                    output::moment(Some(session.idle_until.min(session.ends_at)), now),
                    session.client.clone(),
                    session.device.clone(),
                ]
            };
            let head = ["ID", "SITE", "EMAIL", "SIGNED IN", "SEEN", "ENDS", "CLIENT", "DEVICE"];
            output::table(&head, &sessions.iter().map(row).collect::<Vec<_>>())
        }
        Session::Revoke(asked) => {
            let which = workbench::which(loaded, asked)?;
            let bench = Workbench::open(loaded)?;
            let (site, email, detail) = workbench::said(&which);
            let ended = match which {
                Which::Ids(ids) => end_ids(&bench, ids).await?,
                Which::Email(site, email) => end_person(&bench, loaded, site, email).await?,
                Which::All(site) => {
                    let ended = bench.store.revoke_sessions(Which::All(site)).await?;
                    // Keys are what nobody's session is without; a generation for each person would be kept for ever.
                    output::remark(
                        "a store that was emptied, or restored from a backup, has no record of some sessions, so these go \
                         on; then end them too, with every link: linkgate key rotate --now",
                    )?;
                    ended.len()
                }
            };
            bench.note("session.revoked", &site, email.as_ref(), detail).await?;
            bench.store.confirmed().await?;
            output::line(&format!("{ended} ended"))
        }
    }
}

/// Sessions by id. One that the store has lost the record of is refused for as long as it could last.
async fn end_ids(bench: &Workbench, ids: Vec<String>) -> Result<usize, Failure> {
    let ended = bench.store.revoke_sessions(Which::Ids(ids.clone())).await?;
    let until = bench.clock.now() + LONGEST_SESSION;
    for text in ids {
        let Some(id) = SessionId::parse(&text) else {
            output::remark(&format!("{text}: no session has such an id; see linkgate session list"))?;
            continue;
        };
        if !ended.contains(&id) && bench.store.refuse_session(id, until).await? {
            output::remark(&format!("{text}: no record of it; it is refused from now on"))?;
        }
    }
    Ok(ended.len())
}

/// All of one person, by the generation: sessions that nobody has a record of end with the others.
async fn end_person(
    bench: &Workbench,
    loaded: &Loaded,
    site: Option<String>,
    email: EmailAddress,
) -> Result<usize, Failure> {
    let known = SessionFilter { site: site.clone(), email: Some(email.clone()), live: true };
    let known = bench.store.list_sessions(known).await?.len();
    let every = || loaded.sites.iter().map(|site| site.site.name.clone()).collect();
    for site in site.clone().map_or_else(every, |site| vec![site]) {
        bench.store.raise_generation(&site, &email).await?;
    }
    // Of sites that the file names no more.
    bench.store.revoke_sessions(Which::Email(site, email)).await?;
    Ok(known)
}

fn as_json(session: &SessionRecord) -> serde_json::Value {
    json!({
        "id": session.id.to_string(),
        "site": session.site,
        "email": session.email.as_str(),
        "created_at": output::json_moment(Some(session.created_at)),
        "seen_at": output::json_moment(Some(session.seen_at)),
        "ends_at": output::json_moment(Some(session.idle_until.min(session.ends_at))),
        "client": session.client,
        "device": session.device,
    })
}
