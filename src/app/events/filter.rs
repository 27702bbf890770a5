//! The types of events, and the filter of a stream. A filter never hides what may concern its
//! reader: a fact that does not name all its jobs passes where one of them may be the reader's.

use crate::model::event::{Fact, JobChange, LettersChange, Noun, RunChange};
use crate::model::shard::shard_of;
use crate::model::{JobId, ProjectId};

/// The type of an event, which clients select by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Jobs came.
    JobCreated,
    /// Jobs went.
    JobDeleted,
    /// Jobs were edited, paused, resumed or disabled.
    JobUpdated,
    /// One-offs are over.
    JobTerminated,
    /// A run reported how far it is.
    JobProgress,
    /// A receiver or a worker has a run.
    RunAccepted,
    /// A run was silent for too long.
    RunLost,
    /// A run was cancelled.
    RunCancelled,
    /// Runs changed that are not named.
    RunsChanged,
    /// Results, summed.
    Executions,
    /// One attempt at a job that the reader has named.
    Execution,
    /// Occurrences were given up.
    DeadLetter,
    /// Dead letters came or went that are not named.
    DeadLettersChanged,
    /// A project was made, edited or deleted.
    ProjectChanged,
    /// An executor was made, edited or deleted.
    ExecutorChanged,
    /// A template was made, edited or deleted.
    TemplateChanged,
    /// An account was made, edited or deleted, or was granted executions.
    AccountChanged,
    /// The members changed, or what the cluster knows of them.
    MembersChanged,
    /// Shards have new owners.
    ShardsMoved,
    /// This node knows another leader.
    LeaderChanged,
}

impl EventType {
    /// All types.
    pub const ALL: [Self; 20] = [
        Self::JobCreated,
        Self::JobDeleted,
        Self::JobUpdated,
        Self::JobTerminated,
        Self::JobProgress,
        Self::RunAccepted,
        Self::RunLost,
        Self::RunCancelled,
        Self::RunsChanged,
        Self::Executions,
        Self::Execution,
        Self::DeadLetter,
        Self::DeadLettersChanged,
        Self::ProjectChanged,
        Self::ExecutorChanged,
        Self::TemplateChanged,
        Self::AccountChanged,
        Self::MembersChanged,
        Self::ShardsMoved,
        Self::LeaderChanged,
    ];

    /// The name, which never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::JobCreated => "job_created",
            Self::JobDeleted => "job_deleted",
            Self::JobUpdated => "job_updated",
            Self::JobTerminated => "job_terminated",
            Self::JobProgress => "job_progress",
            Self::RunAccepted => "run_accepted",
            Self::RunLost => "run_lost",
            Self::RunCancelled => "run_cancelled",
            Self::RunsChanged => "runs_changed",
            Self::Executions => "executions",
            Self::Execution => "execution",
            Self::DeadLetter => "dead_letter",
            Self::DeadLettersChanged => "dead_letters_changed",
            Self::ProjectChanged => "project_changed",
            Self::ExecutorChanged => "executor_changed",
            Self::TemplateChanged => "template_changed",
            Self::AccountChanged => "account_changed",
            Self::MembersChanged => "members_changed",
            Self::ShardsMoved => "shards_moved",
            Self::LeaderChanged => "leader_changed",
        }
    }

    /// The type of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Says whether events of the type are about the cluster itself or its accounts: only an actor
    /// that may read its status sees them.
    pub fn is_of_cluster(self) -> bool {
        matches!(
            self,
            Self::AccountChanged | Self::MembersChanged | Self::ShardsMoved | Self::LeaderChanged
        )
    }

    /// The type of a fact. A gap is none: no reader sees one.
    pub fn of(fact: &Fact) -> Option<Self> {
        Some(match fact {
            Fact::Jobs { change: JobChange::Created | JobChange::Rescheduled, .. } => {
                Self::JobCreated
            }
            Fact::Jobs { change: JobChange::Deleted, .. } => Self::JobDeleted,
            Fact::Jobs { change: JobChange::Updated(_), .. } => Self::JobUpdated,
            Fact::Jobs { change: JobChange::Terminated(_), .. } => Self::JobTerminated,
            Fact::Run { change: RunChange::Accepted, .. } => Self::RunAccepted,
            Fact::Run { change: RunChange::Lost, .. } => Self::RunLost,
            Fact::Run { change: RunChange::Cancelled, .. } => Self::RunCancelled,
            Fact::Run { change: RunChange::Progress { .. }, .. } => Self::JobProgress,
            Fact::MoreRuns { .. } => Self::RunsChanged,
            Fact::Executions(_) => Self::Executions,
            Fact::DeadLetter { .. } => Self::DeadLetter,
            Fact::DeadLetters { .. } => Self::DeadLettersChanged,
            Fact::Record { noun: Noun::Project, .. } => Self::ProjectChanged,
            Fact::Record { noun: Noun::Executor, .. } => Self::ExecutorChanged,
            Fact::Record { noun: Noun::Template, .. } => Self::TemplateChanged,
            Fact::Record { noun: Noun::Account, .. } => Self::AccountChanged,
            Fact::Members => Self::MembersChanged,
            Fact::Shards(_) => Self::ShardsMoved,
            Fact::Gap => return None,
        })
    }
}

