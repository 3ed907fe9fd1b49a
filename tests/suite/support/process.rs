//! The binary as a process of its own, to be killed, paused and fed, and dice whose seed is told.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use weituo::store::{self, Store, StoreOptions};

use super::commands::REGISTRY;
use super::ledger::Kind;
use super::postgres::fresh_database;

/// A folder, a ledger in it or in PostgreSQL, and the binary that works on it.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) ledger: String,
    pub(crate) verifier: weituo_proof::VerifierKey,
}

impl Bench {
    /// Makes a ledger whose root bureau `bureau-wz` is registered.
    pub(crate) async fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = match kind {
            Kind::Sqlite => format!("sqlite://{}", folder.path().join("ledger.db").display()),
            Kind::Postgres => fresh_database().await,
        };
        Self::at(folder, ledger)
    }

    /// Makes such a ledger at an address, with key and anchor in a folder.
    pub(crate) fn at(folder: TempDir, ledger: String) -> Self {
        let stranger = weituo_proof::SigningKey::from_seed("none", [1; 32]).unwrap().verifier().clone();
        let mut bench = Self { folder, ledger, verifier: stranger };
        let made = bench.run(&["--json", "init", "--origin", "log.example/kill", "--bureau", "bureau-wz"]);
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        bench.verifier = made["verifier_key"].as_str().unwrap().parse().unwrap();
        let bureau: Value = serde_json::from_str(REGISTRY.lines().next().unwrap()).unwrap();
        let recorded = bench.start_recording("bureau", &[bureau], &[]).wait().unwrap();
        assert!(recorded.success(), "{}", bench.errors("bureau"));
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weituo"));
        command
            .current_dir(self.folder.path())
            .env("WEITUO_LEDGER", &self.ledger)
            .env("WEITUO_SIGNING_KEY", self.path("ledger.key"))
            .env("WEITUO_ANCHOR", self.path("ledger.anchor"))
            .env_remove("WEITUO_FAILPOINTS")
            .args(["--lang", "en"])
            .args(arguments);
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts a recording process that reads its commands from a file of these lines and writes to another.
    pub(crate) fn start_recording(&self, name: &str, lines: &[Value], environment: &[(&str, &str)]) -> Child {
        let mut input = std::fs::File::create(self.path(&format!("{name}.in"))).unwrap();
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
        let output = std::fs::File::create(self.path(&format!("{name}.out"))).unwrap();
        let errors = std::fs::File::create(self.path(&format!("{name}.err"))).unwrap();
        self.command(&["record", &format!("{name}.in")])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap()
    }

    /// Returns what a recording process answered so far: its whole lines.
    pub(crate) fn answers(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(&format!("{name}.out"))).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns what a recording process wrote to standard error.
    pub(crate) fn errors(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.err"))).unwrap()
    }

    pub(crate) async fn store(&self) -> std::sync::Arc<dyn Store> {
        store::open(&self.ledger.parse().unwrap(), StoreOptions::default(), false).await.unwrap()
    }

    /// Asserts that `verify` finds the whole ledger intact and nothing left out.
    #[track_caller]
    pub(crate) fn assert_verifies(&self) {
        let ran = self.run(&["verify"]);
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert_eq!(ran.status.code(), Some(0), "{out}{err}");
        assert!(out.contains("intact: nothing acknowledged was altered"), "{out}");
    }
}

/// Returns all that a process said.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Asserts that a process ended with a code, and returns all that it said.
#[track_caller]
pub(crate) fn expect_code(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
    text(output)
}

/// Records registrations of these numbers, all of which have to be accepted.
pub(crate) fn record(bench: &Bench, name: &str, numbers: std::ops::Range<u32>) {
    let lines: Vec<Value> = numbers.map(registration).collect();
    let status = bench.start_recording(name, &lines, &[]).wait().unwrap();
    assert!(status.success(), "{}", bench.errors(name));
}

/// Returns a registration of an organisation of its own, with a sealed name in it, so that a half of it would show.
pub(crate) fn registration(number: u32) -> Value {
    json!({
        "command": format!("20000000-0000-4000-8000-{number:012}"),
        "do": "RegisterOrganisation",
        "stream": format!("organisation/extra-{number}"),
        "actor": { "organisation": "bureau-wz", "role": "bureau", "person": "经办人甲" },
        "effective": "2019-01-02",
        "payload": { "name": format!("第{number}学校"), "kind": "public_school", "legal_representative": "法人乙" },
    })
}

/// Random numbers from a seed (`SplitMix64`).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Returns dice with the seed in `WEITUO_TEST_SEED`, or a new one, which is printed if the test fails.
    pub(crate) fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let given = std::env::var("WEITUO_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()) ^ now.as_secs());
        println!("repeat with WEITUO_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
