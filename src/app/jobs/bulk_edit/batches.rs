//! The jobs of an edit in commands: at most so many jobs and so many bytes in each, since an entry
//! of the log is applied in one piece. Pure.

use crate::app::jobs::validate::payload::definition_bytes;
use crate::command::{DefinitionEdit, JobEdit, ReshapeJobs};
use crate::model::JobId;
use crate::model::job::Job;

/// The most jobs of a command.
const MOST_JOBS: usize = 1_000;
/// The most bytes of the definitions of a command, unless it has only one.
const MOST_BYTES: usize = 512 * 1_024;

/// Commands that are being gathered.
#[derive(Debug, Default)]
pub(super) struct Batches {
    /// What all commands have in common.
    common: ReshapeJobs,
    /// The edit names an instant.
    is_at: bool,
    /// The edit names a delay.
    again: bool,
    open: ReshapeJobs,
    jobs: usize,
    bytes: usize,
    full: Vec<ReshapeJobs>,
}

impl Batches {
    /// Batches of an edit: its data, its caller, and whether it names an instant or a delay.
    pub(super) fn new(
        data: Option<String>,
        by: Option<String>,
        (is_at, again): (bool, bool),
    ) -> Self {
        let common = ReshapeJobs { data, by, ..ReshapeJobs::default() };
        Self { common, is_at, again, ..Self::default() }
    }

    /// Adds a job, whose id is above those of the others. Returns the bytes that it takes.
    pub(super) fn add(&mut self, job: &Job, edit: JobEdit) -> usize {
        let known = self.open.definitions.iter().any(|known| known.from == job.definition_id);
        let bytes = if known { 0 } else { definition_bytes(&edit.definition) };
        if self.jobs >= MOST_JOBS || self.jobs > 0 && self.bytes + bytes > MOST_BYTES {
            self.close();
            return self.add(job, edit);
        }
        if !known {
            self.open.definitions.push(DefinitionEdit {
                from: job.definition_id,
                to: edit.definition,
                at: edit.at.filter(|_| self.is_at),
                again: self.again,
            });
        }
        add_to(&mut self.open.jobs, job.id);
        self.jobs += 1;
        self.bytes += bytes;
        bytes
    }

    fn close(&mut self) {
        if self.jobs > 0 {
            let ReshapeJobs { definitions, jobs, .. } = std::mem::take(&mut self.open);
            self.full.push(ReshapeJobs { definitions, jobs, ..self.common.clone() });
        }
        (self.jobs, self.bytes) = (0, 0);
    }

    /// The commands.
    pub(super) fn finish(mut self) -> Vec<ReshapeJobs> {
        self.close();
        self.full
    }
}

/// Adds an id to ascending ranges.
fn add_to(ranges: &mut Vec<(JobId, u64)>, id: JobId) {
    match ranges.last_mut() {
        Some((first, n)) if *first + *n == id => *n += 1,
        _ => ranges.push((id, 1)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::job::{JobDefinition, JobStatus};

    fn job(id: JobId, definition_id: u64) -> Job {
        Job {
            id,
            definition_id,
            definition: Arc::default(),
            data: String::new(),
            created: 0,
            anchor: 0,
            from: 0,
            status: JobStatus::Active,
            modified: None,
            modified_by: None,
            external_id: None,
            version: 1,
        }
    }

    fn edit(spec: &str) -> JobEdit {
        let definition = JobDefinition { spec: spec.to_owned(), ..JobDefinition::default() };
        JobEdit { definition, at: Some(7), ..JobEdit::default() }
    }

    #[test]
    fn a_command_has_a_bounded_number_of_jobs_and_each_definition_once() {
        let mut batches = Batches::new(Some("d".into()), Some("me".into()), (false, true));
        for id in (1..=1_500).filter(|id| *id != 600) {
            batches.add(&job(id, id % 2), edit("x"));
        }
        let made = batches.finish();
        let shape: Vec<_> = made
            .iter()
            .map(|one| (one.jobs.clone(), one.definitions.len(), one.data.as_deref()))
            .collect();
        let wanted =
            [(vec![(1, 599), (601, 401)], 2, Some("d")), (vec![(1_002, 499)], 2, Some("d"))];
        assert_eq!(shape, wanted);
        let first = &made[0].definitions[0];
        assert_eq!((first.from, first.at, first.again), (1, None, true), "no instant is named");
    }

    #[test]
    fn large_definitions_go_in_several_commands() {
        let mut batches = Batches::new(None, None, (true, false));
        let large = "x".repeat(300_000);
        for id in 1..=3 {
            assert!(batches.add(&job(id, id), edit(&large)) > 300_000);
        }
        assert!(batches.add(&job(4, 3), edit(&large)) == 0, "it is in the command already");
        let made = batches.finish();
        assert_eq!(made.iter().map(|one| one.jobs[0].1).collect::<Vec<_>>(), [1, 1, 2]);
        assert_eq!(made[2].definitions[0].at, Some(7));
        assert!(Batches::new(None, None, (false, false)).finish().is_empty());
    }
}
