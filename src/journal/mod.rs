//! What this node did and the cluster does not know yet: results and watermarks, durable on this
//! disk until they are in the replicated log.
//!
//! The worker appends, the collector's ear reads what is on disk and, when it is committed, lets
//! the journal forget. Nothing here interprets an entry, and nothing is kept for its own sake: the
//! replicated log is the acknowledgement.
//!
//! ```text
//!   append --+                +-> window in memory --+
//!   append --+-> one thread --+                      +-> read(after) -> collector -> log
//!   append --+   write, fsync +-> segment files -----+                               |
//!                                  ^ deleted whole <----------- forget(upto) <-------+
//! ```
//!
//! * [`segment`]: the form of the files, and how a torn tail is told from damage.
//! * [`index`]: what is known of them in memory.
//! * [`writer`]: the one thread that writes; appends that come while it syncs share the next sync.
//!
//! The sequence begins at 1 with the file's *incarnation*, a random number made with it: a folder
//! that was wiped shows as a new incarnation and cannot be mistaken for the old journal.

mod index;
#[cfg(test)]
mod power_loss;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use crate::disk::{self, spare};
use crate::model::attempt::JournalEntry;
use crate::telemetry::LogLimit;
use index::{Segment, SegmentIndex, Source};
use writer::{Append, Message, Writer};

/// Sizes, in bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// More than this not yet forgotten, and there is no room: the node stops firing.
    pub max_bytes: u64,
    /// Less than this free on the disk, and there is no room.
    pub min_free: u64,
    /// Disk space is reserved in steps of this, ahead of need.
    pub reserve: u64,
    /// A file that has grown to this is followed by the next.
    pub rotate: u64,
    /// A file with nothing left to remember is replaced once it is larger than this.
    pub tidy: u64,
    /// How much is kept in memory for reads.
    pub window: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            min_free: 64 << 20,
            reserve: 4 << 20,
            rotate: 8 << 20,
            tidy: 1 << 20,
            window: 4 << 20,
        }
    }
}

/// Why a journal cannot be opened or does not take an entry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no at opening.
    #[error("the journal cannot be opened: {0}")]
    Io(#[from] io::Error),
    /// Not a torn tail: something that had been safe on disk is no longer readable.
    #[error(
        "the journal {path} is damaged at byte {offset}: {what}; move its folder away to start \
         without what it held (those executions are made up as far as the cluster knows)"
    )]
    Damaged {
        /// The file.
        path: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Written by another version.
    #[error(
        "{path} has format {format} of the journal, this binary knows another: start the version \
         that wrote it, let the cluster collect it, and upgrade then"
    )]
    Format {
        /// The file.
        path: String,
        /// The format's number.
        format: String,
    },
    /// An entry has no binary form: a mistake in the program.
    #[error("an entry cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
    /// No disk space could be reserved; nothing was written, and it may work again later.
    #[error("the disk is full: no space for the journal")]
    NoRoom,
    /// A write failed before: what is on disk is unknown until the node restarts.
    #[error("the journal has failed: {0}")]
    Failed(String),
}

/// Consecutive entries, as the collector fetches them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Which journal.
    pub incarnation: u128,
    /// The sequence number of the first entry (of the next one to come, if there are none).
    pub first: u64,
    /// The entries.
    pub entries: Vec<JournalEntry>,
}

/// How a journal is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Which journal.
    pub incarnation: u128,
    /// The last sequence number that is on disk; 0 for none.
    pub synced: u64,
    /// The last sequence number that is in the replicated log, as far as known here.
    pub forgotten: u64,
    /// Bytes not yet forgotten (rounded up a little).
    pub bytes: u64,
    /// Whether the node may go on firing.
    pub has_room: bool,
    /// How many syncs there have been since it was opened.
    pub syncs: u64,
    /// It takes nothing any more until the node is restarted: a write or a read has failed.
    pub failed: bool,
    /// Why there is no room, for people.
    pub trouble: Option<String>,
}

/// A node's journal; cloning gives another handle to the same one. Dropping the last handle waits
/// until what was appended is on disk.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    messages: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

