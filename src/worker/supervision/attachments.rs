//! Who is to be heard on a bus, of one shard: its jobs whose queue is at a broker, and names that
//! no job has any more while runs may still be out under them. `attaching` keeps one for each
//! shard. Pure.

use std::collections::BTreeMap;

use super::addresses::{BusName, JobAddress};
use super::bus_queues::BusQueues;
use crate::bus::{Attachment, BusAddress};
use crate::model::{JobId, Millis, ProjectId};

/// The time for which a name is listened to, at least, once no job has it, in milliseconds of the
/// boot clock: its workers may still be told to stop, and say their last words.
pub(super) const LEAVES_AFTER: u64 = 10_000;

/// A name that no job has any more.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    project: ProjectId,
    since: u64,
    /// Its job was deleted: what there is on the bus may go.
    is_deleted: bool,
}

/// What is listened to of a shard.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    jobs: BTreeMap<JobId, JobAddress>,
    /// How many jobs have a name.
    names: BTreeMap<BusName, usize>,
    leaving: BTreeMap<BusName, Leaving>,
}

impl Attachments {
    /// Takes in all jobs of the shard, and the names under which runs are out. `now` is an instant
    /// of the boot clock.
    pub(super) fn replace(
        &mut self,
        jobs: BTreeMap<JobId, JobAddress>,
        out: BTreeMap<BusName, ProjectId>,
        now: u64,
    ) {
        let before = std::mem::take(&mut self.jobs);
        self.names.clear();
        for address in jobs.values() {
            *self.names.entry(address.name.clone()).or_default() += 1;
        }
        self.jobs = jobs;
        let names = &self.names;
        self.leaving.retain(|name, _| !names.contains_key(name));
        let before = before.into_values().map(|address| (address.name, address.project));
        for (name, project) in out.into_iter().chain(before) {
            self.leave(name, project, (false, now));
        }
    }

    /// Takes in a job as it is now: its address, if its workers are at a broker. Returns whether
    /// that changes who is listened to.
    pub(super) fn put(
        &mut self,
        job: JobId,
        address: Option<JobAddress>,
        (is_deleted, now): (bool, u64),
    ) -> bool {
        let (old, new) = (self.jobs.remove(&job), address);
        let (before, after) =
            (old.as_ref().map(|old| &old.name), new.as_ref().map(|new| &new.name));
        let changes = before != after;
        if let Some(new) = new {
            *self.names.entry(new.name.clone()).or_default() += 1;
            self.leaving.remove(&new.name);
            self.jobs.insert(job, new);
        }
        if let Some(JobAddress { name, project, .. }) = old {
            if let Some(count) = self.names.get_mut(&name) {
                *count -= 1;
                if *count == 0 {
                    self.names.remove(&name);
                }
            }
            self.leave(name, project, (is_deleted, now));
        }
        changes
    }

    fn leave(&mut self, name: BusName, project: ProjectId, (is_deleted, since): (bool, u64)) {
        if !self.names.contains_key(&name) {
            let leaving = Leaving { project, since, is_deleted };
            self.leaving.entry(name).or_insert(leaving).is_deleted |= is_deleted;
        }
    }

    /// Whether a name has waited long enough to be let go.
    pub(super) fn may_leave(&self, now: u64) -> bool {
        self.leaving.values().any(|leaving| leaving.since.saturating_add(LEAVES_AFTER) <= now)
    }

    /// Lets go the names that have waited long enough and under which no run is out. Returns those
    /// whose jobs were deleted, and whether there were any at all.
    pub(super) fn let_go(
        &mut self,
        out: &BTreeMap<BusName, ProjectId>,
        now: u64,
    ) -> (Vec<(BusName, ProjectId)>, bool) {
        let (mut deleted, mut any) = (Vec::new(), false);
        self.leaving.retain(|name, leaving| {
            if leaving.since.saturating_add(LEAVES_AFTER) > now {
                return true;
            }
            if out.contains_key(name) {
                leaving.since = now;
                return true;
            }
            any = true;
            if leaving.is_deleted {
                deleted.push((name.clone(), leaving.project));
            }
            false
        });
        (deleted, any)
    }

    /// Whether a name is listened to.
    pub(super) fn has(&self, name: &BusName) -> bool {
        self.names.contains_key(name) || self.leaving.contains_key(name)
    }

