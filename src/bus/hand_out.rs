//! The trait of a bus, and the values of a *hand-out*: the bus gives one attempt of a run to a
//! worker. The supervision of runs calls it.

use std::pin::Pin;
use std::sync::Arc;

use super::address::{Attachment, BusAddress};
use super::event::BusEvents;
use crate::delivery::call_checks::BeforeSend;
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis};

/// A hand-out under way. Nothing happens before it is polled. Dropping it withdraws the run, unless
/// the run has left already.
pub type HandingOut = Pin<Box<dyn Future<Output = HandOut> + Send>>;

/// A removal under way.
pub type Removing = Pin<Box<dyn Future<Output = Result<Vec<String>, String>> + Send>>;

/// A bus.
pub trait Bus: Send + Sync + 'static {
    /// Sends a run to the workers of an address. The bus calls `before_send` right before the run
    /// leaves, each time that it does.
    fn offer(&self, to: &BusAddress, ticket: Ticket, before_send: BeforeSend) -> HandingOut;

    /// Asks the worker that has a run to stop it. A request that is made once the offer has passed
    /// comes after the run's own message.
    fn cancel(&self, to: &BusAddress, ticket: Ticket) -> HandingOut;

    /// Takes back the offers of a run, by its id, that have not left yet: they end as
    /// [`HandOut::Withheld`].
    fn withdraw(&self, run: &str);

    /// Listens to the workers of jobs, for the owner of their shard. The addresses are all that
    /// there are of the shard; a further call replaces them.
    fn attach(&self, shard: ShardId, addresses: Vec<Attachment>, events: BusEvents);

    /// Removes what there is for a deleted job on the bus, as far as it is empty and nobody uses
    /// it. The job is attached no more. Returns the names of what is left.
    fn remove(&self, at: &BusAddress) -> Removing;

    /// Listens to a shard's workers no more. What they have said and nobody has acknowledged comes
    /// again, to the next one who attaches.
    fn detach(&self, shard: ShardId);
}

/// A run that the bus gives to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The run id.
    pub run: String,
    /// The execution id.
    pub execution: String,
    /// The job.
    pub job: JobId,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number of the attempt.
    pub attempt: u32,
    /// The shard of the job.
    pub shard: ShardId,
    /// The fence: the epoch of the owner.
    pub epoch: u64,
    /// The present scheduler time.
    pub now: Millis,
    /// The longest wait for a worker, in milliseconds; `None` for no bound.
    pub start_timeout: Option<Millis>,
    /// The data of the job, for queues whose messages hold them.
    pub data: Arc<str>,
}

/// What became of a hand-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOut {
    /// A broker or a worker that survives this node has the run.
    Passed,
    /// Nobody has it yet: a worker comes for it.
    Waits,
    /// No worker got the run, and the bus may try again. That is no attempt.
    Refused {
        /// The instant of the boot clock before which it is in vain, in milliseconds.
        until: u64,
        /// The reason.
        why: String,
        /// True where the whole broker is concerned, and not just the workers of this job.
        of_broker: bool,
    },
    /// No worker got the run, or nobody knows: a worker may report that it came all the same.
    Failed {
        /// The reason.
        error: String,
        /// True where it never can be.
        for_good: bool,
    },
    /// The check before sending refused the run, or the caller withdrew it.
    Withheld,
}
