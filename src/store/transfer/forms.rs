//! How values stand in the file: hashes and ids in hexadecimal, moments in milliseconds since 1970, addresses in their
//! canonical form. A field that says until when or how often something lets in must be there, even if it is `null`: a
//! line that lost it must not let in for longer.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;

/// A value that stands in the file as something that JSON knows.
pub(super) trait Form: Sized {
    type Raw: Serialize + DeserializeOwned;

    fn write(&self) -> Self::Raw;

    /// What is wrong with it, in words.
    fn read(raw: Self::Raw) -> Result<Self, String>;
}

impl Form for Timestamp {
    type Raw = i64;

    fn write(&self) -> i64 {
        self.millis()
    }

    fn read(raw: i64) -> Result<Self, String> {
        Ok(Self::from_millis(raw))
    }
}

impl<const N: usize> Form for [u8; N] {
    type Raw = String;

    fn write(&self) -> String {
        hex(self)
    }

    fn read(raw: String) -> Result<Self, String> {
        unhex(&raw)
    }
}

impl Form for SessionId {
    type Raw = String;

    fn write(&self) -> String {
        hex(self.bytes())
    }

    fn read(raw: String) -> Result<Self, String> {
        unhex(&raw).map(Self::from_bytes)
    }
}

impl Form for EmailAddress {
    type Raw = String;

    fn write(&self) -> String {
        self.as_str().to_owned()
    }

    fn read(raw: String) -> Result<Self, String> {
        Self::parse(&raw).map_err(|error| format!("no address: {error}"))
    }
}

impl Form for u32 {
    type Raw = Self;

    fn write(&self) -> Self {
        *self
    }

    fn read(raw: Self) -> Result<Self, String> {
        Ok(raw)
    }
}

/// `#[serde(with)]` for a value.
pub(super) mod plain {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Form;

    pub(in super::super) fn serialize<T: Form, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        value.write().serialize(to)
    }

    pub(in super::super) fn deserialize<'de, T: Form, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        T::read(T::Raw::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// `#[serde(with)]` for a value that may be `null`, but not missing.
pub(super) mod or_null {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Form;

    #[expect(clippy::ref_option, reason = "serde hands the field over so")]
    pub(in super::super) fn serialize<T: Form, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Form::write).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, T: Form, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        Option::<T::Raw>::deserialize(from)?.map(T::read).transpose().map_err(D::Error::custom)
    }
}

pub(in crate::store) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let wrong = || format!("{} hexadecimal digits are wanted", N * 2);
    if text.len() != N * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}