/// The events that a reader wants.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only these types; all where none is named.
    pub types: Vec<EventType>,
    /// Only what may concern this project.
    pub project: Option<ProjectId>,
    /// Only what may concern this job; its results come one by one.
    pub job: Option<JobId>,
    /// Only what may concern the jobs that this template made. `project` is its project then.
    pub template: Option<u64>,
}

impl EventFilter {
    /// Says whether a type is wanted. What stands for several facts is wanted with any of them.
    pub fn wants(&self, kind: EventType) -> bool {
        let named = |kind| self.types.contains(&kind);
        if self.types.is_empty() || named(kind) {
            return true;
        }
        match kind {
            EventType::RunsChanged => [
                EventType::RunAccepted,
                EventType::RunLost,
                EventType::RunCancelled,
                EventType::JobProgress,
            ]
            .into_iter()
            .any(named),
            // A reader that names a job has its results one by one.
            EventType::Executions => self.job.is_some() && named(EventType::Execution),
            _ => false,
        }
    }

    /// Says whether events of the cluster as a whole are wanted.
    pub fn wants_cluster(&self) -> bool {
        self.project.is_none() && self.job.is_none() && self.template.is_none()
    }

    /// Says whether a fact may concern the reader. Results are not judged here.
    pub fn matches(&self, fact: &Fact) -> bool {
        let added = matches!(fact, Fact::DeadLetters { change: LettersChange::Added, .. });
        let unnamed = added && self.wants(EventType::DeadLetter);
        let wanted = EventType::of(fact).is_some_and(|kind| self.wants(kind)) || unnamed;
        wanted && self.of_project(fact) && self.of_job(fact) && self.of_template(fact)
    }

    fn of_project(&self, fact: &Fact) -> bool {
        let Some(wanted) = self.project else { return true };
        match fact {
            Fact::Jobs { project, .. } => project.is_none_or(|project| project == wanted),
            Fact::Run { project, .. } | Fact::DeadLetter { project, .. } => *project == wanted,
            Fact::Record { noun: Noun::Project, id, .. } => *id == wanted,
            // A template's fact does not name its project.
            Fact::Record { noun: Noun::Template, .. }
            | Fact::MoreRuns { .. }
            | Fact::DeadLetters { .. }
            | Fact::Executions(_) => true,
            Fact::Record { noun: Noun::Executor | Noun::Account, .. }
            | Fact::Members
            | Fact::Shards(_)
            | Fact::Gap => false,
        }
    }

    fn of_template(&self, fact: &Fact) -> bool {
        let Some(wanted) = self.template else { return true };
        match fact {
            Fact::Jobs { template, .. } => template.may_be(wanted),
            Fact::Record { noun: Noun::Template, id, .. } => *id == wanted,
            // Those of other jobs are hidden when the job was looked up.
            Fact::Run { .. }
            | Fact::DeadLetter { .. }
            | Fact::MoreRuns { .. }
            | Fact::DeadLetters { .. }
            | Fact::Executions(_)
            | Fact::Record { noun: Noun::Project, .. } => true,
            Fact::Record { noun: Noun::Executor | Noun::Account, .. }
            | Fact::Members
            | Fact::Shards(_)
            | Fact::Gap => false,
        }
    }

    /// The job that has to be looked up to say whether a fact that matches is about the template:
    /// the fact itself does not say so.
    pub fn unproven_job(&self, fact: &Fact) -> Option<(JobId, u64)> {
        let template = self.template?;
        let job = match fact {
            Fact::Run { of, .. } => Some(of.job),
            Fact::DeadLetter { jobs, .. } => jobs.single(),
            _ => None,
        };
        job.map(|job| (job, template))
    }

