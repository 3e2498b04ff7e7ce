//! Codes: the short way into a link, from the browser that asked for it. A try is counted in the same step that judges
//! it, so that no number of parallel guesses is more than the limit (class of CVE-2026-32245).

use rusqlite::{OptionalExtension as _, Row, named_params, params};
use std::time::Duration;

use super::Sqlite;
use super::judged::Objection;
use super::links;
use super::thread::Tx;
use crate::identity::EmailAddress;
use crate::secret::same;
use crate::store::{CODE_FAILURES_A_DAY, CODE_TRIES, CodeRedeemed, LinkRecord, Redeemer, StoreError};

pub(super) const DAY: Duration = Duration::from_hours(24);

/// A link of this browser whose code could be the one.
struct Candidate {
    tag: [u8; 32],
    link: LinkRecord,
}

impl Sqlite {
    pub(in crate::store) async fn live_code(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
        email: &EmailAddress,
    ) -> Result<Option<[u8; 8]>, StoreError> {
        let (site, email) = (site.to_owned(), email.clone());
        let seed = move |tx: &Tx<'_>| {
            let sql = format!(
                "SELECT code_seed FROM links WHERE nonce_hash = :nonce AND site = :site AND email = :email \
                 AND code_tag IS NOT NULL AND code_seed IS NOT NULL AND code_tries < :tries AND {} \
                 ORDER BY number DESC LIMIT 1",
                links::LIVE
            );
            let found = tx.prepare_cached(&sql)?.query_row(
                named_params! {
                    ":nonce": nonce_hash, ":site": site, ":email": email, ":tries": CODE_TRIES, ":now": tx.now
                },
                |row| row.get(0),
            );
            Ok(found.optional()?)
        };
        self.reader.ask(seed).await
    }

    pub(in crate::store) async fn redeem_code(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
        code_tag: [u8; 32],
        by: Redeemer,
    ) -> Result<CodeRedeemed, StoreError> {
        self.redeem_code_judged(site, nonce_hash, code_tag, by, |_| None).await
    }

    /// As `redeem_code`; a live link that `judge` has something against is passed over, and so is its code.
    pub(in crate::store) async fn redeem_code_judged(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
        code_tag: [u8; 32],
        by: Redeemer,
        judge: impl Fn(&LinkRecord) -> Option<Objection> + Send + 'static,
    ) -> Result<CodeRedeemed, StoreError> {
        let site = site.to_owned();
        let redeem = move |tx: &Tx<'_>| {
            let mut candidates = candidates(tx, &site, nonce_hash)?;
            candidates.retain(|candidate| judge(&candidate.link).is_none());
            if candidates.is_empty() {
                return Ok(CodeRedeemed::None);
            }
            let mut on = Vec::new();
            for candidate in candidates.drain(..) {
                if is_on(tx, &candidate.link)? {
                    on.push(candidate);
                }
            }
            if on.is_empty() {
                return Ok(CodeRedeemed::Off);
            }
            match on.iter().find(|candidate| same(&candidate.tag, &code_tag)) {
                Some(right) => Ok(CodeRedeemed::Redeemed(links::spend(tx, &right.link, &by)?)),
                None => Ok(CodeRedeemed::Wrong { left: count_wrong(tx, &on)? }),
            }
        };
        self.writer.ask(redeem).await
    }
}

/// Newest first.
fn candidates(tx: &Tx<'_>, site: &str, nonce_hash: [u8; 32]) -> Result<Vec<Candidate>, StoreError> {
    let sql = format!(
        "SELECT code_tag, {} FROM links WHERE nonce_hash = :nonce AND site = :site AND code_tag IS NOT NULL \
         AND {} ORDER BY number DESC",
        links::COLUMNS,
        links::LIVE
    );
    let read = |row: &Row<'_>| Ok(Candidate { tag: row.get("code_tag")?, link: links::record(row)? });
    let mut statement = tx.prepare_cached(&sql)?;
    let rows =
        statement.query_map(named_params! {":nonce": nonce_hash, ":site": site, ":now": tx.now}, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether tries are left, for this code and for its address today.
fn is_on(tx: &Tx<'_>, link: &LinkRecord) -> Result<bool, StoreError> {
    if link.code_tries >= CODE_TRIES {
        return Ok(false);
    }
    let failures: u32 = tx
        .prepare_cached("SELECT count(*) FROM code_failures WHERE site = ?1 AND email = ?2 AND at > ?3")?
        .query_row(params![link.site, link.email, tx.now - DAY], |row| row.get(0))?;
    Ok(failures < CODE_FAILURES_A_DAY)
}

/// Counts one wrong code against every code that it could have been, once each. Says how many tries the best one has left.
fn count_wrong(tx: &Tx<'_>, on: &[Candidate]) -> Result<u32, StoreError> {
    let mut left = 0;
    let mut counted: Vec<(&EmailAddress, Option<[u8; 8]>)> = Vec::new();
    let mut addresses: Vec<&EmailAddress> = Vec::new();
    for Candidate { link, .. } in on {
        let code = (&link.email, link.code_seed);
        // A code without a seed is a code of its own.
        if link.code_seed.is_some() && counted.contains(&code) {
            continue;
        }
        counted.push(code);
        tx.prepare_cached(
            "UPDATE links SET code_tries = code_tries + 1 WHERE token_hash = ?1 \
             OR (nonce_hash = ?2 AND site = ?3 AND email = ?4 AND code_seed = ?5)",
        )?
        .execute(params![
            link.token_hash,
            link.nonce_hash,
            link.site,
            link.email,
            link.code_seed
        ])?;
        left = left.max(CODE_TRIES.saturating_sub(link.code_tries + 1));
        if !addresses.contains(&&link.email) {
            addresses.push(&link.email);
            tx.prepare_cached("INSERT INTO code_failures (site, email, at) VALUES (?1, ?2, ?3)")?
                .execute(params![link.site, link.email, tx.now])?;
        }
    }
    Ok(left)
}

/// A code lets in once: with the link that was redeemed, its code is void in every letter that carried it.
pub(super) fn void(tx: &Tx<'_>, link: &LinkRecord) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE links SET code_tag = NULL, code_seed = NULL WHERE token_hash = ?1 \
         OR (nonce_hash = ?2 AND site = ?3 AND email = ?4 AND code_seed = ?5)",
    )?
    .execute(params![link.token_hash, link.nonce_hash, link.site, link.email, link.code_seed])?;
    Ok(())
}
