//! Dossiers, each tampered with in one way, and what every verifier has to say of each.
//!
//! The expected findings are those of `docs/format.md` section 10 but for step 13, which only those judge who know the
//! vocabulary and the folds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weituo_proof::dossier::{DisclosedValue, Dossier, SubjectKind};
use weituo_proof::{Hash, LeafIndex, SignedNote, SigningKey};

use super::base::{AGREEMENT, BUREAU, Base, CYCLE, ORIGIN, OTHER_CYCLE, TRUSTEE, enrolment, enrolment_of};
use super::forge::{Lie, Log};

/// An answer and the kinds of finding that it rests on, sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) answer: &'static str,
    pub(crate) findings: Vec<&'static str>,
}

/// A dossier, what its reader has besides, and what has to be found.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) dossier: String,
    pub(crate) keys: Vec<String>,
    pub(crate) receipts: Vec<String>,
    pub(crate) intact: Expected,
    pub(crate) complete: Expected,
    /// What those find besides, under *intact*, who know the vocabulary and the folds (step 13).
    pub(crate) by_folds: &'static [&'static str],
}

impl Case {
    /// Returns the case as those judge it who know the vocabulary and the folds.
    pub(crate) fn with_folds(mut self) -> Self {
        self.intact.findings.extend(self.by_folds);
        if !self.intact.findings.is_empty() {
            self.intact.answer = "no";
        }
        self
    }
}

fn yes() -> Expected {
    Expected { answer: "yes", findings: vec![] }
}

fn could_not_check() -> Expected {
    Expected { answer: "could-not-check", findings: vec![] }
}

fn no(findings: &[&'static str]) -> Expected {
    let mut findings = findings.to_vec();
    findings.sort_unstable();
    Expected { answer: "no", findings }
}

/// Everything that makes cases.
struct Cases<'a> {
    base: &'a Base,
    cases: Vec<Case>,
}

/// Returns every case.
pub(crate) fn cases(base: &Base) -> Vec<Case> {
    let mut cases = Cases { base, cases: Vec::new() };
    cases.untouched();
    cases.of_entries();
    cases.of_removals();
    cases.of_the_checkpoint();
    cases.of_spelling();
    cases.of_sealed_values();
    cases.of_lies_that_were_signed();
    cases.of_signatures();
    cases.of_receipts();
    cases.cases
}

