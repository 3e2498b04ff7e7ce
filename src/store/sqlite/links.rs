//! Links: kept, looked at, redeemed, revoked. Who may redeem, and from which browser, is the caller's to judge.

use rusqlite::types::ToSql;
use rusqlite::{OptionalExtension as _, Row, named_params, params};

use super::Sqlite;
use super::judged::{self, Objection};
use super::sessions;
use super::sweep;
use super::thread::Tx;
use crate::identity::EmailAddress;
use crate::store::{
    ADDRESS_TRIES, AddressTry, LinkFilter, LinkRecord, LinkState, MadeBy, NewLetter, NewLink, Redeemed,
    Redeemer, StoreError, Which,
};

pub(super) const COLUMNS: &str = "id, token_hash, site, email, nonce_hash, code_seed, return_to, expires_at, uses, \
     by_hand, note, created_at, uses_left, used_at, session, revoked_at, wrong_tries, code_tries, again_used";

/// Holds for a link that lets in at `:now`; the same as [`LinkState::Active`].
pub(super) const LIVE: &str = "revoked_at IS NULL AND (uses_left IS NULL OR uses_left > 0) AND (expires_at IS NULL OR expires_at > :now)";

impl Sqlite {
    pub(in crate::store) async fn put_link(
        &self,
        link: NewLink,
        letter: Option<NewLetter>,
    ) -> Result<(), StoreError> {
        let put = move |tx: &Tx<'_>| {
            put(tx, &link)?;
            match letter {
                Some(letter) => super::letters::put(tx, &letter, &link.id),
                None => Ok(()),
            }
        };
        self.writer.ask(put).await?;
        // On its own: whether it succeeds is nothing to who asked for the link.
        drop(self.writer.send(|tx| sweep::sweep(tx, tx.now)));
        Ok(())
    }

    /// A turn in the same queue.
    pub(in crate::store) async fn pretend_link(
        &self,
        _link: NewLink,
        _letter: Option<NewLetter>,
    ) -> Result<(), StoreError> {
        self.writer.ask(|_| Ok(())).await
    }

    pub(in crate::store) async fn peek_link(
        &self,
        token_hash: [u8; 32],
    ) -> Result<Option<LinkRecord>, StoreError> {
        self.reader.ask(move |tx| by_token(tx, token_hash)).await
    }

    pub(in crate::store) async fn redeem(
        &self,
        token_hash: [u8; 32],
        by: Redeemer,
    ) -> Result<Redeemed, StoreError> {
        self.redeem_judged(token_hash, by, |_| None).await
    }

    /// As `redeem`; `judge` says what somebody else has against a link that is live.
    pub(in crate::store) async fn redeem_judged(
        &self,
        token_hash: [u8; 32],
        by: Redeemer,
        judge: impl FnOnce(&LinkRecord) -> Option<Objection> + Send + 'static,
    ) -> Result<Redeemed, StoreError> {
        let redeem = move |tx: &Tx<'_>| {
            let Some(link) = by_token(tx, token_hash)? else { return Ok(Redeemed::Unknown) };
            Ok(match link.state(tx.now) {
                LinkState::Revoked => Redeemed::Revoked(link),
                LinkState::Used => Redeemed::Used(link),
                LinkState::Expired => Redeemed::Expired(link),
                LinkState::Active => match judge(&link) {
                    Some(objection) => judged::apply(tx, &link, objection)?,
                    None => Redeemed::Redeemed(spend(tx, &link, &by)?),
                },
            })
        };
        self.writer.ask(redeem).await
    }

    pub(in crate::store) async fn try_address(
        &self,
        token_hash: [u8; 32],
        typed: &EmailAddress,
    ) -> Result<AddressTry, StoreError> {
        let typed = typed.clone();
        let attempt = move |tx: &Tx<'_>| {
            let Some(link) = by_token(tx, token_hash)? else { return Ok(AddressTry::Off) };
            if link.wrong_tries >= ADDRESS_TRIES {
                return Ok(AddressTry::Off);
            }
            if link.email == typed {
                return Ok(AddressTry::Right);
            }
            let tries = count_wrong(tx, token_hash)?;
            Ok(AddressTry::Wrong { left: ADDRESS_TRIES.saturating_sub(tries) })
        };
        self.writer.ask(attempt).await
    }

    pub(in crate::store) async fn wrong_address(&self, token_hash: [u8; 32]) -> Result<u32, StoreError> {
        self.writer.ask(move |tx| count_wrong(tx, token_hash)).await
    }

    pub(in crate::store) async fn again_once(
        &self,
        token_hash: [u8; 32],
    ) -> Result<Option<LinkRecord>, StoreError> {
        let again = move |tx: &Tx<'_>| {
            let sql = format!(
                "UPDATE links SET again_used = 1 WHERE token_hash = :hash AND again_used = 0 AND revoked_at IS NULL \
                 AND NOT ({LIVE}) RETURNING {COLUMNS}"
            );
            let mut statement = tx.prepare_cached(&sql)?;
            Ok(statement.query_row(named_params! {":hash": token_hash, ":now": tx.now}, record).optional()?)
        };
        self.writer.ask(again).await
    }

    pub(in crate::store) async fn asked(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
    ) -> Result<Option<LinkRecord>, StoreError> {
        let site = site.to_owned();
        let asked = move |tx: &Tx<'_>| {
            let sql = format!(
                "SELECT {COLUMNS} FROM links WHERE nonce_hash = ?1 AND site = ?2 AND by_hand = 0 \
                 ORDER BY number DESC LIMIT 1"
            );
            let mut statement = tx.prepare_cached(&sql)?;
            Ok(statement.query_row(params![nonce_hash, site], record).optional()?)
        };
        self.reader.ask(asked).await
    }

    pub(in crate::store) async fn list_links(
        &self,
        filter: LinkFilter,
    ) -> Result<Vec<LinkRecord>, StoreError> {
        let list = move |tx: &Tx<'_>| {
            let sql = format!(
                "SELECT {COLUMNS} FROM links WHERE (?1 IS NULL OR site = ?1) AND (?2 IS NULL OR email = ?2) \
                 ORDER BY number DESC"
            );
            let mut statement = tx.prepare_cached(&sql)?;
            let rows = statement.query_map(params![filter.site, filter.email], record)?;
            let wanted = |link: &LinkRecord| filter.state.is_none_or(|state| link.state(tx.now) == state);
            Ok(rows.filter(|row| row.as_ref().map_or(true, wanted)).collect::<Result<_, _>>()?)
        };
        self.reader.ask(list).await
    }

    pub(in crate::store) async fn revoke_links(&self, which: Which) -> Result<u64, StoreError> {
        let revoke = move |tx: &Tx<'_>| match which {
            Which::Ids(ids) => {
                let mut revoked = 0;
                for id in ids {
                    revoked += revoke(tx, "id = ?2", &[&id])?;
                }
                Ok(revoked)
            }
            Which::Email(site, email) => {
                revoke(tx, "email = ?2 AND (?3 IS NULL OR site = ?3)", &[&email, &site])
            }
            Which::All(site) => revoke(tx, "(?2 IS NULL OR site = ?2)", &[&site]),
        };
        self.writer.ask(revoke).await
    }
}

