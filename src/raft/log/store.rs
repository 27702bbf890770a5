//! The log as openraft sees it. It places records, keeps the index, and leaves all writing to the
//! thread. Made by `cluster` when a node starts.

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use futures_util::Stream;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use super::index::{Found, Index, Place};
use super::load::load;
use super::segment::{self, MAGIC, MARKS, path_of};
use super::thread::{Counters, Job, Reply, Writer};
use crate::disk;
use crate::raft::types::{Entry, LogId, TypeConfig, Vote};

/// A segment is closed once it is longer than this.
const SEGMENT: u64 = 32 << 20;
/// The most that one read gives for replication or apply.
const READ: usize = 4 << 20;

/// The log: openraft's storage, and (cloned) its reader.
#[derive(Clone)]
pub struct LogStore {
    dir: Arc<Path>,
    index: Arc<Mutex<Index>>,
    jobs: Sender<Job>,
    /// Segments open for reading.
    files: Arc<Mutex<HashMap<u64, Arc<File>>>>,
    counters: Arc<Counters>,
    thread: Joiner,
    segment_size: u64,
}

/// A thread's handle, for waiting for its end.
pub type Joiner = Arc<Mutex<Option<JoinHandle<()>>>>;

/// A view of the log's index in memory.
#[derive(Clone)]
pub struct LogView(Arc<Mutex<Index>>);

impl LogView {
    /// The bytes of the entries after an index, as they are on the disk.
    pub fn bytes_after(&self, index: u64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes_after(index)
    }

    /// The last entry's id.
    pub fn last(&self) -> Option<LogId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last
    }
}

