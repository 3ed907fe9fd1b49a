//! The command line in the hands of somebody who checks: altered, forged and lost things, and what is reported of them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::commands::CYCLES;
use crate::support::shell::{Ran, Shell, registration};

#[test]
fn an_outside_checkpoint_is_extended_or_the_log_is_not_the_one_it_was() {
    let shell = Shell::sqlite().filled(1);
    let kept = shell.path("kept.txt");
    std::fs::write(&kept, shell.run(&["checkpoint"]).expect_code(0).out).unwrap();
    shell.record(CYCLES[1].1).expect_code(0);
    let kept = kept.display().to_string();
    let ran = shell.run(&["verify", "--checkpoint", &kept]).expect_code(0);
    assert!(ran.out.contains("extends the checkpoints given"), "{}", ran.out);
    let other = Shell::sqlite().filled(1);
    std::fs::copy(shell.path("ledger.key"), other.path("stranger.key")).unwrap();
    other.run(&["verify", "--checkpoint", &kept]).expect_code(1);
}

#[test]
fn an_altered_receipt_is_no_checkpoint_and_a_state_beyond_the_log_is_not_shown() {
    let shell = Shell::sqlite().filled(1);
    let receipt = shell.run(&["receipt", "5"]).expect_code(0).out;
    std::fs::write(shell.path("kept.txt"), &receipt).unwrap();
    shell.run(&["verify", "--checkpoint", "kept.txt"]).expect_code(0);
    for member in ["extra ", "index "] {
        let at = receipt.find(member).unwrap() + member.len();
        let other = if receipt.as_bytes()[at] == b'5' { "4" } else { "5" };
        let altered = format!("{}{other}{}", &receipt[..at], &receipt[at + 1..]);
        std::fs::write(shell.path("altered.txt"), altered).unwrap();
        let ran = shell.run(&["verify", "--checkpoint", "altered.txt"]);
        assert_ne!(ran.code, 0, "{member}: {}", ran.out);
    }
    let beyond = shell.run(&["show", "organisation", "bureau-wz", "--at", "99999"]);
    assert!(beyond.err.contains("there is no state as of 99999"), "{}", beyond.err);
    assert_ne!(beyond.code, 0);
}

#[test]
fn without_the_anchor_that_stands_beside_or_was_named_nothing_is_called_checked() {
    let shell = Shell::sqlite().filled(1);
    let unnamed =
        |arguments: &[&str]| Ran::of(&shell.command(arguments).env_remove("WEITUO_ANCHOR").output().unwrap());
    shell.run(&["backup", "b.db"]).expect_code(0);
    std::fs::rename(shell.path("ledger.anchor"), shell.path("away")).unwrap();
    let ran = unnamed(&["verify"]).expect_code(2);
    assert!(ran.out.contains("the key is at hand, and there is none at"), "{}", ran.out);
    // One that was named, and is not there: neither a backup nor a restore counts.
    for arguments in [["backup", "c.db"], ["restore", "b.db"]] {
        let ran = shell.run(&arguments).expect_code(2);
        assert!(ran.err.contains("the anchor was not compared"), "{}", ran.err);
    }
    assert!(!shell.path("c.db").exists());
    // Where it is lost indeed, a backup is made without it, and says so.
    let told = unnamed(&["--json", "backup", "c.db"]).expect_code(0).json();
    assert!(told["behind_anchor"].is_null(), "{told}");
    std::fs::rename(shell.path("away"), shell.path("ledger.anchor")).unwrap();
    unnamed(&["verify"]).expect_code(0);
    let told = shell.run(&["--json", "backup", "d.db"]).expect_code(0).json();
    assert_eq!(told["behind_anchor"], false);
}

#[test]
fn an_anchor_that_looks_like_a_mistyped_address_is_no_file() {
    let shell = Shell::sqlite();
    for place in ["127.0.0.1:8750", "http:/127.0.0.1:8750", "ftp://127.0.0.1", "witness.example:443/anchor"] {
        let ran =
            shell.run(&["--anchor", place, "init", "--origin", "ledger.example/a", "--bureau", "bureau-wz"]);
        assert!(ran.expect_code(2).err.contains("is not an address of a witness"));
        assert!(!shell.path("ledger.db").exists(), "nothing is made");
    }
    shell
        .run(&["--anchor", "./a:1", "init", "--origin", "ledger.example/a", "--bureau", "bureau-wz"])
        .expect_code(0);
}

