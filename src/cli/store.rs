//! `linkgate store`: looks after the store by hand. A running gateway does so once an hour.

use serde_json::json;

use super::Failure;
use super::arguments::Store;
use super::moving;
use super::output;
use super::workbench::Workbench;
use crate::config::Loaded;

/// Does one of them.
pub async fn run(loaded: &Loaded, asked: &Store) -> Result<(), Failure> {
    match asked {
        Store::Cleanup { json } => cleanup(loaded, *json).await,
        Store::Export { file } => moving::export(loaded, file).await,
        Store::Import { file, other_secret } => moving::import(loaded, file, *other_secret).await,
        Store::Claim => {
            let bench = Workbench::open(loaded)?;
            bench.store.claim().await?;
            bench.note("store.claimed", "", None, String::new()).await?;
            output::line("claimed: this linkgate writes to the token service from now on")
        }
    }
}

async fn cleanup(loaded: &Loaded, json: bool) -> Result<(), Failure> {
    let swept = Workbench::open(loaded)?.store.sweep().await?;
    let rows = [
        ("links", swept.links),
        ("sessions", swept.sessions),
        ("tickets", swept.tickets),
        ("letters", swept.letters),
        ("erased", swept.erased),
        ("audit", swept.audit),
    ];
    if json {
        let fields = rows.iter().map(|(name, count)| ((*name).to_owned(), json!(count)));
        return output::json(&serde_json::Value::Object(fields.collect()));
    }
    let words: Vec<String> = rows.iter().map(|(name, count)| format!("{name} {count}")).collect();
    output::line(&format!("removed: {}", words.join(", ")))
}
