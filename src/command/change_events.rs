//! The facts of a transaction, while `apply` collects them: bounded in number and bytes, and merged
//! as they come. The rules add facts, `raft::machine` publishes them with the change, and `events`
//! reads them. Nothing here reads the state.
//!
//! What one entry gives is the same on every node, because it depends on the entry and the state
//! alone. Where a transaction ends is not, so that the gap of a transaction with too many facts may
//! lie elsewhere on another node. A fact keeps its index and number all the same. Once there is a
//! gap, no more is collected: readers lose all of the transaction.

use crate::model::attempt::AttemptRecord;
use crate::model::event::{ChangeEvent, Fact, JobChange, LettersChange, RunChange, TemplateMark};
use crate::model::event_counts::{Executions, ResultCounts};
use crate::model::job_set::{JobSet, ShardSet};
use crate::model::members::Members;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;
use crate::model::{JobId, Millis, ProjectId};

/// The most facts of a transaction.
pub(super) const MAX_FACTS: usize = 4_096;
/// The most bytes that they take, about.
pub(super) const MAX_BYTES: usize = 1_024 * 1_024;
/// The most runs, and the most dead letters, that one entry names.
const MAX_NAMED: u32 = 64;
/// The most projects whose changed jobs one entry tells apart. Those of further projects are in one
/// fact for each change, without a project.
pub(super) const MAX_PROJECTS: usize = 16;
/// The most templates whose changed jobs one entry tells apart.
pub(super) const MAX_TEMPLATES: usize = 16;

/// The facts of a transaction, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeEvents {
    facts: Vec<ChangeEvent>,
    /// The bytes that they take, about.
    bytes: usize,
    entry: EntryFacts,
    /// A gap stands for the rest of the transaction.
    full: bool,
}

/// The place and the counts of the entry that is being applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct EntryFacts {
    index: u64,
    at: Millis,
    /// The place of its first fact.
    start: usize,
    /// `ChangeEvents::bytes` and `ChangeEvents::full` at its begin.
    bytes: usize,
    full: bool,
    runs: u32,
    letters: u32,
    merged: MergedFacts,
}

/// The jobs that one fact tells of: their project, their template, and what became of them.
type ChangedJobs = (Option<ProjectId>, TemplateMark, JobChange);

/// The places of the entry's facts that others are added to. Where there was no room for a fact, a
/// gap is in its place, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct MergedFacts {
    /// The projects that are told apart, which came first.
    projects: Vec<ProjectId>,
    /// The templates that are told apart, which came first.
    templates: Vec<u64>,
    /// By project, template and change: few, since those are.
    jobs: Vec<(ChangedJobs, usize)>,
    runs: Option<usize>,
    /// By change.
    letters: Vec<(LettersChange, usize)>,
    executions: Option<usize>,
}

impl MergedFacts {
    /// The project under which changes of its jobs are told; `None` for one that came too late.
    fn project(&mut self, project: ProjectId) -> Option<ProjectId> {
        if self.projects.contains(&project) {
            return Some(project);
        }
        let room = self.projects.len() < MAX_PROJECTS;
        room.then(|| self.projects.push(project)).map(|()| project)
    }

    /// The template under which changes of its jobs are told; unknown for one that came too late.
    fn template(&mut self, mark: TemplateMark) -> TemplateMark {
        let TemplateMark::One(template) = mark else { return mark };
        if !self.templates.contains(&template) {
            if self.templates.len() >= MAX_TEMPLATES {
                return TemplateMark::Unknown;
            }
            self.templates.push(template);
        }
        mark
    }
}

impl ChangeEvents {
    /// The facts, in the order of their entries.
    pub fn facts(&self) -> &[ChangeEvent] {
        &self.facts
    }

    /// Begins the facts of an entry: its index, and log time after it.
    pub fn begin(&mut self, index: u64, at: Millis) {
        let (start, bytes, full) = (self.facts.len(), self.bytes, self.full);
        self.entry = EntryFacts { index, at, start, bytes, full, ..EntryFacts::default() };
    }

    /// Drops the facts of the entry, which was refused.
    pub(super) fn withdraw(&mut self) {
        self.facts.truncate(self.entry.start);
        self.entry.merged = MergedFacts::default();
        (self.bytes, self.full) = (self.entry.bytes, self.entry.full);
    }

