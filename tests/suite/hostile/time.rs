//! Entries that claim another time than the one at which they were recorded.

use std::time::Duration;

use serde_json::json;
use weituo_proof::{FindingKind, RecordedAt};

use super::desk::{Operator, Watcher, caught, fooled};
use crate::page::forge::Log;
use crate::support::ledger::{Place, on_both_stores};

/// Returns the log with one more entry, which claims to have been recorded so long after the one before it.
fn one_more(log: &Log, later_millis: i64) -> Log {
    let mut log = log.clone();
    let last = RecordedAt::new(log.entries.last().unwrap()["recorded_at"].as_str().unwrap()).unwrap();
    let claimed = RecordedAt::from_unix_millis(last.unix_millis() + later_millis).unwrap();
    log.commit_index();
    log.entries.last_mut().unwrap()["recorded_at"] = json!(claimed.to_string());
    log
}

on_both_stores! {
    async fn an_entry_back_dated_behind_a_monitors_look_is_told_by_that_monitor_alone(place: Place) {
        let operator = Operator::new(place).await;
        let watcher = Watcher::new(operator.key());
        let shown = operator.publish("log", &operator.log.write());
        let checkpoint = operator.file("kept", &operator.log.write().checkpoint());
        let look = watcher.look_after(&shown.server.url, Duration::from_hours(1));
        assert_eq!(look.exit_code(), 0, "{look:#?}");
        drop(shown);
        // Recorded after that look, it claims to be from before it.
        let shown = operator.publish("log", &one_more(&operator.log, 1_000).write());
        // Fooled: whoever has nothing but the key, or only a checkpoint, which says nothing about the time.
        fooled(shown.verified(&[]));
        fooled(shown.verified(&[&checkpoint]));
        Watcher::new(operator.key()).sees_nothing(&shown.server.url);
        for _ in 0..2 {
            let look = watcher.look_after(&shown.server.url, Duration::from_hours(2));
            let found: Vec<_> = look.findings.iter().map(|finding| (finding.kind, finding.leaf_index)).collect();
            let leaf = weituo_proof::LeafIndex::new(operator.log.entries.len() as u64);
            assert_eq!(found, [(FindingKind::BackDated, Some(leaf))]);
        }
    }

    async fn an_entry_back_dated_by_less_than_clocks_may_be_apart_or_since_the_last_look_is_not_told(place: Place) {
        let operator = Operator::new(place).await;
        let watcher = Watcher::new(operator.key());
        let shown = operator.publish("log", &operator.log.write());
        let last = operator.log.entries.last().unwrap()["recorded_at"].as_str().unwrap().to_owned();
        watcher.sees_nothing(&shown.server.url);
        drop(shown);
        // The look was moments after the last entry: whatever claims to be from five minutes before it may be so.
        let forged = one_more(&operator.log, 1);
        assert!(forged.entries.last().unwrap()["recorded_at"].as_str().unwrap() > last.as_str());
        let shown = operator.publish("log", &forged.write());
        let look = watcher.look_after(&shown.server.url, Duration::from_hours(2));
        assert_eq!(look.exit_code(), 0, "{look:#?}");
    }

    async fn an_entry_dated_before_the_one_ahead_of_it_is_told_by_whoever_reads_the_log(place: Place) {
        let operator = Operator::new(place).await;
        let watcher = Watcher::new(operator.key());
        let shown = operator.publish("log", &operator.log.write());
        watcher.sees_nothing(&shown.server.url);
        drop(shown);
        let shown = operator.publish("log", &one_more(&operator.log, -86_400_000).write());
        caught(shown.verified(&[]), "recorded-at-decreases");
        watcher.tells(&shown.server.url, FindingKind::RecordedAtDecreases);
    }
}
