//! The command line's own words in both languages, from `locales/`.
//!
//! Invariant: every key stands in both languages (a test compares them).
//! Absent: names of acts, roles and states and the texts of refusals and findings, which their own crates give.

use std::borrow::Cow;
use std::collections::HashMap;

use fluent_templates::fluent_bundle::FluentValue;
use fluent_templates::{LanguageIdentifier, Loader, langid};
use weituo_proof::Language;

fluent_templates::static_loader! {
    static LOCALES = {
        locales: "./locales",
        fallback_language: "zh-CN",
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

static ZH: LanguageIdentifier = langid!("zh-CN");
static EN: LanguageIdentifier = langid!("en");

fn identifier(language: Language) -> &'static LanguageIdentifier {
    match language {
        Language::Zh => &ZH,
        Language::En => &EN,
    }
}

/// Returns the words under `key`.
pub(crate) fn word(language: Language, key: &str) -> String {
    LOCALES.lookup(identifier(language), key)
}

/// Returns the words under `key` with their variables filled in.
pub(crate) fn words(language: Language, key: &str, variables: &[(&'static str, &dyn ToString)]) -> String {
    let variables: HashMap<Cow<'static, str>, FluentValue<'_>> = variables
        .iter()
        .map(|(name, value)| (Cow::Borrowed(*name), FluentValue::from(value.to_string())))
        .collect();
    LOCALES.lookup_with_args(identifier(language), key, &variables)
}

/// Returns the language asked for by `--lang`, or else by the environment's `LC_ALL`, `LC_MESSAGES` or `LANG`.
/// Chinese where nothing says otherwise; English for every locale that is set and not Chinese.
pub(crate) fn language(asked: Option<&str>) -> Language {
    let environment = || {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
    };
    match asked.map(str::to_owned).or_else(environment) {
        Some(locale)
            if locale.starts_with("zh") || locale == "C" || locale.starts_with("C.") || locale == "POSIX" =>
        {
            Language::Zh
        }
        None => Language::Zh,
        Some(_) => Language::En,
    }
}

#[cfg(test)]
mod tests {
    fn keys(text: &str) -> Vec<&str> {
        text.lines()
            .filter(|line| line.starts_with(char::is_alphabetic))
            .filter_map(|l| l.split(" =").next())
            .collect()
    }

    /// Keys that are put together at run time begin with one of these.
    const COMPOSED: [&str; 4] = ["help-", "arg-", "heading-", "verify-"];

    #[test]
    fn every_word_is_used_and_every_used_word_stands() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let files = files.filter(|path| path.is_file());
        let code: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let words = keys(include_str!("../../locales/en/weituo.ftl"));
        for key in &words {
            let used =
                code.contains(&format!("\"{key}\"")) || COMPOSED.iter().any(|start| key.starts_with(start));
            assert!(used, "{key} is used nowhere");
        }
        let starts = ["column-", "section-"];
        let column_or_section =
            |text: &&str| starts.iter().any(|start| text.len() > start.len() && text.starts_with(start));
        for used in code.split('"').filter(column_or_section) {
            assert!(words.contains(&used), "{used} has no words");
        }
    }

    #[test]
    fn every_word_stands_in_both_languages_in_the_same_order() {
        let zh = include_str!("../../locales/zh-CN/weituo.ftl");
        let en = include_str!("../../locales/en/weituo.ftl");
        assert_eq!(keys(zh), keys(en));
        assert!(keys(zh).len() > 40);
    }
}
