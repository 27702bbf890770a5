//! The back-offs that destinations asked projects for (`Retry-After`). `destination_queues` notes
//! each such answer and asks before a call goes out. Forgets back-offs that are over; knows no
//! clock.

use std::collections::BTreeMap;

use super::destination::Destination;
use crate::model::ProjectId;

/// Back-offs that are over are dropped above this number.
const KEPT: usize = 1_024;

/// The most back-offs that are kept: those go that would be over first.
const MOST: usize = 16_384;

/// A back-off. Instants are boot-clock milliseconds.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    until: u64,
    /// The instant at which the destination asked for it.
    noted: u64,
}

/// The back-offs by destination and project.
#[derive(Debug)]
pub(super) struct Backoffs {
    known: BTreeMap<(Destination, ProjectId), Backoff>,
    /// The number at which those that are over are dropped.
    prune_at: usize,
}

impl Default for Backoffs {
    fn default() -> Self {
        Self { known: BTreeMap::new(), prune_at: KEPT }
    }
}

impl Backoffs {
    /// The instant until which a project is to wait; `None` if it may call.
    pub(super) fn until(&self, to: &Destination, project: ProjectId, now: u64) -> Option<u64> {
        if self.known.is_empty() {
            return None;
        }
        let backoff = self.known.get(&(to.clone(), project))?;
        Some(backoff.until).filter(|until| *until > now)
    }

    /// Notes that a project is to wait; a later back-off replaces an earlier one. All of them are
    /// looked through when their number has doubled, not each time.
    pub(super) fn note(&mut self, to: &Destination, project: ProjectId, until: u64, now: u64) {
        if self.known.len() >= self.prune_at {
            self.known.retain(|_, backoff| backoff.until > now);
            self.cut(MOST / 4 * 3);
            self.prune_at = (2 * self.known.len()).clamp(KEPT, MOST);
        }
        self.known.insert((to.clone(), project), Backoff { until, noted: now });
    }

    /// Forgets those that would be over first until `most` are left.
    fn cut(&mut self, most: usize) {
        let many = self.known.len().saturating_sub(most);
        if many == 0 {
            return;
        }
        let mut all: Vec<_> = self.known.iter().map(|(key, of)| (of.until, key)).collect();
        all.select_nth_unstable(many);
        let gone: Vec<_> = all.into_iter().take(many).map(|(_, key)| key.clone()).collect();
        for key in gone {
            self.known.remove(&key);
        }
    }

    /// The destinations that have asked projects to wait, and the number of projects of each.
    pub(super) fn active(&self, now: u64) -> Vec<(Destination, usize)> {
        let mut active: Vec<(Destination, usize)> = Vec::new();
        for ((to, _), _) in self.known.iter().filter(|(_, backoff)| backoff.until > now) {
            match active.last_mut().filter(|(last, _)| last == to) {
                Some((_, projects)) => *projects += 1,
                None => active.push((to.clone(), 1)),
            }
        }
        active
    }

    /// Forgets the back-off of a project whose call succeeded, if the call began after the back-off
    /// came. A call from before says nothing, as a receiver with a limit takes some calls and asks
    /// others to wait.
    pub(super) fn clear(&mut self, to: &Destination, project: ProjectId, began: u64) {
        if self.known.is_empty() {
            return;
        }
        let key = (to.clone(), project);
        if self.known.get(&key).is_some_and(|backoff| began > backoff.noted) {
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(name: &str) -> Destination {
        Destination::new(name)
    }

    #[test]
    fn a_success_that_began_later_ends_a_back_off_and_an_earlier_one_does_not() {
        let (mut backoffs, a) = (Backoffs::default(), to("a"));
        backoffs.note(&a, 1, 9_000, 1_000);
        backoffs.clear(&a, 1, 1_000);
        backoffs.clear(&a, 2, 1_001);
        assert_eq!(
            (backoffs.until(&a, 1, 8_999), backoffs.until(&a, 1, 9_000)),
            (Some(9_000), None)
        );
        backoffs.clear(&a, 1, 1_001);
        assert_eq!(backoffs.until(&a, 1, 1_001), None);
    }

    #[test]
    fn destinations_are_counted_with_the_projects_that_they_asked() {
        let (mut backoffs, a, b) = (Backoffs::default(), to("a"), to("b"));
        for (to, project, until) in [(&a, 1, 10), (&a, 2, 20), (&b, 1, 20), (&a, 3, 20)] {
            backoffs.note(to, project, until, 0);
        }
        assert_eq!(backoffs.active(9), [(a.clone(), 3), (b.clone(), 1)]);
        assert_eq!(backoffs.active(10), [(a, 2), (b, 1)]);
        assert_eq!(backoffs.active(20), []);
    }

    #[test]
    fn back_offs_that_are_over_are_dropped_when_the_number_has_doubled() {
        let (mut backoffs, a) = (Backoffs::default(), to("a"));
        (0..2_048).for_each(|project| backoffs.note(&a, project, 10, 0));
        assert_eq!((backoffs.known.len(), backoffs.prune_at), (2_048, 2_048));
        backoffs.note(&a, 9_999, 20, 10);
        assert_eq!((backoffs.known.len(), backoffs.prune_at), (1, KEPT));
    }

    #[test]
    fn no_more_than_the_bound_are_kept_and_those_stay_that_last_longest() {
        let (mut backoffs, a) = (Backoffs::default(), to("a"));
        for project in 0..40_000 {
            backoffs.note(&a, project, 10 + project, 0);
            assert!(backoffs.known.len() <= MOST, "{project}");
        }
        assert!(backoffs.known.len() > MOST / 2);
        assert_eq!((backoffs.until(&a, 0, 0), backoffs.until(&a, 39_999, 0)), (None, Some(40_009)));
    }
}
