//! `linkgate session`: who is signed in, and ending it. A running gateway follows within a second.

use serde_json::json;

use super::Failure;
use super::arguments::Session;
use super::output;
use super::workbench::{self, Workbench};
use crate::config::Loaded;
use crate::store::{SessionFilter, SessionRecord};

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
            let ended = bench.store.revoke_sessions(which).await?;
            bench.note("session.revoked", &site, email.as_ref(), detail).await?;
            bench.store.confirmed().await?;
            output::line(&format!("{} ended", ended.len()))
        }
    }
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
