//! Step 4 of the append protocol as the writer takes it: what is anchored before it leaves, and who may be alone.
//!
//! Invariants: nothing signed leaves before the anchor vouches for it (strict mode); others may join once this process had
//! nothing to do for a while, or between two batches where they wait.
//! Absent: the anchor itself (`anchor`); intents (`flight`); guard mode's anchor (`guard`).
//! Source: design.md "The append path" step 4; docs/decisions/0018.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::anchor::{Anchor, blocking};
use super::types::{LedgerError, Mode, SignedCheckpoint, SubmitError};
use super::writer::Writer;

/// How often whoever rests and is alone looks whether others wait.
const LOOK: Duration = Duration::from_millis(50);
/// How long after a failure an intent is settled again.
const RETRY: Duration = Duration::from_millis(500);

impl Writer {
    /// Joins those who write with this anchor, unless it has. Where the anchor is another file than it was, what that one vouches
    /// for counts.
    pub(super) async fn join(&self) -> Result<(), LedgerError> {
        if self.shared.anchor.has_joined() {
            return Ok(());
        }
        blocking(&self.shared.anchor, Anchor::join).await?;
        if let Some(standing) = blocking(&self.shared.anchor, Anchor::load).await? {
            self.shared.set_anchored(standing.vouched());
        }
        Ok(())
    }

    /// Anchors a checkpoint (in strict mode) and lets it leave.
    pub(super) async fn publish(&mut self, checkpoint: Arc<SignedCheckpoint>) -> Result<(), SubmitError> {
        let anchored = match self.limits.mode {
            Mode::Strict => self.shared.anchor_to(&checkpoint).await,
            Mode::Guard => Ok(()),
        };
        self.let_leave(checkpoint, anchored)
    }

    /// Lets a checkpoint leave, unless it had to be anchored and could not be.
    pub(super) fn let_leave(
        &mut self,
        checkpoint: Arc<SignedCheckpoint>,
        anchored: Result<(), LedgerError>,
    ) -> Result<(), SubmitError> {
        if let Err(error) = anchored {
            if let LedgerError::ReadOnly(reason) = &error {
                self.shared.halt(reason.clone());
            }
            self.unanchored = Some(checkpoint);
            return Err(SubmitError::from(error));
        }
        // Whatever could not be anchored before is smaller, and within what the anchor vouches for now.
        self.unanchored = None;
        self.shared.publish(checkpoint);
        Ok(())
    }

    /// Puts the signed checkpoint in the place of the newest intent, and lets others be present where they wait. Who may not write any
    /// more leaves: the next start settles what stands.
    pub(super) async fn rest(&mut self) {
        let mut again = LOOK;
        if self.shared.read_only().is_some() {
            self.shared.anchor.leave();
        } else if self.doubtful.is_none()
            && self.shared.anchor.intends()
            && let Some(signed) = self.signed.clone()
            && let Err(error) = self.shared.replace_intent(&signed).await
        {
            tracing::warn!(%error, "the anchor keeps an intent; it is tried again");
            again = RETRY;
        }
        self.shared.anchor.give_way();
        self.rest_at = Instant::now() + again;
    }

    /// Anchors the newest checkpoint, and leaves no intent.
    pub(super) async fn anchor_exactly(&mut self) -> Result<(), LedgerError> {
        let newest = self.unanchored.take().or_else(|| self.shared.checkpoint());
        match newest {
            Some(checkpoint) if self.shared.read_only().is_none() => {
                self.shared.anchor_to(&checkpoint).await?;
                self.shared.replace_intent(&checkpoint).await
            }
            _ => Ok(()),
        }
    }
}
