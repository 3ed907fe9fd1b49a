//! Another history: a fork, a rollback, everything rewritten.

use std::time::{Duration, Instant};

use serde_json::json;
use weituo_proof::tree::consistency_proof;
use weituo_proof::witness::AddCheckpoint;
use weituo_proof::{Checkpoint, FindingKind, Hash, SignedNote, SigningKey, TreeSize};

use super::desk::{CYCLE, Operator, Watcher, caught, dossier, fooled, kinds, text, verified};
use crate::page::forge::{Log, Written};
use crate::support::ledger::{Place, on_both_stores};
use crate::support::witness::{Witness, files};
use crate::tamper::forge::{rewrite_everything, seal, sign, write_anchor};
use weituo_proof::dossier::SubjectKind;

/// Returns the log with a better score in its last assessment, everything behind it fitted to that.
fn rewritten(log: &Log) -> Log {
    let leaf = log.find(CYCLE, "AnnualAssessmentRecorded");
    log.lying(leaf, |entry| {
        assert!(entry["payload"]["score_centi"].is_i64(), "{entry}");
        entry["payload"]["score_centi"] = json!(9_990);
    })
}

/// Returns the request to cosign a log, of which the witness has seen so much.
fn request(written: &Written, seen: u64) -> String {
    let (from, to) = (TreeSize::new(seen), written.nodes.size());
    let proof: Vec<Hash> = consistency_proof(&written.nodes, from, to).unwrap();
    let note = SignedNote::parse(&written.checkpoint()).unwrap();
    AddCheckpoint { old_size: from, proof, note }.to_string()
}

