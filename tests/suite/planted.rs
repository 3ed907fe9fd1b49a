//! Rows that somebody puts into the tables and that are not in the log: nothing is decided, answered or left undone by them.

use serde_json::json;
use weituo::follower::FollowError;
use weituo::ledger::{Ledger, LedgerError, ReadOnly, SubmitError};
use weituo::recorder::{ReadError, RecordError, Recorder};
use weituo::store::{EntryRow, StoreError};
use weituo_events::payload::{LogKeyRevoked, Paper};
use weituo_events::{Act, Event};
use weituo_proof::{Entry, Position, leaf_hash};

use crate::support::commands::{RULEBOOK, by, by_bureau, new_recorder, parse, refusal_code};
use crate::support::ledger::{Place, new_id, on_both_stores, proposal, record, rows};

/// Far behind the log's end.
const FAR: u64 = 1_000_000_000;

/// Returns the row that an act would have behind the newest entry of its stream, at another leaf index.
async fn forged(place: &Place, ledger: &Ledger, act: &Act, leaf_index: u64) -> EntryRow {
    let log = rows(&*place.store().await).await;
    let genesis = log[0].leaf_hash;
    let newest = log.iter().filter(|row| row.stream == act.stream.as_str()).max_by_key(|row| row.sequence);
    let last = Entry::parse(log.last().unwrap().body.as_bytes()).unwrap();
    let position = Position {
        prev: newest.map_or(genesis, |row| row.leaf_hash),
        recorded_at: last.recorded_at,
        sequence: newest.map_or(1, |row| row.sequence + 1),
    };
    let draft = act.draft(ledger.origin());
    let body = draft.entry(&position).unwrap();
    EntryRow {
        leaf_index,
        stream: act.stream.to_string(),
        sequence: position.sequence,
        command: draft.command.to_bytes(),
        leaf_hash: leaf_hash(body.as_bytes()),
        body: body.into(),
    }
}

async fn plant(place: &Place, row: &EntryRow) {
    let EntryRow { leaf_index, stream, sequence, leaf_hash, body, .. } = row;
    place
        .tamper(&format!(
            "INSERT INTO entry (leaf_index, stream, sequence, command, leaf_hash, body)
             VALUES ({leaf_index}, '{stream}', {sequence}, {}, {}, '{body}')",
            place.command(row.command),
            place.blob(leaf_hash.as_bytes())
        ))
        .await;
}

async fn remove(place: &Place, leaf_index: u64) {
    place.tamper(&format!("DELETE FROM entry WHERE leaf_index = {leaf_index}")).await;
}

fn is_corrupt(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Store(StoreError::Corrupt { .. }))
}

