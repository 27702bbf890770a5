//! The operator's limits of a destination (`DestinationConcurrency`, `DestinationRatePerSecond`):
//! one count for each destination, whichever projects call it and whatever limits their executors
//! bring. `lanes` asks before each call. Flows that find a destination full wait here, in turn; one
//! that is woken and may not begin for another reason (its project has its share) is passed over.
//! Where no such limit is set, nothing is kept and nothing costs anything.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::Limits;
use super::destination::Destination;
use super::fair::FlowId;
use super::rate::Bucket;

/// Destinations of which there is nothing to say are forgotten above this number.
const KEPT: usize = 1_024;

/// What follows for the flows that wait for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This one may go on.
    Wake(FlowId),
    /// Look again at this instant, in boot-clock milliseconds.
    Later(u64),
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Ceilings {
    limits: Limits,
    known: HashMap<Destination, Ceiling>,
    /// Where one was woken, and more wait: perhaps that one may not begin.
    woken: BTreeSet<Destination>,
    prune_at: usize,
}

#[derive(Debug)]
struct Ceiling {
    in_flight: usize,
    bucket: Option<Bucket>,
    waiting: VecDeque<FlowId>,
    /// A timer runs.
    timed: bool,
}

impl Ceiling {
    fn is_idle(&self, now: u64) -> bool {
        let used = self.in_flight > 0 || !self.waiting.is_empty() || self.timed;
        !used && self.bucket.is_none_or(|bucket| bucket.is_full(now))
    }
}

impl Ceilings {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, known: HashMap::new(), woken: BTreeSet::new(), prune_at: KEPT }
    }

    /// Whether nothing is limited.
    pub(super) fn are_off(&self) -> bool {
        self.limits == Limits::default()
    }

    /// Whether a destination takes one more call now.
    pub(super) fn take(&self, to: &Destination, now: u64) -> bool {
        self.known
            .get(to)
            .is_none_or(|ceiling| self.has_room(ceiling) && Self::is_time(ceiling, now))
    }

    fn has_room(&self, ceiling: &Ceiling) -> bool {
        self.limits.max_concurrency.is_none_or(|most| ceiling.in_flight < most.max(1) as usize)
    }

    fn is_time(ceiling: &Ceiling, now: u64) -> bool {
        ceiling.bucket.is_none_or(|bucket| bucket.ready_at(now) <= now)
    }

    fn of(&mut self, to: &Destination, now: u64) -> &mut Ceiling {
        if self.known.len() >= self.prune_at && !self.known.contains_key(to) {
            self.known.retain(|_, ceiling| !ceiling.is_idle(now));
            self.prune_at = KEPT.max(2 * self.known.len());
        }
        let bucket = self.limits.rate_per_second.map(|rate| Bucket::new(rate, now));
        let new = || Ceiling { in_flight: 0, bucket, waiting: VecDeque::new(), timed: false };
        self.known.entry(to.clone()).or_insert_with(new)
    }

    /// A call begins.
    pub(super) fn begin(&mut self, to: &Destination, now: u64) {
        if self.are_off() {
            return;
        }
        let ceiling = self.of(to, now);
        ceiling.in_flight += 1;
        if let Some(bucket) = &mut ceiling.bucket {
            bucket.take(now);
        }
    }

    /// A call is over.
    pub(super) fn end(&mut self, to: &Destination) {
        if let Some(ceiling) = self.known.get_mut(to) {
            ceiling.in_flight -= 1;
        }
    }

    /// A flow waits for its turn.
    pub(super) fn wait(&mut self, to: &Destination, flow: FlowId, now: u64) {
        self.of(to, now).waiting.push_back(flow);
    }

    /// A timer has run out.
    pub(super) fn time(&mut self, to: &Destination) {
        if let Some(ceiling) = self.known.get_mut(to) {
            ceiling.timed = false;
        }
    }

    /// What is to be done for those that wait for a destination, if anything: to be asked whenever
    /// a call began or ended there, a flow was served, or a timer ran out.
    pub(super) fn next(&mut self, to: &Destination, now: u64) -> Option<Step> {
        let ceiling = self.known.get(to)?;
        if ceiling.waiting.is_empty() || !self.has_room(ceiling) {
            return None;
        }
        let ready = ceiling.bucket.map_or(now, |bucket| bucket.ready_at(now));
        let ceiling = self.known.get_mut(to)?;
        if ready <= now {
            let next = ceiling.waiting.pop_front();
            if !ceiling.waiting.is_empty() {
                self.woken.insert(to.clone());
            }
            return next.map(Step::Wake);
        }
        (!std::mem::replace(&mut ceiling.timed, true)).then_some(Step::Later(ready))
    }

    /// The next one that waits for a destination with room and may begin, past those that may not:
    /// to be asked when nobody that was woken begins any more. Looks at all that wait there.
    pub(super) fn pass_over(
        &mut self,
        now: u64,
        may_begin: impl Fn(FlowId) -> bool,
    ) -> Option<FlowId> {
        let mut woken = std::mem::take(&mut self.woken);
        let mut found = None;
        woken.retain(|to| {
            let Some(ceiling) = self.known.get(to) else { return false };
            if ceiling.waiting.is_empty() || !self.has_room(ceiling) || !Self::is_time(ceiling, now)
            {
                return false; // whoever ends there, or its timer, wakes the next one
            }
            if found.is_none()
                && let Some(at) = ceiling.waiting.iter().position(|flow| may_begin(*flow))
            {
                found = self.known.get_mut(to).and_then(|ceiling| ceiling.waiting.remove(at));
            }
            true
        });
        self.woken = woken;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::fair::{Capacity, FairQueue};
    use url::Url;

    #[test]
    fn flows_of_a_full_destination_come_one_after_the_other() {
        let to = Destination::of(&Url::parse("http://a/").unwrap());
        let capacity = Capacity { workers: 9, in_flight: 99, flow: 9 };
        let mut queue: FairQueue<u8, ()> = FairQueue::new(capacity);
        let [one, two] = [1, 2].map(|project| queue.flow(project, &0));
        let limits = Limits { max_concurrency: Some(1), rate_per_second: Some(10) };
        let mut ceilings = Ceilings::new(limits);
        assert!(ceilings.take(&to, 0) && !ceilings.are_off());
        ceilings.begin(&to, 0);
        assert!(!ceilings.take(&to, 0));
        ceilings.wait(&to, one, 0);
        ceilings.wait(&to, two, 0);
        assert_eq!(ceilings.next(&to, 0), None, "its only call is under way");
        ceilings.end(&to);
        assert_eq!(ceilings.next(&to, 40), Some(Step::Later(100)), "ten a second");
        assert_eq!(ceilings.next(&to, 40), None, "one timer");
        ceilings.time(&to);
        assert_eq!(ceilings.next(&to, 100), Some(Step::Wake(one)));
        ceilings.begin(&to, 100);
        ceilings.wait(&to, one, 100);
        ceilings.end(&to);
        assert_eq!(ceilings.next(&to, 200), Some(Step::Wake(two)));
        assert_eq!(ceilings.next(&to, 200), Some(Step::Wake(one)));
        assert!(Ceilings::new(Limits::default()).are_off());
    }
}
