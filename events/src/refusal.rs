//! A refusal: what was not recorded, why, and what would be accepted.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use weituo_proof::Language;

/// One sentence in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Text {
    /// Returns the sentence in both languages.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    /// Returns the sentence in `language`.
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::Zh => &self.zh,
            Language::En => &self.en,
        }
    }
}

/// What kind of refusal it is; the edges map it to exit codes and HTTP statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// It cannot be true, or cannot be read.
    Invalid,
    /// It contradicts what the stream already says.
    Contradicts,
    /// The actor may not say it.
    Forbidden,
}

/// Why a command was refused, and what would be accepted instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Stable code, such as `assessment-exists`, or the code of the rulebook's rule.
    pub code: Cow<'static, str>,
    /// What kind of refusal.
    pub kind: RefusalKind,
    /// Why, and what would be accepted.
    pub reason: Text,
}

impl Refusal {
    /// Returns a refusal of what cannot be true.
    pub fn invalid(code: impl Into<Cow<'static, str>>, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { code: code.into(), kind: RefusalKind::Invalid, reason: shortened(zh, en) }
    }

    /// Returns a refusal of what contradicts the stream.
    pub fn contradicts(
        code: impl Into<Cow<'static, str>>,
        zh: impl Into<String>,
        en: impl Into<String>,
    ) -> Self {
        Self { code: code.into(), kind: RefusalKind::Contradicts, reason: shortened(zh, en) }
    }

    /// Returns a refusal of what the actor may not say.
    pub fn forbidden(
        code: impl Into<Cow<'static, str>>,
        zh: impl Into<String>,
        en: impl Into<String>,
    ) -> Self {
        Self { code: code.into(), kind: RefusalKind::Forbidden, reason: shortened(zh, en) }
    }
}

/// Longest reason, in characters: what it quotes of the input may have any length.
const MAX_REASON_CHARS: usize = 1_000;

fn shortened(zh: impl Into<String>, en: impl Into<String>) -> Text {
    let short = |mut text: String| {
        if let Some((end, _)) = text.char_indices().nth(MAX_REASON_CHARS) {
            text.truncate(end);
            text.push('…');
        }
        text
    };
    Text::new(short(zh.into()), short(en.into()))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason.en)
    }
}

impl std::error::Error for Refusal {}
