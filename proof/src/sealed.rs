//! Sealed values: a digest in the entry, the value in a disclosure beside the log, so that it can be erased.
//!
//! Invariants: a disclosure has one spelling, base64url without padding of the canonical JSON `[salt,name,value]`;
//! a sealed reference holds exactly one digest.
//! Absent: randomness (the caller brings 16 fresh random bytes), storage of disclosures, who may read them.
//! Source: RFC 9901 section 4.2 (disclosures and digests); format.md "Sealed values".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::canonical::{self, NotCanonical};
use crate::hash::{Hash, sha256};

/// The key under which a sealed value's digest stands (RFC 9901 section 4.2.4.1).
const DIGESTS_KEY: &str = "_sd";

/// Refusal of a disclosure.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// Not base64url without padding.
    #[error("a disclosure is base64url without padding")]
    Base64(#[source] base64::DecodeError),
    /// Not the canonical JSON `[salt, name, value]`.
    #[error("a disclosure is the canonical JSON [salt, name, value]")]
    Canonical(#[source] NotCanonical),
    /// Canonical JSON of another shape.
    #[error("a disclosure is [salt, name, value] with a salt of 22 base64url characters and a name as text")]
    Shape,
}

/// What stands in an entry in place of a sealed value: `{"_sd":["<43 base64url>"]}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SealedRef {
    digest: Hash,
}

impl SealedRef {
    /// Returns the reference that holds `digest`.
    pub fn new(digest: Hash) -> Self {
        Self { digest }
    }

    /// Returns the digest as it stands in the entry: 43 characters of base64url.
    pub fn digest(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.digest.0)
    }

    /// Returns whether this disclosure's text is the one sealed here.
    pub fn matches(&self, disclosure_text: &str) -> bool {
        digest_of(disclosure_text) == self.digest
    }

    fn of_digest(digest: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(digest).ok()?;
        bytes.try_into().ok().map(|bytes| Self { digest: Hash(bytes) })
    }

    /// Reads what `write` wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        Self::of_digest(text.strip_prefix("{\"_sd\":[\"")?.strip_suffix("\"]}")?)
    }

    /// Appends the JSON object to `out`.
    pub(crate) fn write(&self, out: &mut String) {
        out.push_str("{\"_sd\":[\"");
        URL_SAFE_NO_PAD.encode_string(self.digest.0, out);
        out.push_str("\"]}");
    }
}

/// Returns SHA-256 over the disclosure's ASCII text (RFC 9901 section 4.2.3).
fn digest_of(disclosure_text: &str) -> Hash {
    sha256(&[disclosure_text.as_bytes()])
}

impl Serialize for SealedRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(DIGESTS_KEY, &[self.digest()])?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for SealedRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SealedRefVisitor)
    }
}

struct SealedRefVisitor;

impl<'de> Visitor<'de> for SealedRefVisitor {
    type Value = SealedRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{\"_sd\":[\"<43 base64url>\"]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SealedRef, A::Error> {
        match map.next_key::<String>()? {
            Some(key) if key == DIGESTS_KEY => {}
            _ => return Err(A::Error::custom("a sealed value has the one member _sd")),
        }
        let [digest] = map.next_value::<[String; 1]>()?;
        if map.next_key::<String>()?.is_some() {
            return Err(A::Error::custom("a sealed value has the one member _sd"));
        }
        SealedRef::of_digest(&digest)
            .ok_or_else(|| A::Error::custom("a digest is 43 characters of base64url"))
    }
}

/// The opened form of a sealed value.
#[derive(Clone, PartialEq, Eq)]
pub struct Disclosure {
    salt: [u8; 16],
    name: String,
    value: Value,
    text: String,
}

impl fmt::Debug for Disclosure {
    /// Shows the name and the digest: a log line must not hold what may have to be erased.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disclosure")
            .field("name", &self.name)
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

impl Disclosure {
    /// Returns the disclosure of `value` under `name` with 16 fresh random bytes of salt.
    ///
    /// # Errors
    ///
    /// `SealedError::Canonical` when name or value lies outside the canonical subset.
    pub fn new(salt: [u8; 16], name: impl Into<String>, value: Value) -> Result<Self, SealedError> {
        let name = name.into();
        let mut json = String::from("[\"");
        URL_SAFE_NO_PAD.encode_string(salt, &mut json);
        json.push_str("\",");
        canonical::write_string(&mut json, &name);
        json.push(',');
        canonical::write_value(&mut json, &value).map_err(SealedError::Canonical)?;
        json.push(']');
        canonical::check(json.as_bytes()).map_err(SealedError::Canonical)?;
        Ok(Self { salt, name, value, text: URL_SAFE_NO_PAD.encode(json) })
    }

    /// Returns the disclosure read from its text.
    ///
    /// # Errors
    ///
    /// `SealedError` unless the text is what `encode` would give again.
    pub fn decode(text: &str) -> Result<Self, SealedError> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(SealedError::Base64)?;
        let json = canonical::check(&json).map_err(SealedError::Canonical)?;
        let (salt, name, value): (String, String, Value) =
            serde_json::from_str(json).map_err(|_| SealedError::Shape)?;
        let salt = URL_SAFE_NO_PAD.decode(salt).ok().and_then(|salt| salt.try_into().ok());
        Ok(Self { salt: salt.ok_or(SealedError::Shape)?, name, value, text: text.to_owned() })
    }

