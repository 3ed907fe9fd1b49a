//! Headless Chromium and a Python with `PyNaCl`: the programs outside that the tests ask.
//!
//! Absent: any network; each run has a profile folder of its own, which goes with it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::cases::Case;

const CHROMIUMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const ORACLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles");

/// Returns the path of a program that is on PATH.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn chromium() -> PathBuf {
    CHROMIUMS
        .iter()
        .find_map(|name| on_path(name))
        .unwrap_or_else(|| panic!("none of {CHROMIUMS:?} is on PATH: run tests/run --install"))
}

/// Returns the document that a page has become once its script was done.
pub(crate) fn document_of(page: &Path, fragment: &str) -> String {
    // The budget is of the page's own clock, which stands still neither for hashing nor for a slow machine.
    for budget_ms in [10_000, 60_000, 300_000] {
        let profile = tempfile::tempdir().unwrap();
        let output = Command::new(chromium())
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--virtual-time-budget={budget_ms}"))
            .arg("--dump-dom")
            .arg(format!("file://{}#{fragment}", page.display()))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let document = String::from_utf8_lossy(&output.stdout).into_owned();
        if document.contains("data-verified=\"done\"") {
            return document;
        }
    }
    panic!("{} was not verified in the browser", page.display());
}

/// Returns what a page left for programs.
pub(super) fn result_in(document: &str) -> Value {
    let (_, rest) = document.split_once("<pre id=\"result\" hidden=\"\">").expect("the page has a result");
    let (text, _) = rest.split_once("</pre>").unwrap();
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&text).unwrap()
}

/// Percent-encodes everything but letters and digits.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

fn as_json(cases: &[Case]) -> Value {
    cases
        .iter()
        .map(|case| json!({ "dossier": case.dossier, "keys": case.keys, "receipts": case.receipts }))
        .collect()
}

/// Has the page's script verify every case, in one browser. `prelude` is run ahead of it.
pub(super) fn verified_by_script(cases: &[Case], prelude: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("harness.html");
    let cases = STANDARD.encode(as_json(cases).to_string());
    let script = weituo::dossier::verifying_script();
    let harness = format!(
        "<!doctype html><meta charset=\"utf-8\"><body><pre id=\"result\" hidden></pre><script type=\"module\">{prelude}
{script}
const results = [];
const cases = JSON.parse(reading.text(reading.fromBase64(\"{cases}\")));
for (const {{ dossier, keys, receipts }} of cases) results.push(await verification.verify(dossier, keys, receipts));
document.getElementById(\"result\").textContent = JSON.stringify(results);
document.body.dataset.verified = \"done\";
</script>"
    );
    std::fs::write(&page, harness).unwrap();
    let Value::Array(results) = result_in(&document_of(&page, "")) else { panic!("a list of results") };
    results
}

/// The interpreter that `tests/run` names, the one that it has made before, or whatever there is.
fn python() -> Command {
    let made =
        std::path::Path::new(env!("CARGO_BIN_EXE_weituo")).with_file_name("../oracles-venv/bin/python");
    let made = made.exists().then(|| made.into_os_string());
    let named = std::env::var_os("WEITUO_TEST_PYTHON").or(made);
    Command::new(named.unwrap_or_else(|| "python3".into()))
}

/// Says what to do where the interpreter has not what it needs.
fn require_python() {
    let found =
        python().args(["-c", "import nacl.signing"]).output().is_ok_and(|output| output.status.success());
    assert!(
        found,
        "no Python with PyNaCl: run tests/run or tests/run --install, or name one by WEITUO_TEST_PYTHON"
    );
}

/// Has the Python verifier verify every case, in one process.
pub(super) fn verified_by_python(cases: &[Case]) -> Vec<Value> {
    const PROGRAM: &str = "
import json, sys
sys.path.insert(0, sys.argv[1])
import verify_dossier as v
for case in json.load(sys.stdin):
    keys = [v.verifier_key(key) for key in case['keys']]
    print(json.dumps(v.judged(case['dossier'], keys, case['receipts'])))
";
    require_python();
    let mut child = python()
        .args(["-c", PROGRAM, ORACLES])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let cases = as_json(cases).to_string();
    let writing = std::thread::spawn(move || input.write_all(cases.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Runs the Python verifier as a reader does; returns its exit code and what it printed, if it is an answer.
pub(super) fn run_python(file: &Path, options: &[&str]) -> (Option<i32>, Value) {
    require_python();
    let script = Path::new(ORACLES).join("verify_dossier.py");
    let output =
        python().arg(script).arg(file).args(options).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), serde_json::from_str(&printed).unwrap_or_default())
}
