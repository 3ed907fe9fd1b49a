//! Time-stamps by a local authority made with openssl, and authorities that answer something else.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;
use weituo_proof::SignedNote;

use crate::support::shell::{Shell, registration};

const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = Local time
[ca]
basicConstraints = critical, CA:TRUE
[leaf]
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = one
[one]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
certs = ca.pem
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
accuracy = secs:1
ordering = yes
";

/// What an authority does to a true answer: the folder of its certificates, the request, and what it answers.
type Answering = dyn Fn(&Path, &[u8]) -> Option<Vec<u8>> + Send + Sync;

/// A time-stamping authority on a free port.
struct Authority {
    folder: Arc<TempDir>,
    url: String,
}

fn openssl(folder: &Path, arguments: &str) -> (bool, String) {
    let arguments = arguments.split_whitespace();
    let ran = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    (ran.status.success(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
}

/// Returns what openssl answers to a request.
fn reply(folder: &Path, request: &[u8]) -> Vec<u8> {
    std::fs::write(folder.join("request"), request).unwrap();
    let (replied, told) = openssl(folder, "ts -reply -config config -queryfile request -out response");
    assert!(replied, "{told}");
    std::fs::read(folder.join("response")).unwrap()
}

impl Authority {
    fn honest() -> Self {
        Self::answering(|folder, request| Some(reply(folder, request)))
    }

    fn answering(answer: impl Fn(&Path, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("config"), CONFIG).unwrap();
        std::fs::write(folder.path().join("serial"), "01\n").unwrap();
        for arguments in [
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 9 -config config -extensions ca",
            "req -new -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -config config -subj /CN=Stamps",
            "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tsa.pem -days 9 -extfile config -extensions leaf",
        ] {
            let (made, told) = openssl(folder.path(), arguments);
            assert!(made, "{arguments}: {told}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/tsa", listener.local_addr().unwrap());
        let (answer, place): (Box<Answering>, _) = (Box::new(answer), Arc::clone(&folder));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                serve(connection.unwrap(), place.path(), &*answer);
            }
        });
        Self { folder, url }
    }

    /// Returns whether `openssl ts -verify` takes a token for one over a text.
    fn verifies(&self, token: &[u8], text: &str) -> bool {
        std::fs::write(self.folder.path().join("token"), token).unwrap();
        std::fs::write(self.folder.path().join("text"), text).unwrap();
        openssl(self.folder.path(), "ts -verify -data text -in token -token_in -CAfile ca.pem").0
    }
}

