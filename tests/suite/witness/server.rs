//! The witness on its own: what it answers, what it keeps, and what it does after it was killed.

use std::sync::Barrier;

use weituo_proof::witness::{AddCheckpoint, cosignature};
use weituo_proof::{Checkpoint, Hash, SignedNote};

use crate::support::process::text;
use crate::support::witness::{Log, Witness, command, files, get};

const ORIGIN: &str = "log.example/witnessed";

struct Scene {
    state: tempfile::TempDir,
    log: Log,
    witness: Witness,
}

impl Scene {
    fn new() -> Self {
        let (state, log) = (tempfile::tempdir().unwrap(), Log::new(ORIGIN));
        let witness = Witness::start(state.path(), &[log.key.verifier()]);
        Self { state, log, witness }
    }

    /// Returns the status of asking for a step, and the body.
    fn ask(&self, from: u64, to: u64) -> (u16, String) {
        let answer = self.witness.post(&self.log.request(from, to).to_string());
        (answer.status, answer.body)
    }

    /// Returns the size that the witness serves.
    fn served(&self) -> u64 {
        let served = self.witness.newest(ORIGIN);
        assert_eq!(served.status, 200, "{served:?}");
        let note = SignedNote::parse(&served.body).unwrap();
        assert!(
            note.signed_by(self.log.key.verifier()).is_some() && note.signed_by(&self.witness.key).is_some()
        );
        Checkpoint::parse(note.text()).unwrap().size.get()
    }

    fn restart(&mut self) {
        self.witness.kill();
        self.witness = Witness::start(self.state.path(), &[self.log.key.verifier()]);
    }
}

#[test]
fn growth_is_cosigned_and_the_newest_checkpoint_is_served() {
    let mut scene = Scene::new();
    assert_eq!(scene.witness.newest(ORIGIN).status, 404);
    let key = scene.witness.key.clone();
    let mut last = 0;
    for (from, to) in [(0, 1), (1, 1), (1, 7), (7, 8), (8, 200)] {
        let (status, body) = scene.ask(from, to);
        assert_eq!(status, 200, "{body}");
        let (_, time) = cosignature(&scene.log.note(to), &body, &key).unwrap();
        assert!(time >= last, "{time} is before {last}");
        last = time;
        assert_eq!(scene.served(), to);
    }
    scene.restart();
    assert_eq!(scene.witness.key, key);
    assert_eq!(scene.served(), 200);
    assert_eq!(scene.ask(200, 200).0, 200);
}

#[test]
fn a_rollback_or_a_stale_size_is_told_the_size_cosigned_last() {
    let scene = Scene::new();
    assert_eq!(scene.ask(0, 9).0, 200);
    for (from, to) in [(0, 5), (5, 9), (0, 9), (0, 12), (5, 12)] {
        let answer = scene.witness.post(&scene.log.request(from, to).to_string());
        assert_eq!((answer.status, answer.body.as_str()), (409, "9\n"), "{from} to {to}");
        assert_eq!(answer.content_type, "text/x.tlog.size");
    }
    assert_eq!(scene.served(), 9);
    assert_eq!(scene.ask(9, 12).0, 200);
}

#[test]
fn a_fork_is_refused_and_both_checkpoints_are_kept_as_evidence() {
    let mut scene = Scene::new();
    assert_eq!(scene.ask(0, 9).0, 200);
    let forked = AddCheckpoint { note: scene.log.signed(9, Hash([7; 32])), ..scene.log.request(9, 9) };
    assert_eq!(scene.witness.post(&forked.to_string()).status, 422);
    // Two roots of one size say so whatever size the request starts from.
    let stale = AddCheckpoint { note: scene.log.signed(9, Hash([8; 32])), ..scene.log.request(3, 9) };
    assert_eq!(scene.witness.post(&stale.to_string()).status, 409);
    let unproven = AddCheckpoint { note: scene.log.signed(12, Hash([9; 32])), ..scene.log.request(9, 12) };
    assert_eq!(scene.witness.post(&unproven.to_string()).status, 422);
    assert_eq!(scene.witness.post(&unproven.to_string()).status, 422);
    let evidence = files(&scene.state.path().join("evidence"));
    let start = |name: &str| {
        evidence.iter().filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(name)).count()
    };
    assert_eq!((start("fork-"), start("unproven-"), evidence.len()), (2, 1, 3), "{evidence:?}");
    let all: Vec<String> = evidence.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    for (kept, refused) in all.iter().map(|text| text.split_once("\n\nold ").unwrap()) {
        let kept = SignedNote::parse(&format!("{kept}\n")).unwrap();
        let refused = AddCheckpoint::parse(&format!("old {refused}")).unwrap();
        for note in [&kept, &refused.note] {
            assert!(note.signed_by(scene.log.key.verifier()).is_some(), "{note}");
        }
        assert_ne!(kept.text(), refused.note.text());
    }
    assert_eq!(scene.served(), 9);
    scene.restart();
    assert_eq!(scene.ask(9, 12).0, 200);
}

