//! Codes: the short way into a link, from the browser that asked for it. A try is counted before anybody learns whether
//! it was right, so that no number of parallel guesses, at any number of instances, is more than the limit (class of
//! CVE-2026-32245). A code is void once a link that carries it was used: the links say so themselves. Who claims a code and
//! dies before the link is redeemed leaves the code void and the link good.

use std::time::Duration;

use ::redis::Value;

use super::Redis;
use super::bytes;
use super::connection::Ask;
use super::links::alone;
use super::records::Link;
use super::values::{self, answered};
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::secret::same;
use crate::store::{CODE_FAILURES_A_DAY, CODE_TRIES, CodeRedeemed, Redeemed, Redeemer, StoreError};

const DAY: Duration = Duration::from_hours(24);
/// Tries of a code without end are remembered so long.
pub(super) const LONG: Duration = Duration::from_hours(365 * 24);

/// A code of this browser that is live: the newest link that carries it, and all that do.
struct Candidate {
    code: Vec<u8>,
    links: Vec<Link>,
}

impl Redis {
    pub(in crate::store) async fn live_code(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
        email: &EmailAddress,
    ) -> Result<Option<[u8; 8]>, StoreError> {
        let (_, candidates) = self.candidates(site, nonce_hash).await?;
        let mine = candidates.into_iter().filter(|candidate| {
            candidate.newest().is_some_and(|link| link.record.email == *email && link.code_seed.is_some())
        });
        for candidate in mine {
            if self.tries_of(&nonce_hash, &candidate.code).await? < u64::from(CODE_TRIES) {
                return Ok(candidate.newest().and_then(|link| link.code_seed));
            }
        }
        Ok(None)
    }

    /// Commit points: the browser's HASH counts, or gives the right code to one caller; the link's HASH redeems, as sure as
    /// by the link itself. Where that is not confirmed, the code stays claimed: typed again it lets nobody in.
    pub(in crate::store) async fn redeem_code(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
        code_tag: [u8; 32],
        by: Redeemer,
    ) -> Result<CodeRedeemed, StoreError> {
        let (this, site) = (self.clone(), site.to_owned());
        self.begun(async move { this.guess(&site, nonce_hash, code_tag, &by).await }).await
    }

    async fn guess(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
        code_tag: [u8; 32],
        by: &Redeemer,
    ) -> Result<CodeRedeemed, StoreError> {
        let (now, mut candidates) = self.candidates(site, nonce_hash).await?;
        // Before anything is counted or claimed, and for every guess alike.
        if !self.connection.may_be_sure(&self.keys.codes(&nonce_hash)).await? {
            return Err(alone());
        }
        if candidates.is_empty() {
            return Ok(CodeRedeemed::None);
        }
        let name: [u8; 16] = self.random.bytes();
        let counted = self.count_before(&candidates, site, &name).await?;
        candidates.retain(|candidate| candidate.email().is_some_and(|email| counted.contains(email)));
        if candidates.is_empty() {
            return Ok(CodeRedeemed::Off);
        }
        let right = candidates.iter().position(|candidate| {
            candidate.links.iter().any(|link| link.code_tag.is_some_and(|tag| same(&tag, &code_tag)))
        });
        // In a Cluster the link may lie at a server that is alone, or away, while the browser's does not. The guess is
        // counted in any case.
        let sure = match candidates.get(right.unwrap_or(0)).and_then(Candidate::newest) {
            Some(link) => {
                let key = self.keys.link(&link.record.token_hash);
                self.connection.may_be_sure(&key).await.unwrap_or(false)
            }
            None => false,
        };
        let mut arguments = vec![
            bytes(CODE_TRIES),
            by.session.bytes().to_vec(),
            bytes(kept(&candidates, now).as_millis()),
            bytes(right.map_or(0, |at| at + 1)),
            bytes(u8::from(sure)),
        ];
        arguments.extend(candidates.iter().map(|candidate| candidate.code.clone()));
        let ask = self.script(&self.scripts.guess_code, &[self.keys.codes(&nonce_hash)], arguments);
        let mut answer = values::list(self.run(ask).await?)?.into_iter();
        let what = values::text(answer.next().unwrap_or_default())?;
        let left = values::count(&answer.next().unwrap_or_default())?;
        if what == "wrong" {
            self.show_tries(&nonce_hash, &candidates).await?;
            return Ok(CodeRedeemed::Wrong { left: u32::try_from(left).unwrap_or(0) });
        }
        self.count_back(&counted, site, &name).await?;
        match (what.as_str(), right.and_then(|at| candidates.get(at)).and_then(Candidate::newest)) {
            ("off", _) => Ok(CodeRedeemed::Off),
            ("none", _) => Ok(CodeRedeemed::None),
            ("alone", _) => Err(alone()),
            ("right", Some(link)) => match self.spend(link.record.token_hash, by).await? {
                Redeemed::Redeemed(link) => Ok(CodeRedeemed::Redeemed(link)),
                // Somebody was faster, by the link.
                _ => Ok(CodeRedeemed::None),
            },
            _ => Err(answered(&Value::Nil)),
        }
    }

