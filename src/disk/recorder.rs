//! For tests: records the operations on the disk under a folder, and rebuilds the folder as a power
//! cut after any operation may have left it. Called by `disk` and by the tests of its users; not in
//! a release.
//!
//! The disk is as bad as POSIX lets it be. Bytes that were not synced are lost, there, or there in
//! part: any sectors of any writes, with or without the file's new length. A name that was not
//! synced in its folder may be lost too, even if the file is synced, and each change of a name is
//! lost or kept by itself.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

/// The bytes that a disk writes at once.
const SECTOR: usize = 512;

/// An operation as it was requested; files by inode.
pub(crate) enum Op {
    CreateDir(PathBuf),
    Create(u64, PathBuf),
    Write(u64, u64, Vec<u8>),
    SetLen(u64, u64),
    Extend(u64, u64),
    Sync(u64),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// An operation, files by the number in which they came.
#[derive(Clone, Debug)]
enum Step {
    Write(usize, u64, Vec<u8>),
    SetLen(usize, u64),
    Extend(usize, u64),
    Sync(usize),
    SyncDir(PathBuf),
    Link(PathBuf, Entry),
    Rename(PathBuf, PathBuf, Entry),
    Unlink(PathBuf),
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    Dir,
    File(usize),
}

/// The fate of everything that was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// Everything is lost.
    All,
    /// Nothing is lost: the end of a process, not of the power.
    Nothing,
    /// A part is there, as the number decides.
    Some(u64),
}

impl Loss {
    /// All, nothing, and `count` in between that differ from place to place.
    pub(crate) fn few(at: usize, count: u64) -> impl Iterator<Item = Self> {
        let some = (0..count).map(move |n| Self::Some(at as u64 * count + n));
        [Self::All, Self::Nothing].into_iter().chain(some)
    }
}

#[derive(Default)]
struct Inner {
    root: PathBuf,
    /// The names and contents at the beginning.
    names: BTreeMap<PathBuf, Entry>,
    first: Vec<Vec<u8>>,
    /// The names now.
    current: BTreeMap<PathBuf, Entry>,
    inodes: HashMap<u64, usize>,
    files: usize,
    steps: Vec<Step>,
}

static RECORDERS: Mutex<Vec<Arc<Mutex<Inner>>>> = Mutex::new(Vec::new());
static RUNNING: AtomicUsize = AtomicUsize::new(0);

fn recorders() -> MutexGuard<'static, Vec<Arc<Mutex<Inner>>>> {
    RECORDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

/// Lets the `nth` sync of a folder on this thread fail; 1 is the next one.
pub(crate) fn refuse_sync_dir(nth: usize) {
    REFUSED.set(nth);
}

/// Fails where [`refuse_sync_dir`] said so.
pub(super) fn admit_sync_dir() -> io::Result<()> {
    let nth = REFUSED.get();
    REFUSED.set(nth.saturating_sub(1));
    if nth == 1 { Err(rustix::io::Errno::IO.into()) } else { Ok(()) }
}

/// A file's inode.
pub(crate) fn id(file: &File) -> u64 {
    file.metadata().map_or(0, |data| data.ino())
}

/// Takes down an operation, if anybody listens.
pub(super) fn note(op: impl Fn() -> Op) {
    if RUNNING.load(Ordering::SeqCst) > 0 {
        let listening = recorders().clone();
        for recorder in listening {
            recorder.lock().unwrap().take(op());
        }
    }
}

/// Takes down that a new file was filled, not by way of `disk`.
pub(super) fn note_content(path: &Path) {
    note(|| Op::Write(fs::metadata(path).unwrap().ino(), 0, fs::read(path).unwrap()));
}

