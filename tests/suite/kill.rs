//! Recording processes that are killed (SIGKILL) at random moments, eight at a time on one ledger.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use weituo_proof::{Entry, Receipt};

use crate::support::ledger::{Kind, assert_one_history, rows};
use crate::support::process::{Bench, Dice, registration};

const PROCESSES: u32 = 8;
const KILLS: usize = 50;
/// Commands of one process: more than it can record before it is killed, most times.
const COMMANDS: u32 = 8;

/// What a killed process left.
struct Left {
    killed: bool,
    given: Vec<Value>,
    answered: Vec<Value>,
}

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum Moment<'a> {
    /// So long after its start, which may be before it has opened the ledger.
    AfterStart(Duration),
    /// So long after it has answered so many commands.
    AfterAnswers(usize, Duration),
    /// When another one is.
    With(&'a AtomicBool),
}

impl Moment<'_> {
    fn thrown(dice: &mut Dice) -> Self {
        let millis = |dice: &mut Dice, end| Duration::from_millis(dice.below(end));
        match dice.below(4) {
            0 => Self::AfterStart(millis(dice, 1_000)),
            _ => Self::AfterAnswers(usize::try_from(dice.below(6)).unwrap(), millis(dice, 60)),
        }
    }

    fn wait(self, bench: &Bench, name: &str) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            match self {
                Self::AfterStart(delay) => return std::thread::sleep(delay),
                Self::AfterAnswers(count, delay) if bench.answers(name).len() >= count => {
                    return std::thread::sleep(delay);
                }
                Self::With(other) if other.load(Ordering::SeqCst) => return,
                _ if !failure(bench, name).is_empty() => return,
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        panic!("{name} has not come to {self:?} in 30 s: {}", bench.errors(name));
    }
}

/// Returns what a process wrote to standard error but for the one thing that a start says when all is well: that it committed
/// again what another was committing when it was killed.
fn failure(bench: &Bench, name: &str) -> String {
    let told = bench.errors(name);
    told.lines().filter(|line| !line.contains("it is committed again from the anchor")).collect()
}

/// Lets one process record and kills it at its moment.
fn record_and_kill(bench: &Bench, name: &str, first: u32, moment: Moment<'_>, killed: &AtomicBool) -> Left {
    let given: Vec<Value> = (first..first + COMMANDS).map(registration).collect();
    let mut process = bench.start_recording(name, &given, &[]);
    moment.wait(bench, name);
    process.kill().unwrap();
    killed.store(true, Ordering::SeqCst);
    let killed = process.wait().unwrap().signal() == Some(9);
    let answered = bench.answers(name);
    let failure = failure(bench, name);
    // On a slow disk one may be asked to repeat; it then ends by itself.
    let repeat = failure.contains("repeat the command with the same id");
    assert!(failure.is_empty() || repeat, "{name}, {moment:?}: {failure}");
    assert!(answered.iter().all(|line| line.get("ok").is_some()), "{answered:?}");
    Left { killed, given, answered }
}

/// One round: eight processes at once; all are killed at their own moments, or all at one, as by a power cut.
fn round(bench: &Bench, number: u32, dice: &mut Dice) -> Vec<Left> {
    let together = dice.below(3) == 0;
    let first_killed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut processes = Vec::new();
        for at in 0..PROCESSES {
            let moment = match (together, at) {
                (true, 1..) => Moment::With(&first_killed),
                (true, 0) => Moment::AfterAnswers(3, Duration::from_millis(dice.below(60))),
                _ => Moment::thrown(dice),
            };
            let (name, first) = (format!("p{number}-{at}"), 1 + (number * PROCESSES + at) * COMMANDS);
            let killed = &first_killed;
            processes.push(scope.spawn(move || record_and_kill(bench, &name, first, moment, killed)));
        }
        processes.into_iter().map(|process| process.join().unwrap()).collect()
    })
}

fn id(command: &Value) -> &str {
    command["command"].as_str().unwrap()
}

