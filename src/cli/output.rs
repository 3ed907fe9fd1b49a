//! What a person or a program sees: tables, JSON, progress, failures.
//!
//! Absent: any decision about what is shown.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comfy_table::{Cell, ContentArrangement, LineStyle, Table, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use weituo_events::Text;
use weituo_proof::Language;
use weituo_verifier::chain;

use super::words::word;

/// How one run of the command line speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    /// Its language.
    pub(crate) language: Language,
    /// Whether it prints JSON.
    pub(crate) json: bool,
}

/// Why a subcommand could not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Stable code for `--json`.
    pub(crate) code: Cow<'static, str>,
    /// What happened, where, and what to do next.
    pub(crate) text: Text,
    /// Exit code of the process.
    pub(crate) exit: u8,
}

impl Failure {
    /// Returns a failure that kept the command from running: exit code 2.
    pub(crate) fn could_not_run(code: &'static str, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { code: code.into(), text: Text::new(zh, en), exit: 2 }
    }

    /// Returns a failure because what was named does not exist: exit code 1.
    pub(crate) fn not_found(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { code: "not-found".into(), text: Text::new(zh, en), exit: 1 }
    }

    /// Returns a failure from an error and its chain of sources.
    pub(crate) fn from_error(code: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::could_not_run(code, format!("无法完成:{}", crate::errors::chain_zh(error)), chain(error))
    }
}

impl Voice {
    /// Returns the words under `key`.
    pub(crate) fn word(self, key: &str) -> String {
        word(self.language, key)
    }

    /// Prints a failure to standard error (as JSON where asked for) and returns its exit code, also where nobody can read it.
    pub(crate) fn fail(self, failure: &Failure) -> u8 {
        let told = if self.json {
            serde_json::json!({ "error": { "code": failure.code, "reason": failure.text } }).to_string()
        } else {
            format!("weituo: {}", visible_lines(failure.text.get(self.language)))
        };
        let _ = writeln!(std::io::stderr(), "{told}");
        failure.exit
    }

    /// Returns a progress bar that shows itself after a second, on a terminal only.
    pub(crate) fn progress(self, total: u64, key: &str) -> ProgressBar {
        if self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total);
        let template = "{msg} {wide_bar} {human_pos}/{human_len} {eta}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(self.word(key));
        bar.enable_steady_tick(Duration::from_secs(1));
        bar
    }

    /// Returns a table with a heading of words.
    pub(crate) fn table(self, heading: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─')));
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if !std::io::stdout().is_terminal() {
            table.set_width(150);
        }
        table.set_header(heading.iter().map(|key| Cell::new(self.word(key))));
        table
    }
}

/// Prints a value as one JSON document.
pub(crate) fn document(value: &impl Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")));
}

/// Set once standard output cannot be written any more for another reason than that its reader went away.
static OUTPUT_FAILED: AtomicBool = AtomicBool::new(false);

/// Returns whether something that should have been printed was lost, so that the process must not report success.
pub(crate) fn output_failed() -> bool {
    OUTPUT_FAILED.load(Ordering::Relaxed)
}

/// Writes a line to standard output. A reader that has gone away misses it, and the exit code stays what it is.
pub(crate) fn line(text: impl AsRef<str>) {
    if let Err(error) = try_line(text)
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        OUTPUT_FAILED.store(true, Ordering::Relaxed);
    }
}

/// Writes a line to standard output.
///
/// # Errors
/// When it cannot be written, be it that its reader has gone away.
pub(crate) fn try_line(text: impl AsRef<str>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.as_ref())?;
    out.flush()
}

/// Returns an amount of fen as 万元 with up to 6 decimals.
pub(crate) fn wan_yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    let fen = fen.unsigned_abs();
    let whole = fen / 1_000_000;
    let decimals = format!("{:06}", fen % 1_000_000);
    let decimals = decimals.trim_end_matches('0');
    if decimals.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{decimals}") }
}

/// Returns hundredths as a decimal number.
pub(crate) fn centi(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    match value % 100 {
        0 => format!("{sign}{}", value / 100),
        rest if rest % 10 == 0 => format!("{sign}{}.{}", value / 100, rest / 10),
        rest => format!("{sign}{}.{rest:02}", value / 100),
    }
}

/// Returns text with what cannot be seen made visible: bidirectional and zero-width characters, controls, fillers.
pub(crate) fn visible(text: &str) -> String {
    shown(text, is_hidden)
}

/// The same for a message, whose line ends are its own.
pub(crate) fn visible_lines(text: &str) -> String {
    shown(text, |c| c != '\n' && is_hidden(c))
}

fn shown(text: &str, hidden: impl Fn(char) -> bool) -> String {
    if !text.contains(&hidden) {
        return text.to_owned();
    }
    text.chars().map(|c| if hidden(c) { format!("⟨U+{:04X}⟩", c as u32) } else { c.to_string() }).collect()
}

/// Whether a character takes no room of its own or turns the text around it (Unicode: `Default_Ignorable_Code_Point`,
/// `Bidi_Control`, the categories Cc, Cf, Zl and Zp, and the blank Braille pattern).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fen_are_shown_as_wan_yuan_without_loss() {
        assert_eq!(wan_yuan(150_000_000), "150");
        assert_eq!(wan_yuan(1), "0.000001");
        assert_eq!(wan_yuan(-1_234_560), "-1.23456");
    }

    #[test]
    fn hundredths_are_shown_without_loss() {
        assert_eq!(centi(8650), "86.5");
        assert_eq!(centi(-5), "-0.05");
        assert_eq!(centi(100), "1");
    }

    #[test]
    fn characters_that_cannot_be_seen_are_shown() {
        assert_eq!(visible("甲学校"), "甲学校");
        assert_eq!(visible("甲\u{202e}学"), "甲⟨U+202E⟩学");
        assert_eq!(visible("a\u{0}b\u{200b}"), "a⟨U+0000⟩b⟨U+200B⟩");
        for c in [
            '\u{ad}',
            '\u{34f}',
            '\u{115f}',
            '\u{180e}',
            '\u{2028}',
            '\u{2066}',
            '\u{3164}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            assert_eq!(visible(&format!("甲{c}")), format!("甲⟨U+{:04X}⟩", c as u32));
        }
        assert_eq!(visible("𠮷野家 é ﷽ 🏫"), "𠮷野家 é ﷽ 🏫");
        assert_eq!(visible_lines("a\n\tb\u{202e}"), "a\n⟨U+0009⟩b⟨U+202E⟩");
    }
}
