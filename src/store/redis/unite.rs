//! What memory knows and Redis may lack: said again, by whichever instance knows it. A fail-over, a backup that was restored
//! or an emptied Redis may have lost it. Only ever ends something sooner, never later.

use super::Redis;
use super::bytes;
use super::keys;
use super::values;
use super::walk;
use crate::clock::Timestamp;
use crate::identity::KeyEpoch;
use crate::identity::SessionId;
use crate::identity::Unsaid;
use crate::store::StoreError;

impl Redis {
    /// Commit point: the standing, by one script each for epochs, generations and sessions. Says how much was missing.
    pub(in crate::store) async fn unite(&self, unsaid: &Unsaid) -> Result<u64, StoreError> {
        let (this, unsaid) = (self.clone(), unsaid.clone());
        let unite = async move {
            let mut lost = this.unite_epochs(&unsaid.epochs).await?;
            for (site, email, generation) in &unsaid.generations {
                let arguments =
                    vec![this.keys.changed().into_bytes(), keys::person(site, email), bytes(generation)];
                let keys = ["generations", "version", "pulse"].map(|what| this.keys.standing(what));
                let answer = this.run(this.script(&this.scripts.standing_keep, &keys, arguments)).await?;
                lost += values::count(&answer)?;
            }
            Ok(lost + this.unite_revoked(&unsaid.revoked).await?)
        };
        self.begun_long(unite).await
    }

    async fn unite_epochs(&self, epochs: &[KeyEpoch]) -> Result<u64, StoreError> {
        if epochs.is_empty() {
            return Ok(0);
        }
        let mut arguments = vec![self.keys.changed().into_bytes()];
        for epoch in epochs {
            arguments.push(epoch.id.clone().into_bytes());
            arguments.push(bytes(epoch.created_at.millis()));
            arguments.push(epoch.accepted_until.map_or_else(|| b"-".to_vec(), |end| bytes(end.millis())));
        }
        let keys = ["epochs", "version", "pulse"].map(|what| self.keys.standing(what));
        values::count(&self.run(self.script(&self.scripts.keep_epochs, &keys, arguments)).await?)
    }

    async fn unite_revoked(&self, revoked: &[(SessionId, Timestamp)]) -> Result<u64, StoreError> {
        let mut lost = 0;
        for step in walk::steps(revoked) {
            let mut arguments = vec![self.keys.changed().into_bytes()];
            for (id, ends_at) in step {
                arguments.push(id.bytes().to_vec());
                arguments.push(bytes(ends_at.millis()));
            }
            let keys = ["revoked", "version", "pulse"].map(|what| self.keys.standing(what));
            let answer = self.run(self.script(&self.scripts.standing_revoke, &keys, arguments)).await?;
            lost += u64::try_from(values::list(answer)?.len()).unwrap_or(u64::MAX);
        }
        Ok(lost)
    }
}
