//! Sessions: written when a link is redeemed, listed, ended. That a session has ended is said in the standing first: from
//! then on it counts nowhere, and its record follows. Requests never ask here.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use ::redis::Value;
use tokio::time::timeout;

use super::Redis;
use super::bytes;
use super::connection::{Ask, Call};
use super::keys::{self, Index};
use super::many::Sure;
use super::records::{self, Session};
use super::values;
use super::walk;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::store::{LinkRecord, Redeemer, SessionFilter, SessionRecord, StoreError, Which};

impl Redis {
    pub(in crate::store) async fn list_sessions(
        &self,
        filter: SessionFilter,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let ids = ids(&self.members(Index::Sessions, filter.email.as_ref()).await?)?;
        let mut found = Vec::new();
        for step in walk::steps(&ids) {
            let (now, sessions) = self.read_sessions(step).await?;
            found.extend(sessions.into_iter().map(|session| session.record).filter(|session| {
                filter.site.as_ref().is_none_or(|site| *site == session.site)
                    && filter.email.as_ref().is_none_or(|email| *email == session.email)
                    && (!filter.live
                        || (session.revoked_at.is_none()
                            && session.ends_at > now
                            && session.idle_until > now))
            }));
        }
        found.sort_by_key(|session| (std::cmp::Reverse(session.created_at), *session.id.bytes()));
        Ok(found)
    }

