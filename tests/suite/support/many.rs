//! Ledgers of many entries: agreements that grow side by side, as in a province, written through the ledger itself.
//!
//! Deciding is passed over, so that a million entries take a minute or two; the entries are those that it would make.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use weituo::ledger::{Ledger, Proposal};
use weituo_events::{Command, Event};
use weituo_proof::{Hash, StreamHead, StreamName, sha256};

use super::commands::RULEBOOK;
use super::ledger::new_id;

/// Proposals handed to the ledger at a time.
const AT_ONCE: u64 = 1_000;

/// Records `acts` acts in each of `agreements` agreements, one act of each after another.
pub(crate) async fn grow(ledger: &Ledger, agreements: u64, acts: u64) {
    let adoption = json!({ "text": RULEBOOK, "version": 1 });
    let adopted = ("AdoptRulebook", "rulebook/wenzhou-entrustment-2018".to_owned(), adoption);
    submit(ledger, adopted, None).await;
    let mut heads: Vec<Option<StreamHead>> = vec![None; usize::try_from(agreements).unwrap()];
    for act in 0..acts {
        for first in (0..agreements).step_by(usize::try_from(AT_ONCE).unwrap()) {
            let numbers = first..agreements.min(first + AT_ONCE);
            let submitted = numbers.clone().map(|number| {
                let head = heads[usize::try_from(number).unwrap()];
                submit(ledger, act_of(number, act), head)
            });
            let new_heads = join_all(submitted).await;
            for (number, head) in numbers.zip(new_heads) {
                heads[usize::try_from(number).unwrap()] = Some(head);
            }
        }
    }
}

async fn submit(
    ledger: &Ledger,
    (act, stream, payload): (&'static str, String, Value),
    expected: Option<StreamHead>,
) -> StreamHead {
    let command = json!({
        "command": new_id().as_str(),
        "do": act,
        "stream": stream,
        "actor": { "organisation": "bureau-wz", "role": "bureau" },
        "effective": "2019-09-10",
        "payload": payload,
    });
    let command = Command::parse(&command.to_string()).unwrap();
    let mut act = command.act(None).unwrap();
    act.parties = parties_of(&act.event);
    let disclosures = command.seal(&mut act, || salt(new_id().as_str())).unwrap();
    let proposal =
        Proposal { act: Arc::new(act), disclosures, expected, erase: Vec::new(), rests_on: Vec::new() };
    ledger.submit(proposal).await.unwrap().head()
}

/// Returns the streams of the parties that a signing names.
fn parties_of(event: &Event) -> Vec<StreamName> {
    let Event::AgreementSigned(signed) = event else { return Vec::new() };
    let parties = [&signed.school, &signed.trustee];
    parties.map(|party| StreamName::of("organisation", party.as_str()).unwrap()).to_vec()
}

fn salt(unique: &str) -> [u8; 16] {
    let Hash(hash) = sha256(&[unique.as_bytes()]);
    hash.first_chunk().copied().unwrap()
}

/// Returns the act number `act` of an agreement: its signing, the goals of three years, then activities, every tenth
/// of them with a sealed note.
fn act_of(number: u64, act: u64) -> (&'static str, String, Value) {
    let stream = format!("agreement/A-{number:07}");
    let document = format!("示县教〔2019〕{number}号之{act},关于委托办学协议履行情况的记载");
    let (what, payload) = match act {
        0 => ("SignAgreement", signing(number, &document)),
        1..=3 => {
            let goal = json!({ "id": "g1", "unit": "points", "baseline_centi": 7000, "target_centi": 8000 });
            ("SetAnnualGoals", json!({ "year": act, "goals": [goal], "paper": { "document": document } }))
        }
        _ => {
            let note = act.is_multiple_of(10).then(|| format!("第{number}号协议第{act}次活动的说明"));
            let paper = json!({ "document": document, "note": note });
            let activity = json!({
                "kind": "guidance",
                "organisations": [format!("school-{number}"), format!("trustee-{number}")],
                "participants": act,
                "subject": "reading",
                "paper": paper,
            });
            ("RecordActivity", activity)
        }
    };
    (what, stream, payload)
}

fn signing(number: u64, document: &str) -> Value {
    let (school, trustee) = (format!("school-{number}"), format!("trustee-{number}"));
    let digest = sha256(&[RULEBOOK.as_bytes()]);
    json!({
        "countersigned": [{ "organisation": school }, { "organisation": trustee }],
        "fee_fen": 150_000_000,
        "form": "team",
        "rulebook": { "digest": digest, "id": "wenzhou-entrustment-2018", "version": 1 },
        "school": school,
        "term_months": 36,
        "term_start": "2019-09-01",
        "trustee": trustee,
        "paper": { "document": document },
    })
}
