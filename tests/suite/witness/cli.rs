//! What the command line says of cosignatures.

use serde_json::Value;
use weituo_proof::VerifierKey;

use crate::support::commands::REGISTRY;
use crate::support::shell::{Ran, Shell, registration};
use crate::support::witness::{Witness, write_policy};

struct Desk {
    shell: Shell,
    key: VerifierKey,
    witness: Witness,
}

impl Desk {
    fn new() -> Self {
        let shell = Shell::sqlite();
        let made =
            shell.run(&["--json", "init", "--origin", "ledger.example/cosigned", "--bureau", "bureau-wz"]);
        let key: VerifierKey = made.expect_code(0).json()["verifier_key"].as_str().unwrap().parse().unwrap();
        shell.record(REGISTRY).expect_code(0);
        let witness = Witness::start(&shell.path("witness"), &[&key]);
        let desk = Self { shell, key, witness };
        desk.policy(&desk.witness.url);
        desk
    }

    fn policy(&self, url: &str) {
        write_policy(&self.shell.path("policy"), &[("own", &self.witness.key, url)], "quorum own");
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.shell.command(arguments).args(["--policy", "policy"]).output().unwrap())
    }

    /// Records one registration, and returns what came back.
    fn record(&self, number: u32, further: &[&str]) -> Ran {
        std::fs::write(self.shell.path("line"), registration(number, "甲")).unwrap();
        self.run(&[&["record", "line"], further].concat())
    }
}

fn leaf_of(ok: &Value) -> String {
    ok["ok"]["leaf_index"].to_string()
}

#[test]
fn record_says_whether_a_receipt_is_cosigned_and_receipt_upgrades_it() {
    let desk = Desk::new();
    let ok = desk.record(1, &[]).expect_code(0).lines().remove(0);
    assert_eq!(ok["ok"]["cosigned"], serde_json::json!([]));
    let receipt = desk.run(&["--json", "receipt", &leaf_of(&ok)]).expect_code(0).json();
    assert_eq!(receipt["cosigned"], serde_json::json!(["own"]));
    let proof = weituo_proof::Receipt::parse_with_entry(receipt["receipt"].as_str().unwrap()).unwrap();
    proof.verify(&desk.key).unwrap();
    let shown = desk.run(&["receipt", &leaf_of(&ok)]).expect_code(0);
    assert!(shown.err.contains("cosigned by own"), "{}", shown.err);
    assert!(weituo_proof::Receipt::parse_with_entry(&shown.out).is_ok(), "{}", shown.out);
    // The file beside the anchor is a checkpoint that `verify` takes.
    let verified = desk.shell.run(&["verify", "--checkpoint", "ledger.cosigned"]).expect_code(0);
    assert!(verified.out.contains("extends the checkpoints given"), "{}", verified.out);
    // Without a policy nobody is asked, and nothing is said.
    let plain = desk.shell.run(&["receipt", &leaf_of(&ok)]).expect_code(0);
    assert_eq!(plain.err, "");
}

#[test]
fn where_answers_wait_and_no_witness_answers_the_entry_is_recorded_and_said_to_be() {
    let desk = Desk::new();
    let waiting = ["--wait-for-witnesses=1"];
    let ok = desk.record(1, &waiting).expect_code(0).lines().remove(0);
    assert_eq!(ok["ok"]["cosigned"], serde_json::json!(["own"]));
    desk.policy("http://127.0.0.1:9");
    let late = desk.record(2, &[&waiting[..], &["--json"]].concat()).expect_code(2);
    assert!(
        late.err.contains("\"not-cosigned\"") && late.err.contains("is recorded at leaf"),
        "{}",
        late.err
    );
    let repeated = desk.record(2, &[]).expect_code(0).lines().remove(0);
    assert_eq!(repeated["ok"]["repeated"], true);
    let shown = desk.run(&["receipt", &leaf_of(&repeated)]).expect_code(0);
    assert!(shown.err.contains("not cosigned yet"), "{}", shown.err);
    desk.policy(&desk.witness.url);
    let shown = desk.run(&["receipt", &leaf_of(&repeated)]).expect_code(0);
    assert!(shown.err.contains("cosigned by own"), "{}", shown.err);
    let unusable = desk.shell.command(&["record", "line", "--policy", "nowhere"]).output().unwrap();
    assert_eq!(unusable.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unusable.stderr).contains("the policy nowhere cannot be used"));
}
