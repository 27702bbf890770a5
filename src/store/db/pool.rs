//! The connections that read, in classes that never wait for each other (*read classes*):
//! what fires has its own, each other part of a node has its own, and clients share a few. So no
//! client can hold up a firing.
//!
//! `Store` borrows a connection for one read. A snapshot install closes all of them and lends none
//! until the new file is in place; it ends the reads that have a [`ReadLimit`] and waits for the
//! others, which are short. A read within a reach has a connection of another kind, which sees only
//! that (`reach_views`); as many of them are kept as of the others. The pool never writes, and it
//! knows nothing of threads: see `threads`.
//!
//! | class | connections | reads |
//! |---|---|---|
//! | `Firing` | 2 to 8, by cores | build the requests that are due |
//! | `Queue` | 5 | load shards into the due queue, follow changes |
//! | `Duty` | 3 | lease, coordinator, housekeeping, journal, status |
//! | `Credentials` | 1 | all key pairs, after a change |
//! | `Client` | 6 | the API, each with a deadline |
//! | `Checksum` | 2, never waited for | hashes of the whole state |

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::error::Error;
use super::limit::{ReadLimit, STEPS};
use super::{reach_views, schema};
use crate::model::reach::Reach;

/// The class of a read. Reads of one class wait for each other, and for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadClass {
    /// Reads of the worker for requests that are due now.
    Firing,
    /// Reads of the worker for its due queue.
    Queue,
    /// Short reads of the node itself.
    Duty,
    /// The check of credentials.
    Credentials,
    /// Reads of clients.
    Client,
    /// Hashes of the whole state: refused rather than made to wait.
    Checksum,
    /// Look-ups for worker processes: what they are to stop, and queues by their names.
    Workers,
}

impl ReadClass {
    /// All classes, in the order of their numbers.
    pub(super) const ALL: [Self; 7] = [
        Self::Firing,
        Self::Queue,
        Self::Duty,
        Self::Credentials,
        Self::Client,
        Self::Checksum,
        Self::Workers,
    ];

    /// The number of reads of the class that run at once.
    pub fn connections(self) -> usize {
        match self {
            // A request is built within the read: as many as there are cores to build them.
            Self::Firing => *FIRING,
            // Four shards are loaded at once, and changes must not wait for that.
            Self::Queue => 5,
            // Each of these reads is short, and few run at once.
            Self::Duty => 3,
            Self::Credentials => 1,
            Self::Client => 6,
            // Some hundred heartbeats a second, each with as many look-ups as it has runs.
            Self::Checksum | Self::Workers => 2,
        }
    }

    /// The name of its threads.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Firing => "read-firing",
            Self::Queue => "read-queue",
            Self::Duty => "read-duty",
            Self::Credentials => "read-keys",
            Self::Client => "read-client",
            Self::Checksum => "read-checksum",
            Self::Workers => "read-workers",
        }
    }
}

/// The number of the reads for firing that run at once. To ask for the cores means to read files
/// of the kernel, and each read of the class asks for it: so it is asked for once.
static FIRING: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8));

pub(super) struct Pool {
    file: PathBuf,
    state: Mutex<State>,
    /// A connection was returned, or connections are lent again. Waited for by `take` and
    /// `copying`.
    free: Condvar,
    /// All connections were returned. Waited for by `close_all`.
    all_returned: Condvar,
}

#[derive(Default)]
struct State {
    classes: [Connections; ReadClass::ALL.len()],
    /// The limits of reads under way, by the number of the loan.
    limits: Vec<(u64, Arc<ReadLimit>)>,
    /// The number of open connections that are not the pool's own: they copy the file.
    copies: usize,
    next: u64,
    closed: bool,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Connection>,
    /// Connections that see a part of the state, each with its reach; the last one used is last.
    limited: Vec<(Reach, Connection)>,
    lent: usize,
}

impl State {
    fn all_returned(&self) -> bool {
        self.copies == 0 && self.classes.iter().all(|class| class.lent == 0)
    }

    fn watch(&mut self, limit: Option<&Arc<ReadLimit>>) -> u64 {
        self.next += 1;
        self.limits.extend(limit.map(|limit| (self.next, Arc::clone(limit))));
        self.next
    }
}

/// A connection on loan, returned when dropped.
pub(super) struct Reader<'a> {
    pool: &'a Pool,
    class: ReadClass,
    number: u64,
    limit: Option<Arc<ReadLimit>>,
    conn: Option<Connection>,
    /// The reach whose views the connection has; `None` where it sees everything.
    reach: Option<Reach>,
}

/// The registration of a connection that is not the pool's own, for as long as it is open.
pub(super) struct Copying<'a> {
    pool: &'a Pool,
    number: u64,
}

/// A closed pool: while this lives no reader has the file open.
pub(super) struct Closed<'a>(&'a Pool);

