//! The sums of an edit of many jobs while they are looked at: how many there are of each kind, how
//! many definitions they have, and why some are refused. Bounded but for the numbers of
//! definitions, of which a cluster has as many as it stores. Pure.

use std::collections::HashSet;

use crate::app::error::Error;
use crate::app::jobs::bulk_edit::result::{BulkEditResult, EditProblem};
use crate::model::JobId;

/// The most different reasons that are told.
const MOST_PROBLEMS: usize = 20;

/// The sums of an edit.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) matched: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    refused: u64,
    definitions: HashSet<u64>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Problem {
    error: Error,
    jobs: u64,
    definitions: HashSet<u64>,
    first: JobId,
}

impl Tally {
    /// Counts the definition of a job.
    pub(super) fn met(&mut self, definition: u64) {
        self.definitions.insert(definition);
    }

    /// Counts a job that is refused the edit.
    pub(super) fn refuse(&mut self, (job, definition): (JobId, u64), error: &Error) {
        self.refused += 1;
        let same = |known: &&mut Problem| {
            let one = &known.error;
            (one.kind(), one.field_name(), one.detail())
                == (error.kind(), error.field_name(), error.detail())
        };
        if let Some(known) = self.problems.iter_mut().find(same) {
            known.jobs += 1;
            known.definitions.insert(definition);
        } else if self.problems.len() < MOST_PROBLEMS {
            let definitions = HashSet::from([definition]);
            self.problems.push(Problem { error: error.clone(), jobs: 1, definitions, first: job });
        }
    }

    /// Counts jobs that the log refused, of which one is named with its reason.
    pub(super) fn refuse_some(&mut self, number: u32, job: (JobId, u64), error: &Error) {
        for _ in 0..number {
            self.refuse(job, error);
        }
    }

    /// The error of an edit that some jobs are refused, so that nothing is written.
    pub(super) fn refusal(&self) -> Option<Error> {
        let first = self.problems.iter().min_by_key(|problem| problem.first)?;
        let (refused, matched) = (self.refused, self.matched);
        let others = match refused - first.jobs {
            0 => String::new(),
            others => format!(" ({others} of them for other reasons)"),
        };
        let message = format!(
            "{refused} of {matched} jobs cannot be edited like this{others}, and nothing was \
             changed. Job {}: {}. Leave them out by the filter, or change set; dryRun tells each \
             reason",
            first.first,
            first.error.detail(),
        );
        Some(first.error.clone().says(message))
    }

    /// The result of the request.
    pub(super) fn result(self, dry_run: bool) -> BulkEditResult {
        let problem = |one: Problem| EditProblem {
            code: one.error.kind().code().to_owned(),
            field: one.error.field_name().map(str::to_owned),
            message: one.error.detail().to_owned(),
            jobs: one.jobs,
            definitions: one.definitions.len() as u64,
            first: one.first,
        };
        BulkEditResult {
            matched: self.matched,
            changed: self.changed,
            unchanged: self.unchanged,
            refused: self.refused,
            definitions: self.definitions.len() as u64,
            dry_run,
            problems: self.problems.into_iter().map(problem).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_are_told_once_with_the_number_of_jobs_and_definitions() {
        let mut tally = Tally { matched: 9, ..Tally::default() };
        let overlap = Error::unprocessable("no runs").field("overlap");
        let data = Error::too_large("too large").field("data");
        tally.refuse((8, 2), &data);
        for job in [(5, 1), (6, 1), (7, 3)] {
            tally.refuse(job, &overlap);
        }
        let refusal = tally.refusal().unwrap();
        assert_eq!(refusal.field_name(), Some("overlap"), "that of the first job");
        let told = refusal.detail();
        assert!(told.starts_with("4 of 9 jobs cannot"), "{told}");
        assert!(told.contains("(1 of them for other reasons)"), "{told}");
        assert!(told.contains("Job 5: no runs."), "{told}");
        let result = tally.result(true);
        let told: Vec<_> = result
            .problems
            .iter()
            .map(|one| (one.code.as_str(), one.jobs, one.definitions, one.first))
            .collect();
        assert_eq!(told, [("too_large", 1, 1, 8), ("unprocessable", 3, 2, 5)]);
        assert_eq!((result.refused, Tally::default().refusal().is_none()), (4, true));
    }

    #[test]
    fn no_more_reasons_are_kept_than_are_told() {
        let mut tally = Tally::default();
        for n in 0..100 {
            tally.refuse((n, n), &Error::unprocessable(format!("reason {n}")));
        }
        let result = tally.result(true);
        assert_eq!((result.refused, result.problems.len()), (100, MOST_PROBLEMS));
    }
}
