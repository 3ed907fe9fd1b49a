//! What the entries themselves establish for later ones: rulebooks, signing keys, erasures, the end of the log.
//!
//! Invariants: a fact counts from its own entry on and never before.
//! Absent: whether an act was permitted (deciding), disclosures' texts (`disclosures`), who enrolled a key how (`keys`).
//! Source: format.md "Signatures by actors", "Sealed values"; design.md "Verification" (rulebook digests).

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use weituo_events::payload::{RulebookPin, SigningKeyEnrolled};
use weituo_events::{Event, EventError, EventType, OrganisationId};
use weituo_proof::{Both, Entry, Finding, FindingKind, Hash, both, sha256};

use crate::collected::{Collected, place};
use crate::keys::Keys;

/// What an `IndexCommitted` says.
#[derive(Debug, Clone, Copy)]
pub struct IndexClaim {
    /// Root of the index.
    pub root: Hash,
    /// How many entries it covers.
    pub size: u64,
    /// How many streams it covers.
    pub streams: u64,
}

/// What an entry says that later ones are judged by.
#[derive(Debug)]
pub enum Fact {
    /// The index is committed.
    Index(IndexClaim),
    /// A rulebook is adopted: its version, the digest of its text, and the one that stands beside the text.
    Adopted {
        /// Version of the rulebook.
        version: u32,
        /// Digest of the text.
        digest: Hash,
        /// Digest as stated.
        stated: Option<Hash>,
    },
    /// An act pins the rulebook that it is judged by.
    Pinned(RulebookPin),
    /// An organisation's signing key is enrolled.
    Enrolled(SigningKeyEnrolled),
    /// An organisation's signing key is revoked.
    Revoked(Hash),
    /// An organisation names the authority above it.
    Superior(OrganisationId),
    /// A sealed value of this leaf is erased.
    Erased(u64, String),
    /// The log is opened with this key, under these roots.
    Opened(String, Vec<OrganisationId>),
    /// The log names a further key as its own.
    LogKey(String),
    /// A key of the log is revoked.
    LogKeyRevoked(String),
    /// The log is frozen.
    Frozen,
}

/// What an entry's payload says, if it can be read as its type: a fact, or nothing that counts later.
pub type Said = Result<Option<Fact>, EventError>;

/// Reads an entry's payload. Needs no other entry, so that entries may be read in any order, on any thread.
///
/// # Errors
///
/// When type or version is unknown, or the payload does not have its shape.
pub fn said(entry: &Entry) -> Said {
    Event::parse(&entry.event_type, entry.version, &entry.payload).map(|event| fact(event, entry))
}

fn fact(event: Event, entry: &Entry) -> Option<Fact> {
    Some(match event {
        Event::IndexCommitted(index) => {
            Fact::Index(IndexClaim { root: index.root, size: index.size, streams: index.streams })
        }
        Event::RulebookAdopted(adopted) => Fact::Adopted {
            version: adopted.version,
            digest: sha256(&[adopted.text.as_bytes()]),
            stated: adopted.digest,
        },
        Event::SchemeIssued(act) => Fact::Pinned(act.rulebook),
        Event::PartiesDesignated(act) => Fact::Pinned(act.rulebook),
        Event::AgreementSigned(act) => Fact::Pinned(act.rulebook),
        Event::GroupApproved(act) => Fact::Pinned(act.rulebook),
        Event::SigningKeyEnrolled(enrolled) => Fact::Enrolled(enrolled),
        Event::SigningKeyRevoked(revoked) => Fact::Revoked(revoked.key),
        Event::OrganisationRegistered(act) => Fact::Superior(act.superior?),
        Event::OrganisationChanged(act) => Fact::Superior(act.superior?),
        Event::DisclosureErased(erased) if entry.stream.as_str() == "log/main" => {
            Fact::Erased(erased.leaf_index, erased.digest)
        }
        Event::LogOpened(opened) => Fact::Opened(opened.key, opened.roots),
        Event::LogKeyAdded(added) => Fact::LogKey(added.key),
        Event::LogKeyRevoked(revoked) => Fact::LogKeyRevoked(revoked.key),
        Event::LogFrozen(_) => Fact::Frozen,
        _ => return None,
    })
}

/// Returns what an entry commits of the index, if it does.
pub fn index_claim(entry: &Entry) -> Option<IndexClaim> {
    if entry.event_type != EventType::IndexCommitted.name() {
        return None;
    }
    match said(entry) {
        Ok(Some(Fact::Index(claim))) => Some(claim),
        _ => None,
    }
}

/// What is known so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    rulebooks: HashMap<(String, u32), Hash>,
    #[serde(skip)]
    wrong_pins: HashSet<(String, u32, Option<Hash>)>,
    keys: Keys,
    /// Leaf index and digest of every sealed value whose erasure is recorded.
    pub erased: HashSet<(u64, String)>,
    frozen_at: Option<u64>,
    /// Verifier keys that the log names as its own.
    pub log_keys: Vec<String>,
    /// Verifier keys that the log has revoked, each with the leaf index of its revocation.
    pub log_keys_revoked: Vec<(String, u64)>,
}

