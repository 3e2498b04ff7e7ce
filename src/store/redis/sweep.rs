//! sweep

use super::Redis;
use super::connection::Ask;
use crate::store::{StoreError, Swept};

impl Redis {
    pub(in crate::store) async fn sweep(&self) -> Result<Swept, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("sweep is not there yet".to_owned()))
    }
}