fn put(tx: &Tx<'_>, link: &NewLink) -> Result<(), StoreError> {
    // Spelt out, so that no column can be forgotten: the two lists below are read side by side.
    tx.prepare_cached(
        "INSERT INTO links (id, token_hash, site, email, nonce_hash, code_tag, code_seed, return_to, created_at, \
           expires_at, uses, uses_left, by_hand, note, code_tries) \
         VALUES (:id, :token_hash, :site, :email, :nonce_hash, :code_tag, :code_seed, :return_to, :now, \
           :expires_at, :uses, :uses, :by_hand, :note, \
           coalesce((SELECT max(code_tries) FROM links WHERE nonce_hash = :nonce_hash AND site = :site \
             AND email = :email AND code_seed = :code_seed), 0))",
    )?
    .execute(named_params! {
        ":id": link.id,
        ":token_hash": link.token_hash,
        ":site": link.site,
        ":email": link.email,
        ":nonce_hash": link.nonce_hash,
        ":code_tag": link.code_tag,
        ":code_seed": link.code_seed,
        ":return_to": link.return_to,
        ":now": tx.now,
        ":expires_at": link.expires_at,
        ":uses": link.uses,
        ":by_hand": link.made_by == MadeBy::Administrator,
        ":note": link.note,
    })?;
    Ok(())
}

