//! One verdict in the making: findings and reasons, bounded, whatever is verified.
//!
//! Invariants: a list of findings is bounded, and what it leaves out is counted.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;

use weituo_proof::{Both, Entry, Finding, FindingKind, LeafIndex, Verdict};

/// Most findings of one kind that a verdict lists; the others are counted.
pub const LISTED_FINDINGS: usize = 100;

/// Longest text of a finding, in characters: a stored value may have any length.
const LISTED_CHARS: usize = 2_000;

/// Most different reasons that a verdict lists.
const LISTED_REASONS: usize = 50;

/// Names an entry's place in a finding.
pub fn place(finding: Finding, leaf_index: u64, entry: &Entry) -> Finding {
    finding.at(LeafIndex::new(leaf_index)).in_stream(&entry.stream, Some(entry.sequence))
}

/// Returns an error with its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Cuts a text to the longest that is listed.
pub fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LISTED_CHARS) {
        text.truncate(end);
        text.push('…');
    }
}

/// A bounded list of findings and reasons: one verdict in the making.
#[derive(Debug, Default)]
pub struct Collected {
    findings: Vec<Finding>,
    listed: BTreeMap<FindingKind, usize>,
    unlisted: BTreeMap<FindingKind, u64>,
    reasons: Vec<Both>,
}

impl Collected {
    /// Adds a finding, or counts it where enough of its kind are listed.
    pub fn push(&mut self, mut finding: Finding) {
        let Finding { detail, stream, expected, found, .. } = &mut finding;
        stream.iter_mut().for_each(shorten);
        [Some(detail), expected.as_mut(), found.as_mut()]
            .into_iter()
            .flatten()
            .for_each(|text| text.map(shorten));
        let listed = self.listed.entry(finding.kind).or_default();
        if *listed == LISTED_FINDINGS {
            *self.unlisted.entry(finding.kind).or_default() += 1;
        } else {
            *listed += 1;
            self.findings.push(finding);
        }
    }

    /// Adds a reason once.
    pub fn could_not(&mut self, reason: Both) {
        if self.reasons.len() < LISTED_REASONS && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Drops what is about other streams than `asked`, and returns how many findings that were.
    pub fn keep_stream(&mut self, asked: &str) -> u64 {
        let before = self.findings.len();
        self.findings.retain(|finding| finding.stream.as_ref().is_none_or(|stream| stream == asked));
        (before - self.findings.len()) as u64
    }

    /// Returns the streams that findings are about.
    pub fn streams(&self) -> HashSet<String> {
        self.findings.iter().filter_map(|finding| finding.stream.clone()).collect()
    }

    /// Returns a number that grows with whatever is collected.
    pub fn collected(&self) -> u64 {
        (self.findings.len() + self.reasons.len()) as u64 + self.unlisted.values().sum::<u64>()
    }

    /// Returns whether there is a finding.
    pub fn has_findings(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Returns the verdict, after moving the count of unlisted findings into `unlisted`.
    pub fn verdict(mut self, unlisted: &mut BTreeMap<FindingKind, u64>) -> Verdict {
        for (kind, count) in self.unlisted {
            *unlisted.entry(kind).or_default() += count;
        }
        self.findings.sort_by_key(|finding| finding.leaf_index);
        Verdict::of(self.findings, self.reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_beyond_the_limit_are_counted_by_kind() {
        let mut collected = Collected::default();
        for _ in 0..LISTED_FINDINGS + 7 {
            collected.push(Finding::new(FindingKind::ChainBroken, Both::plain("d")));
        }
        collected.push(Finding::new(FindingKind::RootDiffers, Both::plain("d")));
        let mut unlisted = BTreeMap::new();
        let verdict = collected.verdict(&mut unlisted);
        assert_eq!(verdict.findings().len(), LISTED_FINDINGS + 1);
        assert_eq!(unlisted, BTreeMap::from([(FindingKind::ChainBroken, 7)]));
    }
}