/// What the handles and the writing thread have in common.
struct Shared {
    dir: PathBuf,
    options: Options,
    index: Mutex<SegmentIndex>,
    synced: watch::Sender<u64>,
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, SegmentIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Opens the journal of a folder, or makes one; gives back the entries that it has not
    /// forgotten, with their sequence numbers (the cluster may know some of the first already).
    ///
    /// A torn tail, which nobody was told of, is cut. Blocks for disk reads and syncs.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Vec<(u64, JournalEntry)>), Error> {
        disk::create_dir(dir)?;
        // A process that was killed may have left names that are not durable yet.
        disk::sync_dir(dir)?;
        let mut firsts = segment::list(dir)?;
        let mut incarnation = rand::random();
        if firsts.is_empty() {
            segment::create(dir, incarnation, 1, options.reserve)?;
            firsts.push(1);
        }
        let (mut segments, mut entries, mut sizes) = (VecDeque::new(), Vec::new(), Vec::new());
        let mut torn = false;
        let mut next = firsts[0];
        for (i, &first) in firsts.iter().enumerate() {
            let mut segment = Segment::new(first);
            let last = i + 1 == firsts.len();
            let scan = segment::scan(dir, first, last, |seq, at, length, entry| {
                segment.note(seq, at, length);
                sizes.push(length as usize);
                entries.push((seq, entry));
            })?;
            if i == 0 {
                incarnation = scan.incarnation;
            }
            if first != next || scan.incarnation != incarnation {
                return Err(Error::Damaged {
                    path: segment::path(dir, first).display().to_string(),
                    offset: 0,
                    what: "it does not continue the file before it".to_owned(),
                });
            }
            next = scan.next;
            torn = scan.torn;
            segments.push_back(segment);
        }
        let mut index = SegmentIndex::new(incarnation, firsts[0] - 1, next - 1, segments);
        index.fill_window(&entries, &sizes, options.window);
        let synced = watch::Sender::new(next - 1);
        let shared =
            Arc::new(Shared { dir: dir.to_owned(), options, index: Mutex::new(index), synced });
        let (sender, messages) = mpsc::channel();
        let writer = Writer::open(shared.clone(), messages, torn)?;
        let thread =
            std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        let inner = Inner { shared, messages: Some(sender), thread: Some(thread) };
        Ok((Self(Arc::new(inner)), entries))
    }

    /// Appends entries, in order and without others in between; answers when they are on disk, with
    /// the sequence number of the last one.
    pub async fn append(&self, entries: Vec<JournalEntry>) -> Result<u64, Error> {
        if entries.is_empty() {
            return Ok(self.0.shared.index().synced());
        }
        let mut encoded = Vec::with_capacity(entries.len());
        for entry in entries {
            encoded.push((postcard::to_stdvec(&entry)?, entry));
        }
        let (answer, result) = oneshot::channel();
        let gone = || Error::Failed("its thread has ended".to_owned());
        let message = Message::Append(Append { entries: encoded, answer });
        let messages = self.0.messages.as_ref().ok_or_else(gone)?;
        messages.send(message).map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    /// Entries on disk after a sequence number: at least one if there is any, and no more than fit
    /// the given number of bytes. Mostly from memory; far behind, it reads the disk (blocking), and
    /// gives none where this process has no descriptor for that.
    pub fn read(&self, after: u64, max_bytes: usize) -> Page {
        static LINES: LogLimit<()> = LogLimit::new();
        let shared = &self.0.shared;
        loop {
            let source = shared.index().find(after, max_bytes);
            let (incarnation, from, place, upto) = match source {
                Source::Memory(page) => return page,
                Source::Disk { incarnation, from, segment, place, upto } => {
                    (incarnation, from, (segment, place), upto)
                }
            };
            let (mut entries, mut bytes) = (Vec::new(), 0);
            let read =
                segment::read_from(&shared.dir, place.0, place.1, upto, |seq, length, entry| {
                    if seq < from {
                        return true;
                    }
                    bytes += length;
                    if !entries.is_empty() && bytes > max_bytes {
                        return false;
                    }
                    entries.push(entry);
                    true
                });
            match read {
                Ok(()) => return Page { incarnation, first: from, entries },
                // Forgotten and deleted since we looked: look again.
                Err(_) if shared.index().forgotten() >= from => {}
                // What is on the disk is as it was: whoever asks asks again.
                Err(e) if spare::is_exhausted(&e) => {
                    if let Some(unsaid) = LINES.admit(()) {
                        tracing::error!(error = %e, unsaid, "the journal cannot be read now");
                    }
                    return Page { incarnation, first: from, entries: Vec::new() };
                }
                Err(e) => {
                    shared.index().fail(format!("it cannot be read: {e}"));
                    return Page { incarnation, first: from, entries: Vec::new() };
                }
            }
        }
    }

    /// Says that the entries up to a sequence number are in the replicated log. Files that hold
    /// nothing else go soon after. Another incarnation's number is ignored.
    pub fn forget(&self, incarnation: u128, upto: u64) {
        let news = self.0.shared.index().forget(incarnation, upto);
        if let (true, Some(messages)) = (news, &self.0.messages) {
            // A thread that has ended has said why in the index.
            let _ = messages.send(Message::Tidy);
        }
    }

    /// How it is.
    pub fn state(&self) -> State {
        self.0.shared.index().state(&self.0.shared.options)
    }

    /// The last sequence number on disk, and whenever it grows.
    pub fn synced(&self) -> watch::Receiver<u64> {
        self.0.shared.synced.subscribe()
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Journal").field(&self.state()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            // It ends when it has written what was asked; a panic in it has been printed.
            let _ = thread.join();
        }
    }
}
