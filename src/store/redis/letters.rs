//! The outbox in Redis. A letter lies in its link's HASH, in fields that begin with `letter.`: `id`, `site`, `email`,
//! `sealed` (absent once erased), `state` (0 waiting, 1 leased, 2 dead, 3 sent), `attempts`, `next_at`, `holder`,
//! `error`, `created_at`, `expires_at`, `finished_at`, `order`. `lua/put_link.lua` writes it, `lua/revoke_link.lua`
//! recalls it; what is due is found by an index that is written first.

use std::time::Duration;

use super::Redis;
use super::connection::Ask;
use crate::clock::Timestamp;
use crate::store::{LeasedLetter, LetterRecord, NewLetter, StoreError};

impl Redis {
    /// What finds a letter, written before the letter.
    pub(super) fn letter_indexes(
        &self,
        _token_hash: &[u8; 32],
        _letter: &NewLetter,
        _now: Timestamp,
    ) -> Vec<Ask> {
        Vec::new()
    }

    pub(in crate::store) async fn lease_letters(
        &self,
        _most: u32,
        _lease: Duration,
        _holder: &str,
    ) -> Result<Vec<LeasedLetter>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("lease_letters is not there yet".to_owned()))
    }

    pub(in crate::store) async fn letter_sent(&self, _id: &str, _holder: &str) -> Result<(), StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("letter_sent is not there yet".to_owned()))
    }

    pub(in crate::store) async fn letter_failed(
        &self,
        _id: &str,
        _holder: &str,
        _error: &str,
        _retry_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("letter_failed is not there yet".to_owned()))
    }

    pub(in crate::store) async fn list_letters(&self) -> Result<Vec<LetterRecord>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("list_letters is not there yet".to_owned()))
    }

    pub(in crate::store) async fn retry_letters(&self, _ids: &[String]) -> Result<u64, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("retry_letters is not there yet".to_owned()))
    }

    pub(in crate::store) async fn drop_letters(&self, _ids: &[String]) -> Result<u64, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("drop_letters is not there yet".to_owned()))
    }

    pub(in crate::store) async fn next_letter_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("next_letter_at is not there yet".to_owned()))
    }
}