    /// All that is to be listened to: each name once, with the earliest due instant of its jobs.
    pub(super) fn list(&self, queues: &BusQueues) -> Vec<Attachment> {
        let mut dues: BTreeMap<&BusName, (ProjectId, Millis)> = BTreeMap::new();
        for (name, leaving) in &self.leaving {
            // A run is out under it, perhaps.
            dues.insert(name, (leaving.project, Millis::MIN));
        }
        for address in self.jobs.values() {
            let JobAddress { name, project, next_due } = address;
            let (_, due) = dues.entry(name).or_insert((*project, *next_due));
            *due = (*due).min(*next_due);
        }
        let attach = |((queue, name), (project, next_due)): (&BusName, _)| {
            let target = queues.get(queue)?.target.clone();
            let address = BusAddress { queue: *queue, project, target, name: name.clone() };
            Some(Attachment { address, next_due })
        };
        dues.into_iter().filter_map(attach).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::call_target::CallTarget;
    use crate::model::target::Configured;
    use crate::worker::supervision::bus_queues::BusQueue;

    fn queues() -> BusQueues {
        let configured = Configured { kind: "k".into(), settings: 1.into() };
        let target = Arc::new(CallTarget::Settings(Box::new(configured)));
        BusQueues::from([(9, BusQueue { target, takes_data: false, broker: "amqp://b".into() })])
    }

    fn name(name: &str) -> BusName {
        (9, name.into())
    }

    fn job(of: &str, next_due: Millis) -> JobAddress {
        JobAddress { name: name(of), project: 1, next_due }
    }

    fn listed(attachments: &Attachments) -> Vec<(String, Millis)> {
        let all = attachments.list(&queues()).into_iter();
        all.map(|one| (one.address.name.to_string(), one.next_due)).collect()
    }

    #[test]
    fn a_name_is_listened_to_once_and_the_earliest_of_its_jobs_counts() {
        let mut attachments = Attachments::default();
        let jobs = BTreeMap::from([(1, job("a", 50)), (2, job("a", 40)), (3, job("b", 10))]);
        attachments.replace(jobs, BTreeMap::new(), 0);
        assert_eq!(listed(&attachments), [("a".to_owned(), 40), ("b".to_owned(), 10)]);
        assert!(!attachments.put(2, Some(job("a", 70)), (false, 0)), "the same name");
        assert_eq!(listed(&attachments)[0], ("a".to_owned(), 50));
        assert!(attachments.put(4, Some(job("c", 1)), (false, 0)));
        let other = (8, "x".into());
        let unknown = JobAddress { name: other, ..job("x", 1) };
        assert!(attachments.put(5, Some(unknown), (false, 0)));
        assert_eq!(listed(&attachments).len(), 3, "of a queue that is none any more nobody is");
    }

    #[test]
    fn a_name_without_jobs_is_listened_to_for_a_while_and_as_long_as_runs_are_out() {
        let mut attachments = Attachments::default();
        let jobs = BTreeMap::from([(1, job("a", 50)), (2, job("b", 50))]);
        attachments.replace(jobs, BTreeMap::from([(name("old"), 1)]), 1_000);
        assert_eq!(listed(&attachments)[2].0, "old", "a run is out under it");
        assert!(attachments.put(1, Some(job("new", 50)), (false, 2_000)));
        assert!(attachments.put(2, None, (true, 3_000)));
        let names = |attachments: &Attachments| {
            listed(attachments).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&attachments), ["a", "b", "new", "old"]);
        let wait = LEAVES_AFTER;
        assert!(!attachments.may_leave(999 + wait) && attachments.may_leave(1_000 + wait));
        let out = BTreeMap::from([(name("old"), 1)]);
        assert_eq!(attachments.let_go(&out, 2_000 + wait), (vec![], true));
        assert_eq!(names(&attachments), ["b", "new", "old"]);
        let none = BTreeMap::new();
        assert_eq!(attachments.let_go(&none, 2_001 + wait), (vec![], false));
        let deleted = vec![(name("b"), 1)];
        assert_eq!(attachments.let_go(&none, 3_000 + 2 * wait), (deleted, true));
        assert_eq!(names(&attachments), ["new"]);
    }

    #[test]
    fn a_name_that_comes_back_stays() {
        let mut attachments = Attachments::default();
        attachments.put(1, Some(job("a", 50)), (false, 0));
        attachments.put(1, None, (true, 0));
        assert!(attachments.put(2, Some(job("a", 60)), (false, 5)));
        assert!(attachments.has(&name("a")) && !attachments.may_leave(u64::MAX));
        // Another job with the name goes on when one is deleted.
        attachments.put(3, Some(job("a", 60)), (false, 5));
        attachments.put(2, None, (true, 6));
        assert!(!attachments.may_leave(u64::MAX));
        attachments.replace(BTreeMap::new(), BTreeMap::new(), 7);
        assert!(attachments.may_leave(7 + LEAVES_AFTER), "a look at the whole shard finds it gone");
    }
}
