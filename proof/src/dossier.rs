//! Dossiers: one agreement's, trustee's or school's history in one file that proves itself.
//!
//! Invariants: a dossier has one spelling, canonical JSON with its members in this order, so every reader of its text
//! sees the same; `Dossier::parse` proves nothing beyond that.
//! Absent: verification (crate `weituo-verifier`, which knows the events), gathering (the application), the page.
//! Source: format.md "Dossier".

use serde::{Deserialize, Serialize};

use crate::canonical::{self, NotCanonical};
use crate::hash::Hash;
use crate::ident::{LeafIndex, RecordedAt, StreamName};
use crate::map::MapProof;

/// The value of the member `format`.
pub const FORMAT: &str = "weituo-dossier/1";

/// Refusal of a text that is not a dossier.
#[derive(Debug, thiserror::Error)]
pub enum DossierError {
    /// Not in canonical form.
    #[error("the dossier is not canonical JSON")]
    NotCanonical(#[source] NotCanonical),
    /// A dossier of a format that this program does not know.
    #[error("the dossier is of format {found:?}; this program knows {FORMAT:?}")]
    OtherFormat {
        /// The format named.
        found: String,
    },
    /// Other members than a dossier's, or a value of another type.
    #[error("the dossier does not have the members of its format")]
    Members(#[source] serde_json::Error),
    /// A list that is not in its order, or does not begin with entry 0.
    #[error("{list} of the dossier: {rule}, not so at element {at}")]
    Order {
        /// Name of the list.
        list: &'static str,
        /// Its order, as a clause.
        rule: &'static str,
        /// The element at fault, 0-based.
        at: usize,
    },
}

/// A dossier as read. Its members are declared in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dossier {
    /// The signed checkpoint of size M + 1, with its cosignatures.
    pub checkpoint: String,
    /// What the entries seal and nobody erased.
    pub disclosures: Vec<DisclosedValue>,
    /// The entries, by leaf index; the first is entry 0, the last the `IndexCommitted` at leaf M.
    pub entries: Vec<ProvenEntry>,
    /// The documents that the entries name.
    pub evidence: Vec<NamedDocument>,
    /// [`FORMAT`].
    pub format: String,
    /// When it was made.
    pub made_at: RecordedAt,
    /// Organisation streams whose joining of every cycle is proven.
    pub parties: Vec<ProvenName>,
    /// What the entries fold to, as stated.
    pub state: StatedState,
    /// Streams of which every entry below leaf M is here.
    pub streams: Vec<ProvenName>,
    /// Whose history this is.
    pub subject: Subject,
    /// RFC 3161 tokens over the SHA-256 of the checkpoint's note text, base64.
    pub timestamps: Vec<String>,
}

/// An opened disclosure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedValue {
    /// The disclosure's text (RFC 9901).
    pub disclosure: String,
    /// The entry that seals it.
    pub leaf_index: LeafIndex,
}

/// An entry with the proof that it is in the checkpoint's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenEntry {
    /// Its exact text.
    pub entry: String,
    /// From the leaf's sibling up to the root's child (RFC 6962 section 2.1.1).
    pub inclusion: Vec<Hash>,
    /// Its 0-based place in the log.
    pub leaf_index: LeafIndex,
}

/// A document that an entry names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedDocument {
    /// The entry that names it.
    pub leaf_index: LeafIndex,
    /// Media type, such as `application/pdf`.
    pub media_type: String,
    /// SHA-256 of the file.
    pub sha256: Hash,
    /// Size of the file, in bytes.
    pub size_bytes: i64,
}

/// A stream with the proof of what the completeness index says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenName {
    /// The path of its name.
    pub proof: MapProof,
    /// The stream.
    pub stream: StreamName,
}

/// A state that somebody computed from the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatedState {
    /// The day that it is of, `YYYY-MM-DD`.
    pub as_of: String,
    /// Version of the projection's fold.
    pub fold_version: u64,
    /// Name of the projection.
    pub projection: String,
    /// The state, JSON text.
    pub value: String,
}

/// Whose history a dossier is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Id of the agreement or the organisation.
    pub id: String,
    /// What it is.
    pub kind: SubjectKind,
}

/// What a dossier can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// One cycle, `agreement/<id>`.
    Agreement,
    /// An organisation as trustee: every cycle that it joined.
    Trustee,
    /// An organisation as school: every cycle that it joined.
    School,
}

impl SubjectKind {
    /// Returns its code, which is also the name of what is shown of it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Trustee => "trustee",
            Self::School => "school",
        }
    }

    /// Returns the projection that its state is a row of.
    pub fn projection(self) -> &'static str {
        match self {
            Self::Agreement => "cycle",
            Self::Trustee => "trustee",
            Self::School => "school",
        }
    }
}

/// The one member that is read before the others.
#[derive(Deserialize)]
struct Format {
    format: String,
}

