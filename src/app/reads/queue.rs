//! The queue of the reads of clients: few run at a time, each bounded in time, and fair between the
//! clients. `reads` puts every read of a use case through it. Reads of the node itself, such as
//! those that fire jobs, have threads and connections of their own and never wait here. The thread
//! whose read is over begins the next one itself.
//!
//! | bound | value | beyond it |
//! |---|---|---|
//! | reads at a time | [`RUNNING`] | the next one waits |
//! | those of one client | half while others wait, else all but one | the same |
//! | reads that wait | [`WAITING`] | the client with the most loses its newest: `Busy` |
//! | waiting and reading | `ReadPhase::timeout` | the read ends: `TooSlow` |
//!
//! A read ends, too, when its client goes: the future is dropped, and SQLite is interrupted.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::permits::{Permit, Permits, Sizes};
use crate::app::error::Error;
use crate::cluster::{self, Cluster};
use crate::listen::Principal;
use crate::metrics::Metrics;
use crate::model::reach::Reach;
use crate::store::{ReadClass, ReadEnd, ReadLimit};

/// Reads of clients at a time: as many as there are connections for them.
const RUNNING: usize = 6;
/// Reads of all clients that wait for a permit. They take no thread and no connection.
const WAITING: usize = 1_024;

/// The queue of a node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ReadQueue(Arc<Permits>);

impl Default for ReadQueue {
    fn default() -> Self {
        // A read that has a permit finds a connection.
        debug_assert_eq!(RUNNING, ReadClass::Client.connections());
        let (alone, shared) = (RUNNING - 1, RUNNING / 2);
        Self(Permits::new(Sizes { total: RUNNING, alone, shared, waiting: WAITING }))
    }
}

impl ReadQueue {
    /// Reads when it is this principal's turn, within a reach.
    ///
    /// # Errors
    ///
    /// `TooSlow` when the timeout passes before the read is over; `Busy` when it passes before the
    /// read begins, or when the queue is full.
    pub(crate) async fn run<T, F>(
        &self,
        cluster: &Cluster,
        metrics: &Metrics,
        (principal, reach): (Principal, Reach),
        timeout: Duration,
        read: F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let limit = Arc::new(ReadLimit::within(timeout));
        let (begun, started) = oneshot::channel();
        let cluster = cluster.clone();
        let start = move |permit: Permit| {
            let held = move |conn: &Connection| {
                // The permit is held until the read is through, whoever still waits for it.
                let _permit = permit;
                read(conn)
            };
            // The client may have gone: then the read ends.
            let _ = begun.send(cluster.begin_within(limit, reach, held));
        };
        let queued = self.0.enqueue(Some(principal), Box::new(start));
        // One timer serves the wait for the permit and then the read itself.
        let mut timer = pin!(tokio::time::sleep(timeout));
        let begun = granted(metrics, timer.as_mut(), async { started.await.ok() }).await?;
        drop(queued);
        let found = begun.answer_with(timer).await;
        if matches!(found, Err(cluster::Error::Ended(ReadEnd::Deadline))) {
            metrics.read_refused("slow");
            return Err(Error::slow_read(timeout));
        }
        Ok(found?)
    }

    /// Waits for a permit until it is this principal's turn.
    pub(crate) async fn permit(
        &self,
        metrics: &Metrics,
        principal: Principal,
        timeout: Duration,
    ) -> Result<Permit, Error> {
        let timer = pin!(tokio::time::sleep(timeout));
        granted(metrics, timer, self.0.acquire(Some(principal))).await
    }
}

/// Waits for a grant until a timer is over. The grant is `None` when the queue is full.
async fn granted<T>(
    metrics: &Metrics,
    timer: Pin<&mut Sleep>,
    grant: impl Future<Output = Option<T>>,
) -> Result<T, Error> {
    let grant = tokio::select! {
        biased;
        grant = grant => grant,
        () = timer => {
            metrics.read_refused("waited");
            return Err(Error::busy("too many reads wait before it: try again, or ask less often"));
        }
    };
    grant.ok_or_else(|| {
        metrics.read_refused("full");
        Error::busy("too many reads wait already: ask less often")
    })
}
