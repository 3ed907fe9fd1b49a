//! The binary as a stranger runs it: a dossier kept from an earlier version, the words in both languages, its size.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Largest size of the stripped binary, in bytes.
const MAX_BYTES: u64 = 3_000_000;

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).display().to_string()
}

fn output(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weituo-verify")).env_clear().args(arguments).output().unwrap()
}

/// Runs the verifier; returns its exit code and all that it printed.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = output(arguments);
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

/// Runs it where it cannot verify; returns what it says of that, all of it on standard error.
fn failure(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &[][..]), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Writes an altered copy of the dossier.
fn altered(folder: &tempfile::TempDir, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(data("agreement.json")).unwrap();
    assert!(text.contains(from));
    let path = folder.path().join("altered.json");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    path
}

#[test]
fn a_dossier_of_an_earlier_version_verifies_for_ever() {
    let (code, printed) = run(&[&data("agreement.json"), "--key", &data("key.txt"), "--lang", "en"]);
    assert_eq!(code, Some(0), "{printed}");
    let key = std::fs::read_to_string(data("key.txt")).unwrap();
    assert_eq!(run(&[&data("agreement.json"), "--key", key.trim(), "--json"]).0, Some(0));
}

#[test]
fn its_words_are_reviewed_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    let score = altered(&folder, "\\\"score_centi\\\":8250", "\\\"score_centi\\\":9900");
    let score = score.display().to_string();
    for language in ["zh", "en"] {
        let (_, help) = run(&["--help", "--lang", language]);
        let (code, mut printed) =
            run(&[&data("agreement.json"), "--key", &data("key.txt"), "--lang", language]);
        printed.truncate(printed.find("  agreement ").unwrap());
        let (altered_code, altered) = run(&[&score, "--key", &data("key.txt"), "--lang", language]);
        let (keyless_code, keyless) = run(&[&data("agreement.json"), "--lang", language]);
        assert_eq!((code, altered_code, keyless_code), (Some(0), Some(1), Some(2)));
        insta::assert_snapshot!(
            format!("words-{language}"),
            [help, printed, altered, keyless].join("\n––––––––––\n")
        );
    }
}

#[test]
fn a_state_other_than_the_entries_give_is_a_finding_and_another_fold_is_could_not_check() {
    let folder = tempfile::tempdir().unwrap();
    let key = data("key.txt");
    let state = altered(&folder, "\\\"round\\\":1", "\\\"round\\\":2").display().to_string();
    let (code, printed) = run(&[&state, "--key", &key, "--json"]);
    assert!(code == Some(1) && printed.contains("state-differs"), "{printed}");
    let fold = altered(&folder, "\"fold_version\":4", "\"fold_version\":4294967296").display().to_string();
    assert_eq!(run(&[&fold, "--key", &key]).0, Some(2));
    let format = altered(&folder, "weituo-dossier/1", "weituo-dossier/9").display().to_string();
    assert_eq!(run(&[&format, "--key", &key]).0, Some(2));
}

#[test]
fn wrong_use_is_told_and_never_called_intact() {
    let (file, key) = (data("agreement.json"), data("key.txt"));
    for arguments in [
        &[][..],
        &["--key", &key],
        &[&file, "--key"],
        &[&file, "--key", "nonsense"],
        &[&file, "--colour", "red"],
        &[&file, &file, "--key", &key],
        &["/nowhere.json", "--key", &key],
        &[&file, "--key", &key, "--receipt", "/nowhere"],
        &[&file, "--key", &key, "--receipt", &key],
        &[&key, "--key", &key],
    ] {
        let (code, printed) = run(arguments);
        assert_ne!(code, Some(0), "{arguments:?}");
        assert!(!printed.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_failure_is_told_to_people_in_their_language_and_to_programs_in_both_with_a_code() {
    let (file, key, folder) = (data("agreement.json"), data("key.txt"), tempfile::tempdir().unwrap());
    let page = folder.path().join("page.html").display().to_string();
    std::fs::write(&page, "<!doctype html><title>另一页</title>").unwrap();
    for (arguments, code, zh, en) in [
        (&[][..], "usage", "请给出卷宗文件", "name the dossier's file"),
        (&[&file, "--colour", "red"], "usage", "不认识的选项 --colour", "invalid option '--colour'"),
        (&[&file, &file], "usage", "多余的参数 /", "unexpected argument"),
        (&[&file, "--json=yes"], "usage", "--json 不带值", "unexpected argument for option '--json'"),
        (&[&file, "--key"], "usage", "--key 缺少值", "missing argument for option '--key'"),
        (&[&file, "--key", "nonsense"], "input", "既不是核验公钥", "neither a verifier key"),
        (&["/nowhere.json", "--key", &key], "input", "无法读取:/nowhere", "cannot be read: /nowhere"),
        (&[&page, "--key", &key], "input", "页面中没有卷宗:/", "the page contains no dossier: /"),
        (&[&file, "--policy", &file], "input", "信任策略无法使用:/", "the trust policy cannot be used: /"),
    ] {
        let printed = failure(&[&["--json"], arguments].concat());
        let told: serde_json::Value = serde_json::from_str(&printed).unwrap();
        let reason = |language: &str| told["error"]["reason"][language].as_str().unwrap();
        assert_eq!(told["error"]["code"], code, "{printed}");
        assert!(reason("zh").starts_with(zh) && reason("en").starts_with(en), "{printed}");
        for language in ["zh", "en"] {
            let said = failure(&[&["--lang", language], arguments].concat());
            assert_eq!(said.trim_end(), format!("weituo-verify: {}", reason(language)));
        }
    }
    // The option may stand behind what is wrong.
    let behind = failure(&[&file, "--colour", "red", "--json"]);
    assert!(behind.starts_with("{\"error\""), "{behind}");
}

#[test]
fn it_is_below_three_megabytes_stripped() {
    if cfg!(debug_assertions) {
        // What is shipped is optimised; an unoptimised one says nothing about it.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("weituo-verify");
    let strip =
        Command::new("strip").arg("-o").arg(&stripped).arg(env!("CARGO_BIN_EXE_weituo-verify")).status();
    assert!(strip.unwrap().success());
    let bytes = std::fs::metadata(stripped).unwrap().len();
    assert!(bytes < MAX_BYTES, "{bytes} bytes");
}
