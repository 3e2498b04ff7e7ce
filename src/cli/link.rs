//! `linkgate link`: links made by hand, lists, revocation. A link is printed once, where it is made.

use serde_json::json;

use super::Failure;
use super::arguments::Link;
use super::output;
use super::workbench::{self, Workbench};
use crate::clock::Timestamp;
use crate::config::{Loaded, values};
use crate::login::{LinkOptions, make_link};
use crate::store::{LinkFilter, LinkRecord, LinkState, MadeBy};

/// Does one of them.
pub async fn run(loaded: &Loaded, asked: Link) -> Result<(), Failure> {
    match asked {
        Link::Create { email, site, expires, uses, return_to, send, note, json } => {
            let lifetime = values::duration(&expires)
                .map_err(|cure| Failure::Usage(format!("--expires {expires}: {cure}, or never")))?;
            let uses =
                match uses.as_str() {
                    "unlimited" => None,
                    number => Some(number.parse().map_err(|_| {
                        Failure::Usage(format!("--uses {number}: write a number, or unlimited"))
                    })?),
                };
            let options = LinkOptions { lifetime, uses, return_to, send, note };
            create(loaded, &email, site.as_deref(), options, json).await
        }
        Link::List { site, email, state, json } => {
            let filter = LinkFilter {
                site: workbench::site_name(loaded, site.as_deref())?,
                email: email.as_deref().map(output::address).transpose()?,
                state: state.as_deref().and_then(parse_state),
            };
            let bench = Workbench::open(loaded)?;
            list(&bench.store.list_links(filter).await?, bench.clock.now(), json)
        }
        Link::Revoke(asked) => {
            let which = workbench::which(loaded, asked)?;
            let bench = Workbench::open(loaded)?;
            let (site, email, detail) = workbench::said(&which);
            let count = bench.store.revoke_links(which).await?;
            bench.note("link.revoked", &site, email.as_ref(), detail).await?;
            bench.store.confirmed().await?;
            output::line(&format!("{count} revoked"))
        }
    }
}

async fn create(
    loaded: &Loaded,
    email: &str,
    site: Option<&str>,
    options: LinkOptions,
    json: bool,
) -> Result<(), Failure> {
    let email = output::address(email)?;
    let site = loaded.site(site).map_err(Failure::Usage)?.site.name.clone();
    let bench = Workbench::open(loaded)?;
    let parts = bench.parts(loaded).await?;
    let uses = options.uses;
    let sent = options.send;
    let made = make_link(&parts, &site, &email, options)
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    bench.note("link.created", &site, Some(&email), made.id.clone()).await?;
    if json {
        return output::json(&json!({
            "id": made.id,
            "link": made.url,
            "expires_at": output::json_moment(made.expires_at),
            "single_use": uses == Some(1),
        }));
    }
    output::line(&format!(
        "{}\n\nid       {}\nexpires  {}\nuses     {}",
        made.url,
        made.id,
        output::moment(made.expires_at, bench.clock.now()),
        uses.map_or_else(|| "unlimited".to_owned(), |uses| uses.to_string()),
    ))?;
    if sent {
        output::remark("the letter is in the outbox; a running linkgate sends it")?;
    }
    Ok(())
}

fn parse_state(word: &str) -> Option<LinkState> {
    [LinkState::Active, LinkState::Used, LinkState::Expired, LinkState::Revoked]
        .into_iter()
        .find(|state| name(*state) == word)
}

const fn name(state: LinkState) -> &'static str {
    match state {
        LinkState::Active => "active",
        LinkState::Used => "used",
        LinkState::Expired => "expired",
        LinkState::Revoked => "revoked",
    }
}

fn list(links: &[LinkRecord], now: Timestamp, json: bool) -> Result<(), Failure> {
    if json {
        let rows = links.iter().map(|link| {
            json!({
                "id": link.id,
                "site": link.site,
                "email": link.email.as_str(),
                "state": name(link.state(now)),
                "made_by": if link.made_by == MadeBy::Administrator { "administrator" } else { "asked" },
                "created_at": output::json_moment(Some(link.created_at)),
                "expires_at": output::json_moment(link.expires_at),
                "used_at": output::json_moment(link.used_at),
                "uses_left": link.uses_left,
                "return_to": link.return_to,
                "note": link.note,
            })
        });
        return output::json(&rows.collect());
    }
    let row = |link: &LinkRecord| {
        vec![
            link.id.clone(),
            link.site.clone(),
            link.email.to_string(),
            name(link.state(now)).to_owned(),
            output::moment(Some(link.created_at), now),
            output::moment(link.expires_at, now),
            link.uses_left.map_or_else(|| "unlimited".to_owned(), |left| left.to_string()),
            link.note.clone(),
        ]
    };
    let head = ["ID", "SITE", "EMAIL", "STATE", "MADE", "EXPIRES", "USES LEFT", "NOTE"];
    output::table(&head, &links.iter().map(row).collect::<Vec<_>>())
}
