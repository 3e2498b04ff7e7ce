//! What every instance keeps in memory: ended sessions, people, key epochs, and the number that changes with them. All of it
//! lies in one slot, so that each change is one script, which also tells whoever listens.

use super::Redis;
use super::bytes;
use super::connection::Ask;
use super::keys::{self, Index};
use super::many::Sure;
use super::records::Session;
use super::sessions;
use super::values::{self, corrupt};
use super::walk;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::KeyEpoch;
use crate::identity::Snapshot;
use crate::store::StoreError;
use crate::store::types::EPOCHS_REMEMBERED;

impl Redis {
    /// Commit point: the standing; replicas confirm it. With `now_only` the fence is raised in the same step: every link
    /// and session of an earlier one has ended with it, and the listings follow.
    pub(in crate::store) async fn rotate_keys(
        &self,
        now_only: bool,
        keep_until: Timestamp,
    ) -> Result<KeyEpoch, StoreError> {
        let this = self.clone();
        let rotate = async move {
            this.begin_epochs().await?;
            let id = this.epoch_id();
            let limit = if now_only { Vec::new() } else { bytes(keep_until.millis()) };
            let arguments = vec![this.keys.changed().into_bytes(), id.clone().into_bytes(), limit];
            let keys = ["epochs", "version", "fence"].map(|what| this.keys.standing(what));
            let (answer, sure) =
                this.run_surely(&this.script(&this.scripts.rotate_keys, &keys, arguments)).await?;
            let mut answer = values::list(answer)?.into_iter();
            let mut number = || {
                let value = answer.next().unwrap_or_default();
                values::number(&value)?.ok_or_else(|| corrupt("a key epoch"))
            };
            let (created_at, fence) = (Timestamp::from_millis(number()?), number()?);
            if now_only {
                this.end_before(fence).await?;
            }
            if !sure {
                return Err(StoreError::Away(
                    "Redis: the keys are rotated, but no replica has confirmed it in time; do it again"
                        .to_owned(),
                ));
            }
            Ok(KeyEpoch { id, created_at, accepted_until: None })
        };
        self.begun_long(rotate).await
    }

    /// Notes in every link and session of this fence what is true already: that they have ended.
    async fn end_before(&self, fence: i64) -> Result<(), StoreError> {
        let mut sure = Sure::Yes;
        let links = walk::hashes(&self.members(Index::Links, None).await?)?;
        for step in walk::steps(&links) {
            self.revoke_each(step, fence, Some(fence + 1), &mut sure).await?;
        }
        let ids = sessions::ids(&self.members(Index::Sessions, None).await?)?;
        for step in walk::steps(&ids) {
            let (now, mut sessions) = self.read_sessions(step).await?;
            sessions.retain(|Session { record, fence: of, .. }| *of <= fence && record.ends_at > now);
            self.end_these(&sessions, &mut sure).await?;
        }
        Ok(())
    }

    /// The version is read first: what changes while the rest is read shows up as a change.
    pub(in crate::store) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.begin_epochs().await?;
        let version = self.marked_version().await?;
        let (now, _) = self.read_fence(self.connection.ask(self.ask_fence()).await?)?;
        let epochs = self.epochs().await?;
        let people = self.people().await?;
        let mut revoked = Vec::new();
        for (id, ends_at) in self.pairs_of("ZSCAN", &self.keys.standing("revoked")).await? {
            let ends_at = std::str::from_utf8(&ends_at).ok().and_then(|text| text.parse::<f64>().ok());
            let ends_at = ends_at.ok_or_else(|| corrupt("an end"))?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole milliseconds; a cast of a float saturates"
            )]
            let ends_at = Timestamp::from_millis(ends_at as i64);
            if ends_at >= now {
                revoked.push((values::session_id(&id)?, ends_at));
            }
        }
        Ok(Snapshot { people, revoked, epochs, version })
    }

    /// One counter; zero before anything was written.
    pub(in crate::store) async fn version(&self) -> Result<i64, StoreError> {
        let key = self.keys.standing("version");
        let mut command = ::redis::cmd("GET");
        command.arg(&key);
        let version = values::number(&self.run(Ask::one(&key, command)).await?)?.unwrap_or_default();
        Ok(version)
    }

    /// The first epoch of a new store.
    async fn begin_epochs(&self) -> Result<(), StoreError> {
        if self.epochs().await?.is_empty() {
            let keys = ["epochs", "version"].map(|what| self.keys.standing(what));
            let arguments = vec![self.keys.changed().into_bytes(), self.epoch_id().into_bytes()];
            self.run(self.script(&self.scripts.begin_epoch, &keys, arguments)).await?;
        }
        Ok(())
    }

    pub(super) async fn epochs(&self) -> Result<Vec<KeyEpoch>, StoreError> {
        let key = self.keys.standing("epochs");
        let mut command = ::redis::cmd("LRANGE");
        command.arg(&key).arg(0).arg(-1);
        values::list(self.run(Ask::one(&key, command)).await?)?.into_iter().map(epoch).collect()
    }

    /// Forgets ended sessions past their absolute end, and key epochs that have long not been believed.
    pub(super) async fn sweep_standing(&self) -> Result<(), StoreError> {
        let keys = ["revoked", "epochs", "version"].map(|what| self.keys.standing(what));
        let arguments = vec![self.keys.changed().into_bytes(), bytes(EPOCHS_REMEMBERED.as_millis())];
        self.run(self.script(&self.scripts.sweep_standing, &keys, arguments)).await.map(drop)
    }

    /// A generation that was given out, and that no replica has confirmed: said until one has.
    pub(super) fn keep_generation(&self, site: &str, email: &EmailAddress, generation: u64) {
        let arguments = vec![self.keys.changed().into_bytes(), keys::person(site, email), bytes(generation)];
        let keys = ["generations", "version", "pulse"].map(|what| self.keys.standing(what));
        self.repeat(vec![self.script(&self.scripts.standing_keep, &keys, arguments)]);
    }

    fn epoch_id(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.random.bytes()))
    }
}

/// `id created until`, where `-` is never.
fn epoch(value: ::redis::Value) -> Result<KeyEpoch, StoreError> {
    let text = values::text(value)?;
    let mut parts = text.split(' ');
    let (Some(id), Some(created), Some(until)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(corrupt("a key epoch"));
    };
    let moment = |text: &str| text.parse().map(Timestamp::from_millis).map_err(|_| corrupt("a key epoch"));
    let accepted_until = if until == "-" { None } else { Some(moment(until)?) };
    Ok(KeyEpoch { id: id.to_owned(), created_at: moment(created)?, accepted_until })
}