#[test]
fn what_is_no_request_of_a_known_log_has_its_own_status() {
    let scene = Scene::new();
    let good = scene.log.request(0, 9);
    let post = |body: &str| scene.witness.post(body).status;
    for (body, expected) in [
        (String::new(), 400),
        ("garbage".to_owned(), 400),
        (good.to_string().replacen("old 0", "old 00", 1), 400),
        (good.to_string().replacen("old 0\n", "old 0\nAAAA\n", 1), 400),
        (good.to_string().replacen("old 0", "old 10", 1), 400),
        (good.to_string().replacen("\n9\n", "\nnine\n", 1), 400),
        (format!("old 0\n\n{}", "x\n".repeat(10)), 400),
        // An unknown log; a known one whose signature is another's; one whose signature is of another text.
        (Log::new("log.example/other").request(0, 9).to_string(), 404),
        (good.to_string().replacen("log.example/witnessed", "log example", 1), 404),
        (
            AddCheckpoint {
                note: SignedNote::sign(
                    scene.log.note(9).text(),
                    &weituo_proof::SigningKey::from_seed(ORIGIN, [9; 32]).unwrap(),
                )
                .unwrap(),
                ..good.clone()
            }
            .to_string(),
            403,
        ),
        (good.to_string().replacen("\n9\n", "\n8\n", 1), 403),
        // A proof from nothing, and an empty tree with a root.
        (AddCheckpoint { proof: vec![Hash([1; 32])], ..good.clone() }.to_string(), 422),
        (AddCheckpoint { note: scene.log.signed(0, Hash([1; 32])), ..good.clone() }.to_string(), 422),
        ("x".repeat(300_000), 413),
    ] {
        assert_eq!(post(&body), expected, "{}", &body[..body.len().min(300)]);
    }
    let url = &scene.witness.url;
    assert_eq!(get(&format!("{url}/add-checkpoint")).status, 405);
    assert_eq!(get(&format!("{url}/nothing/checkpoint")).status, 404);
    assert_eq!(get(&format!("{url}/{}/checkpoint", "0".repeat(64))).status, 404);
    assert_eq!(crate::support::witness::post(&format!("{url}/other"), "").unwrap().status, 404);
    assert_eq!(files(&scene.state.path().join("evidence")).len(), 0);
    // Nothing of this was cosigned; unknown signature lines are passed over.
    let unknown = format!("{good}\u{2014} new.example/algorithm AAAAAAYGBgYG\n");
    let many: Vec<String> =
        (0..40).map(|number| format!("\u{2014} w{number}.example AAAAAAYGBgYG\n")).collect();
    assert_eq!(post(&format!("{unknown}{}", many.concat())), 200);
}