    fn of_job(&self, fact: &Fact) -> bool {
        let Some(wanted) = self.job else { return true };
        match fact {
            Fact::Jobs { jobs, .. } | Fact::DeadLetter { jobs, .. } => jobs.may_contain(wanted),
            Fact::Run { of, .. } => of.job == wanted,
            Fact::MoreRuns { shards, .. } => shards.contains(shard_of(wanted)),
            Fact::Executions(sums) => sums.shards.contains(shard_of(wanted)),
            Fact::DeadLetters { .. } => true,
            Fact::Record { .. } | Fact::Members | Fact::Shards(_) | Fact::Gap => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{JobUpdate, RecordChange, TemplateMark};
    use crate::model::job_set::{JobSet, ShardSet};
    use crate::model::members::Members;
    use crate::model::run::Occurrence;

    fn jobs(project: Option<ProjectId>, jobs: JobSet) -> Fact {
        let change = JobChange::Updated(JobUpdate::Edited);
        Fact::Jobs { project, template: TemplateMark::NoTemplate, change, jobs }
    }

    #[test]
    fn every_type_has_a_name_of_its_own() {
        for kind in EventType::ALL {
            assert_eq!(EventType::named(kind.name()), Some(kind));
        }
        assert_eq!(EventType::named("hello"), None);
    }

    #[test]
    fn a_filter_passes_what_may_concern_its_reader() {
        let of_project = EventFilter { project: Some(2), ..EventFilter::default() };
        assert!(of_project.matches(&jobs(Some(2), JobSet::range(1, 1))));
        assert!(of_project.matches(&jobs(None, JobSet::range(1, 1))), "jobs of several projects");
        assert!(!of_project.matches(&jobs(Some(1), JobSet::range(1, 1))));
        assert!(!of_project.matches(&Fact::Members) && !of_project.wants_cluster());
        let record = |id| Fact::Record { noun: Noun::Project, id, change: RecordChange::Updated };
        assert!(of_project.matches(&record(2)) && !of_project.matches(&record(1)));

        let of_job = EventFilter { job: Some(700), ..EventFilter::default() };
        let mut many = JobSet::range(1, 1);
        for id in (10_000..30_000).step_by(2) {
            many.add(id, 1);
        }
        assert!(many.may_contain(700), "unnamed jobs of its shard");
        assert!(of_job.matches(&jobs(Some(1), many)));
        assert!(of_job.matches(&jobs(Some(1), JobSet::range(600, 101))));
        assert!(!of_job.matches(&jobs(Some(1), JobSet::range(701, 9))));
        let mut shards = ShardSet::default();
        shards.add(shard_of(700));
        assert!(of_job.matches(&Fact::MoreRuns { count: 1, shards }));
        assert!(!of_job.matches(&Fact::MoreRuns { count: 1, shards: ShardSet::default() }));
        let letter = |job| {
            let (mut jobs, members) = (JobSet::default(), Members::from_sorted([job]));
            members.runs().for_each(|(first, n)| jobs.add(first, n));
            Fact::DeadLetter { project: 1, letter: 1, jobs, occurrences: 1, error: None }
        };
        assert!(of_job.matches(&letter(700)) && !of_job.matches(&letter(701)));
    }

    #[test]
    fn a_template_sees_its_own_jobs_and_those_that_may_be() {
        let filter = EventFilter { template: Some(7), ..EventFilter::default() };
        let jobs = |template| Fact::Jobs {
            project: Some(1),
            template,
            change: JobChange::Deleted,
            jobs: JobSet::range(1, 1),
        };
        assert!(filter.matches(&jobs(TemplateMark::One(7))));
        assert!(filter.matches(&jobs(TemplateMark::Unknown)));
        assert!(!filter.matches(&jobs(TemplateMark::One(8))));
        assert!(!filter.matches(&jobs(TemplateMark::NoTemplate)));
        let record = |noun, id| Fact::Record { noun, id, change: RecordChange::Updated };
        assert!(filter.matches(&record(Noun::Template, 7)));
        assert!(!filter.matches(&record(Noun::Template, 8)));
        assert!(!filter.matches(&record(Noun::Executor, 7)) && !filter.wants_cluster());
        let run = Fact::Run {
            project: 1,
            of: Occurrence { job: 5, scheduled: 0, run: 0 },
            attempt: 1,
            change: RunChange::Accepted,
        };
        assert!(filter.matches(&run));
        assert_eq!(filter.unproven_job(&run), Some((5, 7)));
        assert_eq!(EventFilter::default().unproven_job(&run), None);
    }

    #[test]
    fn a_type_lets_through_what_stands_for_it() {
        let of =
            |types: &[EventType]| EventFilter { types: types.into(), ..EventFilter::default() };
        let accepted = of(&[EventType::RunAccepted]);
        let run = |change| Fact::Run {
            project: 1,
            of: Occurrence { job: 1, scheduled: 0, run: 0 },
            attempt: 1,
            change,
        };
        assert!(accepted.matches(&run(RunChange::Accepted)));
        assert!(!accepted.matches(&run(RunChange::Lost)));
        assert!(accepted.matches(&Fact::MoreRuns { count: 1, shards: ShardSet::default() }));
        let letters = |change| Fact::DeadLetters { change, count: 1 };
        let dead = of(&[EventType::DeadLetter]);
        assert!(dead.matches(&letters(LettersChange::Added)));
        assert!(!dead.matches(&letters(LettersChange::Purged)));
        let named = EventFilter { job: Some(1), ..of(&[EventType::Execution]) };
        assert!(named.wants(EventType::Executions));
        assert!(!of(&[EventType::Execution]).wants(EventType::Executions));
    }
}
