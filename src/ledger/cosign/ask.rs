//! Asking the witnesses: in rounds, each about one checkpoint, so that a quorum is of one tree.
//!
//! Invariants: a call runs on a thread of its own and ends within its time-out, so no witness holds up the ledger or another
//! witness; a size that a witness names without a signature decides where the one further proof starts, and nothing else; a
//! witness that failed is left alone for a while.
//! Absent: what the answers amount to (`cosign`).
//! Source: C2SP tlog-witness v1.1.0, "add-checkpoint".

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use weituo_proof::policy::PolicyWitness;
use weituo_proof::witness::{AddCheckpoint, cosignature};
use weituo_proof::{Checkpoint, SignedNote, TreeSize};
use weituo_verifier::chain;

use super::{Witnesses, lock};
use crate::ledger::shared::Shared;
use crate::ledger::types::SignedCheckpoint;
use crate::witness::client::{Answer, CALL_TIMEOUT, Client, ClientError};

/// Once the quorum is there, the others have so long to be in the same receipts.
const GRACE: Duration = Duration::from_millis(200);
/// Between two rounds at least; checkpoints published meanwhile share the next.
const GAP: Duration = Duration::from_millis(20);
/// How often witnesses are looked for that have not cosigned the newest checkpoint.
const RETRY: Duration = Duration::from_secs(1);
/// How long a witness that failed again and again is left alone at the most.
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// How long a stop waits for the round under way.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A witness that can be asked.
#[derive(Debug)]
pub(in crate::ledger) struct Asked {
    witness: PolicyWitness,
    client: Client,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// Size that it cosigned last, as its cosignature proves; 0 where none is at hand.
    known: TreeSize,
    busy: bool,
    failures: u32,
    not_before: Option<Instant>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { known: TreeSize::new(0), busy: false, failures: 0, not_before: None }
    }
}

impl Memory {
    /// Whether it was asked in vain a moment ago.
    fn is_paused(&self) -> bool {
        self.not_before.is_some_and(|not_before| Instant::now() < not_before)
    }
}

/// What a witness's answer amounts to.
enum Outcome {
    Cosigned,
    Moved(TreeSize),
    Failed(String),
}

impl Asked {
    /// Returns the witnesses that have an address.
    pub(super) fn all(witnesses: &[PolicyWitness]) -> Result<Vec<Self>, ClientError> {
        let with_url = witnesses.iter().filter_map(|witness| Some((witness, witness.url.as_deref()?)));
        with_url
            .map(|(witness, url)| {
                Ok(Self { witness: witness.clone(), client: Client::new(url)?, memory: Mutex::default() })
            })
            .collect()
    }

    pub(super) fn is(&self, witness: &PolicyWitness) -> bool {
        self.witness == *witness
    }

    /// Remembers that it cosigned a checkpoint of this size, where the note says so.
    pub(super) fn has_cosigned(&self, note: &SignedNote, size: TreeSize) {
        if note.signed_by(&self.witness.key).is_some() {
            let mut memory = lock(&self.memory);
            memory.known = memory.known.max(size);
        }
    }

    /// Takes it for a call about a tree of this size, unless it is taken, was asked in vain a moment ago, or has
    /// cosigned it.
    fn take(&self, size: TreeSize) -> bool {
        let mut memory = lock(&self.memory);
        let free = !memory.busy && !memory.is_paused() && memory.known < size;
        memory.busy |= free;
        free
    }

    /// Returns whether it is being asked, or could be.
    fn may_answer(&self, size: TreeSize) -> bool {
        let memory = lock(&self.memory);
        memory.busy || (memory.known < size && !memory.is_paused())
    }

