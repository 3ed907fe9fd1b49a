//! What a ledger proves to whoever asks: receipts, inclusion, consistency, completeness.
//!
//! Invariants: everything is proven by a checkpoint that may leave.
//! Absent: verifying any of it (weituo-proof).
//! Source: RFC 6962 section 2.1; C2SP tlog-proof; format.md "Completeness index".

use tokio::sync::oneshot;
use weituo_proof::tree::verify_consistency;
use weituo_proof::{Checkpoint, Hash, LeafIndex, TreeSize};

use super::cosign;
use super::handle::Ledger;
use super::inbox::Message;
use super::index::{Asked, Names, Proven};
use super::types::{Accepted, LedgerError, Receipt, SubmitError};

impl Ledger {
    /// Returns the receipt of an entry against the newest checkpoint.
    ///
    /// # Errors
    ///
    /// `NotFound` where no checkpoint covers it.
    pub async fn receipt(&self, leaf_index: LeafIndex) -> Result<Receipt, LedgerError> {
        match self.shared.receipt(leaf_index.get()).await {
            // Another process may have recorded it since the last look at the database.
            Err(LedgerError::NotFound { .. }) if self.read_only().is_none() => {
                self.follow().await?;
                self.shared.receipt(leaf_index.get()).await
            }
            receipt => receipt,
        }
    }

    /// Returns the receipt of an entry against the newest checkpoint that the policy's witnesses cosigned and that covers it,
    /// asking them now where there is none; else against the newest checkpoint.
    ///
    /// # Errors
    ///
    /// `NotFound` where no checkpoint covers it; `Invalid` where witnesses cosigned another history than the database's.
    pub async fn cosigned_receipt(&self, leaf_index: LeafIndex) -> Result<Receipt, LedgerError> {
        let receipt = self.receipt(leaf_index).await?;
        let Some(witnesses) = &self.shared.witnesses else { return Ok(receipt) };
        witnesses.reload();
        if witnesses.covering(leaf_index.get()).is_none() {
            let leaf = leaf_index.get();
            cosign::until_covered(&self.shared, witnesses, leaf, &receipt.checkpoint).await;
        }
        let Some(cosigned) = witnesses.covering(leaf_index.get()) else { return Ok(receipt) };
        if !self.shared.has_read(&cosigned) && self.read_only().is_none() {
            // Another process had it cosigned.
            self.follow().await?;
        }
        if self.shared.has_read(&cosigned) {
            return self.shared.receipt_under(receipt, &cosigned).await;
        }
        Ok(receipt)
    }

    /// Waits for the witnesses where answers do, as [`Submitted::accepted`].
    ///
    /// # Errors
    ///
    /// `NotCosigned` where they have not cosigned in time.
    pub(crate) async fn witnessed(&self, accepted: Accepted) -> Result<Accepted, SubmitError> {
        cosign::witnessed(&self.shared, accepted).await
    }

    /// Returns the consistency proof between two tree sizes (RFC 6962 section 2.1.2).
    ///
    /// # Errors
    ///
    /// `NotFound` where the log is not that large or the sizes are reversed.
    pub async fn consistency(&self, from: TreeSize, to: TreeSize) -> Result<Vec<Hash>, LedgerError> {
        self.shared.consistency(from.get(), to.get()).await
    }

    /// Returns what the completeness index says of streams and parties, over every entry recorded so far. Waits where the index was committed for others just now ([`Options::index_apart`]).
    ///
    /// # Errors
    ///
    /// As `submit`.
    pub async fn prove(&self, names: &Names) -> Result<Proven, SubmitError> {
        loop {
            let (answer, answered) = oneshot::channel();
            self.send(Message::Prove(names.clone(), answer)).await?;
            match answered.await.map_err(|_| SubmitError::Stopped)?? {
                Asked::Proven(proven) => return Ok(proven),
                Asked::TooSoon(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Returns whether a signed checkpoint is this log's own: signed by a key of it, and extended by the newest checkpoint.
    ///
    /// # Errors
    ///
    /// `Store` where the database does not answer.
    pub async fn vouches_for(&self, note: &str) -> Result<bool, LedgerError> {
        let Ok((checkpoint, _)) = Checkpoint::open_by(note, &self.shared.verifiers) else { return Ok(false) };
        let Some(newest) = self.checkpoint().filter(|newest| checkpoint.size <= newest.size) else {
            return Ok(false);
        };
        let proof = match self.consistency(checkpoint.size, newest.size).await {
            Err(LedgerError::NotFound { .. }) => return Ok(false),
            proof => proof?,
        };
        let (old, new) = (checkpoint.size, newest.size);
        Ok(verify_consistency(old, new, &proof, &checkpoint.root, &newest.root).is_ok())
    }

    /// Returns the inclusion proof of a leaf in the tree of a size (RFC 6962 section 2.1.1).
    ///
    /// # Errors
    ///
    /// `NotFound` where the log is not that large or the leaf not in it.
    pub async fn inclusion(&self, leaf_index: LeafIndex, size: TreeSize) -> Result<Vec<Hash>, LedgerError> {
        self.shared.inclusion(leaf_index.get(), size.get()).await
    }
}