    /// Codes of this browser that could be the one, newest first, with the links that carry them and still let in.
    async fn candidates(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
    ) -> Result<(Timestamp, Vec<Candidate>), StoreError> {
        let (now, links) = self.of_browser(nonce_hash).await?;
        let mut void: Vec<Vec<u8>> = Vec::new();
        let mut candidates: Vec<Candidate> = Vec::new();
        for link in links {
            if link.record.site != site || link.code_tag.is_none() {
                continue;
            }
            let code = code(site, &link.record.email, link.code_seed, &link.record.id);
            if link.record.used_at.is_some() {
                void.push(code);
            } else if link.is_live(now) {
                match candidates.iter_mut().find(|candidate| candidate.code == code) {
                    Some(candidate) => candidate.links.push(link),
                    None => candidates.push(Candidate { code, links: vec![link] }),
                }
            }
        }
        candidates.retain(|candidate| !void.contains(&candidate.code));
        Ok((now, candidates))
    }

    async fn tries_of(&self, nonce_hash: &[u8; 32], code: &[u8]) -> Result<u64, StoreError> {
        let key = self.keys.codes(nonce_hash);
        let mut command = ::redis::cmd("HGET");
        command.arg(&key).arg(tries(code));
        values::count(&self.run(Ask::one(&key, command)).await?)
    }

    /// Counts the guess as wrong against each address that it could be about; says which addresses could take it.
    async fn count_before(
        &self,
        candidates: &[Candidate],
        site: &str,
        name: &[u8; 16],
    ) -> Result<Vec<EmailAddress>, StoreError> {
        let mut addresses: Vec<EmailAddress> = Vec::new();
        for email in candidates.iter().filter_map(Candidate::email) {
            if !addresses.contains(email) {
                addresses.push(email.clone());
            }
        }
        let asks = addresses.iter().map(|email| {
            let arguments = vec![name.to_vec(), bytes(CODE_FAILURES_A_DAY), bytes(DAY.as_millis())];
            self.script(&self.scripts.count_failure, &[self.keys.code_failures(site, email)], arguments)
        });
        let answers = self.connection.ask_all(asks.collect()).await?;
        let counted = addresses.into_iter().zip(answers);
        Ok(counted
            .filter(|(_, answer)| answer.first() == Some(&Value::Int(1)))
            .map(|(email, _)| email)
            .collect())
    }

    /// It was not wrong after all.
    async fn count_back(
        &self,
        counted: &[EmailAddress],
        site: &str,
        name: &[u8; 16],
    ) -> Result<(), StoreError> {
        let asks = counted.iter().map(|email| {
            let key = self.keys.code_failures(site, email);
            let mut command = ::redis::cmd("ZREM");
            command.arg(&key).arg(name);
            Ask::one(&key, command)
        });
        self.connection.ask_all(asks.collect()).await.map(drop)
    }

    /// Notes in the links how often their code was guessed wrong, for listings.
    async fn show_tries(&self, nonce_hash: &[u8; 32], candidates: &[Candidate]) -> Result<(), StoreError> {
        let mut asks = Vec::new();
        for candidate in candidates {
            let tries = self.tries_of(nonce_hash, &candidate.code).await?;
            asks.extend(candidate.links.iter().map(|link| {
                let key = self.keys.link(&link.record.token_hash);
                self.script(&self.scripts.code_tries, &[key], vec![bytes(tries)])
            }));
        }
        self.connection.ask_all(asks).await.map(drop)
    }
}

impl Candidate {
    fn newest(&self) -> Option<&Link> {
        self.links.first()
    }

    fn email(&self) -> Option<&EmailAddress> {
        self.newest().map(|link| &link.record.email)
    }
}

/// What makes a code one code, in however many letters: site, address and seed. A code without a seed is one of its own.
pub(super) fn code(site: &str, email: &EmailAddress, seed: Option<[u8; 8]>, link: &str) -> Vec<u8> {
    let own = match seed {
        Some(seed) => seed.to_vec(),
        None => [b"link ", link.as_bytes()].concat(),
    };
    super::keys::sha256(&[&super::keys::person(site, email), &[0], &own]).to_vec()
}

/// The field that counts the wrong tries of a code.
pub(super) fn tries(code: &[u8]) -> Vec<u8> {
    [b"tries.".as_slice(), code].concat()
}

/// How long tries must be remembered: longer than any letter that carries the code.
fn kept(candidates: &[Candidate], now: Timestamp) -> Duration {
    let ends = candidates.iter().flat_map(|candidate| &candidate.links).map(|link| link.record.expires_at);
    ends.map(|end| end.map_or(LONG, |end| end.since(now) + DAY)).max().unwrap_or(DAY)
}
