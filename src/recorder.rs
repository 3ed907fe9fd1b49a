//! From a command to a receipt: loads what the decision needs, decides through cqrs-es, seals, submits.
//!
//! Invariants: one command makes one event or a refusal; a refusal decided on a cached state is decided again on a
//! fresh load before it is answered; a command id that is already in the log is answered with its first receipt.
//! Absent: rules (weituo-projections and the deciding modules), the commit (`ledger`).
//! Source: design.md "The append path".

mod aggregate;
mod context;
mod kept;
mod session;
mod streams;

use std::sync::Arc;

use weituo_events::{Act, Category, Command, Refusal, same_content};
use weituo_projections::{Irregularity, StreamState};
use weituo_proof::{Entry, EntryError, Hash, StreamName};

use crate::deciding::addressed;
use crate::follower::FollowError;
use crate::ledger::{Accepted, Ledger, LedgerError, SubmitError};
use crate::store::{EntryRow, StoreError};
use aggregate::{Agreement, Kind, Log, Organisation, Rulebook};
use session::{Answer, NotRecorded, Proposed, Session};
use streams::{Streams, Turn};

/// How often a command is decided on fresh states before it is told that they keep moving.
const ATTEMPTS: u32 = 16;

/// What a recorded command gives back.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its receipt, and whether the id was in the log before.
    pub accepted: Accepted,
    /// Irregularities that this entry gave rise to, as the pinned rulebook sees it.
    pub irregularities: Vec<Irregularity>,
}

/// Why a command was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It was refused; nothing was written.
    #[error("refused")]
    Refused(#[source] Refusal),
    /// Others kept changing the stream; the command may be repeated.
    #[error(
        "stream {stream}, or an organisation that this rests on, kept changing while it was decided; repeat the command with the same id, \
         and where nobody changes them, run `weituo verify`"
    )]
    Conflict {
        /// The stream.
        stream: StreamName,
    },
    /// The ledger did not take it.
    #[error("the command was not recorded")]
    Ledger(#[source] SubmitError),
    /// What the decision needs could not be read.
    #[error("the stream {stream} could not be read")]
    Read {
        /// The stream.
        stream: StreamName,
        /// Why.
        #[source]
        source: ReadError,
    },
}

