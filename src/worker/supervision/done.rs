//! The results of effects, on their way back to the task. Data only.

use std::collections::{BTreeMap, HashMap};

use super::answers::JobData;
use crate::model::run::Occurrence;
use crate::worker::supervisor::{ClaimId, Event, Loaded, Prepared, QueueId};

/// A result that the task takes in.
pub(super) enum Done {
    /// Something that the supervisor is told as it is.
    Event(Event),
    /// The names of queues, by number; executors of other kinds are among them.
    Names(BTreeMap<QueueId, String>),
    /// A shard was read.
    Loaded(Box<Loaded>),
    /// Members of a claim were looked up.
    Prepared {
        /// The claim.
        claim: ClaimId,
        /// The results.
        parts: Vec<Prepared>,
        /// The data of jobs, for the answer.
        data: HashMap<Occurrence, JobData>,
    },
}
