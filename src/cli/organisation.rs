//! One organisation for people.

use weituo_projections::Organisation;

use super::output::{Voice, line, visible};
use super::words::words;

/// Prints one organisation: each name, identifier and superior with the date that it holds from, each key with its leaf index.
pub(super) fn print(voice: Voice, organisation: &Organisation) {
    let mut table = voice.table(&["column-effective", "column-what", "column-name"]);
    let mut add = |from: &weituo_proof::Effective, what: &str, value: String| {
        table.add_row([from.to_string(), voice.word(what), visible(&value)]);
    };
    for name in &organisation.names {
        add(&name.from, "column-name", name.value.to_string());
    }
    for kind in &organisation.kinds {
        add(&kind.from, "column-kind", kind.value.label(voice.language));
    }
    for superior in &organisation.superiors {
        add(&superior.from, "word-superior", superior.value.to_string());
    }
    for code in &organisation.credit_codes {
        add(&code.from, "word-credit-code", code.value.to_string());
    }
    for code in &organisation.school_codes {
        add(&code.from, "word-school-code", code.value.to_string());
    }
    for region in &organisation.regions {
        add(&region.from, "word-region", region.value.to_string());
    }
    if let Some(closed) = &organisation.closed {
        let into = closed.merged_into.as_ref().map_or_else(String::new, ToString::to_string);
        add(&closed.on, "word-closed", into);
    }
    for (id, key) in &organisation.keys {
        let revoked = key
            .revoked
            .map_or_else(String::new, |leaf| words(voice.language, "word-key-revoked", &[("leaf", &leaf)]));
        let from = format!("{} {}", voice.word("column-leaf"), key.enrolled);
        table.add_row([from, voice.word("word-key"), format!("{id}{revoked}")]);
    }
    line(visible(&organisation.id));
    line(table.to_string());
}
