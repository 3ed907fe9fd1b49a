//! Signing keys of organisations, as the entries establish them: who enrolled which, and what each may sign.
//!
//! Invariants: a key counts from its enrolment's own entry on until its revocation's; one whose enrolment is faulty counts all
//! the same, so that what it signed is not reported for the enrolment's sake. About 100 bytes an organisation.
//! Absent: whether the actor might act for the organisation in that role (deciding).
//! Source: format.md "Signatures by actors".

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use weituo_events::OrganisationId;
use weituo_events::payload::SigningKeyEnrolled;
use weituo_proof::entry::{key_id, verify_actor_signature, verify_possession};
use weituo_proof::{Both, Entry, Finding, FindingKind, Hash, both};

use crate::collected::{Collected, chain, place};

#[derive(Debug, Serialize, Deserialize)]
struct Enrolled {
    organisation: String,
    public_key: [u8; 32],
    revoked: bool,
}

/// What is known so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Keys {
    enrolled: HashMap<Hash, Vec<Enrolled>>,
    /// Organisations that ever had a key enrolled.
    holders: HashSet<String>,
    roots: Vec<String>,
    /// The authority above each organisation.
    superiors: HashMap<String, String>,
    /// How many signatures held.
    pub(crate) held: u64,
}

impl Keys {
    pub(crate) fn set_roots(&mut self, roots: &[OrganisationId]) {
        self.roots = roots.iter().map(ToString::to_string).collect();
    }

    pub(crate) fn set_superior(&mut self, entry: &Entry, superior: &OrganisationId) {
        self.superiors.insert(entry.stream.id().to_owned(), superior.to_string());
    }

    pub(crate) fn revoke(&mut self, organisation: &str, key: &Hash) {
        for key in self.enrolled.get_mut(key).into_iter().flatten() {
            key.revoked |= key.organisation == organisation;
        }
    }

    /// Takes in an enrolment; judges it where its entry is `intact`.
    pub(crate) fn enrol(
        &mut self,
        leaf_index: u64,
        entry: &Entry,
        enrolled: &SigningKeyEnrolled,
        intact: bool,
        findings: &mut Collected,
    ) {
        let mut report = |detail: Both, expected: Both, found: Both| {
            if intact {
                let finding = Finding::new(FindingKind::ActorSignature, detail);
                findings.push(place(finding, leaf_index, entry).differing(expected, found));
            }
        };
        let public_key =
            STANDARD.decode(&enrolled.public_key).ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
        let Some(public_key) = public_key.filter(|key| key_id(key) == enrolled.key) else {
            let none = Both::new("不是 Ed25519 公钥", "no Ed25519 public key");
            let found = public_key.map_or(none, |key| Both::from(&key_id(&key)));
            let detail = Both::new(
                "登记的公钥标识与一同登记的公钥不符",
                "the enrolled key id is not that of the public key enrolled with it",
            );
            report(detail, Both::from(&enrolled.key), found);
            return;
        };
        if let Err(error) = verify_possession(&entry.ledger, &entry.stream, &public_key, &enrolled.possession)
        {
            let chain = chain(&error);
            let detail = both!(
                "登记没有证明登记者持有该密钥:{chain}",
                "the enrolment does not prove that whoever enrolled the key holds it: {chain}"
            );
            let expected = Both::new("所登记密钥的签名", "a signature by the key that is enrolled");
            report(detail, expected, Both::from(&enrolled.possession));
        }
        let organisation = entry.stream.id();
        let may = self.may_vouch(organisation);
        if entry.signature.is_none() {
            if let Some(holder) = may.iter().find(|id| self.holders.contains(**id)) {
                let detail = both!(
                    "登记没有签名,而 {holder} 已有可为其作证的密钥",
                    "the enrolment is unsigned, though {holder} had a key to vouch for it with"
                );
                report(detail, Both::new("签名", "a signature"), Both::new("没有", "none"));
            }
        } else if !may.contains(&entry.actor.organisation.as_str()) {
            let signer = &entry.actor.organisation;
            let detail = both!(
                "登记由 {signer} 签名,它既不是 {organisation},也不是其上级",
                "the enrolment is signed for {signer}, which is neither {organisation} nor an authority above it"
            );
            report(detail, Both::from(&may.join(", ")), Both::from(signer));
        }
        self.holders.insert(organisation.to_owned());
        let key = Enrolled { organisation: organisation.to_owned(), public_key, revoked: false };
        self.enrolled.entry(enrolled.key).or_default().push(key);
    }

    /// The organisation itself, the authorities above it, the roots.
    fn may_vouch<'a>(&'a self, organisation: &'a str) -> Vec<&'a str> {
        let mut may = vec![organisation];
        let mut at = self.superiors.get(organisation);
        while let Some(next) = at.filter(|next| !may.contains(&next.as_str())) {
            may.push(next);
            at = self.superiors.get(next);
        }
        may.extend(self.roots.iter().map(String::as_str));
        may
    }

    /// Judges the signature of an entry that has one.
    pub(crate) fn check_signature(&mut self, leaf_index: u64, entry: &Entry, findings: &mut Collected) {
        let (Some(key), Some(signature)) = (entry.actor.key, &entry.signature) else { return };
        let organisation = &entry.actor.organisation;
        let enrolled = self.enrolled.get(&key).into_iter().flatten().rev();
        let detail = match enrolled.into_iter().find(|enrolled| enrolled.organisation == *organisation) {
            None => both!(
                "密钥 {key} 在该记录之前没有为 {organisation} 登记",
                "key {key} was not enrolled for {organisation} before this entry"
            ),
            Some(enrolled) if enrolled.revoked => both!(
                "{organisation} 的密钥 {key} 在该记录之前已撤销",
                "key {key} of {organisation} was revoked before this entry"
            ),
            Some(enrolled) => match verify_actor_signature(entry, &enrolled.public_key) {
                Ok(()) => {
                    self.held += 1;
                    return;
                }
                Err(error) => both!(
                    "按 {organisation} 的密钥 {key},签名不成立:{error}",
                    "{error}, under key {key} of {organisation}"
                ),
            },
        };
        let finding = Finding::new(FindingKind::ActorSignature, detail).differing(&key, signature);
        findings.push(place(finding, leaf_index, entry));
    }
}
