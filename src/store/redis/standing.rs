//! standing

use super::Redis;
use super::connection::Ask;
use crate::clock::Timestamp;
use crate::identity::KeyEpoch;
use crate::identity::Snapshot;
use crate::store::StoreError;

impl Redis {
    pub(in crate::store) async fn rotate_keys(
        &self,
        _now_only: bool,
        _keep_until: Timestamp,
    ) -> Result<KeyEpoch, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("rotate_keys is not there yet".to_owned()))
    }

    pub(in crate::store) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("snapshot is not there yet".to_owned()))
    }

    pub(in crate::store) async fn version(&self) -> Result<i64, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("version is not there yet".to_owned()))
    }
}
