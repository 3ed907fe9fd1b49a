//! A throw-away PostgreSQL for tests: one server a test binary, one database a test.
//!
//! Where `WEITUO_TEST_POSTGRES` holds a superuser's URL without a database (`postgres://postgres@127.0.0.1:5433`), that
//! server is used. Otherwise one is started in the temp folder, with fsync on, and a shell watches over it: it waits on
//! a pipe from this process, so that however the tests end, the server is stopped and its folder removed.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};

/// The shell that starts the server, waits for the end of the tests, and cleans up.
const WATCH: &str = r#"
mkdir -p "$FOLDER" && chmod 755 "$FOLDER"
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown postgres:postgres "$FOLDER"
    as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
cd "$FOLDER"
as "$BIN/initdb" -D "$FOLDER/data" -U postgres -A trust -E UTF8 --locale=C > "$FOLDER.log" 2>&1
as "$BIN/postgres" -D "$FOLDER/data" -k "$FOLDER" -p "$PORT" -c listen_addresses=127.0.0.1 -c fsync=on \
    -c max_connections=200 -c shared_buffers=64MB >> "$FOLDER.log" 2>&1 &
cat > /dev/null
kill -INT "$(head -n 1 "$FOLDER/data/postmaster.pid")"
wait
cd /
rm -rf "$FOLDER" "$FOLDER.log"
"#;

struct Server {
    url: String,
    /// Closing it, which the end of this process does, ends the server.
    _pipe: Option<ChildStdin>,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Creates an empty database and returns its URL.
pub(crate) async fn fresh_database() -> String {
    let server = &SERVER.get_or_init(start).url;
    let name = format!("test_{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
    let mut connection = connect(&format!("{server}/postgres")).await;
    connection.execute(format!("CREATE DATABASE {name} TEMPLATE template0").as_str()).await.unwrap();
    format!("{server}/{name}")
}

/// Connects as the superuser, waiting for the server to be up.
pub(crate) async fn connect(url: &str) -> PgConnection {
    let mut last = None;
    for _ in 0..600 {
        match PgConnection::connect(url).await {
            Ok(connection) => return connection,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no PostgreSQL at {url}: {last:?}");
}

#[expect(clippy::zombie_processes, reason = "the shell outlives this process, whose end it waits for")]
fn start() -> Server {
    if let Ok(url) = std::env::var("WEITUO_TEST_POSTGRES") {
        return Server { url: url.trim_end_matches('/').to_owned(), _pipe: None };
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = std::env::temp_dir().join(format!("weituo-pg-{}-{port}", std::process::id()));
    let mut shell = Command::new("sh");
    shell.args(["-c", WATCH]).env("FOLDER", folder).env("PORT", port.to_string()).env("BIN", newest_bin());
    // Its own process group: an interrupt from the keyboard ends the tests, whose end it then sees.
    let mut shell = shell.process_group(0).stdin(Stdio::piped()).spawn().unwrap();
    Server { url: format!("postgres://postgres@127.0.0.1:{port}"), _pipe: shell.stdin.take() }
}

fn newest_bin() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed
        .filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path())))
        .max()
        .map(|(_, path)| path.join("bin"));
    newest.unwrap_or_else(|| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths)
            .find(|path| path.join("initdb").exists())
            .expect("PostgreSQL is installed")
    })
}

/// A server of one test's own, to be stopped, killed and started.
#[derive(Debug)]
pub(crate) struct PrivateServer {
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

impl PrivateServer {
    /// Starts a server and returns it with the URL of its database `postgres`.
    pub(crate) async fn start() -> (Self, String) {
        let mut server = Self::nowhere();
        let mut initdb = server.program("initdb");
        let made = initdb
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"])
            .arg(server.data());
        let made = made.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.restart().await;
        let url = server.url();
        (server, url)
    }

    /// A folder and a port, and nothing in them.
    fn nowhere() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("server");
        std::fs::create_dir(&data).unwrap();
        give_to_postgres(&data);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, port, process: None }
    }

    /// The URL of its database `postgres`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Copies this server with `pg_basebackup`, while it is in use: into another one, not started yet, that stands alone
    /// or follows this one as the standby of that name.
    pub(crate) fn base_backup(&self, standby: Option<&str>) -> Self {
        let copy = Self::nowhere();
        let name = standby.unwrap_or("backup");
        let from = format!("host=127.0.0.1 port={} user=postgres application_name={name}", self.port);
        let mut program = copy.program("pg_basebackup");
        program.args(["-X", "stream", "--checkpoint=fast", "-d", &from, "-D"]).arg(copy.data());
        let made = program.args(standby.map(|_| "--write-recovery-conf")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        copy
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("server/data")
    }

    /// A program of PostgreSQL, as its own user where we are root, that ends when this test's thread does.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.current_dir(self.folder.path()).args(["--pdeathsig", "INT"]);
        if is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        }
        command.arg(newest_bin().join(name));
        command
    }

    /// Starts the server again, and waits until it answers.
    pub(crate) async fn restart(&mut self) {
        let url = self.url();
        let deadline = std::time::Instant::now() + Duration::from_mins(1);
        loop {
            assert!(std::time::Instant::now() < deadline, "the private server does not start");
            // After a kill the old backends may still hold the shared memory: it ends at once and is tried again.
            let running = self.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_none());
            if !running {
                let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
                let mut postgres = self.program("postgres");
                postgres.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path().join("server"));
                postgres.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
                postgres.args(["-c", "max_connections=30", "-c", "shared_buffers=16MB"]);
                self.process = Some(
                    postgres
                        .stdin(Stdio::null())
                        .stdout(log.try_clone().unwrap())
                        .stderr(log)
                        .spawn()
                        .unwrap(),
                );
            }
            if PgConnection::connect(&url).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends the server by a signal (INT stops it, QUIT and KILL let it crash) and waits for its end.
    pub(crate) fn end(&mut self, signal: &str) {
        if let Some(mut process) = self.process.take() {
            let pid = process.id().to_string();
            drop(Command::new("sh").args(["-c", "kill -$0 $1", signal, &pid]).status());
            drop(process.wait());
        }
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.end("QUIT");
    }
}

/// Returns whether the tests run as root.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

/// Lets PostgreSQL's user write in a folder, where that is not ours.
pub(crate) fn give_to_postgres(folder: &std::path::Path) {
    if is_root() {
        assert!(Command::new("chown").arg("postgres:postgres").arg(folder).status().unwrap().success());
    }
}