/// Spends one use of a link that was found live in this same transaction, and begins the session.
pub(super) fn spend(tx: &Tx<'_>, link: &LinkRecord, by: &Redeemer) -> Result<LinkRecord, StoreError> {
    let sql = format!(
        "UPDATE links SET uses_left = uses_left - 1, used_at = :now, session = :session \
         WHERE token_hash = :hash AND {LIVE} RETURNING {COLUMNS}"
    );
    let spent = tx
        .prepare_cached(&sql)?
        .query_row(named_params! {":now": tx.now, ":session": by.session, ":hash": link.token_hash}, record)
        .optional()?
        // The transaction is exclusive, so this cannot be; if it ever were, nobody is let in.
        .ok_or_else(|| StoreError::Invalid("the link changed while it was redeemed".to_owned()))?;
    super::codes::void(tx, link)?;
    sessions::put(tx, &spent, by)?;
    Ok(spent)
}

pub(super) fn by_token(tx: &Tx<'_>, token_hash: [u8; 32]) -> Result<Option<LinkRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM links WHERE token_hash = ?1");
    Ok(tx.prepare_cached(&sql)?.query_row([token_hash], record).optional()?)
}

/// The count after this one; the limit at once for a link that does not exist.
fn count_wrong(tx: &Tx<'_>, token_hash: [u8; 32]) -> Result<u32, StoreError> {
    let counted = tx
        .prepare_cached(
            "UPDATE links SET wrong_tries = wrong_tries + 1 WHERE token_hash = ?1 RETURNING wrong_tries",
        )?
        .query_row([token_hash], |row| row.get(0))
        .optional()?;
    Ok(counted.unwrap_or(ADDRESS_TRIES))
}

/// Only links that still let in: what was used or expired stays so, and its page can say so. `:now` is the first
/// parameter; `condition` begins to count its own at `?2`.
pub(super) fn revoke(tx: &Tx<'_>, condition: &str, values: &[&dyn ToSql]) -> Result<u64, StoreError> {
    let sql = format!("UPDATE links SET revoked_at = :now WHERE {LIVE} AND {condition} RETURNING id");
    let mut all: Vec<&dyn ToSql> = vec![&tx.now];
    all.extend(values);
    let ids: Vec<String> =
        tx.prepare_cached(&sql)?.query_map(all.as_slice(), |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        super::letters::recall(tx, id)?;
    }
    Ok(super::count(ids.len()))
}

/// Ends every link there is.
pub(super) fn revoke_all(tx: &Tx<'_>) -> Result<u64, StoreError> {
    revoke(tx, "TRUE", &[])
}

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<LinkRecord> {
    Ok(LinkRecord {
        id: row.get("id")?,
        token_hash: row.get("token_hash")?,
        site: row.get("site")?,
        email: row.get("email")?,
        nonce_hash: row.get("nonce_hash")?,
        code_seed: row.get("code_seed")?,
        return_to: row.get("return_to")?,
        expires_at: row.get("expires_at")?,
        uses: row.get("uses")?,
        made_by: if row.get("by_hand")? { MadeBy::Administrator } else { MadeBy::Asked },
        note: row.get("note")?,
        created_at: row.get("created_at")?,
        uses_left: row.get("uses_left")?,
        used_at: row.get("used_at")?,
        session: row.get("session")?,
        revoked_at: row.get("revoked_at")?,
        wrong_tries: row.get("wrong_tries")?,
        code_tries: row.get("code_tries")?,
        again_used: row.get("again_used")?,
    })
}
