//! The anchor file, written, torn, shared and damaged.

use std::os::unix::fs::FileExt as _;

use weituo_proof::{MemoryNodes, Origin, SigningKey};

use super::*;
use crate::store::{EntryRow, Head};

struct Log {
    folder: tempfile::TempDir,
    key: SigningKey,
    nodes: MemoryNodes,
}

impl Log {
    fn new() -> Self {
        let key = SigningKey::from_seed("log.example", [3; 32]).unwrap();
        let mut nodes = MemoryNodes::new();
        nodes.extend((0..20_u64).map(|index| weituo_proof::leaf_hash(&index.to_be_bytes())));
        Self { folder: tempfile::tempdir().unwrap(), key, nodes }
    }

    fn anchor(&self) -> FileAnchor {
        FileAnchor::new(
            self.folder.path().join("ledger.anchor"),
            vec![self.key.verifier().clone()],
            Some(SealKey::of_seeds(&[3])),
        )
    }

    fn anchored(&self) -> SignedCheckpoint {
        self.anchor().load().unwrap().unwrap().checkpoint
    }

    fn at(&self, size: u64) -> SignedCheckpoint {
        let Ok(root) = weituo_proof::tree::root(&self.nodes, TreeSize::new(size));
        self.signed(size, root)
    }

    fn signed(&self, size: u64, root: Hash) -> SignedCheckpoint {
        let (origin, size) = (Origin::new("log.example").unwrap(), TreeSize::new(size));
        let text = Checkpoint { origin, size, root }.sign(&self.key).unwrap().to_string();
        SignedCheckpoint { size, root, text }
    }

    fn proof(&self, from: u64, to: u64) -> Vec<Hash> {
        weituo_proof::tree::consistency_proof(&self.nodes, TreeSize::new(from), TreeSize::new(to)).unwrap()
    }

    fn advance(&self, from: u64, to: u64) -> Result<Advanced, LedgerError> {
        self.anchor().advance((from, self.at(from).root), &self.at(to), &self.proof(from, to))
    }
}

#[test]
fn the_anchor_moves_forward_only_and_never_forks() {
    let log = Log::new();
    assert!(log.anchor().load().unwrap().is_none());
    log.anchor().create(&log.at(1)).unwrap();
    assert!(log.anchor().create(&log.at(2)).is_err());
    assert!(matches!(log.advance(1, 5).unwrap(), Advanced::Durable));
    assert!(matches!(log.advance(5, 9).unwrap(), Advanced::Durable));
    assert!(matches!(log.advance(5, 7).unwrap(), Advanced::Ahead(_)));
    assert!(matches!(log.advance(5, 12).unwrap(), Advanced::Moved(now) if now == (9, log.at(9).root)));
    let other = log.signed(9, Hash([1; 32]));
    assert!(log.anchor().advance((9, log.at(9).root), &other, &[]).is_err());
    let fork = log.signed(12, Hash([1; 32]));
    assert!(log.anchor().advance((9, log.at(9).root), &fork, &log.proof(9, 12)).is_err());
    assert_eq!(log.anchored(), log.at(9));
}

#[test]
fn a_torn_write_leaves_the_other_slot() {
    let log = Log::new();
    log.anchor().create(&log.at(1)).unwrap();
    log.advance(1, 5).unwrap();
    let file = OpenOptions::new().write(true).open(log.anchor().path()).unwrap();
    file.write_all_at(b"torn", (SLOT_BYTES + 28) as u64).unwrap();
    assert_eq!(log.anchored(), log.at(1));
    assert!(matches!(log.advance(1, 7).unwrap(), Advanced::Durable));
    assert_eq!(log.anchored(), log.at(7));
}

