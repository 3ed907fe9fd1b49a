//! What a restart needs to commit a batch again: its entries and their disclosures, as the anchor's file keeps them while the
//! batch is being committed.
//!
//! Text: an entry a line, from the size on that the batch follows; then a disclosure a line, the leaf index of its entry before
//! it and a space between. Every column follows from these.
//!
//! Invariants: what is committed again has the very bytes that were being committed: the seal binds the root, the root the
//! entries, and these the digests of their disclosures. Only a batch that its database can take in once and again in any
//! order of crashes is kept so (`Prepared::redoable`).
//! Absent: where it is kept (`anchor::file`), and when it is used (`open`, `recover`).
//! Source: design.md "The append path" step 4; docs/decisions/0018.

use std::sync::Arc;

use weituo_proof::tree::verify_inclusion;
use weituo_proof::{Both, Disclosure, Entry, EntryError, Frontier, Hash, LeafIndex, TreeSize, leaf_hash};

use super::follow::Halt;
use super::seal::SealKey;
use super::shared::Shared;
use super::types::{LedgerError, ReadOnly};
use crate::store::{Batch, CommitOutcome, DisclosureRow, EntryRow, Head};

/// Most bytes that are kept.
pub(super) const ROOM: usize = 1 << 20;
/// A leaf index's 20 digits, a space and a line's end.
const BESIDE_DISCLOSURE: usize = 22;
/// What is wrong with a batch that somebody else put there.
pub(super) const NOT_SEALED: Both = Both::new(
    "其中所存的一批不是本台账的密钥所封",
    "the batch that it keeps is not one that a key of the log sealed",
);
const OTHER_ROOT: Both =
    Both::new("其中所存的一批得出另一根哈希", "the batch that it keeps leads to another root");

/// A batch that was being committed on an anchored head when its process ended.
#[derive(Debug, Clone)]
pub(super) struct Intended {
    /// The size that it follows, which is the anchored checkpoint's.
    pub(super) from: u64,
    /// The head that it leaves.
    pub(super) after: Head,
    /// Its text.
    pub(super) redo: Vec<u8>,
}

/// Returns the length of a batch's text.
pub(super) fn length(batch: &Batch) -> usize {
    let entries: usize = batch.rows.iter().map(|row| row.body.len() + 1).sum();
    let disclosures: usize =
        batch.disclosures.iter().map(|row| row.disclosure.len() + BESIDE_DISCLOSURE).sum();
    entries + disclosures
}

/// Returns a batch's text.
pub(super) fn encode(batch: &Batch) -> Vec<u8> {
    let mut text = Vec::with_capacity(length(batch));
    for row in &batch.rows {
        text.extend_from_slice(row.body.as_bytes());
        text.push(b'\n');
    }
    for row in &batch.disclosures {
        text.extend_from_slice(format!("{} {}\n", row.leaf_index, row.disclosure).as_bytes());
    }
    text
}

/// Returns the row of an entry: every column follows from its bytes.
pub(super) fn row_of(leaf_index: u64, body: Arc<str>) -> Result<EntryRow, EntryError> {
    let entry = Entry::parse(body.as_bytes())?;
    Ok(EntryRow {
        leaf_index,
        stream: entry.stream.to_string(),
        sequence: entry.sequence,
        command: entry.command.to_bytes(),
        leaf_hash: leaf_hash(body.as_bytes()),
        body,
    })
}

/// Whether a disclosure opens a value that its entry seals, and says so by its right digest.
pub(super) fn opens(row: &EntryRow, kept: &DisclosureRow) -> bool {
    if row.leaf_index != kept.leaf_index {
        return false;
    }
    let digest = Disclosure::decode(&kept.disclosure).map(|disclosure| disclosure.digest());
    let sealed = Entry::parse(row.body.as_bytes()).map(|entry| entry.sealed_digests()).unwrap_or_default();
    digest.is_ok_and(|digest| digest == kept.digest && sealed.contains(&digest))
}

impl Intended {
    /// Returns size and root of the head that the batch leaves.
    pub(super) fn tree_head(&self) -> (u64, Hash) {
        (self.after.size, self.after.root)
    }

    /// Whether it follows the anchored checkpoint under the seal of one of these keys: whoever writes the file without one can
    /// have nothing committed.
    pub(super) fn is_sealed(&self, seal: &SealKey) -> bool {
        self.from < self.after.size && seal.holds(&self.after)
    }

