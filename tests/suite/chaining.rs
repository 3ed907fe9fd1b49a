//! What comes while a batch is being committed: it is prepared on that batch, and never survives what it rested on.

use std::sync::Arc;

use serde_json::json;
use weituo::ledger::{ReadOnly, SubmitError};
use weituo_events::Event;
use weituo_proof::StreamHead;

use crate::support::commands::{by_bureau, new_recorder, refusal_code};
use crate::support::ledger::{Place, on_both_stores, proposal};

on_both_stores! {
    async fn a_stream_goes_on_from_an_entry_that_is_still_being_committed(place: Place) {
        let ledger = place.init().await;
        let (mut head, mut under_way) = (None, Vec::new());
        for _ in 0..50 {
            let mut one = ledger.propose(proposal("agreement/a", "n", head)).await.unwrap();
            let place = one.place().await.unwrap();
            head = Some(place.head());
            under_way.push((one, place));
        }
        for (number, (one, place)) in (1..).zip(under_way) {
            let accepted = one.accepted().await.unwrap();
            assert_eq!((accepted.place(), accepted.position.sequence), (place, number));
        }
        let stale = ledger.propose(proposal("agreement/a", "n", None)).await.unwrap().accepted().await;
        assert!(matches!(stale, Err(SubmitError::Conflict { current }) if current == head), "{stale:?}");
        ledger.stop().await.unwrap();
    }

    async fn nothing_follows_a_freeze_that_was_under_way_when_it_came(place: Place) {
        let ledger = place.init().await;
        let opened = ledger.store().stream_rows("log/main", 1, 1).await.unwrap().pop().unwrap();
        let head = StreamHead { sequence: opened.sequence, leaf_hash: opened.leaf_hash };
        let mut freezing = proposal("log/main", "n", Some(head));
        let act = Arc::make_mut(&mut freezing.act);
        act.parties.clear();
        act.event = Event::parse("LogFrozen", 1, "{}").unwrap();
        let before = ledger.propose(proposal("agreement/before", "n", None)).await.unwrap();
        let freezing = ledger.propose(freezing).await.unwrap();
        let mut after = Vec::new();
        for number in 0..8 {
            let one = proposal(&format!("agreement/after-{number}"), "n", None);
            after.push(ledger.propose(one).await.unwrap());
        }
        before.accepted().await.unwrap();
        let frozen_at = freezing.accepted().await.unwrap().receipt.leaf_index.get();
        for one in after {
            let refused = one.accepted().await;
            let frozen = ReadOnly::Frozen { leaf_index: frozen_at };
            assert!(matches!(&refused, Err(SubmitError::ReadOnly(reason)) if *reason == frozen), "{refused:?}");
        }
        assert_eq!(ledger.store().head().await.unwrap().unwrap().size, frozen_at + 1);
        ledger.stop().await.unwrap();
    }

    async fn of_16_erasures_of_one_disclosure_at_once_one_is_recorded(place: Place) {
        let recorder = Arc::new(new_recorder(&place).await);
        let payload = json!({ "name": "甲校", "kind": "public_school", "superior": "bureau-wz" });
        let mut told = by_bureau("RegisterOrganisation", "organisation/school-e", "2018-12-21", payload);
        told.actor.person = Some("某某".to_owned());
        let leaf_index = recorder.record(&told).await.unwrap().accepted.receipt.leaf_index.get();
        let stored = recorder.ledger().store().disclosures(leaf_index..leaf_index + 1).await.unwrap();
        let erasing: Vec<_> = (0..16)
            .map(|_| {
                let payload = json!({ "digest": stored[0].digest, "grounds": "个人信息保护法第四十七条", "leaf_index": leaf_index });
                let command = by_bureau("EraseDisclosure", "log/main", "2026-09-01", payload);
                let recorder = Arc::clone(&recorder);
                tokio::spawn(async move { recorder.record(&command).await })
            })
            .collect();
        let mut accepted = 0;
        for one in erasing {
            match one.await.unwrap() {
                Ok(_) => accepted += 1,
                Err(error) => assert_eq!(refusal_code(&error), "erased-before"),
            }
        }
        assert_eq!(accepted, 1);
        recorder.ledger().stop().await.unwrap();
    }
}