/// Why a stream or an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// cqrs-es's reader.
    #[error("the events could not be read")]
    Events(#[from] cqrs_es::persist::PersistenceError),
    /// What is stored is not an entry of ours.
    #[error("an entry is damaged: run `weituo verify`")]
    Entry(#[from] EntryError),
    /// The event is unknown.
    #[error("an entry is not understood: use a newer `weituo`")]
    Event(#[from] FollowError),
    /// What is stored lacks its place in the log.
    #[error("an event lacks its leaf index: run `weituo verify`")]
    Place,
    /// An entry could not be proven to be in the log.
    #[error("an entry could not be proven to be in the log")]
    Unproven(#[source] Box<LedgerError>),
    /// An entry does not follow the one before it in its stream.
    #[error(
        "the entry at leaf index {leaf_index} does not follow the one before it in its stream: run `weituo verify`"
    )]
    Chain {
        /// Where it stands.
        leaf_index: u64,
    },
}

/// Records commands in one ledger.
#[derive(Debug)]
pub struct Recorder {
    ledger: Ledger,
    streams: Streams,
}

impl Recorder {
    /// Returns a recorder over an open ledger.
    ///
    /// # Errors
    /// When the rulebooks adopted so far cannot be read.
    pub async fn open(ledger: Ledger) -> Result<Self, FollowError> {
        let streams = Streams::open(ledger.clone()).await?;
        Ok(Self { ledger, streams })
    }

    /// Returns the ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Records one command and waits for its receipt.
    ///
    /// # Errors
    /// [`RecordError`]; nothing was written, unless the ledger could not say (the command may then be repeated).
    pub async fn record(&self, command: &Command) -> Result<Recording, RecordError> {
        if command.command.to_bytes()[6] >> 4 == 8 {
            return Err(RecordError::Refused(Refusal::invalid(
                "command-id-reserved",
                "第 8 版的 UUID 留给台账自身的记录:请使用随机的 UUID",
                "UUIDs of version 8 are for the log's own entries: use a random one",
            )));
        }
        match Category::of(&command.stream) {
            Some(Category::Agreement) => self.record_in::<Agreement>(command).await,
            Some(Category::Organisation) => self.record_in::<Organisation>(command).await,
            Some(Category::Rulebook) => self.record_in::<Rulebook>(command).await,
            Some(Category::Log) => self.record_in::<Log>(command).await,
            None => Err(RecordError::Refused(Refusal::invalid(
                "stream-kind",
                format!("流 {} 的类别未知;可用 agreement/、organisation/、rulebook/", command.stream),
                format!(
                    "{} is a stream of no known kind; use agreement/, organisation/ or rulebook/",
                    command.stream
                ),
            ))),
        }
    }

    async fn record_in<K: Kind>(&self, command: &Command) -> Result<Recording, RecordError> {
        let stream = &command.stream;
        let first = self.attempt::<K>(command, self.streams.turn(stream).await, false).await?;
        if let Answer::Accepted(recording) = first {
            return Ok(*recording);
        }
        // What was at hand may be old, or never have been committed: look at what others wrote, and decide again on
        // fresh states, while no other command of this stream is under way; again where others move what it rests on.
        for _ in 0..ATTEMPTS {
            let turn = self.streams.turn(stream).await;
            self.ledger.follow().await.map_err(|error| RecordError::Ledger(unavailable(error)))?;
            match self.attempt::<K>(command, turn, true).await? {
                Answer::Accepted(recording) => return Ok(*recording),
                Answer::Refused(refusal) => return self.refused::<K>(command, refusal).await,
                Answer::Moved => {}
            }
        }
        Err(RecordError::Conflict { stream: stream.clone() })
    }

    /// Decides on the state at hand or on a fresh one, and submits. Keeps the turn to the end, unless the next command of the
    /// stream can be decided before that.
    async fn attempt<K: Kind>(
        &self,
        command: &Command,
        mut turn: Turn<'_>,
        fresh: bool,
    ) -> Result<Answer, RecordError> {
        let stream = &command.stream;
        let read = |source| RecordError::Read { stream: stream.clone(), source };
        self.streams.follow().await.map_err(read)?;
        let loaded = match &*turn {
            Some((of, left)) if of == stream && !fresh => left.clone(),
            _ => self.streams.load::<K>(stream, fresh).await.map_err(read)?,
        };
        let newest = loaded.head.map(|head| head.leaf_hash);
        if let Err(refusal) = addressed(command, self.ledger.origin()) {
            return Ok(Answer::Refused(refusal));
        }
        let (act, disclosures) = match sealed_act(command, newest) {
            Ok(sealed) => sealed,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let (context, rests_on) = self.streams.context(&act, &loaded.state, fresh).await.map_err(read)?;
        let erase = context::erased_digests(&act);
        let state = Arc::clone(&loaded.state);
        let session = Session::new(&self.ledger, loaded, disclosures, erase, rests_on);
        let Proposed { act, place, submitted } = match session.run::<K>(stream, act, context).await {
            Ok(proposed) => proposed,
            Err(NotRecorded::Refused(refusal)) => return Ok(Answer::Refused(refusal)),
            Err(NotRecorded::Submit(error)) => return self.not_accepted(stream, error),
        };
        let Some(place) = place else {
            drop(turn);
            return match submitted.accepted().await {
                Ok(accepted) => {
                    let irregularities = irregularities_of(&state, accepted.position.sequence);
                    Ok(Answer::Accepted(Box::new(Recording { accepted, irregularities })))
                }
                Err(error) => self.not_accepted(stream, error),
            };
        };
        let adopting = matches!(Category::of(stream), Some(Category::Rulebook)).then(|| act.clone());
        // What is folded is the only copy, which folding then does not clone.
        *turn = None;
        let folded = self.streams.fold(act, place, state);
        let mut irregularities = irregularities_of(&folded.state, place.position.sequence);
        *turn = Some((stream.clone(), folded));
        // What a decision on another kind of stream looks up beside its own, such as whether a disclosure is still there, is
        // read as committed: the next one waits for it.
        let ahead = K::CATEGORY == Category::Agreement && !fresh;
        let turn = (!ahead).then_some(turn);
        let accepted = match submitted.accepted().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if let (SubmitError::NotCosigned { .. }, Some(act)) = (&error, &adopting) {
                    // It is recorded all the same.
                    self.streams.adopt_act(act);
                }
                return self.not_accepted(stream, error);
            }
        };
        if let Some(act) = adopting {
            self.streams.adopt_act(&act);
        }
        if accepted.place() == place {
            match turn {
                Some(mut turn) => self.streams.keep(stream, place, &mut turn),
                None => self.streams.committed(stream, place),
            }
        } else {
            // Another process came between, and the entry has another place than the one that was folded.
            self.streams.forget(stream);
            let loaded = self.streams.load::<K>(stream, true).await.map_err(read)?;
            irregularities = irregularities_of(&loaded.state, accepted.position.sequence);
        }
        Ok(Answer::Accepted(Box::new(Recording { accepted, irregularities })))
    }

    /// Says what a proposal's refusal means for its command. Whatever was at hand of its stream is no longer to be
    /// decided on; a state left in its turn is found out by the commit that it leads to.
    fn not_accepted(&self, stream: &StreamName, error: SubmitError) -> Result<Answer, RecordError> {
        self.streams.forget(stream);
        match error {
            SubmitError::Claim(refusal) => Ok(Answer::Refused(refusal)),
            SubmitError::Conflict { .. } => Ok(Answer::Moved),
            error => Err(RecordError::Ledger(error)),
        }
    }

    /// Answers a refused command: with its first receipt where the id already recorded the same.
    async fn refused<K: Kind>(&self, command: &Command, refusal: Refusal) -> Result<Recording, RecordError> {
        let read = |source| RecordError::Read { stream: command.stream.clone(), source };
        let rows = self
            .ledger
            .store()
            .by_command(&[command.command.to_bytes()])
            .await
            .map_err(|error| read(error.into()))?;
        let Some(row) = rows.first() else { return Err(RecordError::Refused(refusal)) };
        if !self.says_the_same(command, row).await.map_err(read)? {
            let leaf_index = weituo_proof::LeafIndex::new(row.leaf_index);
            return Err(RecordError::Ledger(SubmitError::Reused { leaf_index }));
        }
        let entry = Entry::parse(row.body.as_bytes()).map_err(|error| read(error.into()))?;
        let receipt = self.ledger.receipt(weituo_proof::LeafIndex::new(row.leaf_index)).await;
        let receipt = receipt.map_err(|error| RecordError::Ledger(unavailable(error)))?;
        if receipt.entry != row.body {
            return Err(read(ReadError::Chain { leaf_index: row.leaf_index }));
        }
        let position = weituo_proof::Position {
            prev: entry.prev,
            recorded_at: entry.recorded_at,
            sequence: entry.sequence,
        };
        let accepted = Accepted { receipt, position, repeated: true };
        let accepted = self.ledger.witnessed(accepted).await.map_err(RecordError::Ledger)?;
        let loaded = self.streams.load::<K>(&command.stream, false).await.map_err(read)?;
        let irregularities = irregularities_of(&loaded.state, accepted.position.sequence);
        Ok(Recording { accepted, irregularities })
    }

    async fn says_the_same(&self, command: &Command, row: &EntryRow) -> Result<bool, ReadError> {
        let entry = Entry::parse(row.body.as_bytes())?;
        let Ok((act, disclosures)) = sealed_act(command, None) else { return Ok(false) };
        let stored = self.ledger.store().disclosures(row.leaf_index..row.leaf_index + 1).await?;
        let stored: Vec<String> = stored.into_iter().map(|disclosure| disclosure.disclosure).collect();
        Ok(same_content(&entry, &stored, &act.draft(self.ledger.origin()), &disclosures))
    }
}

/// Returns the act that a command asks for, sealed under fresh salts, and its disclosures.
fn sealed_act(command: &Command, newest: Option<Hash>) -> Result<(Act, Vec<String>), Refusal> {
    let mut act = command.act(newest)?;
    let disclosures = command.seal(&mut act, crate::fresh_salt)?;
    Ok((act, disclosures))
}

fn unavailable(error: LedgerError) -> SubmitError {
    SubmitError::Unavailable(Arc::new(error))
}

/// Returns the irregularities that an entry gave rise to.
fn irregularities_of(state: &StreamState, sequence: u64) -> Vec<Irregularity> {
    let StreamState::Agreement(cycle) = state else { return Vec::new() };
    cycle.irregularities.iter().filter(|one| one.sequence == Some(sequence)).cloned().collect()
}
