//! The modes of a node's files: only their owner may read them. Makes each folder and file with its
//! mode, and narrows a data folder that an earlier version (which left the modes to the umask) or a
//! copy left wider. `node` narrows once at its start; nothing here follows a link or touches a file
//! that a node did not write.
//!
//! SQLite makes its files itself, under the process's umask, which the command line sets to 077
//! before anything else ([`set_umask`]).

use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The name of the file that holds the node's secrets.
pub(crate) const SECRET_FILE: &str = ".scheduler0";
/// The mode of a folder.
const FOLDER: u32 = 0o700;
/// The mode of a file.
const FILE: u32 = 0o600;
/// The rights of group and others.
const OTHERS: u32 = 0o077;
/// The parts of a data folder that a new beginning does without: names of files and folders, and
/// prefixes of the names beside them (`state.db-wal`).
const STATE: &[&str] = &["identity", "raft", "snapshots", "state.db", "journal", "rendering"];
/// Other names and prefixes in a data folder.
const BESIDE: &[&str] = &["lock", "backups", "client"];

/// The umask that the process was started with, once [`set_umask`] has replaced it.
static UMASK_BEFORE: OnceLock<rustix::fs::Mode> = OnceLock::new();

/// Keeps everything that this process makes from now on, itself or through SQLite and libraries,
/// for its owner only. Holds for the whole process and for programs that it starts, until
/// [`give_back_umask`].
pub(crate) fn set_umask() {
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
    let _ = UMASK_BEFORE.set(before);
}

/// Puts the umask back that the process was started with. For a process that writes no files of its
/// own, and starts programs of its user.
pub(crate) fn give_back_umask() {
    if let Some(before) = UMASK_BEFORE.get() {
        rustix::process::umask(*before);
    }
}

/// Options that make files for their owner only.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE);
    options
}

/// Makes one folder for its owner only.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER).create(dir)
}

/// Makes a folder, and those above it that are missing, for their owner only.
pub(crate) fn create_dir_all(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER).recursive(true).create(dir)
}

/// The result of [`narrow`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Narrowed {
    /// The number of folders and files that were open to others and are no more.
    pub(crate) narrowed: usize,
    /// Those that are still open, with the reason.
    pub(crate) left: Vec<(PathBuf, String)>,
}

/// Takes from group and others the rights on a data folder and on the files that a node wrote into
/// it. A folder with other contents keeps its mode, and only the files of the node are narrowed.
pub(crate) fn narrow(dir: &Path) -> io::Result<Narrowed> {
    let mut done = Narrowed::default();
    let mut shared = false;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !is_ours(&path) {
            // A folder that each file system has at its root.
            shared |= path.file_name().is_none_or(|name| name != "lost+found");
            continue;
        }
        let Some(meta) = found(&path)? else { continue };
        done.take(&path, &meta);
        if meta.is_dir() {
            narrow_files(&path, &mut done)?;
        }
    }
    if let Some(meta) = found(dir)? {
        if shared && meta.mode() & OTHERS != 0 {
            let why = "it holds files of others too".to_owned();
            done.left.push((dir.to_owned(), why));
        } else {
            done.take(dir, &meta);
        }
    }
    Ok(done)
}

/// Returns whether group or others may read a folder or enter it.
pub(crate) fn is_open(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.mode() & OTHERS != 0)
}

/// Returns whether a mode lets group or others do anything.
pub(crate) fn is_open_mode(mode: u32) -> bool {
    mode & OTHERS != 0
}

fn narrow_files(folder: &Path, done: &mut Narrowed) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => {
            done.left.push((folder.to_owned(), e.to_string()));
            return Ok(());
        }
    };
    for entry in entries {
        let path = entry?.path();
        if let Some(meta) = found(&path)?.filter(Metadata::is_file) {
            done.take(&path, &meta);
        }
    }
    Ok(())
}

/// The metadata of a file or folder; `None` for a link, for anything else, and for a file that has
/// vanished.
fn found(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta).filter(|meta| meta.is_file() || meta.is_dir())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Returns whether an entry of a data folder is a part of the node's state.
pub(crate) fn is_state(path: &Path) -> bool {
    is_named(path, STATE)
}

fn is_ours(path: &Path) -> bool {
    is_state(path)
        || is_named(path, BESIDE)
        || path.file_name().is_some_and(|name| name == SECRET_FILE)
}

fn is_named(path: &Path, names: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // `state.db-wal`, `identity.new`: the text after the name must not make another word of it.
    names.iter().any(|own| {
        name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
    })
}

impl Narrowed {
    fn take(&mut self, path: &Path, meta: &Metadata) {
        let mode = meta.mode() & 0o7777;
        if mode & OTHERS == 0 {
            return;
        }
        match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
            Ok(()) => self.narrowed += 1,
            Err(e) => self.left.push((path.to_owned(), e.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    fn wide(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A folder as a node with a umask of 022 leaves it.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["raft", "journal", "snapshots", "backups", "rendering"] {
            let folder = dir.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("a.log"), "").unwrap();
            wide(&folder.join("a.log"), 0o644);
            wide(&folder, 0o755);
        }
        for name in ["identity", "lock", "state.db", "state.db-wal"] {
            fs::write(dir.path().join(name), "").unwrap();
            wide(&dir.path().join(name), 0o664);
        }
        wide(dir.path(), 0o755);
        dir
    }

    #[test]
    fn folders_and_files_are_made_for_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, file) = (dir.path().join("a"), dir.path().join("b/c"), dir.path().join("f"));
        create_dir(&a).unwrap();
        create_dir_all(&b).unwrap();
        options().write(true).create(true).truncate(true).open(&file).unwrap();
        let modes = [&a, &b, &dir.path().join("b"), &file].map(|path| mode(path));
        assert_eq!(modes, [0o700, 0o700, 0o700, 0o600]);
    }

    #[test]
    fn a_folder_that_is_open_to_others_is_narrowed_once() {
        let dir = folder();
        let done = narrow(dir.path()).unwrap();
        assert_eq!(done, Narrowed { narrowed: 15, left: vec![] });
        for (path, wanted) in
            [("", 0o700), ("raft", 0o700), ("raft/a.log", 0o600), ("state.db-wal", 0o600)]
        {
            assert_eq!(mode(&dir.path().join(path)), wanted, "{path}");
        }
        assert_eq!(narrow(dir.path()).unwrap(), Narrowed::default());
    }

    #[test]
    fn files_of_others_and_targets_of_links_are_left() {
        let dir = folder();
        let other = dir.path().join("index.html");
        fs::write(&other, "").unwrap();
        wide(&other, 0o644);
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().join("target");
        fs::write(&target, "").unwrap();
        wide(&target, 0o644);
        fs::remove_file(dir.path().join("state.db-wal")).unwrap();
        symlink(&target, dir.path().join("state.db-wal")).unwrap();
        let done = narrow(dir.path()).unwrap();
        assert_eq!((done.narrowed, done.left.len()), (13, 1));
        assert_eq!(done.left[0].0, dir.path());
        assert_eq!((mode(&other), mode(&target), mode(dir.path())), (0o644, 0o644, 0o755));
        assert_eq!(mode(&dir.path().join("state.db")), 0o600);
        assert!(is_open(dir.path()) && !is_open(&dir.path().join("raft")));
    }
}