#[test]
fn a_damaged_anchor_says_so() {
    let log = Log::new();
    std::fs::write(log.anchor().path(), [0; 100]).unwrap();
    assert!(matches!(log.anchor().load(), Err(LedgerError::ReadOnly(ReadOnly::AnchorDamaged { .. }))));
    let other = SigningKey::from_seed("log.example", [4; 32]).unwrap();
    let log = Log { key: other, ..Log::new() };
    log.anchor().create(&log.at(1)).unwrap();
    let stranger = SigningKey::from_seed("log.example", [5; 32]).unwrap().verifier().clone();
    assert!(FileAnchor::new(log.anchor().path, vec![stranger], None).load().is_err());
}

/// Returns a batch that follows a checkpoint, with entries of so many bytes.
fn batch(log: &Log, from: u64, to: u64, bytes: usize) -> Batch {
    let row = |leaf_index| EntryRow {
        leaf_index,
        stream: "agreement/a".to_owned(),
        sequence: leaf_index,
        command: [0; 16],
        leaf_hash: Hash::ZERO,
        body: "x".repeat(bytes).into(),
    };
    let (size, root) = (to, log.at(to).root);
    let recorded_at = "2026-01-02T03:04:05.678Z".to_owned();
    let seal = SealKey::of_seeds(&[3]).seal("log.example", size, &root, &recorded_at);
    let after = Head { origin: "log.example".to_owned(), size, root, seal, recorded_at };
    let (rows, disclosures) = ((from..to).map(row).collect(), Vec::new());
    Batch { before: None, after, rows, disclosures, erase: Vec::new() }
}

/// Returns an anchor whose process is alone, at size 5.
fn alone(log: &Log) -> FileAnchor {
    let anchor = log.anchor();
    anchor.create(&log.at(5)).unwrap();
    anchor.join().unwrap();
    assert!(!anchor.may_intend() && anchor.is_alone(), "not before it has committed");
    anchor.has_committed();
    assert!(anchor.may_intend());
    anchor
}

#[test]
fn an_intent_is_vouched_for_until_it_is_settled_or_withdrawn_and_then_leaves_no_trace() {
    let log = Log::new();
    let anchor = alone(&log);
    anchor.intend(&log.at(5), &batch(&log, 5, 7, 1000)).unwrap();
    assert!(
        log.anchor().load().unwrap().unwrap().intended.is_none(),
        "who is alone settles his intent himself"
    );
    // The next one follows it, whether its checkpoint was written alone before or not.
    let not_anchored = anchor.intend(&log.at(5), &batch(&log, 5, 8, 10));
    assert!(not_anchored.unwrap_err().to_string().contains("cannot be written"));
    anchor.intend(&log.at(7), &batch(&log, 7, 8, 10)).unwrap();
    drop(anchor);
    let left = log.anchor().load().unwrap().unwrap();
    assert_eq!((left.vouched(), left.checkpoint.clone()), ((8, log.at(8).root), log.at(7)));
    assert_eq!((left.held_against(7), left.held_against(6)), ((7, log.at(7).root), (8, log.at(8).root)));
    assert_eq!(left.intended.unwrap().redo, [b"xxxxxxxxxx\n".as_slice()].concat());
    assert!(matches!(log.advance(5, 7).unwrap(), Advanced::Ahead((8, _))), "it is not lowered");
    assert!(
        log.anchor().advance((7, log.at(7).root), &log.signed(8, Hash::ZERO), &[]).is_err(),
        "nor forked"
    );
    assert!(matches!(log.advance(8, 8).unwrap(), Advanced::Durable));
    let settled = log.anchor().load().unwrap().unwrap();
    assert!(settled.intended.is_none() && settled.checkpoint == log.at(8));
    assert!(!has_redo(&log));

    let anchor = log.anchor();
    anchor.join().unwrap();
    assert!(!anchor.may_intend());
    anchor.has_committed();
    anchor.intend(&log.at(8), &batch(&log, 8, 9, 50)).unwrap();
    anchor.withdraw((9, log.at(9).root)).unwrap();
    assert!(!has_redo(&log));
    anchor.intend(&log.at(8), &batch(&log, 8, 11, 50)).unwrap();
    drop(anchor);
    log.anchor().withdraw((11, log.at(11).root)).unwrap();
    let withdrawn = log.anchor().load().unwrap().unwrap();
    assert_eq!((withdrawn.vouched(), has_redo(&log)), ((8, log.at(8).root), false));
}

