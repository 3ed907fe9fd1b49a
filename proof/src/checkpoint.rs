//! Checkpoints: the signed tree head of a log.
//!
//! Invariants: a checkpoint that `open` returns was signed by the key given, whose name is its origin, and says
//! nothing beyond origin, size and root.
//! Absent: consistency with earlier checkpoints (`tree::verify_consistency`), which keys to trust.
//! Source: C2SP tlog-checkpoint, "Note text" and "Signatures"; format.md "Log".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::Hash;
use crate::ident::{IdentError, Origin, TreeSize};
use crate::note::{NoteError, SignedNote, SigningKey, VerifierKey};

/// Refusal of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is malformed or not signed by the key.
    #[error("the checkpoint is not a note signed by the key given")]
    Note(#[source] NoteError),
    /// The first line is not an origin.
    #[error("line 1 of the checkpoint is not an origin")]
    Origin(#[source] IdentError),
    /// The second line is not a size.
    #[error("line 2 of the checkpoint is not a decimal tree size without leading zeros: {found:?}")]
    Size {
        /// The line, at most 80 characters.
        found: String,
    },
    /// The third line is not a root hash.
    #[error("line 3 of the checkpoint is not base64 of 32 bytes: {found:?}")]
    Root {
        /// The line, at most 80 characters.
        found: String,
    },
    /// Fewer than three lines, an empty line, or no final newline.
    #[error("a checkpoint has at least three lines, none empty, each ending in a newline")]
    Lines,
    /// The checkpoint has extension lines, which this log never writes.
    #[error("the checkpoint has {count} extension lines, this log's have none")]
    Extensions {
        /// Number of them.
        count: usize,
    },
    /// The key's name is not the origin.
    #[error("the checkpoint is of {origin}, the key of {key_name}")]
    KeyName {
        /// The checkpoint's origin.
        origin: Origin,
        /// The key's name.
        key_name: String,
    },
}

/// Size and root of a log at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: Origin,
    /// Number of leaves.
    pub size: TreeSize,
    /// Root hash at this size.
    pub root: Hash,
}

impl Checkpoint {
    /// Returns the note text: origin, size and root, a line each.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    /// Returns the checkpoint in a note text; extension lines, which other logs may write, are ignored.
    ///
    /// # Errors
    ///
    /// `CheckpointError` naming the line at fault.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        Self::parse_with_extensions(text).map(|(checkpoint, _)| checkpoint)
    }

    fn parse_with_extensions(text: &str) -> Result<(Self, usize), CheckpointError> {
        let lines: Vec<_> = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n').collect();
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(CheckpointError::Lines);
        };
        if lines.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Lines);
        }
        let checkpoint = Self {
            origin: Origin::new(*origin).map_err(CheckpointError::Origin)?,
            size: decimal(size)
                .map(TreeSize::new)
                .ok_or_else(|| CheckpointError::Size { found: cut(size) })?,
            root: parse_hash(root).ok_or_else(|| CheckpointError::Root { found: cut(root) })?,
        };
        Ok((checkpoint, extensions.len()))
    }

    /// Returns the signed note.
    ///
    /// The caller must have made sure that it extends everything this key signed before.
    ///
    /// # Errors
    ///
    /// `CheckpointError::KeyName` when the key's name is not the origin.
    ///
    /// # Panics
    ///
    /// Never: a checkpoint's text is a note text.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedNote, CheckpointError> {
        self.check_key_name(key.name())?;
        Ok(SignedNote::sign(self.text(), key).expect("invariant: three lines without control characters"))
    }

    /// Returns the checkpoint of our log in a signed note, with the note for its other signatures.
    ///
    /// # Errors
    ///
    /// `CheckpointError` unless the note is signed by `key`, the key's name is the origin, and there are no
    /// extension lines.
    pub fn open(note_text: &str, key: &VerifierKey) -> Result<(Self, SignedNote), CheckpointError> {
        Self::open_by(note_text, std::slice::from_ref(key))
    }

    /// Returns the same of a note that is signed by any of these keys, as a log has several while its key is rotated. The
    /// list is the verifier's own; [`SignedNote::verify`] tells which of them signed.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`]; a signature by one of the keys that does not hold is refused, whatever the others do.
    pub fn open_by(note_text: &str, keys: &[VerifierKey]) -> Result<(Self, SignedNote), CheckpointError> {
        let note = SignedNote::parse(note_text).map_err(CheckpointError::Note)?;
        let verified = note.verify(keys).map_err(CheckpointError::Note)?;
        let (checkpoint, count) = Self::parse_with_extensions(note.text())?;
        for signer in &verified {
            checkpoint.check_key_name(&signer.name)?;
        }
        if count > 0 {
            return Err(CheckpointError::Extensions { count });
        }
        Ok((checkpoint, note))
    }

    fn check_key_name(&self, key_name: &str) -> Result<(), CheckpointError> {
        if key_name == self.origin.as_str() {
            return Ok(());
        }
        Err(CheckpointError::KeyName { origin: self.origin.clone(), key_name: key_name.to_owned() })
    }
}

