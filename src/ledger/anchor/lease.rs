//! Who writes to the log of an anchor file: everyone who does is present, and one who finds nobody else may be alone.
//!
//! Two locks on single bytes far behind the file's end. Whoever is present holds the first one shared, who is alone holds it
//! exclusively; whoever waits to be present holds the second one, so that who is alone sees it and gives way. They belong to
//! the open file, so the end of a process, however it ends, releases them.
//!
//! Invariants: while one process is alone no other is present; the change between the two is atomic.
//! Absent: what being alone allows (`file`); systems and file systems without such locks, where nobody is ever alone.
//! Source: fcntl(2) of Linux, "Open file description locks"; docs/decisions/0018.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

/// The byte that is locked by whoever is present.
const PRESENT: i64 = 1 << 40;
/// The byte that is locked by whoever waits to be.
const WAITING: i64 = PRESENT + 1;
/// Permissions of everybody else than owner and group.
const OTHERS: u32 = 0o007;

/// One process's part in a log.
#[derive(Debug)]
pub(super) struct Lease {
    file: Arc<File>,
    /// Device and inode of the file.
    id: (u64, u64),
    /// Whether there are such locks. Over a network they and the file's own are one, so nobody is alone there.
    lockable: bool,
    part: Part,
    /// Whether this process has written an intent which nothing has taken the place of yet.
    pub(super) intends: bool,
}

/// Who else may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Others may be present.
    Present,
    /// Nobody else is. Somebody who is gone may have committed last.
    Alone,
    /// Nobody else is, and this process has committed since.
    Ahead,
}

/// Where the file is that a process has joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// Under its name.
    Same,
    /// Nothing that can be found is under its name. It may come back.
    Nothing,
    /// Another file is.
    Another,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shared,
    Exclusive,
    None,
}

impl Lease {
    /// Opens the file, to become present.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(path)?);
        let (id, lockable) = (id(&file.metadata()?), !system::is_of_the_network(&file));
        Ok(Self { file, id, lockable, part: Part::Present, intends: false })
    }

    /// Becomes present, unless another process is alone, which then learns that this one waits.
    pub(super) fn join(&self) -> Result<(), TryLockError> {
        if !self.lockable {
            return Ok(());
        }
        let present = match lock(&self.file, PRESENT, Kind::Shared) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
            present => present.map_err(TryLockError::Error)?,
        };
        let waiting = if present { Kind::None } else { Kind::Shared };
        lock(&self.file, WAITING, waiting).map_err(TryLockError::Error)?;
        if present { Ok(()) } else { Err(TryLockError::WouldBlock) }
    }

    /// Returns the file, to write an intent into.
    pub(super) fn intend(&mut self) -> Arc<File> {
        self.intends = true;
        Arc::clone(&self.file)
    }

    /// Returns where the file is that this process has joined, seen from its name.
    pub(super) fn named(&self, path: &Path) -> Named {
        match std::fs::metadata(path) {
            Ok(there) if id(&there) == self.id => Named::Same,
            Ok(_) => Named::Another,
            Err(_) => Named::Nothing,
        }
    }

    /// Whether this process is alone.
    pub(super) fn is_alone(&self) -> bool {
        self.part != Part::Present
    }

    /// Becomes or stays alone where nobody else is present or waits to be, and gives way as soon as no intent stands where somebody
    /// waits. Returns whether it is alone and has committed since. What is written into the file by who is alone is not everybody's
    /// to read, so it is closed to others first.
    pub(super) fn may_intend(&mut self) -> bool {
        if self.is_waited_for() {
            self.give_way();
            return false;
        }
        if self.lockable && !self.is_alone() && matches!(lock(&self.file, PRESENT, Kind::Exclusive), Ok(true))
        {
            self.part = Part::Alone;
            if close_to_others(&self.file).is_err() {
                self.be_present();
            }
        }
        self.part == Part::Ahead
    }

    /// Remembers a commit: nobody who was here before can have committed since, or will.
    pub(super) fn has_committed(&mut self) {
        if self.part == Part::Alone {
            self.part = Part::Ahead;
        }
    }

    /// Lets others be present, where they wait for it and no intent stands.
    pub(super) fn give_way(&mut self) {
        if self.is_alone() && !self.intends && self.is_waited_for() {
            self.be_present();
        }
    }

    /// Whether another process waits to be present.
    fn is_waited_for(&self) -> bool {
        is_held(&self.file, WAITING, Kind::Exclusive)
    }

    /// From now on is present only.
    fn be_present(&mut self) {
        // A lock that cannot be lowered stays as it is, and so does this process.
        if matches!(lock(&self.file, PRESENT, Kind::Shared), Ok(true)) {
            self.part = Part::Present;
        }
    }
}

