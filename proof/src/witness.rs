//! What a log and a witness say to each other: the request for a cosignature, and the answers to it.
//!
//! Invariants: an accepted request serialises back to the same bytes; a cosignature is returned only by a key that the
//! caller named, over the very text it asked about.
//! Absent: HTTP, the witness's memory and its decision (the application's); `sign-subtree`, which is optional.
//! Source: C2SP tlog-witness v1.1.0, "add-checkpoint" and the monitor's "checkpoint"; C2SP tlog-cosignature.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{decimal, parse_hash};
use crate::hash::{Hash, sha256};
use crate::ident::{Origin, TreeSize};
use crate::note::{NoteError, NoteSignature, SignedNote, VerifierKey};

/// Most lines of a consistency proof in a request.
pub const MAX_PROOF_LINES: usize = 63;

/// Content type of the answer 409, whose body is the size that the witness cosigned last.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// Refusal of a request's text: answered with 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The first line is not `old SIZE`.
    #[error("line 1 is not `old` and a decimal tree size without leading zeros")]
    OldSize,
    /// A line of the proof is not a hash.
    #[error("line {line} is not base64 of a 32-byte hash")]
    ProofLine {
        /// Which line of the request, 1-based.
        line: usize,
    },
    /// Too many lines of proof.
    #[error("a consistency proof has at most {MAX_PROOF_LINES} lines, this one has {found}")]
    ProofLength {
        /// Lines found.
        found: usize,
    },
    /// No empty line between the proof and the checkpoint.
    #[error("there is no empty line before the checkpoint")]
    Separator,
    /// What follows the empty line is not a signed note.
    #[error("the checkpoint is not a signed note")]
    Note(#[source] NoteError),
}

/// A request for a cosignature: a checkpoint, and the proof that it extends the one that the witness saw last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size that the proof starts from: what the log believes the witness cosigned last, 0 for nothing.
    pub old_size: TreeSize,
    /// Consistency proof from there to the checkpoint's size (RFC 6962 section 2.1.2).
    pub proof: Vec<Hash>,
    /// The signed checkpoint. Nothing vouches for it yet.
    pub note: SignedNote,
}

impl AddCheckpoint {
    /// Returns the request in the body of a call of `add-checkpoint`.
    ///
    /// # Errors
    ///
    /// `RequestError` naming the line at fault.
    pub fn parse(body: &str) -> Result<Self, RequestError> {
        // Neither the size nor a hash is an empty line, so the first one ends them.
        let (head, note) = body.split_once("\n\n").ok_or(RequestError::Separator)?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old_size = TreeSize::new(old_size.ok_or(RequestError::OldSize)?);
        let found = lines.clone().count();
        if found > MAX_PROOF_LINES {
            return Err(RequestError::ProofLength { found });
        }
        let proof = lines
            .enumerate()
            .map(|(at, line)| parse_hash(line).ok_or(RequestError::ProofLine { line: at + 2 }))
            .collect::<Result<_, _>>()?;
        let note = SignedNote::parse(note).map_err(RequestError::Note)?;
        Ok(Self { old_size, proof, note })
    }
}

impl fmt::Display for AddCheckpoint {
    /// Writes the body of the call.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.0)))?;
        write!(f, "\n{}", self.note)
    }
}

/// Returns the size in the body of an answer 409. It is not signed: a hint where a proof may start, and nothing more.
pub fn parse_size(body: &str) -> Option<TreeSize> {
    body.strip_suffix('\n').and_then(decimal).map(TreeSize::new)
}

/// Returns the line by which `key` cosigned the checkpoint's text in the body of an answer 200, and when it did, in seconds
/// since the epoch. Lines by other keys are ignored.
///
/// # Errors
///
/// `NoteError` where the body is not signature lines or no line by the key holds.
pub fn cosignature(
    checkpoint: &SignedNote,
    body: &str,
    key: &VerifierKey,
) -> Result<(NoteSignature, u64), NoteError> {
    let answer = SignedNote::parse(&format!("{}\n{body}", checkpoint.text()))?;
    answer.verify(std::slice::from_ref(key))?;
    let signed = answer.signed_by(key).and_then(|(line, time)| Some((line.clone(), time?)));
    signed.ok_or(NoteError::Unverified { signatures: answer.signatures().len(), keys: 1 })
}

