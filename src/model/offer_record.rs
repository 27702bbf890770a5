//! The attempt records that stand for offers and for what was taken: in questions about their
//! occurrences, and in the history. `command::apply` and the supervisor make them. Pure.

use super::attempt::{AttemptRecord, Occurrences, Verdict};
use super::offer::{Offer, Taken};
use super::run::Accepted;

impl Offer {
    /// The record of the offer's attempt, with a verdict.
    pub fn record(&self, verdict: Verdict) -> AttemptRecord {
        let occurrences = Occurrences {
            project: self.project,
            shard: self.shard,
            epoch: self.epoch,
            due: self.due,
            scheduled: self.scheduled,
            members: self.members.clone(),
        };
        AttemptRecord {
            attempt: self.attempt,
            pending: self.pending,
            run: self.run,
            ..AttemptRecord::attempt(occurrences, verdict)
        }
    }
}

impl Taken {
    /// The record that a history shows while the members are under way.
    pub fn record(&self) -> AttemptRecord {
        let terms = &self.offer.terms;
        let promise = Accepted {
            run_timeout: terms.run_timeout,
            heartbeat_timeout: terms.heartbeat_timeout,
            retry: terms.retry,
        };
        AttemptRecord {
            started: self.started,
            accepted: Some(Box::new(promise)),
            ..self.offer.record(Verdict::Running)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::Retry;
    use crate::model::members::Members;
    use crate::model::run::Phase;
    use crate::model::run_terms::{BusKind, RunTerms};

    #[test]
    fn a_record_is_of_the_same_occurrences_and_attempt() {
        let retry = Retry { max: 1, delay: 5_000, factor: 1_000, max_delay: 5_000 };
        let terms = RunTerms { run_timeout: Some(9), ..RunTerms::new(BusKind::Http, 0, retry) };
        let members = Members::from_sorted([3, 4, 900]);
        let (project, shard, epoch, due, scheduled) = (1, 3, 300, 9, 8);
        let (run, attempt, pending) = (2, 4, Some(5));
        let offer =
            Offer { project, shard, epoch, due, scheduled, run, attempt, pending, members, terms };
        let taken = Taken { offer, phase: Phase::Running, worker: "w".into(), started: 10 };
        let record = taken.record();
        assert_eq!((record.attempt, record.pending, record.run), (4, Some(5), 2));
        assert_eq!((record.due, record.scheduled, record.started), (9, 8, 10));
        assert_eq!((record.verdict, record.members.len()), (Verdict::Running, 3));
        assert_eq!(record.accepted.map(|promise| promise.run_timeout), Some(Some(9)));
    }
}
