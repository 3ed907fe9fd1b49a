//! Checked names and numbers: origin, stream, command id, dates, instants, leaf index and tree size.
//!
//! Invariants: a value of these types satisfies its rule in format.md, and its text form reads back to itself.
//! Absent: personal identifiers of any kind; time zones (an effective date is compared in the ledger's zone, which
//! only the ledger knows).
//! Source: format.md "Entry".

mod calendar;
mod effective;
mod recorded_at;

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::{SmolStr, format_smolstr};

use crate::both::Both;

pub use effective::{Effective, Precision};
pub use recorded_at::RecordedAt;

/// Refusal of a text that breaks the rule of an identifier. `text` holds at most 80 characters of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} ({bytes} bytes) is refused: {}", rule.en())]
pub struct IdentError {
    /// The rule, as a sentence without its full stop.
    pub rule: &'static Both,
    /// The start of the text refused, at most 80 characters.
    pub text: String,
    /// Length of the whole text, in bytes.
    pub bytes: usize,
}

impl IdentError {
    fn new(rule: &'static Both, text: &str) -> Self {
        Self { rule, text: text.chars().take(80).collect(), bytes: text.len() }
    }
}

/// Every rule of this module's texts: a parser that refuses one keeps its English only.
pub const RULES: [&Both; 5] =
    [Origin::RULE, StreamName::RULE, CommandId::RULE, effective::RULE, recorded_at::RULE];

/// Reads any `FromStr` type from a string without an intermediate allocation.
///
/// It is asked for by `deserialize_string`, since nothing is borrowed: from a file, postcard keeps what may be.
pub(crate) struct TextVisitor<T> {
    expecting: &'static str,
    kind: PhantomData<T>,
}

impl<T> TextVisitor<T> {
    pub(crate) fn new(expecting: &'static str) -> Self {
        Self { expecting, kind: PhantomData }
    }
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Gives a newtype of a text, which costs no allocation up to 23 bytes and its clones none at all, with a `const RULE` and `fn holds(&str) -> bool` its constructors and conversions.
macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// Returns the checked value.
            ///
            /// # Errors
            ///
            /// `IdentError` with the rule and the text refused.
            pub fn new(text: impl Into<SmolStr>) -> Result<Self, IdentError> {
                let text = text.into();
                if Self::holds(&text) { Ok(Self(text)) } else { Err(IdentError::new(Self::RULE, &text)) }
            }

            /// Returns the text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        text_conversions!($name);
    };
}

/// Gives a type that has `new` and `as_str` its conversions from and to text.
macro_rules! text_conversions {
    ($name:ident) => {
        impl FromStr for $name {
            type Err = IdentError;

            fn from_str(text: &str) -> Result<Self, IdentError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdentError;

            fn try_from(text: String) -> Result<Self, IdentError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_string(TextVisitor::new("a string"))
            }
        }
    };
}

/// The name of a log: 1 to 255 ASCII graphic characters without `+`, `"` and `\`. It is also the name of the log's key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(SmolStr);

text_newtype!(Origin);

impl Origin {
    const RULE: &Both = &Both::new(
        "来源标识为 1 至 255 个可见 ASCII 字符,不含 '+'、'\"'、'\\\\'",
        "an origin is 1 to 255 ASCII graphic characters without '+', '\"' and '\\\\'",
    );

    fn holds(text: &str) -> bool {
        (1..=255).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && !b"+\"\\".contains(&b))
    }
}

/// The name of a stream, `category/id`: `[a-z]{1,16}/[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, case-sensitive.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(SmolStr);

text_newtype!(StreamName);

impl StreamName {
    const RULE: &Both = &Both::new(
        "流名为 [a-z]{1,16}/[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        "a stream is [a-z]{1,16}/[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    );

    fn holds(text: &str) -> bool {
        text.split_once('/').is_some_and(|(category, id)| {
            (1..=16).contains(&category.len())
                && category.bytes().all(|b| b.is_ascii_lowercase())
                && is_stream_id(id)
        })
    }

    /// Returns the stream `category/id`.
    ///
    /// # Errors
    ///
    /// `IdentError` when either part breaks the rule.
    pub fn of(category: &str, id: &str) -> Result<Self, IdentError> {
        Self::new(format_smolstr!("{category}/{id}"))
    }

    /// Returns the part before the slash, such as `agreement`.
    pub fn category(&self) -> &str {
        self.parts().0
    }

    /// Returns the part after the slash, such as `WZ-2019-001`.
    pub fn id(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').expect("invariant: a checked stream name has a slash")
    }
}

/// Returns whether `text` is the id part of a stream name, which is also the form of an organisation's id.
pub fn is_stream_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// A command's id: a UUID in its lower-case hyphenated form, 36 characters; any version (RFC 9562 section 4).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId([u8; 36]);

text_conversions!(CommandId);

impl CommandId {
    const RULE: &Both = &Both::new(
        "命令编号为小写带连字符的 UUID,36 个字符",
        "a command id is a UUID in lower-case hyphenated form, 36 characters",
    );