fn has_redo(log: &Log) -> bool {
    let bytes = std::fs::read(log.anchor().path()).unwrap();
    bytes[2 * SLOT_BYTES..].iter().any(|byte| *byte != 0)
}

#[test]
fn an_intent_that_is_not_sealed_or_goes_back_is_damage_and_without_the_key_it_is_not_told() {
    let log = Log::new();
    let anchor = alone(&log);
    let mut unsealed = batch(&log, 5, 7, 10);
    unsealed.after.seal = [7; 32];
    anchor.intend(&log.at(5), &unsealed).unwrap();
    drop(anchor);
    let refused = log.anchor().load();
    assert!(matches!(refused, Err(LedgerError::ReadOnly(ReadOnly::AnchorDamaged { .. }))), "{refused:?}");
    let reader = FileAnchor::new(log.anchor().path().to_owned(), vec![log.key.verifier().clone()], None);
    let read = reader.load().unwrap().unwrap();
    assert!(read.intended.is_none() && read.checkpoint == log.at(5));
    // An older head of this very log, put there as an intent.
    let log = Log::new();
    let anchor = alone(&log);
    anchor.intend(&log.at(5), &batch(&log, 2, 3, 10)).unwrap();
    drop(anchor);
    assert!(matches!(log.anchor().load(), Err(LedgerError::ReadOnly(ReadOnly::AnchorDamaged { .. }))));
}

#[test]
fn an_intent_without_its_redo_counts_for_nothing_and_is_told() {
    let log = Log::new();
    let anchor = alone(&log);
    anchor.intend(&log.at(5), &batch(&log, 5, 7, 100)).unwrap();
    anchor.intend(&log.at(7), &batch(&log, 7, 9, 100)).unwrap();
    drop(anchor);
    let whole = std::fs::read(log.anchor().path()).unwrap();
    let broken = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(log.anchor().path(), bytes).unwrap();
        let left = log.anchor().load().unwrap().unwrap();
        (left.vouched().0, left.checkpoint.size.get(), log.anchor().is_broken_in_part().unwrap())
    };
    assert!(!log.anchor().is_broken_in_part().unwrap());
    // The slot written last is the first one: its redo torn, or itself, leaves the intent before it.
    assert_eq!(broken(2 * SLOT_BYTES + 10), (7, 5, true));
    assert_eq!(broken(100), (7, 5, true));
    // The other's redo counts for nothing any more.
    assert_eq!(broken(2 * SLOT_BYTES + redo::ROOM + 10), (9, 7, false));
    // Settled, the newest slot alone has what an older one has not.
    std::fs::write(log.anchor().path(), &whole).unwrap();
    log.advance(9, 9).unwrap();
    let settled = std::fs::read(log.anchor().path()).unwrap();
    let mut bytes = settled;
    bytes[SLOT_BYTES + 100] ^= 1;
    std::fs::write(log.anchor().path(), bytes).unwrap();
    let left = log.anchor().load().unwrap().unwrap();
    assert_eq!((left.vouched(), log.anchor().is_broken_in_part().unwrap()), ((7, log.at(7).root), true));
}

#[test]
fn who_is_present_with_others_writes_no_intent_and_who_is_alone_lets_them_in() {
    let log = Log::new();
    let one = alone(&log);
    let two = log.anchor();
    one.intend(&log.at(5), &batch(&log, 5, 7, 10)).unwrap();
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| two.join());
        while one.may_intend() {
            std::thread::yield_now();
        }
        assert!(one.is_alone(), "not before its intent is settled");
        one.give_way();
        assert!(one.is_alone());
        one.advance((7, log.at(7).root), &log.at(7), &[]).unwrap();
        assert!(!one.may_intend() && !one.is_alone());
        joining.join().unwrap().unwrap();
    });
    assert!(!one.may_intend() && !two.may_intend());
    assert!(one.intend(&log.at(7), &batch(&log, 7, 9, 10)).is_err());
    two.leave();
    assert!(!one.may_intend() && one.is_alone());
    one.has_committed();
    // Another file of the same name: nobody is alone with it until he has joined again.
    let away = log.folder.path().join("away");
    std::fs::rename(one.path(), &away).unwrap();
    assert!(one.has_joined() && !one.may_intend());
    log.anchor().create(&log.at(5)).unwrap();
    assert!(!one.has_joined() && !one.may_intend());
    one.join().unwrap();
    assert!(!one.may_intend() && one.is_alone());
    one.leave();
    assert!(!one.is_alone());
}