on_both_stores! {
    async fn two_histories_of_one_size_are_each_believed_alone_and_told_by_whoever_sees_both(place: Place) {
        let operator = Operator::new(place).await;
        let (mine, yours) = (operator.log.write(), rewritten(&operator.log).write());
        assert_eq!(mine.nodes.size(), yours.nodes.size());
        let (a, b) = (operator.publish("a", &mine), operator.publish("b", &yours));
        // Fooled: each of the two, who has nothing but the key and what he is shown.
        fooled(a.verified(&[]));
        fooled(b.verified(&[]));
        let (anne, bert) = (Watcher::new(operator.key()), Watcher::new(operator.key()));
        anne.sees_nothing(&a.server.url);
        bert.sees_nothing(&b.server.url);
        // They compare checkpoints.
        caught(a.verified(&[&b.checkpoint()]), "checkpoint-not-extended");
        caught(b.verified(&[&a.checkpoint()]), "checkpoint-not-extended");
        // A monitor that is once shown the other history.
        let look = anne.tells(&b.server.url, FindingKind::CheckpointNotExtended);
        let evidence = look.evidence.unwrap();
        assert_eq!(text(evidence.join("kept")), mine.checkpoint());
        assert_eq!(text(evidence.join("found")), yours.checkpoint());
        // A witness that both have to have asked cosigns one, also where the other goes on growing.
        let key = operator.key();
        let witness = Witness::start(&operator.path("witness"), &[&key]);
        let size = mine.nodes.size().get();
        assert_eq!(witness.post(&request(&mine, 0)).status, 200);
        assert_eq!(witness.post(&request(&yours, 0)).status, 409);
        assert_eq!(witness.post(&request(&yours, size)).status, 422);
        let mut grown = rewritten(&operator.log);
        grown.commit_index();
        assert_eq!(witness.post(&request(&grown.write(), size)).status, 422);
        assert!(!files(&operator.path("witness/evidence")).is_empty());
    }

    async fn a_rollback_with_its_own_anchor_is_told_by_monitor_witness_checkpoint_and_receipt(place: Place) {
        let mut operator = Operator::new(place).await;
        let (key, whole) = (operator.key(), operator.log.write());
        let shown = operator.publish("whole", &whole);
        let watcher = Watcher::new(key.clone());
        watcher.sees_nothing(&shown.server.url);
        let checkpoint = shown.checkpoint();
        let witness = Witness::start(&operator.path("witness"), &[&key]);
        assert_eq!(witness.post(&request(&whole, 0)).status, 200);
        let last = whole.nodes.size().get() - 1;
        let receipt = operator.file("receipt", &whole.receipt(last));
        // The backup, with the anchor of its day: its own verification finds nothing.
        operator.bench.restore_older().await;
        operator.bench.restore_older_anchor().await;
        let (code, said) = operator.run(&["verify"]).await;
        assert!(code == 0 && said.contains("age: not proven"), "{said}");
        let older = operator.bench.head().await.size;
        let log = Log {
            entries: operator.log.entries[..usize::try_from(older).unwrap()].to_vec(),
            ..operator.log.clone()
        };
        let folder = operator.path("witness");
        let (shell, server) = operator.serve();
        // Fooled: whoever has nothing but the key.
        fooled(verified(&server.url, &key, &[]));
        watcher.tells(&server.url, FindingKind::CheckpointNotExtended);
        caught(verified(&server.url, &key, &[&checkpoint]), "checkpoint-not-extended");
        caught(verified(&server.url, &key, &[&receipt]), "checkpoint-not-extended");
        // The witness says how far the log had come, and cosigns nothing that goes another way from there.
        let answer = witness.post(&request(&log.write(), 0));
        assert_eq!((answer.status, answer.body.trim()), (409, (last + 1).to_string().as_str()));
        let newest = shell.path("newest");
        std::fs::write(&newest, witness.newest(key.name()).body).unwrap();
        caught(verified(&server.url, &key, &[newest.to_str().unwrap()]), "checkpoint-not-extended");
        let mut grown = log;
        while (grown.entries.len() as u64) < last + 3 {
            grown.commit_index();
        }
        assert_eq!(witness.post(&request(&grown.write(), last + 1)).status, 422);
        assert!(!files(&folder.join("evidence")).is_empty());
    }

    async fn everything_rewritten_and_signed_again_is_told_by_whoever_kept_anything_of_before(place: Place) {
        let operator = Operator::new(place).await;
        let (key, whole) = (operator.key(), operator.log.write());
        let shown = operator.publish("whole", &whole);
        let watcher = Watcher::new(key.clone());
        watcher.sees_nothing(&shown.server.url);
        let checkpoint = shown.checkpoint();
        let mut indexed = operator.log.clone();
        indexed.commit_index();
        let old = operator.file("old.json", &dossier(&indexed, SubjectKind::Agreement, "WZ-2022-001").text());
        operator.verify_dossier(&old, &[]).expect_code(0);
        let leaf = operator.log.find(CYCLE, "AnnualAssessmentRecorded");
        let receipt = operator.file("receipt", &whole.receipt(leaf));
        let witness = Witness::start(&operator.path("witness"), &[&key]);
        assert_eq!(witness.post(&request(&whole, 0)).status, 200);
        // In the database itself: every entry, index root, chain, the head row, its seal, the anchor, the projections.
        rewrite_everything(&operator.bench, leaf, "\"as_found\":false", "\"as_found\":true").await;
        seal(&operator.bench).await;
        write_anchor(&operator.bench, &sign(&operator.bench, &operator.signing_key()).await);
        let (code, said) = operator.run(&["verify"]).await;
        assert!(code == 0 && said.contains("age: not proven"), "{said}");
        let new = operator.path("new.json").display().to_string();
        let (code, said) = operator.run(&["dossier", "agreement", "WZ-2022-001", "--out", &new]).await;
        assert_eq!(code, 0, "{said}");
        // Fooled: whoever has nothing but the key, of the log and of the dossier alike.
        operator.verify_dossier(&new, &[]).expect_code(0);
        let refuted = |kept: &str| {
            kinds(&operator.verify_dossier(&new, &["--receipt", kept, "--json"]).expect_code(1).json())
        };
        // The receipt is of the very size that the dossier is of now: two roots of one size besides.
        assert_eq!(refuted(&receipt), ["checkpoint-not-extended", "receipt-unmet"]);
        assert_eq!(refuted(&old), ["receipt-unmet"], "an old dossier proves each of its entries");
        let (_shell, server) = operator.serve();
        fooled(verified(&server.url, &key, &[]));
        watcher.tells(&server.url, FindingKind::CheckpointNotExtended);
        for kept in [&checkpoint, &receipt, &old] {
            caught(verified(&server.url, &key, &[kept]), "checkpoint-not-extended");
        }
        let forged = String::from_utf8(server.get("checkpoint", &[]).body).unwrap();
        let note = SignedNote::parse(&forged).unwrap();
        let old_size = whole.nodes.size();
        let body = AddCheckpoint { old_size, proof: vec![], note }.to_string();
        assert_eq!(witness.post(&body).status, 422);
    }

    async fn everything_signed_again_with_another_key_of_the_same_name_fools_nobody_who_has_the_key(place: Place) {
        let operator = Operator::new(place).await;
        let mut log = rewritten(&operator.log);
        log.commit_index();
        log.key = SigningKey::from_seed(operator.key().name(), [9; 32]).unwrap();
        log.entries[0]["payload"]["key"] = json!(log.key.verifier().to_string());
        let shown = operator.publish("other", &log.write());
        caught(shown.verified(&[]), "checkpoint-signature");
        Watcher::new(operator.key()).tells(&shown.server.url, FindingKind::CheckpointSignature);
        let file = operator.file("d.json", &dossier(&log, SubjectKind::Agreement, "WZ-2022-001").text());
        let report = operator.verify_dossier(&file, &["--json"]).expect_code(2).json();
        let [intact, complete] = ["intact", "complete"].map(|verdict| report[verdict]["answer"].clone());
        assert_eq!([intact, complete], ["could-not-check", "could-not-check"], "{report:#}");
        // Fooled: whoever takes the key from the one who shows the log.
        fooled(verified(&shown.server.url, log.key.verifier(), &[]));
    }

    async fn a_checkpoint_over_more_entries_than_anybody_could_read_is_told_in_time(place: Place) {
        let operator = Operator::new(place).await;
        let shown = operator.publish("log", &operator.log.write());
        let watcher = Watcher::new(operator.key());
        watcher.sees_nothing(&shown.server.url);
        let (key, checkpoint) =
            (operator.signing_key(), operator.file("kept", &operator.log.write().checkpoint()));
        for size in [1 << 50, u64::MAX >> 1, u64::MAX] {
            let origin = key.name().parse().unwrap();
            let huge = Checkpoint { origin, size: TreeSize::new(size), root: Hash::ZERO }.sign(&key).unwrap();
            std::fs::write(shown.checkpoint(), huge.to_string()).unwrap();
            let since = Instant::now();
            let folder = shown.folder.display().to_string();
            for (code, found) in
                [shown.verified(&[]), shown.verified(&[&checkpoint]), verified(&folder, &operator.key(), &[])]
            {
                assert!(code != 0 && found.iter().any(|kind| kind == "tile-differs"), "{size}: {code} {found:?}");
            }
            let look = Watcher::new(operator.key()).look_after(&folder, Duration::ZERO);
            assert!(look.exit_code() == 1 && look.size == 0, "{look:#?}");
            // Whoever knows the log could not check at first, and is told that it is silent where that goes on.
            assert_ne!(watcher.look_after(&folder, Duration::ZERO).exit_code(), 0);
            let look = watcher.look_after(&folder, Duration::from_hours(2));
            assert!(look.findings.iter().any(|finding| finding.kind == FindingKind::LogSilent), "{look:#?}");
            assert!(since.elapsed() < Duration::from_mins(1), "{size}: {:?}", since.elapsed());
        }
    }
}