#[test]
fn a_key_that_was_left_empty_is_no_key() {
    let shell = Shell::sqlite().filled(1);
    std::fs::write(shell.path("empty.txt"), "\n").unwrap();
    for key in ["", "empty.txt"] {
        for arguments in [vec!["verify"], vec!["mirror", "http://127.0.0.1:9/log", "copy"]] {
            let ran = shell.run(&[arguments, vec!["--key", key]].concat()).expect_code(2);
            assert!(ran.err.contains("there is no verifier key in"), "{}", ran.err);
        }
    }
}

#[test]
fn a_backup_in_a_folder_that_nobody_may_write_is_verified_and_restored() {
    let shell = Shell::sqlite().filled(1);
    let disk = shell.path("disk");
    std::fs::create_dir(&disk).unwrap();
    shell.run(&["backup", "disk/b.db"]).expect_code(0);
    // Root may write what nobody may, but not what is immutable, where the file system knows that.
    let protect = |on: bool| {
        let chattr = |change: &str| drop(Command::new("chattr").args(["-R", change]).arg(&disk).output());
        if !on {
            chattr("-i");
        }
        let mode = if on { 0o555 } else { 0o755 };
        std::fs::set_permissions(&disk, std::fs::Permissions::from_mode(mode)).unwrap();
        if on {
            chattr("+i");
        }
    };
    protect(true);
    let ran = shell.run(&["--ledger", "sqlite://disk/b.db", "verify"]);
    let restored = shell.run(&["--ledger", "sqlite://elsewhere/ledger.db", "restore", "disk/b.db"]);
    protect(false);
    ran.expect_code(0);
    restored.expect_code(0);
}

#[test]
fn an_edited_entry_and_a_deleted_one_are_named_by_verify() {
    let shell = Shell::sqlite().filled(1);
    let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
    database
        .execute("UPDATE entry SET body = replace(body, '\"as_found\":false', '\"as_found\":true') WHERE leaf_index = 20", [])
        .unwrap();
    database.execute("DELETE FROM entry WHERE leaf_index = 25", []).unwrap();
    let report = shell.run(&["--json", "verify"]).expect_code(1).json();
    let leaves: Vec<u64> = report["intact"]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|finding| finding["leaf_index"].as_u64())
        .collect();
    assert!(leaves.contains(&20) && leaves.contains(&25), "{report}");
}

#[test]
fn entries_lost_with_the_database_are_put_back_from_a_backup_byte_for_byte() {
    let shell = Shell::sqlite().filled(1);
    let whole = shell.path("whole.db");
    let older = shell.path("older.db");
    let copy = |to: &Path| {
        let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
        database.execute("VACUUM INTO ?1", [to.display().to_string()]).unwrap();
    };
    copy(&older);
    shell.record(CYCLES[1].1).expect_code(0);
    copy(&whole);
    let before = shell.run(&["--json", "log"]).expect_code(0).out;
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        drop(std::fs::remove_file(shell.path(name)));
    }
    std::fs::copy(&older, shell.path("ledger.db")).unwrap();
    let refused = shell.record(&registration(1, "一")).expect_code(2);
    assert!(refused.err.contains("weituo recover"), "{}", refused.err);
    shell.run(&["verify"]).expect_code(1);
    shell.run(&["recover", "--from", &format!("sqlite://{}", whole.display())]).expect_code(0);
    assert_eq!(shell.run(&["--json", "log"]).expect_code(0).out, before);
    shell.record(&registration(1, "一")).expect_code(0);
    shell.run(&["verify"]).expect_code(0);
}

