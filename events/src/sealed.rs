//! Sealed values: what may have to be erased (format.md, Sealed values; RFC 9901 section 4.2).
//!
//! A command carries the value in clear; sealing puts the digest of its disclosure in its place before anything is
//! hashed. Invariant: an entry holds no [`Sealed::Open`] ([`crate::Act::seal`] leaves none).
//! Absent: randomness. The caller brings the salts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weituo_proof::SealedRef;
use weituo_proof::sealed::SealedError;

/// The name of every sealed scalar's disclosure.
pub const DISCLOSURE_NAME: &str = "text";

/// A value that may have to be erased: open in a command, sealed in an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Sealed {
    /// The digest of the disclosure.
    Shut(#[schemars(with = "SealedRefShape")] SealedRef),
    /// The value itself.
    Open(String),
}

/// The JSON Schema of a sealed value as it stands in an entry.
#[derive(JsonSchema)]
#[schemars(rename = "SealedRef")]
pub(crate) struct SealedRefShape {
    /// One digest: 43 characters of base64url.
    #[schemars(rename = "_sd", length(equal = 1))]
    #[expect(dead_code, reason = "read by the schema only")]
    digests: Vec<String>,
}

impl Sealed {
    /// Seals an open value under `salt` (16 bytes, fresh each time) and returns its disclosure; `None` if already shut.
    ///
    /// # Errors
    /// When the value holds what an entry cannot hold, such as U+0000.
    pub fn shut(&mut self, salt: [u8; 16]) -> Result<Option<String>, SealedError> {
        let Self::Open(value) = self else { return Ok(None) };
        let value = serde_json::Value::String(value.clone());
        let (sealed, disclosure) = weituo_proof::sealed::seal(salt, DISCLOSURE_NAME, value)?;
        *self = Self::Shut(sealed);
        Ok(Some(disclosure))
    }
}

/// Walks over the sealed values of a payload, in the order of its fields.
pub trait Seal {
    /// Calls `visit` for every sealed value.
    fn each_sealed(&mut self, visit: &mut dyn FnMut(&mut Sealed));
}

impl Seal for Sealed {
    fn each_sealed(&mut self, visit: &mut dyn FnMut(&mut Sealed)) {
        visit(self);
    }
}

impl<T: Seal> Seal for Option<T> {
    fn each_sealed(&mut self, visit: &mut dyn FnMut(&mut Sealed)) {
        if let Some(inner) = self {
            inner.each_sealed(visit);
        }
    }
}

impl<T: Seal> Seal for Vec<T> {
    fn each_sealed(&mut self, visit: &mut dyn FnMut(&mut Sealed)) {
        for inner in self {
            inner.each_sealed(visit);
        }
    }
}

macro_rules! nothing_sealed {
    ($($type:ty),* $(,)?) => {
        $(impl Seal for $type {
            fn each_sealed(&mut self, _: &mut dyn FnMut(&mut Sealed)) {}
        })*
    };
}

nothing_sealed!(
    bool,
    i64,
    u32,
    u64,
    String,
    smol_str::SmolStr,
    chrono::NaiveDate,
    weituo_proof::Hash,
    weituo_proof::Effective,
    weituo_proof::StreamName,
    crate::OrganisationId,
    crate::CreditCode,
    crate::RegionCode,
    crate::SchoolCode,
);
