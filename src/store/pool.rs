//! The readers: a few query-only connections, lent out one read at a time. `Store::read` takes
//! them, a snapshot install sends them all home and keeps them there until the new file is in
//! place. It never writes.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::{Error, schema};

/// How many reads may run at once; each connection has a cache of its own.
const READERS: usize = 8;

pub(super) struct Pool {
    file: PathBuf,
    state: Mutex<State>,
    /// A connection is free for one who waits, or all of them may be lent again.
    free: Condvar,
    /// All connections are back.
    home: Condvar,
}

struct State {
    idle: Vec<Connection>,
    lent: usize,
    closed: bool,
}

/// A connection on loan; goes back when dropped.
pub(super) struct Reader<'a> {
    pool: &'a Pool,
    conn: Option<Connection>,
}

/// While this lives no reader has the file open.
pub(super) struct Quiet<'a>(&'a Pool);

impl Pool {
    pub(super) fn new(file: PathBuf) -> Self {
        let state = State { idle: Vec::new(), lent: 0, closed: false };
        Self { file, state: Mutex::new(state), free: Condvar::new(), home: Condvar::new() }
    }

    pub(super) fn take(&self) -> Result<Reader<'_>, Error> {
        let conn = {
            let mut state = self
                .free
                .wait_while(self.lock(), |s| s.closed || s.lent >= READERS)
                .unwrap_or_else(PoisonError::into_inner);
            state.lent += 1;
            state.idle.pop()
        };
        // From here on the loan is given back whatever happens.
        let mut reader = Reader { pool: self, conn };
        if reader.conn.is_none() {
            reader.conn = Some(schema::open_reader(&self.file)?);
        }
        Ok(reader)
    }

    /// Waits until every loan is back, closes all connections and lends no more.
    ///
    /// A reader must not survive the exchange of the file: the last connection to close deletes the
    /// write-ahead log *by name*, and the name is the new file's by then.
    pub(super) fn close_all(&self) -> Quiet<'_> {
        self.lock().closed = true;
        let mut state = self
            .home
            .wait_while(self.lock(), |s| s.lent > 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.idle.clear();
        Quiet(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock only says that some reader's closure panicked; the lists are whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        // `take` returns a reader only after it has put the connection in, `drop` is the only one
        // that takes it out.
        self.conn.as_ref().expect("a reader on loan has its connection")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.lent -= 1;
        state.idle.extend(self.conn.take());
        let home = state.lent == 0;
        drop(state);
        // One and not all: under load hundreds may be waiting for a connection.
        self.pool.free.notify_one();
        if home {
            self.pool.home.notify_all();
        }
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = false;
        self.0.free.notify_all();
    }
}
