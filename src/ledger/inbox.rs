//! What the writer is asked, in the order in which it was asked.
//!
//! Invariant: no message overtakes another; a proposal is handed out early only where it is the next.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};
use weituo_proof::StreamHead;

use super::index::{Asked, Names};
use super::prepare::Pending;
use super::types::{Accepted, LedgerError, SubmitError};

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Message {
    /// Record this.
    Submit(Box<Pending>),
    /// Commit the completeness index now.
    CommitIndex(oneshot::Sender<Result<Option<Accepted>, SubmitError>>),
    /// Prove by the completeness index, committed anew where it does not cover every entry.
    Prove(Names, oneshot::Sender<Result<Asked, SubmitError>>),
    /// Tell the heads of the streams whose names begin so, as this process has followed them.
    Heads(&'static str, oneshot::Sender<BTreeMap<String, StreamHead>>),
    /// Look at the database for entries of other processes.
    Follow(oneshot::Sender<Result<(), LedgerError>>),
    /// Commit the index, anchor exactly, end.
    Stop(oneshot::Sender<Result<(), LedgerError>>),
}

/// The messages that wait for the writer.
#[derive(Debug)]
pub(super) struct Inbox {
    messages: mpsc::Receiver<Message>,
    /// The next message, which was looked at and is no proposal.
    held: Option<Message>,
}

impl Inbox {
    pub(super) fn new(messages: mpsc::Receiver<Message>) -> Self {
        Self { messages, held: None }
    }

    /// Returns the next message; `None` once every handle is gone.
    pub(super) async fn next(&mut self) -> Option<Message> {
        match self.held.take() {
            Some(message) => Some(message),
            None => self.messages.recv().await,
        }
    }

    /// Returns the next proposal; never, where another message is the next.
    pub(super) async fn proposal(&mut self) -> Pending {
        if self.held.is_none() {
            match self.messages.recv().await {
                Some(Message::Submit(pending)) => return *pending,
                other => self.held = other,
            }
        }
        std::future::pending().await
    }

    /// Returns the next proposal, where one waits and is the next message.
    pub(super) fn try_proposal(&mut self) -> Option<Pending> {
        if self.held.is_none() {
            match self.messages.try_recv() {
                Ok(Message::Submit(pending)) => return Some(*pending),
                other => self.held = other.ok(),
            }
        }
        None
    }
}
