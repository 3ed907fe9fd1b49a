//! What the entries themselves establish for later ones: rulebooks, signing keys, erasures, the end of the log.
//!
//! Invariants: a fact counts from its own entry on and never before.
//! Absent: whether an act was permitted (deciding), disclosures' texts (`disclosures`), who enrolled a key how (`keys`).
//! Source: format.md "Signatures by actors", "Sealed values"; design.md "Verification" (rulebook digests).

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use weituo_events::payload::{IndexCommitted, RulebookPin};
use weituo_events::{Event, EventError, EventType};
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

/// Returns what an entry commits of the index, if it does.
pub fn index_claim(entry: &Entry) -> Option<IndexClaim> {
    if entry.event_type != EventType::IndexCommitted.name() {
        return None;
    }
    match Event::parse(&entry.event_type, entry.version, &entry.payload) {
        Ok(Event::IndexCommitted(index)) => Some(claim(&index)),
        _ => None,
    }
}

fn claim(index: &IndexCommitted) -> IndexClaim {
    IndexClaim { root: index.root, size: index.size, streams: index.streams }
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

    /// Judges an intact entry, its signature only where `signature` says that it can be judged.
    pub fn take_judged(
        &mut self,
        leaf_index: u64,
        entry: &Entry,
        signature: bool,
        findings: &mut Collected,
    ) -> Option<IndexClaim> {
        self.check_end(leaf_index, entry, findings);
        if signature {
            self.keys.check_signature(leaf_index, entry, findings);
        }
        self.take_content(leaf_index, entry, true, findings)
    }

    /// Judges what an entry says by the facts before it, and takes in its own. `intact` is false for an entry known to
    /// be altered: its facts count, so that later entries do not fail for its sake, but it is not judged again.
    pub fn take(
        &mut self,
        leaf_index: u64,
        entry: &Entry,
        intact: bool,
        findings: &mut Collected,
    ) -> Option<IndexClaim> {
        if intact {
            self.take_judged(leaf_index, entry, true, findings)
        } else {
            self.take_content(leaf_index, entry, false, findings)
        }
    }

    fn take_content(
        &mut self,
        leaf_index: u64,
        entry: &Entry,
        intact: bool,
        findings: &mut Collected,
    ) -> Option<IndexClaim> {
        let event = match Event::parse(&entry.event_type, entry.version, &entry.payload) {
            Ok(event) => event,
            Err(_) if !intact => return None,
            Err(EventError::Unknown { event_type, version }) => {
                findings.could_not(both!(
                    "类型 {event_type} 第 {version} 版的事件说了什么:本程序不认识",
                    "what events of type {event_type} version {version} say: this program does not know them"
                ));
                return None;
            }
            Err(error @ EventError::Payload { .. }) => {
                let detail = both!("内容不能按其类型读取:{error}", "{error}");
                findings.push(place(Finding::new(FindingKind::PayloadUnknown, detail), leaf_index, entry));
                return None;
            }
        };
        self.take_event(leaf_index, entry, &event, intact, findings)
    }

    fn take_event(
        &mut self,
        leaf_index: u64,
        entry: &Entry,
        event: &Event,
        intact: bool,
        findings: &mut Collected,
    ) -> Option<IndexClaim> {
        let stream_id = || entry.stream.id().to_owned();
        match event {
            Event::IndexCommitted(index) => return intact.then_some(claim(index)),
            Event::RulebookAdopted(adopted) => {
                let digest = sha256(&[adopted.text.as_bytes()]);
                if intact && adopted.digest.is_some_and(|said| said != digest) {
                    let said = adopted.digest.unwrap_or(Hash::ZERO);
                    let detail = Both::new(
                        "该摘要不是同一记录中规则文本的摘要",
                        "the digest is not that of the rulebook's text in the same entry",
                    );
                    let finding = Finding::new(FindingKind::RulebookDigest, detail).differing(&digest, &said);
                    findings.push(place(finding, leaf_index, entry));
                }
                self.rulebooks.insert((stream_id(), adopted.version), digest);
            }
            Event::SchemeIssued(act) => self.check_pin(leaf_index, entry, &act.rulebook, findings),
            Event::PartiesDesignated(act) => self.check_pin(leaf_index, entry, &act.rulebook, findings),
            Event::AgreementSigned(act) => self.check_pin(leaf_index, entry, &act.rulebook, findings),
            Event::GroupApproved(act) => self.check_pin(leaf_index, entry, &act.rulebook, findings),
            Event::SigningKeyEnrolled(enrolled) => {
                self.keys.enrol(leaf_index, entry, enrolled, intact, findings);
            }
            Event::SigningKeyRevoked(revoked) => self.keys.revoke(entry.stream.id(), &revoked.key),
            Event::OrganisationRegistered(act) => self.keys.set_superior(entry, act.superior.as_ref()),
            Event::OrganisationChanged(act) => self.keys.set_superior(entry, act.superior.as_ref()),
            Event::DisclosureErased(erased) if entry.stream.as_str() == "log/main" => {
                self.erased.insert((erased.leaf_index, erased.digest.clone()));
            }
            Event::LogOpened(opened) => {
                self.log_keys.push(opened.key.clone());
                self.keys.set_roots(&opened.roots);
            }
            Event::LogKeyAdded(added) => self.log_keys.push(added.key.clone()),
            Event::LogKeyRevoked(revoked) => self.log_keys_revoked.push((revoked.key.clone(), leaf_index)),
            Event::LogFrozen(_) => self.frozen_at = Some(leaf_index),
            _ => {}
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
        let name = (pin.id.clone(), pin.version);
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