/// Returns the path element under which a witness serves its newest checkpoint of a log, `<origin hash>/checkpoint`: the
/// origin's SHA-256, 64 hex digits.
pub fn origin_hash(origin: &Origin) -> Hash {
    sha256(&[origin.as_str().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::hash::leaf_hash;
    use crate::note::{CosigningKey, SigningKey};

    fn note() -> SignedNote {
        let origin = Origin::new("log.example").unwrap();
        let checkpoint = Checkpoint { origin, size: TreeSize::new(7), root: leaf_hash(b"root") };
        checkpoint.sign(&SigningKey::from_seed("log.example", [3; 32]).unwrap()).unwrap()
    }

    fn request() -> AddCheckpoint {
        AddCheckpoint {
            old_size: TreeSize::new(3),
            proof: vec![leaf_hash(b"a"), leaf_hash(b"b")],
            note: note(),
        }
    }

    #[test]
    fn a_request_reads_back_to_itself() {
        let text = request().to_string();
        assert!(text.starts_with("old 3\n"));
        assert_eq!(AddCheckpoint::parse(&text), Ok(request()));
        let first = AddCheckpoint { old_size: TreeSize::new(0), proof: Vec::new(), note: note() };
        assert!(first.to_string().starts_with("old 0\n\nlog.example\n7\n"));
        assert_eq!(AddCheckpoint::parse(&first.to_string()), Ok(first));
    }

    #[test]
    fn malformed_requests_are_refused_by_their_line() {
        let text = request().to_string();
        for old in ["old 03", "old -1", "old", "old  3", "size 3", "old 3 ", "old 18446744073709551616"] {
            assert_eq!(
                AddCheckpoint::parse(&text.replacen("old 3", old, 1)),
                Err(RequestError::OldSize),
                "{old}"
            );
        }
        let hash = STANDARD.encode(leaf_hash(b"b").0);
        for line in ["AAAA", &hash[..43], &format!("{hash} "), &hash.replace('=', "")] {
            let parsed = AddCheckpoint::parse(&text.replacen(&hash, line, 1));
            assert_eq!(parsed, Err(RequestError::ProofLine { line: 3 }), "{line}");
        }
        assert_eq!(AddCheckpoint::parse("old 3\n"), Err(RequestError::Separator));
        assert!(matches!(AddCheckpoint::parse("old 3\n\nx\n"), Err(RequestError::Note(_))));
        let long = AddCheckpoint { proof: vec![leaf_hash(b"a"); 64], ..request() }.to_string();
        assert_eq!(AddCheckpoint::parse(&long), Err(RequestError::ProofLength { found: 64 }));
        let most = AddCheckpoint { proof: vec![leaf_hash(b"a"); 63], ..request() };
        assert_eq!(AddCheckpoint::parse(&most.to_string()), Ok(most));
    }

    #[test]
    fn a_size_is_a_decimal_line() {
        assert_eq!(parse_size("20852163\n"), Some(TreeSize::new(20_852_163)));
        for body in ["", "\n", "7", "07\n", "7\n\n", "-7\n", "7 \n"] {
            assert_eq!(parse_size(body), None, "{body:?}");
        }
    }

    #[test]
    fn a_cosignature_is_taken_from_the_key_asked_only() {
        let witness = CosigningKey::from_seed("witness.example/w1", [4; 32]).unwrap();
        let other = CosigningKey::from_seed("witness.example/w2", [5; 32]).unwrap();
        let line = witness.cosign(&note(), 1_679_315_147);
        let body = format!("{}\n{line}\n", other.cosign(&note(), 1));
        assert_eq!(cosignature(&note(), &body, witness.verifier()), Ok((line.clone(), 1_679_315_147)));
        let stranger = CosigningKey::from_seed("witness.example/w3", [6; 32]).unwrap();
        assert!(cosignature(&note(), &body, stranger.verifier()).is_err());
        for body in ["", "\n", "no line\n", &line.to_string()] {
            assert!(cosignature(&note(), body, witness.verifier()).is_err(), "{body:?}");
        }
        let mut elsewhere = note();
        elsewhere = SignedNote::parse(&elsewhere.to_string().replace("\n7\n", "\n8\n")).unwrap();
        assert!(cosignature(&elsewhere, &format!("{line}\n"), witness.verifier()).is_err());
    }
}
