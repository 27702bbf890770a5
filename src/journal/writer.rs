//! The one thread that writes the journal. It takes all appends that wait, writes them in one
//! piece, syncs once, and answers all callers. It also reserves space ahead, begins new files, and
//! deletes files that are not needed any more.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::Error;
use super::index::Segment;
use super::segment::{self, HEADER};
use super::shared::Shared;
use crate::disk;
use crate::model::attempt::JournalEntry;

/// The bytes at which no further append joins a write.
const BATCH: usize = 4 << 20;
/// The time between two checks of the room when nothing is written, so that a node notices a disk
/// that was cleared.
const LOOK: Duration = Duration::from_secs(1);

/// A message to the thread.
pub(super) enum Message {
    Append(Append),
    /// Entries were forgotten: files may be deleted.
    Tidy,
}

/// Entries to write, encoded, and the caller that waits.
pub(super) struct Append {
    pub(super) entries: Vec<(Vec<u8>, JournalEntry)>,
    pub(super) answer: oneshot::Sender<Result<u64, Error>>,
}

/// The state of the thread, with the last file.
pub(super) struct Writer {
    shared: Arc<Shared>,
    messages: Receiver<Message>,
    file: File,
    /// The position of the next record.
    end: u64,
    /// The position up to which disk space is reserved.
    reserved: u64,
    /// The next sequence number.
    next: u64,
}

impl Writer {
    /// A writer of the last file, whose tail is cut if it is `torn`.
    pub(super) fn open(
        shared: Arc<Shared>,
        messages: Receiver<Message>,
        torn: bool,
    ) -> io::Result<Self> {
        let (first, end, next) = {
            let index = shared.index();
            let last = index.segments.back().map_or((1, HEADER), |s| (s.first, s.end));
            (last.0, last.1, index.synced() + 1)
        };
        let path = segment::path(&shared.dir, first);
        let file = disk::open(&path)?;
        if torn {
            tracing::warn!(byte = end, "cut a torn tail off the journal");
            disk::set_len(&file, end)?;
        }
        // Records that a crash left whole and unsynced are made durable before they are read.
        disk::sync_all(&file)?;
        let reserved = file.metadata()?.len();
        let mut writer = Self { shared, messages, file, end, reserved, next };
        writer.look();
        Ok(writer)
    }