#[test]
fn an_intent_that_broke_off_is_obeyed_by_nobody_and_overwritten() {
    let log = Log::new();
    let anchor = alone(&log);
    anchor.intend(&log.at(5), &batch(&log, 5, 7, 5000)).unwrap();
    drop(anchor);
    // A power failure kept the slot, and of the redo a part.
    let mut bytes = std::fs::read(log.anchor().path()).unwrap();
    let part = 2 * SLOT_BYTES + redo::ROOM;
    bytes[part..part + 4096].fill(0);
    std::fs::write(log.anchor().path(), &bytes).unwrap();
    let anchor = log.anchor();
    anchor.join().unwrap();
    assert!(!anchor.may_intend());
    assert!(matches!(anchor.advance((5, log.at(5).root), &log.at(5), &[]).unwrap(), Advanced::Durable));
    assert!(!has_redo(&log) && !anchor.is_broken_in_part().unwrap());
    anchor.has_committed();
    anchor.intend(&log.at(5), &batch(&log, 5, 6, 10)).unwrap();
    drop(anchor);
    assert_eq!(log.anchor().load().unwrap().unwrap().vouched(), (6, log.at(6).root));
}

#[test]
fn a_redo_that_no_slot_tells_of_is_swept_away() {
    let log = Log::new();
    let anchor = alone(&log);
    anchor.intend(&log.at(5), &batch(&log, 5, 7, 100)).unwrap();
    anchor.advance((7, log.at(7).root), &log.at(7), &[]).unwrap();
    drop(anchor);
    // A power failure kept the redo, and not its slot.
    let file = OpenOptions::new().write(true).open(log.anchor().path()).unwrap();
    file.write_all_at(b"a name", (2 * SLOT_BYTES + 7) as u64).unwrap();
    assert!(has_redo(&log));
    assert!(matches!(log.advance(7, 7).unwrap(), Advanced::Ahead(_)), "nothing is to be anchored");
    assert!(!has_redo(&log));
}

#[test]
fn withdrawing_an_intent_that_was_not_written_leaves_the_one_before_it() {
    let log = Log::new();
    let anchor = alone(&log);
    anchor.intend(&log.at(5), &batch(&log, 5, 7, 100)).unwrap();
    let answered = std::fs::read(log.anchor().path()).unwrap();
    anchor.withdraw((9, log.at(9).root)).unwrap();
    assert_eq!(std::fs::read(log.anchor().path()).unwrap(), answered, "it never came to be written");
    anchor.intend(&log.at(7), &batch(&log, 7, 9, 100)).unwrap();
    // Of its redo the disk took in a part only.
    let bytes = std::fs::read(log.anchor().path()).unwrap();
    let file = OpenOptions::new().write(true).open(log.anchor().path()).unwrap();
    let torn = bytes[2 * SLOT_BYTES..].iter().position(|byte| *byte == b'x').unwrap();
    file.write_all_at(&[0; 8], (2 * SLOT_BYTES + torn) as u64).unwrap();
    anchor.withdraw((9, log.at(9).root)).unwrap();
    drop(anchor);
    let left = log.anchor().load().unwrap().unwrap();
    assert_eq!(left.vouched(), (7, log.at(7).root));
    assert_eq!(left.intended.unwrap().entries().count(), 2, "with all that a restart needs");
}
