//! codes

use super::Redis;
use super::connection::Ask;
use crate::identity::EmailAddress;
use crate::store::{CodeRedeemed, Redeemer, StoreError};

impl Redis {
    pub(in crate::store) async fn live_code(
        &self,
        _site: &str,
        _nonce_hash: [u8; 32],
        _email: &EmailAddress,
    ) -> Result<Option<[u8; 8]>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("live_code is not there yet".to_owned()))
    }

    pub(in crate::store) async fn redeem_code(
        &self,
        _site: &str,
        _nonce_hash: [u8; 32],
        _code_tag: [u8; 32],
        _by: Redeemer,
    ) -> Result<CodeRedeemed, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("redeem_code is not there yet".to_owned()))
    }
}
