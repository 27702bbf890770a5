//! The reads of use cases, through the node's read queue. Every use case reads this way, and so
//! within the reach of its actor: the connection that it is given has nothing else.

pub(in crate::app) mod limits;
pub(crate) mod permits;
pub(crate) mod queue;

use std::time::Duration;

use rusqlite::Connection;

use crate::app::actor::{Actor, ActorKind};
use crate::app::error::Error;
use crate::app::state::App;

/// The longest time of a client's read, its waiting included.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest time of an operator's read, its waiting included.
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(30);

/// The phase of a use case in which it reads. It decides how long the read may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum ReadPhase {
    /// Nothing was written yet.
    BeforeWrite,
    /// The write was done, and this is its answer: a refusal would say that nothing came of it.
    AfterWrite,
}

impl ReadPhase {
    /// The longest time of a read in this phase, its waiting included.
    pub(in crate::app) fn timeout(self, actor: &Actor) -> Duration {
        match (self, &actor.kind) {
            (Self::BeforeWrite, ActorKind::Client { .. } | ActorKind::Token(_)) => CLIENT_TIMEOUT,
            (Self::BeforeWrite, ActorKind::Operator) | (Self::AfterWrite, _) => OPERATOR_TIMEOUT,
        }
    }
}

impl App {
    /// Reads this node's state for an actor, before anything is written. The read finds what the
    /// actor reaches, and nothing else.
    ///
    /// # Errors
    ///
    /// `TooSlow` when the read takes too long, `Busy` when too many reads wait already.
    pub(in crate::app) async fn read<T, F>(&self, actor: &Actor, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_at(actor, ReadPhase::BeforeWrite, read).await
    }

    /// Reads within the time that this phase of a use case has.
    pub(in crate::app) async fn read_at<T, F>(
        &self,
        actor: &Actor,
        phase: ReadPhase,
        read: F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let who = (actor.principal, actor.reach().clone());
        self.reads.run(&self.cluster, &self.metrics, who, phase.timeout(actor), read).await
    }

    /// Computes on a thread for an actor, with a read's permit.
    pub(in crate::app) async fn compute<T: Send + 'static>(
        &self,
        actor: &Actor,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let timeout = ReadPhase::BeforeWrite.timeout(actor);
        let permit = self.reads.permit(&self.metrics, actor.principal, timeout).await?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        // The task fails only when the work panics, which no input makes it do.
        done.await.map_err(|_| Error::internal())
    }
}
