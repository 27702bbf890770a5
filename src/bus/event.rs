//! What a bus hears of workers, and how it is itself. The bus sends the events of a shard to whom
//! the shard was attached for.

use tokio::sync::mpsc::UnboundedSender;

use super::address::BusAddress;
use super::receipt::Receipt;
use crate::model::shard::ShardId;

/// The way of the events of a shard. What is not acknowledged is bounded by the bus, which takes no
/// more from the broker then.
pub type BusEvents = UnboundedSender<BusEvent>;

/// An event.
#[derive(Debug)]
pub enum BusEvent {
    /// A worker says something of a run.
    Heard(Heard),
    /// The workers of a queue are heard, as far as they are of this shard. Until the first one of
    /// these nobody is.
    Up {
        /// The shard.
        shard: ShardId,
        /// The queue.
        queue: u64,
    },
    /// The workers of a queue are not heard any more.
    Down {
        /// The shard.
        shard: ShardId,
        /// The queue.
        queue: u64,
        /// The reason.
        why: String,
    },
}

/// What a worker says of a run. Reports on one run come in order: the next one when the one before
/// is acknowledged. Heartbeats wait for nothing.
#[derive(Debug)]
pub struct Heard {
    /// The address that it came from.
    pub address: BusAddress,
    /// The run id, 24 hexadecimal digits. Whether it names a run is for the receiver to say.
    pub run: String,
    /// What the worker says.
    pub said: WorkerSaid,
    /// It was delivered before, to this node or another one: it may be in the store.
    pub is_redelivered: bool,
    /// Acknowledges it.
    pub receipt: Receipt,
}

/// The words of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerSaid {
    /// It is alive.
    Alive {
        /// Per cent, 0 to 100.
        progress: Option<u8>,
        /// Its words, at most [`crate::model::offer::MAX_MESSAGE`] bytes.
        message: Option<String>,
    },
    /// It has begun.
    Started {
        /// Per cent, 0 to 100.
        progress: Option<u8>,
        /// Its words, at most [`crate::model::offer::MAX_MESSAGE`] bytes.
        message: Option<String>,
    },
    /// The run is done.
    Done {
        /// The result, at most [`crate::model::attempt::MAX_RESPONSE`] bytes.
        result: Option<String>,
    },
    /// The run failed.
    Failed {
        /// The reason, at most [`crate::model::attempt::MAX_ERROR`] bytes.
        error: Option<String>,
    },
    /// It has stopped the run.
    Cancelled,
}
