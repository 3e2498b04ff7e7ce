//! `linkgate key rotate`: a new signing key. The master secret stays; see `previous_secret_files` for that.

use std::time::Duration;

use super::Failure;
use super::arguments::Key;
use super::output;
use super::workbench::Workbench;
use crate::config::Loaded;
use crate::store::{LinkFilter, LinkState};

/// Links that never end keep the old key for so long.
const FOR_EVER: Duration = Duration::from_hours(100 * 365 * 24);

/// Rotates.
pub async fn run(loaded: &Loaded, asked: &Key) -> Result<(), Failure> {
    let Key::Rotate { now: at_once } = asked;
    let bench = Workbench::open(loaded)?;
    let now = bench.clock.now();
    // Whatever the old key has signed ends by then: sessions, links that were asked for, links made by hand.
    let longest = loaded
        .sites
        .iter()
        .map(|site| site.session.lifetime.max(site.link.lifetime.unwrap_or(FOR_EVER)))
        .max();
    let mut until = now + longest.unwrap_or_default();
    let active = LinkFilter { state: Some(LinkState::Active), ..LinkFilter::default() };
    for link in bench.store.list_links(active).await? {
        until = until.max(link.expires_at.unwrap_or(now + FOR_EVER));
    }
    let epoch = bench.store.rotate_keys(*at_once, until).await?;
    let what = if *at_once { "key.replaced" } else { "key.rotated" };
    bench.note(what, "", None, epoch.id.clone()).await?;
    bench.store.confirmed().await?;
    if *at_once {
        return output::line(&format!("{}: every session and every link has ended", epoch.id));
    }
    output::line(&format!(
        "{}: the old keys are believed until {}",
        epoch.id,
        output::moment(Some(until), now)
    ))
}
