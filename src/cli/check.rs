//! `linkgate check`: reads the configuration and the certificates for upstreams, and tries the expectations. Starts
//! nothing.

use super::Failure;
use super::output;
use crate::clock::Clock;
use crate::config::{Loaded, Mistakes};
use crate::proxy::Connectors;

/// The file was read without a mistake before this is called.
pub fn run(loaded: &Loaded) -> Result<(), Failure> {
    if let Some(unmet) = unmet(loaded) {
        return Err(Failure::Usage(unmet));
    }
    Connectors::new(&loaded.judge_sites())
        .map_err(|error| Failure::Usage(format!("{}: {error}", loaded.file.display())))?;
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let apps = loaded.sites.iter().map(|site| site.site.apps.len()).sum();
    output::line(&format!(
        "{}: good; {}, {}, {} met",
        loaded.file.display(),
        count(loaded.sites.len(), "site"),
        count(apps, "app"),
        count(loaded.expects.len(), "expectation"),
    ))
}

/// What `[[expect]]` says and the rules do not; `None`: every expectation is met. Also asked before every reload.
#[must_use]
pub fn unmet(loaded: &Loaded) -> Option<String> {
    let mistakes = loaded.try_expectations(Clock::system().now()).err()?;
    Some(Mistakes::new(loaded.file.clone(), mistakes).to_string())
}
