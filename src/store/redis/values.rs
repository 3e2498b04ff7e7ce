//! What Redis answers, in our words. Never lets a value through that it cannot parse.

use std::collections::HashMap;

use ::redis::{ServerError, ServerErrorKind, Value};

use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::store::StoreError;

/// Redis holds something that linkgate did not write, or wrote otherwise.
pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("Redis holds {what} that cannot be read"))
}

/// A list; `Nil` is an empty one.
pub(super) fn list(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        other => Err(answered(&other)),
    }
}

pub(super) fn bytes(value: Value) -> Result<Option<Vec<u8>>, StoreError> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::Int(number) => Ok(Some(number.to_string().into_bytes())),
        Value::Nil => Ok(None),
        other => Err(answered(&other)),
    }
}

pub(super) fn text(value: Value) -> Result<String, StoreError> {
    let bytes = bytes(value)?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| corrupt("a text"))
}

/// A number; `None` where there is nothing.
pub(super) fn number(value: &Value) -> Result<Option<i64>, StoreError> {
    match value {
        Value::Int(number) => Ok(Some(*number)),
        Value::BulkString(bytes) => parse(bytes).map(Some),
        Value::Nil => Ok(None),
        other => Err(answered(other)),
    }
}

pub(super) fn count(value: &Value) -> Result<u64, StoreError> {
    let number = number(value)?.unwrap_or_default();
    u64::try_from(number).map_err(|_| corrupt("a count below zero"))
}

/// What `TIME` answers.
pub(super) fn time(value: Value) -> Result<Timestamp, StoreError> {
    let mut parts = list(value)?.into_iter();
    let mut part = || match parts.next() {
        Some(value) => number(&value)?.ok_or_else(|| corrupt("a time")),
        None => Err(corrupt("a time")),
    };
    let (seconds, micros) = (part()?, part()?);
    Ok(Timestamp::from_millis(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
}

fn parse(bytes: &[u8]) -> Result<i64, StoreError> {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(|| corrupt("a number"))
}

pub(super) fn session_id(bytes: &[u8]) -> Result<SessionId, StoreError> {
    bytes.try_into().map(SessionId::from_bytes).map_err(|_| corrupt("a session id"))
}

pub(super) fn hash(bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| corrupt("a hash"))
}

/// The fields of a record. What is not there is no field: empty values are not kept.
#[derive(Debug, Default)]
pub(super) struct Fields(HashMap<String, Vec<u8>>);

impl Fields {
    /// From names and values by turns (`HGETALL`). `None`: no record.
    pub(super) fn by_turns(value: Value) -> Result<Option<Self>, StoreError> {
        let mut fields = HashMap::new();
        let mut values = list(value)?.into_iter();
        while let (Some(name), Some(value)) = (values.next(), values.next()) {
            fields.insert(text(name)?, bytes(value)?.unwrap_or_default());
        }
        Ok((!fields.is_empty()).then_some(Self(fields)))
    }

    /// From the values of the fields named (`HMGET`). `None`: no record.
    pub(super) fn named(names: &[&str], value: Value) -> Result<Option<Self>, StoreError> {
        let mut fields = HashMap::new();
        for (name, value) in names.iter().zip(list(value)?) {
            if let Some(bytes) = bytes(value)? {
                fields.insert((*name).to_owned(), bytes);
            }
        }
        Ok((!fields.is_empty()).then_some(Self(fields)))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    pub(super) fn text(&self, name: &str) -> Result<String, StoreError> {
        let bytes = self.bytes(name).unwrap_or_default().to_vec();
        String::from_utf8(bytes).map_err(|_| corrupt("a text"))
    }

    pub(super) fn email(&self) -> Result<EmailAddress, StoreError> {
        EmailAddress::parse(&self.text("email")?).map_err(|_| corrupt("an address"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, StoreError> {
        self.bytes(name).map(parse).transpose()
    }

    /// A count; zero where there is nothing.
    pub(super) fn count(&self, name: &str) -> Result<u32, StoreError> {
        Ok(self.limit(name)?.unwrap_or_default())
    }

    /// A count; nothing means without limit.
    pub(super) fn limit(&self, name: &str) -> Result<Option<u32>, StoreError> {
        let number = self.number(name)?;
        number.map(|number| u32::try_from(number).map_err(|_| corrupt("a count"))).transpose()
    }

    pub(super) fn when(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.number(name)?.map(Timestamp::from_millis))
    }

    pub(super) fn moment(&self, name: &str) -> Result<Timestamp, StoreError> {
        self.when(name)?.ok_or_else(|| corrupt("a record without a date"))
    }

    pub(super) fn hash(&self, name: &str) -> Result<Option<[u8; 32]>, StoreError> {
        self.bytes(name).map(hash).transpose()
    }
}

/// An answer of a kind that was not asked for.
pub(super) fn answered(value: &Value) -> StoreError {
    match value {
        Value::ServerError(error) => refused(error),
        _ => StoreError::Corrupt("Redis gave an answer of another kind than was asked for".to_owned()),
    }
}

/// Whether it stays so until somebody changes a setting: who may come in, and who may do what.
pub(super) fn lasts(error: &ServerError) -> bool {
    matches!(error.code(), "NOAUTH" | "WRONGPASS" | "NOPERM") || is_no_cluster(error)
}

fn is_no_cluster(error: &ServerError) -> bool {
    error.details().is_some_and(|text| text.contains("cluster support disabled"))
}

/// The same as a part of a sentence.
pub(super) fn said(error: &ServerError) -> String {
    match refused(error) {
        StoreError::Away(why) => why,
        other => other.to_string(),
    }
}

/// An error of Redis, by what can be done about it. Its own text may name keys, never addresses.
pub(super) fn refused(error: &ServerError) -> StoreError {
    let text = error.details().unwrap_or_default();
    match (error.kind(), error.code()) {
        (_, "OOM") => StoreError::Away(
            "Redis has no memory left; raise `maxmemory`, and keep `maxmemory-policy noeviction`".to_owned(),
        ),
        (_, "MISCONF") => StoreError::Away(format!(
            "Redis takes no writes because it cannot save ({text}); make room on its disk, see its log"
        )),
        (_, "NOREPLICAS") => {
            StoreError::Away("Redis takes no writes because too few replicas are connected".to_owned())
        }
        (_, "NOAUTH" | "WRONGPASS") => {
            StoreError::Away(format!("Redis does not let us in ({text}); check `user` and `password_file`"))
        }
        (Some(ServerErrorKind::NoPerm), _) => StoreError::Away(format!(
            "the Redis user may not do what linkgate needs ({text}); see the ACL line in docs/redis.md"
        )),
        (Some(ServerErrorKind::CrossSlot), _) => {
            StoreError::Away("this is a Redis Cluster: write `redis+cluster://` in `store.url`".to_owned())
        }
        _ if is_no_cluster(error) => {
            StoreError::Away("this is no Redis Cluster: write `redis://` in `store.url`".to_owned())
        }
        (_, "WRONGTYPE") => corrupt("a key of another kind: is the prefix somebody else's?"),
        (_, code) => StoreError::Away(format!("Redis refuses: {code} {text}")),
    }
}
