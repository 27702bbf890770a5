//! The results of a transaction by the minute in which they were due, by project and by kind.
//! `apply` counts each record, and `events` adds the counts up. They are no state: they are neither
//! stored nor hashed, and follow from the entries alone. Nothing here reads the state.

use std::collections::BTreeMap;

use crate::model::{Millis, ProjectId};
use crate::store::counters::{MINUTE, OutcomeKind};

/// The age up to which minutes are counted: older results are in no chart by the minute.
pub const COUNTED_FOR: Millis = 181 * MINUTE;
/// The most counts of one transaction that have their own project.
pub(super) const MAX_COUNTS: usize = 1_024;
/// The project of the counts that have none of their own. No project has this number.
pub const NO_PROJECT: ProjectId = 0;

/// Results by minute, project and kind. There are at most [`MAX_COUNTS`], and those without a
/// project, which are few: a count for each minute of [`COUNTED_FOR`] and each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinuteCounts {
    counts: BTreeMap<(i64, ProjectId, OutcomeKind), u64>,
    /// The highest execution number among the records; 0 where there are none.
    last: u64,
}

impl MinuteCounts {
    /// Adds a record of so many occurrences, whose first execution number is `id`. `now` is log
    /// time after its entry.
    pub fn add(
        &mut self,
        id: u64,
        (project, due, kind): (ProjectId, Millis, OutcomeKind),
        occurrences: u64,
        now: Millis,
    ) {
        self.last = self.last.max(id);
        if due < now.saturating_sub(COUNTED_FOR) {
            return;
        }
        let minute = due.div_euclid(MINUTE);
        let is_full = self.counts.len() >= MAX_COUNTS;
        let own = (minute, project, kind);
        let key = if is_full && !self.counts.contains_key(&own) {
            (minute, NO_PROJECT, kind)
        } else {
            own
        };
        let count = self.counts.entry(key).or_default();
        *count = count.saturating_add(occurrences);
    }

    /// The counts: number of the minute since 1970, project or [`NO_PROJECT`], kind, occurrences.
    pub fn iter(&self) -> impl Iterator<Item = (i64, ProjectId, OutcomeKind, u64)> + '_ {
        self.counts.iter().map(|((minute, project, kind), n)| (*minute, *project, *kind, *n))
    }

    /// The highest execution number among the records, also of those that are too old to be
    /// counted; `None` where there are none. Numbers only grow, from transaction to transaction.
    pub fn last(&self) -> Option<u64> {
        (self.last > 0).then_some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_000 * COUNTED_FOR;

    #[test]
    fn records_are_summed_by_minute_project_and_kind() {
        let mut counts = MinuteCounts::default();
        assert_eq!(counts.last(), None);
        counts.add(10, (7, NOW, OutcomeKind::Delivered), 3, NOW);
        counts.add(13, (7, NOW + 1, OutcomeKind::Delivered), 2, NOW);
        counts.add(15, (7, NOW, OutcomeKind::Dead), 1, NOW);
        counts.add(16, (8, NOW - MINUTE, OutcomeKind::Failed), 1, NOW);
        counts.add(17, (8, NOW - COUNTED_FOR - 1, OutcomeKind::Failed), 9, NOW);
        let minute = NOW / MINUTE;
        let expected = [
            (minute - 1, 8, OutcomeKind::Failed, 1),
            (minute, 7, OutcomeKind::Delivered, 5),
            (minute, 7, OutcomeKind::Dead, 1),
        ];
        assert!(counts.iter().eq(expected), "{counts:?}");
        assert_eq!(counts.last(), Some(17));
    }

    #[test]
    fn a_transaction_of_many_projects_keeps_its_sums_and_its_bound() {
        let mut counts = MinuteCounts::default();
        let projects = 5 * MAX_COUNTS as u64;
        for project in 1..=projects {
            counts.add(project, (project, NOW, OutcomeKind::Delivered), 2, NOW);
        }
        counts.add(projects + 1, (1, NOW, OutcomeKind::Delivered), 1, NOW);
        assert_eq!(counts.iter().count(), MAX_COUNTS + 1);
        assert_eq!(counts.iter().map(|(.., n)| n).sum::<u64>(), 2 * projects + 1);
        let of = |wanted| counts.iter().find(|(_, project, ..)| *project == wanted).unwrap().3;
        assert_eq!((of(1), of(NO_PROJECT)), (3, 2 * (projects - MAX_COUNTS as u64)));
    }
}