impl Inner {
    fn take(&mut self, op: Op) {
        let inside = |path: PathBuf| path.strip_prefix(&self.root).map(Path::to_owned).ok();
        let step = match op {
            Op::CreateDir(path) => inside(path).map(|path| self.link(path, Entry::Dir)),
            Op::Create(inode, path) => {
                // The inode may belong to another file now.
                self.inodes.remove(&inode);
                inside(path).map(|path| {
                    self.inodes.insert(inode, self.files);
                    self.files += 1;
                    self.link(path, Entry::File(self.files - 1))
                })
            }
            Op::Write(file, at, bytes) => self.file(file, |file| Step::Write(file, at, bytes)),
            Op::SetLen(file, length) => self.file(file, |file| Step::SetLen(file, length)),
            Op::Extend(file, length) => self.file(file, |file| Step::Extend(file, length)),
            Op::Sync(file) => self.file(file, Step::Sync),
            Op::SyncDir(path) => inside(path).map(Step::SyncDir),
            Op::Rename(from, to) => inside(from).zip(inside(to)).and_then(|(from, to)| {
                let entry = self.current.remove(&from)?;
                self.current.insert(to.clone(), entry);
                Some(Step::Rename(from, to, entry))
            }),
            Op::Remove(path) => {
                inside(path).and_then(|path| self.current.remove(&path).map(|_| Step::Unlink(path)))
            }
        };
        self.steps.extend(step);
    }

    fn link(&mut self, path: PathBuf, entry: Entry) -> Step {
        self.current.insert(path.clone(), entry);
        Step::Link(path, entry)
    }

    fn file(&self, inode: u64, step: impl FnOnce(usize) -> Step) -> Option<Step> {
        self.inodes.get(&inode).map(|file| step(*file))
    }

    fn look(&mut self, dir: &Path) {
        for found in fs::read_dir(dir).unwrap() {
            let found = found.unwrap();
            let path = found.path();
            let name = path.strip_prefix(&self.root).unwrap().to_owned();
            if path.is_dir() {
                self.names.insert(name, Entry::Dir);
                self.look(&path);
            } else {
                self.names.insert(name, Entry::File(self.files));
                self.inodes.insert(found.metadata().unwrap().ino(), self.files);
                self.first.push(fs::read(path).unwrap());
                self.files += 1;
            }
        }
    }
}

/// A folder that is listened to.
pub(crate) struct DiskRecorder(Arc<Mutex<Inner>>);

/// A folder for tests that sync much: in memory, where there is such a thing.
pub(crate) fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl DiskRecorder {
    /// Listens from now on; what is there already counts as durable.
    pub(crate) fn begin(root: &Path) -> Self {
        let mut inner = Inner { root: root.to_owned(), ..Inner::default() };
        inner.look(root);
        inner.current = inner.names.clone();
        Self::listen(inner)
    }

    fn listen(inner: Inner) -> Self {
        let recorder = Arc::new(Mutex::new(inner));
        recorders().push(recorder.clone());
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self(recorder)
    }

    /// The folder after the process was killed when so many operations were done: nothing is lost
    /// yet, and what was not synced may be lost later. It is listened to from there on.
    pub(crate) fn killed(&self, after: usize) -> (TempDir, Self) {
        let inner = self.0.lock().unwrap();
        let mut disk = Disk::new(&inner, Loss::Nothing);
        inner.steps[..after].iter().for_each(|step| disk.take(step));
        let (dir, current) = disk.write();
        let inode = |path: &Path| fs::metadata(dir.path().join(path)).unwrap().ino();
        let inodes = current.iter().filter_map(|(path, entry)| match entry {
            Entry::File(file) => Some((inode(path), *file)),
            Entry::Dir => None,
        });
        let killed = Inner {
            root: dir.path().to_owned(),
            names: inner.names.clone(),
            first: inner.first.clone(),
            inodes: inodes.collect(),
            current,
            files: inner.files,
            steps: inner.steps[..after].to_vec(),
        };
        drop(inner);
        (dir, Self::listen(killed))
    }

    /// The number of operations so far.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().steps.len()
    }

    /// The folder after a power cut that came when so many operations were done.
    pub(crate) fn power_cut(&self, after: usize, loss: Loss) -> TempDir {
        let inner = self.0.lock().unwrap();
        let mut disk = Disk::new(&inner, loss);
        inner.steps[..after].iter().for_each(|step| disk.take(step));
        disk.write().0
    }
}

