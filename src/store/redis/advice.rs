//! What a Redis should be set to, so that it loses no session and no letter; said once, when it first answers. Changes
//! nothing, and stops nobody from starting.

use ::redis::Value;

use super::Redis;
use super::values;
use crate::store::StoreError;

impl Redis {
    /// Says what is to be said in the log, the first time that Redis answers.
    pub(super) fn advise_once(&self) {
        if self.advised.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let this = self.clone();
        self.connection.home().spawn(async move {
            match this.advice().await {
                Ok(advice) => advice.iter().for_each(|advice| tracing::warn!("{advice}")),
                Err(error) => tracing::debug!(%error, "how Redis is set could not be looked at"),
            }
        });
    }

    /// What each server should have otherwise. Empty: all is well.
    pub(super) async fn advice(&self) -> Result<Vec<String>, StoreError> {
        let config = |name: &str| {
            let mut command = ::redis::cmd("CONFIG");
            command.arg("GET").arg(name);
            command
        };
        let mut persistence = ::redis::cmd("INFO");
        persistence.arg("persistence");
        let commands = vec![config("maxmemory-policy"), config("maxmemory"), config("save"), persistence];
        let mut advice = Vec::new();
        for (place, values) in self.connection.ask_each(commands).await? {
            if values.iter().any(|value| matches!(value, Value::ServerError(_))) {
                advice.push(format!(
                    "linkgate may not look how Redis at {place} is set (CONFIG GET, INFO); see to it that \
                     maxmemory-policy is noeviction and that it keeps its data on a disk"
                ));
                continue;
            }
            let mut values = values.into_iter();
            let mut setting = || -> Result<String, StoreError> {
                values::list(values.next().unwrap_or_default())?
                    .into_iter()
                    .nth(1)
                    .map_or(Ok(String::new()), values::text)
            };
            let (policy, memory, save) = (setting()?, setting()?, setting()?);
            let persistence = values::text(values.next().unwrap_or_default())?;
            if policy != "noeviction" && memory != "0" {
                advice.push(format!(
                    "Redis at {place} forgets sessions and revocations when its memory is full: set \
                     maxmemory-policy noeviction (it is {policy})"
                ));
            }
            if save.is_empty() && !persistence.contains("aof_enabled:1") {
                advice.push(format!(
                    "Redis at {place} keeps nothing on a disk: a restart signs everybody out; set appendonly yes"
                ));
            }
        }
        Ok(advice)
    }
}
