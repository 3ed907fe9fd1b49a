//! The binary as its users run it, on a ledger of its own.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::commands::{CYCLES, REGISTRY, RULEBOOK};
use super::postgres::fresh_database;

/// A folder with one ledger, and the binary that works on it.
pub(crate) struct Shell {
    pub(crate) folder: TempDir,
    pub(crate) ledger: String,
    pub(crate) language: &'static str,
}

impl Shell {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = format!("sqlite://{}", folder.path().join("ledger.db").display());
        Self { folder, ledger, language: "en" }
    }

    pub(crate) async fn postgres() -> Self {
        Self { ledger: fresh_database().await, ..Self::sqlite() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weituo"));
        command
            .current_dir(self.folder.path())
            .env_remove("LANG")
            .env_remove("LC_ALL")
            .env("WEITUO_LEDGER", &self.ledger)
            .env("WEITUO_SIGNING_KEY", self.path("ledger.key"))
            .env("WEITUO_ANCHOR", self.path("ledger.anchor"))
            .args(["--lang", self.language])
            .args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }

    pub(crate) fn record(&self, lines: &str) -> Ran {
        self.record_bytes(lines.as_bytes())
    }

    pub(crate) fn record_bytes(&self, lines: &[u8]) -> Ran {
        fed(self.command(&["record"]), lines)
    }

    /// Makes a ledger with the sample registry, the rulebook and the first `cycles` samples.
    pub(crate) fn filled(self, cycles: usize) -> Self {
        self.run(&["init", "--origin", "ledger.example/cli", "--bureau", "bureau-wz"]).expect_code(0);
        self.record(REGISTRY).expect_code(0);
        let rulebook = self.path("rulebook.toml");
        std::fs::write(&rulebook, RULEBOOK).unwrap();
        let rulebook = rulebook.display().to_string();
        self.run(&["adopt", &rulebook, "--by", "bureau-wz", "--effective", "2018-12-20"]).expect_code(0);
        for (_, lines) in &CYCLES[..cycles] {
            self.record(lines).expect_code(0);
        }
        self
    }
}

/// What a process said.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Returns the codes of the lines that were refused, in order.
pub(crate) fn refused_codes(ran: &Ran) -> Vec<String> {
    ran.lines().iter().filter_map(|line| line["refused"]["code"].as_str().map(str::to_owned)).collect()
}

/// Returns a line that registers one more organisation.
pub(crate) fn registration(number: u32, name: &str) -> String {
    json!({
        "command": format!("10000000-0000-4000-8000-{number:012}"),
        "do": "RegisterOrganisation",
        "stream": format!("organisation/extra-{number}"),
        "actor": { "organisation": "bureau-wz", "role": "bureau", "person": "经办人甲" },
        "effective": "2019-01-02",
        "payload": { "name": name, "kind": "public_school", "legal_representative": "法人乙" },
    })
    .to_string()
}

/// Gives lines to a command, which may refuse and end before it has read them.
pub(crate) fn fed(mut command: Command, lines: &[u8]) -> Ran {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    let feeding = std::thread::spawn(move || drop(input.write_all(&lines)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    Ran::of(&output)
}
