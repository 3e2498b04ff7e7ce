//! `linkgate mail`: a trial letter, and the outbox. Never shows what a letter says.

use serde_json::json;

use super::Failure;
use super::arguments::{Mail, Queue};
use super::output;
use super::workbench::Workbench;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::mail::Letter;
use crate::mail::Mailer;
use crate::random::Random;
use crate::store::{LetterRecord, LetterState};

/// Does one of them.
pub async fn run(loaded: &Loaded, asked: Mail) -> Result<(), Failure> {
    match asked {
        Mail::Test { address, site } => test(loaded, &address, site.as_deref()).await,
        Mail::Queue { json, order } => {
            let bench = Workbench::open(loaded)?;
            match order {
                None => list(&bench, json).await,
                Some(Queue::Retry { ids }) => {
                    let count = bench.store.retry_letters(&ids).await?;
                    bench.note("letter.retried", "", None, ids.join(" ")).await?;
                    output::line(&format!("{count} waiting again"))
                }
                Some(Queue::Drop { ids }) => {
                    let count = bench.store.drop_letters(&ids).await?;
                    bench.note("letter.dropped", "", None, ids.join(" ")).await?;
                    bench.store.confirmed().await?;
                    output::line(&format!("{count} dropped"))
                }
            }
        }
    }
}

async fn test(loaded: &Loaded, address: &str, site: Option<&str>) -> Result<(), Failure> {
    let to = output::address(address)?;
    let site = loaded.site(site).map_err(Failure::Usage)?;
    let name = &site.site.name;
    let settings = site.mail.as_ref().ok_or_else(|| {
        Failure::Usage(format!("the site {name:?} has no mail; add [mail] with from and url"))
    })?;
    let mailer = Mailer::new(settings)?;
    let letter = Letter {
        site: name.clone(),
        to,
        subject: format!("Trial letter of {name}"),
        text: format!("This is a trial letter of linkgate for {}. Letters arrive.\n", site.site.url),
        html: format!("<p>This is a trial letter of linkgate for {}. Letters arrive.</p>\n", site.site.url),
        message_id: settings.message_id(&Random::system())?,
        created_at: Clock::system().now(),
        link: None,
        code: None,
    };
    let outcome = mailer.send(&letter).await;
    mailer.rest().await;
    let receipt = outcome.map_err(|error| Failure::Failed(error.to_string()))?;
    if let Some(first) = &receipt.first {
        output::remark(&format!("the first way failed, the fallback helped: {first}"))?;
    }
    output::line(format!("taken by {}  {}", receipt.way, receipt.said).trim_end())
}

const fn name(state: LetterState) -> &'static str {
    match state {
        LetterState::Waiting => "waiting",
        LetterState::Leased => "sending",
        LetterState::Dead => "dead",
        LetterState::Sent => "sent",
    }
}

async fn list(bench: &Workbench, json: bool) -> Result<(), Failure> {
    let now = bench.clock.now();
    let letters = bench.store.list_letters().await?;
    if json {
        let rows = letters.iter().map(|letter| {
            json!({
                "id": letter.id,
                "site": letter.site,
                "email": letter.email.as_str(),
                "state": name(letter.state),
                "attempts": letter.attempts,
                "created_at": output::json_moment(Some(letter.created_at)),
                "next_at": output::json_moment(letter.next_at),
                "error": letter.error,
            })
        });
        return output::json(&rows.collect());
    }
    let row = |letter: &LetterRecord| {
        vec![
            letter.id.clone(),
            letter.site.clone(),
            letter.email.to_string(),
            name(letter.state).to_owned(),
            letter.attempts.to_string(),
            output::moment(Some(letter.created_at), now),
            letter.next_at.map(|at| output::moment(Some(at), now)).unwrap_or_default(),
            letter.error.clone(),
        ]
    };
    let head = ["ID", "SITE", "EMAIL", "STATE", "TRIES", "WRITTEN", "NEXT", "ERROR"];
    output::table(&head, &letters.iter().map(row).collect::<Vec<_>>())
}
