//! The ledger's own events (format.md, Entry and Completeness index).

use weituo_proof::Hash;

use super::common::Paper;
use crate::OrganisationId;

payload! {
    /// The ledger that this one follows.
    Predecessor {
        /// Its last known signed checkpoint, text.
        checkpoint: String,
        /// First leaf index lost with it, where something was.
        lost_from: Option<u64>,
        /// First leaf index after what was lost.
        lost_to: Option<u64>,
        /// Its origin.
        origin: String,
    }
}

payload! {
    /// Entry 0: a log is opened.
    LogOpened {
        /// The log's verifier key (C2SP signed-note).
        key: String,
        /// 32 random bytes, hex.
        #[schemars(with = "String")]
        nonce: Hash,
        /// The ledger that this one follows.
        predecessor: Option<Predecessor>,
        /// Root bureaus: who may register other organisations from the start.
        roots: Vec<OrganisationId>,
        /// Offset of the ledger's zone, such as `+08:00`.
        zone: String,
    }
}

payload! {
    /// The completeness index over entries [0, size) is committed.
    IndexCommitted {
        /// Root of the index.
        #[schemars(with = "String")]
        root: Hash,
        /// How many entries it covers: this entry's own leaf index.
        size: u64,
        /// How many streams it covers.
        streams: u64,
    }
}

payload! {
    /// A further key signs for this log.
    LogKeyAdded {
        /// Verifier key.
        key: String,
    }
}

payload! {
    /// A key of this log vouches no longer for what comes.
    LogKeyRevoked {
        /// Verifier key.
        key: String,
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
    }
}

payload! {
    /// The log is frozen: nothing follows this entry.
    LogFrozen {
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Origin of the ledger that follows.
        successor: Option<String>,
    }
}

payload! {
    /// The anchor was lost, and the log is accepted as it was found, on somebody's word.
    AnchorAccepted {
        /// The paper behind the act.
        #[serde(default, skip_serializing_if = "Paper::is_empty")]
        paper: Paper,
        /// Root over the entries found.
        #[schemars(with = "String")]
        root: Hash,
        /// How many entries were found: this entry's own leaf index.
        size: u64,
    }
}