    /// Returns the checked value.
    ///
    /// # Errors
    ///
    /// `IdentError` with the rule and the text refused.
    pub fn new(text: impl AsRef<str>) -> Result<Self, IdentError> {
        let text = text.as_ref();
        let checked = text.as_bytes().try_into().ok().filter(Self::holds);
        checked.map(Self).ok_or_else(|| IdentError::new(Self::RULE, text))
    }

    fn holds(text: &[u8; 36]) -> bool {
        text.iter().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
    }

    /// Returns the text form.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("invariant: hex digits and hyphens are ASCII")
    }

    /// Returns the UUID's 16 bytes.
    pub fn to_bytes(&self) -> [u8; 16] {
        let digits = self.0.iter().filter(|digit| **digit != b'-');
        let mut bytes = [0_u8; 16];
        for (at, digit) in digits.enumerate() {
            let value = if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
            bytes[at / 2] = bytes[at / 2] << 4 | value;
        }
        bytes
    }
}

/// Gives a `u64` newtype its constructor and conversions.
macro_rules! number_newtype {
    ($name:ident) => {
        impl $name {
            /// Returns the number as this kind.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Returns the bare number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

/// An entry's 0-based place in the log.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeafIndex(u64);

number_newtype!(LeafIndex);

impl LeafIndex {
    /// Returns the size of the smallest tree that holds this leaf: index + 1.
    ///
    /// # Panics
    ///
    /// At index 2^64 - 1, which no log reaches.
    pub fn size_through(self) -> TreeSize {
        TreeSize(self.0.checked_add(1).expect("invariant: a log has fewer than 2^64 entries"))
    }
}

/// The number of leaves of a tree.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TreeSize(u64);

number_newtype!(TreeSize);

impl TreeSize {
    /// Returns the index that the next leaf gets.
    pub const fn next_index(self) -> LeafIndex {
        LeafIndex(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_refuses_spaces_plus_newlines_and_255_exceeded() {
        assert!(Origin::new("weituo.example/wz").is_ok());
        assert!(Origin::new("x".repeat(255)).is_ok());
        for bad in ["", "a b", "a+b", "a\"b", "a\\b", "a\nb", "é", "a\u{7f}", &"x".repeat(256)] {
            assert!(Origin::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn stream_name_splits_into_category_and_id() {
        let name = StreamName::new("agreement/WZ-2019-001").unwrap();
        assert_eq!((name.category(), name.id()), ("agreement", "WZ-2019-001"));
        assert_eq!(StreamName::of("agreement", "WZ-2019-001"), Ok(name));
        assert!(StreamName::of("abcdefghijklmnop", &"x".repeat(64)).is_ok());
        for bad in
            ["", "a", "/x", "a/", "A/x", "a/-x", "a/x/y", "a/x y", "a1/x", "a/甲", "abcdefghijklmnopq/x"]
        {
            assert!(StreamName::new(bad).is_err(), "{bad:?}");
        }
        assert!(StreamName::of("a", &"x".repeat(65)).is_err());
    }

    #[test]
    fn command_id_has_one_spelling() {
        assert!(CommandId::new("0190a3b2-7c1d-7def-8123-456789abcdef").is_ok());
        for bad in [
            "0190A3B2-7c1d-7def-8123-456789abcdef",
            "0190a3b27c1d7def8123456789abcdef",
            "{0190a3b2-7c1d-7def-8123-456789abcd}",
            "0190a3b2-7c1d-7def-8123-456789abcdeg",
        ] {
            assert!(CommandId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_command_id_gives_the_bytes_of_its_uuid() {
        let bytes = CommandId::new("0190a3b2-7c1d-7def-8123-456789abcdef").unwrap().to_bytes();
        assert_eq!(u128::from_be_bytes(bytes), 0x0190_a3b2_7c1d_7def_8123_4567_89ab_cdef);
    }

    #[test]
    fn identifiers_are_checked_when_deserialised() {
        assert!(serde_json::from_str::<Origin>("\"a b\"").is_err());
        assert_eq!(serde_json::from_str::<LeafIndex>("7").unwrap(), LeafIndex::new(7));
        assert_eq!(serde_json::to_string(&TreeSize::new(8)).unwrap(), "8");
    }

    #[test]
    fn refusal_names_the_rule_and_keeps_80_characters() {
        let error = Origin::new("+".repeat(300)).unwrap_err();
        assert_eq!((error.text.len(), error.bytes), (80, 300));
    }
}