on_both_stores! {
    async fn a_planted_change_of_an_organisation_lets_it_do_nothing(place: Place) {
        let recorder = new_recorder(&place).await;
        let text = RULEBOOK.replace("wenzhou-entrustment-2018", "of-a-school");
        let adopt = || {
            let payload = json!({ "text": text, "version": 1 });
            by("school-jia", "bureau", "AdoptRulebook", "rulebook/of-a-school", "2019-01-05", payload)
        };
        let refused = recorder.record(&adopt()).await.unwrap_err();
        assert!(matches!(refused, RecordError::Refused(_)), "{refused:?}");
        recorder.ledger().stop().await.unwrap();
        // Read by a process that has not yet read the school.
        let change = json!({ "kind": "bureau" });
        let change = by_bureau("ChangeOrganisation", "organisation/school-jia", "2019-01-02", change);
        let planted = forged(&place, recorder.ledger(), &change.act(None).unwrap(), FAR).await;
        let recorder = Recorder::open(place.open().await).await.unwrap();
        let before = rows(&*place.store().await).await.len();
        plant(&place, &planted).await;
        let refused = recorder.record(&adopt()).await.unwrap_err();
        assert!(matches!(refused, RecordError::Conflict { .. }), "{refused:?}");
        remove(&place, FAR).await;
        assert_eq!(rows(&*place.store().await).await.len(), before);
        let refused = recorder.record(&adopt()).await.unwrap_err();
        assert!(matches!(refused, RecordError::Refused(_)), "{refused:?}");
        recorder.ledger().stop().await.unwrap();
    }

    async fn an_id_of_the_logs_own_kind_is_no_commands(place: Place) {
        let recorder = new_recorder(&place).await;
        let act = json!({
            "command": "019ae000-0000-8000-8000-000000000001",
            "do": "ChangeOrganisation",
            "stream": "organisation/school-jia",
            "actor": { "organisation": "bureau-wz", "role": "bureau" },
            "effective": "2019-01-02",
            "payload": { "name": "新名" },
        });
        let refused = recorder.record(&parse(&act)).await.unwrap_err();
        assert_eq!(refusal_code(&refused), "command-id-reserved");
        recorder.ledger().stop().await.unwrap();
    }

    async fn a_stream_whose_beginning_is_hidden_decides_nothing(place: Place) {
        let recorder = new_recorder(&place).await;
        let change = by_bureau("ChangeOrganisation", "organisation/school-jia", "2019-01-02", json!({ "name": "新名" }));
        recorder.record(&change).await.unwrap();
        recorder.ledger().stop().await.unwrap();
        let recorder = Recorder::open(place.open().await).await.unwrap();
        let (own, away) = ("organisation/school-jia", "organisation/away");
        place.tamper(&format!("UPDATE entry SET stream = '{away}' WHERE stream = '{own}' AND sequence = 1")).await;
        let payload = json!({ "kind": "bureau", "name": "假冒局", "superior": "bureau-wz" });
        let again = by_bureau("RegisterOrganisation", own, "2019-01-03", payload);
        let refused = recorder.record(&again).await.unwrap_err();
        assert!(matches!(refused, RecordError::Read { source: ReadError::Chain { .. }, .. }), "{refused:?}");
        place.tamper(&format!("UPDATE entry SET stream = '{own}' WHERE stream = '{away}'")).await;
        let refused = recorder.record(&again).await.unwrap_err();
        assert!(matches!(refused, RecordError::Refused(_)), "{refused:?}");
        recorder.ledger().stop().await.unwrap();
    }

    async fn root_bureaus_that_somebody_wrote_into_entry_0_are_none(place: Place) {
        let recorder = new_recorder(&place).await;
        recorder.ledger().stop().await.unwrap();
        let ledger = place.open().await;
        let body = rows(&*place.store().await).await[0].body.replace("[\"bureau-wz\"]", "[\"bureau-wz\",\"evil\"]");
        assert!(body.contains("evil"), "{body}");
        place.tamper(&format!("UPDATE entry SET body = '{body}' WHERE leaf_index = 0")).await;
        let refused = Recorder::open(ledger.clone()).await.unwrap_err();
        assert!(matches!(refused, FollowError::Store(StoreError::Corrupt { .. })), "{refused:?}");
        remove(&place, 0).await;
        assert!(Recorder::open(ledger.clone()).await.is_err());
        ledger.stop().await.unwrap();
    }

    async fn a_rulebook_that_is_hidden_is_missed(place: Place) {
        let recorder = new_recorder(&place).await;
        recorder.ledger().stop().await.unwrap();
        let ledger = place.open().await;
        place.tamper("UPDATE entry SET stream = 'away/r' WHERE stream LIKE 'rulebook/%'").await;
        let missed = Recorder::open(ledger.clone()).await.unwrap_err();
        ledger.stop().await.unwrap();
        // A start reads the columns with the bytes.
        assert!(matches!(place.open().await.read_only(), Some(ReadOnly::Corrupt { .. })));
        assert!(matches!(missed, FollowError::Store(StoreError::Corrupt { .. })), "{missed:?}");
    }

    async fn a_value_is_erased_from_the_entry_that_the_log_has_there_and_from_no_planted_one(place: Place) {
        let recorder = new_recorder(&place).await;
        let store = place.store().await;
        let kept = store.disclosures(0..1_000).await.unwrap();
        let of = rows(&*store).await.into_iter().find(|row| row.leaf_index == kept[0].leaf_index).unwrap();
        let copy = EntryRow { leaf_index: FAR, sequence: of.sequence + 1_000, command: [7; 16], ..of };
        plant(&place, &copy).await;
        let payload = json!({ "digest": kept[0].digest, "grounds": "a test", "leaf_index": FAR });
        let erase = by_bureau("EraseDisclosure", "log/main", "2019-01-05", payload);
        let refused = recorder.record(&erase).await.unwrap_err();
        assert!(matches!(refused, RecordError::Refused(_)), "{refused:?}");
        assert_eq!(store.disclosures(0..1_000).await.unwrap(), kept);
        remove(&place, FAR).await;
        recorder.ledger().stop().await.unwrap();
    }

    async fn a_planted_revocation_is_not_the_one_that_was_asked_for(place: Place) {
        let ledger = place.init().await;
        let old = ledger.verifier_key().to_string();
        ledger.stop().await.unwrap();
        Ledger::rotate_key(&place.url, &place.options()).await.unwrap();
        let act = Act {
            event: Event::LogKeyRevoked(LogKeyRevoked { key: old.clone(), paper: Paper::default() }),
            ..log_act_like(&place).await
        };
        let planted = forged(&place, &ledger, &act, FAR).await;
        plant(&place, &planted).await;
        let refused = Ledger::revoke_key(&place.url, &place.options(), &old).await.unwrap_err();
        assert!(is_corrupt(&refused), "{refused:?}");
        remove(&place, FAR).await;
        Ledger::revoke_key(&place.url, &place.options(), &old).await.unwrap();
        let log = rows(&*place.store().await).await;
        assert!(log.iter().any(|row| row.body.contains("\"type\":\"LogKeyRevoked\"")));
    }

    async fn a_row_that_says_a_command_was_recorded_is_answered_with_no_receipt(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 3, None).await;
        let log = rows(&*place.store().await).await;
        let asked = proposal("agreement/b", "n", None);
        let planted = forged(&place, &ledger, &asked.act, 2).await;
        remove(&place, 2).await;
        plant(&place, &planted).await;
        let refused = ledger.submit(asked.clone()).await.unwrap_err();
        assert!(matches!(refused, SubmitError::ReadOnly(ReadOnly::Corrupt { .. })), "{refused:?}");
        ledger.stop().await.unwrap();
        remove(&place, 2).await;
        plant(&place, &log[2]).await;
        let ledger = place.open().await;
        let accepted = ledger.submit(asked).await.unwrap();
        assert!(!accepted.repeated);
        ledger.stop().await.unwrap();
    }
}

/// Returns an act of the log itself, to be given another event.
async fn log_act_like(place: &Place) -> Act {
    let log = rows(&*place.store().await).await;
    let entry = Entry::parse(log[0].body.as_bytes()).unwrap();
    Act { command: new_id(), ..Act::from_entry(&entry).unwrap() }
}