#[test]
fn of_requests_that_come_at_once_one_is_cosigned_and_nothing_goes_back() {
    let scene = Scene::new();
    let mut size = 0;
    for _ in 0..10 {
        let barrier = Barrier::new(6);
        let statuses: Vec<(u64, u16)> = std::thread::scope(|scope| {
            let asks: Vec<_> = (1..=6)
                .map(|step| {
                    let (scene, barrier) = (&scene, &barrier);
                    scope.spawn(move || {
                        let body = scene.log.request(size, size + step).to_string();
                        barrier.wait();
                        (size + step, scene.witness.post(&body).status)
                    })
                })
                .collect();
            asks.into_iter().map(|ask| ask.join().unwrap()).collect()
        });
        let cosigned: Vec<u64> =
            statuses.iter().filter(|(_, status)| *status == 200).map(|(to, _)| *to).collect();
        assert!(statuses.iter().all(|(_, status)| [200, 409].contains(status)), "{statuses:?}");
        assert_eq!(cosigned.len(), 1, "{statuses:?}");
        size = cosigned[0];
        assert_eq!(scene.served(), size);
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_witness_killed_between_keeping_and_answering_goes_on_from_what_it_kept() {
    let mut scene = Scene::new();
    assert_eq!(scene.ask(0, 5).0, 200);
    scene.witness.kill();
    let paused = scene.state.path().join("paused");
    let mut stopping = command(scene.state.path(), &[scene.log.key.verifier()]);
    stopping.env("WEITUO_FAILPOINTS", format!("witness.after_persist=touch-wait:{}", paused.display()));
    scene.witness = Witness::of(stopping);
    let (url, body) = (format!("{}/add-checkpoint", scene.witness.url), scene.log.request(5, 9).to_string());
    let asked = std::thread::spawn(move || crate::support::witness::post(&url, &body).is_err());
    while !paused.exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    scene.restart();
    assert!(asked.join().unwrap(), "a killed witness answers nothing");
    // It counts as cosigned: the log learns the size and goes on from there.
    assert_eq!(scene.served(), 9);
    assert_eq!(scene.ask(5, 9), (409, "9\n".to_owned()));
    let (status, body) = scene.ask(9, 9);
    assert_eq!(status, 200);
    cosignature(&scene.log.note(9), &body, &scene.witness.key).unwrap();
    let forked = AddCheckpoint { note: scene.log.signed(9, Hash([7; 32])), ..scene.log.request(9, 9) };
    assert_eq!(scene.witness.post(&forked.to_string()).status, 422);
}

#[test]
fn a_directory_serves_one_witness_and_one_that_lost_its_memory_is_refused() {
    let mut scene = Scene::new();
    let key = scene.log.key.verifier().clone();
    assert_eq!(scene.ask(0, 5).0, 200);
    let run = || {
        let output = command(scene.state.path(), &[&key]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        text(&output)
    };
    assert!(run().contains("another witness uses"), "{}", run());
    scene.witness.kill();
    let named = command(scene.state.path(), &[&key]).args(["--name", "other.example"]).output().unwrap();
    assert!(text(&named).contains("is named"), "{}", text(&named));
    let kept = files(&scene.state.path().join("logs")).remove(0);
    let whole = std::fs::read_to_string(&kept).unwrap();
    for altered in [whole.replacen("\n5\n", "\n4\n", 1), scene.log.note(4).to_string(), String::new()] {
        std::fs::write(&kept, altered).unwrap();
        assert!(run().contains("is not a checkpoint that this witness cosigned"), "{}", run());
    }
    std::fs::remove_dir_all(scene.state.path().join("logs")).unwrap();
    assert!(run().contains("is missing beside a key"), "{}", run());
    std::fs::create_dir(scene.state.path().join("logs")).unwrap();
    assert!(run().contains("is missing beside a key"), "an empty memory is one that was lost: {}", run());
    std::fs::write(&kept, whole).unwrap();
    scene.restart();
    assert_eq!(scene.served(), 5);
}

#[test]
fn the_key_is_its_owners_only_and_a_witness_is_named_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let (state, log) = (tempfile::tempdir().unwrap(), Log::new(ORIGIN));
    let mut named = command(state.path(), &[log.key.verifier()]);
    named.args(["--name", "witness.example/w1"]);
    let mut witness = Witness::of(named);
    assert_eq!(witness.key.name(), "witness.example/w1");
    let mode = std::fs::metadata(state.path().join("witness.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    witness.kill();
    assert_eq!(Witness::start(state.path(), &[log.key.verifier()]).key.name(), "witness.example/w1");
    let bad =
        command(&state.path().join("x"), &[log.key.verifier()]).args(["--name", "a b"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(2), "{}", text(&bad));
}
