//! What a monitor counts, in the text form that Prometheus reads.

use std::fmt::Write as _;

use super::Look;

/// Counts over the looks of one process.
#[derive(Debug, Default, Clone)]
pub struct Metrics {
    right: u64,
    with_findings: u64,
    unchecked: u64,
    replayed: u64,
    size: u64,
    findings: u64,
    last_right_seconds: i64,
}

impl Metrics {
    /// Counts a look.
    pub fn take(&mut self, look: &Look) {
        match look.exit_code() {
            0 => {
                self.right += 1;
                self.last_right_seconds = look.at.unix_millis() / 1_000;
            }
            1 => self.with_findings += 1,
            _ => self.unchecked += 1,
        }
        self.replayed += look.size.saturating_sub(look.before);
        self.size = look.size;
        self.findings = look.findings.len() as u64;
    }

    /// Returns the exposition text (version 0.0.4).
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, i128)]| {
            write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n")
                .expect("writing to a String cannot fail");
            for (labels, value) in samples {
                writeln!(out, "{name}{labels} {value}").expect("writing to a String cannot fail");
            }
        };
        let looks = [
            ("{outcome=\"right\"}", i128::from(self.right)),
            ("{outcome=\"findings\"}", i128::from(self.with_findings)),
            ("{outcome=\"unchecked\"}", i128::from(self.unchecked)),
        ];
        family("weituo_watch_looks_total", "counter", "Looks at the log, by outcome.", &looks);
        let replayed = [("", i128::from(self.replayed))];
        family("weituo_watch_entries_replayed_total", "counter", "Entries replayed and right.", &replayed);
        family("weituo_watch_log_size", "gauge", "Entries remembered.", &[("", i128::from(self.size))]);
        let findings = [("", i128::from(self.findings))];
        family("weituo_watch_findings", "gauge", "Findings of the newest look.", &findings);
        let last = [("", i128::from(self.last_right_seconds))];
        family("weituo_watch_last_right_timestamp_seconds", "gauge", "When a look last was right.", &last);
        out
    }
}
