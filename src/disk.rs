//! The operations on files that must survive a power cut: the Raft log, the journal, the folder of
//! snapshots, the node's identity.
//!
//! Each function is the system call of its name and nothing else. They are in one place so that a
//! test can record what was asked of the disk, in order, and try a power cut at every point in
//! between: see `recorder`, which is not in a release. Files that are only read go through
//! `std::fs`. SQLite has files of its own; `store` says why they may lose their tail. Files that
//! are opened here take a descriptor from the reserve ([`spare`]) if the process has none left.

pub(crate) mod modes;
#[cfg(test)]
pub(crate) mod recorder;
#[cfg(test)]
mod recorder_tests;
pub(crate) mod spare;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::FallocateFlags;

/// Records an operation, in tests; does nothing otherwise.
macro_rules! note {
    ($($op:tt)*) => {
        #[cfg(test)]
        recorder::note(|| recorder::Op::$($op)*);
    };
}

/// Makes a folder and those above it, durably, for their owner only. The name of a folder that
/// exists is made durable too, as the process that made it may have been killed before that.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    if dir.is_dir() {
        return match sync_dir(parent) {
            // The folder above belongs to another user, who made this one for us.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        };
    }
    create_dir(parent)?;
    note!(CreateDir(dir.to_owned()));
    match modes::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    sync_dir(parent)
}

/// Makes a file that does not exist yet, for reading and writing, for its owner only. Its name is
/// durable after [`sync_dir`].
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let create = || modes::options().read(true).write(true).create_new(true).open(path);
    let file = spare::open(create, spare::is_exhausted)?;
    note!(Create(recorder::id(&file), path.to_owned()));
    Ok(file)
}

/// Makes a new file. An existing file of this name is removed first.
pub(crate) fn create_over(path: &Path) -> io::Result<File> {
    remove_if_there(path)?;
    create_new(path)
}

/// Opens a file that exists, for reading and writing.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().read(true).write(true).open(path);
    spare::open(open, spare::is_exhausted)
}

/// Opens a file that exists, for reading.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    spare::open(|| File::open(path), spare::is_exhausted)
}

/// Writes at an offset. Durable after [`sync_data`].
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    note!(Write(recorder::id(file), offset, bytes.to_vec()));
    file.write_all_at(bytes, offset)
}

/// Cuts or extends a file. Durable after [`sync_data`].
pub(crate) fn set_len(file: &File, length: u64) -> io::Result<()> {
    note!(SetLen(recorder::id(file), length));
    file.set_len(length)
}

/// Reserves disk blocks. The file then ends behind them, with zeros. On a file system that cannot
/// do this nothing happens.
pub(crate) fn reserve(file: &File, from: u64, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), from, length) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        other => {
            other?;
            note!(Extend(recorder::id(file), from + length));
            Ok(())
        }
    }
}

/// Makes the content of a file durable, its length included.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()?;
    note!(Sync(recorder::id(file)));
    Ok(())
}

/// Makes the content and the metadata of a file durable, but not its name.
pub(crate) fn sync_all(file: &File) -> io::Result<()> {
    file.sync_all()?;
    note!(Sync(recorder::id(file)));
    Ok(())
}

/// Makes the names of a folder durable, as they are after creations, renames and removals.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    #[cfg(test)]
    recorder::admit_sync_dir()?;
    open_to_read(dir)?.sync_all()?;
    note!(SyncDir(dir.to_owned()));
    Ok(())
}

/// Copies a file, for its owner only. A file of the new name is removed first.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    remove_if_there(to)?;
    // Only the two opens may use the reserve; it is free while gigabytes are copied.
    let (mut source, mut copy) = (open_to_read(from)?, create_new(to)?);
    io::copy(&mut source, &mut copy)?;
    #[cfg(test)]
    recorder::note_content(to);
    Ok(())
}

/// Gives a file another name in its folder. A file of that name is replaced.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    note!(Rename(from.to_owned(), to.to_owned()));
    fs::rename(from, to)
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    note!(Remove(path.to_owned()));
    Ok(())
}

/// Removes a file, if it exists.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match remove(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Returns whether an error comes of a shortage that may pass: descriptors, space, memory,
/// permission. Faults of the disk and of its contents do not count.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(
            Errno::MFILE
                | Errno::NFILE
                | Errno::NOSPC
                | Errno::DQUOT
                | Errno::NOMEM
                | Errno::ACCESS
                | Errno::PERM
                | Errno::ROFS
                | Errno::NOENT
                | Errno::NOTDIR
                | Errno::ISDIR
        )
    ) || error.kind() == io::ErrorKind::StorageFull
}

/// Replaces a small file so that a crash leaves the old or the new one, whole and checked.
pub(crate) fn replace(path: &Path, body: &[u8]) -> io::Result<()> {
    prepare(path, body)?;
    replace_prepared(path)
}

/// Does the first half of [`replace`]: writes the new contents of `path` beside it. After an error,
/// and until [`replace_prepared`] is called, `path` has the old contents.
pub(crate) fn prepare(path: &Path, body: &[u8]) -> io::Result<()> {
    let file = create_over(&path.with_extension("tmp"))?;
    write_at(&file, &[&crc32fast::hash(body).to_le_bytes(), body].concat(), 0)?;
    sync_all(&file)
}

/// Does the second half of [`replace`]. After an error `path` may have the old or the new contents,
/// and the other ones after a power cut.
pub(crate) fn replace_prepared(path: &Path) -> io::Result<()> {
    rename(&path.with_extension("tmp"), path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Reads a file that [`replace`] wrote; `None` when there is none.
pub(crate) fn read_checked(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    match bytes.split_first_chunk::<4>() {
        Some((crc, body)) if u32::from_le_bytes(*crc) == crc32fast::hash(body) => {
            Ok(Some(body.to_vec()))
        }
        _ => Err(io::Error::other(format!("{} is damaged: its checksum is wrong", path.display()))),
    }
}
