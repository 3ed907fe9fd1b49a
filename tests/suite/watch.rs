//! Monitors and auditors as their users run them: real processes that watch a served log.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use serde_json::Value;
use weituo_proof::{Checkpoint, SignedNote};

use crate::dossier::verifier;
use crate::support::server::Server;
use crate::support::shell::{Ran, Shell, registration};

/// Looks once at a log.
fn look(shell: &Shell, url: &str, key: &str, further: &[&str]) -> Ran {
    shell.run(&[&["watch", url, "--key", key, "--once", "--json"], further].concat())
}

/// Records so many registrations and waits until the server shows them.
fn grow(shell: &Shell, server: &Server, numbers: std::ops::Range<u32>) {
    let lines: String = numbers.map(|number| registration(number, "校") + "\n").collect();
    shell.record(&lines).expect_code(0);
    let newest = shell.run(&["checkpoint"]).expect_code(0).out;
    while String::from_utf8(server.get("checkpoint", &[]).body).unwrap() != newest {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn kinds(look: &Value) -> Vec<&str> {
    look["findings"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_remembers_what_it_saw_and_replays_only_what_is_new() {
    for shell in [Shell::sqlite(), Shell::postgres().await] {
        let shell = shell.filled(2);
        let (server, key) = (shell.serve(), shell.verifier_key());
        let first = look(&shell, &server.url, &key, &[]).expect_code(0).json();
        assert_eq!(first["before"], 0);
        let again = look(&shell, &server.url, &key, &[]).expect_code(0).json();
        assert_eq!((&again["before"], &again["size"]), (&first["size"], &first["size"]));
        grow(&shell, &server, 0..300);
        let grown = look(&shell, &server.url, &key, &[]).expect_code(0).json();
        assert_eq!(grown["before"], first["size"]);
        assert!(grown["size"].as_u64() > first["size"].as_u64().map(|size| size + 300));
        // A memory that breaks off between replaying and remembering has replayed more than it remembers.
        let memory = shell.path("weituo-watch");
        grow(&shell, &server, 300..310);
        let older = std::fs::read(memory.join("checkpoint")).unwrap();
        look(&shell, &server.url, &key, &[]).expect_code(0);
        std::fs::write(memory.join("checkpoint"), older).unwrap();
        look(&shell, &server.url, &key, &[]).expect_code(0);
        // One that is lost is replayed anew, also where the log was last seen long after it was recorded.
        let seen_at: i64 = std::fs::read_to_string(memory.join("seen_at")).unwrap().parse().unwrap();
        for lost in [&b"of another version"[..], b"weituo watch state 2\nand then something else"] {
            std::fs::write(memory.join("replayed"), lost).unwrap();
            std::fs::write(memory.join("seen_at"), (seen_at + 600_000).to_string()).unwrap();
            look(&shell, &server.url, &key, &[]).expect_code(0);
        }
    }
}

#[test]
fn what_a_monitor_cannot_read_is_no_finding_until_the_log_is_silent_for_too_long() {
    let shell = Shell::sqlite().filled(0);
    let (server, key) = (shell.serve(), shell.verifier_key());
    let url = server.url.clone();
    look(&shell, &url, &key, &[]).expect_code(0);
    server.stop();
    let away = look(&shell, &url, &key, &[]).expect_code(2).json();
    assert!(kinds(&away).is_empty() && !away["reasons"].as_array().unwrap().is_empty());
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let silent = look(&shell, &url, &key, &["--silence", "1s"]).expect_code(1).json();
    assert_eq!(kinds(&silent), ["log-silent"]);
    let stranger = Shell::sqlite().filled(0);
    let other = stranger.serve();
    let forged = look(&shell, &other.url, &key, &[]).expect_code(1).json();
    assert_eq!(kinds(&forged), ["checkpoint-signature"]);
    look(&shell, &other.url, "no key", &[]).expect_code(2);
    shell.run(&["watch", &other.url, "--key", &key, "--every", "5"]).expect_code(2);
}

#[test]
fn a_log_set_back_is_told_at_every_look_with_both_checkpoints_as_evidence() {
    let shell = Shell::sqlite().filled(0);
    let (server, key) = (shell.serve(), shell.verifier_key());
    let older = shell.path("older").display().to_string();
    shell.run(&["mirror", &server.url, &older, "--key", &key]).expect_code(0);
    grow(&shell, &server, 0..5);
    look(&shell, &server.url, &key, &[]).expect_code(0);
    let set_back = Server::of_files(&shell.path("older"));
    for _ in 0..2 {
        let told = look(&shell, &set_back.url, &key, &[]).expect_code(1).json();
        assert_eq!(kinds(&told), ["checkpoint-not-extended"]);
        let evidence = std::path::PathBuf::from(told["evidence"].as_str().unwrap());
        for name in ["kept", "found"] {
            let note = std::fs::read_to_string(shell.folder.path().join(&evidence).join(name)).unwrap();
            Checkpoint::open(&note, &key.parse().unwrap()).unwrap();
        }
    }
    look(&shell, &server.url, &key, &[]).expect_code(0);
}

#[test]
fn what_is_wrong_with_a_log_is_told_though_the_monitor_can_keep_nothing() {
    let shell = Shell::sqlite().filled(3);
    let (server, key) = (shell.serve(), shell.verifier_key());
    let copy = shell.path("copy");
    shell.run(&["mirror", &server.url, copy.to_str().unwrap(), "--key", &key]).expect_code(0);
    let bundles = copy.join("tile/entries");
    let partial = std::fs::read_dir(&bundles).unwrap().next().unwrap().unwrap().path();
    let bundle = std::fs::read_dir(&partial).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&bundle).unwrap();
    let at = bytes.windows(6).rposition(|window| window == b"bureau").unwrap();
    bytes[at] = b'B';
    std::fs::write(&bundle, bytes).unwrap();
    let altered = Server::of_files(&copy);
    // No folder can be made below a file.
    std::fs::write(shell.path("full"), "").unwrap();
    let told = look(&shell, &altered.url, &key, &["--state", "full/state"]).expect_code(1).json();
    assert!(!kinds(&told).is_empty(), "{told}");
    let refused = look(&shell, &server.url, &key, &["--state", "full/state"]).expect_code(2);
    assert!(refused.err.contains("full/state"), "{}", refused.err);
}

#[test]
fn whoever_is_to_be_told_is_told_of_findings_and_of_nothing_else() {
    let shell = Shell::sqlite().filled(0);
    let (server, key) = (shell.serve(), shell.verifier_key());
    let hook = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/told", hook.local_addr().unwrap());
    let told = std::thread::spawn(move || {
        let (mut connection, _) = hook.accept().unwrap();
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).unwrap() > 0 && line != "\r\n" {
            let lower = line.to_lowercase();
            length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        connection.write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    });
    let whom = ["--exec", "cat > told.json", "--webhook", &url];
    look(&shell, &server.url, &key, &whom).expect_code(0);
    assert!(!shell.path("told.json").exists());
    let stranger = Shell::sqlite().filled(0);
    let other = stranger.serve();
    look(&shell, &other.url, &key, &whom).expect_code(1);
    let by_command: Value = serde_json::from_slice(&std::fs::read(shell.path("told.json")).unwrap()).unwrap();
    assert_eq!(kinds(&by_command), ["checkpoint-signature"]);
    assert_eq!(told.join().unwrap(), by_command);
}

/// A monitor that goes on looking, with its metrics.
struct Watching {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    metrics: String,
}

impl Watching {
    fn start(shell: &Shell, url: &str, key: &str) -> Self {
        let arguments = [
            "watch",
            url,
            "--key",
            key,
            "--every",
            "1s",
            "--metrics",
            "127.0.0.1:0",
            "--json",
            "--silence",
            "1s",
        ];
        let mut child = shell.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut watching =
            Self { out: BufReader::new(child.stdout.take().unwrap()), child, metrics: String::new() };
        watching.next()["metrics"].as_str().unwrap().clone_into(&mut watching.metrics);
        watching
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Returns a metric's value.
    fn metric(&self, name: &str) -> u64 {
        let mut response = ureq::get(&self.metrics).call().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

#[test]
fn a_monitor_goes_on_looking_and_its_metrics_say_so_until_it_is_stopped() {
    let shell = Shell::sqlite().filled(0);
    let (server, key) = (shell.serve(), shell.verifier_key());
    let mut watching = Watching::start(&shell, &server.url, &key);
    let size = watching.next()["size"].as_u64().unwrap();
    assert_eq!(watching.metric("weituo_watch_log_size"), size);
    assert_eq!(watching.metric("weituo_watch_looks_total{outcome=\"right\"}"), 1);
    grow(&shell, &server, 0..3);
    while watching.next()["size"].as_u64().unwrap() == size {}
    assert!(watching.metric("weituo_watch_entries_replayed_total") > size);
    server.stop();
    while watching.next()["findings"].as_array().unwrap().is_empty() {}
    assert_eq!(watching.metric("weituo_watch_findings"), 1);
    let pid = watching.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(watching.child.wait().unwrap().success());
}

#[test]
fn an_auditors_cosignature_makes_complete_mean_that_somebody_replayed_it() {
    let shell = Shell::sqlite().filled(1);
    let (server, key) = (shell.serve(), shell.verifier_key());
    let auditor = ["--cosign", "auditor.key"];
    look(&shell, &server.url, &key, &auditor).expect_code(2);
    shell.run(&["key", "new", "auditor.key", "--name", "auditor.example"]).expect_code(0);
    let said = shell.run(&["watch", &server.url, "--key", &key, "--once", "--cosign", "auditor.key"]);
    let said = said.expect_code(0).out;
    let auditors_key = said.split_whitespace().find(|word| word.starts_with("auditor.example+")).unwrap();
    let auditors_key = auditors_key.trim_end_matches(':').to_owned();
    shell.record(&registration(99, "校")).expect_code(0);
    let dossier = shell.path("d.json").display().to_string();
    shell.run(&["dossier", "trustee", "trustee-a", "--out", &dossier]).expect_code(0);
    let text = std::fs::read_to_string(&dossier).unwrap();
    let checkpoint: Value = serde_json::from_str(&text).unwrap();
    let note = SignedNote::parse(checkpoint["checkpoint"].as_str().unwrap()).unwrap();
    let size = Checkpoint::parse(note.text()).unwrap().size;
    // The log goes on; the auditor has replayed it up to the very size that the dossier quotes all the same.
    grow(&shell, &server, 0..3);
    look(&shell, &server.url, &key, &auditor).expect_code(0);
    let statement = shell.path("weituo-watch/cosigned").join(size.to_string()).display().to_string();
    let alone = verifier(&[&dossier, "--key", &key, "--json"]).expect_code(0).json();
    assert_eq!(alone["audited_by"], Value::Array(vec![]));
    let arguments = [&dossier, "--key", &key, "--auditor", &auditors_key, "--checkpoint", &statement];
    let audited = verifier(&[&arguments[..], &["--json"]].concat());
    assert_eq!(audited.json()["audited_by"][0], "auditor.example");
    assert_eq!(audited.json()["complete"]["answer"], "yes");
    // The statement alone bears no signature of the log, so it is no checkpoint that somebody saw.
    assert_eq!(audited.json()["age"]["answer"], "could-not-check");
    let shown = verifier(&[&dossier, "--key", &key, "--checkpoint", &dossier]);
    assert_eq!(shown.code, 2, "a file that is no checkpoint proves no age");
    let kept = shell.path("kept").display().to_string();
    std::fs::write(&kept, note.to_string()).unwrap();
    verifier(&[&dossier, "--key", &key, "--checkpoint", &kept]).expect_code(0);
    // Nothing is cosigned of a log that is not right.
    let before = std::fs::read_dir(shell.path("weituo-watch/cosigned")).unwrap().count();
    let stranger = Shell::sqlite().filled(0);
    look(&shell, &stranger.serve().url, &key, &auditor).expect_code(1);
    assert_eq!(std::fs::read_dir(shell.path("weituo-watch/cosigned")).unwrap().count(), before);
}
