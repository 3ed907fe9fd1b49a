//! A full disk: a small tmpfs, filled to the last page, during key, anchor, append and rebuild.
//!
//! Mounting needs root; without it these tests say on standard error that they were not run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use weituo::follower::Follower;
use weituo::ledger::{InitOptions, Ledger, LedgerError, Options, SubmitError};
use weituo_proof::TreeSize;

use crate::append::assert_proves;
use crate::support::commands::told;
use crate::support::ledger::{Kind, Place, assert_one_history, proposal, record};
use crate::support::postgres::{PrivateServer, connect, give_to_postgres};

/// A small file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one; `None`, said aloud, where that is not permitted.
    fn mount(at: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(at.to_owned()));
        }
        // Not `eprintln!`, which a passing test keeps to itself.
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let mut out = std::io::stderr();
        writeln!(out, "\nNOT RUN: {test} needs to mount a tmpfs (root)").unwrap();
        None
    }

    /// Fills the disk to the last page.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        for size in [1 << 20, 1 << 16, 1 << 12, 1] {
            while ballast.write_all(&vec![7; size]).is_ok() {}
        }
    }

    /// Makes it read-only (`ro`) or writable again (`rw`).
    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Text that no page is saved by compressing.
fn bulky(seed: u64, bytes: usize) -> String {
    use std::fmt::Write as _;
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        write!(text, "{state:016x}").unwrap();
    }
    text
}

/// Fills the disk under a ledger, and records again when there is room.
async fn append_on(disk: &SmallDisk, place: &Place, options: Options) {
    let ledger = Ledger::open(&place.url, options.clone()).await.unwrap();
    record(&ledger, "agreement/a", 3, None).await;
    disk.fill();
    // What is in the pages already allocated may still be written.
    let (mut number, mut recorded) = (0, 0);
    let (command, error) = loop {
        let command = proposal(&format!("agreement/b-{number}"), &bulky(number, 40_000), None);
        match ledger.submit(command.clone()).await {
            Ok(_) => recorded += 1,
            Err(error) => break (command, error),
        }
        number += 1;
        assert!(number < 200, "the disk does not get full");
    };
    println!("{recorded} recorded on the full disk, then: {}", told(&error));
    assert!(matches!(error, SubmitError::Unavailable(_)), "{error:?}");
    assert!(told(&error).contains("no room left for the database"), "{}", told(&error));
    assert!(ledger.submit(command.clone()).await.is_err());
    let head = ledger.store().head().await.unwrap().unwrap();
    assert_eq!(
        ledger.checkpoint().unwrap().size,
        TreeSize::new(head.size),
        "signed is what is in the database"
    );
    assert_eq!(ledger.read_only(), None);
    disk.make_room();
    let accepted = ledger.submit(command).await.unwrap();
    assert!(!accepted.repeated);
    assert_proves(&ledger, &accepted);
    record(&ledger, "agreement/c", 3, None).await;
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
    assert_eq!(Ledger::open(&place.url, options).await.unwrap().read_only(), None);
}

