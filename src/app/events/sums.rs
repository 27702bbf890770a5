//! The results that a stream has read and not sent: they gather for a second, and go before any
//! other event, so that ids only go forward.

use tokio::time::{Duration, Instant};

use crate::events::EventId;
use crate::model::event_counts::{Executions, ResultCounts};
use crate::model::{Millis, ProjectId};

/// Time between two sums of a stream without other events.
const INTERVAL: Duration = Duration::from_secs(1);

/// Results on their way to a reader.
#[derive(Debug, Default)]
pub(super) struct PendingSums {
    sums: Option<(EventId, Millis, Executions)>,
    /// The earliest instant of the next sum.
    not_before: Option<Instant>,
}

impl PendingSums {
    /// Adds the results of an entry: those of a project, if one is named, and those that may be.
    pub(super) fn add(
        &mut self,
        id: EventId,
        at: Millis,
        sums: &Executions,
        project: Option<ProjectId>,
    ) {
        let sums = match project {
            None => sums.clone(),
            Some(wanted) => {
                let own = sums.projects.iter().filter(|(project, _)| *project == wanted);
                Executions { projects: own.copied().collect(), ..sums.clone() }
            }
        };
        if sums.projects.is_empty() && sums.others == ResultCounts::default() {
            return;
        }
        if let Some((last, last_at, known)) = &mut self.sums {
            (*last, *last_at) = (id, at);
            known.join(&sums);
        } else {
            self.sums = Some((id, at, sums));
            self.not_before.get_or_insert_with(Instant::now);
        }
    }

    /// Drops what has gathered.
    pub(super) fn clear(&mut self) {
        self.sums = None;
    }

    /// The instant at which what has gathered is to be sent; `None` when there is nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        self.sums.as_ref().and(self.not_before)
    }

    /// Takes what has gathered, if there is anything.
    pub(super) fn take(&mut self) -> Option<(EventId, Millis, Executions)> {
        let sums = self.sums.take()?;
        self.not_before = Some(Instant::now() + INTERVAL);
        Some(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Position;
    use crate::model::attempt::Verdict;

    fn id(index: u64) -> EventId {
        EventId { lineage: 1, position: Position { index, number: 1 } }
    }

    fn results(project: ProjectId, count: u64) -> Executions {
        let mut sums = Executions::default();
        sums.add(project, 0, Verdict::Delivered, count);
        sums
    }

    #[test]
    fn results_gather_for_a_second_and_have_the_id_of_the_last() {
        let mut pending = PendingSums::default();
        assert_eq!(pending.due(), None);
        pending.add(id(5), 50, &results(1, 10), None);
        assert!(pending.due() <= Some(Instant::now()), "the first goes at once");
        pending.add(id(6), 60, &results(1, 5), None);
        let (last, at, sums) = pending.take().unwrap();
        assert_eq!((last, at, sums.projects[0].1.delivered), (id(6), 60, 15));
        assert!(pending.take().is_none() && pending.due().is_none());
        pending.add(id(7), 70, &results(1, 1), None);
        assert!(pending.due() > Some(Instant::now()), "the next one waits");
    }

    #[test]
    fn a_project_sees_its_own_results_and_those_that_may_be() {
        let mut pending = PendingSums::default();
        pending.add(id(1), 0, &results(1, 10), Some(2));
        assert!(pending.take().is_none());
        let mut many = Executions::default();
        for project in 10..40 {
            many.add(project, 0, Verdict::Dead, 1);
        }
        pending.add(id(2), 0, &many, Some(2));
        let (_, _, sums) = pending.take().unwrap();
        assert_eq!((sums.projects.len(), sums.others.dead), (0, 14));
    }
}
