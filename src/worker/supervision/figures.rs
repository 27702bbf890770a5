//! What the task remembers for its figures of runs: phases, and ends that it is told of. Data only;
//! `tick` shows them.

use std::collections::BTreeMap;

use crate::model::attempt::ResultOrigin;
use crate::model::run::Occurrence;
use crate::model::run_report::RunState;
use crate::worker::supervisor::{Event, Found, QueueId, Supervisor};

/// The phases of the runs of each queue, and when they were looked at.
#[derive(Debug, Default)]
pub(super) struct Phases {
    pub(super) of: BTreeMap<QueueId, [u64; 3]>,
    /// By the boot clock, in milliseconds.
    pub(super) at: Option<u64>,
}

/// The end of a run, as the store says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    of: Occurrence,
    pub(super) state: RunState,
    pub(super) origin: ResultOrigin,
}

impl Ending {
    /// The end that an event tells of.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::RunRead { of, found: Found::End { state, origin } } => {
                Some(Self { of: *of, state: *state, origin: *origin })
            }
            _ => None,
        }
    }

    /// The queue of the run, as long as somebody has it.
    pub(super) fn queue(&self, supervisor: &Supervisor) -> Option<QueueId> {
        Some(supervisor.terms_of(self.of)?.executor)
    }
}