    /// Returns the text: base64url without padding of the canonical JSON `[salt,name,value]`.
    pub fn encode(&self) -> String {
        self.text.clone()
    }

    /// Returns the digest that stands in the entry: 43 characters of base64url.
    pub fn digest(&self) -> String {
        self.sealed_ref().digest()
    }

    /// Returns what stands in the entry in place of the value.
    pub fn sealed_ref(&self) -> SealedRef {
        SealedRef::new(digest_of(&self.text))
    }

    /// Returns the salt, 16 bytes.
    pub fn salt(&self) -> &[u8; 16] {
        &self.salt
    }

    /// Returns the name of the sealed member.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// Seals `value`: what stands in the entry, and the disclosure's text to store beside the log.
///
/// # Errors
///
/// `SealedError::Canonical` when name or value lies outside the canonical subset.
pub fn seal(
    salt: [u8; 16],
    name: impl Into<String>,
    value: Value,
) -> Result<(SealedRef, String), SealedError> {
    let disclosure = Disclosure::new(salt, name, value)?;
    Ok((disclosure.sealed_ref(), disclosure.text))
}

/// Returns every digest under an `_sd` key of `json`, at any depth, in order of appearance.
pub fn find_digests(json: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(json, &mut found);
    found
}

fn collect(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, found)),
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::Array(digests) if key == DIGESTS_KEY => {
                        found.extend(digests.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    _ => collect(member, found),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sealed_value_opens_with_its_disclosure_only() {
        let (sealed, text) = seal([7; 16], "person", json!({"name": "王某"})).unwrap();
        assert!(sealed.matches(&text));
        let opened = Disclosure::decode(&text).unwrap();
        assert_eq!((opened.name(), opened.value()), ("person", &json!({"name": "王某"})));
        assert_eq!((opened.encode(), opened.salt()), (text, &[7; 16]));
        assert_eq!(opened.digest(), sealed.digest());
        let (_, other) = seal([8; 16], "person", json!({"name": "王某"})).unwrap();
        assert!(!sealed.matches(&other));
    }

    #[test]
    fn digest_is_over_the_ascii_text_as_in_rfc_9901() {
        // RFC 9901 section 4.2.3: this disclosure (with its own spacing) has this digest.
        let text = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0";
        let digest = SealedRef::new(digest_of(text)).digest();
        assert_eq!(digest, "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0");
        assert!(matches!(Disclosure::decode(text), Err(SealedError::Canonical(_))));
    }

    #[test]
    fn other_spellings_of_a_disclosure_are_refused() {
        let good = Disclosure::new([0; 16], "n", json!(1)).unwrap().encode();
        let reads = |json: &str| Disclosure::decode(&URL_SAFE_NO_PAD.encode(json)).is_ok();
        assert!(reads("[\"AAAAAAAAAAAAAAAAAAAAAA\",\"n\",1]"));
        assert!(!reads("[\"AAAAAAAAAAAAAAAAAAAAAA\", \"n\",1]"));
        assert!(!reads("[\"AAAAAAAAAAAAAAAAAAAAAB\",\"n\",1]"));
        assert!(!reads("[\"AAAA\",\"n\",1]"));
        assert!(!reads("[\"AAAAAAAAAAAAAAAAAAAAAA\",\"n\"]"));
        assert!(!reads("[\"AAAAAAAAAAAAAAAAAAAAAA\",\"n\",1,2]"));
        assert!(!reads("{}"));
        assert!(Disclosure::decode(&format!("{good}=")).is_err());
    }

    #[test]
    fn a_reference_has_exactly_one_digest() {
        let digest = "A".repeat(43);
        let reads = |json: &str| serde_json::from_str::<SealedRef>(json).is_ok();
        assert!(reads(&format!("{{\"_sd\":[\"{digest}\"]}}")));
        assert!(!reads(&format!("{{\"_sd\":[\"{digest}\",\"{digest}\"]}}")));
        assert!(!reads(&format!("{{\"_sd\":[\"{digest}\"],\"a\":1}}")));
        assert!(!reads(&format!("[[\"{digest}\"]]")));
        assert!(!reads("{\"_sd\":[]}") && !reads("{}") && !reads("{\"_sd\":[\"short\"]}"));
        let sealed = SealedRef::new(Hash::ZERO);
        let mut written = String::new();
        sealed.write(&mut written);
        assert_eq!(serde_json::to_string(&sealed).unwrap(), written);
    }

    #[test]
    fn digests_are_found_at_any_depth() {
        let payload = json!({"a": {"_sd": ["x"]}, "b": [{"_sd": ["y"]}], "c": 1});
        assert_eq!(find_digests(&payload), ["x", "y"]);
        assert_eq!(find_digests(&json!({"_sd": ["z"]})), ["z"]);
    }

    #[test]
    fn debug_output_does_not_show_the_value() {
        let shown = format!("{:?}", Disclosure::new([1; 16], "person", json!("secret")).unwrap());
        assert!(!shown.contains("secret"));
    }
}
