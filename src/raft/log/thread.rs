//! The one thread that writes the log: it drains its queue, writes once, syncs once, and only then
//! answers all that waited. Fed by `log::LogStore`, in log order; it decides nothing.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use super::index::Index;
use super::segment::{self, Marks, path_of};
use crate::disk;
use crate::raft::types::TypeConfig;

/// The most bytes that are gathered before a sync, so that a flood does not delay the first in
/// line.
const MAX_BATCH: usize = 8 << 20;

pub(super) type Reply = oneshot::Sender<io::Result<()>>;

/// A request to the thread.
pub(super) enum Job {
    /// Writes records at an offset of a segment; a segment that is not there yet is made.
    Append { segment: u64, offset: u64, bytes: Vec<u8>, next: u64, done: IOFlushed<TypeConfig> },
    /// Writes a hint that needs no sync of its own.
    Hint { segment: u64, offset: u64, bytes: Vec<u8> },
    /// Cuts a segment at an offset; later ones go.
    Cut { segment: u64, offset: u64, reply: Reply },
    /// Rewrites the marks, then removes segments.
    Mark { marks: Marks, remove: Vec<u64>, reply: Reply },
}

/// The work of the thread since it started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Syncs of a segment.
    pub syncs: AtomicU64,
    /// Bytes written.
    pub bytes: AtomicU64,
    /// Appends that were acknowledged.
    pub appends: AtomicU64,
}

pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) current: Option<(u64, File)>,
    pub(super) index: Arc<Mutex<Index>>,
    pub(super) counters: Arc<Counters>,
    /// The first error. Nothing is written after it: what a failed sync has left on the disk is
    /// unknown, and a second sync that succeeds would prove nothing.
    pub(super) broken: Option<(io::ErrorKind, String)>,
}

#[derive(Default)]
struct Batch {
    segment: u64,
    offset: u64,
    bytes: Vec<u8>,
    next: u64,
    done: Vec<IOFlushed<TypeConfig>>,
}

impl Writer {
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut batch = Batch::default();
        while let Ok(first) = jobs.recv() {
            let mut next = Some(first);
            while let Some(job) = next {
                self.take(job, &mut batch);
                next = match jobs.try_recv() {
                    Ok(job) if batch.bytes.len() < MAX_BATCH => Some(job),
                    Ok(job) => {
                        self.flush(&mut batch);
                        Some(job)
                    }
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
                };
            }
            self.flush(&mut batch);
        }
    }

    fn take(&mut self, job: Job, batch: &mut Batch) {
        match job {
            Job::Append { segment, offset, bytes, next, done } => {
                self.gather(batch, segment, offset, &bytes);
                batch.next = next;
                batch.done.push(done);
            }
            Job::Hint { segment, offset, bytes } => self.gather(batch, segment, offset, &bytes),
            Job::Cut { segment, offset, reply } => {
                self.flush(batch);
                let result = self.guarded(|writer| writer.cut(segment, offset));
                // The asker may be gone; the cut stands all the same.
                let _ = reply.send(result);
            }
            Job::Mark { marks, remove, reply } => {
                self.flush(batch);
                let result = self.guarded(|writer| writer.mark(&marks, &remove));
                let _ = reply.send(result);
            }
        }
    }

    fn gather(&mut self, batch: &mut Batch, segment: u64, offset: u64, bytes: &[u8]) {
        let follows = batch.segment == segment && batch.offset + batch.bytes.len() as u64 == offset;
        if !follows {
            self.flush(batch);
            (batch.segment, batch.offset) = (segment, offset);
        }
        batch.bytes.extend_from_slice(bytes);
    }

    fn flush(&mut self, batch: &mut Batch) {
        if batch.bytes.is_empty() && batch.done.is_empty() {
            return;
        }
        let Batch { segment, offset, bytes, next, done } = std::mem::take(batch);
        let sync = !done.is_empty();
        let result = self.guarded(|writer| writer.write(segment, offset, &bytes, sync));
        if result.is_ok() && sync {
            self.index.lock().unwrap_or_else(PoisonError::into_inner).written(next);
            self.counters.appends.fetch_add(done.len() as u64, Ordering::Relaxed);
        }
        for done in done {
            done.io_completed(match &result {
                Ok(()) => Ok(()),
                Err(e) => Err(io::Error::new(e.kind(), e.to_string())),
            });
        }
    }

    fn guarded(&mut self, f: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if let Some((kind, message)) = &self.broken {
            return Err(io::Error::new(*kind, message.clone()));
        }
        let result = f(self);
        if let Err(error) = &result {
            tracing::error!(%error, "the raft log cannot be written");
            self.broken = Some((error.kind(), format!("the raft log cannot be written: {error}")));
        }
        result
    }

    fn write(&mut self, segment: u64, offset: u64, bytes: &[u8], sync: bool) -> io::Result<()> {
        if self.current.as_ref().is_none_or(|(number, _)| *number != segment) {
            // Everything in the segment before this one is on the disk before this one exists: only
            // the last segment can have a torn tail.
            if let Some((_, file)) = &self.current {
                disk::sync_data(file)?;
            }
            self.current = Some((segment, segment::create(&self.dir, segment)?));
        }
        let Some((_, file)) = &self.current else { return Ok(()) };
        disk::write_at(file, bytes, offset)?;
        self.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if sync {
            disk::sync_data(file)?;
            self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn cut(&mut self, segment: u64, offset: u64) -> io::Result<()> {
        // From the end backward: a crash in between leaves a shorter log, never a hole.
        for number in segment::list(&self.dir)?.into_iter().rev().filter(|n| *n > segment) {
            disk::remove(&path_of(&self.dir, number))?;
            disk::sync_dir(&self.dir)?;
        }
        let file = disk::open(&path_of(&self.dir, segment))?;
        disk::set_len(&file, offset)?;
        disk::sync_all(&file)?;
        self.current = Some((segment, file));
        Ok(())
    }

    fn mark(&mut self, marks: &Marks, remove: &[u64]) -> io::Result<()> {
        let body = postcard::to_allocvec(marks).map_err(io::Error::other)?;
        disk::replace(&self.dir.join(segment::MARKS), &body)?;
        for number in remove {
            if self.current.as_ref().is_some_and(|(current, _)| current == number) {
                self.current = None;
            }
            disk::remove_if_there(&path_of(&self.dir, *number))?;
        }
        if remove.is_empty() { Ok(()) } else { disk::sync_dir(&self.dir) }
    }
}
