//! Sums of results, as facts carry them: by kind, and by project up to a bound. `command::apply`
//! counts, and the event stream sums further.

use super::ProjectId;
use super::attempt::{SkipReason, Verdict};
use super::job_set::ShardSet;
use super::shard::ShardId;

/// The most projects whose results one sum tells apart.
pub const MAX_PROJECTS: usize = 16;

/// The number of reasons of a skip.
const REASONS: usize = 11;

/// Results, counted by their kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultCounts {
    /// Occurrences that were delivered.
    pub delivered: u32,
    /// Attempts that failed and are tried again.
    pub failed: u32,
    /// Occurrences that were given up.
    pub dead: u32,
    /// Occurrences that a receiver accepted, which reports later.
    pub running: u32,
    skipped: [u32; REASONS],
}

impl ResultCounts {
    /// Counts so many occurrences with a verdict. Deferrals are not results.
    pub fn add(&mut self, verdict: Verdict, count: u64) {
        let place = match verdict {
            Verdict::Delivered => &mut self.delivered,
            Verdict::Retry { .. } => &mut self.failed,
            Verdict::Dead => &mut self.dead,
            Verdict::Running => &mut self.running,
            Verdict::Skipped(reason) => &mut self.skipped[reason as usize % REASONS],
            Verdict::Postponed { .. } => return,
        };
        *place = place.saturating_add(count.try_into().unwrap_or(u32::MAX));
    }

    /// Adds other counts.
    pub fn join(&mut self, other: &Self) {
        let sum = |a: &mut u32, b: u32| *a = a.saturating_add(b);
        sum(&mut self.delivered, other.delivered);
        sum(&mut self.failed, other.failed);
        sum(&mut self.dead, other.dead);
        sum(&mut self.running, other.running);
        for (own, more) in self.skipped.iter_mut().zip(other.skipped) {
            sum(own, more);
        }
    }

    /// The occurrences that were not sent, by reason; none of no occurrences.
    pub fn skipped(&self) -> impl Iterator<Item = (SkipReason, u32)> + '_ {
        let counted = self.skipped.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.filter_map(|(code, count)| {
            match Verdict::from_code(10 + i64::try_from(code).ok()?) {
                Verdict::Skipped(reason) => Some((reason, *count)),
                _ => None,
            }
        })
    }
}

/// Results by project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executions {
    /// The projects that came first, at most [`MAX_PROJECTS`].
    pub projects: Vec<(ProjectId, ResultCounts)>,
    /// All other projects.
    pub others: ResultCounts,
    /// The shards concerned.
    pub shards: ShardSet,
}

impl Executions {
    /// Counts the occurrences of one record.
    pub fn add(&mut self, project: ProjectId, shard: ShardId, verdict: Verdict, count: u64) {
        self.shards.add(shard);
        self.of(project).add(verdict, count);
    }

    /// Adds the results of another fact.
    pub fn join(&mut self, other: &Self) {
        self.shards.join(other.shards);
        for (project, counts) in &other.projects {
            self.of(*project).join(counts);
        }
        self.others.join(&other.others);
    }

    fn of(&mut self, project: ProjectId) -> &mut ResultCounts {
        if let Some(place) = self.projects.iter().rposition(|(known, _)| *known == project) {
            return &mut self.projects[place].1;
        }
        if self.projects.len() >= MAX_PROJECTS {
            return &mut self.others;
        }
        let place = self.projects.len();
        self.projects.push((project, ResultCounts::default()));
        &mut self.projects[place].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_apart_for_sixteen_projects() {
        let skipped = Verdict::Skipped(SkipReason::NotStarted);
        let mut sums = Executions::default();
        for project in 1..=20 {
            sums.add(project, 3, Verdict::Delivered, project);
            sums.add(project, 9, skipped, 2);
        }
        assert_eq!(sums.projects.len(), MAX_PROJECTS);
        assert_eq!(sums.projects[4].1.delivered, 5);
        assert_eq!(sums.others.delivered, 17 + 18 + 19 + 20);
        assert!(sums.others.skipped().eq([(SkipReason::NotStarted, 8)]));
        assert!(sums.shards.contains(3) && sums.shards.contains(9) && !sums.shards.contains(4));
        let mut both = sums.clone();
        both.join(&sums);
        assert_eq!(both.projects[4].1.delivered, 10);
        assert_eq!(both.others.delivered, 2 * sums.others.delivered);
    }
}
