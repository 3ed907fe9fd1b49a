//! A server of ours as a process of its own, and files served by a program that is not ours.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::shell::Shell;

/// A process that serves until it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Its address, ending in `/`.
    pub(crate) url: String,
}

impl Server {
    /// Starts a command that prints one JSON document with `url` once it listens.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.ends_with("\n}\n") {
            assert!(out.read_line(&mut text).unwrap() > 0, "the server did not start: {text}");
        }
        // The pipe stays open, so that the server can go on printing.
        std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
        let said: Value = serde_json::from_str(&text).unwrap();
        let url = said["url"].as_str().unwrap().to_owned();
        Self { child, url }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(self.ended(), Some(0), "the server stops cleanly");
    }

    /// Waits until it has ended, and returns its exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server did not stop");
    }

    /// Serves a folder by Python's own file server.
    pub(crate) fn of_files(folder: &Path) -> Self {
        let program = "import http.server, functools, sys, json\n\
             handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])\n\
             server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)\n\
             print(json.dumps({'url': f'http://127.0.0.1:{server.server_address[1]}/'}, indent=1), flush=True)\n\
             server.serve_forever()";
        let mut command = Command::new("python3");
        command.args(["-c", program]).arg(folder).stderr(Stdio::null());
        Self::start(command)
    }

    /// Asks for a path with request headers.
    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers)
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if method == "HEAD" {
            request = request.header("accept-encoding", "identity");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = agent.run(request.body(()).unwrap()).unwrap();
        let header = |name: &str| {
            response.headers().get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
        };
        let [media_type, caching, tag] = ["content-type", "cache-control", "etag"].map(header);
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_vec().unwrap();
        Answer { status, media_type, caching, tag, body }
    }
}

impl Server {
    /// Returns the whole answer as it comes over the network, for one encoding that the client accepts.
    pub(crate) fn raw(&self, path: &str, encoding: &str) -> String {
        let (host, base) = self.url.trim_start_matches("http://").split_once('/').unwrap();
        let mut connection = std::net::TcpStream::connect(host).unwrap();
        let request = format!(
            "GET /{base}{path} HTTP/1.1\r\nhost: {host}\r\naccept-encoding: {encoding}\r\nconnection: close\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media_type: String,
    pub(crate) caching: String,
    pub(crate) tag: String,
    pub(crate) body: Vec<u8>,
}

impl Shell {
    /// Serves the ledger's log on a free port.
    pub(crate) fn serve(&self) -> Server {
        Server::start(self.command(&["serve", "--listen", "127.0.0.1:0", "--json"]))
    }

    /// Returns the ledger's verifier key.
    pub(crate) fn verifier_key(&self) -> String {
        let opened = self.run(&["entry", "0", "--json"]).expect_code(0).json();
        opened["entry"]["payload"]["key"].as_str().unwrap().to_owned()
    }
}
