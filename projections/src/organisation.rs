//! One organisation: its names and identifiers as dated aliases, what is above it, its keys.
//!
//! Invariant: [`Organisation::apply`] takes any entry of the stream and never panics. A name or identifier that was
//! given up stays, with the dates between which it held.
//! Absent: personal data (a legal representative is sealed and not kept here).
//! Source: regions.md, Identifiers and forms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use weituo_events::payload::OrganisationKind;
use weituo_events::{CreditCode, Event, OrganisationId, Recorded, RegionCode, SchoolCode};
use weituo_proof::{Effective, Hash, LeafIndex};

/// A value that holds from a date on, until the next one does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated<T> {
    /// From when on.
    pub from: Effective,
    /// Sequence of its record.
    pub sequence: u64,
    /// The value.
    pub value: T,
}

/// A signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Leaf index of its enrolment: it signs entries after it.
    pub enrolled: LeafIndex,
    /// Ed25519 public key, base64.
    pub public_key: String,
    /// Leaf index of its revocation: it signs no entry after it.
    pub revoked: Option<LeafIndex>,
}

/// How an organisation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// The organisation that takes its place.
    pub merged_into: Option<OrganisationId>,
    /// When.
    pub on: Effective,
    /// Sequence of its record.
    pub sequence: u64,
}

/// State of one organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// How it ended.
    pub closed: Option<Closure>,
    /// 统一社会信用代码, oldest first.
    pub credit_codes: Vec<Dated<CreditCode>>,
    /// Id: the part of its stream after `organisation/`.
    pub id: String,
    /// Keys by key id.
    pub keys: BTreeMap<Hash, Key>,
    /// What it is, oldest first.
    pub kinds: Vec<Dated<OrganisationKind>>,
    /// Names, oldest first.
    pub names: Vec<Dated<SmolStr>>,
    /// 行政区划代码, oldest first.
    pub regions: Vec<Dated<RegionCode>>,
    /// The organisation that registered it.
    pub registered_by: Option<SmolStr>,
    /// 学校(机构)标识码, oldest first: aliases, never keys.
    pub school_codes: Vec<Dated<SchoolCode>>,
    /// Sequence of the last entry.
    pub sequence: u64,
    /// Authorities above it, oldest first.
    pub superiors: Vec<Dated<OrganisationId>>,
}

impl Organisation {
    /// Takes in the stream's next entry.
    pub fn apply(&mut self, recorded: &Recorded) {
        let act = &recorded.act;
        act.stream.id().clone_into(&mut self.id);
        self.sequence = recorded.sequence;
        match &act.event {
            Event::OrganisationRegistered(payload) => {
                self.registered_by.get_or_insert_with(|| act.actor.organisation.clone());
                push(&mut self.kinds, recorded, Some(&payload.kind));
                push(&mut self.names, recorded, Some(&payload.name));
                push(&mut self.credit_codes, recorded, payload.credit_code.as_ref());
                push(&mut self.school_codes, recorded, payload.school_code.as_ref());
                push(&mut self.regions, recorded, payload.region.as_ref());
                push(&mut self.superiors, recorded, payload.superior.as_ref());
            }
            Event::OrganisationChanged(payload) => {
                push(&mut self.kinds, recorded, payload.kind.as_ref());
                push(&mut self.names, recorded, payload.name.as_ref());
                push(&mut self.credit_codes, recorded, payload.credit_code.as_ref());
                push(&mut self.school_codes, recorded, payload.school_code.as_ref());
                push(&mut self.regions, recorded, payload.region.as_ref());
                push(&mut self.superiors, recorded, payload.superior.as_ref());
            }
            Event::OrganisationClosed(payload) => {
                self.closed.get_or_insert_with(|| Closure {
                    merged_into: payload.merged_into.clone(),
                    on: act.effective.clone(),
                    sequence: recorded.sequence,
                });
            }
            Event::SigningKeyEnrolled(payload) => {
                self.keys.entry(payload.key).or_insert_with(|| Key {
                    enrolled: recorded.leaf_index,
                    public_key: payload.public_key.clone(),
                    revoked: None,
                });
            }
            Event::SigningKeyRevoked(payload) => {
                if let Some(key) = self.keys.get_mut(&payload.key) {
                    key.revoked.get_or_insert(recorded.leaf_index);
                }
            }
            _ => {}
        }
    }

    /// Returns true once it is registered.
    pub fn is_registered(&self) -> bool {
        !self.kinds.is_empty()
    }

    /// Returns what it is now.
    pub fn kind(&self) -> Option<OrganisationKind> {
        self.kinds.last().map(|dated| dated.value)
    }

    /// Returns its name now; its id while it has none.
    pub fn name(&self) -> &str {
        self.names.last().map_or(self.id.as_str(), |dated| dated.value.as_str())
    }

    /// Returns the authority above it now.
    pub fn superior(&self) -> Option<&OrganisationId> {
        self.superiors.last().map(|dated| &dated.value)
    }
}

fn push<T: Clone + PartialEq>(values: &mut Vec<Dated<T>>, recorded: &Recorded, value: Option<&T>) {
    if let Some(value) = value.filter(|value| values.last().is_none_or(|last| last.value != **value)) {
        let (from, sequence) = (recorded.act.effective.clone(), recorded.sequence);
        values.push(Dated { from, sequence, value: value.clone() });
    }
}
