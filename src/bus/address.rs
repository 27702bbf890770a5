//! Where the workers of a job are on a bus. The supervision of runs says it of each job. Data only.

use std::sync::Arc;

use crate::model::call_target::CallTarget;
use crate::model::{Millis, ProjectId};

/// Where the workers of a job are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusAddress {
    /// The number of the queue, which is an executor of type `worker`.
    pub queue: u64,
    /// The project of the job.
    pub project: ProjectId,
    /// The settings of the queue.
    pub target: Arc<CallTarget>,
    /// The name of the job on the bus.
    pub name: Arc<str>,
}

/// An address that is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The address.
    pub address: BusAddress,
    /// The next due instant of its job: the earliest is attached first.
    pub next_due: Millis,
}
