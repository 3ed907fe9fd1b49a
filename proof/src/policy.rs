//! A trust policy: which logs and witnesses are known, and which cosignatures are enough.
//!
//! Invariants: a policy that `parse` returns has one quorum; a group names only what stands before it, and nothing is a
//! member twice, so each witness counts in one way. Lines by unknown keys are ignored, and so are keys of an algorithm
//! that this crate lacks: their witnesses never count.
//! Absent: asking the witnesses (the application's); which entries to trust.
//! Source: C2SP tlog-policy.

mod lines;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::note::{KeyError, NoteError, SignedNote, VerifierKey};

/// Most logs, witnesses or groups accepted in one policy, each; the specification asks for at least 32.
pub const MAX_NAMES: usize = 1_000;

/// Refusal of a policy's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A line breaks the format.
    #[error("line {line} of the policy cannot be used")]
    Line {
        /// Which, 1-based.
        line: usize,
        /// What is wrong with it.
        #[source]
        fault: LineFault,
    },
    /// There is no quorum line.
    #[error("the policy has no `quorum` line; `quorum none` asks for no cosignature")]
    NoQuorum,
}

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// A control character other than tab and newline, or DEL.
    #[error("it holds the octet {octet:#04x}")]
    Octet {
        /// The octet.
        octet: u8,
    },
    /// The file ends without a newline, so it may have been cut off.
    #[error("it does not end in a newline: the file may have been cut off")]
    Unterminated,
    /// None of the keywords.
    #[error("a line begins with log, witness, group or quorum")]
    Keyword,
    /// Too few or too many items.
    #[error("its form is `{form}`")]
    Form {
        /// The form that the keyword has.
        form: &'static str,
    },
    /// Not a verifier key.
    #[error("it holds no verifier key")]
    Key(#[source] KeyError),
    /// A log's key for a witness, or a witness's for a log.
    #[error("this key is not of a kind that {role} signs with")]
    KeyKind {
        /// `a log` or `a witness`.
        role: &'static str,
    },
    /// The public key stands in an earlier line of the same kind.
    #[error("this public key stands in an earlier line")]
    DuplicateKey,
    /// A URL that is not UTF-8.
    #[error("its URL is not UTF-8")]
    Url,
    /// A name that was defined before, or `none`.
    #[error("the name {name} is taken")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A name that no earlier line defines.
    #[error("no earlier line defines {name}")]
    NameUnknown {
        /// The name.
        name: String,
    },
    /// A name that is a member of a group already.
    #[error("{name} is a member of a group already")]
    MemberTwice {
        /// The name.
        name: String,
    },
    /// The threshold is neither `all`, `any` nor a number from 1 to the number of members.
    #[error("a threshold is all, any, or a number from 1 to that of the members, {members}")]
    Threshold {
        /// Number of members.
        members: usize,
    },
    /// A second quorum line.
    #[error("a policy has one quorum line")]
    SecondQuorum,
    /// More logs, witnesses or groups than this program takes.
    #[error("a policy has at most {MAX_NAMES} logs, witnesses and groups each")]
    TooMany,
}

/// Why a checkpoint does not satisfy a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// It is not a signed note.
    #[error("the checkpoint is not a signed note")]
    Note(#[source] NoteError),
    /// It is not a checkpoint.
    #[error("the note is not a checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// None of the policy's logs signed it under its own name.
    #[error("none of the policy's {logs} logs signed the checkpoint as its own")]
    Log {
        /// Logs in the policy.
        logs: usize,
    },
    /// Too few cosignatures, or by the wrong witnesses.
    #[error("the cosignatures of {} of {witnesses} witnesses do not make the quorum", .cosigners.len())]
    Quorum {
        /// Names of the witnesses whose cosignature holds.
        cosigners: Vec<String>,
        /// Witnesses in the policy.
        witnesses: usize,
    },
}

/// A log in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key, whose name is the log's origin.
    pub key: VerifierKey,
    /// Where it is.
    pub url: Option<String>,
}

/// A witness in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name in the policy, octets that are not UTF-8 replaced: for people.
    pub name: String,
    /// Its key.
    pub key: VerifierKey,
    /// Its submission prefix (C2SP tlog-witness).
    pub url: Option<String>,
}

