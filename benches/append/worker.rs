//! Weituo in one process or in several on one database: the bench starts itself once for each.
//!
//! A worker reads what to do from its first line of input, opens the ledger, says `ready`, waits for another line, and
//! prints what it measured. Each has the same part of the clients, and streams of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};
use weituo::ledger::Mode;

use crate::measure::{Measured, Outcome, Window, as_f64, run};
use crate::postgres::Server;
use crate::process::tree_cpu;
use crate::rota::{Place, Rota, Shape};
use crate::sample::Sample;
use crate::weituo::{ActivityClient, Scene, Site};

/// What one worker does.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    url: String,
    folder: PathBuf,
    clients: usize,
    first_stream: usize,
    streams: usize,
    window: Window,
}

/// Measures so many clients in so many processes, in guard mode.
pub(crate) async fn measure(
    server: &Server,
    folder: &Path,
    clients: usize,
    processes: usize,
    window: Window,
) -> Outcome<Sample> {
    let database = server.fresh_database().await?;
    let mut scene = Scene::new(Site::on_postgres(&database, folder, Mode::Guard)?, Shape::Short).await?;
    scene.make_ready(clients, window).await?;
    scene.stop().await?;
    database.settle().await?;
    let streams = scene.streams / processes;
    let tasks: Vec<Task> = (0..processes)
        .map(|process| Task {
            url: database.url.clone(),
            folder: folder.to_owned(),
            clients: clients / processes,
            first_stream: process * streams,
            streams,
            window,
        })
        .collect();
    let (wal_before, postmaster) = (database.wal_bytes().await?, database.postmaster());
    let (all, server_cpu_seconds) =
        tokio::task::spawn_blocking(move || together(&tasks, postmaster)).await??;
    let wal = database.wal_bytes().await? - wal_before;
    let smallest = all.iter().map(|one| one.events).min().unwrap_or(0);
    let mut measured = Measured::default();
    for one in all {
        measured.add(one);
    }
    // The server was watched from the start to the end, the clients within the window.
    measured.server_cpu_seconds =
        server_cpu_seconds * as_f64(measured.events) / as_f64(measured.acknowledged.max(1));
    scene.recorded += measured.acknowledged;
    let stored = database.stored("entry", "body", "stream NOT LIKE 'log/%'").await?;
    scene.check(&stored)?;
    database.remove().await?;
    let mut sample = Sample::of(&measured).stored(&stored);
    sample.wal_bytes = Some(as_f64(wal) / as_f64(measured.acknowledged.max(1)));
    sample.smallest_share = Some(as_f64(smallest * processes as u64) / as_f64(measured.events.max(1)));
    Ok(sample)
}

/// A worker that was started; it is ended with this handle.
struct Worker {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(task: &Task) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg("--worker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take().ok_or("a worker has no input")?;
        let output = BufReader::new(process.stdout.take().ok_or("a worker has no output")?);
        let mut worker = Self { process, input, output };
        worker.tell(&serde_json::to_string(task)?)?;
        Ok(worker)
    }

    fn tell(&mut self, line: &str) -> Outcome<()> {
        writeln!(self.input, "{line}")?;
        Ok(self.input.flush()?)
    }

    fn hear(&mut self) -> Outcome<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("a worker ended: {}", self.process.wait()?).into());
        }
        Ok(line)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // What it had to do is done, or is of no use any more.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs the tasks side by side; returns what each did and what the server's CPU time was meanwhile.
fn together(tasks: &[Task], postmaster: u32) -> Outcome<(Vec<Measured>, f64)> {
    let mut workers = tasks.iter().map(Worker::start).collect::<Outcome<Vec<_>>>()?;
    for worker in &mut workers {
        worker.hear()?;
    }
    let before = tree_cpu(postmaster)?;
    for worker in &mut workers {
        worker.tell("go")?;
    }
    let all = workers
        .iter_mut()
        .map(|worker| Ok(serde_json::from_str::<Measured>(&worker.hear()?)?))
        .collect::<Outcome<Vec<_>>>()?;
    Ok((all, tree_cpu(postmaster)? - before))
}

/// Works, as one of several processes.
pub(crate) async fn work() -> Outcome<()> {
    let mut lines = std::io::stdin().lines();
    let task: Task = serde_json::from_str(&lines.next().ok_or("no task")??)?;
    let site = Site { url: task.url.parse()?, folder: task.folder, mode: Mode::Guard };
    let recorder = site.open().await?;
    println!("ready");
    let Some(_) = lines.next() else { return Ok(()) };
    let rota = Rota::new(Shape::Short, task.first_stream, task.streams);
    let clients = (0..task.clients).map(|_| ActivityClient::new(&recorder, Place::new(&rota))).collect();
    let (measured, clients) = run(clients, task.window, None).await?;
    for client in &clients {
        client.verify(recorder.ledger().verifier_key())?;
    }
    recorder.ledger().stop().await?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
