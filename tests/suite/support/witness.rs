//! A witness as a process of its own, and logs that ask it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use weituo_proof::witness::AddCheckpoint;
use weituo_proof::{
    Checkpoint, Hash, MemoryNodes, Origin, SignedNote, SigningKey, TreeSize, VerifierKey, leaf_hash,
};

/// A running witness; it is killed when the test ends.
pub(crate) struct Witness {
    child: Child,
    pub(crate) url: String,
    pub(crate) key: VerifierKey,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the command that runs a witness on a port of the system's choice.
pub(crate) fn command(state: &Path, logs: &[&VerifierKey]) -> Command {
    command_at("127.0.0.1:0", state, logs)
}

/// Returns the command that runs a witness at an address that another had before.
pub(crate) fn command_at(address: &str, state: &Path, logs: &[&VerifierKey]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weituo"));
    command.args(["--json", "--lang", "en", "witness", "--listen", address, "--state"]).arg(state);
    for log in logs {
        command.arg("--log").arg(log.to_string());
    }
    command.env_remove("WEITUO_FAILPOINTS");
    command
}

impl Witness {
    pub(crate) fn start(state: &Path, logs: &[&VerifierKey]) -> Self {
        Self::of(command(state, logs))
    }

    /// Runs a command until it says where it listens.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let started: Value = serde_json::from_str(&first).unwrap_or_else(|error| panic!("{error}: {first}"));
        let url = format!("http://{}", started["listen"].as_str().unwrap());
        let key = started["verifier_key"].as_str().unwrap().parse().unwrap();
        Self { child, url, key }
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn post(&self, body: &str) -> Answer {
        post(&format!("{}/add-checkpoint", self.url), body).unwrap()
    }

    /// Returns the newest checkpoint that it serves.
    pub(crate) fn newest(&self, origin: &str) -> Answer {
        let origin = Origin::new(origin).unwrap();
        get(&format!("{}/{}/checkpoint", self.url, weituo_proof::witness::origin_hash(&origin)))
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(20))).build().into()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let (status, body) = (response.status().as_u16(), response.body_mut().read_to_string().unwrap());
    Answer { status, content_type: content_type.unwrap_or_default(), body }
}

pub(crate) fn post(url: &str, body: &str) -> Result<Answer, ureq::Error> {
    agent().post(url).send(body).map(answer)
}

pub(crate) fn get(url: &str) -> Answer {
    answer(agent().get(url).call().unwrap())
}

/// A log of its own: a key and leaves, without a ledger.
pub(crate) struct Log {
    pub(crate) key: SigningKey,
    pub(crate) nodes: MemoryNodes,
}

impl Log {
    pub(crate) fn new(origin: &str) -> Self {
        Self::of(origin, (0..200_u64).map(|index| leaf_hash(&index.to_be_bytes())))
    }

    pub(crate) fn of(origin: &str, leaves: impl Iterator<Item = Hash>) -> Self {
        let mut nodes = MemoryNodes::new();
        nodes.extend(leaves);
        Self { key: SigningKey::from_seed(origin, [3; 32]).unwrap(), nodes }
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::new(self.key.name()).unwrap()
    }

    pub(crate) fn root(&self, size: u64) -> Hash {
        let Ok(root) = weituo_proof::tree::root(&self.nodes, TreeSize::new(size));
        root
    }

    pub(crate) fn note(&self, size: u64) -> SignedNote {
        self.signed(size, self.root(size))
    }

    pub(crate) fn signed(&self, size: u64, root: Hash) -> SignedNote {
        Checkpoint { origin: self.origin(), size: TreeSize::new(size), root }.sign(&self.key).unwrap()
    }

    /// Returns the request of growing from one size to another.
    pub(crate) fn request(&self, from: u64, to: u64) -> AddCheckpoint {
        let old_size = TreeSize::new(from);
        let proof = weituo_proof::tree::consistency_proof(&self.nodes, old_size, TreeSize::new(to)).unwrap();
        AddCheckpoint { old_size, proof, note: self.note(to) }
    }
}

/// Returns the files of a folder, sorted; none where there is no folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = listing.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Writes a policy file: witnesses by name, key and address, and the lines that follow them.
pub(crate) fn write_policy(path: &Path, witnesses: &[(&str, &VerifierKey, &str)], rest: &str) {
    let lines = witnesses.iter().map(|(name, key, url)| format!("witness {name} {key} {url}\n"));
    std::fs::write(path, format!("{}{rest}\n", lines.collect::<Vec<_>>().concat())).unwrap();
}

/// A server that answers every request with the same bytes, however wrong, or never.
pub(crate) struct Liar {
    pub(crate) url: String,
    pub(crate) asked: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Liar {
    pub(crate) fn saying(answer: Option<String>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer, seen) = (stream.unwrap(), answer.clone(), seen.clone());
                std::thread::spawn(move || {
                    use std::io::Write as _;
                    let request = read_request(&mut stream);
                    seen.lock().unwrap().push(request);
                    match answer {
                        Some(answer) => drop(stream.write_all(answer.as_bytes())),
                        None => std::thread::sleep(Duration::from_mins(1)),
                    }
                });
            }
        });
        Self { url, asked }
    }

    /// Returns a response of a status, a content type and a body.
    pub(crate) fn response(status: &str, content_type: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }
}

/// Reads a request with its body, which may come in parts.
fn read_request(stream: &mut std::net::TcpStream) -> String {
    use std::io::Read as _;
    let (mut request, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        let length =
            text.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or(0)) {
            return text;
        }
        match stream.read(&mut part) {
            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
            _ => return text,
        }
    }
}