impl Facts {
    /// Returns how many signatures of actors held.
    pub fn signatures(&self) -> u64 {
        self.keys.held
    }

    /// Returns whether the erasure of a sealed value is recorded.
    pub fn is_erased(&self, leaf_index: u64, digest: &str) -> bool {
        self.erased.contains(&(leaf_index, digest.to_owned()))
    }

    /// Judges an intact entry by the facts before it, and takes in its own; its signature only where `signature` says that
    /// it can be judged.
    pub fn take_judged(
        &mut self,
        leaf_index: u64,
        entry: &Entry,
        said: Said,
        signature: bool,
        findings: &mut Collected,
    ) -> Option<IndexClaim> {
        self.check_end(leaf_index, entry, findings);
        if signature {
            self.keys.check_signature(leaf_index, entry, findings);
        }
        match said {
            Ok(fact) => return self.take_fact(leaf_index, entry, fact?, true, findings),
            Err(EventError::Unknown { event_type, version }) => {
                findings.could_not(both!(
                    "类型 {event_type} 第 {version} 版的事件说了什么:本程序不认识",
                    "what events of type {event_type} version {version} say: this program does not know them"
                ));
            }
            Err(error @ EventError::Payload { .. }) => {
                let detail = both!("内容不能按其类型读取:{error}", "{error}");
                findings.push(place(Finding::new(FindingKind::PayloadUnknown, detail), leaf_index, entry));
            }
        }
        None
    }

    /// Takes in the facts of an entry known to be altered, so that later ones do not fail for its sake; it is not judged
    /// again.
    pub fn take_altered(&mut self, leaf_index: u64, entry: &Entry, said: Said, findings: &mut Collected) {
        if let Ok(Some(fact)) = said {
            self.take_fact(leaf_index, entry, fact, false, findings);
        }
    }

    fn take_fact(
        &mut self,
        leaf_index: u64,
        entry: &Entry,
        fact: Fact,
        intact: bool,
        findings: &mut Collected,
    ) -> Option<IndexClaim> {
        match fact {
            Fact::Index(claim) => return intact.then_some(claim),
            Fact::Adopted { version, digest, stated } => {
                if let Some(stated) = stated.filter(|stated| intact && *stated != digest) {
                    let detail = Both::new(
                        "该摘要不是同一记录中规则文本的摘要",
                        "the digest is not that of the rulebook's text in the same entry",
                    );
                    let finding =
                        Finding::new(FindingKind::RulebookDigest, detail).differing(&digest, &stated);
                    findings.push(place(finding, leaf_index, entry));
                }
                self.rulebooks.insert((entry.stream.id().to_owned(), version), digest);
            }
            Fact::Pinned(pin) => self.check_pin(leaf_index, entry, &pin, findings),
            Fact::Enrolled(enrolled) => self.keys.enrol(leaf_index, entry, &enrolled, intact, findings),
            Fact::Revoked(key) => self.keys.revoke(entry.stream.id(), &key),
            Fact::Superior(superior) => self.keys.set_superior(entry, &superior),
            Fact::Erased(erased_from, digest) => {
                self.erased.insert((erased_from, digest));
            }
            Fact::Opened(key, roots) => {
                self.log_keys.push(key);
                self.keys.set_roots(&roots);
            }
            Fact::LogKey(key) => self.log_keys.push(key),
            Fact::LogKeyRevoked(key) => self.log_keys_revoked.push((key, leaf_index)),
            Fact::Frozen => self.frozen_at = Some(leaf_index),
        }
        None
    }

    fn check_end(&self, leaf_index: u64, entry: &Entry, findings: &mut Collected) {
        if let Some(frozen_at) = self.frozen_at {
            let detail = both!("台账已在序号 {frozen_at} 冻结", "the log was frozen at leaf {frozen_at}");
            findings.push(place(Finding::new(FindingKind::AfterFreeze, detail), leaf_index, entry));
        }
    }

    fn check_pin(&mut self, leaf_index: u64, entry: &Entry, pin: &RulebookPin, findings: &mut Collected) {
        let name = (pin.id.to_string(), pin.version);
        let adopted = self.rulebooks.get(&name).copied();
        if adopted.is_some() && adopted == pin.digest {
            return;
        }
        // One wrong or missing rulebook would otherwise be reported for every agreement under it.
        if !self.wrong_pins.insert((name.0, name.1, pin.digest)) {
            return;
        }
        let shown = |digest: Option<Hash>, none: Both| digest.map_or(none, |hash| Both::from(&hash));
        let RulebookPin { id, version, .. } = pin;
        let detail = both!(
            "对规则 {id} 第 {version} 版的引用不是其采用文本的摘要",
            "the pin of rulebook {id} version {version} is not its adopted text's"
        );
        let finding = Finding::new(FindingKind::RulebookDigest, detail).differing(
            shown(adopted, Both::new("该记录之前没有采用", "not adopted before this entry")),
            shown(pin.digest, Both::new("没有摘要", "no digest")),
        );
        findings.push(place(finding, leaf_index, entry));
    }
}
