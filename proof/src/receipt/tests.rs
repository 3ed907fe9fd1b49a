use super::*;
use crate::entry::{Actor, Draft, Position};
use crate::ident::{CommandId, Effective, RecordedAt, StreamName};
use crate::note::SigningKey;
use crate::tree::{MemoryNodes, inclusion_proof};

fn entry(ledger: &str, sequence: u64) -> String {
    let draft = Draft {
        actor: Actor { key: None, organisation: "bureau".into(), person: None, role: "bureau".into() },
        as_found: false,
        command: CommandId::new("0190a3b2-7c1d-7def-8123-456789abcdef").unwrap(),
        effective: Effective::new("2020-06-30").unwrap(),
        ledger: Origin::new(ledger).unwrap(),
        parties: Vec::new(),
        payload: "{}".into(),
        seen: None,
        signature: None,
        stream: StreamName::new("agreement/a").unwrap(),
        event_type: "T".into(),
        version: 1,
    };
    let recorded_at = RecordedAt::from_unix_millis(0).unwrap();
    draft.entry(&Position { prev: Hash::ZERO, recorded_at, sequence }).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed("log.example", [9; 32]).unwrap()
}

/// The receipt of leaf 2 in a log of five entries, of `ledger`, under a checkpoint of `log.example`.
fn receipt(ledger: &str) -> Receipt {
    let entries: Vec<_> = (1..=5).map(|sequence| entry(ledger, sequence)).collect();
    let mut nodes = MemoryNodes::new();
    nodes.extend(entries.iter().map(|entry| leaf_hash(entry.as_bytes())));
    let origin = Origin::new("log.example").unwrap();
    let checkpoint = Checkpoint { origin, size: nodes.size(), root: nodes.root() };
    let leaf_index = LeafIndex::new(2);
    Receipt {
        entry: entries[2].clone(),
        leaf_index,
        inclusion: inclusion_proof(&nodes, leaf_index, nodes.size()).unwrap(),
        checkpoint: checkpoint.sign(&key()).unwrap().to_string(),
    }
}

#[test]
fn a_receipt_verifies_and_reads_back_with_its_entry_beside_or_inside() {
    let receipt = receipt("log.example");
    assert_eq!(receipt.verify(key().verifier()).unwrap().size.get(), 5);
    let text = receipt.text();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 2\n"));
    assert_eq!(Receipt::parse(&text, &receipt.entry).unwrap(), receipt);
    let one_file = receipt.text_with_entry();
    assert_eq!(Receipt::parse_with_entry(&one_file).unwrap(), receipt);
    assert_eq!(Receipt::parse(&one_file, &receipt.entry).unwrap(), receipt);
    assert!(matches!(Receipt::parse_with_entry(&text), Err(ReceiptError::NoEntry)));
}

#[test]
fn each_altered_part_fails_as_what_it_is() {
    let good = receipt("log.example");
    let verify = |change: fn(&mut Receipt)| {
        let mut altered = good.clone();
        change(&mut altered);
        altered.verify(key().verifier()).unwrap_err()
    };
    assert!(matches!(verify(|r| r.entry = r.entry.replace("06-30", "06-29")), ReceiptError::Proof(_)));
    assert!(matches!(verify(|r| r.entry.push(' ')), ReceiptError::Entry(_)));
    assert!(matches!(verify(|r| r.leaf_index = LeafIndex::new(3)), ReceiptError::Proof(_)));
    assert!(matches!(verify(|r| r.inclusion[0].0[0] ^= 1), ReceiptError::Proof(_)));
    assert!(matches!(
        verify(|r| r.checkpoint = r.checkpoint.replacen("\n5\n", "\n6\n", 1)),
        ReceiptError::Checkpoint(_)
    ));
    let other = SigningKey::from_seed("log.example", [8; 32]).unwrap();
    assert!(matches!(good.verify(other.verifier()), Err(ReceiptError::Checkpoint(_))));
    let foreign = receipt("other.example");
    assert!(matches!(foreign.verify(key().verifier()), Err(ReceiptError::OtherLedger { .. })));
}

#[test]
fn malformed_lines_are_refused_by_number() {
    let good = receipt("log.example").text_with_entry();
    let line_of = |text: String| match Receipt::parse_with_entry(&text) {
        Err(ReceiptError::Line { line, .. }) => line,
        other => panic!("{other:?}"),
    };
    assert_eq!(line_of(good.replacen("@v1", "@v2", 1)), 1);
    // Without the empty line the checkpoint's origin, line 7, stands where a hash should.
    assert_eq!(line_of(good.replacen("\n\n", "\n", 1)), 7);
    assert_eq!(line_of(good.replacen("extra ", "extra =", 1)), 2);
    assert_eq!(line_of(good.replacen("extra ", "extra2 ", 1)), 2);
    assert_eq!(line_of(good.replacen("index 2", "index 02", 1)), 3);
    assert_eq!(line_of(good.replacen("index 2\n", "index 2\nAAAA\n", 1)), 4);
    assert_eq!(line_of(good.replacen("index 2\n", "", 1)), 3);
    let hash = format!("{}\n", STANDARD.encode([0; 32]));
    assert_eq!(line_of(good.replacen("index 2\n", &format!("index 2\n{}", hash.repeat(63)), 1)), 68);
    let cut = good.trim_end();
    assert!(matches!(Receipt::parse_with_entry(cut), Err(ReceiptError::Note(_))));
}
