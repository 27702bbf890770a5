//! A bounded buffer in front of stderr or stdout, with one thread that writes it out. A writer into
//! the buffer never waits: a pipe whose reader has stalled fills the buffer, then lines are dropped
//! and counted until the reader is back. `super` makes one for the log, `cli` one for the
//! executions that `dev` shows. It never fails towards its callers, and never ends the process.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

/// The bytes that wait for the reader at most; further ones are dropped.
pub const BOUND: usize = 4 * 1024 * 1024;
/// A flush gives up when nothing at all was taken for so long ...
const STALL: Duration = Duration::from_secs(1);
/// ... and after so long in any case.
const LONGEST_FLUSH: Duration = Duration::from_secs(5);
/// The most bytes of one write, so that progress is seen while a slow reader takes them.
const PIECE: usize = 64 * 1024;

/// A handle to the buffer; clones share it.
#[derive(Clone, Debug)]
pub struct Stream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bound: usize,
    state: Mutex<State>,
    /// The writing thread waits on it for lines.
    filled: Condvar,
    /// [`Stream::flush`] waits on it for progress.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines that the thread has not taken yet.
    queued: Vec<u8>,
    /// Bytes ever put into `queued`.
    pushed: u64,
    /// The number of them that were written, or dropped after an error.
    done: u64,
    /// Lines dropped since the last report.
    unsaid: u64,
    /// Lines ever dropped.
    dropped: u64,
    /// The other end is closed.
    closed: bool,
}

impl Stream {
    /// Starts the thread that writes to a file. `report` is called, on that thread, where lines are
    /// missing, once what came before them is on its way.
    pub fn start(
        to: &impl AsFd,
        name: &str,
        bound: usize,
        report: impl Fn(&Self, u64) + Send + 'static,
    ) -> io::Result<Self> {
        // The thread has a handle of its own, so that no other lock is held while a write waits.
        let file = File::from(to.as_fd().try_clone_to_owned()?);
        let stream = Self(Arc::new(Shared {
            bound,
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        }));
        let writing = stream.clone();
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || writing.write_out(&file, &report))?;
        Ok(stream)
    }

    /// Queues whole lines, or drops them when the buffer is full. Never waits for the reader.
    pub fn push(&self, lines: &[u8]) {
        let mut state = self.state();
        // A line that is longer than the buffer is accepted when nothing else waits. After a
        // dropped line, shorter ones are dropped too: the report stands where lines are missing.
        let full = state.queued.len() + lines.len() > self.0.bound && !state.queued.is_empty();
        if full || state.unsaid > 0 {
            state.unsaid += count(lines);
            state.dropped += count(lines);
            return;
        }
        state.queued.extend_from_slice(lines);
        state.pushed += lines.len() as u64;
        drop(state);
        self.0.filled.notify_one();
    }

    /// Lines dropped since the start: the buffer was full, or the system refused them.
    pub fn dropped(&self) -> u64 {
        self.state().dropped
    }

    /// Returns whether the other end was closed.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until everything queued so far was written, as long as the reader takes it; whether it
    /// was. With a reader that has stalled it gives up after a second, or `most` if that is less.
    pub fn flush(&self, most: Duration) -> bool {
        let end = Instant::now() + most.min(LONGEST_FLUSH);
        let mut state = self.state();
        let until = state.pushed;
        while state.done < until {
            let before = state.done;
            let left = end.saturating_duration_since(Instant::now()).min(STALL);
            let (now, timeout) = self
                .0
                .written
                .wait_timeout_while(state, left, |state| state.done == before)
                .unwrap_or_else(PoisonError::into_inner);
            state = now;
            if timeout.timed_out() {
                return state.done >= until;
            }
        }
        true
    }

    /// The state is whole after every statement, so a panic elsewhere spoils nothing.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: takes what is queued, all at once, and writes it. `report` says, by way of the
    /// stream, that so many lines were dropped.
    fn write_out(&self, file: &File, report: &impl Fn(&Self, u64)) {
        let mut batch = Vec::new();
        // The cost of an error is reported when writing works again.
        let mut refused = 0;
        loop {
            batch.clear();
            if batch.capacity() > PIECE {
                batch = Vec::new();
            }
            let unsaid = {
                let mut state = self.state();
                while state.queued.is_empty() {
                    let woken = self.0.filled.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                }
                std::mem::swap(&mut batch, &mut state.queued);
                std::mem::take(&mut state.unsaid)
            };
            // The buffer is empty now, so the report follows the last line before the missing ones.
            if unsaid > 0 {
                report(self, unsaid);
            }
            match self.write(file, &batch) {
                Ok(()) if refused > 0 => {
                    report(self, refused);
                    refused = 0;
                }
                Ok(()) => {}
                Err((error, rest)) => {
                    refused += count(rest);
                    let mut state = self.state();
                    state.dropped += count(rest);
                    state.done += rest.len() as u64;
                    state.closed |= error.kind() == ErrorKind::BrokenPipe;
                    drop(state);
                    self.0.written.notify_all();
                }
            }
        }
    }

    /// Writes all, or says why not and what is left.
    fn write<'b>(&self, mut file: &File, mut bytes: &'b [u8]) -> Result<(), (io::Error, &'b [u8])> {
        while !bytes.is_empty() {
            match file.write(&bytes[..bytes.len().min(PIECE)]) {
                Ok(0) => return Err((ErrorKind::WriteZero.into(), bytes)),
                Ok(length) => {
                    bytes = &bytes[length..];
                    self.state().done += length as u64;
                    self.0.written.notify_all();
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the pipe made it non-blocking.
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let mut polled = [PollFd::new(&file, PollFlags::OUT)];
                    match poll(&mut polled, None) {
                        Err(e) if e != rustix::io::Errno::INTR => return Err((e.into(), bytes)),
                        _ => {}
                    }
                }
                Err(e) => return Err((e, bytes)),
            }
        }
        Ok(())
    }
}