    /// Gives it back after a call.
    fn give_back(&self, outcome: &Outcome, size: TreeSize) {
        let mut memory = lock(&self.memory);
        memory.busy = false;
        let (name, url) = (&self.witness.name, self.client.url());
        let failure = match outcome {
            Outcome::Cosigned => {
                memory.known = memory.known.max(size);
                memory.failures = 0;
                memory.not_before = None;
                return;
            }
            Outcome::Failed(failure) => failure.clone(),
            Outcome::Moved(newest) => {
                format!(
                    "says it has cosigned {newest} entries where this process has signed {size}; that is unsigned, and nothing follows from it"
                )
            }
        };
        let pause = Duration::from_secs(1 << memory.failures.min(6)).min(MAX_PAUSE);
        memory.not_before = Some(Instant::now() + pause);
        if memory.failures == 0 {
            tracing::warn!(%name, %url, %size, %failure, "a witness did not cosign; it is asked again");
        } else {
            tracing::debug!(%name, %url, %size, %failure, "a witness did not cosign; it is asked again");
        }
        memory.failures = memory.failures.saturating_add(1);
    }
}

/// Asks about each published checkpoint, until the ledger is gone.
pub(in crate::ledger) async fn run(shared: Arc<Shared>) {
    let mut published = shared.published.subscribe();
    loop {
        let newest = published.borrow_and_update().clone();
        if let Some(newest) = newest {
            round(&shared, &newest).await;
        }
        tokio::time::sleep(GAP).await;
        // Whoever did not answer is asked again, though nothing new is there.
        let _ = tokio::time::timeout(RETRY, published.changed()).await;
    }
}

/// Asks every witness that can be asked about a checkpoint, and waits for their answers; once there is a quorum, only a
/// moment longer.
async fn round(shared: &Arc<Shared>, target: &Arc<SignedCheckpoint>) {
    let Some(witnesses) = &shared.witnesses else { return };
    let Some(note) = witnesses.begin(target) else { return };
    let mut asking = JoinSet::new();
    for (at, asked) in witnesses.asked.iter().enumerate() {
        if asked.take(target.size) {
            asking.spawn(ask(Arc::clone(shared), at, Arc::clone(target), note.clone()));
        }
    }
    let mut newest = witnesses.newest.subscribe();
    let size = target.size;
    let enough = async move {
        let quorum = newest.wait_for(|newest| newest.as_ref().is_some_and(|one| one.checkpoint.size >= size));
        drop(quorum.await);
        tokio::time::sleep(GRACE).await;
    };
    tokio::pin!(enough);
    loop {
        tokio::select! {
            answered = asking.join_next() => if answered.is_none() { break },
            () = &mut enough => break,
        }
    }
    // Who is slower than the quorum may finish; what it says is taken as long as nothing newer is asked about.
    asking.detach_all();
    witnesses.settled.send_modify(|settled| *settled = (*settled).max(size.get()));
}

/// Asks about a checkpoint until the quorum has cosigned one that covers a leaf, or nobody is left who could.
pub(in crate::ledger) async fn until_covered(
    shared: &Arc<Shared>,
    witnesses: &Witnesses,
    leaf: u64,
    target: &Arc<SignedCheckpoint>,
) {
    let start = Instant::now();
    loop {
        round(shared, target).await;
        // Some may be under way with another checkpoint, by the task that follows the log.
        let left = witnesses.asked.iter().any(|asked| asked.may_answer(target.size));
        if !left || witnesses.covering(leaf).is_some() || start.elapsed() > 2 * CALL_TIMEOUT {
            return;
        }
        tokio::time::sleep(GAP).await;
    }
}

/// Waits until the witnesses were asked about the newest checkpoint, but not for long.
pub(in crate::ledger) async fn finish(shared: &Shared) {
    let (Some(witnesses), Some(newest)) = (&shared.witnesses, shared.checkpoint()) else { return };
    let mut settled = witnesses.settled.subscribe();
    let asked = settled.wait_for(|settled| *settled >= newest.size.get());
    if tokio::time::timeout(STOP_LIMIT, asked).await.is_err() {
        tracing::warn!(size = %newest.size, "not all witnesses answered before the stop; they are asked at the next start");
    }
}