/// Reads an ASCII decimal without leading zeros, signs or white space.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

/// Reads a hash in padded base64.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    fn checkpoint() -> Checkpoint {
        let origin = Origin::new("weituo.example/wz").unwrap();
        Checkpoint { origin, size: TreeSize::new(812), root: leaf_hash(b"root") }
    }

    fn key(name: &str) -> SigningKey {
        SigningKey::from_seed(name, [5; 32]).unwrap()
    }

    #[test]
    fn a_signed_checkpoint_opens_under_the_logs_key() {
        let key = key("weituo.example/wz");
        let note = checkpoint().sign(&key).unwrap().to_string();
        let (opened, signed) = Checkpoint::open(&note, key.verifier()).unwrap();
        assert_eq!((opened, signed.to_string()), (checkpoint(), note));
    }

    #[test]
    fn a_note_of_two_keys_opens_under_either_and_a_wrong_line_of_a_trusted_key_spoils_it() {
        let (old, new) =
            (key("weituo.example/wz"), SigningKey::from_seed("weituo.example/wz", [6; 32]).unwrap());
        let mut note = checkpoint().sign(&new).unwrap();
        note.add_signature(&old);
        let text = note.to_string();
        let stranger = SigningKey::from_seed("weituo.example/wz", [7; 32]).unwrap();
        for keys in [vec![&old], vec![&new], vec![&stranger, &old], vec![&new, &old]] {
            let keys: Vec<_> = keys.into_iter().map(|key| key.verifier().clone()).collect();
            assert_eq!(Checkpoint::open_by(&text, &keys).unwrap().0, checkpoint());
        }
        assert!(Checkpoint::open_by(&text, &[stranger.verifier().clone()]).is_err());
        assert!(Checkpoint::open_by(&text, &[]).is_err());
        let mut other = Checkpoint { size: TreeSize::new(9), ..checkpoint() }.sign(&old).unwrap();
        other.push(note.signatures()[0].clone());
        let both = [old.verifier().clone(), new.verifier().clone()];
        assert!(Checkpoint::open_by(&other.to_string(), &both).is_err());
    }

    #[test]
    fn the_keys_name_must_be_the_origin() {
        let other = key("weituo.example/other");
        assert!(matches!(checkpoint().sign(&other), Err(CheckpointError::KeyName { .. })));
        let note = SignedNote::sign(checkpoint().text(), &other).unwrap().to_string();
        assert!(matches!(Checkpoint::open(&note, other.verifier()), Err(CheckpointError::KeyName { .. })));
    }

    #[test]
    fn extension_lines_are_read_over_in_general_and_refused_of_our_log() {
        let key = key("weituo.example/wz");
        let text = format!("{}extension\n", checkpoint().text());
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint()));
        let note = SignedNote::sign(text, &key).unwrap().to_string();
        assert_eq!(Checkpoint::open(&note, key.verifier()), Err(CheckpointError::Extensions { count: 1 }));
    }

    #[test]
    fn malformed_lines_are_refused_by_name() {
        let root = STANDARD.encode([7; 32]);
        let parse = |text: String| Checkpoint::parse(&text);
        assert!(parse(format!("o\n0\n{root}\n")).is_ok());
        assert!(parse(format!("o\n18446744073709551615\n{root}\n")).is_ok());
        for size in ["00", "01", "+1", "-1", "1 ", "0x1", "18446744073709551616", "１"] {
            let found = parse(format!("o\n{size}\n{root}\n"));
            assert!(matches!(found, Err(CheckpointError::Size { .. })), "{size}");
        }
        for root in ["AAAA", &root[..43], &root.replace('=', ""), &format!("{root}=")] {
            assert!(matches!(parse(format!("o\n1\n{root}\n")), Err(CheckpointError::Root { .. })), "{root}");
        }
        assert!(matches!(parse(format!("o o\n1\n{root}\n")), Err(CheckpointError::Origin(_))));
        for text in ["", "o\n", "o\n1\n", &format!("o\n1\n{root}"), &format!("\n1\n{root}\n")] {
            assert_eq!(parse(text.to_owned()), Err(CheckpointError::Lines), "{text:?}");
        }
        assert_eq!(parse(format!("o\n1\n{root}\n\nx\n")), Err(CheckpointError::Lines));
    }
}
