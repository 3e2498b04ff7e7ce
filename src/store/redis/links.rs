//! links

use super::Redis;
use super::connection::Ask;
use crate::identity::EmailAddress;
use crate::store::{
    AddressTry, LinkFilter, LinkRecord, NewLetter, NewLink, Redeemed, Redeemer, StoreError, Which,
};

impl Redis {
    pub(in crate::store) async fn put_link(
        &self,
        _link: NewLink,
        _letter: Option<NewLetter>,
    ) -> Result<(), StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("put_link is not there yet".to_owned()))
    }

    pub(in crate::store) async fn peek_link(
        &self,
        _token_hash: [u8; 32],
    ) -> Result<Option<LinkRecord>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("peek_link is not there yet".to_owned()))
    }

    pub(in crate::store) async fn redeem(
        &self,
        _token_hash: [u8; 32],
        _by: Redeemer,
    ) -> Result<Redeemed, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("redeem is not there yet".to_owned()))
    }

    pub(in crate::store) async fn try_address(
        &self,
        _token_hash: [u8; 32],
        _typed: &EmailAddress,
    ) -> Result<AddressTry, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("try_address is not there yet".to_owned()))
    }

    pub(in crate::store) async fn wrong_address(&self, _token_hash: [u8; 32]) -> Result<u32, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("wrong_address is not there yet".to_owned()))
    }

    pub(in crate::store) async fn again_once(
        &self,
        _token_hash: [u8; 32],
    ) -> Result<Option<LinkRecord>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("again_once is not there yet".to_owned()))
    }

    pub(in crate::store) async fn list_links(
        &self,
        _filter: LinkFilter,
    ) -> Result<Vec<LinkRecord>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("list_links is not there yet".to_owned()))
    }

    pub(in crate::store) async fn revoke_links(&self, _which: Which) -> Result<u64, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("revoke_links is not there yet".to_owned()))
    }

    pub(in crate::store) async fn asked(
        &self,
        _site: &str,
        _nonce_hash: [u8; 32],
    ) -> Result<Option<LinkRecord>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("asked is not there yet".to_owned()))
    }
}