/// Whether somebody is alone with this file, seen from another open file, be it of the same process.
pub(super) fn is_somebodys_alone(file: &File) -> bool {
    is_held(file, PRESENT, Kind::Shared)
}

/// Returns device and inode.
fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn close_to_others(file: &File) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & OTHERS == 0 {
        return Ok(());
    }
    permissions.set_mode(permissions.mode() & !OTHERS);
    file.set_permissions(permissions)
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io;

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;
    use nix::sys::statfs::fstatfs;

    use super::Kind;

    /// What statfs(2) says of NFS, SMB, CIFS and SMB2.
    const NETWORK: [u32; 4] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42];

    /// Whether a file is on another machine, as far as can be told.
    pub(super) fn is_of_the_network(file: &File) -> bool {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "32 bits, whatever their type"
        )]
        fstatfs(file).is_ok_and(|found| NETWORK.contains(&(found.filesystem_type().0 as u32)))
    }

    fn of(byte: i64, kind: Kind) -> libc::flock {
        let kind = match kind {
            Kind::Shared => libc::F_RDLCK,
            Kind::Exclusive => libc::F_WRLCK,
            Kind::None => libc::F_UNLCK,
        };
        #[expect(clippy::cast_possible_truncation, reason = "the kernel's own constants, below 3")]
        let (l_type, l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
        libc::flock { l_type, l_whence, l_start: byte, l_len: 1, l_pid: 0 }
    }

    /// Takes, changes or releases a lock; `false` where another process's forbids it.
    pub(super) fn lock(file: &File, byte: i64, kind: Kind) -> io::Result<bool> {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&of(byte, kind))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            // What a kernel or a file system without such locks says.
            Err(Errno::EINVAL | Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether another process holds a lock that forbids one of this kind.
    pub(super) fn is_held(file: &File, byte: i64, kind: Kind) -> bool {
        let mut found = of(byte, kind);
        let asked = fcntl(file, FcntlArg::F_OFD_GETLK(&mut found));
        asked.is_ok() && i32::from(found.l_type) != libc::F_UNLCK
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    use super::Kind;

    pub(super) fn is_of_the_network(_file: &File) -> bool {
        true
    }

    pub(super) fn lock(_file: &File, _byte: i64, _kind: Kind) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn is_held(_file: &File, _byte: i64, _kind: Kind) -> bool {
        false
    }
}

use system::{is_held, lock};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_who_finds_nobody_else_is_alone_and_he_sees_who_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.anchor");
        std::fs::write(&path, "").unwrap();
        let (mut one, mut two) = (Lease::open(&path).unwrap(), Lease::open(&path).unwrap());
        one.join().unwrap();
        assert!(!one.may_intend() && one.is_alone(), "alone, but not knowing the head");
        one.has_committed();
        assert!(one.may_intend());
        assert!(is_somebodys_alone(&two.file) && !is_somebodys_alone(&one.file));
        assert!(matches!(two.join(), Err(TryLockError::WouldBlock)));
        one.intends = true;
        assert!(one.is_waited_for() && !one.may_intend() && one.is_alone(), "an intent is settled first");
        one.intends = false;
        assert!(!one.may_intend() && !one.is_alone());
        two.join().unwrap();
        assert!(!one.is_waited_for());
        assert!(!one.may_intend() && !two.may_intend(), "nobody is alone who is not");
        one.has_committed();
        assert!(!one.is_alone() && !is_somebodys_alone(&two.file));
        drop(two);
        assert!(!one.may_intend() && one.is_alone(), "what it committed before counts no more");
        one.give_way();
        assert!(one.is_alone(), "nobody waits");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & OTHERS, 0);
    }

    #[test]
    fn another_file_of_the_same_name_is_told_from_one_that_is_away() {
        let folder = tempfile::tempdir().unwrap();
        let (path, away) = (folder.path().join("ledger.anchor"), folder.path().join("away"));
        std::fs::write(&path, "").unwrap();
        let lease = Lease::open(&path).unwrap();
        assert_eq!(lease.named(&path), Named::Same);
        std::fs::rename(&path, away).unwrap();
        assert_eq!(lease.named(&path), Named::Nothing);
        std::fs::write(&path, "").unwrap();
        assert_eq!(lease.named(&path), Named::Another);
    }
}