/// Asserts that every receipt given out verifies, names its command's entry at its place in the log, and that no two
/// signed roots of one size were ever given out. Returns the leaf index of each acknowledged command.
async fn assert_receipts(bench: &Bench, answers: &[Value], roots: &mut HashMap<u64, weituo_proof::Hash>) {
    let log = rows(&*bench.store().await).await;
    for answer in answers {
        let ok = &answer["ok"];
        let receipt = Receipt::parse_with_entry(ok["receipt"].as_str().unwrap()).unwrap();
        let checkpoint = receipt.verify(&bench.verifier).unwrap();
        let row = &log[usize::try_from(receipt.leaf_index.get()).unwrap()];
        assert_eq!(*row.body, receipt.entry);
        assert_eq!(Entry::parse(receipt.entry.as_bytes()).unwrap().command.as_str(), id(ok));
        let root = roots.entry(checkpoint.size.get()).or_insert(checkpoint.root);
        assert_eq!(*root, checkpoint.root, "two signed roots of size {}", checkpoint.size);
    }
}

/// Returns how often each command stands in the log.
async fn counts(bench: &Bench) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for row in rows(&*bench.store().await).await {
        let entry = Entry::parse(row.body.as_bytes()).unwrap();
        *counts.entry(entry.command.as_str().to_owned()).or_insert(0) += 1;
    }
    counts
}

async fn fifty_kills(kind: Kind) {
    let mut dice = Dice::new();
    let bench = Bench::new(kind).await;
    let (mut kills, mut number) = (0, 0);
    let (mut given, mut answered) = (Vec::new(), Vec::new());
    let mut roots = HashMap::new();
    while kills < KILLS {
        let left = round(&bench, number, &mut dice);
        number += 1;
        assert!(number < 20, "{kills} kills only: the processes end too soon");
        kills += left.iter().filter(|left| left.killed).count();
        for left in left {
            given.extend(left.given);
            answered.extend(left.answered);
        }
        bench.assert_verifies();
    }
    assert_receipts(&bench, &answered, &mut roots).await;
    let before = counts(&bench).await;
    assert!(before.values().all(|&count| count == 1), "a command stands twice");
    let acknowledged: HashMap<&str, &Value> =
        answered.iter().map(|answer| (id(&answer["ok"]), &answer["ok"]["leaf_index"])).collect();
    assert!(acknowledged.len() > KILLS, "only {} commands were acknowledged", acknowledged.len());
    let unanswered = given
        .iter()
        .filter(|command| before.contains_key(id(command)) && !acknowledged.contains_key(id(command)));
    println!(
        "{kind:?}: {kills} kills in {number} rounds, {} commands given, {} acknowledged, {} recorded without an answer",
        given.len(),
        acknowledged.len(),
        unanswered.count()
    );
    // Every command again, by its id: what stands there is named, what does not is recorded.
    let settling = bench.start_recording("settling", &given, &[]).wait().unwrap();
    assert!(settling.success(), "{}", bench.errors("settling"));
    let settled = bench.answers("settling");
    assert_eq!(settled.len(), given.len());
    for (command, answer) in given.iter().zip(&settled) {
        assert_eq!(answer["ok"]["repeated"], before.contains_key(id(command)), "{answer}");
        if let Some(leaf_index) = acknowledged.get(id(command)) {
            assert_eq!(&&answer["ok"]["leaf_index"], leaf_index);
        }
    }
    assert_receipts(&bench, &settled, &mut roots).await;
    let after = counts(&bench).await;
    assert!(given.iter().all(|command| after.get(id(command)) == Some(&1)));
    assert_one_history(&*bench.store().await).await;
    bench.assert_verifies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_50_killed_processes_nothing_acknowledged_is_lost_on_sqlite() {
    fifty_kills(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_50_killed_processes_nothing_acknowledged_is_lost_on_postgres() {
    fifty_kills(Kind::Postgres).await;
}
