//! A sentence in both languages of the product.
//!
//! Invariants: in JSON it is the English one, so that a report's bytes depend on no language.
//! Absent: choosing the language; texts that are looked up by a key (the application's catalogue).

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Serialize, Serializer};

use crate::verdict::Language;

/// A text in Chinese and in English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Both {
    zh: Cow<'static, str>,
    en: Cow<'static, str>,
}

impl Both {
    /// Returns a text that is the same whatever it is about.
    pub const fn new(zh: &'static str, en: &'static str) -> Self {
        Self { zh: Cow::Borrowed(zh), en: Cow::Borrowed(en) }
    }

    /// Returns a text with particulars; [`both!`](crate::both) writes them.
    pub fn of(zh: String, en: String) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    /// Returns what has no language, such as a value or the message of another program.
    pub fn plain(text: impl Display) -> Self {
        let text = text.to_string();
        Self::of(text.clone(), text)
    }

    /// Returns the text in one language.
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::Zh => &self.zh,
            Language::En => &self.en,
        }
    }

    /// Returns the English text.
    pub fn en(&self) -> &str {
        &self.en
    }

    /// Changes both texts.
    pub fn map(&mut self, change: impl Fn(&mut String)) {
        change(self.zh.to_mut());
        change(self.en.to_mut());
    }
}

/// A value, which has no language.
impl<T: Display + ?Sized> From<&T> for Both {
    fn from(value: &T) -> Self {
        Self::plain(value)
    }
}

impl Serialize for Both {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.en)
    }
}

/// Writes a text in Chinese and in English, with the variables that either names.
#[macro_export]
macro_rules! both {
    ($zh:literal, $en:literal $(,)?) => {
        $crate::Both::of(::std::format!($zh), ::std::format!($en))
    };
}