impl Pool {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, state: Mutex::default(), free: Condvar::new(), all_returned: Condvar::new() }
    }

    /// Waits for a connection of a class; for [`ReadClass::Checksum`] it fails instead of waiting.
    /// SQLite ends the read when `limit` says so, and the caller finds the reason there.
    pub(super) fn take(
        &self,
        class: ReadClass,
        limit: Option<&Arc<ReadLimit>>,
    ) -> Result<Reader<'_>, Error> {
        let place = class as usize;
        let full = |s: &State| s.classes[place].lent >= class.connections();
        let (conn, number) = {
            let mut state = self.lock();
            if class == ReadClass::Checksum && full(&state) {
                return Err(Error::Busy("other hashes of the state are being taken"));
            }
            state = self
                .free
                .wait_while(state, |s| s.closed || full(s))
                .unwrap_or_else(PoisonError::into_inner);
            state.classes[place].lent += 1;
            (state.classes[place].idle.pop(), state.watch(limit))
        };
        // From here on the loan is returned whatever happens.
        let limit = limit.cloned();
        let mut reader = Reader { pool: self, class, number, limit, conn, reach: None };
        if reader.conn.is_none() {
            reader.conn = Some(schema::open_reader(&self.file)?);
        }
        reader.ask_limit()?;
        Ok(reader)
    }

    /// Registers a connection that is not the pool's own. Waits while the file is being replaced,
    /// and keeps it from being replaced until the result is dropped, which has to be soon after
    /// `limit` ends.
    pub(super) fn copying(&self, limit: Option<&Arc<ReadLimit>>) -> Copying<'_> {
        let mut state =
            self.free.wait_while(self.lock(), |s| s.closed).unwrap_or_else(PoisonError::into_inner);
        state.copies += 1;
        let number = state.watch(limit);
        Copying { pool: self, number }
    }

    /// Ends the reads that can be ended, waits until every loan is returned, closes all connections
    /// and lends no more until the result is dropped.
    ///
    /// A reader must not survive the exchange of the file: the last connection to close deletes the
    /// write-ahead log *by name*, and the name is the new file's by then.
    pub(super) fn close_all(&self) -> Closed<'_> {
        let mut state = self.lock();
        state.closed = true;
        state.limits.iter().for_each(|(_, limit)| limit.replace());
        state = self
            .all_returned
            .wait_while(state, |s| !s.all_returned())
            .unwrap_or_else(PoisonError::into_inner);
        for class in &mut state.classes {
            class.idle.clear();
            class.limited.clear();
        }
        Closed(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock only says that some reader's closure panicked; the lists are whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a loan.
    fn end_loan(&self, mut state: MutexGuard<'_, State>, number: u64) {
        state.limits.retain(|(of, _)| *of != number);
        let all_returned = state.all_returned();
        drop(state);
        // The waiting threads are of several classes, or wait for the file: each looks for itself.
        self.free.notify_all();
        if all_returned {
            self.all_returned.notify_all();
        }
    }
}

impl Reader<'_> {
    /// Exchanges the connection for one that sees what is in reach, and nothing else. After an
    /// error the loan has no connection and must be dropped.
    pub(super) fn limit_to(&mut self, reach: &Reach) -> Result<(), Error> {
        let plain = self.released();
        let (known, mut conn) = {
            let mut state = self.pool.lock();
            let class = &mut state.classes[self.class as usize];
            class.idle.extend(plain);
            let same = class.limited.iter().position(|(of, _)| of == reach);
            // As many are kept as there may be loans.
            let oldest = (class.limited.len() >= self.class.connections()).then_some(0);
            match same.or(oldest).map(|place| class.limited.remove(place)) {
                Some((of, conn)) => (Some(of), Some(conn)),
                None => (None, None),
            }
        };
        if conn.is_none() {
            conn = Some(schema::open_reader(&self.pool.file)?);
        }
        if let Some(conn) = conn.as_ref().filter(|_| known.as_ref() != Some(reach)) {
            reach_views::install(conn, reach)?;
        }
        self.conn = conn;
        self.reach = Some(reach.clone());
        self.ask_limit()
    }

    /// Has SQLite ask the limit of the read, if it has one.
    fn ask_limit(&mut self) -> Result<(), Error> {
        if let (Some(limit), Some(conn)) = (&self.limit, &mut self.conn) {
            let limit = Arc::clone(limit);
            conn.progress_handler(STEPS, Some(move || limit.ended().is_some()))?;
        }
        Ok(())
    }

    /// The connection, as it may be lent again. One that would go on asking this limit, or is still
    /// in a transaction, is not.
    fn released(&mut self) -> Option<Connection> {
        let mut conn = self.conn.take()?;
        if self.limit.is_some() {
            let free = conn.progress_handler(0, None::<fn() -> bool>);
            return (free.is_ok() && conn.is_autocommit()).then_some(conn);
        }
        Some(conn)
    }
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        // `take` returns a reader only after it has put the connection in. `limit_to` puts another
        // one in, or fails, and then the reader is dropped.
        self.conn.as_ref().expect("a reader on loan has its connection")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let conn = self.released();
        let reach = self.reach.take();
        let mut state = self.pool.lock();
        let class = &mut state.classes[self.class as usize];
        class.lent -= 1;
        match reach {
            Some(reach) => class.limited.extend(conn.map(|conn| (reach, conn))),
            None => class.idle.extend(conn),
        }
        self.pool.end_loan(state, self.number);
    }
}

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.copies -= 1;
        self.pool.end_loan(state, self.number);
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = false;
        self.0.free.notify_all();
    }
}