/// The number of lines, an incomplete last one included.
fn count(lines: &[u8]) -> u64 {
    lines.split_inclusive(|byte| *byte == b'\n').count() as u64
}

/// The log's writer: an event is one write of one line.
impl Write for Stream {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    fn say(stream: &Stream, lines: u64) {
        stream.push(format!("{lines} lines missing\n").as_bytes());
    }

    #[test]
    fn what_is_written_comes_out_whole_and_in_order() {
        let (reader, writer) = io::pipe().unwrap();
        let stream = Stream::start(&writer, "test", BOUND, say).unwrap();
        drop(writer);
        let read = std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines();
            lines.map_while(Result::ok).take(20_000).collect::<Vec<_>>()
        });
        for n in 0..20_000 {
            stream.push(format!("{n}\n").as_bytes());
        }
        let read = read.join().unwrap();
        assert_eq!(read, (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(stream.dropped(), 0);
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_which_are_counted_and_said() {
        let (reader, mut writer) = io::pipe().unwrap();
        let size = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
        writer.write_all(&[&vec![b'x'; size - 1][..], b"\n"].concat()).unwrap();
        let stream = Stream::start(&writer, "test", 1_000, say).unwrap();
        drop(writer);
        let mut pushed = 0;
        while stream.dropped() < 5 {
            stream.push(format!("line {pushed}\n").as_bytes());
            pushed += 1;
        }
        assert!(!stream.flush(Duration::from_millis(1)), "nobody reads");
        let reading = std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines().map_while(Result::ok);
            lines.skip(1).take_while(|line| line != "the end").collect::<Vec<_>>()
        });
        // Once the pipe has taken something, there is space again.
        while !stream.flush(STALL) {}
        stream.push(b"the end\n");
        let read = reading.join().unwrap();
        let missing: u64 =
            read.iter().filter_map(|l| l.strip_suffix(" lines missing")?.parse::<u64>().ok()).sum();
        let lines: Vec<u64> =
            read.iter().filter_map(|l| l.strip_prefix("line ")?.parse().ok()).collect();
        assert!(lines.is_sorted(), "{lines:?}");
        assert_eq!(missing, stream.dropped());
        assert_eq!(lines.len() as u64 + missing, pushed);
        let gap = lines.iter().zip(0..).position(|(line, n)| *line != n).unwrap_or(lines.len());
        assert!(read[gap].ends_with(" lines missing"), "it is said where the lines are missing");
    }

    #[test]
    fn a_closed_end_is_noticed_and_keeps_nobody() {
        let (reader, writer) = io::pipe().unwrap();
        let stream = Stream::start(&writer, "test", BOUND, say).unwrap();
        drop((reader, writer));
        for n in 1..=3 {
            stream.push(b"to nobody\n");
            assert!(stream.flush(LONGEST_FLUSH), "there is nothing to wait for");
            assert_eq!((stream.is_closed(), stream.dropped()), (true, n));
        }
    }
}
