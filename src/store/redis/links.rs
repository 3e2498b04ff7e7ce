//! Links: kept, looked at, redeemed, revoked. A link and its letter are one HASH, and every change of a link is one script
//! on it. Who may redeem, and from which browser, is the caller's to judge.

use std::time::Duration;

use ::redis::Value;

use super::Redis;
use super::bytes;
use super::codes;
use super::connection::Ask;
use super::keys::Index;
use super::many::Sure;
use super::records::{self, Link, SHOWN};
use super::values::{self, answered};
use super::walk;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::store::{
    ADDRESS_TRIES, AddressTry, LinkFilter, LinkRecord, LinkState, MadeBy, NewLetter, NewLink, Redeemed,
    Redeemer, SessionRecord, StoreError, Which,
};

/// Names live longer than what they name, however far the clocks are apart.
const SLACK: Duration = Duration::from_hours(24);
/// The names of a link without an end: the sweep looks at it four times meanwhile, and points them to it anew. So they go
/// soon after it does, and none is lost for longer than until the next sweep.
const NAMED: Duration = SHOWN.saturating_mul(4);
/// A century: further ends no key by itself.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Whether a link is to be kept, or only what is seen of it from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    Meant,
    Pretended,
}

impl Keeping {
    fn of(self, ask: Ask) -> Ask {
        match self {
            Self::Meant => ask,
            Self::Pretended => ask.pretended(),
        }
    }
}

impl Redis {
    /// Commit point: the link's HASH, which holds the letter too; replicas confirm it, and before it all that leads to it.
    /// Names and indexes point to nothing as yet.
    pub(in crate::store) async fn put_link(
        &self,
        link: NewLink,
        letter: Option<NewLetter>,
    ) -> Result<(), StoreError> {
        let this = self.clone();
        self.begun(async move { this.keep(&link, letter.as_ref(), Keeping::Meant).await }).await
    }

    /// The same servers hear as much in the same order, and their replicas are waited for.
    pub(in crate::store) async fn pretend_link(
        &self,
        link: NewLink,
        letter: Option<NewLetter>,
    ) -> Result<(), StoreError> {
        let this = self.clone();
        self.begun(async move { this.keep(&link, letter.as_ref(), Keeping::Pretended).await }).await
    }

    async fn keep(
        &self,
        link: &NewLink,
        letter: Option<&NewLetter>,
        keeping: Keeping,
    ) -> Result<(), StoreError> {
        self.may_be_kept(link, letter).await?;
        let name = self.keys.link_name(&link.id);
        let named = self.point(&name, &link.token_hash, Self::kept_until(link.expires_at), true);
        let asks = vec![self.ask_fence(), keeping.of(named), self.ask_tries(link)];
        let mut answers = self.connection.ask_all(asks).await?.into_iter();
        let mut answer = || answers.next().unwrap_or_default();
        let (now, fence) = self.read_fence(answer())?;
        let named = answer().pop().unwrap_or_default();
        let tries = values::count(&answer().pop().unwrap_or_default())?;
        if named == Value::Nil {
            let mut holder = ::redis::cmd("GET");
            holder.arg(&name);
            let holder = values::bytes(self.run(Ask::one(&name, holder)).await?)?;
            if holder.is_some_and(|holder| holder != link.token_hash) {
                return Err(taken());
            }
        }
        let indexes = self.link_indexes(link, letter, now).into_iter().map(|ask| keeping.of(ask));
        if !self.promise(&indexes.collect::<Vec<_>>()).await?.iter().all(|(_, sure)| *sure) {
            return Err(unkept());
        }
        let hash = &link.token_hash;
        let mut arguments = vec![
            link.id.as_bytes().to_vec(),
            bytes(SHOWN.as_millis()),
            link.expires_at.map(|end| bytes(end.millis())).unwrap_or_default(),
        ];
        let tries = u32::try_from(tries).unwrap_or(u32::MAX);
        arguments.extend(records::of_link(link, letter, fence, tries));
        let put = keeping.of(self.script(&self.scripts.put_link, &[self.keys.link(hash)], arguments));
        let (put, sure) = self.promise(&[put]).await?.pop().unwrap_or_default();
        if keeping == Keeping::Meant && put != Value::Int(1) {
            return Err(taken());
        }
        if !sure {
            // Nothing is promised. Where it outlives its server all the same, the letter is found a little later.
            return Err(unkept());
        }
        if letter.is_some() {
            // The letter is there: now it is due. Were this lost, it would be found a little later.
            if let Err(error) = self.run(keeping.of(self.look_at_letter(hash, Some(now)))).await {
                tracing::debug!(%error, "a letter is found later than it could be");
            }
            if keeping == Keeping::Meant {
                self.bell.notify_one();
            }
        }
        Ok(())
    }

