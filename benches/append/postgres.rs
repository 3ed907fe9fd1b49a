//! A throw-away PostgreSQL for the bench: fsync on, `synchronous_commit` on, on a free loopback port.
//!
//! A shell watches over it: it waits on a pipe from this process, so that however the bench ends, the server is stopped
//! and its folder removed.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::measure::{Outcome, as_f64};

/// What differs from the server's defaults: room for the clients, and no checkpoint in the middle of a measurement
/// (one is made before each).
const SETTINGS: &str = "-c fsync=on -c synchronous_commit=on -c full_page_writes=on -c max_connections=200 \
    -c shared_buffers=256MB -c max_wal_size=8GB -c checkpoint_timeout=1h";

/// The shell that starts the server, waits for the end of the bench, and cleans up.
const WATCH: &str = r#"
mkdir -p "$FOLDER" && chmod 755 "$FOLDER"
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    chown postgres:postgres "$FOLDER"
    as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
cd "$FOLDER"
as "$BIN/initdb" -N -D "$FOLDER/data" -U postgres -A trust -E UTF8 --locale=C > "$FOLDER.log" 2>&1
as "$BIN/postgres" -D "$FOLDER/data" -k "$FOLDER" -p "$PORT" -c listen_addresses=127.0.0.1 $SETTINGS \
    >> "$FOLDER.log" 2>&1 &
cat > /dev/null
kill -INT "$(head -n 1 "$FOLDER/data/postmaster.pid")"
wait
cd /
rm -rf "$FOLDER" "$FOLDER.log"
"#;

/// The server of one run.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    postmaster: u32,
    databases: AtomicU32,
    pipe: Option<ChildStdin>,
    shell: Child,
}

impl Server {
    /// Starts a server in a folder and waits until it answers.
    pub(crate) async fn start(folder: &Path) -> Outcome<Self> {
        let folder = folder.join("postgres");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH]).env("FOLDER", &folder).env("PORT", port.to_string());
        shell.env("BIN", newest_bin()?).env("SETTINGS", SETTINGS);
        // Its own process group: an interrupt from the keyboard ends the bench, whose end it then sees.
        let mut shell = shell.process_group(0).stdin(Stdio::piped()).spawn()?;
        let (url, pipe) = (format!("postgres://postgres@127.0.0.1:{port}"), shell.stdin.take());
        let mut server = Self { url, postmaster: 0, databases: AtomicU32::new(0), pipe, shell };
        let mut last = String::new();
        for _ in 0..600 {
            match server.admin().await {
                Ok(connection) => {
                    connection.close().await?;
                    let pid = std::fs::read_to_string(folder.join("data/postmaster.pid"))?;
                    server.postmaster = pid.lines().next().unwrap_or_default().trim().parse()?;
                    return Ok(server);
                }
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(folder.with_extension("log")).unwrap_or_default();
        Err(format!("PostgreSQL does not start: {last}\n{log}").into())
    }

    /// Returns the process id of the server's first process, whose children the others are.
    pub(crate) fn postmaster(&self) -> u32 {
        self.postmaster
    }

    async fn admin(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&format!("{}/postgres", self.url)).await
    }

    /// Makes an empty database and settles the server before the measurement in it.
    pub(crate) async fn fresh_database(&self) -> Outcome<Database<'_>> {
        let name = format!("bench_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.admin().await?;
        admin.execute(format!("CREATE DATABASE {name} TEMPLATE template0").as_str()).await?;
        Ok(Database { url: format!("{}/{name}", self.url), name, server: self })
    }

    /// Returns settings of the server that a reader of the numbers must know.
    pub(crate) async fn described(&self) -> Outcome<String> {
        let mut admin = self.admin().await?;
        let shown: Vec<(String, String)> = sqlx::query_as(
            "SELECT name, current_setting(name) FROM unnest(ARRAY['server_version', 'fsync', 'synchronous_commit',
             'wal_sync_method', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'max_connections']) AS name",
        )
        .fetch_all(&mut admin)
        .await?;
        let shown: Vec<String> = shown.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        Ok(shown.join(", "))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        if let Err(error) = self.shell.wait() {
            eprintln!("the server's shell: {error}");
        }
    }
}

/// A database of one measurement.
#[derive(Debug)]
pub(crate) struct Database<'a> {
    pub(crate) url: String,
    name: String,
    server: &'a Server,
}

/// What a peer has stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    /// Rows of the log.
    pub(crate) entries: u64,
    /// Bytes of their bodies.
    pub(crate) body_bytes: u64,
    /// Bytes of all tables and indexes of the peer.
    pub(crate) total_bytes: u64,
}

impl Stored {
    pub(crate) fn bytes_per_entry(&self) -> f64 {
        as_f64(self.total_bytes) / as_f64(self.entries.max(1))
    }

    /// Returns the bytes stored for each byte of an entry.
    pub(crate) fn ratio(&self) -> f64 {
        as_f64(self.total_bytes) / as_f64(self.body_bytes.max(1))
    }
}

impl Database<'_> {
    pub(crate) fn postmaster(&self) -> u32 {
        self.server.postmaster
    }

    pub(crate) async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.url).await
    }

    pub(crate) async fn execute(&self, sql: &str) -> sqlx::Result<()> {
        let mut connection = self.connect().await?;
        connection.execute(sql).await?;
        connection.close().await
    }

    /// Writes out what earlier measurements left, so that this one does not pay for it.
    pub(crate) async fn settle(&self) -> sqlx::Result<()> {
        self.execute("CHECKPOINT").await
    }

    /// Returns how many bytes of WAL the server has written since it was made.
    pub(crate) async fn wal_bytes(&self) -> Outcome<u64> {
        let mut connection = self.connect().await?;
        let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
        let bytes: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        Ok(u64::try_from(bytes)?)
    }

    /// Returns what is stored: rows of `table` with the bytes of `body`, and the size of everything in the schema.
    pub(crate) async fn stored(&self, table: &str, body: &str, condition: &str) -> Outcome<Stored> {
        let mut connection = self.connect().await?;
        let sql = format!(
            "SELECT (SELECT count(*) FROM {table} WHERE {condition}),
                    (SELECT coalesce(sum(octet_length({body}::text)), 0)::bigint FROM {table}),
                    (SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
                     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace)"
        );
        let (entries, body_bytes, total_bytes): (i64, i64, i64) =
            sqlx::query_as(&sql).fetch_one(&mut connection).await?;
        Ok(Stored {
            entries: u64::try_from(entries)?,
            body_bytes: u64::try_from(body_bytes)?,
            total_bytes: u64::try_from(total_bytes)?,
        })
    }

    /// Removes the database.
    pub(crate) async fn remove(self) -> Outcome<()> {
        let mut admin = self.server.admin().await?;
        admin.execute(format!("DROP DATABASE {} WITH (FORCE)", self.name).as_str()).await?;
        Ok(())
    }
}

fn newest_bin() -> Outcome<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed
        .filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path())))
        .max()
        .map(|(_, path)| path.join("bin"));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = newest.or_else(|| std::env::split_paths(&paths).find(|path| path.join("initdb").exists()));
    found.ok_or_else(|| "PostgreSQL is not installed: initdb is nowhere".into())
}
