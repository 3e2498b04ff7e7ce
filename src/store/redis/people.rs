//! people

use super::Redis;
use super::connection::Ask;
use crate::identity::EmailAddress;
use crate::identity::Profile;
use crate::store::StoreError;

impl Redis {
    pub(in crate::store) async fn put_user(&self, _site: &str, _profile: Profile) -> Result<(), StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("put_user is not there yet".to_owned()))
    }

    pub(in crate::store) async fn remove_user(
        &self,
        _site: &str,
        _email: &EmailAddress,
    ) -> Result<bool, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("remove_user is not there yet".to_owned()))
    }

    pub(in crate::store) async fn list_users(
        &self,
        _site: Option<&str>,
    ) -> Result<Vec<(String, Profile)>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("list_users is not there yet".to_owned()))
    }
}
