//! What a node's journal says of runs that workers perform: occurrences that wait for a worker,
//! that somebody has taken, and how far they are.
//!
//! The supervisor (`worker`) writes these entries, the collector proposes them, and
//! `command::apply` keeps pending rows and runs by them. Pure.

use serde::{Deserialize, Serialize};

use super::members::Members;
use super::run::{Occurrence, Phase};
use super::run_terms::RunTerms;
use super::shard::ShardId;
use super::{Millis, ProjectId};

/// The longest name of a worker or a client that is kept, in bytes.
pub const MAX_NAME: usize = 255;

/// The longest message of a progress that is kept, in bytes.
pub const MAX_MESSAGE: usize = 256;

/// The number of an offer: that of its pending row.
pub type OfferId = u64;

/// Occurrences of some jobs that wait for a worker of one queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The project of all members.
    pub project: ProjectId,
    /// The shard of all members.
    pub shard: ShardId,
    /// The epoch of the owner.
    pub epoch: u64,
    /// The due instant.
    pub due: Millis,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number of a manual run; 0 for planned occurrences.
    pub run: u64,
    /// The number of the attempt that a worker gets.
    pub attempt: u32,
    /// The pending row that they come from; `None` for a first attempt from the plan.
    pub pending: Option<u64>,
    /// The jobs.
    pub members: Members,
    /// The terms, which name the queue.
    #[serde(with = "super::text")]
    pub terms: RunTerms,
}

/// Occurrences that a worker has claimed, or that a broker has confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The occurrences, and the attempt that they were handed out with.
    pub offer: Offer,
    /// Running where the worker has them; pending where a broker has them, and nobody said yet that
    /// it began.
    pub phase: Phase,
    /// The worker; empty where a broker has them.
    pub worker: String,
    /// The instant of the claim or of the publish, by the owner's scheduler time.
    pub started: Millis,
}

/// How far a run is, in its worker's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// The occurrence of the run.
    pub occurrence: Occurrence,
    /// The attempt that it was said of: of another one it counts for nothing.
    pub attempt: u32,
    /// Per cent, 0 to 100.
    #[serde(default)]
    pub progress: Option<u8>,
    /// At most [`MAX_MESSAGE`] bytes.
    #[serde(default)]
    pub message: Option<String>,
}

impl Offer {
    /// Returns whether the offer is of an occurrence.
    pub fn contains(&self, of: Occurrence) -> bool {
        (self.scheduled, self.run) == (of.scheduled, of.run) && self.members.contains(of.job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::Retry;
    use crate::model::run_terms::BusKind;

    fn taken() -> Taken {
        let retry = Retry { max: 1, delay: 5_000, factor: 1_000, max_delay: 5_000 };
        let offer = Offer {
            project: 1,
            shard: 3,
            epoch: 300,
            due: 9,
            scheduled: 8,
            run: 2,
            attempt: 4,
            pending: Some(5),
            members: Members::from_sorted([3, 4, 900]),
            terms: RunTerms::new(BusKind::Embedded, 7, retry),
        };
        Taken { offer, phase: Phase::Running, worker: "w".into(), started: 10 }
    }

    #[test]
    fn an_entry_reads_back_and_names_its_occurrences() {
        let taken = taken();
        let bytes = postcard::to_stdvec(&taken).unwrap();
        assert_eq!(postcard::from_bytes::<Taken>(&bytes).unwrap(), taken);
        let of = Occurrence { job: 4, scheduled: 8, run: 2 };
        assert!(taken.offer.contains(of));
        assert!(!taken.offer.contains(Occurrence { run: 0, ..of }));
        assert!(!taken.offer.contains(Occurrence { job: 5, ..of }));
    }
}