fn serve(mut connection: TcpStream, folder: &Path, answer: &Answering) {
    let mut read = Vec::new();
    let mut part = [0; 4_096];
    let request = loop {
        let count = connection.read(&mut part).unwrap();
        read.extend_from_slice(&part[..count]);
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        assert!(head.contains("content-type: application/timestamp-query"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if read.len() >= end + 4 + length.parse::<usize>().unwrap() {
            break read.split_off(end + 4);
        }
    };
    if let Some(body) = answer(folder, &request) {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        connection.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    }
}

fn ledger() -> Shell {
    Shell::sqlite().filled(1)
}

fn text_of(note: &str) -> String {
    SignedNote::parse(note).unwrap().text().to_owned()
}

#[test]
fn a_dossier_is_stamped_and_openssl_takes_its_token_for_its_checkpoint_alone() {
    let (shell, authority) = (ledger(), Authority::honest());
    let file = shell.path("d.json");
    let dossier = || {
        let out = file.display().to_string();
        shell
            .run(&["dossier", "agreement", "WZ-2022-001", "--out", &out, "--tsa", &authority.url])
            .expect_code(0);
        serde_json::from_str::<Value>(&std::fs::read_to_string(&file).unwrap()).unwrap()
    };
    let made = dossier();
    let token = STANDARD.decode(made["timestamps"][0].as_str().unwrap()).unwrap();
    let text = text_of(made["checkpoint"].as_str().unwrap());
    assert!(authority.verifies(&token, &text));
    assert!(!authority.verifies(&token, &text.replacen('A', "B", 1).replace("ledger", "Ledger")));
    assert_eq!(dossier()["timestamps"], made["timestamps"], "the token that is kept is used again");
}

#[test]
fn an_entry_is_proven_absent_at_one_stamp_and_present_at_the_next() {
    let (shell, authority) = (ledger(), Authority::honest());
    let stamp = || shell.run(&["stamp", "--tsa", &authority.url, "--json"]).expect_code(0).json();
    let first = stamp();
    assert_eq!(stamp(), first, "a checkpoint is stamped once");
    let leaf = first["size"].as_u64().unwrap();
    shell.record(&registration(1, "新校")).expect_code(0);
    let entry = |leaf: u64| shell.run(&["entry", &leaf.to_string(), "--json"]).expect_code(0).json();
    assert_eq!(entry(leaf)["proven"]["absent_at"]["time"], first["time"]);
    assert_eq!(entry(leaf)["proven"]["present_at"], Value::Null);
    let second = stamp();
    let proven = &entry(leaf)["proven"];
    assert_eq!(
        (&proven["absent_at"]["size"], &proven["present_at"]["size"]),
        (&first["size"], &second["size"])
    );
    assert_eq!(entry(0)["proven"]["present_at"]["time"], first["time"]);
    let shown = shell.run(&["entry", &leaf.to_string()]).expect_code(0).out;
    assert!(shown.contains("proven: absent") && shown.contains("operator's own word"), "{shown}");
    // The printed command is one that works.
    let told = shell.run(&["stamp", "--tsa", &authority.url]).expect_code(0).out;
    let command = told.lines().find_map(|line| line.split_once("head -n 3").map(|(_, rest)| rest)).unwrap();
    let command = format!("head -n 3{}", command.split(" (with").next().unwrap());
    let command =
        command.replace("tsa-ca.pem", &authority.folder.path().join("ca.pem").display().to_string());
    let ran = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a_kept_stamp_of_another_checkpoint_proves_nothing_and_is_told() {
    let (shell, authority) = (ledger(), Authority::honest());
    let first = shell.run(&["stamp", "--tsa", &authority.url, "--json"]).expect_code(0).json();
    let kept = first["checkpoint"].as_str().unwrap();
    let other = Shell::sqlite().filled(1);
    std::fs::write(kept, other.run(&["checkpoint"]).expect_code(0).out).unwrap();
    let ran = shell.run(&["entry", "0", "--json"]).expect_code(0);
    assert!(ran.err.contains("cannot be used") && ran.err.contains(".tsr"), "{}", ran.err);
    assert_eq!(ran.json()["proven"]["present_at"], Value::Null);
    let refused = shell.run(&["stamp", "--tsa", &authority.url]).expect_code(2);
    assert!(refused.err.contains("cannot be used"), "{}", refused.err);
}

#[test]
fn an_authority_that_answers_anything_else_is_told_and_nothing_is_lost() {
    let shell = ledger();
    std::fs::write(shell.path("d.json"), "an older dossier").unwrap();
    let changed = |from_end: usize| {
        move |folder: &Path, request: &[u8]| {
            let mut request = request.to_vec();
            // The last bytes are the nonce, which ends before 3 bytes of certReq, and before its 10 the digest.
            let at = request.len() - from_end;
            request[at] ^= 1;
            Some(reply(folder, &request))
        }
    };
    let rejecting = |_: &Path, _: &[u8]| Some(vec![0x30, 5, 0x30, 3, 2, 1, 2]);
    let cases = [
        (Authority::answering(|_, _| Some(b"<html>".to_vec())), "not a time-stamp response"),
        (Authority::answering(|_, _| Some(Vec::new())), "not a time-stamp response"),
        (
            Authority::answering(|folder, request| Some(reply(folder, request)[..900].to_vec())),
            "not a time-stamp",
        ),
        (Authority::answering(changed(4)), "another nonce"),
        (Authority::answering(changed(14)), "another digest"),
        (Authority::answering(rejecting), "refuses, status 2"),
        (Authority::answering(|_, _| None), "does not answer"),
    ];
    for (authority, told) in cases {
        let ran = shell.run(&["stamp", "--tsa", &authority.url]).expect_code(2);
        assert!(ran.err.contains(told) && ran.err.contains(&authority.url), "{told}: {}", ran.err);
        let out = ["dossier", "agreement", "WZ-2022-001", "--out", "d.json", "--tsa", &authority.url];
        shell.run(&out).expect_code(2);
    }
    for url in ["ftp://x", "http://", "http://127.0.0.1:1/"] {
        shell.run(&["stamp", "--tsa", url]).expect_code(2);
    }
    assert_eq!(std::fs::read_to_string(shell.path("d.json")).unwrap(), "an older dossier");
    assert!(!shell.path("ledger.stamps").exists(), "nothing is kept");
    shell.run(&["stamp", "--tsa", &Authority::honest().url]).expect_code(0);
    shell.run(&["verify"]).expect_code(0);
}

#[test]
fn a_served_log_is_stamped_where_it_has_grown() {
    let (shell, authority) = (ledger(), Authority::honest());
    let arguments =
        ["serve", "--listen", "127.0.0.1:0", "--json", "--tsa", &authority.url, "--tsa-every", "1s"];
    let server = crate::support::server::Server::start(shell.command(&arguments));
    let stamps = || std::fs::read_dir(shell.path("ledger.stamps")).map_or(0, Iterator::count);
    let until = |count| {
        let end = Instant::now() + Duration::from_secs(30);
        while stamps() < count {
            assert!(Instant::now() < end, "no stamp");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until(2);
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(stamps(), 2, "a log that has not grown is not stamped again");
    shell.record(&registration(1, "新校")).expect_code(0);
    until(4);
    server.stop();
}