impl LogStore {
    /// Opens the log in a folder, which is made if it isn't there. A torn tail of the last segment
    /// (what a crash leaves of writes that nobody was told of) is cut off; damage anywhere else is
    /// an error that names file and offset.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::open_with(dir, SEGMENT)
    }

    pub(super) fn open_with(dir: &Path, segment_size: u64) -> io::Result<Self> {
        disk::create_dir(dir)?;
        let mut index = Index::default();
        if let Some(body) = disk::read_checked(&dir.join(MARKS))? {
            index.marks = postcard::from_bytes(&body).map_err(|e| {
                io::Error::other(format!("{} cannot be read: {e}", dir.join(MARKS).display()))
            })?;
        }
        index.last = index.marks.purged;
        index.first = index.marks.purged.map_or(0, |id| id.index + 1);
        let current = load(dir, &mut index)?;
        // A process that was killed may have left names that are not durable yet.
        disk::sync_dir(dir)?;
        let (index, counters) = (Arc::new(Mutex::new(index)), Arc::new(Counters::default()));
        let (jobs, queue) = channel();
        let writer = Writer {
            dir: dir.to_owned(),
            current,
            index: index.clone(),
            counters: counters.clone(),
            broken: None,
        };
        let thread = std::thread::Builder::new().name("raft-log".to_owned());
        let thread = Arc::new(Mutex::new(Some(thread.spawn(move || writer.run(&queue))?)));
        let files = Arc::default();
        Ok(Self { dir: dir.into(), index, jobs, files, counters, thread, segment_size })
    }

    /// The counters of the log's thread.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// A look at the log that does not keep it open.
    pub fn view(&self) -> LogView {
        LogView(self.index.clone())
    }

    /// The thread's handle, for waiting until the log is closed: it ends when the last handle is
    /// dropped.
    pub fn joiner(&self) -> Joiner {
        self.thread.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).map_err(|_| io::Error::other("the raft log's thread has ended"))
    }

    async fn ask(&self, job: impl FnOnce(Reply) -> Job) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(job(reply))?;
        answer.await.map_err(|_| io::Error::other("the raft log's thread has ended"))?
    }

    async fn read(&self, from: u64, to: u64, budget: usize) -> io::Result<Vec<Entry>> {
        let found = self.lock().get(from, to, budget);
        let (from, places) = match found {
            Found::Entries(entries) => return Ok(entries),
            Found::Places(from, places) => (from, places),
        };
        let log = self.clone();
        let read = move || match places.iter().map(|place| log.read_place(*place)).collect() {
            // Purged or truncated while it was read: then there is nothing here any more.
            Err(_) if !log.lock().still_at(from, &places) => Ok(Vec::new()),
            result => result,
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }

    fn read_place(&self, place: Place) -> io::Result<Entry> {
        let path = path_of(&self.dir, place.segment);
        let file = {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(file) = files.get(&place.segment) {
                file.clone()
            } else {
                let file = Arc::new(disk::open_to_read(&path)?);
                files.insert(place.segment, file.clone());
                file
            }
        };
        segment::read_entry(&file, &path, place.offset, place.length)
    }

    fn forget_files(&self, keep: impl Fn(u64) -> bool) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|number, _| keep(*number));
    }

    /// Takes the place of the next record of so many bytes.
    fn place(&self, index: &mut Index, length: usize) -> Place {
        if index.offset > MAGIC.len() as u64 && index.offset >= self.segment_size {
            index.begin_segment();
        }
        let place = Place { segment: index.segment, offset: index.offset, length: length as u32 };
        index.offset += length as u64;
        place
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(n) => *n,
        Bound::Excluded(n) => n + 1,
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(n) => n + 1,
        Bound::Excluded(n) => *n,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (mut from, to) = bounds(&range);
        let mut entries = Vec::new();
        while from < to {
            let more = self.read(from, to, READ).await?;
            let Some(last) = more.last() else { break };
            from = last.index() + 1;
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        // Apply may be told to take thousands of entries at once: they are read piece by piece.
        let (from, to) = bounds(&range);
        let start = (self.clone(), from, VecDeque::new());
        futures_util::stream::try_unfold(start, move |(log, from, mut piece)| async move {
            if piece.is_empty() && from < to {
                piece.extend(log.read(from, to, READ).await?);
            }
            Ok(piece.pop_front().map(|entry: Entry| {
                let next = entry.index() + 1;
                (entry, (log, next, piece))
            }))
        })
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.lock().marks.vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, READ).await
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let index = self.lock();
        Ok(LogState { last_purged_log_id: index.marks.purged, last_log_id: index.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let marks = {
            let mut index = self.lock();
            index.marks.vote = Some(*vote);
            index.marks.clone()
        };
        self.ask(|reply| Job::Mark { marks, remove: Vec::new(), reply }).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let length = segment::encode_committed(committed.as_ref(), &mut bytes)?;
        let mut index = self.lock();
        index.committed = committed;
        let place = self.place(&mut index, length);
        self.send(Job::Hint { segment: place.segment, offset: place.offset, bytes })
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut index = self.lock();
        let (mut bytes, mut start): (Vec<u8>, Option<Place>) = (Vec::new(), None);
        for entry in entries {
            let anywhere = index.is_empty() && index.marks.purged.is_none();
            if !anywhere && entry.index() != index.next() {
                return Err(io::Error::other(format!(
                    "entry {} does not follow the log's last entry {}",
                    entry.index(),
                    index.next().saturating_sub(1)
                )));
            }
            let length = segment::encode_entry(&entry, &mut bytes)?;
            let place = self.place(&mut index, length);
            if let Some(begun) = start.filter(|begun| begun.segment != place.segment) {
                // The segment is full: what was gathered goes into the old one.
                let rest = bytes.split_off(bytes.len() - length);
                let full = std::mem::replace(&mut bytes, rest);
                self.send(Job::Append {
                    segment: begun.segment,
                    offset: begun.offset,
                    bytes: full,
                    next: index.next(),
                    done: IOFlushed::noop(),
                })?;
                start = None;
            }
            start.get_or_insert(place);
            index.push(entry, place);
        }
        if let Some(Place { segment, offset, .. }) = start {
            let next = index.next();
            self.send(Job::Append { segment, offset, bytes, next, done: callback })
        } else {
            callback.io_completed(Ok(()));
            Ok(())
        }
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let from = last_log_id.map_or(0, |id| id.index + 1);
        let place = {
            let mut index = self.lock();
            let last = last_log_id.max(index.marks.purged);
            index.truncate(from, last)
        };
        let Some(Place { segment, offset, .. }) = place else { return Ok(()) };
        self.forget_files(|number| number < segment);
        self.ask(|reply| Job::Cut { segment, offset, reply }).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let (marks, remove) = {
            let mut index = self.lock();
            let remove = index.purge(&log_id);
            (index.marks.clone(), remove)
        };
        self.forget_files(|number| !remove.contains(&number));
        self.ask(|reply| Job::Mark { marks, remove, reply }).await
    }
}

/// The folder of the log under `DataDir`.
pub fn dir_under(data: &Path) -> PathBuf {
    data.join("raft")
}