    /// Serves until the last handle is dropped.
    pub(super) fn run(mut self) {
        loop {
            let mut batch = Vec::new();
            let mut tidy = false;
            match self.messages.recv_timeout(LOOK) {
                Ok(message) => take(message, &mut batch, &mut tidy),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let size =
                |a: &Append| a.entries.iter().map(|(e, _)| e.len() + segment::FRAME).sum::<usize>();
            let mut bytes: usize = batch.iter().map(size).sum();
            while bytes < BATCH {
                let Ok(message) = self.messages.try_recv() else { break };
                take(message, &mut batch, &mut tidy);
                bytes = batch.iter().map(size).sum();
            }
            if !batch.is_empty() {
                self.append(batch, bytes);
            }
            if tidy {
                self.tidy();
            }
            self.look();
        }
    }

    /// Writes and syncs entries, notes them in the index, and answers their callers.
    fn append(&mut self, batch: Vec<Append>, bytes: usize) {
        let failed = self.shared.index().failed().cloned();
        let ready = match failed {
            Some(why) => Err(Error::Failed(why)),
            None => self.make_room(bytes as u64),
        };
        if let Err(error) = ready {
            for append in batch {
                let _ = append.answer.send(Err(error.again()));
            }
            return;
        }
        let (group, at) = (self.next, self.end);
        let mut buffer = Vec::with_capacity(bytes);
        let (mut noted, mut answers) = (Vec::new(), Vec::new());
        for append in batch {
            for (encoded, entry) in append.entries {
                let before = buffer.len();
                segment::frame(&mut buffer, self.next, group, &encoded);
                noted.push((buffer.len() - before, entry));
                self.next += 1;
            }
            answers.push((self.next - 1, append.answer));
        }
        let written =
            disk::write_at(&self.file, &buffer, at).and_then(|()| disk::sync_data(&self.file));
        if let Err(error) = &written {
            tracing::error!(%error, "the journal cannot be written: this node stops firing");
            self.shared.index().fail(format!("a write failed: {error}"));
        } else {
            self.end = at + buffer.len() as u64;
            self.shared.index().written(at, noted, self.shared.options.window);
            self.shared.synced.send_replace(self.next - 1);
        }
        for (seq, answer) in answers {
            let result = match &written {
                Ok(()) => Ok(seq),
                Err(error) => Err(Error::Failed(error.to_string())),
            };
            // The caller may be gone.
            let _ = answer.send(result);
        }
    }

    /// Begins a new file if the last one is long enough, and reserves space.
    fn make_room(&mut self, bytes: u64) -> Result<(), Error> {
        if self.end >= self.shared.options.rotate {
            self.rotate();
        }
        self.reserve(bytes);
        if self.reserved < self.end + bytes { Err(Error::NoRoom) } else { Ok(()) }
    }

    /// Reserves space for `bytes`, and half a step more.
    fn reserve(&mut self, bytes: u64) {
        let step = self.shared.options.reserve.max(1);
        let wanted = self.end + bytes + step / 2;
        if wanted <= self.reserved {
            return;
        }
        let more = (wanted - self.reserved).next_multiple_of(step);
        if disk::reserve(&self.file, self.reserved, more).is_ok() {
            self.reserved += more;
        }
    }

    /// Begins a new file. If that cannot be done, the old one serves on.
    fn rotate(&mut self) {
        if self.end == HEADER {
            return; // the next one would have the same name
        }
        let shared = &self.shared;
        let incarnation = shared.index().incarnation();
        match segment::create(&shared.dir, incarnation, self.next, shared.options.reserve) {
            Ok(file) => {
                // Reserved space that was not used is freed; it does no harm if that fails.
                let _ = disk::set_len(&self.file, self.end);
                self.reserved = file.metadata().map_or(HEADER, |m| m.len());
                self.file = file;
                self.end = HEADER;
                shared.index().segments.push_back(Segment::new(self.next));
            }
            Err(error) => tracing::warn!(%error, "no new journal file, going on in the old one"),
        }
    }

    /// Deletes files whose entries are all forgotten.
    fn tidy(&mut self) {
        let (forgotten, failed) = {
            let index = self.shared.index();
            (index.forgotten(), index.failed().is_some())
        };
        if forgotten + 1 == self.next && self.end > self.shared.options.tidy && !failed {
            self.rotate();
        }
        loop {
            let gone = {
                let mut index = self.shared.index();
                let over = index.segments.get(1).is_some_and(|next| next.first <= forgotten + 1);
                if !over {
                    return;
                }
                index.segments.pop_front()
            };
            let Some(gone) = gone else { return };
            // One after the other, durably: if a later file were gone and an earlier one not, the
            // journal would look as if it had lost the entries between them.
            let removed = disk::remove(&segment::path(&self.shared.dir, gone.first))
                .and_then(|()| disk::sync_dir(&self.shared.dir));
            if let Err(error) = removed {
                tracing::warn!(%error, "a journal file that is no longer needed cannot be deleted");
            }
        }
    }

    /// Checks whether there is room for more, and notes what is missing.
    fn look(&mut self) {
        self.reserve(0);
        let options = &self.shared.options;
        let free = rustix::fs::statvfs(&self.shared.dir)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let short_of = if free < options.min_free {
            Some(format!("{free} bytes free on the disk, {} are kept back", options.min_free))
        } else if self.reserved < self.end + options.reserve / 2 {
            Some("no disk space could be reserved".to_owned())
        } else {
            None
        };
        let mut index = self.shared.index();
        if index.short_of.is_some() != short_of.is_some() {
            if let Some(why) = &short_of {
                tracing::error!(%why, "no room in the journal: this node stops firing");
            } else {
                tracing::info!("the journal has room again");
            }
        }
        index.short_of = short_of;
    }
}

fn take(message: Message, batch: &mut Vec<Append>, tidy: &mut bool) {
    match message {
        Message::Append(append) => batch.push(append),
        Message::Tidy => *tidy = true,
    }
}
