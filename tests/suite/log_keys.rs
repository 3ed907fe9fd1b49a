//! The log's own keys through the real binary: rotation, revocation, freezing, succession, and a kill at each step.

use serde_json::Value;
use weituo_proof::{Checkpoint, SignedNote, SigningKey, VerifierKey};

use crate::support::ledger::{Place, TestClock, on_both_stores, proposal};
use crate::support::shell::{Shell, registration};

/// A ledger with one entry of its own, and its verifier key.
fn opened() -> (Shell, String) {
    let shell = Shell::sqlite();
    let made = shell.run(&["--json", "init", "--origin", "ledger.example/keys", "--bureau", "bureau-wz"]);
    let key = made.expect_code(0).json()["verifier_key"].as_str().unwrap().to_owned();
    shell.record(crate::support::commands::REGISTRY.lines().next().unwrap()).expect_code(0);
    (shell, key)
}

fn rotate(shell: &Shell) -> Value {
    shell.run(&["--json", "log-key", "rotate"]).expect_code(0).json()
}

fn checkpoint(shell: &Shell) -> SignedNote {
    SignedNote::parse(&shell.run(&["checkpoint"]).expect_code(0).out).unwrap()
}

fn keys_in(shell: &Shell, file: &str) -> Vec<SigningKey> {
    std::fs::read_to_string(shell.path(file)).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn the_key_that_init_printed_is_shown_again_and_both_after_a_rotation() {
    let (shell, old) = opened();
    assert_eq!(shell.run(&["log-key", "show"]).expect_code(0).out.trim(), old);
    let new = rotate(&shell)["verifier_key"].as_str().unwrap().to_owned();
    let shown = shell.run(&["log-key", "show"]).expect_code(0).out;
    std::fs::write(shell.path("verifier.txt"), &shown).unwrap();
    let mut shown: Vec<&str> = shown.lines().collect();
    shown.sort_unstable();
    let mut both = [old.as_str(), new.as_str()];
    both.sort_unstable();
    assert_eq!(shown, both);
    shell.run(&["verify", "--key", "verifier.txt"]).expect_code(0);
    // Without the signing key there is nothing to show, and a file that is not there is named.
    std::fs::rename(shell.path("ledger.key"), shell.path("away.key")).unwrap();
    assert!(shell.run(&["log-key", "show"]).expect_code(2).err.contains("--signing-key"));
    let missing = shell.run(&["verify", "--key", "misspelt.txt"]).expect_code(2);
    assert!(missing.err.contains("misspelt.txt is neither a verifier key nor a file"), "{}", missing.err);
}

#[test]
fn after_a_rotation_both_keys_sign_and_either_verifies_what_was_and_what_comes() {
    let (shell, old) = opened();
    let before = checkpoint(&shell).to_string();
    std::fs::write(shell.path("before.txt"), &before).unwrap();
    let rotated = rotate(&shell);
    let new = rotated["verifier_key"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    // The old key's file is kept beside, as it was.
    let kept = keys_in(&shell, rotated["kept"].as_str().unwrap());
    assert_eq!((kept.len(), kept[0].verifier().to_string()), (1, old.clone()));
    let permissions = std::fs::metadata(shell.path("ledger.key")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o600);

    // From the rotation on, before anything else is recorded.
    assert_eq!(checkpoint(&shell).signatures().len(), 2);
    shell.run(&["verify", "--key", &new]).expect_code(0);
    shell.run(&["dossier", "school", "bureau-wz", "--out", "rotated.json"]).expect_code(0);
    shell.record(&registration(1, "一")).expect_code(0);
    let note = checkpoint(&shell);
    assert_eq!(note.signatures().len(), 2);
    for key in [&old, &new] {
        let key: VerifierKey = key.parse().unwrap();
        Checkpoint::open(&note.to_string(), &key).unwrap();
    }
    shell.run(&["verify", "--checkpoint", "before.txt"]).expect_code(0);
    // Whoever trusts one key only, trusts what it signed: the old one before and after, the new one what came after.
    shell.run(&["verify", "--key", &old, "--checkpoint", "before.txt"]).expect_code(0);
    shell.run(&["verify", "--key", &new, "--checkpoint", "before.txt"]).expect_code(1);
    shell.run(&["verify", "--key", &new, "--key", &old, "--checkpoint", "before.txt"]).expect_code(0);
    std::fs::write(shell.path("keys.txt"), format!("{new}\n{old}\n")).unwrap();
    shell.run(&["verify", "--key", "keys.txt", "--checkpoint", "before.txt"]).expect_code(0);
    let backup = shell.path("backup.db").display().to_string();
    shell.run(&["backup", &backup]).expect_code(0);
}

#[test]
fn the_verifiers_own_list_decides_and_never_the_logs() {
    let (shell, _) = opened();
    rotate(&shell);
    let stranger = SigningKey::from_seed("ledger.example/keys", [7; 32]).unwrap();
    shell.run(&["verify", "--key", &stranger.verifier().to_string()]).expect_code(1);
}

#[test]
fn a_revoked_key_signs_no_more_and_vouches_only_for_what_was_seen_before() {
    let (shell, old) = opened();
    std::fs::write(shell.path("before.txt"), checkpoint(&shell).to_string()).unwrap();
    let in_use = shell.run(&["log-key", "revoke", &old]).expect_code(2);
    assert!(in_use.err.contains("log-key rotate"), "{}", in_use.err);
    let old_key = keys_in(&shell, "ledger.key").remove(0);
    let new = rotate(&shell)["verifier_key"].as_str().unwrap().to_owned();
    let id = old.split('+').nth(1).unwrap();
    shell.run(&["log-key", "revoke", id]).expect_code(0);
    assert_eq!(keys_in(&shell, "ledger.key").len(), 1);
    // Repeating it changes nothing.
    shell.run(&["log-key", "revoke", &old]).expect_code(0);
    shell.record(&registration(1, "一")).expect_code(0);
    let note = checkpoint(&shell);
    assert_eq!(note.signatures().len(), 1);
    let (now, _) = Checkpoint::open(&note.to_string(), &new.parse().unwrap()).unwrap();
    shell.run(&["verify", "--key", &new, "--key", &old, "--checkpoint", "before.txt"]).expect_code(0);
    // Whoever stole the old key signs the newest head, which is even right: it does not count.
    std::fs::write(shell.path("stolen.txt"), now.sign(&old_key).unwrap().to_string()).unwrap();
    let ran = shell.run(&["--json", "verify", "--key", &new, "--key", &old, "--checkpoint", "stolen.txt"]);
    let report = ran.expect_code(1).json();
    assert_eq!(report["age"]["findings"][0]["kind"], "checkpoint-signature", "{report:#}");
    // Nor does the ledger open under it.
    std::fs::write(shell.path("ledger.key"), format!("{old_key}\n")).unwrap();
    assert_ne!(shell.record(&registration(2, "二")).code, 0);
}

#[test]
fn a_frozen_ledger_takes_nothing_more_and_its_successor_names_its_last_checkpoint() {
    let (shell, key) = opened();
    shell.run(&["freeze", "--successor", "ledger.example/keys"]).expect_code(2);
    shell.run(&["freeze", "--successor", "ledger.example/next"]).expect_code(0);
    let refused = shell.record(&registration(1, "一")).expect_code(2);
    assert!(refused.err.contains("frozen since leaf index"), "{}", refused.err);
    let again = shell.run(&["freeze"]).expect_code(2);
    assert!(again.err.contains("frozen since leaf index"), "{}", again.err);
    shell.run(&["log-key", "rotate"]).expect_code(2);
    assert!(!shell.path("ledger.key.next").exists(), "no key is left that the log will never name");
    shell.run(&["verify"]).expect_code(0);
    // What was recorded is proven as before.
    let file = shell.path("frozen.json").display().to_string();
    shell.run(&["dossier", "school", "bureau-wz", "--out", &file]).expect_code(0);
    crate::dossier::verifier(&[&file, "--key", &key]).expect_code(0);
    let last = checkpoint(&shell).to_string();

    let next = Shell::sqlite();
    std::fs::write(next.path("last.txt"), &last).unwrap();
    let init = |more: &[&str]| {
        let mut arguments = vec!["init", "--predecessor", "last.txt"];
        arguments.extend(more);
        next.run(&arguments)
    };
    init(&["--origin", "ledger.example/keys"]).expect_code(2);
    let stranger = SigningKey::from_seed("ledger.example/keys", [7; 32]).unwrap().verifier().to_string();
    init(&["--origin", "ledger.example/next", "--predecessor-key", &stranger]).expect_code(2);
    assert!(!next.path("ledger.key").exists(), "nothing is made for a predecessor that does not verify");
    init(&["--origin", "ledger.example/next", "--predecessor-key", &key, "--lost-from", "3"]).expect_code(0);
    let opening = next.run(&["--json", "entry", "0"]).expect_code(0).json();
    let named = &opening["entry"]["payload"]["predecessor"];
    assert_eq!(named["checkpoint"], last);
    assert_eq!(named["origin"], "ledger.example/keys");
    assert_eq!(named["lost_from"], 3);
    next.run(&["verify"]).expect_code(0);
}

#[test]
fn an_unknown_key_is_not_revoked_and_the_known_ones_are_told() {
    let (mut shell, old) = opened();
    for (language, words) in [("en", "the log names no key"), ("zh", "台账没有列出密钥")] {
        shell.language = language;
        let ran = shell.run(&["log-key", "revoke", "00000000"]).expect_code(2);
        assert!(ran.err.contains(words) && ran.err.contains(&old), "{}", ran.err);
    }
}

on_both_stores! {
    async fn an_older_key_signs_along_for_90_days_and_its_seal_stays_known(place: Place) {
        let ledger = place.init().await;
        ledger.stop().await.unwrap();
        weituo::ledger::Ledger::rotate_key(&place.url, &place.options()).await.unwrap();
        let signatures = |text: &str| SignedNote::parse(text).unwrap().signatures().len();
        // The head was sealed by the old key: the new one opens it all the same.
        let ledger = place.open().await;
        assert_eq!(ledger.read_only(), None);
        let first = ledger.submit(proposal("agreement/A", "n", None)).await.unwrap();
        assert_eq!(signatures(&first.receipt.checkpoint.text), 2);
        ledger.stop().await.unwrap();
        let days = |days: i64| days * 86_400_000;
        TestClock::pass(&place.clock, days(89));
        let ledger = place.open().await;
        let second = ledger.submit(proposal("agreement/A", "m", Some(first.head()))).await.unwrap();
        assert_eq!(signatures(&second.receipt.checkpoint.text), 2);
        ledger.stop().await.unwrap();
        TestClock::pass(&place.clock, days(2));
        let ledger = place.open().await;
        let third = ledger.submit(proposal("agreement/A", "l", Some(second.head()))).await.unwrap();
        assert_eq!(signatures(&third.receipt.checkpoint.text), 1);
        ledger.stop().await.unwrap();
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_rotation_killed_at_any_step_leaves_a_usable_key_and_is_finished_by_repeating_it() {
    for step in ["rotate.next_written", "rotate.recorded", "rotate.kept", "rotate.replaced"] {
        let (shell, old) = opened();
        let killed =
            shell.command(&["log-key", "rotate"]).env("WEITUO_FAILPOINTS", format!("{step}=kill")).output();
        assert!(!killed.unwrap().status.success(), "{step}");
        shell.record(&registration(1, "一")).expect_code(0);
        shell.run(&["verify"]).expect_code(0);
        if step != "rotate.replaced" {
            rotate(&shell);
        }
        let keys = keys_in(&shell, "ledger.key");
        assert_eq!(keys.len(), 2, "{step}");
        assert_eq!(keys[1].verifier().to_string(), old);
        assert!(!shell.path("ledger.key.next").exists());
        // One rotation, however often it was begun: the log names the new key once.
        let entries = shell.run(&["--json", "log", "log/main"]).expect_code(0).lines();
        let added = entries.iter().filter(|line| line["entry"]["type"] == "LogKeyAdded").collect::<Vec<_>>();
        assert_eq!(added.len(), 1, "{step}");
        assert_eq!(added[0]["entry"]["payload"]["key"], keys[0].verifier().to_string());
        shell.record(&registration(2, "二")).expect_code(0);
        shell.run(&["verify"]).expect_code(0);
    }
}

#[test]
fn of_rotations_at_the_same_time_one_is_made_and_the_others_are_told_to_wait() {
    let (shell, _) = opened();
    let rotating: Vec<_> = (0..4)
        .map(|_| shell.command(&["log-key", "rotate"]).stderr(std::process::Stdio::piped()).spawn().unwrap())
        .collect();
    for one in rotating {
        let ended = one.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(
            ended.status.success() || told.contains("another process is changing the log's keys"),
            "{told}"
        );
    }
    shell.record(&registration(1, "一")).expect_code(0);
    shell.run(&["verify"]).expect_code(0);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_rotation_that_broke_off_and_whose_key_was_revoked_is_begun_anew() {
    let (shell, _) = opened();
    let killed =
        shell.command(&["log-key", "rotate"]).env("WEITUO_FAILPOINTS", "rotate.recorded=kill").output();
    assert!(!killed.unwrap().status.success());
    let next = keys_in(&shell, "ledger.key.next")[0].verifier().to_string();
    shell.run(&["log-key", "revoke", &next]).expect_code(0);
    let new = rotate(&shell)["verifier_key"].as_str().unwrap().to_owned();
    assert_ne!(new, next, "a revoked key is not put in place");
    shell.record(&registration(1, "一")).expect_code(0);
    shell.run(&["verify"]).expect_code(0);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_revocation_killed_at_any_step_leaves_a_usable_key_and_is_finished_by_repeating_it() {
    for step in ["revoke.recorded", "revoke.replaced"] {
        let (shell, old) = opened();
        rotate(&shell);
        let mut command = shell.command(&["log-key", "revoke", &old]);
        let killed = command.env("WEITUO_FAILPOINTS", format!("{step}=kill")).output().unwrap();
        assert!(!killed.status.success(), "{step}");
        shell.record(&registration(1, "一")).expect_code(0);
        assert_eq!(checkpoint(&shell).signatures().len(), 1, "{step}: the revoked key signs no more");
        shell.run(&["log-key", "revoke", &old]).expect_code(0);
        assert_eq!(keys_in(&shell, "ledger.key").len(), 1, "{step}");
        shell.run(&["verify"]).expect_code(0);
    }
}
