//! Who this node is: its locked data folder, the folder's random instance id, and the number of
//! this start. The node opens it first and holds it to the end; it never looks into what the
//! folder is for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A locked data folder.
#[derive(Debug)]
pub struct Identity {
    /// The folder.
    pub dir: PathBuf,
    /// Random, made with the folder: tells this folder from a wiped one under the same node id.
    pub instance: u128,
    /// How often a node was started on this folder, this time included. Leases carry it: the
    /// leader drops what an earlier start sent.
    pub boot: u64,
    /// Held open, because the lock goes with it.
    _lock: File,
}

/// Why a data folder cannot be used.
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
        /// What it said.
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
    fs::create_dir_all(dir).map_err(at(dir))?;
    let lock_path = dir.join("lock");
    let lock = OpenOptions::new()
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

impl Identity {
    /// Makes the folder if it is missing, locks it, and counts this start.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let lock = lock(dir)?;
        let path = dir.join("identity");
        let mut text = String::new();
        match File::open(&path) {
            Ok(mut file) => {
                file.read_to_string(&mut text).map_err(at(&path))?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(at(&path)(e)),
        }
        let (instance, boots) = if text.is_empty() {
            (rand::random(), 0)
        } else {
            parse(&text).ok_or_else(|| Error::Damaged(path.clone()))?
        };
        let boot = boots + 1;
        // Durable before the first message goes out under it.
        let temporary = dir.join("identity.new");
        let write = || {
            let mut file = File::create(&temporary)?;
            writeln!(file, "{instance:032x} {boot}")?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(at(&path))?;
        Ok(Self { dir: dir.to_owned(), instance, boot, _lock: lock })
    }
}

fn parse(text: &str) -> Option<(u128, u64)> {
    let (instance, boots) = text.trim().split_once(' ')?;
    Some((u128::from_str_radix(instance, 16).ok()?, boots.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