    /// Adds a fact of the entry. Of a transaction that has too many, the rest is one gap.
    pub fn add(&mut self, fact: Fact) {
        if self.full {
            return;
        }
        let bytes = size_of::<ChangeEvent>() + fact.heap();
        // The last place is the gap's.
        self.full = self.facts.len() + 1 >= MAX_FACTS || self.bytes + bytes > MAX_BYTES;
        let fact = if self.full { Fact::Gap } else { fact };
        self.bytes += bytes;
        let EntryFacts { index, at, start, .. } = self.entry;
        let number = (self.facts.len() - start + 1) as u32;
        self.facts.push(ChangeEvent { index, number, at, fact });
    }

    /// Adds a change of jobs: to the fact of the entry that names jobs of that project and template
    /// with that change, if there is one.
    pub(super) fn add_jobs(
        &mut self,
        project: Option<ProjectId>,
        template: TemplateMark,
        change: JobChange,
        (first, count): (JobId, u64),
    ) {
        if self.full {
            return;
        }
        let merged = &mut self.entry.merged;
        let project = project.and_then(|project| merged.project(project));
        let template = merged.template(template);
        let key = (project, template, change);
        let Some(&(_, place)) = merged.jobs.iter().find(|known| known.0 == key) else {
            merged.jobs.push((key, self.facts.len()));
            let jobs = JobSet::range(first, count);
            return self.add(Fact::Jobs { project, template, change, jobs });
        };
        if let Some(Fact::Jobs { jobs, .. }) = self.fact_at(place) {
            let before = jobs.ranges.len();
            jobs.add(first, count);
            let added = jobs.ranges.len() - before;
            self.bytes += added * size_of::<(JobId, u64)>();
        }
    }

    fn fact_at(&mut self, place: usize) -> Option<&mut Fact> {
        self.facts.get_mut(place).map(|event| &mut event.fact)
    }

    /// Adds a change of one job.
    pub(super) fn add_job(
        &mut self,
        project: ProjectId,
        template: TemplateMark,
        change: JobChange,
        job: JobId,
    ) {
        self.add_jobs(Some(project), template, change, (job, 1));
    }

    /// Adds a change of a run; beyond those that an entry names, the run is counted.
    pub(super) fn add_run(
        &mut self,
        project: ProjectId,
        of: Occurrence,
        attempt: u32,
        change: RunChange,
    ) {
        if self.full {
            return;
        }
        self.entry.runs += 1;
        if self.entry.runs <= MAX_NAMED {
            return self.add(Fact::Run { project, of, attempt, change });
        }
        let place = *self.entry.merged.runs.get_or_insert(self.facts.len());
        if place == self.facts.len() {
            self.add(Fact::MoreRuns { count: 0, shards: ShardSet::default() });
        }
        if let Some(Fact::MoreRuns { count, shards }) = self.fact_at(place) {
            *count += 1;
            shards.add(shard_of(of.job));
        }
    }

    /// Adds a dead letter; beyond those that an entry names, it is counted.
    pub(super) fn add_letter(
        &mut self,
        project: ProjectId,
        letter: u64,
        members: &Members,
        error: Option<&str>,
    ) {
        if self.full {
            return;
        }
        self.entry.letters += 1;
        if self.entry.letters > MAX_NAMED {
            return self.add_letters(LettersChange::Added, 1);
        }
        let mut jobs = JobSet::default();
        for (first, count) in members.runs() {
            jobs.add(first, count);
        }
        let (occurrences, error) = (members.len(), error.map(str::to_owned));
        self.add(Fact::DeadLetter { project, letter, jobs, occurrences, error });
    }

    /// Adds dead letters that are not named.
    pub(super) fn add_letters(&mut self, change: LettersChange, more: u64) {
        if more == 0 || self.full {
            return;
        }
        let merged = &mut self.entry.merged;
        let Some(&(_, place)) = merged.letters.iter().find(|known| known.0 == change) else {
            merged.letters.push((change, self.facts.len()));
            return self.add(Fact::DeadLetters { change, count: more });
        };
        if let Some(Fact::DeadLetters { count, .. }) = self.fact_at(place) {
            *count += more;
        }
    }

    /// Adds a record of so many occurrences to the sum of the entry's results.
    pub(super) fn add_results(&mut self, record: &AttemptRecord, count: u64) {
        if self.full {
            return;
        }
        let place = *self.entry.merged.executions.get_or_insert(self.facts.len());
        if place == self.facts.len() {
            self.add(Fact::Executions(Executions::default()));
        }
        if let Some(Fact::Executions(sums)) = self.fact_at(place) {
            let known = sums.projects.len();
            sums.add(record.project, record.shard, record.verdict, count);
            let added = sums.projects.len() - known;
            self.bytes += added * size_of::<(ProjectId, ResultCounts)>();
        }
    }
}
