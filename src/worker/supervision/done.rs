//! The results of effects, on their way back to the task. Data only.

use std::collections::HashMap;

use super::answers::JobData;
use super::news::Queues;
use crate::bus::{BusAddress, Receipt};
use crate::model::run::Occurrence;
use crate::worker::supervisor::{Beat, ClaimId, Event, Loaded, Prepared};

/// A sign of life that came over a broker.
pub(super) struct HeardBeat {
    pub(super) beat: Beat,
    /// The address that it came from.
    pub(super) address: BusAddress,
    /// The receipt of a message that says nothing else.
    pub(super) receipt: Option<Receipt>,
}

/// A result that the task takes in.
pub(super) enum Done {
    /// Something that the supervisor is told as it is.
    Event(Event),
    /// All queues; executors of other kinds are among them.
    Queues(Queues),
    /// Workers of a broker are alive. The messages that say nothing else are acknowledged when that
    /// is noted.
    Alive(Vec<HeardBeat>),
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