impl Drop for DiskRecorder {
    fn drop(&mut self) {
        recorders().retain(|recorder| !Arc::ptr_eq(recorder, &self.0));
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A disk: what is durable, and what may be.
struct Disk {
    names: BTreeMap<PathBuf, Entry>,
    files: Vec<(Vec<u8>, Vec<Step>)>,
    renamed: Vec<Step>,
    loss: Loss,
    random: u64,
}

impl Disk {
    fn new(inner: &Inner, loss: Loss) -> Self {
        let mut files: Vec<_> = inner.first.iter().map(|body| (body.clone(), vec![])).collect();
        files.resize(inner.files, Default::default());
        let random = if let Loss::Some(seed) = loss { seed } else { 0 };
        Self { names: inner.names.clone(), files, renamed: vec![], loss, random }
    }

    /// The splitmix generator.
    fn below(&mut self, n: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn keeps(&mut self) -> bool {
        match self.loss {
            Loss::All => false,
            Loss::Nothing => true,
            Loss::Some(_) => self.below(2) == 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(file, ..) | Step::SetLen(file, _) | Step::Extend(file, _) => {
                self.files[*file].1.push(step.clone());
            }
            Step::Sync(file) => {
                let (body, open) = &mut self.files[*file];
                open.drain(..).for_each(|step| carry_out(body, &step));
            }
            Step::SyncDir(dir) => {
                let inside = |step: &Step| match step {
                    Step::Link(path, _) | Step::Unlink(path) | Step::Rename(path, ..) => {
                        path.parent() == Some(dir.as_path())
                    }
                    _ => false,
                };
                let (synced, open) = self.renamed.drain(..).partition(|step| inside(step));
                self.renamed = open;
                let synced: Vec<Step> = synced;
                for step in synced {
                    self.name(step);
                }
            }
            Step::Link(..) | Step::Unlink(_) | Step::Rename(..) => self.renamed.push(step.clone()),
        }
    }

    fn name(&mut self, step: Step) {
        match step {
            Step::Link(path, entry) => drop(self.names.insert(path, entry)),
            Step::Unlink(path) => drop(self.names.remove(&path)),
            Step::Rename(from, to, entry) => {
                self.names.remove(&from);
                self.names.insert(to, entry);
            }
            _ => {}
        }
    }

    /// Decides about what is open, and makes a folder of what is there then.
    fn write(mut self) -> (TempDir, BTreeMap<PathBuf, Entry>) {
        for step in std::mem::take(&mut self.renamed) {
            if self.keeps() {
                self.name(step);
            }
        }
        for file in 0..self.files.len() {
            for step in std::mem::take(&mut self.files[file].1) {
                self.settle(file, &step);
            }
        }
        let dir = quick_dir();
        for (path, entry) in &self.names {
            let place = dir.path().join(path);
            // A file without its folder cannot be found.
            if place.parent().is_some_and(Path::is_dir) {
                match entry {
                    Entry::Dir => fs::create_dir(place).unwrap(),
                    Entry::File(file) => fs::write(place, &self.files[*file].0).unwrap(),
                }
            }
        }
        (dir, self.names)
    }

    fn settle(&mut self, file: usize, step: &Step) {
        let Step::Write(_, at, bytes) = step else {
            if self.keeps() {
                carry_out(&mut self.files[file].0, step);
            }
            return;
        };
        // The length and each sector are kept or lost separately.
        if self.keeps() {
            carry_out(&mut self.files[file].0, &Step::Extend(file, at + bytes.len() as u64));
        }
        let mut from = 0;
        while from < bytes.len() {
            let start = *at as usize + from;
            let end = bytes.len().min(from + SECTOR - start % SECTOR);
            if self.keeps() {
                let piece = bytes[from..end].to_vec();
                carry_out(&mut self.files[file].0, &Step::Write(file, start as u64, piece));
            }
            from = end;
        }
    }
}

fn carry_out(body: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write(_, at, bytes) => {
            let (at, end) = (*at as usize, *at as usize + bytes.len());
            body.resize(body.len().max(end), 0);
            body[at..end].copy_from_slice(bytes);
        }
        Step::SetLen(_, length) => body.resize(*length as usize, 0),
        Step::Extend(_, length) => body.resize(body.len().max(*length as usize), 0),
        _ => {}
    }
}