async fn rebuild_on(disk: &SmallDisk, place: &Place) {
    let store = place.store().await;
    let follower = Follower::new(Arc::clone(&store));
    follower.catch_up(|_| ()).await.unwrap();
    disk.fill();
    let refused = follower.rebuild(None, |_| ()).await.unwrap_err();
    assert!(told(&refused).contains("no room left for the database"), "{}", told(&refused));
    disk.make_room();
    follower.rebuild(None, |_| ()).await.unwrap();
    assert_one_history(&*store).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_on_a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let place = Place::new(Kind::Sqlite).await;
    let Some(disk) = SmallDisk::mount(&place.folder.path().join("small"), 8) else { return };
    let place = Place { url: format!("sqlite://{}/ledger.db", disk.0.display()).parse().unwrap(), ..place };
    // Key and anchor beside the database, on the same disk.
    let options = Options { key_file: None, anchor_file: None, ..place.options() };
    let init = InitOptions { options: options.clone(), ..place.init_options() };
    disk.fill();
    let refused = Ledger::init(&place.url, &init).await.unwrap_err();
    println!("init: {}", told(&refused));
    disk.make_room();
    Ledger::init(&place.url, &init).await.unwrap().stop().await.unwrap();
    append_on(&disk, &place, options).await;
    rebuild_on(&disk, &place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_or_an_anchor_that_finds_no_room_is_not_left_half_written() {
    let place = Place::new(Kind::Sqlite).await;
    let Some(disk) = SmallDisk::mount(&place.folder.path().join("small"), 1) else { return };
    let (key, anchor) = (disk.0.join("ledger.key"), disk.0.join("ledger.anchor"));
    disk.fill();
    let with_key = Options { key_file: Some(key.clone()), ..place.options() };
    let init = |options: Options| InitOptions { options, ..place.init_options() };
    let refused = Ledger::init(&place.url, &init(with_key)).await.unwrap_err();
    assert!(
        matches!(&refused, LedgerError::Key { what, .. } if what.en().contains("No space")),
        "{refused:?}"
    );
    assert!(!key.exists());
    let with_anchor = Options { anchor_file: Some(anchor.clone()), ..place.options() };
    let refused = Ledger::init(&place.url, &init(with_anchor.clone())).await.unwrap_err();
    assert!(told(&refused).contains("No space"), "{}", told(&refused));
    assert!(!anchor.exists());
    disk.make_room();
    let ledger = Ledger::init(&place.url, &init(with_anchor)).await.unwrap();
    // The anchor is written in place from then on: a full disk does not matter to it.
    disk.fill();
    let accepted = record(&ledger, "agreement/a", 3, None).await;
    assert_eq!(ledger.checkpoint().unwrap(), accepted[2].receipt.checkpoint);
    ledger.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anchor_on_a_read_only_disk_stops_a_start_and_changes_nothing() {
    let place = Place::new(Kind::Sqlite).await;
    let Some(disk) = SmallDisk::mount(&place.folder.path().join("small"), 1) else { return };
    let options = Options { anchor_file: Some(disk.0.join("ledger.anchor")), ..place.options() };
    let init = InitOptions { options: options.clone(), ..place.init_options() };
    let ledger = Ledger::init(&place.url, &init).await.unwrap();
    let older = std::fs::read(disk.0.join("ledger.anchor")).unwrap();
    let command = proposal("agreement/b", "n", None);
    let accepted = ledger.submit(command.clone()).await.unwrap();
    ledger.stop().await.unwrap();
    drop(ledger);
    // A start finds the database ahead of the anchor, which it cannot extend.
    std::fs::write(disk.0.join("ledger.anchor"), &older).unwrap();
    disk.remount("ro");
    let refused = Ledger::open(&place.url, options.clone()).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Anchor { .. }) && refused.is_retryable(), "{refused:?}");
    assert!(told(&refused).contains("Read-only file system"), "{}", told(&refused));
    assert_eq!(std::fs::read(disk.0.join("ledger.anchor")).unwrap(), older);
    disk.remount("rw");
    let ledger = Ledger::open(&place.url, options).await.unwrap();
    let repeated = ledger.submit(command).await.unwrap();
    assert_eq!((repeated.repeated, repeated.receipt.leaf_index), (true, accepted.receipt.leaf_index));
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anchor_that_finds_no_room_for_an_intent_is_written_after_the_commit_as_before() {
    let place = Place::new(Kind::Sqlite).await;
    let Some(disk) = SmallDisk::mount(&place.folder.path().join("small"), 1) else { return };
    let options = Options { anchor_file: Some(disk.0.join("ledger.anchor")), ..place.options() };
    let init = InitOptions { options: options.clone(), ..place.init_options() };
    let ledger = Ledger::init(&place.url, &init).await.unwrap();
    disk.fill();
    let accepted = record(&ledger, "agreement/a", 5, None).await;
    let anchored = std::fs::read(disk.0.join("ledger.anchor")).unwrap();
    let newest = &accepted.last().unwrap().receipt.checkpoint;
    assert!(String::from_utf8_lossy(&anchored).contains(newest.text.as_str()), "signed, not intended");
    disk.make_room();
    record(&ledger, "agreement/b", 5, None).await;
    ledger.stop().await.unwrap();
    assert_one_history(&*place.store().await).await;
    assert_eq!(Ledger::open(&place.url, options).await.unwrap().read_only(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_on_a_full_disk_refuses_and_goes_on_when_there_is_room() {
    use sqlx::Executor as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("small"), 24) else { return };
    let space = disk.0.join("space");
    std::fs::create_dir(&space).unwrap();
    give_to_postgres(&space);
    let (server, url) = PrivateServer::start().await;
    let mut owner = connect(&url).await;
    owner.execute(format!("CREATE TABLESPACE small LOCATION '{}'", space.display()).as_str()).await.unwrap();
    owner.execute("CREATE DATABASE ledger TABLESPACE small TEMPLATE template0").await.unwrap();
    let url = url.replace("/postgres", "/ledger").replace("//ledger", "//postgres");
    let place = Place { kind: Kind::Postgres, folder, url: url.parse().unwrap(), clock: Arc::default() };
    place.init().await.stop().await.unwrap();
    append_on(&disk, &place, place.options()).await;
    rebuild_on(&disk, &place).await;
    drop((server, disk));
}
