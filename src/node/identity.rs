//! The identity of this node: its locked data folder, the folder's random instance id, and the
//! number of this start. The node opens it first and holds it to the end; it never looks into what
//! the folder is for.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::disk::{self, modes};
use crate::model::process::Process;

/// A locked data folder.
#[derive(Debug)]
pub struct Identity {
    /// The path of `DataDir`.
    pub dir: PathBuf,
    /// Random, made with the folder: tells this folder from a wiped one under the same node id.
    pub instance: u128,
    /// The number of starts on this folder, this one included. Leases carry it: the leader drops
    /// what an earlier start sent.
    pub boot: u64,
    /// This process, to tell it from one on a copy of the folder.
    pub process: Process,
    /// Held open, because the lock goes with it.
    _lock: File,
}

/// The reason why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("DataDir {0} is in use by another running node; stop that one, or set another DataDir")]
    Locked(PathBuf),
    /// The file system says no.
    #[error("DataDir {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The file system's error.
        source: io::Error,
    },
    /// A file in it was written by something else.
    #[error(
        "{0} is damaged: it should hold this folder's identity; restore it, or start on an empty DataDir"
    )]
    Damaged(PathBuf),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// Makes the folder if it is missing, and locks it for as long as the file is open.
pub(super) fn lock(dir: &Path) -> Result<File, Error> {
    disk::create_dir(dir).map_err(at(dir))?;
    let lock_path = dir.join("lock");
    let lock = modes::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(at(&lock_path))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
        if errno == rustix::io::Errno::WOULDBLOCK {
            Error::Locked(dir.to_owned())
        } else {
            at(&lock_path)(errno.into())
        }
    })?;
    Ok(lock)
}

/// Closes a folder to others that an earlier version left open, and says so.
fn narrow(dir: &Path) -> Result<(), Error> {
    let modes::Narrowed { narrowed, left } = modes::narrow(dir).map_err(at(dir))?;
    if narrowed > 0 {
        tracing::warn!(
            folder = %dir.display(),
            narrowed,
            "group or others could read the data: folders are 0700 and files 0600 from now on"
        );
    }
    if let Some((path, why)) = left.first() {
        tracing::warn!(
            path = %path.display(),
            left = left.len(),
            "group or others may read the data, and its mode cannot be narrowed ({why}): chmod \
             go= it, or give the node a DataDir of its own"
        );
    }
    Ok(())
}

impl Identity {
    /// Makes the folder if it is missing, locks it, and counts this start.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let lock = lock(dir)?;
        narrow(dir)?;
        let path = dir.join("identity");
        let (instance, boots) = match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text).ok_or_else(|| Error::Damaged(path.clone()))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => (rand::random(), 0),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                return Err(Error::Damaged(path));
            }
            Err(e) => return Err(at(&path)(e)),
        };
        let boot = boots + 1;
        // Durable before the first message goes out under it.
        let temporary = dir.join("identity.new");
        let write = || {
            let file = disk::create_over(&temporary)?;
            disk::write_at(&file, format!("{instance:032x} {boot}\n").as_bytes(), 0)?;
            disk::sync_all(&file)?;
            disk::rename(&temporary, &path)?;
            disk::sync_dir(dir)
        };
        write().map_err(at(&path))?;
        // Never 0, which stands for none.
        let process = Process { id: rand::random::<u64>() | 1, place: place_of(&lock)?, boot };
        Ok(Self { dir: dir.to_owned(), instance, boot, process, _lock: lock })
    }
}

/// Names the physical folder: by the lock file's device and number, and by the start of the
/// machine, since a copied disk has the same numbers on another one. Where the machine does not
/// tell its start, each process has a place of its own: then a restart waits until its predecessor
/// was silent for long enough.
fn place_of(lock: &File) -> Result<u64, Error> {
    let machine = std::fs::read("/proc/sys/kernel/random/boot_id");
    let Ok(machine) = machine else { return Ok(rand::random()) };
    let file = lock.metadata().map_err(at(Path::new("lock")))?;
    let mut hash = Sha256::new();
    hash.update(machine);
    hash.update(file.dev().to_le_bytes());
    hash.update(file.ino().to_le_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let (head, _) = digest.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    Ok(u64::from_le_bytes(*head))
}

fn parse(text: &str) -> Option<(u128, u64)> {
    // The line's end says that the line is whole.
    let (instance, boots) = text.strip_suffix('\n')?.split_once(' ')?;
    Some((u128::from_str_radix(instance, 16).ok()?, boots.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::disk::recorder::{DiskRecorder, Loss, quick_dir};

    #[test]
    fn a_folder_keeps_its_id_counts_starts_and_has_one_holder() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::open(dir.path()).unwrap();
        assert_eq!(first.boot, 1);
        let refused = Identity::open(dir.path()).unwrap_err();
        assert!(matches!(refused, Error::Locked(_)), "{refused}");
        let instance = first.instance;
        drop(first);
        let second = Identity::open(dir.path()).unwrap();
        assert_eq!((second.boot, second.instance), (2, instance));
    }

    #[test]
    fn a_damaged_identity_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("identity"), "what").unwrap();
        assert!(matches!(Identity::open(dir.path()), Err(Error::Damaged(_))));
        assert_eq!(fs::read_to_string(dir.path().join("identity")).unwrap(), "what");
    }

    #[test]
    fn a_power_cut_at_any_operation_forgets_no_start_that_went_out() {
        let dir = quick_dir();
        let recorder = DiskRecorder::begin(dir.path());
        let data = |root: &Path| root.join("some/where/data");
        let mut starts = Vec::new();
        for _ in 0..3 {
            let started = Identity::open(&data(dir.path())).unwrap();
            starts.push((recorder.len(), started.instance, started.boot));
        }
        for cut in 0..=recorder.len() {
            let last = starts.iter().rev().find(|(at, ..)| *at <= cut);
            for loss in Loss::few(cut, 10) {
                let left = recorder.power_cut(cut, loss);
                let next = Identity::open(&data(left.path()))
                    .unwrap_or_else(|e| panic!("cut at {cut}, {loss:?}: {e}"));
                if let Some((_, instance, boot)) = last {
                    assert_eq!(next.instance, *instance, "cut at {cut}, {loss:?}");
                    assert!(next.boot > *boot, "cut at {cut}, {loss:?}: {} again", next.boot);
                }
            }
            let (dir, recorder) = recorder.killed(cut);
            let started = Identity::open(&data(dir.path())).unwrap();
            let left = recorder.power_cut(recorder.len(), Loss::All);
            let next = Identity::open(&data(left.path())).unwrap();
            assert_eq!((next.instance, next.boot), (started.instance, started.boot + 1), "{cut}");
        }
    }

    #[test]
    fn an_identity_cut_at_any_byte_is_not_overwritten() {
        let dir = quick_dir();
        let first = Identity::open(dir.path()).unwrap();
        let path = dir.path().join("identity");
        let whole = fs::read(&path).unwrap();
        drop(first);
        // Without the line's end it would still be whole, but for the digits of the boot number.
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(Identity::open(dir.path()), Err(Error::Damaged(_))), "cut at {cut}");
            assert_eq!(fs::read(&path).unwrap(), whole[..cut], "cut at {cut}");
        }
    }
}