#[test]
fn findings_and_lost_output_are_never_reported_as_success() {
    let shell = Shell::sqlite().filled(0);
    let into = |path: &str, arguments: &[&str]| {
        let out = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let output = shell.command(arguments).stdout(out).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(into("/dev/null", &["verify"]).0, Some(0));
    let (code, told) = into("/dev/full", &["checkpoint"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("standard output cannot be written"), "{told}");
    let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
    database
        .execute("UPDATE entry SET body = replace(body, '\"as_found\":false', '\"as_found\":true') WHERE leaf_index = 4", [])
        .unwrap();
    assert_eq!(into("/dev/null", &["verify"]).0, Some(1));
    assert_eq!(into("/dev/full", &["verify"]).0, Some(2));
}

#[test]
fn a_forged_disclosure_is_not_shown_as_what_was_sealed() {
    let shell = Shell::sqlite().filled(0);
    shell.record(&registration(1, "一")).expect_code(0);
    let entry = shell.run(&["--json", "log", "organisation/extra-1"]).expect_code(0).lines().remove(0);
    let leaf = entry["leaf_index"].to_string();
    let (_, forged) = weituo_proof::sealed::seal([7; 16], "text", Value::String("伪造".to_owned())).unwrap();
    let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
    database.execute("UPDATE disclosure SET disclosure = ?1 WHERE leaf_index = ?2", (forged, &leaf)).unwrap();
    let shown = shell.run(&["entry", &leaf]).expect_code(1);
    assert!(!shown.out.contains("伪造"), "{}", shown.out);
    assert!(shown.err.contains("disclosure-missing"), "{}", shown.err);
    shell.run(&["verify"]).expect_code(1);
}

#[test]
fn a_sealed_value_that_was_removed_is_not_shown_as_erased() {
    let shell = Shell::sqlite().filled(1);
    let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
    let leaf: u64 =
        database.query_row("SELECT min(leaf_index) FROM disclosure", [], |row| row.get(0)).unwrap();
    database.execute("DELETE FROM disclosure", []).unwrap();
    let shown = shell.run(&["entry", &leaf.to_string()]).expect_code(1);
    assert!(shown.out.contains("no erasure is recorded") && !shown.out.contains("erased,"), "{}", shown.out);
    assert!(shown.err.contains("disclosure-missing"), "{}", shown.err);
    let digest = shell.run(&["--json", "entry", &leaf.to_string()]).expect_code(1).out;
    let digest = digest.split("\"_sd\": [").nth(1).unwrap().split('"').nth(1).unwrap().to_owned();
    let late = shell.run(&["erase", &leaf.to_string(), &digest, "--grounds", "later"]).expect_code(3);
    assert!(
        format!("{}{}", late.out, late.err).contains("no erasure is recorded"),
        "{}{}",
        late.out,
        late.err
    );
    let cycle = shell.run(&["show", "agreement", "WZ-2022-001"]).expect_code(0).out;
    assert!(cycle.contains("no erasure is recorded"), "{cycle}");
}

#[test]
fn an_anchor_that_is_asked_for_is_compared_by_the_public_key_or_said_not_to_be() {
    let shell = Shell::sqlite().filled(0);
    let key = shell.run(&["--json", "log-key", "show"]).expect_code(0).json()["verifier_keys"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let absent = shell.run(&["verify", "--anchor", "nowhere.anchor"]).expect_code(2);
    assert!(absent.out.contains("there is none at nowhere.anchor"), "{}", absent.out);
    let auditor = |arguments: &[&str]| {
        let asked = [&["verify", "--signing-key", "nowhere.key"], arguments].concat();
        shell.run(&asked)
    };
    let unread = auditor(&[]).expect_code(2);
    assert!(unread.out.contains("no verifier key was given by --key"), "{}", unread.out);
    let read = auditor(&["--key", &key]).expect_code(0);
    assert!(!read.out.contains("no anchor was compared"), "{}", read.out);
    shell.run(&["backup", "older.db"]).expect_code(0);
    shell.record(&registration(1, "一")).expect_code(0);
    let behind = auditor(&["--key", &key, "--ledger", "sqlite://older.db"]).expect_code(1);
    assert!(behind.out.contains("the log has 19 entries: it was rolled back"), "{}", behind.out);
    let older = Shell::sqlite().filled(0).run(&["--json", "log-key", "show"]).expect_code(0).json();
    let unknown = auditor(&["--key", older["verifier_keys"][0].as_str().unwrap()]);
    assert!(!unknown.out.contains("rolled back"), "{}", unknown.out);
}

#[test]
fn an_erasure_counts_for_its_own_entry_and_only_as_it_was_recorded() {
    let shell = Shell::sqlite().filled(1);
    let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
    let (leaf, digest): (u64, String) = database
        .query_row("SELECT leaf_index, digest FROM disclosure ORDER BY leaf_index LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    shell.run(&["erase", &leaf.to_string(), &digest, "--grounds", "request"]).expect_code(0);
    // What is erased stays so where the entry that held it was altered.
    database
        .execute("UPDATE entry SET body = replace(body, '\"as_found\":false', '\"as_found\": false') WHERE leaf_index = ?1", [leaf])
        .unwrap();
    let shown = shell.run(&["entry", &leaf.to_string()]).expect_code(1);
    assert!(
        shown.out.contains(": request)") && !shown.err.contains("disclosure-missing"),
        "{}{}",
        shown.out,
        shown.err
    );
    // Another value is not erased by rewriting what the erasure says.
    let (other, another): (u64, String) = database
        .query_row("SELECT leaf_index, digest FROM disclosure ORDER BY leaf_index DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    database.execute("DELETE FROM disclosure WHERE digest = ?1", [&another]).unwrap();
    database
        .execute(
            "UPDATE entry SET body = replace(body, ?1, ?2) WHERE stream = 'log/main'",
            [&digest, &another],
        )
        .unwrap();
    let shown = shell.run(&["entry", &other.to_string()]).expect_code(1);
    assert!(shown.out.contains("no erasure is recorded"), "{}", shown.out);
    // Nor does a row that no writer stored keep anybody from looking.
    database.pragma_update(None, "ignore_check_constraints", true).unwrap();
    database
        .execute("UPDATE entry SET leaf_hash = x'00' WHERE stream = 'log/main' AND sequence > 1", [])
        .unwrap();
    database.execute("UPDATE migration SET checksum = ''", []).unwrap();
    shell.run(&["entry", &other.to_string()]).expect_code(1);
    shell.run(&["log", "organisation/bureau-wz"]).expect_code(0);
}

#[test]
fn a_backup_goes_into_a_folder_that_is_there_and_is_named_where_it_is_missing() {
    let shell = Shell::sqlite().filled(0);
    let refused = shell.run(&["backup", "unmounted/ledger.db"]).expect_code(2);
    assert!(refused.err.contains("is its disk mounted?"), "{}", refused.err);
    assert!(!shell.path("unmounted").exists());
    let written = format!("sqlite://{}", shell.path("copy.db").display());
    shell.run(&["backup", &written]).expect_code(0);
    shell.run(&["backup", "postgres://h/d"]).expect_code(2);
    let missing = shell.run(&["restore", "nofile.db"]).expect_code(2);
    assert!(missing.err.contains("nofile.db is not there"), "{}", missing.err);
    let wrong = shell.run(&["restore", "ledger.key"]).expect_code(2);
    assert!(wrong.err.contains("ledger.key is no backup"), "{}", wrong.err);
    let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
    database.execute("DELETE FROM entry WHERE leaf_index = (SELECT max(leaf_index) FROM entry)", []).unwrap();
    let recovered = shell.run(&["recover", "--from", "copy.db"]).expect_code(0);
    assert!(recovered.out.contains("1 entr"), "{}", recovered.out);
    std::fs::rename(shell.path("ledger.anchor"), shell.path("away.anchor")).unwrap();
    let mut unheld = shell.command(&["backup", "unheld.db"]);
    let unheld = Ran::of(&unheld.env_remove("WEITUO_ANCHOR").output().unwrap()).expect_code(0);
    assert!(unheld.out.contains("no anchor"), "{}", unheld.out);
    std::fs::rename(shell.path("away.anchor"), shell.path("ledger.anchor")).unwrap();
    database
        .execute("UPDATE entry SET body = replace(body, '\"as_found\":false', '\"as_found\":true') WHERE leaf_index = 4", [])
        .unwrap();
    let stored = || shell.run(&["--json", "log"]).expect_code(0).out;
    let before = stored();
    let onto = shell.run(&["restore", "copy.db"]).expect_code(1);
    assert!(onto.err.contains("nothing was written: keep it as it is"), "{}", onto.err);
    assert!(before == stored(), "what is evidence was changed");
    let unwritten = shell.run(&["backup", "altered.db"]).expect_code(1);
    assert!(unwritten.err.contains("no backup was written"), "{}", unwritten.err);
    // Nor what another restore would fill.
    database.execute("DELETE FROM entry WHERE leaf_index = 3", []).unwrap();
    let onto = shell.run(&["restore", "copy.db"]).expect_code(1);
    assert!(onto.err.contains("nothing was written: keep it as it is"), "{}", onto.err);
    for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        drop(std::fs::remove_file(shell.path(file)));
    }
    let lost = shell.run(&["log"]).expect_code(2);
    assert!(lost.err.contains("weituo restore BACKUP"), "{}", lost.err);
    let again =
        shell.run(&["init", "--origin", "ledger.example/cli", "--bureau", "bureau-wz"]).expect_code(2);
    assert!(again.err.contains("weituo restore BACKUP"), "{}", again.err);
    shell.run(&["restore", "copy.db"]).expect_code(0);
    shell.record(&registration(1, "一")).expect_code(0);
    drop(std::fs::remove_file(shell.path("ledger.db")));
    let behind = shell.run(&["restore", "copy.db"]).expect_code(1);
    assert!(behind.err.contains("--behind-anchor"), "{}", behind.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_exist_is_told_as_that_on_postgres() {
    let shell = Shell::postgres().await;
    let ledger = format!("{}_nowhere", shell.ledger);
    let refused = shell.run(&["log", "--ledger", &ledger]).expect_code(2);
    assert!(refused.err.contains("_nowhere\" does not exist; mend it"), "{}", refused.err);
}

#[test]
fn what_is_no_address_is_refused_before_anything_runs_and_in_chinese() {
    let shell = Shell { language: "zh", ..Shell::sqlite() };
    for arguments in [
        &["serve", "--tsa", "foo"][..],
        &["stamp", "--tsa", "foo"],
        &["watch", "http://127.0.0.1:1", "--key", "k", "--webhook", "foo"],
    ] {
        let refused = shell.run(arguments).expect_code(2);
        assert!(refused.err.contains("应为 http://主机"), "{arguments:?}: {}", refused.err);
    }
    std::fs::write(shell.path("empty.db"), "").unwrap();
    let empty = shell.run(&["log", "--ledger", "sqlite://empty.db"]);
    assert_ne!(empty.code, 0, "{}", empty.out);
    assert!(empty.err.contains("weituo init"), "{}", empty.err);
}

#[test]
fn a_lost_anchor_is_settled_by_a_kept_checkpoint_or_by_a_word_that_the_log_records() {
    let shell = Shell::sqlite().filled(0);
    let kept = shell.path("kept.txt");
    std::fs::write(&kept, shell.run(&["checkpoint"]).expect_code(0).out).unwrap();
    let lost = |shell: &Shell| std::fs::remove_file(shell.path("ledger.anchor")).unwrap();
    lost(&shell);
    shell.record(&registration(1, "一")).expect_code(2);
    shell.run(&["receipt", "3"]).expect_code(2);
    shell.run(&["recover", "--checkpoint", kept.to_str().unwrap()]).expect_code(0);
    shell.record(&registration(1, "一")).expect_code(0);
    lost(&shell);
    shell.run(&["recover", "--accept-lost-anchor"]).expect_code(0);
    shell.record(&registration(2, "二")).expect_code(0);
    assert!(shell.run(&["--json", "log", "log/main"]).expect_code(0).out.contains("AnchorAccepted"));
    shell.run(&["verify"]).expect_code(0);
    shell.run(&["recover"]).expect_code(2);
}

#[test]
fn a_body_that_is_no_json_is_a_refusal_and_no_panic() {
    let shell = Shell::sqlite().filled(1);
    let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
    database.execute("UPDATE entry SET body = 'not json' WHERE stream LIKE 'agreement/%'", []).unwrap();
    let ran = shell.record(CYCLES[0].1).expect_code(2);
    assert!(ran.err.contains("weituo verify") && !ran.err.contains("panicked"), "{}", ran.err);
    let shell = Shell { language: "zh", ..shell };
    let ran = shell.record(CYCLES[0].1).expect_code(2);
    assert!(ran.err.contains("的一条记录不是 JSON"), "{}", ran.err);
}

#[test]
fn a_ledger_without_its_head_row_is_not_told_to_be_made_anew() {
    let shell = Shell::sqlite().filled(1);
    let backup = shell.path("backup.db");
    shell.run(&["backup", backup.to_str().unwrap()]).expect_code(0);
    let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
    database.execute("DELETE FROM head", []).unwrap();
    let ran = shell.record(&registration(1, "一")).expect_code(2);
    assert!(ran.err.contains("weituo verify") && !ran.err.contains("weituo init"), "{}", ran.err);
    let from = format!("sqlite://{}", backup.display());
    let ran = shell.run(&["recover", "--from", &from]).expect_code(0);
    assert_eq!(ran.out, "no entry is missing; the head row was written anew\n");
    assert_eq!(shell.run(&["recover", "--from", &from]).expect_code(0).out, "no entry is missing\n");
    shell.run(&["verify"]).expect_code(0);
}

#[test]
fn an_anchor_that_was_cut_off_is_told_by_verify() {
    let shell = Shell::sqlite().filled(1);
    let anchor = std::fs::OpenOptions::new().write(true).open(shell.path("ledger.anchor")).unwrap();
    for bytes in [5_000, 4_096, 100, 0] {
        anchor.set_len(bytes).unwrap();
        let report = shell.run(&["--json", "verify"]);
        assert_ne!(report.code, 0, "{bytes}");
        assert_ne!(report.json()["intact"]["answer"], "yes", "{bytes}");
    }
}

#[test]
fn a_path_that_cannot_be_looked_at_is_not_told_to_be_without_a_ledger() {
    let shell = Shell { ledger: "sqlite://ledger.key/ledger.db".to_owned(), ..Shell::sqlite().filled(0) };
    let ran = shell.run(&["verify"]);
    assert_ne!(ran.code, 0);
    assert!(!ran.err.contains("weituo init"), "{}", ran.err);
}

#[test]
fn an_init_that_is_refused_makes_nothing() {
    let shell = Shell::sqlite().filled(0);
    let kept = shell.run(&["checkpoint"]).expect_code(0).out;
    std::fs::write(shell.path("kept.txt"), kept).unwrap();
    let other = Shell::sqlite();
    std::fs::copy(shell.path("ledger.key"), other.path("ledger.key")).unwrap();
    std::fs::copy(shell.path("kept.txt"), other.path("kept.txt")).unwrap();
    other.run(&["init", "--origin", "log.example/other"]).expect_code(2);
    assert!(!other.path("ledger.db").exists());
    let elsewhere = ["--ledger", "sqlite://elsewhere/ledger.db", "init", "--origin", "log.example/other"];
    other.run(&elsewhere).expect_code(2);
    assert!(!other.path("elsewhere").exists());
    let lost = ["--predecessor", "kept.txt", "--lost-from", "8", "--lost-to", "8"];
    let asked = [&["init", "--origin", "log.example/other"][..], &lost].concat();
    let ran = other.run(&asked).expect_code(2);
    assert!(ran.err.contains("--lost-to"), "{}", ran.err);
    assert!(!other.path("ledger.db").exists());
}

#[test]
fn projections_that_say_they_stand_beyond_the_log_are_rebuilt() {
    let shell = Shell::sqlite().filled(1);
    shell.run(&["docket"]).expect_code(0);
    let database = rusqlite::Connection::open(shell.path("ledger.db")).unwrap();
    database.execute("UPDATE projection SET next_leaf = 99999", []).unwrap();
    shell.record(CYCLES[1].1).expect_code(0);
    let served = shell.run(&["--json", "docket"]).expect_code(0).json();
    shell.run(&["rebuild"]).expect_code(0);
    assert_eq!(shell.run(&["--json", "docket"]).expect_code(0).json(), served);
    shell.run(&["verify"]).expect_code(0);
}