    /// Returns the entries' bytes, in their order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Arc<str>> {
        self.text().lines().take(self.number()).map(Arc::from)
    }

    /// Returns those of them at leaf indexes from `next` up to `end`.
    pub(super) fn entries_from(&self, next: u64, end: u64) -> impl Iterator<Item = Arc<str>> {
        let within = self.entries().zip(self.from..end);
        within.filter(move |(_, leaf_index)| *leaf_index >= next).map(|(body, _)| body)
    }

    /// Returns the disclosures of its entries.
    pub(super) fn disclosures(&self) -> impl Iterator<Item = DisclosureRow> {
        self.text().lines().skip(self.number()).filter_map(|line| {
            let (leaf_index, disclosure) = line.split_once(' ')?;
            let digest = Disclosure::decode(disclosure).ok()?.digest();
            Some(DisclosureRow {
                digest,
                leaf_index: leaf_index.parse().ok()?,
                disclosure: disclosure.to_owned(),
            })
        })
    }

    fn number(&self) -> usize {
        usize::try_from(self.after.size.saturating_sub(self.from)).unwrap_or(usize::MAX)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.redo).unwrap_or_default()
    }

    /// Returns the batch, on the head that it was being committed on, whose entries are in `frontier`.
    fn batch(&self, head: &Head, mut frontier: Frontier) -> Option<Batch> {
        let entries = self.entries().zip(self.from..);
        let rows = entries.map(|(body, leaf_index)| row_of(leaf_index, body)).collect::<Result<Vec<_>, _>>();
        let rows = rows.ok()?;
        for row in &rows {
            frontier.append(row.leaf_hash);
        }
        if (frontier.size().get(), frontier.root()) != self.tree_head() {
            return None;
        }
        let disclosures: Vec<_> = self.disclosures().collect();
        let opened = disclosures.iter().all(|kept| rows.iter().any(|row| opens(row, kept)));
        let (before, after) = (Some(head.fence()), self.after.clone());
        opened.then_some(Batch { before, after, rows, disclosures, erase: Vec::new() })
    }
}

/// What became of a batch that was being committed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redone {
    /// It is in the log.
    Committed,
    /// Another head was there, by what its process had sent or by another process that starts: the anchor is asked again.
    Overtaken,
    /// It never was: a command of it had been recorded before it.
    Refused,
}

/// Commits a batch again that was being committed on this head when its process ended.
pub(super) async fn redo(
    shared: &Shared,
    seal: &SealKey,
    head: &Head,
    intended: &Intended,
) -> Result<Redone, Halt> {
    let damaged = |what| {
        let path = shared.anchor.place();
        Halt::ReadOnly(ReadOnly::AnchorDamaged { path, what })
    };
    if !intended.is_sealed(seal) {
        return Err(damaged(NOT_SEALED));
    }
    let frontier = shared.with_tree(|tree| tree.frontier().clone());
    let batch = intended.batch(head, frontier);
    let batch = Arc::new(batch.ok_or_else(|| damaged(OTHER_ROOT))?);
    tracing::warn!(
        from = head.size,
        to = intended.after.size,
        "a batch was being committed when its process ended: it is committed again from the anchor"
    );
    match shared.store.commit(&batch).await? {
        CommitOutcome::Committed => Ok(Redone::Committed),
        CommitOutcome::FenceLost => Ok(Redone::Overtaken),
        CommitOutcome::Duplicate => {
            let commands: Vec<[u8; 16]> = batch.rows.iter().map(|row| row.command).collect();
            for row in shared.store.by_command(&commands).await? {
                if is_in_log(shared, head, &row).await? {
                    return Ok(Redone::Refused);
                }
            }
            Err(Halt::ReadOnly(place_taken()))
        }
    }
}

/// Why nothing is written where the database has a row that no writer put there.
pub(super) fn place_taken() -> ReadOnly {
    let what = Both::new(
        "有行占着下一条记录或其披露值的位置,或占用了其编号",
        "a row stands where the next entry of its stream or what it discloses belongs, or has its command id",
    );
    ReadOnly::Corrupt { what }
}

/// Whether a row is an entry that this head covers, by its bytes, and has the command that its column says.
pub(super) async fn is_in_log(shared: &Shared, head: &Head, row: &EntryRow) -> Result<bool, Halt> {
    let own = row_of(row.leaf_index, Arc::clone(&row.body)).ok();
    if row.leaf_index >= head.size || own.as_ref() != Some(row) {
        return Ok(false);
    }
    let proof = match shared.inclusion(row.leaf_index, head.size).await {
        Ok(proof) => proof,
        Err(LedgerError::Store(error)) => return Err(error.into()),
        Err(_) => return Ok(false),
    };
    let (index, size) = (LeafIndex::new(row.leaf_index), TreeSize::new(head.size));
    Ok(verify_inclusion(&leaf_hash(row.body.as_bytes()), index, size, &proof, &head.root).is_ok())
}