/// A witness whose cosignature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigner {
    /// Its name in the policy.
    pub name: String,
    /// When it cosigned, in seconds since the epoch.
    pub timestamp: u64,
}

/// What a group or the quorum names.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    threshold: usize,
    /// Witnesses and earlier groups.
    members: Vec<Member>,
}

/// A trust policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    /// `None` for `quorum none`.
    quorum: Option<Member>,
}

impl Policy {
    /// Returns the policy in a file's octets.
    ///
    /// # Errors
    ///
    /// `PolicyError` naming the line at fault.
    pub fn parse(file: &[u8]) -> Result<Self, PolicyError> {
        lines::parse(file)
    }

    /// Returns the logs; a policy may have none where the log is known otherwise.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// Returns the witnesses.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Returns whether any cosignature is asked for: false for `quorum none`.
    pub fn asks_for_cosignatures(&self) -> bool {
        self.quorum.is_some()
    }

    /// Returns the witnesses whose cosignature on the note holds, in the policy's order. One that does not hold counts as
    /// none. The log's own signature is not looked at.
    pub fn cosigners(&self, note: &SignedNote) -> Vec<Cosigner> {
        self.witnesses
            .iter()
            .zip(self.times(note))
            .filter_map(|(witness, time)| {
                time.map(|timestamp| Cosigner { name: witness.name.clone(), timestamp })
            })
            .collect()
    }

    /// Returns whether the cosignatures on the note make the quorum. The log's own signature is not looked at.
    pub fn has_quorum(&self, note: &SignedNote) -> bool {
        let witnessed: Vec<bool> = self.times(note).map(|time| time.is_some()).collect();
        self.is_quorum(&witnessed)
    }

    /// Returns whether cosignatures of the witnesses chosen would make the quorum; keys of an unknown algorithm never do.
    pub fn could_have_quorum(&self, chosen: impl Fn(&PolicyWitness) -> bool) -> bool {
        let usable = |witness: &PolicyWitness| {
            witness.key.algorithm() == crate::note::Algorithm::CosignatureV1 && chosen(witness)
        };
        self.is_quorum(&self.witnesses.iter().map(usable).collect::<Vec<_>>())
    }

    /// Returns the checkpoint in a note, and who cosigned it.
    ///
    /// # Errors
    ///
    /// `PolicyRefusal` unless one of the policy's logs signed it as its own and the quorum cosigned it.
    pub fn open(&self, note_text: &str) -> Result<(Checkpoint, Vec<Cosigner>), PolicyRefusal> {
        let note = SignedNote::parse(note_text).map_err(PolicyRefusal::Note)?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(PolicyRefusal::Checkpoint)?;
        let own = |log: &PolicyLog| {
            log.key.name() == checkpoint.origin.as_str() && note.signed_by(&log.key).is_some()
        };
        if !self.logs.iter().any(own) {
            return Err(PolicyRefusal::Log { logs: self.logs.len() });
        }
        let cosigners = self.cosigners(&note);
        if !self.has_quorum(&note) {
            let cosigners = cosigners.into_iter().map(|cosigner| cosigner.name).collect();
            return Err(PolicyRefusal::Quorum { cosigners, witnesses: self.witnesses.len() });
        }
        Ok((checkpoint, cosigners))
    }

    /// Returns when each witness cosigned, `None` for one that did not.
    fn times<'a>(&'a self, note: &'a SignedNote) -> impl Iterator<Item = Option<u64>> + 'a {
        self.witnesses.iter().map(|witness| note.signed_by(&witness.key).and_then(|(_, time)| time))
    }

    fn is_quorum(&self, witnessed: &[bool]) -> bool {
        // A group's members stand before it, so one pass is enough.
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let has = |member: Member, groups: &[bool]| match member {
            Member::Witness(at) => witnessed[at],
            Member::Group(at) => groups[at],
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| has(**member, &groups)).count();
            groups.push(count >= group.threshold);
        }
        self.quorum.is_none_or(|member| has(member, &groups))
    }
}

#[cfg(test)]
mod tests;
