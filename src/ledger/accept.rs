//! A lost anchor: what takes its place, and the entry that says so.
//!
//! Invariants: an acceptance on somebody's word is in the log before the anchor is made from it, so that a crash in
//! between leaves the anchor lost and the word recorded; so is that of what follows a checkpoint which was kept elsewhere. An
//! anchor that is there is never replaced, and nothing is recorded where none could be made.
//! Source: design.md "On start".

use std::sync::Arc;
use weituo_proof::both;

use tokio::sync::oneshot;
use weituo_events::Event;
use weituo_events::payload::{AnchorAccepted, Paper};

use super::anchor::{Anchor, blocking};
use super::clock::Watched;
use super::commit::sign;
use super::follow::{self, Halt};
use super::handle::Ledger;
use super::index::{command_id, effective, log_act};
use super::key;
use super::open::Opened;
use super::options::{Files, Options};
use super::prepare::{Ground, Open, Pending};
use super::recover::Recovered;
use super::seal::SealKey;
use super::types::{LedgerError, Mode, Proposal, ReadOnly};
use crate::store::{CommitOutcome, LedgerUrl};

/// Settles a lost anchor: by a checkpoint that somebody kept, or on the caller's word.
pub(super) async fn accept(
    url: &LedgerUrl,
    options: &Options,
    kept: Option<String>,
) -> Result<Recovered, LedgerError> {
    let files = Files::of(url, options)?;
    let keys = key::read_all(&files.key)?;
    let anchor = Arc::new(Anchor::new(files.anchor, keys.verifiers(), Some(SealKey::of(&keys)))?);
    match blocking(&anchor, Anchor::load).await {
        Ok(None) | Err(LedgerError::ReadOnly(ReadOnly::AnchorDamaged { .. })) => {}
        Ok(Some(found)) => {
            let (size, _) = found.vouched();
            let what = both!(
                "锚点没有丢失:它为 {size} 条记录作证",
                "the anchor is not lost: it vouches for {size} entries"
            );
            return Err(LedgerError::Recover { what });
        }
        Err(error) => return Err(error),
    }
    let options = Options {
        mode: Mode::Strict,
        read_only: false,
        accept_lost_anchor: kept.is_none(),
        witnessed: kept.into_iter().collect(),
        ..options.clone()
    };
    let ledger = Ledger::open(url, options).await?;
    let reason = ledger.read_only();
    ledger.stop().await?;
    let size = ledger.checkpoint().map_or(0, |newest| newest.size.get());
    reason
        .map_or(Ok(Recovered { restored: 0, disclosures: 0, head: false, size }), |reason| Err(reason.into()))
}

/// Records that the database is accepted as it was found.
pub(super) async fn record(opened: &mut Opened, options: &Options) -> Result<(), LedgerError> {
    let Some(keys) = &opened.keys else { return Ok(()) };
    if opened.derived.frozen().is_some() {
        tracing::warn!("the log is frozen: that its anchor is accepted cannot be recorded");
        return Ok(());
    }
    let (shared, head, seal) = (&opened.shared, &opened.head, SealKey::of(keys));
    shared.store.barrier().await?;
    let found = sign(&opened.derived.signers(keys, head), &shared.origin, head);
    blocking(&shared.anchor, move |anchor| anchor.require_place(&found)).await?;
    let last =
        opened.derived.last_recorded_at().ok_or_else(|| unrecorded("台账是空的", "the log is empty"))?;
    let recorded_at = Watched::new(Arc::clone(&options.clock)).recorded_at(last)?;
    let act = log_act(
        "log/main",
        Event::AnchorAccepted(AnchorAccepted { paper: Paper::default(), root: head.root, size: head.size }),
        command_id(&shared.origin, head.size),
        effective(recorded_at, opened.derived.zone_minutes()),
    );
    let expected = opened.derived.head("log/main");
    let proposal =
        Proposal { act, disclosures: Vec::new(), expected, erase: Vec::new(), rests_on: Vec::new() };
    let (answer, _answered) = oneshot::channel();
    let pending = Pending::new(proposal, &shared.origin, answer)?;
    let mut open = shared.with_tree(|tree| Open::on_head(Some(head), tree.frontier()));
    open.push(Ground { derived: &opened.derived, under: None, contended: false }, pending, recorded_at);
    let prepared = open.close(&shared.origin, &seal);
    let batch = prepared.map_err(|_| unrecorded("其记录被搁置", "its entry was set aside"))?.batch;
    if shared.store.commit(&batch).await? != CommitOutcome::Committed {
        return Err(unrecorded(
            "另一进程正在写这个数据库:请先停止它",
            "another process writes to this database: stop it first",
        ));
    }
    // From here a crash recovers forward: the anchor is still lost, and accepting it again says so again.
    opened.head = batch.after.clone();
    let followed = follow::rows(&opened.shared, &mut opened.derived, opened.head.size, 0).await;
    followed.map(drop).map_err(|halt: Halt| LedgerError::from(halt))
}

fn unrecorded(zh: &str, en: &str) -> LedgerError {
    LedgerError::Recover {
        what: both!("接受锚点一事没有存证:{zh}", "that the anchor is accepted was not recorded: {en}"),
    }
}