    /// Refuses at once where nobody is there who could confirm it: whoever may ask for links must not have others wait
    /// behind what nobody will confirm.
    async fn may_be_kept(&self, link: &NewLink, letter: Option<&NewLetter>) -> Result<(), StoreError> {
        let mut keys = vec![self.keys.link(&link.token_hash)];
        keys.extend(self.link_indexes(link, letter, self.clock.now()).into_iter().map(|ask| ask.key));
        for key in keys {
            if !self.connection.may_be_sure(&key).await? {
                return Err(StoreError::Away(
                    "Redis: no replica is there to confirm, so that nothing is promised".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// What leads to a link and its letter.
    fn link_indexes(&self, link: &NewLink, letter: Option<&NewLetter>, now: Timestamp) -> Vec<Ask> {
        let until = Self::kept_until(link.expires_at);
        let hash = &link.token_hash;
        let look_at = until.or(Some(now + SHOWN));
        let mut indexes = vec![
            Self::large_index(&self.keys.index_of(Index::Links, hash), hash, look_at),
            self.small_index(self.keys.of_person(&link.email, Index::Links), hash, until),
        ];
        if let Some(nonce_hash) = &link.nonce_hash {
            indexes.push(self.small_index(self.keys.of_browser(nonce_hash), hash, until));
        }
        if let Some(letter) = letter {
            indexes.push(self.point(&self.keys.letter_name(&letter.id), hash, until, false));
            indexes.extend(self.letter_indexes(hash, letter, now));
        }
        indexes
    }

    /// Points a public name to a link that is kept until then.
    pub(super) fn point(&self, name: &str, hash: &[u8; 32], until: Option<Timestamp>, if_free: bool) -> Ask {
        let left = until.map_or(NAMED, |until| (until + SLACK).since(self.clock.now()).clamp(SLACK, LONGEST));
        let mut command = ::redis::cmd("SET");
        command.arg(name).arg(hash).arg("PX").arg(bytes(left.as_millis()));
        if if_free {
            command.arg("NX");
        }
        Ask::one(name, command)
    }

    /// Wrong tries that the link's code has behind it already.
    fn ask_tries(&self, link: &NewLink) -> Ask {
        let key = self.keys.codes(&link.nonce_hash.unwrap_or_default());
        let mut command = ::redis::cmd("HGET");
        command.arg(&key).arg(codes::tries(&codes::code(&link.site, &link.email, link.code_seed, &link.id)));
        Ask::one(&key, command)
    }

    pub(in crate::store) async fn peek_link(
        &self,
        token_hash: [u8; 32],
    ) -> Result<Option<LinkRecord>, StoreError> {
        let (_, _, links) = self.links(&[token_hash]).await?;
        Ok(links.into_iter().next().map(|link| link.record))
    }

    /// Commit point: the link's HASH, which notes the session that won; replicas confirm it. The session is written
    /// before, and counts from then on.
    pub(in crate::store) async fn redeem(
        &self,
        token_hash: [u8; 32],
        by: Redeemer,
    ) -> Result<Redeemed, StoreError> {
        let this = self.clone();
        self.begun(async move { this.spend(token_hash, &by).await }).await
    }

    pub(super) async fn spend(&self, token_hash: [u8; 32], by: &Redeemer) -> Result<Redeemed, StoreError> {
        let (now, fence, links) = self.links(&[token_hash]).await?;
        let Some(link) = links.into_iter().next() else { return Ok(Redeemed::Unknown) };
        match link.record.state(now) {
            LinkState::Revoked => return Ok(Redeemed::Revoked(link.record)),
            LinkState::Used => return Ok(Redeemed::Used(link.record)),
            LinkState::Expired => return Ok(Redeemed::Expired(link.record)),
            LinkState::Active if !self.connection.may_be_sure(&self.keys.link(&token_hash)).await? => {
                return Err(alone());
            }
            LinkState::Active => self.begin_session(&link.record, by, fence).await?,
        }
        let arguments = vec![by.session.bytes().to_vec(), bytes(fence), bytes(SHOWN.as_millis())];
        let ask = self.script(&self.scripts.redeem, &[self.keys.link(&token_hash)], arguments);
        let (answer, sure) = self.run_surely(&ask).await?;
        let mut answer = values::list(answer)?.into_iter();
        let state = values::text(answer.next().unwrap_or_default())?;
        let link = match answer.next() {
            Some(fields) => Link::read(token_hash, fields)?.map(|link| link.judged(fence, now).record),
            None => None,
        };
        if state != "redeemed" {
            self.forget_session(by.session);
        }
        match (state.as_str(), link) {
            ("redeemed", Some(link)) if sure => {
                // Who signed in has; what follows may be done later, by whoever reads it.
                let settled = self.settle(by.session, token_hash, by.ends, link.site.clone());
                let settled = self.connection.home().spawn(settled);
                let _ = tokio::time::timeout(self.connection.timeout() / 4, settled).await;
                Ok(Redeemed::Redeemed(link))
            }
            ("redeemed", Some(_)) => Err(unconfirmed()),
            ("revoked", Some(link)) => Ok(Redeemed::Revoked(link)),
            ("used", Some(link)) => Ok(Redeemed::Used(link)),
            ("expired", Some(link)) => Ok(Redeemed::Expired(link)),
            ("unknown", _) => Ok(Redeemed::Unknown),
            _ => Err(answered(&Value::Nil)),
        }
    }

    /// The link names this session; whether that outlives its server, its replicas say anew.
    pub(in crate::store) async fn resume(
        &self,
        token_hash: [u8; 32],
        id: SessionId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let this = self.clone();
        let resume = async move {
            if this.confirm_won(token_hash, id).await? { this.session(id).await } else { Ok(None) }
        };
        self.begun(resume).await
    }

    /// Whether a link made this session, confirmed by its replicas. An error: it says so, but nobody has confirmed it.
    pub(super) async fn confirm_won(&self, token_hash: [u8; 32], id: SessionId) -> Result<bool, StoreError> {
        let keys = [self.keys.link(&token_hash)];
        let ask = self.script(&self.scripts.confirm_won, &keys, vec![id.bytes().to_vec()]);
        match self.run_surely(&ask).await? {
            (Value::Int(1), true) => Ok(true),
            (Value::Int(1), false) => Err(unconfirmed()),
            _ => Ok(false),
        }
    }

    /// Commit point: the link's HASH.
    pub(in crate::store) async fn try_address(
        &self,
        token_hash: [u8; 32],
        typed: &EmailAddress,
    ) -> Result<AddressTry, StoreError> {
        let (what, tries) = self.count_address(token_hash, typed.as_str()).await?;
        match what.as_str() {
            "right" => Ok(AddressTry::Right),
            "wrong" => Ok(AddressTry::Wrong { left: ADDRESS_TRIES.saturating_sub(tries) }),
            "off" => Ok(AddressTry::Off),
            _ => Err(answered(&Value::Nil)),
        }
    }

    /// Commit point: the link's HASH.
    pub(in crate::store) async fn wrong_address(&self, token_hash: [u8; 32]) -> Result<u32, StoreError> {
        Ok(self.count_address(token_hash, "").await?.1)
    }

    async fn count_address(&self, token_hash: [u8; 32], typed: &str) -> Result<(String, u32), StoreError> {
        let arguments = vec![typed.as_bytes().to_vec(), bytes(ADDRESS_TRIES)];
        let ask = self.script(&self.scripts.try_address, &[self.keys.link(&token_hash)], arguments);
        let this = self.clone();
        let mut answer = values::list(self.begun(async move { this.run(ask).await }).await?)?.into_iter();
        let what = values::text(answer.next().unwrap_or_default())?;
        let tries = values::count(&answer.next().unwrap_or_default())?;
        Ok((what, u32::try_from(tries).unwrap_or(u32::MAX)))
    }

    /// Commit point: the link's HASH.
    pub(in crate::store) async fn again_once(
        &self,
        token_hash: [u8; 32],
    ) -> Result<Option<LinkRecord>, StoreError> {
        let this = self.clone();
        let again = async move {
            let (_, fence) = this.read_fence(this.connection.ask(this.ask_fence()).await?)?;
            let ask = this.script(&this.scripts.again, &[this.keys.link(&token_hash)], vec![bytes(fence)]);
            let answer = this.run(ask).await?;
            Ok(Link::read(token_hash, answer)?.map(|link| link.record))
        };
        self.begun(again).await
    }

    pub(in crate::store) async fn asked(
        &self,
        site: &str,
        nonce_hash: [u8; 32],
    ) -> Result<Option<LinkRecord>, StoreError> {
        let (_, links) = self.of_browser(nonce_hash).await?;
        let mut asked = links.into_iter().map(|link| link.record);
        Ok(asked.find(|link| link.site == site && link.made_by == MadeBy::Asked))
    }

    /// What a browser asked for, newest first.
    pub(super) async fn of_browser(
        &self,
        nonce_hash: [u8; 32],
    ) -> Result<(Timestamp, Vec<Link>), StoreError> {
        let members = self.members_of(vec![self.keys.of_browser(&nonce_hash)]).await?;
        let (now, _, mut links) = self.links(&walk::hashes(&members)?).await?;
        Link::newest_first(&mut links);
        Ok((now, links))
    }

    pub(in crate::store) async fn list_links(
        &self,
        filter: LinkFilter,
    ) -> Result<Vec<LinkRecord>, StoreError> {
        let members = self.members(Index::Links, filter.email.as_ref()).await?;
        let (now, _, mut links) = self.links(&walk::hashes(&members)?).await?;
        links.retain(|Link { record, .. }| {
            filter.site.as_ref().is_none_or(|site| *site == record.site)
                && filter.email.as_ref().is_none_or(|email| *email == record.email)
                && filter.state.is_none_or(|state| record.state(now) == state)
        });
        Link::newest_first(&mut links);
        Ok(links.into_iter().map(|link| link.record).collect())
    }

    /// Commit point: each link's HASH; replicas confirm it.
    pub(in crate::store) async fn revoke_links(&self, which: Which) -> Result<u64, StoreError> {
        let this = self.clone();
        self.begun_long(async move { this.take_back(which).await }).await
    }

    async fn take_back(&self, which: Which) -> Result<u64, StoreError> {
        let (hashes, site, email) = match which {
            Which::Ids(ids) => {
                let asks = ids.iter().map(|id| self.keys.link_name(id)).map(|key| {
                    let mut command = ::redis::cmd("GET");
                    command.arg(&key);
                    Ask::one(&key, command)
                });
                let mut hashes = Vec::new();
                for answer in self.connection.ask_all(asks.collect()).await? {
                    let hash = values::bytes(answer.into_iter().next().unwrap_or_default())?;
                    hashes.extend(hash.as_deref().map(values::hash).transpose()?);
                }
                (hashes, None, None)
            }
            Which::Email(site, email) => {
                (walk::hashes(&self.members(Index::Links, Some(&email)).await?)?, site, Some(email))
            }
            Which::All(site) => (walk::hashes(&self.members(Index::Links, None).await?)?, site, None),
        };
        let (mut revoked, mut sure) = (0, Sure::Yes);
        for step in walk::steps(&hashes) {
            let (now, fence, mut links) = self.links(step).await?;
            links.retain(|link| {
                site.as_ref().is_none_or(|site| *site == link.record.site)
                    && email.as_ref().is_none_or(|email| *email == link.record.email)
                    // What was taken back is taken back again: perhaps no replica confirmed it.
                    && (link.is_live(now) || link.record.revoked_at.is_some())
            });
            let live: Vec<[u8; 32]> = links.iter().map(|link| link.record.token_hash).collect();
            revoked += self.revoke_each(&live, fence, None, &mut sure).await?;
        }
        Ok(revoked)
    }

    /// Revokes links, each by its own script; all at once. `before`: only those of an earlier fence than this.
    pub(super) async fn revoke_each(
        &self,
        hashes: &[[u8; 32]],
        fence: i64,
        before: Option<i64>,
        sure: &mut Sure,
    ) -> Result<u64, StoreError> {
        let asks = hashes.iter().map(|hash| {
            let arguments =
                vec![bytes(fence), bytes(SHOWN.as_millis()), before.map(bytes).unwrap_or_default()];
            self.script(&self.scripts.revoke_link, &[self.keys.link(hash)], arguments)
        });
        let mut revoked = 0;
        for answer in self.say_all(asks.collect(), sure).await? {
            revoked += values::count(&answer)?;
        }
        Ok(revoked)
    }
}

/// Nothing is spent where nobody would be let in for it.
pub(super) fn alone() -> StoreError {
    StoreError::Away(
        "Redis: no replica is there to confirm, so that nobody is let in; the link stays good".to_owned(),
    )
}

fn unconfirmed() -> StoreError {
    StoreError::Away("Redis: no replica has confirmed in time, so that nobody is let in".to_owned())
}

fn unkept() -> StoreError {
    StoreError::Away("Redis: no replica has confirmed in time, so that nothing is promised".to_owned())
}

fn taken() -> StoreError {
    StoreError::Invalid("the store refuses it: there is a link of this id or token already".to_owned())
}
