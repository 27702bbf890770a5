//! The handle of a journal: opening, appending, reading and forgetting. The worker, the server of
//! peer messages and `node` hold clones of it. The writing itself is `writer`'s.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use super::error::Error;
use super::index::{Segment, SegmentIndex, Source};
use super::options::Options;
use super::segment;
use super::shared::Shared;
use super::state::{Page, State};
use super::writer::{Append, Message, Writer};
use crate::disk::{self, spare};
use crate::model::attempt::JournalEntry;
use crate::telemetry::LogLimit;

/// The journal of a node. Cloning gives another handle to the same one. Dropping the last handle
/// waits until all appended entries are on disk.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    messages: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal of a folder, or makes one. Returns the entries that it has not forgotten,
    /// with their sequence numbers; the cluster may know some of the first ones already.
    ///
    /// A torn tail, which was never acknowledged, is cut. Blocks for disk reads and syncs.
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

    /// Appends entries, in order and without others between them. Returns the sequence number of
    /// the last one when they are on disk.
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

    /// The entries on disk after a sequence number: at least one if there is any, and `max_bytes`
    /// at most beyond that. Mostly they come from memory. A caller that is far behind gets them
    /// from the disk (blocking), and none where the process has no descriptor for that.
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
                // The file was forgotten and deleted since the look into the index: look again.
                Err(_) if shared.index().forgotten() >= from => {}
                // The disk is as it was, so the caller may ask again.
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

    /// Notes that the entries up to a sequence number are in the replicated log. Files that hold
    /// nothing else are deleted soon after. A number of another incarnation is ignored.
    pub fn forget(&self, incarnation: u128, upto: u64) {
        let moved = self.0.shared.index().forget(incarnation, upto);
        if let (true, Some(messages)) = (moved, &self.0.messages) {
            // A thread that has ended has noted the reason in the index.
            let _ = messages.send(Message::Tidy);
        }
    }

    /// The state of the journal.
    pub fn state(&self) -> State {
        self.0.shared.index().state(&self.0.shared.options)
    }

    /// The last sequence number on disk, with a notification whenever it grows.
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
            // The thread ends when it has written all that was appended. A panic in it has been
            // printed.
            let _ = thread.join();
        }
    }
}