impl Dossier {
    /// Returns the text, canonical JSON.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("invariant: a dossier has string keys and no fallible member")
    }

    /// Returns the dossier of a text. Nothing is proven by that.
    ///
    /// # Errors
    ///
    /// `DossierError` with what is not as the format has it.
    pub fn parse(text: &str) -> Result<Self, DossierError> {
        canonical::check(text.as_bytes()).map_err(DossierError::NotCanonical)?;
        let Format { format } = serde_json::from_str(text).map_err(DossierError::Members)?;
        if format != FORMAT {
            return Err(DossierError::OtherFormat { found: format });
        }
        let dossier: Self = serde_json::from_str(text).map_err(DossierError::Members)?;
        dossier.check_order()?;
        Ok(dossier)
    }

    fn check_order(&self) -> Result<(), DossierError> {
        if self.entries.first().is_none_or(|first| first.leaf_index != LeafIndex::new(0)) {
            return Err(DossierError::Order { list: "entries", rule: "the first is entry 0", at: 0 });
        }
        let by_leaf = "strictly ascending by leaf index";
        ascending("entries", by_leaf, &self.entries, |a, b| a.leaf_index < b.leaf_index)?;
        let by_stream = "strictly ascending by stream";
        ascending("streams", by_stream, &self.streams, |a, b| a.stream < b.stream)?;
        ascending("parties", by_stream, &self.parties, |a, b| a.stream < b.stream)?;
        ascending("disclosures", "strictly ascending by leaf index and text", &self.disclosures, |a, b| {
            (a.leaf_index, &a.disclosure) < (b.leaf_index, &b.disclosure)
        })
    }

    /// Returns the name of the stream that the dossier must be complete in: the agreement's, or the organisation's.
    ///
    /// # Errors
    ///
    /// `IdentError` where the subject's id is none.
    pub fn subject_stream(&self) -> Result<StreamName, crate::ident::IdentError> {
        let category = match self.subject.kind {
            SubjectKind::Agreement => "agreement",
            SubjectKind::Trustee | SubjectKind::School => "organisation",
        };
        StreamName::of(category, &self.subject.id)
    }
}

fn ascending<T>(
    list: &'static str,
    rule: &'static str,
    elements: &[T],
    before: impl Fn(&T, &T) -> bool,
) -> Result<(), DossierError> {
    match elements.windows(2).position(|pair| !before(&pair[0], &pair[1])) {
        Some(at) => Err(DossierError::Order { list, rule, at: at + 1 }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::Map;

    fn dossier() -> Dossier {
        let entry = |leaf_index| ProvenEntry {
            entry: "{}".to_owned(),
            inclusion: vec![Hash::ZERO],
            leaf_index: LeafIndex::new(leaf_index),
        };
        let stream = StreamName::new("agreement/a").unwrap();
        Dossier {
            checkpoint: "o\n1\n".to_owned(),
            disclosures: vec![],
            entries: vec![entry(0), entry(3)],
            evidence: vec![],
            format: FORMAT.to_owned(),
            made_at: RecordedAt::from_unix_millis(0).unwrap(),
            parties: vec![],
            state: StatedState {
                as_of: "2026-11-24".to_owned(),
                fold_version: 1,
                projection: "cycle".to_owned(),
                value: r#"{"on":"2026-11-24"}"#.to_owned(),
            },
            streams: vec![ProvenName { proof: Map::new().prove("agreement/a"), stream }],
            subject: Subject { id: "a".to_owned(), kind: SubjectKind::Agreement },
            timestamps: vec![],
        }
    }

    #[test]
    fn what_is_written_is_canonical_and_reads_back_to_itself() {
        let text = dossier().text();
        assert_eq!(Dossier::parse(&text).unwrap(), dossier());
        assert_eq!(Dossier::parse(&text).unwrap().text(), text);
    }

    #[test]
    fn other_spellings_members_formats_and_orders_are_refused() {
        let text = dossier().text();
        let spaced = text.replacen(',', ", ", 1);
        assert!(matches!(Dossier::parse(&spaced), Err(DossierError::NotCanonical(_))));
        let more = text.replacen("\"timestamps\":[]", "\"timestamps\":[],\"ultra\":1", 1);
        assert!(matches!(Dossier::parse(&more), Err(DossierError::Members(_))));
        let later = text.replace("weituo-dossier/1", "weituo-dossier/2");
        assert!(matches!(Dossier::parse(&later), Err(DossierError::OtherFormat { .. })));
        let mut swapped = dossier();
        swapped.entries.swap(0, 1);
        assert!(matches!(Dossier::parse(&swapped.text()), Err(DossierError::Order { .. })));
        let mut twice = dossier();
        twice.streams = vec![twice.streams[0].clone(), twice.streams[0].clone()];
        assert!(matches!(
            Dossier::parse(&twice.text()),
            Err(DossierError::Order { list: "streams", at: 1, .. })
        ));
    }
}
