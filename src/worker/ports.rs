//! What the worker needs of the world, as narrow as it needs it, so that a test can be the world.
//! `node` dispatcher in the real ones: `Cluster`, `Executor`, and the [`LeaseGuard`](super::guard::LeaseGuard).

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{broadcast, watch};

use crate::cluster::Cluster;
use crate::command::{Change, Command, Outcome};
use crate::executor::{Availability, Call, Executor, Reply};
use crate::model::postponement::Obstacle;
use crate::model::shard::{Ownership, ShardId};
use crate::model::{Millis, ProjectId};
use crate::store::Class;

/// The store and their changes.
pub trait StateStore: Clone + Send + Sync + 'static {
    /// Reads one consistent state, on a thread of its own, for a request that is due: it waits for no
    /// other read but those of its kind. An error is for the log: the worker tries again.
    fn read<T, F>(&self, read: F) -> impl Future<Output = Result<T, String>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static;

    /// The same for the due queue: requests that are due do not wait for it.
    fn load<T, F>(&self, read: F) -> impl Future<Output = Result<T, String>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read(read)
    }

    /// One [`Change`] for each applied transaction, in order.
    fn changes(&self) -> broadcast::Receiver<Arc<Change>>;

    /// Changes the store; returns when that is applied here. An error says that it may not have
    /// happened.
    fn propose(&self, command: Command) -> impl Future<Output = Result<Outcome, String>> + Send;
}

/// Whoever makes the call.
pub trait Dispatcher: Send + Sync + 'static {
    /// Makes one request and says what came of it.
    fn call(&self, call: Call) -> impl Future<Output = Reply> + Send;

    /// How many calls to one destination are under way at a time; more of them wait.
    fn at_most(&self) -> usize;

    /// Until when a destination takes nothing of a project, and why, if it does not: asked before a
    /// request is written.
    fn closed(&self, url: &str, project: ProjectId) -> Option<(Millis, Obstacle)>;
}

/// The lease, as far as firing depends on it. All answers hold for this very moment.
pub trait Lease: Send + Sync + 'static {
    /// The latest due instant that the part may fire, if it may fire at all: its promise, or
    /// [`Millis::MAX`]; [`Millis::MIN`] when it may fire nothing.
    fn fires_until(&self, shard: ShardId, part: &Ownership) -> Millis;

    /// Whether a first attempt due at an instant may go out. Asked right before its first byte.
    fn may_fire(&self, shard: ShardId, part: &Ownership, due: Millis) -> bool;

    /// The same for an attempt of a pending row.
    fn may_send(&self, shard: ShardId, part: &Ownership, due: Millis) -> bool;

    /// The highest watermark that could be stated for the part; [`Millis::MIN`] when none.
    fn max_watermark(&self, shard: ShardId, part: &Ownership) -> Millis;

    /// Asks to state a watermark, which the lease takes note of if the answer is yes.
    fn state_watermark(&self, shard: ShardId, part: &Ownership, w: Millis) -> bool;

    /// Moves whenever an answer may have become more generous.
    fn changed(&self) -> watch::Receiver<u64>;
}

impl StateStore for Cluster {
    async fn read<T, F>(&self, read: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_as(Class::Firing, read).await.map_err(|error| error.to_string())
    }

    async fn load<T, F>(&self, read: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_as(Class::Queue, read).await.map_err(|error| error.to_string())
    }

    fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        Cluster::changes(self)
    }

    async fn propose(&self, command: Command) -> Result<Outcome, String> {
        Cluster::propose(self, command).await.map_err(|error| error.to_string())
    }
}

impl Dispatcher for Executor {
    async fn call(&self, call: Call) -> Reply {
        Executor::call(self, call).await
    }

    fn at_most(&self) -> usize {
        Executor::at_most(self)
    }

    fn closed(&self, url: &str, project: ProjectId) -> Option<(Millis, Obstacle)> {
        match Executor::availability(self, url, project) {
            Availability::Available => None,
            Availability::Unavailable { until, obstacle } => Some((until, obstacle)),
        }
    }
}
