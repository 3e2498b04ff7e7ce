//! The tables, and how a file of any age becomes one of today. Never touches a file of a newer linkgate, or of another program.

use rusqlite::Connection;
use rusqlite::TransactionBehavior::Immediate;

use crate::store::StoreError;

/// `application_id` of our files: "lgst".
const APPLICATION: i32 = 0x6c67_7374;

/// One script a version, oldest first. A script that was released is never edited: append another.
const MIGRATIONS: &[&str] = &[include_str!("schema-1.sql"), include_str!("schema-2.sql")];

/// Refuses what is not ours or not of our time, before anything is written.
pub(super) fn inspect(connection: &Connection) -> Result<(), StoreError> {
    let number =
        |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(StoreError::from);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let version = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if tables > 0 && application != i64::from(APPLICATION) {
        return Err(StoreError::Invalid(
            "the store's file is an SQLite database of another program; name another file or `state_dir`"
                .to_owned(),
        ));
    }
    if version > known {
        return Err(StoreError::Invalid(format!(
            "the store was written by a newer linkgate (schema {version}, this program knows {known}); \
             install that version again, or restore the backup made before the upgrade"
        )));
    }
    Ok(())
}

/// Brings the schema up to date, in one transaction: a second process waits, then finds nothing to do.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(Immediate).map_err(StoreError::from)?;
    // Another process may have been faster.
    inspect(&transaction)?;
    let version: u32 =
        transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(StoreError::from)?;
    for (number, script) in (1_u32..).zip(MIGRATIONS).filter(|(number, _)| *number > version) {
        transaction.execute_batch(script).map_err(StoreError::from)?;
        transaction.pragma_update(None, "user_version", number).map_err(StoreError::from)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(StoreError::from)?;
    transaction.commit().map_err(StoreError::from)
}