/// Returns the newest checkpoints of this log that the witnesses remember or are known to have cosigned, each signed by the
/// log's key.
pub(in crate::ledger) async fn remembered(shared: &Arc<Shared>) -> Vec<String> {
    let Some(witnesses) = &shared.witnesses else { return Vec::new() };
    let mut asking = JoinSet::new();
    for at in 0..witnesses.asked.len() {
        let shared = Arc::clone(shared);
        asking.spawn(on_thread(move || remembered_by(&shared, at)));
    }
    let asked = asking.join_all().await.into_iter().flatten().flatten();
    asked.chain(witnesses.kept()).collect()
}

fn remembered_by(shared: &Shared, at: usize) -> Option<String> {
    let asked = shared.witnesses.as_ref()?.asked.get(at)?;
    let (name, url) = (&asked.witness.name, asked.client.url());
    match asked.client.newest(&shared.origin) {
        Ok(Some(note)) if Checkpoint::open_by(&note, &shared.verifiers).is_ok() => Some(note),
        Ok(Some(_)) => {
            tracing::warn!(%name, %url, "a witness serves something else than a checkpoint of this log");
            None
        }
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(%name, error = %chain(&error), "a witness could not be asked what it remembers");
            None
        }
    }
}

/// Asks one witness, a second time where it names another size to start the proof from.
async fn ask(shared: Arc<Shared>, at: usize, target: Arc<SignedCheckpoint>, note: SignedNote) {
    let Some(asked) = shared.witnesses.as_ref().and_then(|witnesses| witnesses.asked.get(at)) else { return };
    let old = lock(&asked.memory).known;
    let mut outcome = attempt(&shared, at, &target, &note, old).await;
    if let Outcome::Moved(newest) = outcome
        && newest <= target.size
        && newest != old
    {
        outcome = attempt(&shared, at, &target, &note, newest).await;
    }
    asked.give_back(&outcome, target.size);
}

async fn attempt(
    shared: &Arc<Shared>,
    at: usize,
    target: &Arc<SignedCheckpoint>,
    note: &SignedNote,
    old_size: TreeSize,
) -> Outcome {
    let proof = match shared.consistency(old_size.get(), target.size.get()).await {
        Ok(proof) => proof,
        Err(error) => return Outcome::Failed(chain(&error)),
    };
    let request = AddCheckpoint { old_size, proof, note: note.clone() };
    let (shared, target) = (Arc::clone(shared), Arc::clone(target));
    let answered = on_thread(move || call(&shared, at, &target, &request)).await;
    answered.unwrap_or_else(|| Outcome::Failed("no thread could be started to ask it".to_owned()))
}

/// Calls a witness, and takes over the cosignature in its answer.
fn call(shared: &Shared, at: usize, target: &SignedCheckpoint, request: &AddCheckpoint) -> Outcome {
    let Some(witnesses) = &shared.witnesses else { return Outcome::Failed(String::new()) };
    let asked = &witnesses.asked[at];
    match asked.client.add_checkpoint(request) {
        Ok(Answer::Cosigned(lines)) => match cosignature(&request.note, &lines, &asked.witness.key) {
            Ok((line, _)) => {
                witnesses.add(target, line);
                Outcome::Cosigned
            }
            Err(error) => Outcome::Failed(format!("its answer holds no cosignature by it: {error}")),
        },
        Ok(Answer::Moved(newest)) => {
            if newest > target.size {
                // Another process may have been faster, and have left what it got.
                witnesses.reload();
            }
            Outcome::Moved(newest)
        }
        Ok(Answer::Refused { status, told }) => {
            if status == 422 {
                tracing::error!(name = %asked.witness.name, url = asked.client.url(), size = %target.size, %told,
                    "a witness says that this checkpoint does not extend one that it cosigned: run `weituo verify`");
            }
            Outcome::Failed(format!("it answers {status}: {told}"))
        }
        Err(error) => Outcome::Failed(chain(&error)),
    }
}

/// Runs a call on a thread of its own: a slow witness takes none that the database needs. `None` where it failed.
async fn on_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    let named = std::thread::Builder::new().name("witness".to_owned());
    named.spawn(move || drop(answer.send(call()))).ok()?;
    answered.await.ok()
}