    pub(in crate::store) async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let (now, sessions) = self.read_sessions(&[id]).await?;
        Ok(sessions.into_iter().next().map(|session| session.record).filter(|session| session.ends_at > now))
    }

    /// Commit point: the session's HASH.
    pub(in crate::store) async fn touch_session(
        &self,
        id: SessionId,
        seen_at: Timestamp,
        idle_until: Timestamp,
    ) -> Result<(), StoreError> {
        let arguments = vec![bytes(seen_at.millis()), bytes(idle_until.millis())];
        let ask = self.script(&self.scripts.touch_session, &[self.keys.session(&id)], arguments);
        self.run(ask).await.map(drop)
    }

    /// Commit point: the standing, which says to every instance that these sessions have ended.
    pub(in crate::store) async fn revoke_sessions(&self, which: Which) -> Result<Vec<SessionId>, StoreError> {
        let this = self.clone();
        self.begun_long(async move { this.end(which).await }).await
    }

    async fn end(&self, which: Which) -> Result<Vec<SessionId>, StoreError> {
        let (found, site, email) = match which {
            Which::Ids(texts) => (texts.iter().filter_map(|id| SessionId::parse(id)).collect(), None, None),
            Which::Email(site, email) => {
                (ids(&self.members(Index::Sessions, Some(&email)).await?)?, site, Some(email))
            }
            Which::All(site) => (ids(&self.members(Index::Sessions, None).await?)?, site, None),
        };
        let (mut ended, mut sure) = (Vec::new(), Sure::Yes);
        for step in walk::steps(&found) {
            let (now, mut sessions) = self.read_sessions(step).await?;
            sessions.retain(|Session { record, told, .. }| {
                site.as_ref().is_none_or(|site| *site == record.site)
                    && email.as_ref().is_none_or(|email| *email == record.email)
                    && !told
                    && record.ends_at > now
            });
            ended.extend(self.end_these(&sessions, &mut sure).await?);
        }
        if ended.is_empty() {
            // Perhaps said before, and not confirmed then.
            self.say_ended(&[], &mut sure).await?;
        }
        Ok(ended)
    }

    /// Says in the standing that these have ended, then in their records. Says which were not ended before.
    pub(super) async fn end_these(
        &self,
        sessions: &[Session],
        sure: &mut Sure,
    ) -> Result<Vec<SessionId>, StoreError> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let ends: Vec<(SessionId, Timestamp)> =
            sessions.iter().map(|Session { record, .. }| (record.id, record.ends_at)).collect();
        let ended = self.say_ended(&ends, sure).await?;
        let marks = sessions.iter().map(|Session { record, .. }| {
            self.script(&self.scripts.mark_session, &[self.keys.session(&record.id)], Vec::new())
        });
        self.connection.ask_all(marks.collect()).await?;
        Ok(ended)
    }

    /// Says in the standing that these have ended, each with its absolute end; replicas confirm it. Says which were not
    /// ended before.
    async fn say_ended(
        &self,
        ends: &[(SessionId, Timestamp)],
        sure: &mut Sure,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut arguments = vec![self.keys.changed().into_bytes()];
        for (id, ends_at) in ends {
            arguments.push(id.bytes().to_vec());
            arguments.push(bytes(ends_at.millis()));
        }
        let keys = ["revoked", "version", "pulse"].map(|what| self.keys.standing(what));
        let ask = self.script(&self.scripts.standing_revoke, &keys, arguments);
        let answer = self.say_all(vec![ask], sure).await?.pop().unwrap_or_default();
        let ended: Vec<Vec<u8>> = values::list(answer)?
            .into_iter()
            .map(|id| Ok(values::bytes(id)?.unwrap_or_default()))
            .collect::<Result<_, StoreError>>()?;
        ids(&ended)
    }

    /// Commit point: the standing.
    pub(in crate::store) async fn refuse_session(
        &self,
        id: SessionId,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let this = self.clone();
        let refuse = async move {
            if !this.read_sessions(&[id]).await?.1.is_empty() {
                return Ok(false);
            }
            Ok(!this.say_ended(&[(id, until)], &mut Sure::Yes).await?.is_empty())
        };
        self.begun_long(refuse).await
    }

    /// Commit point: the standing. The list of devices follows.
    pub(in crate::store) async fn raise_generation(
        &self,
        site: &str,
        email: &EmailAddress,
    ) -> Result<u64, StoreError> {
        let (this, site, email) = (self.clone(), site.to_owned(), email.clone());
        let raise = async move {
            let arguments = vec![this.keys.changed().into_bytes(), keys::person(&site, &email)];
            let keys = ["generations", "version"].map(|what| this.keys.standing(what));
            let ask = this.script(&this.scripts.standing_raise, &keys, arguments);
            let (answer, sure) = this.run_surely(&ask).await?;
            let raised = values::count(&answer)?;
            if !sure {
                this.keep_generation(&site, &email, raised);
            }
            // It is judged by the generation already: what follows may be done later.
            let (that, sure) = (this.clone(), Sure::of(sure));
            let follows = async move { that.end_in_list(&site, &email, raised, sure).await };
            let follows = this.connection.home().spawn(follows);
            let _ = timeout(this.connection.timeout() / 4, follows).await;
            Ok(raised)
        };
        self.begun(raise).await
    }

    /// Ends in the listing what a raised generation has ended in fact: not who has signed in since then.
    pub(super) async fn end_in_list(
        &self,
        site: &str,
        email: &EmailAddress,
        raised: u64,
        mut sure: Sure,
    ) -> Result<(), StoreError> {
        let ids = ids(&self.members(Index::Sessions, Some(email)).await?)?;
        for step in walk::steps(&ids) {
            let (now, mut sessions) = self.read_sessions(step).await?;
            sessions.retain(|Session { record, .. }| {
                record.site == site
                    && record.email == *email
                    && record.generation < raised
                    && record.ends_at > now
            });
            self.end_these(&sessions, &mut sure).await?;
        }
        Ok(())
    }

    /// Writes a session, which counts only once the link's HASH names it.
    pub(super) async fn begin_session(
        &self,
        link: &LinkRecord,
        by: &Redeemer,
        fence: i64,
    ) -> Result<(), StoreError> {
        let mut arguments = vec![link.token_hash.to_vec(), bytes(by.ends_at.millis())];
        arguments.extend(records::of_session(&link.site, &link.email, by, fence));
        let member = by.session.bytes();
        let answers = self.connection.ask_all(vec![
            self.script(&self.scripts.begin_session, &[self.keys.session(&by.session)], arguments),
            self.small_index(self.keys.of_person(&link.email, Index::Sessions), member, Some(by.ends_at)),
            Self::large_index(&self.keys.index_of(Index::Sessions, member), member, Some(by.ends_at)),
        ]);
        match answers.await?.into_iter().next().and_then(|answer| answer.into_iter().next()) {
            Some(Value::Int(1)) => Ok(()),
            _ => Err(StoreError::Invalid(
                "the store refuses it: there is a session of this id already".to_owned(),
            )),
        }
    }

    /// The link was redeemed by somebody else: this session will never be.
    pub(super) fn forget_session(&self, id: SessionId) {
        let this = self.clone();
        self.connection.home().spawn(async move {
            let ask = this.script(&this.scripts.forget_session, &[this.keys.session(&id)], Vec::new());
            // What stays counts for nothing, and ends by itself.
            let _ = this.run(ask).await;
        });
    }

    /// The link has said that this session is the one: what follows, done again by whoever finds it undone.
    pub(super) fn settle(
        &self,
        id: SessionId,
        token_hash: [u8; 32],
        replaces: Option<SessionId>,
        site: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let this = self.clone();
        Box::pin(async move {
            if let Err(error) = this.try_settle(id, token_hash, replaces, &site).await {
                tracing::debug!(%error, "a session is settled later, by whoever reads it");
            }
        })
    }

    async fn try_settle(
        &self,
        id: SessionId,
        token_hash: [u8; 32],
        replaces: Option<SessionId>,
        site: &str,
    ) -> Result<(), StoreError> {
        if let Some(old) = replaces.filter(|old| *old != id) {
            let (now, mut sessions) = self.read_sessions(&[old]).await?;
            // Of this site only: a cookie of one site has no say over another's sessions.
            sessions.retain(|Session { record, .. }| {
                record.site == site && record.revoked_at.is_none() && record.ends_at > now
            });
            self.end_these(&sessions, &mut Sure::Yes).await?;
        }
        let remove = |key: String, fields: &[&[u8]]| {
            let mut command = ::redis::cmd("HDEL");
            command.arg(&key).arg(fields);
            Ask::one(&key, command)
        };
        self.run(remove(self.keys.session(&id), &[b"link", b"replaces"])).await?;
        let won = [b"won.".as_slice(), id.bytes()].concat();
        self.run(remove(self.keys.link(&token_hash), &[&won])).await.map(drop)
    }

    /// Sessions by id, as they are judged now; what is not there, or was never begun, is left out.
    pub(super) async fn read_sessions(
        &self,
        ids: &[SessionId],
    ) -> Result<(Timestamp, Vec<Session>), StoreError> {
        let mut asks = vec![self.ask_judgement(ids)];
        asks.extend(ids.iter().map(|id| {
            let key = self.keys.session(id);
            let mut command = ::redis::cmd("HGETALL");
            command.arg(&key);
            Ask::one(&key, command)
        }));
        let mut answers = self.connection.ask_all(asks).await?.into_iter();
        let mut judgement = answers.next().unwrap_or_default();
        let scores =
            if ids.is_empty() { Vec::new() } else { values::list(judgement.pop().unwrap_or_default())? };
        let (now, fence) = self.read_fence(judgement)?;
        let mut sessions = Vec::new();
        for ((id, answer), score) in ids.iter().zip(answers).zip(scores) {
            let session = Session::read(*id, answer.into_iter().next().unwrap_or_default())?;
            sessions.extend(session.map(|mut session| {
                if score != Value::Nil || session.fence < fence {
                    session.record.revoked_at.get_or_insert(now);
                    session.told = true;
                }
                session
            }));
        }
        self.drop_losers(&mut sessions).await?;
        self.judge_generations(&mut sessions, now).await?;
        Ok((now, sessions))
    }

    /// Now, the fence, and which of these have ended; in one journey.
    fn ask_judgement(&self, ids: &[SessionId]) -> Ask {
        let mut ask = self.ask_fence();
        if !ids.is_empty() {
            let mut scores = ::redis::cmd("ZMSCORE");
            scores.arg(self.keys.standing("revoked"));
            for id in ids {
                scores.arg(id.bytes());
            }
            ask.calls.push(Call::Plain(scores));
        }
        ask
    }

    /// Sessions that were written but not settled: those that their link names are settled now, the others are none.
    async fn drop_losers(&self, sessions: &mut Vec<Session>) -> Result<(), StoreError> {
        let open: Vec<(SessionId, [u8; 32])> =
            sessions.iter().filter_map(|session| Some((session.record.id, session.link?))).collect();
        if open.is_empty() {
            return Ok(());
        }
        let asks = open.iter().map(|(id, link)| {
            self.script(&self.scripts.won, &[self.keys.link(link)], vec![id.bytes().to_vec()])
        });
        let answers = self.connection.ask_all(asks.collect()).await?;
        let won: Vec<SessionId> = open
            .iter()
            .zip(answers)
            .filter(|(_, answer)| answer.first() == Some(&Value::Int(1)))
            .map(|((id, _), _)| *id)
            .collect();
        sessions.retain(|session| session.link.is_none() || won.contains(&session.record.id));
        for session in sessions.iter() {
            let Some(link) = session.link else { continue };
            // Listed it is, so that it can be ended. Nobody has its cookie before `redeem` or `resume` is sure, and it
            // stays unsettled until a replica has confirmed: a fail-over may yet take the redemption back.
            let (this, id, replaces) = (self.clone(), session.record.id, session.replaces);
            let site = session.record.site.clone();
            self.connection.home().spawn(async move {
                if this.confirm_won(link, id).await.unwrap_or(false) {
                    this.settle(id, link, replaces, site).await;
                }
            });
        }
        Ok(())
    }

    /// What a raised generation has ended, even where its record does not say so yet.
    async fn judge_generations(&self, sessions: &mut [Session], now: Timestamp) -> Result<(), StoreError> {
        let mut known: HashMap<Vec<u8>, u64> = HashMap::new();
        for session in sessions.iter() {
            known.insert(keys::person(&session.record.site, &session.record.email), 0);
        }
        if known.is_empty() {
            return Ok(());
        }
        let people: Vec<Vec<u8>> = known.keys().cloned().collect();
        let key = self.keys.standing("generations");
        let mut command = ::redis::cmd("HMGET");
        command.arg(&key).arg(&people);
        let answer = values::list(self.run(Ask::one(&key, command)).await?)?;
        for (person, generation) in people.into_iter().zip(answer) {
            known.insert(person, values::count(&generation)?);
        }
        for session in sessions {
            let person = keys::person(&session.record.site, &session.record.email);
            if known.get(&person).is_some_and(|generation| session.record.generation < *generation) {
                // Said by nobody as yet: whoever ends it says it.
                session.record.revoked_at.get_or_insert(now);
            }
        }
        Ok(())
    }
}

pub(super) fn ids(members: &[Vec<u8>]) -> Result<Vec<SessionId>, StoreError> {
    members.iter().map(|member| values::session_id(member)).collect()
}
