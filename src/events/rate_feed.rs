//! The results by the minute of a node, as one task keeps them: read from the store in the
//! background after a start, and then followed on the change feed. `node` starts the task, and
//! `app` asks for what is known. Nothing here changes the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::rates::{MAX_RATE_PROJECTS, RATE_MINUTES, RateTable, Rates};
use crate::cluster::{Cluster, Error};
use crate::command::Change;
use crate::model::{Millis, ProjectId};
use crate::store::counters::{self, HOUR, MINUTE, RecordPlace};
use crate::store::meta;

/// The records of one read of the store.
const SLICE: usize = 20_000;
/// Time between two tries to read the store.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The results by the minute of a node. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RateFeed(Arc<Mutex<Option<RateTable>>>);

/// The answer to a question for results by the minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateAnswer {
    /// The results.
    Rates(Rates),
    /// The node has not read them yet.
    NotRead,
    /// The project is none of those that are told apart.
    NotApart,
}

/// The reason why a table is not kept any longer.
enum Stop {
    /// Changes were missed, or the state was replaced: what is in the table is wrong.
    Behind,
    /// Other projects may be the busiest ones by now.
    Stale,
    /// The cluster is gone.
    Closed,
    /// The store could not be read.
    Unread(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Unread(error)
    }
}

impl RateFeed {
    /// The results of `count` minutes from one on, as its number since 1970, of one project or of
    /// all.
    pub fn show(&self, project: Option<ProjectId>, first: i64, count: usize) -> RateAnswer {
        match &*self.table() {
            None => RateAnswer::NotRead,
            Some(table) => {
                table.show(project, first, count).map_or(RateAnswer::NotApart, RateAnswer::Rates)
            }
        }
    }

    /// Reads the store of a cluster and follows its change feed, until dropped.
    pub async fn follow(self, cluster: Cluster) {
        loop {
            match self.keep(&cluster).await {
                Stop::Closed => return,
                // What is there stays until the new one is read.
                Stop::Stale => {}
                Stop::Behind => *self.table() = None,
                Stop::Unread(error) => {
                    *self.table() = None;
                    tracing::warn!(%error, "results by the minute are read again");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Option<RateTable>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a table, and keeps it up to date until it cannot.
    async fn keep(&self, cluster: &Cluster) -> Stop {
        // Subscribed before the first read: what is applied between the two is in one of them.
        let mut changes = cluster.changes();
        match read(cluster, &mut changes).await {
            Ok(table) => *self.table() = Some(table),
            Err(stop) => return stop,
        }
        let hour = cluster.applied().borrow().stamp.div_euclid(HOUR);
        loop {
            let change = match changes.recv().await {
                Ok(change) if change.replaced => return Stop::Behind,
                Ok(change) => change,
                Err(RecvError::Lagged(_)) => return Stop::Behind,
                Err(RecvError::Closed) => return Stop::Closed,
            };
            let mut table = self.table();
            let Some(table) = table.as_mut() else { return Stop::Behind };
            table.take(&change.minutes, change.stamp);
            if table.is_crowded() && change.stamp.div_euclid(HOUR) > hour {
                return Stop::Stale;
            }
        }
    }
}

/// Reads a table from the store, in slices, and adds what is applied meanwhile.
async fn read(cluster: &Cluster, changes: &mut Receiver<Arc<Change>>) -> Result<RateTable, Stop> {
    let begun = cluster.read(|conn| {
        let now = meta::log_time(conn)?;
        let since: Millis = now.saturating_sub(RATE_MINUTES as Millis * MINUTE);
        let projects = counters::busiest_projects(conn, since, MAX_RATE_PROJECTS)?;
        Ok(RateTable::new(projects, counters::last_record(conn)?, now))
    });
    let mut table = begun.await?;
    let mut place = RecordPlace { due: table.begin().saturating_sub(1), id: u64::MAX };
    loop {
        let read_to = table.read_to();
        let slice =
            cluster.read(move |conn| counters::records_behind(conn, place, read_to, SLICE)).await?;
        for one in &slice {
            table.read(one.place.due, one.project, one.kind, one.count);
        }
        catch_up(changes, &mut table)?;
        match slice.last() {
            Some(last) if slice.len() >= SLICE => place = last.place,
            _ => return Ok(table),
        }
    }
}

/// Takes the changes that have come, so that none is missed while the store is read.
fn catch_up(changes: &mut Receiver<Arc<Change>>, table: &mut RateTable) -> Result<(), Stop> {
    loop {
        match changes.try_recv() {
            Ok(change) if change.replaced => return Err(Stop::Behind),
            Ok(change) => table.take(&change.minutes, change.stamp),
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Lagged(_)) => return Err(Stop::Behind),
            Err(TryRecvError::Closed) => return Err(Stop::Closed),
        }
    }
}
