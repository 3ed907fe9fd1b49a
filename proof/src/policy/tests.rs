use super::*;
use crate::hash::leaf_hash;
use crate::ident::{Origin, TreeSize};
use crate::note::{CosigningKey, SigningKey};

fn log() -> SigningKey {
    SigningKey::from_seed("log.example", [99; 32]).unwrap()
}

fn witness(number: u8) -> CosigningKey {
    CosigningKey::from_seed(format!("witness.example/w{number}"), [number; 32]).unwrap()
}

fn note(cosigned_by: &[u8]) -> SignedNote {
    let (origin, size) = (Origin::new("log.example").unwrap(), TreeSize::new(7));
    let mut note = Checkpoint { origin, size, root: leaf_hash(b"root") }.sign(&log()).unwrap();
    for &number in cosigned_by {
        let line = witness(number).cosign(&note, 1_700_000_000 + u64::from(number));
        note.push(line);
    }
    note
}

fn policy(rest: &str) -> Policy {
    let witnesses: Vec<String> =
        (1..=6).map(|number| format!("witness W{number} {}\n", witness(number).verifier())).collect();
    let text = format!("log {} https://log.example\n{}{rest}", log().verifier(), witnesses.concat());
    Policy::parse(text.as_bytes()).unwrap()
}

fn fault(text: &str) -> (usize, LineFault) {
    match Policy::parse(text.as_bytes()) {
        Err(PolicyError::Line { line, fault }) => (line, fault),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn the_specifications_example_asks_for_two_of_three_and_one_of_three() {
    let policy = policy(
        "\n# two groups\n  group\tX 2 W1 W2 W3 \ngroup Y any W4 W5 W6\ngroup X-and-Y all X Y\nquorum X-and-Y\n",
    );
    assert_eq!(policy.logs()[0].url.as_deref(), Some("https://log.example"));
    assert!(policy.asks_for_cosignatures());
    assert!(policy.could_have_quorum(|_| true));
    assert!(policy.could_have_quorum(|witness| ["W1", "W3", "W6"].contains(&witness.name.as_str())));
    assert!(!policy.could_have_quorum(|witness| ["W1", "W2", "W3"].contains(&witness.name.as_str())));
    for (by, enough) in [
        (&[][..], false),
        (&[1, 2], false),
        (&[1, 4], false),
        (&[4, 5, 6], false),
        (&[1, 2, 4], true),
        (&[3, 6, 2], true),
        (&[1, 2, 3, 4, 5, 6], true),
    ] {
        assert_eq!(policy.has_quorum(&note(by)), enough, "{by:?}");
        assert_eq!(policy.open(&note(by).to_string()).is_ok(), enough, "{by:?}");
    }
    let (checkpoint, cosigners) = policy.open(&note(&[3, 6, 2]).to_string()).unwrap();
    assert_eq!(checkpoint.size, TreeSize::new(7));
    let names: Vec<_> =
        cosigners.iter().map(|cosigner| (cosigner.name.as_str(), cosigner.timestamp)).collect();
    assert_eq!(names, [("W2", 1_700_000_002), ("W3", 1_700_000_003), ("W6", 1_700_000_006)]);
}

#[test]
fn a_quorum_is_one_witness_or_none_at_all() {
    let one = policy("quorum W2\n");
    assert!(one.has_quorum(&note(&[2])));
    assert!(!one.has_quorum(&note(&[1, 3])));
    let none = policy("quorum none\n");
    assert!(!none.asks_for_cosignatures());
    assert!(none.open(&note(&[]).to_string()).is_ok());
    assert_eq!(Policy::parse(b"quorum none\n").unwrap().witnesses(), []);
    assert_eq!(Policy::parse(b"# nothing\n"), Err(PolicyError::NoQuorum));
}

#[test]
fn sixteen_and_more_signatures_are_accepted_and_unknown_ones_ignored() {
    let policy = policy("group all all W1 W2 W3 W4 W5 W6\nquorum all\n");
    let mut note = note(&(1..=40).collect::<Vec<_>>());
    let unknown = "\u{2014} new.example/algorithm AAAAAAYGBgYG";
    let text = format!("{note}{unknown}\n");
    note = SignedNote::parse(&text).unwrap();
    assert_eq!(note.signatures().len(), 42);
    assert_eq!(policy.open(&text).unwrap().1.len(), 6);
    assert!(policy.has_quorum(&note));
}

#[test]
fn a_cosignature_that_does_not_hold_counts_as_none() {
    let policy = policy("quorum W1\n");
    let mut forged = note(&[]);
    let mut other = SignedNote::parse(&note(&[]).to_string().replace("\n7\n", "\n8\n")).unwrap();
    forged.push(witness(1).cosign(&other, 5));
    assert_eq!(policy.cosigners(&forged), []);
    let refused = policy.open(&forged.to_string());
    assert_eq!(refused, Err(PolicyRefusal::Quorum { cosigners: Vec::new(), witnesses: 6 }));
    // The same key's signature on another checkpoint beside the right one: the note is not to be believed.
    other = note(&[1]);
    other.push(forged.signatures()[1].clone());
    assert_eq!(policy.cosigners(&other), []);
}

#[test]
fn only_a_log_of_the_policy_is_believed() {
    let policy = policy("quorum none\n");
    let stranger = SigningKey::from_seed("log.example", [1; 32]).unwrap();
    let (origin, size) = (Origin::new("log.example").unwrap(), TreeSize::new(7));
    let note = Checkpoint { origin, size, root: leaf_hash(b"root") }.sign(&stranger).unwrap();
    assert_eq!(policy.open(&note.to_string()), Err(PolicyRefusal::Log { logs: 1 }));
    let other = SignedNote::sign(note.text().replace("log.example", "other.example"), &log()).unwrap();
    assert_eq!(policy.open(&other.to_string()), Err(PolicyRefusal::Log { logs: 1 }));
    assert!(matches!(policy.open("garbage"), Err(PolicyRefusal::Note(_))));
}

#[test]
fn a_witness_whose_algorithm_is_unknown_never_counts() {
    // Type 0x06, ML-DSA-44, with a public key of the wrong length: it is not looked into.
    let text = "witness Q q.example+01020304+BgUFBQ==\nquorum Q\n";
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert!(!policy.has_quorum(&note(&[1])));
    assert!(!policy.could_have_quorum(|_| true));
}

#[test]
fn every_line_that_breaks_the_format_is_named() {
    let (w1, w2, key) =
        (witness(1).verifier().clone(), witness(2).verifier().clone(), log().verifier().clone());
    let two = format!("witness A {w1}\nwitness B {w2}\n");
    let form = |text: &str| matches!(fault(text).1, LineFault::Form { .. });
    assert!(form("log\n") && form("witness A\n") && form("group G all\n") && form("quorum\n"));
    assert!(
        form(&format!("log {key} u v\n")) && form(&format!("witness A {w1} u v\n")) && form("quorum a b\n")
    );
    assert_eq!(fault("\nlogs x\n"), (2, LineFault::Keyword));
    assert_eq!(fault("# a\rb\n"), (1, LineFault::Octet { octet: b'\r' }));
    assert_eq!(fault("quorum none"), (1, LineFault::Unterminated));
    assert!(matches!(fault("log nonsense\n").1, LineFault::Key(_)));
    assert_eq!(fault(&format!("witness A {key}\n")).1, LineFault::KeyKind { role: "a witness" });
    assert_eq!(fault(&format!("log {key}\nlog {key}\n")), (2, LineFault::DuplicateKey));
    let renamed = CosigningKey::from_seed("other.example", [1; 32]).unwrap();
    assert_eq!(fault(&format!("{two}witness C {}\n", renamed.verifier())), (3, LineFault::DuplicateKey));
    let name = |name: &str| name.to_owned();
    assert_eq!(fault(&format!("witness none {w1}\n")).1, LineFault::NameTaken { name: name("none") });
    assert_eq!(fault(&format!("{two}group A any B\n")).1, LineFault::NameTaken { name: name("A") });
    assert_eq!(fault(&format!("{two}group G any C\n")).1, LineFault::NameUnknown { name: name("C") });
    assert_eq!(fault(&format!("{two}group G any G\n")).1, LineFault::NameUnknown { name: name("G") });
    assert_eq!(fault(&format!("{two}group G any none\n")).1, LineFault::NameUnknown { name: name("none") });
    assert_eq!(fault("quorum X\n").1, LineFault::NameUnknown { name: name("X") });
    assert_eq!(fault(&format!("{two}group G any A A\n")).1, LineFault::MemberTwice { name: name("A") });
    let again = format!("{two}group G any A\ngroup H any A B\n");
    assert_eq!(fault(&again), (4, LineFault::MemberTwice { name: name("A") }));
    for threshold in ["0", "3", "-1", "01", "x", "18446744073709551616"] {
        let found = fault(&format!("{two}group G {threshold} A B\n"));
        assert_eq!(found, (3, LineFault::Threshold { members: 2 }), "{threshold}");
    }
    assert_eq!(fault("quorum none\nquorum none\n"), (2, LineFault::SecondQuorum));
}

#[test]
fn names_are_octets() {
    let (w1, w2) = (witness(1).verifier().clone(), witness(2).verifier().clone());
    let mut text = format!("witness K {w1}\nwitness \u{212a} {w2}\n").into_bytes();
    text.extend_from_slice(b"group \xff any K\ngroup \xfe any \xe2\x84\xaa\nquorum \xfe\n");
    let policy = Policy::parse(&text).unwrap();
    assert!(policy.has_quorum(&note(&[2])));
    assert!(!policy.has_quorum(&note(&[1])));
}