impl Cases<'_> {
    fn log(&self) -> &Log {
        &self.base.log
    }

    fn agreement_of(&self, log: &Log) -> Dossier {
        log.write().dossier(SubjectKind::Agreement, AGREEMENT, &self.base.cycle)
    }

    fn agreement(&self) -> Dossier {
        self.agreement_of(self.log())
    }

    fn trustee(&self) -> Dossier {
        self.log().write().dossier(SubjectKind::Trustee, TRUSTEE, &self.base.trustee)
    }

    /// Adds a case of a text, under the log's key.
    fn text(&mut self, name: &'static str, dossier: String, intact: Expected, complete: Expected) {
        let keys = vec![self.log().key.verifier().to_string()];
        self.cases.push(Case { name, dossier, keys, receipts: vec![], intact, complete, by_folds: &[] });
    }

    /// Adds a case of a dossier changed after it was made.
    fn changed(
        &mut self,
        name: &'static str,
        change: impl Fn(&mut Dossier),
        intact: Expected,
        complete: Expected,
    ) {
        let mut dossier = self.agreement();
        change(&mut dossier);
        self.text(name, dossier.text(), intact, complete);
    }

    /// Adds a case of a log whose operator signed something that is not so.
    fn lied(&mut self, name: &'static str, leaf: u64, lie: Lie, intact: Expected, complete: Expected) {
        let dossier = self.agreement_of(&self.log().lying(leaf, lie));
        self.text(name, dossier.text(), intact, complete);
    }

    fn untouched(&mut self) {
        self.changed("an agreement as it was made, one disclosure erased", |_| (), yes(), yes());
        let trustee = self.trustee().text();
        self.text("a trustee as it was made", trustee, yes(), yes());
        let stated = |dossier: &mut Dossier| {
            dossier.state.value = dossier.state.value.replacen("\"closed\"", "\"running\"", 1);
        };
        self.changed("another state, which is stated only", stated, yes(), yes());
        self.cases.last_mut().unwrap().by_folds = &["state-differs"];
        self.changed("no key", |_| (), could_not_check(), could_not_check());
        self.cases.last_mut().unwrap().keys.clear();
    }

    fn of_entries(&mut self) {
        let at = self.log().find(CYCLE, "EndOfTermEvaluationRecorded");
        let score = move |dossier: &mut Dossier| {
            let entry = entry(dossier, at);
            let altered = entry.replacen("\"score_centi\":", "\"score_centi\":1", 1);
            assert_ne!(*entry, altered);
            *entry = altered;
        };
        let found = no(&["entry-not-included"]);
        self.changed("a score altered", score, found.clone(), could_not_check());
        self.changed("a score altered, no key", score, found.clone(), could_not_check());
        self.cases.last_mut().unwrap().keys.clear();
        let swapped = move |dossier: &mut Dossier| {
            let other = std::mem::take(entry(dossier, at - 1));
            *entry(dossier, at - 1) = std::mem::replace(entry(dossier, at), other);
        };
        self.changed("two entries swapped", swapped, found.clone(), could_not_check());
        let hash = move |dossier: &mut Dossier| dossier.entries[5].inclusion[2] = Hash::ZERO;
        self.changed("a hash of an inclusion altered", hash, found.clone(), could_not_check());
        let longer = move |dossier: &mut Dossier| dossier.entries[5].inclusion.push(Hash::ZERO);
        self.changed("a hash more in an inclusion", longer, found, could_not_check());
        let spaced =
            move |dossier: &mut Dossier| *entry(dossier, at) = entry(dossier, at).replacen(':', ": ", 1);
        self.changed("a space in an entry", spaced, no(&["not-canonical"]), could_not_check());
        let member: Lie = |entry| entry["reviewed"] = json!(true);
        self.lied("an entry with a member more", at, member, no(&["bad-entry"]), could_not_check());
        let day: Lie = |entry| entry["effective"] = json!("2023-02-29");
        self.lied("an entry of a day that there was not", at, day, no(&["bad-entry"]), could_not_check());
        let truth: Lie = |entry| entry["format"] = json!(true);
        self.lied("an entry whose format is true, not 1", at, truth, no(&["bad-entry"]), could_not_check());
        let null: Lie = |entry| entry["payload"]["note"] = json!(null);
        self.lied("a null, which is canonical", at, null, yes(), yes());
        self.cases.last_mut().unwrap().by_folds = &["payload-unknown"];
        let ledger: Lie = |entry| entry["ledger"] = json!("other.example");
        self.lied("an entry of another ledger", at, ledger, no(&["origin-differs"]), could_not_check());
    }

    fn of_removals(&mut self) {
        let middle = self.log().find(CYCLE, "CommendationAwarded");
        let removed = move |dossier: &mut Dossier| remove(dossier, |at, _| at == middle);
        let gap = no(&["sequence-gap"]);
        self.changed("an entry removed in the middle of a stream", removed, yes(), gap);
        let left_out = no(&["index-proof"]);
        let end = |dossier: &mut Dossier| {
            let last = newest(dossier, CYCLE);
            remove(dossier, |at, _| at == last);
        };
        self.changed("an entry removed at the end of a stream", end, yes(), left_out.clone());
        let school = |dossier: &mut Dossier| remove(dossier, |_, stream| stream == "organisation/school-jia");
        self.changed("every entry of a stream removed", school, yes(), left_out.clone());
        let end = |dossier: &mut Dossier| drop(dossier.entries.pop());
        self.changed("the index root removed", end, yes(), left_out.clone());
        let unnamed =
            |dossier: &mut Dossier| dossier.streams.retain(|proven| proven.stream.as_str() != CYCLE);
        self.changed("the subject not among the streams", unnamed, yes(), left_out.clone());
        let mut trustee = self.trustee();
        remove(&mut trustee, |_, stream| stream == OTHER_CYCLE);
        self.text("a cycle's entries removed from a trustee's list", trustee.text(), yes(), left_out.clone());
        trustee.streams.retain(|proven| proven.stream.as_str() != OTHER_CYCLE);
        self.text("a cycle removed from a trustee's list", trustee.text(), yes(), left_out.clone());
        let mut trustee = self.trustee();
        trustee.streams.retain(|proven| proven.stream.as_str() != OTHER_CYCLE);
        self.text(
            "a cycle of a trustee that is not among the streams",
            trustee.text(),
            yes(),
            left_out.clone(),
        );
        let mut trustee = self.trustee();
        trustee.parties.clear();
        self.text("a trustee whose joinings are not proven", trustee.text(), yes(), left_out);
    }

    fn of_the_checkpoint(&mut self) {
        let root = |dossier: &mut Dossier| {
            let mut lines: Vec<&str> = dossier.checkpoint.split('\n').collect();
            lines[2] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
            dossier.checkpoint = lines.join("\n");
        };
        let found = no(&["checkpoint-signature", "entry-not-included"]);
        self.changed("another root", root, found, could_not_check());
        let mut forged = self.log().clone();
        forged.key = SigningKey::from_seed(ORIGIN, [2; 32]).unwrap();
        let unsigned = no(&["checkpoint-signature"]);
        let text = self.agreement_of(&forged).text();
        self.text("signed with another key", text, could_not_check(), could_not_check());
        self.changed("a key that did not sign", |_| (), could_not_check(), could_not_check());
        self.cases.last_mut().unwrap().keys = vec![forged.key.verifier().to_string()];
        self.changed("the right key after one that did not sign", |_| (), yes(), yes());
        self.cases.last_mut().unwrap().keys.insert(0, forged.key.verifier().to_string());
        let other = SigningKey::from_seed("other.example", [1; 32]).unwrap().verifier().to_string();
        self.changed("a key of another name", |_| (), could_not_check(), could_not_check());
        self.cases.last_mut().unwrap().keys = vec![other];
        let line = self.agreement().checkpoint.lines().last().unwrap().to_owned();
        let broken = |dossier: &mut Dossier| {
            let (name, signature) = line.rsplit_once(' ').unwrap();
            let mut bytes = STANDARD.decode(signature).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            dossier.checkpoint.extend([name, " ", &STANDARD.encode(bytes), "\n"]);
        };
        self.changed(
            "a line that does not hold behind one that does",
            broken,
            unsigned.clone(),
            could_not_check(),
        );
        let twice = |dossier: &mut Dossier| dossier.checkpoint.extend([&line, "\n"]);
        self.changed("signed twice", twice, yes(), yes());
        let crowded = |dossier: &mut Dossier| dossier.checkpoint.extend(vec![format!("{line}\n"); 100]);
        self.changed("more lines than a note has", crowded, unsigned.clone(), could_not_check());
        let parted = |dossier: &mut Dossier| {
            dossier.checkpoint = dossier.checkpoint.replacen("\n\n", "\n\nmore\n\n", 1);
        };
        self.changed("an empty line in the checkpoint's text", parted, unsigned.clone(), could_not_check());
        let renamed = |dossier: &mut Dossier| {
            dossier.checkpoint = dossier.checkpoint.replace(&line, &line.replacen("— ", "— other.", 1));
        };
        self.changed("signed in another name", renamed, could_not_check(), could_not_check());
        let unreadable =
            |dossier: &mut Dossier| dossier.checkpoint = dossier.checkpoint.replacen('\n', " ", 1);
        self.changed("a checkpoint that is none", unreadable, unsigned, could_not_check());
        let mut longer = self.log().clone();
        longer.add("log/main", "log", "operator", "LogKeyAdded", json!({ "key": "k" }));
        let mut dossier = self.agreement_of(&longer);
        let last = longer.entries.len() as u64 - 1;
        remove(&mut dossier, |at, _| at == last);
        let index = dossier.entries.len();
        let whole = longer.write();
        let at = LeafIndex::new(last - 1);
        let entry = whole.texts[whole.texts.len() - 2].clone();
        let inclusion = weituo_proof::tree::inclusion_proof(&whole.nodes, at, whole.nodes.size()).unwrap();
        dossier
            .entries
            .insert(index, weituo_proof::dossier::ProvenEntry { entry, inclusion, leaf_index: at });
        self.text("a checkpoint of another size", dossier.text(), yes(), no(&["index-proof"]));
    }

    fn of_spelling(&mut self) {
        let text = self.agreement().text();
        let malformed = no(&["dossier-malformed"]);
        let whole = text.clone();
        let mut spelt = |name, text: String| {
            assert_ne!(text, whole, "{name}: the case alters something");
            self.text(name, text, malformed.clone(), could_not_check());
        };
        spelt("nothing", String::new());
        spelt("no object", "[]".to_owned());
        spelt("a space between tokens", text.replacen(':', ": ", 1));
        spelt("a line's end after the text", format!("{text}\n"));
        spelt("a key twice", text.replacen("\"timestamps\":", "\"timestamps\":[],\"timestamps\":", 1));
        spelt(
            "keys in another order",
            text.replacen(
                "\"id\":\"WZ-2022-001\",\"kind\":\"agreement\"",
                "\"kind\":\"agreement\",\"id\":\"WZ-2022-001\"",
                1,
            ),
        );
        spelt("an escape that is not needed", text.replacen("weituo-dossier/1", "weituo-dossier\\/1", 1));
        spelt(
            "a member that nobody knows",
            text.replacen("\"timestamps\":[]", "\"timestamps\":[],\"ultra\":1", 1),
        );
        spelt("a member missing", text.replacen(",\"timestamps\":[]", "", 1));
        spelt("a number for a text", text.replacen("\"as_of\":\"2026-11-24\"", "\"as_of\":20261124", 1));
        spelt("a fraction", text.replacen("\"leaf_index\":0}", "\"leaf_index\":0.0}", 1));
        spelt("hex in capitals", text.replacen("\"inclusion\":[\"", "\"inclusion\":[\"A", 1));
        spelt("half a character", text.replacen("weituo-dossier/1", "weituo-dossier/1\\ud800", 1));
        spelt("a day by its week", text.replacen("\"made_at\":\"2026-11-24", "\"made_at\":\"2026-W48-2", 1));
        let mut dossier = self.agreement();
        let leaf_index = dossier.disclosures[0].leaf_index;
        // By their bytes; in UTF-16 the second would be ahead of the first.
        let further = ["\u{e000}", "\u{1f600}"];
        let odd = further.map(|text| DisclosedValue { disclosure: text.to_owned(), leaf_index });
        let behind = dossier.disclosures.iter().take_while(|one| one.leaf_index == leaf_index).count();
        dossier.disclosures.splice(behind..behind, odd);
        self.text(
            "disclosures in order of their bytes",
            dossier.text(),
            no(&["disclosure-unmatched"]),
            yes(),
        );
        let mut dossier = self.agreement();
        dossier.entries.swap(3, 4);
        self.text("entries out of their order", dossier.text(), malformed.clone(), could_not_check());
        let mut dossier = self.agreement();
        dossier.entries.remove(0);
        self.text("no entry 0", dossier.text(), malformed.clone(), could_not_check());
        let mut dossier = self.agreement();
        dossier.disclosures.push(dossier.disclosures.last().unwrap().clone());
        self.text("a disclosure twice", dossier.text(), malformed, could_not_check());
        let other = text.replacen("weituo-dossier/1", "weituo-dossier/2", 1);
        self.text("a format of later", other, could_not_check(), could_not_check());
    }

    fn of_sealed_values(&mut self) {
        let forged = |dossier: &mut Dossier| {
            let other = dossier.disclosures[1].disclosure.clone();
            dossier.disclosures[0].disclosure = other;
        };
        let both = no(&["disclosure-missing", "disclosure-unmatched"]);
        self.changed("a disclosure that belongs elsewhere", forged, both, yes());
        let gone = |dossier: &mut Dossier| drop(dossier.disclosures.remove(0));
        self.changed("a disclosure missing", gone, no(&["disclosure-missing"]), yes());
        let erased = self.base.erased.clone();
        let kept = move |dossier: &mut Dossier| {
            let disclosure = weituo_proof::dossier::DisclosedValue {
                disclosure: erased.1.clone(),
                leaf_index: LeafIndex::new(erased.0),
            };
            dossier.disclosures.push(disclosure);
            let sort =
                |one: &weituo_proof::dossier::DisclosedValue| (one.leaf_index.get(), one.disclosure.clone());
            dossier.disclosures.sort_by_key(sort);
        };
        self.changed("a disclosure there although erased", kept, no(&["disclosure-not-erased"]), yes());
        let mut elsewhere = self.log().clone();
        let at = usize::try_from(elsewhere.find("log/main", "DisclosureErased")).unwrap();
        elsewhere.entries[at]["stream"] = json!("organisation/bureau-wz");
        let text = self.agreement_of(&elsewhere).text();
        self.text("an erasure that is not the log's own", text, no(&["disclosure-missing"]), yes());
        let hash = |dossier: &mut Dossier| dossier.evidence[0].sha256 = Hash::ZERO;
        self.changed("the hash of a document altered", hash, no(&["evidence-differs"]), yes());
        let elsewhere = |dossier: &mut Dossier| dossier.evidence[0].leaf_index = LeafIndex::new(0);
        self.changed("a document at another entry", elsewhere, no(&["evidence-differs"]), yes());
    }

    fn of_lies_that_were_signed(&mut self) {
        let adopted = self.log().find("rulebook/wenzhou-entrustment-2018", "RulebookAdopted");
        let text: Lie = |entry| entry["payload"]["text"] = json!("id = \"other\"\n");
        self.lied("another text of the rulebook", adopted, text, no(&["rulebook-digest"]), yes());
        let signed = self.log().find(CYCLE, "AgreementSigned");
        let pin: Lie = |entry| entry["payload"]["rulebook"]["version"] = json!(2);
        self.lied(
            "a version of the rulebook that nobody adopted",
            signed,
            pin,
            no(&["rulebook-digest"]),
            yes(),
        );
        let index = self.log().find("log/index", "IndexCommitted");
        let root: Lie = |entry| entry["payload"]["root"] = json!(Hash::ZERO);
        self.lied("another root of the index", index, root, yes(), no(&["index-proof"]));
        let size: Lie = |entry| entry["payload"]["size"] = json!(7);
        self.lied("another size of the index", index, size, yes(), no(&["index-proof"]));
        let prev: Lie = |entry| entry["prev"] = json!(Hash::ZERO);
        self.lied("a chain broken", signed, prev, no(&["chain-broken"]), yes());
        let sequence: Lie = |entry| entry["sequence"] = json!(99);
        self.lied("a sequence with a gap", signed, sequence, yes(), no(&["sequence-gap"]));
        let early: Lie = |entry| entry["recorded_at"] = json!("2020-01-01T00:00:00.000Z");
        self.lied(
            "recorded before the entry ahead of it",
            signed,
            early,
            no(&["recorded-at-decreases"]),
            yes(),
        );
    }

    fn of_signatures(&mut self) {
        let signed = self.log().find("organisation/trustee-a", "SigningKeyEnrolled");
        let forged: Lie = |entry| {
            let signature = entry["signature"].as_str().unwrap();
            let first = if signature.starts_with('A') { "B" } else { "A" };
            entry["signature"] = json!(format!("{first}{}", &signature[1..]));
        };
        let found = no(&["actor-signature"]);
        self.lied("an actor's signature forged", signed, forged, found.clone(), yes());
        let payload: Lie = |entry| entry["payload"]["possession"] = json!(format!("{}==", "B".repeat(86)));
        self.lied("a signed payload altered", signed, payload, found.clone(), yes());
        let mut log = self.log().clone();
        log.signing.insert(signed, [44; 32]);
        let text = self.agreement_of(&log).text();
        self.text("signed with a key that was not enrolled", text, found.clone(), yes());
        let mut log = self.log().clone();
        let revoked = json!({ "key": log.entries[usize::try_from(signed - 1).unwrap()]["payload"]["key"] });
        log.entries.truncate(usize::try_from(signed).unwrap());
        log.add(BUREAU, "bureau-wz", "bureau", "SigningKeyRevoked", revoked);
        let late = log.add(
            "organisation/trustee-b",
            "bureau-wz",
            "bureau",
            "SigningKeyEnrolled",
            enrolment("organisation/trustee-b", &[7; 32]),
        );
        log.signing = [(late, super::base::BUREAU_SEED)].into();
        log.disclosures.insert(self.base.erased.clone());
        log.commit_index();
        let text = self.agreement_of(&log).text();
        self.text("signed with a key that was revoked", text, found.clone(), yes());
        let mut log = self.log().clone();
        let mut neutral = [0; 32];
        neutral[0] = 1;
        log.entries[usize::try_from(signed - 1).unwrap()]["payload"] =
            enrolment_of(&neutral, &format!("{}==", "A".repeat(86)));
        let small: Lie = |entry| {
            let mut neutral = [0; 32];
            neutral[0] = 1;
            entry["actor"]["key"] = enrolment_of(&neutral, &format!("{}==", "A".repeat(86)))["key"].clone();
            entry["signature"] = json!(format!("AQ{}", "A".repeat(84)) + "==");
        };
        let text = self.agreement_of(&log.lying(signed, small)).text();
        self.text("signed with a key of small order", text, found, yes());
        let unproven =
            |dossier: &mut Dossier| dossier.streams.retain(|proven| proven.stream.as_str() != BUREAU);
        self.changed("a signer whose stream is not here", unproven, could_not_check(), yes());
    }

    fn of_receipts(&mut self) {
        let end = self.log().entries.iter().rposition(|entry| entry["stream"] == CYCLE).unwrap();
        let whole = self.log().write();
        self.changed("a receipt that is met", |_| (), yes(), yes());
        self.cases.last_mut().unwrap().receipts = vec![whole.receipt(end as u64)];
        let mut shorter = self.log().clone();
        shorter.entries[end]["stream"] = json!("agreement/ZZ-2022-009");
        let text = self.agreement_of(&shorter).text();
        let unmet = no(&["receipt-unmet"]);
        self.text(
            "a receipt of an entry that was moved",
            text,
            no(&["checkpoint-not-extended"]),
            unmet.clone(),
        );
        self.cases.last_mut().unwrap().receipts = vec![whole.receipt(end as u64)];
        let mut longer = shorter;
        longer.commit_index();
        let text = self.agreement_of(&longer).text();
        self.text("a receipt of an entry that was left out", text, yes(), unmet.clone());
        self.cases.last_mut().unwrap().receipts = vec![whole.receipt(end as u64)];
        let altered: Lie = |entry| entry["as_found"] = json!(true);
        let mut log = self.log().lying(end as u64, altered);
        log.commit_index();
        let text = self.agreement_of(&log).text();
        self.text("a receipt of an entry that was rewritten", text, yes(), unmet);
        self.cases.last_mut().unwrap().receipts = vec![whole.receipt(end as u64)];
        let receipt = whole.receipt(end as u64);
        let off = |dossier: &mut Dossier| {
            let entry = dossier.entries.iter_mut().find(|entry| entry.leaf_index.get() == end as u64);
            entry.unwrap().inclusion[0] = Hash::ZERO;
        };
        self.changed(
            "a receipt of an entry that is here and not proven",
            off,
            no(&["entry-not-included"]),
            could_not_check(),
        );
        self.cases.last_mut().unwrap().receipts = vec![receipt.clone()];
        let stranger = SigningKey::from_seed(ORIGIN, [2; 32]).unwrap();
        let line = SignedNote::sign("another text\n", &stranger).unwrap().signatures()[0].to_string();
        self.changed(
            "a receipt with a line of another known key that does not hold",
            |_| (),
            could_not_check(),
            yes(),
        );
        let case = self.cases.last_mut().unwrap();
        case.receipts = vec![format!("{receipt}{line}\n")];
        case.keys.push(stranger.verifier().to_string());
        let (proof, note) = receipt.split_once("\n\n").unwrap();
        let (text, _) = note.split_once("\n\n").unwrap();
        let extended = SignedNote::sign(format!("{text}\nmore\n"), &self.log().key).unwrap();
        self.changed("a receipt whose checkpoint says more", |_| (), could_not_check(), yes());
        self.cases.last_mut().unwrap().receipts = vec![format!("{proof}\n\n{extended}")];
        self.changed("a receipt that proves nothing", |_| (), could_not_check(), yes());
        self.cases.last_mut().unwrap().receipts = vec![whole.receipt(3).replacen("index 3", "index 4", 1)];
    }
}

/// Returns the text of the entry at a leaf index.
fn entry(dossier: &mut Dossier, leaf_index: u64) -> &mut String {
    let found = dossier.entries.iter_mut().find(|entry| entry.leaf_index == LeafIndex::new(leaf_index));
    &mut found.unwrap().entry
}

fn stream_of(entry: &str) -> String {
    serde_json::from_str::<Value>(entry).unwrap()["stream"].as_str().unwrap().to_owned()
}

fn newest(dossier: &Dossier, stream: &str) -> u64 {
    let found = dossier.entries.iter().rfind(|entry| stream_of(&entry.entry) == stream);
    found.unwrap().leaf_index.get()
}

/// Removes entries, with what hangs on them.
fn remove(dossier: &mut Dossier, goes: impl Fn(u64, &str) -> bool) {
    dossier.entries.retain(|entry| !goes(entry.leaf_index.get(), &stream_of(&entry.entry)));
    let here: Vec<LeafIndex> = dossier.entries.iter().map(|entry| entry.leaf_index).collect();
    dossier.disclosures.retain(|one| here.contains(&one.leaf_index));
    dossier.evidence.retain(|one| here.contains(&one.leaf_index));
}
