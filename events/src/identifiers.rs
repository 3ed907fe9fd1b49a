//! Identifiers of the world outside: organisations, credit codes, school codes, regions, document numbers.
//!
//! Invariant: a value of one of these types has passed its check. Source: regions.md, Identifiers and forms;
//! GB 32100-2015 for the credit code's check character.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use smol_str::SmolStr;
use weituo_proof::{StreamName, is_stream_id};

/// A text that is not the identifier it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Not the id part of an organisation stream.
    #[error("{0:?} is not an organisation id: 1 to 64 of A-Z a-z 0-9 . _ -, starting with a letter or digit")]
    Organisation(String),
    /// Not 18 characters of the credit code's alphabet.
    #[error("{0:?} is not a credit code (统一社会信用代码): 18 characters of 0-9 A-H J-N P-R T U W X Y")]
    CreditCodeForm(String),
    /// The check character is wrong.
    #[error("{code:?} is not a credit code (统一社会信用代码): its check character should be {expected}")]
    CreditCodeCheck {
        /// The code given.
        code: String,
        /// The check character that its first 17 characters have.
        expected: char,
    },
    /// Not ten digits.
    #[error("{0:?} is not a school code (学校标识码): 10 digits")]
    SchoolCode(String),
    /// Not six digits.
    #[error("{0:?} is not a region code (行政区划代码): 6 digits")]
    RegionCode(String),
}

macro_rules! identifier {
    ($(#[$meta:meta])* $name:ident, $check:path) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
        #[serde(try_from = "SmolStr")]
        #[schemars(with = "String")]
        pub struct $name(SmolStr);

        impl $name {
            /// Returns the checked identifier.
            ///
            /// # Errors
            /// When the text does not have its form or check character.
            pub fn new(text: impl Into<SmolStr>) -> Result<Self, IdentifierError> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }

            /// Returns the identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<SmolStr> for $name {
            type Error = IdentifierError;
            fn try_from(text: SmolStr) -> Result<Self, IdentifierError> {
                Self::new(text)
            }
        }

        impl FromStr for $name {
            type Err = IdentifierError;
            fn from_str(text: &str) -> Result<Self, IdentifierError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

identifier!(
    /// An organisation: the part of its stream's name after `organisation/`.
    OrganisationId,
    check_organisation
);
identifier!(
    /// 统一社会信用代码, 18 characters with a check character (GB 32100).
    CreditCode,
    check_credit_code
);
identifier!(
    /// 学校(机构)标识码, 10 digits. It changes when the school's type changes, so it is an alias and never a key.
    SchoolCode,
    check_school_code
);
identifier!(
    /// 行政区划代码, 6 digits.
    RegionCode,
    check_region_code
);

/// An id compares as its text does, so that a text finds it.
impl Borrow<str> for OrganisationId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl OrganisationId {
    /// Returns the organisation's stream, `organisation/<id>`.
    pub fn stream(&self) -> StreamName {
        StreamName::of("organisation", &self.0).expect("an organisation id is the id part of a stream name")
    }
}

fn check_organisation(text: &str) -> Result<(), IdentifierError> {
    if is_stream_id(text) { Ok(()) } else { Err(IdentifierError::Organisation(text.to_owned())) }
}

/// The credit code's alphabet; a character's value is its place.
const CREDIT_ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

fn check_credit_code(text: &str) -> Result<(), IdentifierError> {
    let form = || IdentifierError::CreditCodeForm(text.to_owned());
    let bytes = text.as_bytes();
    if bytes.len() != 18 {
        return Err(form());
    }
    let mut sum = 0;
    let mut weight = 1;
    for &byte in &bytes[..17] {
        let value = CREDIT_ALPHABET.iter().position(|&c| c == byte).ok_or_else(form)?;
        sum += value * weight;
        weight = weight * 3 % 31;
    }
    let expected = CREDIT_ALPHABET[(31 - sum % 31) % 31];
    if bytes[17] == expected {
        Ok(())
    } else if CREDIT_ALPHABET.contains(&bytes[17]) {
        Err(IdentifierError::CreditCodeCheck { code: text.to_owned(), expected: char::from(expected) })
    } else {
        Err(form())
    }
}

fn check_school_code(text: &str) -> Result<(), IdentifierError> {
    digits(text, 10).then_some(()).ok_or_else(|| IdentifierError::SchoolCode(text.to_owned()))
}

fn check_region_code(text: &str) -> Result<(), IdentifierError> {
    digits(text, 6).then_some(()).ok_or_else(|| IdentifierError::RegionCode(text.to_owned()))
}

fn digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns true when a document number (文号) has the form `机关代字〔年份〕序号号`. Others are kept as typed, with a warning.
pub fn document_number_is_regular(number: &str) -> bool {
    let Some((office, rest)) = number.split_once('〔') else { return false };
    let Some((year, rest)) = rest.split_once('〕') else { return false };
    let Some(serial) = rest.strip_suffix('号') else { return false };
    !office.is_empty() && digits(year, 4) && !serial.is_empty() && serial.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_credit_code_passes_and_every_wrong_check_character_fails() {
        assert!(CreditCode::new("91350100M000100Y43").is_ok());
        for &c in CREDIT_ALPHABET.iter().filter(|&&c| c != b'3') {
            let wrong = format!("91350100M000100Y4{}", char::from(c));
            assert_eq!(
                CreditCode::new(wrong.clone()),
                Err(IdentifierError::CreditCodeCheck { code: wrong, expected: '3' })
            );
        }
    }

    #[test]
    fn a_credit_code_of_other_letters_or_length_is_refused() {
        for wrong in
            ["", "91350100M000100Y4", "91350100M000100Y433", "9135010OM000100Y43", "91350100m000100y43", "九"]
        {
            assert!(matches!(CreditCode::new(wrong), Err(IdentifierError::CreditCodeForm(_))), "{wrong}");
        }
    }

    #[test]
    fn a_credit_code_with_two_neighbours_swapped_is_refused() {
        assert!(CreditCode::new("91350100M000100Y43").is_ok());
        assert!(CreditCode::new("93150100M000100Y43").is_err());
    }

    #[test]
    fn school_and_region_codes_are_digits_of_fixed_length() {
        assert!(SchoolCode::new("2133000123").is_ok());
        assert!(SchoolCode::new("213300012").is_err());
        assert!(RegionCode::new("330300").is_ok());
        assert!(RegionCode::new("33030A").is_err());
        assert!(RegionCode::new("３３０３００").is_err());
    }

    #[test]
    fn only_the_lenticular_brackets_make_a_regular_document_number() {
        assert!(document_number_is_regular("温教基〔2018〕120号"));
        for other in
            ["温教基[2018]120号", "温教基(2018)120号", "温教基〔2018〕号", "〔2018〕1号", "温教基〔18〕1号"]
        {
            assert!(!document_number_is_regular(other), "{other}");
        }
    }

    #[test]
    fn an_organisation_id_with_a_path_separator_is_refused() {
        for wrong in ["", "a/b", "../x", ".hidden", "温州", "a b"] {
            assert!(OrganisationId::new(wrong).is_err(), "{wrong}");
        }
        assert_eq!(OrganisationId::new("bureau-wz").unwrap().stream().as_str(), "organisation/bureau-wz");
    }
}
