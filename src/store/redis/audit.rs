//! audit

use super::Redis;
use super::connection::Ask;
use crate::store::{AuditEvent, AuditFilter, StoreError};

impl Redis {
    pub(in crate::store) async fn audit(&self, _event: AuditEvent) -> Result<(), StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("audit is not there yet".to_owned()))
    }

    pub(in crate::store) async fn audit_log(
        &self,
        _filter: AuditFilter,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("audit_log is not there yet".to_owned()))
    }

    pub(in crate::store) async fn audit_tail(
        &self,
        _filter: AuditFilter,
        _cursor: i64,
    ) -> Result<(Vec<AuditEvent>, i64), StoreError> {
        self.connection.ask(Ask::one("", ::redis::cmd("PING"))).await?;
        Err(StoreError::Invalid("audit_tail is not there yet".to_owned()))
    }
}
