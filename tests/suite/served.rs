//! The log as anyone reads it: served by the real binary, copied, verified from outside.

use std::path::Path;

use weituo::ledger::{Beside, Ledger, Mode};
use weituo::mirror::{LogSource, copy};
use weituo::verify::{VerifyOptions, verify_log};
use weituo_proof::{Checkpoint, SignedNote, VerifierKey};

use crate::support::ledger::{Place, on_both_stores, record};
use crate::support::server::Server;
use crate::support::shell::{Shell, registration};

/// What somebody does to a file.
type Change = Box<dyn Fn(&mut Vec<u8>)>;

const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Returns lines that register so many organisations.
fn registrations(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| registration(number, "校") + "\n").collect()
}

fn size_of(note: &[u8]) -> u64 {
    let note = SignedNote::parse(std::str::from_utf8(note).unwrap()).unwrap();
    Checkpoint::parse(note.text()).unwrap().size.get()
}

#[test]
fn paths_media_types_and_caching_are_those_of_the_specification() {
    let shell = Shell::sqlite().filled(0);
    shell.record(&registrations(0..300)).expect_code(0);
    let server = shell.serve();
    let checkpoint = server.get("checkpoint", &[]);
    assert_eq!((checkpoint.status, checkpoint.media_type.as_str()), (200, "text/plain; charset=utf-8"));
    assert_eq!(checkpoint.caching, "public, max-age=1, must-revalidate");
    assert_eq!(checkpoint.body, shell.run(&["checkpoint"]).expect_code(0).out.into_bytes());
    let size = size_of(&checkpoint.body);
    let key = server.get("key", &[]);
    assert_eq!(String::from_utf8(key.body).unwrap(), format!("{}\n", shell.verifier_key()));

    let partial = size - 256;
    for (path, bytes) in [
        ("tile/0/000".to_owned(), Some(8_192)),
        (format!("tile/0/001.p/{partial}"), Some(usize::try_from(partial).unwrap() * 32)),
        ("tile/0/000.p/3".to_owned(), Some(96)),
        ("tile/1/000.p/1".to_owned(), Some(32)),
        ("tile/entries/000".to_owned(), None),
        (format!("tile/entries/001.p/{partial}"), None),
    ] {
        let answer = server.get(&path, &[]);
        assert_eq!((answer.status, answer.media_type.as_str()), (200, "application/octet-stream"), "{path}");
        assert_eq!(answer.caching, FOR_EVER, "{path}");
        assert!(bytes.is_none_or(|bytes| answer.body.len() == bytes), "{path}");
        let again = server.get(&path, &[("if-none-match", &answer.tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let other = server.get(&path, &[("if-none-match", "\"other\"")]);
        assert_eq!((other.status, &other.body), (200, &answer.body), "{path}");
        assert_eq!(server.ask("HEAD", &path, &[]).status, 200, "{path}");
    }
    let plain = server.raw("tile/entries/000", "identity");
    let packed = server.raw("tile/entries/000", "gzip");
    assert!(packed.contains("content-encoding: gzip\r\n") && !plain.contains("content-encoding"), "{packed}");
    assert!(packed.len() * 2 < plain.len(), "entries shrink");
    for path in [
        "tile/0/001".to_owned(),
        format!("tile/0/001.p/{}", partial + 1),
        format!("tile/entries/001.p/{}", partial + 1),
        "tile/1/000".to_owned(),
        "tile/0/0".to_owned(),
        "tile/00/000".to_owned(),
        "tile/0/000.p/0".to_owned(),
        "tile/0/000.p/256".to_owned(),
        "tile/x/000".to_owned(),
        "tile/0/x000/000".to_owned(),
        "tile/0/..%2f..%2fledger.key".to_owned(),
        "tile/255/999".to_owned(),
        "tile/0/x999/x999/x999/x999/x999/x999/999".to_owned(),
    ] {
        let answer = server.get(&path, &[]);
        assert_eq!((answer.status, answer.media_type.as_str()), (404, "application/problem+json"), "{path}");
    }
    let answer = server.ask("POST", "checkpoint", &[]);
    assert_eq!((answer.status, answer.media_type.as_str()), (405, "application/problem+json"));
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_the_served_checkpoint_commits_to_can_be_fetched_while_others_record() {
    for shell in [Shell::sqlite(), Shell::postgres().await] {
        let shell = shell.filled(0);
        let key: VerifierKey = shell.verifier_key().parse().unwrap();
        let server = shell.serve();
        let log = LogSource::of(&server.url);
        let options = VerifyOptions { verifiers: vec![key], ..VerifyOptions::default() };
        std::thread::scope(|threads| {
            let recording = threads.spawn(|| {
                for batch in 0..6 {
                    shell.record(&registrations(batch * 60..batch * 60 + 60)).expect_code(0);
                }
            });
            let mut seen = 0;
            while !recording.is_finished() {
                let report = verify_log(&log, &options, |_| {});
                assert!(report.verdicts.intact.is_yes(), "{report:?}");
                assert!(report.verdicts.complete.is_yes(), "{report:?}");
                assert!(report.counts.entries >= seen, "what is served only grows");
                seen = report.counts.entries;
            }
            recording.join().unwrap();
        });
        let newest = size_of(shell.run(&["checkpoint"]).expect_code(0).out.as_bytes());
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while size_of(&server.get("checkpoint", &[]).body) < newest {
            assert!(std::time::Instant::now() < until, "the server follows what others record");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

on_both_stores! {
    async fn in_guard_mode_no_checkpoint_is_served_before_it_is_anchored(place: Place) {
        let mut options = place.options();
        options.mode = Mode::Guard;
        place.init().await.stop().await.unwrap();
        let ledger = Ledger::open(&place.url, options).await.unwrap();
        for number in 0..50 {
            record(&ledger, &format!("agreement/g{number}"), 1, None).await;
            let served = ledger.served_checkpoint().unwrap().size.get();
            let beside = Beside::read_files(&place.key_file(), &place.anchor_file()).unwrap();
            assert!(served <= size_of(beside.anchor().unwrap().as_bytes()));
        }
        ledger.stop().await.unwrap();
        assert_eq!(ledger.served_checkpoint().unwrap().size, ledger.checkpoint().unwrap().size);
    }
}

/// Verifies a place from outside by the real binary; returns exit code and the kinds of what it found.
fn verified(shell: &Shell, place: &Path, key: &str) -> (i32, Vec<String>) {
    let place = place.display().to_string();
    let ran = shell.run(&["verify", "--mirror", &place, "--key", key, "--json"]);
    let report = ran.json();
    let kinds = ["intact", "complete", "age"].iter().flat_map(|verdict| {
        let findings = report[verdict]["findings"].as_array().cloned().unwrap_or_default();
        findings.into_iter().map(|finding| finding["kind"].as_str().unwrap().to_owned())
    });
    (ran.code, kinds.collect())
}

#[test]
fn a_copy_grows_with_the_log_and_any_file_server_can_serve_it() {
    let shell = Shell::sqlite().filled(1);
    let key = shell.verifier_key();
    let server = shell.serve();
    let copy = shell.path("copy");
    let folder = copy.display().to_string();
    let mut before = 0;
    for batch in [0..1, 1..200, 200..400, 400..401] {
        shell.record(&registrations(batch)).expect_code(0);
        let newest = size_of(shell.run(&["checkpoint"]).expect_code(0).out.as_bytes());
        while size_of(&server.get("checkpoint", &[]).body) < newest {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let said =
            shell.run(&["mirror", &server.url, &folder, "--key", &key, "--json"]).expect_code(0).json();
        assert_eq!((said["before"].as_u64(), said["size"].as_u64()), (Some(before), Some(newest)));
        before = newest;
        assert_eq!(verified(&shell, &copy, &key), (0, vec![]));
        let tiles = std::fs::read_dir(copy.join("tile/0")).unwrap().count() as u64;
        assert_eq!(tiles, newest.div_ceil(256), "partial tiles that a full one has replaced are gone");
    }
    server.stop();
    let again = shell.run(&["mirror", &folder, &folder, "--json"]).expect_code(0).json();
    assert_eq!(again["key_only_stated"], false, "a copy goes on under the key that it was made by");
    let files = Server::of_files(&copy);
    let stated = shell.path("stated").display().to_string();
    let stated = shell.run(&["mirror", &files.url, &stated, "--json"]).expect_code(0).json();
    assert_eq!(stated["key_only_stated"], true, "nothing but the server vouches for its key");
    assert_eq!(verified(&shell, Path::new(files.url.trim_end_matches('/')), &key), (0, vec![]));
    let again = shell.path("again").display().to_string();
    shell.run(&["mirror", &files.url, &again, "--key", &key]).expect_code(0);
    assert_eq!(verified(&shell, Path::new(&again), &key), (0, vec![]));
}

#[test]
fn a_server_that_was_there_before_the_key_was_rotated_does_not_show_the_log_of_then_for_ever() {
    let shell = Shell::sqlite().filled(0);
    let server = shell.serve();
    shell.run(&["log-key", "rotate"]).expect_code(0);
    shell.record(&registrations(0..1)).expect_code(0);
    assert_eq!(server.ended(), Some(2));
    let newest = shell.run(&["checkpoint"]).expect_code(0).out;
    let server = shell.serve();
    assert_eq!(server.get("checkpoint", &[]).body, newest.as_bytes());
    server.stop();
}

#[test]
fn an_edited_entry_is_served_in_no_bundle_that_a_cache_would_keep() {
    let shell = Shell::sqlite().filled(0);
    let server = shell.serve();
    let size = size_of(&server.get("checkpoint", &[]).body);
    let (bundle, tile) = (format!("tile/entries/000.p/{size}"), format!("tile/0/000.p/{size}"));
    let whole = server.get(&bundle, &[]);
    assert_eq!((whole.status, server.get(&tile, &[]).status), (200, 200));
    let edit = |from: &str, to: &str| {
        let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
        let sql = "UPDATE entry SET body = replace(body, ?1, ?2) WHERE leaf_index = 1";
        assert_eq!(database.execute(sql, [from, to]).unwrap(), 1);
    };
    edit("\"as_found\":false", "\"as_found\":true");
    let refused = server.get(&bundle, &[]);
    assert_eq!(refused.status, 500);
    assert!(!refused.caching.contains("immutable"), "{}", refused.caching);
    edit("\"as_found\":true", "\"as_found\":false");
    assert_eq!(server.get(&bundle, &[]).body, whole.body);
    server.stop();
}

#[test]
fn a_folder_with_anything_else_in_it_becomes_no_copy_that_a_file_server_would_show() {
    let shell = Shell::sqlite().filled(1);
    let server = shell.serve();
    let ran = shell.run(&["mirror", &server.url, "."]);
    server.stop();
    assert!(ran.code == 2 && ran.err.contains("name an empty folder"), "{}", ran.err);
    assert!(!shell.path("checkpoint").exists() && !shell.path("tile").exists());
}

#[test]
fn a_copy_that_was_killed_goes_on_and_fetches_nothing_twice() {
    let shell = Shell::sqlite().filled(0);
    shell.record(&registrations(0..600)).expect_code(0);
    let key = shell.verifier_key();
    let server = shell.serve();
    let folder = shell.path("copy");
    for round in 0..12_u64 {
        let arguments = ["mirror", &server.url, folder.to_str().unwrap(), "--key", &key];
        let mut child = shell.command(&arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(4 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        if folder.join("checkpoint").exists() {
            assert_eq!(
                verified(&shell, &folder, &key),
                (0, vec![]),
                "a checkpoint stands over what is whole"
            );
            std::fs::remove_file(folder.join("checkpoint")).unwrap();
        }
    }
    let key: VerifierKey = key.parse().unwrap();
    let log = LogSource::of(&server.url);
    let bundles = copy(&log, &folder, std::slice::from_ref(&key), |_, _| {}).unwrap();
    assert!(bundles.fetched <= 3);
    std::fs::remove_file(folder.join("checkpoint")).unwrap();
    assert_eq!(
        copy(&log, &folder, std::slice::from_ref(&key), |_, _| {}).unwrap().fetched,
        0,
        "what is there and proven is kept"
    );
    let bundle = folder.join("tile/entries/001");
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    std::fs::remove_file(folder.join("checkpoint")).unwrap();
    assert_eq!(
        copy(&log, &folder, std::slice::from_ref(&key), |_, _| {}).unwrap().fetched,
        1,
        "what is there and wrong is not"
    );
}

#[test]
fn a_log_that_was_set_back_or_forked_is_refused_with_both_checkpoints_kept() {
    let shell = Shell::sqlite().filled(0);
    let key = shell.verifier_key();
    let older = shell.path("older");
    std::fs::create_dir(&older).unwrap();
    // With whatever stands beside the database, such as a WAL that the last process has left.
    for file in std::fs::read_dir(shell.folder.path()).unwrap().map(|file| file.unwrap()) {
        if file.file_name().to_string_lossy().starts_with("ledger.") {
            std::fs::copy(file.path(), older.join(file.file_name())).unwrap();
        }
    }
    shell.record(&registrations(0..3)).expect_code(0);
    let copy = shell.path("copy").display().to_string();
    let server = shell.serve();
    shell.run(&["mirror", &server.url, &copy, "--key", &key]).expect_code(0);
    server.stop();
    let set_back =
        Shell { ledger: format!("sqlite://{}", older.join("ledger.db").display()), ..Shell::sqlite() };
    let old = |arguments: &[&str]| {
        let mut command = set_back.command(arguments);
        command.env("WEITUO_SIGNING_KEY", older.join("ledger.key"));
        command.env("WEITUO_ANCHOR", older.join("ledger.anchor"));
        command
    };
    for (further, kept) in [(0, 1), (9, 2)] {
        if further > 0 {
            let lines = set_back.path("lines");
            std::fs::write(&lines, registrations(100..100 + further)).unwrap();
            assert!(old(&["record", lines.to_str().unwrap()]).output().unwrap().status.success());
        }
        let server = Server::start(old(&["serve", "--listen", "127.0.0.1:0", "--json"]));
        let before = std::fs::read(shell.path("copy/checkpoint")).unwrap();
        let ran = shell.run(&["mirror", &server.url, &copy, "--key", &key]).expect_code(1);
        assert!(ran.err.contains("does not extend"), "{}", ran.err);
        assert_eq!(std::fs::read(shell.path("copy/checkpoint")).unwrap(), before);
        let evidence = std::fs::read_dir(shell.path("copy/evidence")).unwrap();
        let evidence: Vec<_> = evidence.map(|folder| folder.unwrap().path()).collect();
        assert_eq!(evidence.len(), kept);
        for folder in evidence {
            for name in ["kept", "found"] {
                let note = std::fs::read_to_string(folder.join(name)).unwrap();
                Checkpoint::open(&note, &key.parse().unwrap()).unwrap();
            }
        }
        let place = shell.path("copy/checkpoint").display().to_string();
        let log =
            shell.run(&["verify", "--mirror", &server.url, "--key", &key, "--checkpoint", &place, "--json"]);
        assert_eq!(log.code, 1);
        assert_eq!(log.json()["age"]["findings"][0]["kind"], "checkpoint-not-extended");
    }
}

#[test]
fn whatever_is_altered_in_a_copy_is_told_and_nothing_altered_is_called_intact() {
    let shell = Shell::sqlite().filled(1);
    shell.record(&registrations(0..300)).expect_code(0);
    let key = shell.verifier_key();
    let server = shell.serve();
    let copy = shell.path("copy").display().to_string();
    shell.run(&["mirror", &server.url, &copy, "--key", &key]).expect_code(0);
    let other = Shell::sqlite().filled(0);
    let replaced = |from: &'static str, to: &'static str| {
        move |bytes: &mut Vec<u8>| {
            let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    };
    let cases: Vec<(&str, Change, i32, &[&str])> = vec![
        (
            "tile/entries/000",
            Box::new(replaced("\"score_centi\":8250", "\"score_centi\":9900")),
            1,
            &["leaf-hash-differs"],
        ),
        ("tile/entries/000", Box::new(replaced("\"as_found\"", "\"AS_found\"")), 1, &["not-canonical"]),
        ("tile/entries/000", Box::new(|bytes| bytes.truncate(5_000)), 1, &["tile-differs"]),
        ("tile/0/000", Box::new(|bytes| bytes[40] ^= 1), 1, &["tile-differs"]),
        ("tile/1/000.p/1", Box::new(|bytes| bytes[0] ^= 1), 1, &["tile-differs"]),
        ("checkpoint", Box::new(|bytes| bytes[21] ^= 1), 1, &[]),
    ];
    for (file, change, code, kinds) in cases {
        let path = shell.path("copy").join(file);
        let kept = std::fs::read(&path).unwrap();
        let mut bytes = kept.clone();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let (found, found_kinds) = verified(&shell, Path::new(&copy), &key);
        assert_ne!(found, 0, "{file}");
        if !kinds.is_empty() {
            assert_eq!(found, code, "{file}: {found_kinds:?}");
            assert!(
                kinds.iter().all(|kind| found_kinds.iter().any(|found| found == kind)),
                "{file}: {found_kinds:?}"
            );
        }
        std::fs::write(&path, kept).unwrap();
    }
    let hidden = shell.path("hidden");
    std::fs::rename(shell.path("copy/tile/entries/000"), &hidden).unwrap();
    let (code, kinds) = verified(&shell, Path::new(&copy), &key);
    assert_eq!(code, 1);
    assert!(kinds.contains(&"leaf-missing".to_owned()), "{kinds:?}");
    std::fs::rename(&hidden, shell.path("copy/tile/entries/000")).unwrap();
    assert_eq!(verified(&shell, Path::new(&copy), &key), (0, vec![]));
    let (code, kinds) = verified(&shell, Path::new(&copy), &other.verifier_key());
    assert_eq!((code, kinds), (1, vec!["checkpoint-signature".to_owned()]));
    let (code, kinds) = verified(&shell, &shell.path("nowhere"), &key);
    assert_eq!((code, kinds), (2, vec![]), "what is not there is no finding");
}
