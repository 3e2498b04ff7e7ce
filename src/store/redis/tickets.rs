//! tickets

use super::Redis;
use super::connection::Ask;
use crate::store::{NewTicket, StoreError, TicketRecord};

impl Redis {
    pub(in crate::store) async fn put_ticket(&self, _ticket: NewTicket) -> Result<(), StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("put_ticket is not there yet".to_owned()))
    }

    pub(in crate::store) async fn take_ticket(
        &self,
        _ticket_hash: [u8; 32],
        _nonce_hash: [u8; 32],
        _origin: &str,
    ) -> Result<Option<TicketRecord>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("take_ticket is not there yet".to_owned()))
    }
}
