//! sessions

use super::Redis;
use super::connection::Ask;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::store::{SessionFilter, SessionRecord, StoreError, Which};

impl Redis {
    pub(in crate::store) async fn list_sessions(
        &self,
        _filter: SessionFilter,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("list_sessions is not there yet".to_owned()))
    }

    pub(in crate::store) async fn session(
        &self,
        _id: SessionId,
    ) -> Result<Option<SessionRecord>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("session is not there yet".to_owned()))
    }

    pub(in crate::store) async fn touch_session(
        &self,
        _id: SessionId,
        _seen_at: Timestamp,
        _idle_until: Timestamp,
    ) -> Result<(), StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("touch_session is not there yet".to_owned()))
    }

    pub(in crate::store) async fn revoke_sessions(
        &self,
        _which: Which,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("revoke_sessions is not there yet".to_owned()))
    }

    pub(in crate::store) async fn raise_generation(
        &self,
        _site: &str,
        _email: &EmailAddress,
    ) -> Result<u64, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("raise_generation is not there yet".to_owned()))
    }
}
