//! What the entries themselves establish for later ones: rulebooks, signing keys, erasures, the end of the log.
//!
//! Invariants: a fact counts from its own entry on and never before.
//! Absent: whether an act was permitted (deciding), disclosures' texts (`disclosures`).
//! Source: format.md "Signatures by actors", "Sealed values"; design.md "Verification" (rulebook digests).

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use weituo_events::payload::{IndexCommitted, RulebookPin};
use weituo_events::{Event, EventError, EventType};
use weituo_proof::entry::{key_id, verify_actor_signature};
use weituo_proof::{Entry, Finding, FindingKind, Hash, sha256};

use crate::collected::{Collected, place};

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

#[derive(Debug, Serialize, Deserialize)]
struct Enrolled {
    organisation: String,
    public_key: [u8; 32],
    revoked: bool,
}

/// Returns what an entry commits of the index, if it does.
pub fn index_claim(entry: &Entry) -> Option<IndexClaim> {
    if entry.event_type != EventType::IndexCommitted.name() {
        return None;
    }
    match Event::parse(&entry.event_type, entry.version, entry.payload.get()) {
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
    keys: HashMap<Hash, Vec<Enrolled>>,
    /// Leaf index and digest of every sealed value whose erasure is recorded.
    pub erased: HashSet<(u64, String)>,
    frozen_at: Option<u64>,
    /// Verifier keys that the log names as its own.
    pub log_keys: Vec<String>,
    /// Signatures that hold.
    pub signatures: u64,
}

impl Facts {
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
            self.check_signature(leaf_index, entry, findings);
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
        let event = match Event::parse(&entry.event_type, entry.version, entry.payload.get()) {
            Ok(event) => event,
            Err(_) if !intact => return None,
            Err(EventError::Unknown { event_type, version }) => {
                findings.could_not(format!(
                    "what events of type {event_type} version {version} say: this program does not know them"
                ));
                return None;
            }
            Err(error @ EventError::Payload { .. }) => {
                findings.push(place(
                    Finding::new(FindingKind::PayloadUnknown, error.to_string()),
                    leaf_index,
                    entry,
                ));
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
                    let detail = "the digest is not that of the rulebook's text in the same entry";
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
                match STANDARD
                    .decode(&enrolled.public_key)
                    .ok()
                    .and_then(|key| <[u8; 32]>::try_from(key).ok())
                {
                    Some(public_key) if key_id(&public_key) == enrolled.key => {
                        let organisation = stream_id();
                        let key = Enrolled { organisation, public_key, revoked: false };
                        self.keys.entry(enrolled.key).or_default().push(key);
                    }
                    public_key => {
                        let found = public_key
                            .map_or("no Ed25519 public key".to_owned(), |key| key_id(&key).to_string());
                        let detail = "the enrolled key id is not that of the public key enrolled with it";
                        let finding = Finding::new(FindingKind::ActorSignature, detail);
                        findings.push(place(finding, leaf_index, entry).differing(&enrolled.key, &found));
                    }
                }
            }
            Event::SigningKeyRevoked(revoked) => {
                let id = entry.stream.id();
                for key in self.keys.entry(revoked.key).or_default() {
                    key.revoked |= key.organisation == id;
                }
            }
            Event::DisclosureErased(erased) => {
                self.erased.insert((erased.leaf_index, erased.digest.clone()));
            }
            Event::LogOpened(opened) => self.log_keys.push(opened.key.clone()),
            Event::LogKeyAdded(added) => self.log_keys.push(added.key.clone()),
            Event::LogFrozen(_) => self.frozen_at = Some(leaf_index),
            _ => {}
        }
        None
    }

    fn check_end(&self, leaf_index: u64, entry: &Entry, findings: &mut Collected) {
        if let Some(frozen_at) = self.frozen_at {
            let detail = format!("the log was frozen at leaf {frozen_at}");
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
        let shown =
            |digest: Option<Hash>, none: &str| digest.map_or(none.to_owned(), |hash| hash.to_string());
        let detail =
            format!("the pin of rulebook {} version {} is not its adopted text's", pin.id, pin.version);
        let finding = Finding::new(FindingKind::RulebookDigest, detail)
            .differing(&shown(adopted, "not adopted before this entry"), &shown(pin.digest, "no digest"));
        findings.push(place(finding, leaf_index, entry));
    }

    fn check_signature(&mut self, leaf_index: u64, entry: &Entry, findings: &mut Collected) {
        let (Some(key), Some(signature)) = (entry.actor.key, &entry.signature) else { return };
        let organisation = &entry.actor.organisation;
        let enrolled = self.keys.get(&key).into_iter().flatten().rev();
        let detail = match enrolled.into_iter().find(|enrolled| enrolled.organisation == *organisation) {
            None => format!("key {key} was not enrolled for {organisation} before this entry"),
            Some(enrolled) if enrolled.revoked => {
                format!("key {key} of {organisation} was revoked before this entry")
            }
            Some(enrolled) => match verify_actor_signature(entry, &enrolled.public_key) {
                Ok(()) => {
                    self.signatures += 1;
                    return;
                }
                Err(error) => format!("{error}, under key {key} of {organisation}"),
            },
        };
        let finding = Finding::new(FindingKind::ActorSignature, detail).differing(&key, &signature);
        findings.push(place(finding, leaf_index, entry));
    }
}
