//! Redeeming when somebody beside the file has a say: what they object to is judged inside the transaction that would
//! spend the link, and what they took away stays taken away. They can never give.

use rusqlite::{Connection, params};

use super::Sqlite;
use super::links;
use super::thread::Tx;
use crate::clock::Timestamp;
use crate::identity::SessionId;
use crate::random::Random;
use crate::store::{LinkRecord, Redeemed, StoreError, Which};

/// How many turns are remembered: a token service that was put back to an older state may show one of them.
const TURNS: u32 = 100;

/// What somebody has against a link that lets in according to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Objection {
    /// Taken back.
    Revoked,
    /// Used up.
    Used,
    /// Ended at this moment.
    Expired(Timestamp),
    /// They do not know it, or know it otherwise; says why. Nothing is noted: it may be an error of theirs.
    Unknown(&'static str),
}

impl Sqlite {
    /// Notes what was taken away from links that are still live.
    pub(in crate::store) async fn note_objections(
        &self,
        objections: Vec<([u8; 32], Objection)>,
    ) -> Result<(), StoreError> {
        if objections.is_empty() {
            return Ok(());
        }
        let note = move |tx: &Tx<'_>| {
            for (token_hash, objection) in objections {
                if let Some(link) = links::by_token(tx, token_hash)? {
                    apply(tx, &link, objection)?;
                }
            }
            Ok(())
        };
        self.writer.ask(note).await
    }

    /// Ends a session whose cookie nobody will get.
    pub(in crate::store) async fn end_session(&self, id: SessionId) -> Result<(), StoreError> {
        self.revoke_sessions(Which::Ids(vec![id.to_string()])).await.map(drop)
    }

    /// The number by which this file is told from every other one, in hexadecimal.
    pub(in crate::store) fn instance(&self) -> &str {
        &self.instance
    }

    /// A number for each time that somebody began to serve with this file, oldest first. A copy of the file knows those
    /// before it was made, and none that came after.
    pub(in crate::store) async fn turns(&self) -> Result<Vec<i64>, StoreError> {
        let turns = |tx: &Tx<'_>| {
            let mut statement =
                tx.prepare_cached("SELECT value FROM meta WHERE name GLOB 'turn-*' ORDER BY name")?;
            let turns = statement.query_map([], |row| row.get(0))?;
            Ok(turns.collect::<Result<_, _>>()?)
        };
        self.reader.ask(turns).await
    }

    /// Adds one.
    pub(in crate::store) async fn begin_turn(&self) -> Result<(), StoreError> {
        let turn = number(&self.random);
        let begin = move |tx: &Tx<'_>| {
            tx.prepare_cached(
                "INSERT INTO meta SELECT format('turn-%016d', 1 + coalesce(max(substr(name, 6)), 0)), ?1 \
                 FROM meta WHERE name GLOB 'turn-*'",
            )?
            .execute([turn])?;
            tx.prepare_cached(
                "DELETE FROM meta WHERE name GLOB 'turn-*' AND name NOT IN \
                 (SELECT name FROM meta WHERE name GLOB 'turn-*' ORDER BY name DESC LIMIT ?1)",
            )?
            .execute([TURNS])?;
            Ok(())
        };
        self.writer.ask(begin).await
    }
}

/// Makes that number when a file is opened for the first time.
pub(super) fn instance(connection: &Connection, random: &Random) -> Result<String, StoreError> {
    let made = number(random);
    connection.execute("INSERT INTO meta VALUES ('instance', ?1) ON CONFLICT DO NOTHING", [made])?;
    let number: i64 =
        connection.query_row("SELECT value FROM meta WHERE name = 'instance'", [], |row| row.get(0))?;
    Ok(format!("{number:016x}"))
}

fn number(random: &Random) -> i64 {
    i64::from_be_bytes(random.bytes()) & i64::MAX
}

/// Notes an objection, and says what became of redeeming.
pub(super) fn apply(tx: &Tx<'_>, link: &LinkRecord, objection: Objection) -> Result<Redeemed, StoreError> {
    let again = || {
        let link = links::by_token(tx, link.token_hash)?;
        link.ok_or_else(|| StoreError::Invalid("the link went away while it was judged".to_owned()))
    };
    match objection {
        Objection::Revoked => {
            links::revoke(tx, "id = ?2", &[&link.id])?;
            Ok(Redeemed::Revoked(again()?))
        }
        Objection::Used => {
            tx.prepare_cached(
                "UPDATE links SET uses_left = 0, uses = coalesce(uses, 1), used_at = coalesce(used_at, ?2) \
                 WHERE token_hash = ?1",
            )?
            .execute(params![link.token_hash, tx.now])?;
            Ok(Redeemed::Used(again()?))
        }
        Objection::Expired(at) => {
            tx.prepare_cached(
                "UPDATE links SET expires_at = min(coalesce(expires_at, ?2), ?2) WHERE token_hash = ?1",
            )?
            .execute(params![link.token_hash, at])?;
            Ok(Redeemed::Expired(again()?))
        }
        Objection::Unknown(_) => Ok(Redeemed::Unknown),
    }
}
