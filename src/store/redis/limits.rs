//! Rate limits that all instances share: one key a bucket, judged by the server's clock, gone when the bucket is full.
//! Never lets pass what it could not count.

use std::time::Duration;

use super::Redis;
use super::bytes;
use super::values;
use crate::store::{Quota, StoreError};

impl Redis {
    /// Takes one from a bucket, if the quota has one left.
    pub(in crate::store) async fn spend_from(&self, bucket: &str, quota: Quota) -> Result<bool, StoreError> {
        let key = self.keys.bucket(bucket);
        let arguments = vec![bytes(quota.count), bytes(micros(quota.per))];
        let spend = self.script(&self.scripts.spend, &[key], arguments);
        if quota.count == 0 {
            // Written all the same: whether its server is away, or full, must not show who was counted at all.
            return self.run(spend.pretended()).await.map(|_| false);
        }
        let answer = self.run(spend).await?;
        Ok(values::number(&answer)? == Some(1))
    }
}

/// Scripts count in doubles, which are exact up to 2⁵³: a quota of over a century is one of a century.
fn micros(span: Duration) -> u128 {
    const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);
    span.min(CENTURY).as_micros()
}
