//! Rulebooks as the log knows them: adopted versions with their digests, and what else every fold needs to know.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use weituo_events::payload::RulebookPin;
use weituo_events::{Act, Event, Recorded};
use weituo_proof::{Hash, sha256};

use super::Rulebook;
use crate::dates;

/// One adopted version.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// SHA-256 of the text.
    pub digest: Hash,
    /// True once repealed: it may not be pinned any more; what is pinned stays.
    pub repealed: bool,
    /// The rules.
    pub rulebook: Arc<Rulebook>,
}

/// Every adopted version of every rulebook, and the ledger's zone.
#[derive(Clone, Debug)]
pub struct Rulebooks {
    versions: BTreeMap<SmolStr, BTreeMap<u32, Adopted>>,
    zone_minutes: i32,
}

impl Default for Rulebooks {
    /// Returns no rulebooks, in the zone +08:00.
    fn default() -> Self {
        Self { versions: BTreeMap::new(), zone_minutes: 480 }
    }
}

impl Rulebooks {
    /// Takes in one entry of any stream; only those about rulebooks, and the log's opening, change anything.
    pub fn apply(&mut self, recorded: &Recorded) {
        self.apply_act(&recorded.act);
    }

    /// The same for an act that has no place yet.
    pub fn apply_act(&mut self, act: &Act) {
        match &act.event {
            Event::RulebookAdopted(adopted) => {
                // A text that cannot be read was refused; a forged one gives no rules.
                if let Ok(rulebook) = Rulebook::parse(&adopted.text) {
                    self.insert(act.stream.id(), adopted.version, &adopted.text, rulebook);
                }
            }
            Event::RulebookRepealed(repealed) => {
                if let Some(adopted) = self.get_mut(act.stream.id(), repealed.version) {
                    adopted.repealed = true;
                }
            }
            Event::LogOpened(opened) => {
                self.zone_minutes = dates::zone_minutes(&opened.zone).unwrap_or(self.zone_minutes);
            }
            _ => {}
        }
    }

    fn insert(&mut self, id: &str, version: u32, text: &str, rulebook: Rulebook) {
        let adopted =
            Adopted { digest: sha256(&[text.as_bytes()]), repealed: false, rulebook: Arc::new(rulebook) };
        // The first text adopted under a version stays: what was pinned keeps its meaning.
        self.versions.entry(id.into()).or_default().entry(version).or_insert(adopted);
    }

    fn get_mut(&mut self, id: &str, version: u32) -> Option<&mut Adopted> {
        self.versions.get_mut(id)?.get_mut(&version)
    }

    /// Takes in the state of one rulebook's stream.
    pub fn include(&mut self, stream: &RulebookStream) {
        for (version, state) in &stream.versions {
            if self.get(&stream.id, *version).is_none() {
                let Ok(rulebook) = Rulebook::parse(&state.text) else { continue };
                self.insert(&stream.id, *version, &state.text, rulebook);
            }
            if let Some(adopted) = self.get_mut(&stream.id, *version) {
                adopted.repealed |= state.repealed.is_some();
            }
        }
    }

    /// Sets how many minutes the ledger's zone is ahead of UTC, where the log's opening is not folded here.
    pub fn set_zone(&mut self, zone_minutes: i32) {
        self.zone_minutes = zone_minutes;
    }

    /// Returns an adopted version.
    pub fn get(&self, id: &str, version: u32) -> Option<&Adopted> {
        self.versions.get(id)?.get(&version)
    }

    /// Returns the rules that a cycle is under, when they were adopted with the digest pinned.
    pub fn pinned(&self, pin: &RulebookPin) -> Option<&Arc<Rulebook>> {
        let adopted = self.get(&pin.id, pin.version)?;
        pin.digest.is_none_or(|digest| digest == adopted.digest).then_some(&adopted.rulebook)
    }

    /// Returns every version of one rulebook, oldest first.
    pub fn versions(&self, id: &str) -> impl Iterator<Item = (u32, &Adopted)> {
        self.versions.get(id).into_iter().flatten().map(|(version, adopted)| (*version, adopted))
    }

    /// Returns how many minutes the ledger's zone is ahead of UTC.
    pub fn zone_minutes(&self) -> i32 {
        self.zone_minutes
    }
}

/// One version as the stream of its rulebook shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionState {
    /// Sequence of the adoption.
    pub adopted: u64,
    /// SHA-256 of the text.
    pub digest: Hash,
    /// Sequence of the repeal.
    pub repealed: Option<u64>,
    /// The text, exactly as adopted: whoever holds this state can judge by it.
    pub text: String,
    /// Title, as the text gives it; absent when the text cannot be read.
    pub title: Option<weituo_events::Text>,
}

/// State of one rulebook's stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulebookStream {
    /// The bureau that adopted its first version.
    pub adopter: Option<SmolStr>,
    /// Id, once something was recorded.
    pub id: String,
    /// Sequence of the last entry.
    pub sequence: u64,
    /// Versions adopted so far.
    pub versions: BTreeMap<u32, VersionState>,
}

impl RulebookStream {
    /// Takes in the stream's next entry.
    pub fn apply(&mut self, recorded: &Recorded) {
        recorded.act.stream.id().clone_into(&mut self.id);
        self.sequence = recorded.sequence;
        match &recorded.act.event {
            Event::RulebookAdopted(adopted) => {
                self.adopter.get_or_insert_with(|| recorded.act.actor.organisation.clone());
                self.versions.entry(adopted.version).or_insert_with(|| VersionState {
                    adopted: recorded.sequence,
                    digest: sha256(&[adopted.text.as_bytes()]),
                    repealed: None,
                    text: adopted.text.clone(),
                    title: Rulebook::parse(&adopted.text).ok().map(|rulebook| rulebook.title),
                });
            }
            Event::RulebookRepealed(repealed) => {
                if let Some(version) = self.versions.get_mut(&repealed.version) {
                    version.repealed = Some(recorded.sequence);
                }
            }
            _ => {}
        }
    }

    /// Returns the newest version adopted; 0 before the first.
    pub fn newest(&self) -> u32 {
        self.versions.last_key_value().map_or(0, |(version, _)| *version)
    }
}
