//! Reads of a node's own copy of the state from async code: on threads and connections of the class
//! of the reader, so that a firing waits for no client and no client for another's. The api, the
//! worker, the coordinator and the node call it. It waits for nobody's consent: a read is as new as
//! what is applied here.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::error::Error;
use super::handle::Cluster;
use crate::model::reach::Reach;
use crate::store::{self, ReadClass, ReadEnd, ReadLimit};

/// The time after its deadline for which a client's read is waited for: SQLite is asked often, but
/// the work between two questions takes a moment.
const LATE: Duration = Duration::from_millis(250);

impl Cluster {
    /// Reads this node's state, as far as it is applied here: for a node's own short reads
    /// ([`ReadClass::Duty`]).
    pub async fn read<T, F>(&self, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_as(ReadClass::Duty, read).await
    }

    /// The same with the connections and threads of a class: it waits for reads of that class
    /// alone.
    pub async fn read_as<T, F>(&self, class: ReadClass, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let begun = self.inner.store.begin(class, None, Reach::all(), read);
        found(begun, std::future::pending()).await
    }

    /// Says whether a read of a client has found that there is more than one account.
    pub fn has_other_accounts(&self) -> bool {
        self.inner.store.has_other_accounts()
    }

    /// The same for a client: within its reach, and within its limit, which is ended when this
    /// future is dropped, with [`Error::Ended`]. The answer comes soon after the deadline at the
    /// latest.
    pub async fn read_within<T, F>(
        &self,
        limit: Arc<ReadLimit>,
        reach: Reach,
        read: F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.begin_within(limit, reach, read).answer().await
    }

    /// Begins a client's read without waiting for its result: the queue of reads calls this from
    /// the thread whose read is over, so that no thread waits for a task in between.
    pub fn begin_within<T, F>(&self, limit: Arc<ReadLimit>, reach: Reach, read: F) -> BegunRead<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (class, held) = (ReadClass::Client, Some(Arc::clone(&limit)));
        let begun = self.inner.store.begin(class, held, reach, read);
        BegunRead { limit: Limited(limit), begun }
    }
}

/// A client's read that was begun; it is ended when this is dropped.
pub struct BegunRead<T> {
    limit: Limited,
    begun: Result<oneshot::Receiver<Result<T, store::Error>>, store::Error>,
}

impl<T> BegunRead<T> {
    /// Waits for the result; [`Error::Ended`] soon after the deadline at the latest.
    pub async fn answer(self) -> Result<T, Error> {
        let timer = pin!(tokio::time::sleep(LATE));
        self.answer_with(timer).await
    }

    /// Waits for the result with a timer of the caller, which is set anew: a read that waited for
    /// its turn has one already.
    pub async fn answer_with(self, mut timer: Pin<&mut Sleep>) -> Result<T, Error> {
        // Dropped with the future, or when the read is complete and its limit means nothing any
        // more.
        let Self { limit, begun } = self;
        match limit.0.deadline() {
            Some(deadline) => {
                timer.as_mut().reset((deadline + LATE).into());
                found(begun, timer).await
            }
            None => found(begun, std::future::pending()).await,
        }
    }
}

/// Ends a read whose answer nobody waits for.
struct Limited(Arc<ReadLimit>);

impl Drop for Limited {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// Waits for what a read finds, but not beyond `late`.
async fn found<T>(
    begun: Result<oneshot::Receiver<Result<T, store::Error>>, store::Error>,
    late: impl Future<Output = ()>,
) -> Result<T, Error> {
    let answer = tokio::select! {
        biased;
        answer = begun.map_err(read_error)? => answer,
        () = late => return Err(Error::Ended(ReadEnd::Deadline)),
    };
    let panicked = |_| Error::Store("a read of the state panicked".to_owned());
    answer.map_err(panicked)?.map_err(read_error)
}

fn read_error(error: store::Error) -> Error {
    match error {
        store::Error::Ended(end) => Error::Ended(end),
        other => Error::Store(other.to_string()),
    }
}
