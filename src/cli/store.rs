//! `linkgate store`: looks after the store by hand. A running gateway does so once an hour.

use serde_json::json;

use super::Failure;
use super::arguments::Store;
use super::output;
use super::workbench::Workbench;
use crate::config::Loaded;

/// Cleans up.
pub async fn run(loaded: &Loaded, asked: &Store) -> Result<(), Failure> {
    let Store::Cleanup { json } = asked;
    let swept = Workbench::open(loaded)?.store.sweep().await?;
    let rows = [
        ("links", swept.links),
        ("sessions", swept.sessions),
        ("tickets", swept.tickets),
        ("letters", swept.letters),
        ("erased", swept.erased),
        ("audit", swept.audit),
    ];
    if *json {
        let fields = rows.iter().map(|(name, count)| ((*name).to_owned(), json!(count)));
        return output::json(&serde_json::Value::Object(fields.collect()));
    }
    let words: Vec<String> = rows.iter().map(|(name, count)| format!("{name} {count}")).collect();
    output::line(&format!("removed: {}", words.join(", ")))
}
