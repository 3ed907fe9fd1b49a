//! The batch that the anchor keeps where a process ended while it was committing it: the log has it, or ends right before it.
//!
//! Absent: putting it in (`ledger`, at its next start).
//! Source: docs/decisions/0018.

use weituo_proof::{Both, Checkpoint, FindingKind, Hash, TreeSize, both};
use weituo_verifier::Collected;

use super::heads::{Claims, THE_ANCHOR, compare};
use super::scan::Scan;

/// Returns what the anchor vouches for beyond its checkpoint, if it does.
pub(super) fn of(anchored: &Checkpoint, intended: Option<(u64, Hash)>) -> Option<Checkpoint> {
    let (size, root) = intended.filter(|(size, _)| *size > anchored.size.get())?;
    Some(Checkpoint { origin: anchored.origin.clone(), size: TreeSize::new(size), root })
}

/// Judges a log against it. Returns whether the log has that batch.
pub(super) fn judge(
    claims: &Claims<'_>,
    anchored: &Checkpoint,
    scan: &Scan,
    intact: &mut Collected,
    notes: &mut Vec<Both>,
) -> bool {
    let Some(intended) = &claims.opened.intended else { return false };
    if scan.size == anchored.size.get() {
        let kept = intended.size.get() - scan.size;
        notes.push(both!(
            "锚点另存有 {kept} 条记录,写入进程中断时正在提交:下次启动即补入,当时被拒绝的除外",
            "entries kept by the anchor, which were being committed when their process ended: {kept}; the next start puts \
             them in, unless they had been refused"
        ));
        return false;
    }
    compare(&THE_ANCHOR, FindingKind::AnchorDiffers, intended, claims.says(intended), scan, intact)
}
