//! The operator's limits of a destination (`DestinationConcurrency`, `DestinationRatePerSecond`):
//! one count for each destination, whichever projects call it and whatever limits their executors
//! bring. `destination_queues` asks before each call. Flows that find a destination full wait here,
//! in turn. A flow that is woken and may not begin for another reason (its project has its share)
//! is passed over. Where no such limit is set, nothing is kept and nothing costs anything.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::destination::{Destination, Limits};
use super::fair_queue::FlowId;
use super::token_bucket::TokenBucket;

/// Idle destinations are forgotten above this number.
const KEPT: usize = 1_024;

/// The next step for the flows that wait for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This flow may go on.
    Wake(FlowId),
    /// Look again at this instant, in boot-clock milliseconds.
    Later(u64),
}

/// The limits of all destinations, with the calls that count for them.
#[derive(Debug)]
pub(super) struct DestinationLimits {
    limits: Limits,
    known: HashMap<Destination, DestinationLimit>,
    /// Destinations where one flow was woken and more wait: perhaps that flow may not begin.
    woken: BTreeSet<Destination>,
    /// The number of destinations at which idle ones are forgotten.
    prune_at: usize,
}

/// One destination.
#[derive(Debug)]
struct DestinationLimit {
    in_flight: usize,
    bucket: Option<TokenBucket>,
    waiting: VecDeque<FlowId>,
    /// Whether a timer runs for it.
    timed: bool,
}

impl DestinationLimit {
    fn is_idle(&self, now: u64) -> bool {
        let used = self.in_flight > 0 || !self.waiting.is_empty() || self.timed;
        !used && self.bucket.is_none_or(|bucket| bucket.is_full(now))
    }
}

impl DestinationLimits {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, known: HashMap::new(), woken: BTreeSet::new(), prune_at: KEPT }
    }

    /// The limits.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether nothing is limited.
    pub(super) fn is_unlimited(&self) -> bool {
        self.limits == Limits::default()
    }

    /// Whether a destination takes one more call now.
    pub(super) fn may_begin(&self, to: &Destination, now: u64) -> bool {
        self.known.get(to).is_none_or(|limit| self.has_room(limit) && Self::is_time(limit, now))
    }

    fn has_room(&self, limit: &DestinationLimit) -> bool {
        self.limits.max_concurrency.is_none_or(|most| limit.in_flight < most.max(1) as usize)
    }

    fn is_time(limit: &DestinationLimit, now: u64) -> bool {
        limit.bucket.is_none_or(|bucket| bucket.ready_at(now) <= now)
    }

    /// The entry of a destination; a new one where there is none.
    fn entry(&mut self, to: &Destination, now: u64) -> &mut DestinationLimit {
        if self.known.len() >= self.prune_at && !self.known.contains_key(to) {
            self.known.retain(|_, limit| !limit.is_idle(now));
            self.prune_at = KEPT.max(2 * self.known.len());
        }
        let bucket = self.limits.rate_per_second.map(|rate| TokenBucket::new(rate, now));
        let new =
            || DestinationLimit { in_flight: 0, bucket, waiting: VecDeque::new(), timed: false };
        self.known.entry(to.clone()).or_insert_with(new)
    }

    /// Counts a call that begins, and for the rate its weight.
    pub(super) fn begin(&mut self, to: &Destination, weight: u32, now: u64) {
        if self.is_unlimited() {
            return;
        }
        let limit = self.entry(to, now);
        limit.in_flight += 1;
        if let Some(bucket) = &mut limit.bucket {
            bucket.take(weight, now);
        }
    }

    /// Counts a call that is over.
    pub(super) fn end(&mut self, to: &Destination) {
        if let Some(limit) = self.known.get_mut(to) {
            limit.in_flight -= 1;
        }
    }

    /// Lets a flow wait for its turn.
    pub(super) fn wait(&mut self, to: &Destination, flow: FlowId, now: u64) {
        self.entry(to, now).waiting.push_back(flow);
    }

    /// Notes that the timer of a destination has run out.
    pub(super) fn timer_ended(&mut self, to: &Destination) {
        if let Some(limit) = self.known.get_mut(to) {
            limit.timed = false;
        }
    }

    /// The next step for the flows that wait for a destination, if there is one. The caller asks
    /// whenever a call began or ended there, a flow was served, or a timer ran out.
    pub(super) fn next(&mut self, to: &Destination, now: u64) -> Option<Step> {
        let limit = self.known.get(to)?;
        if limit.waiting.is_empty() || !self.has_room(limit) {
            return None;
        }
        let ready = limit.bucket.map_or(now, |bucket| bucket.ready_at(now));
        let limit = self.known.get_mut(to)?;
        if ready <= now {
            let next = limit.waiting.pop_front();
            if !limit.waiting.is_empty() {
                self.woken.insert(to.clone());
            }
            return next.map(Step::Wake);
        }
        (!std::mem::replace(&mut limit.timed, true)).then_some(Step::Later(ready))
    }

    /// The next flow that waits for a destination with room and may begin, past those that may not.
    /// The caller asks when no flow that was woken begins any more. Looks at all that wait there.
    pub(super) fn pass_over(
        &mut self,
        now: u64,
        may_begin: impl Fn(FlowId) -> bool,
    ) -> Option<FlowId> {
        let mut woken = std::mem::take(&mut self.woken);
        let mut found = None;
        woken.retain(|to| {
            let Some(limit) = self.known.get(to) else { return false };
            if limit.waiting.is_empty() || !self.has_room(limit) || !Self::is_time(limit, now) {
                return false; // the next call that ends there, or its timer, wakes the next flow
            }
            if found.is_none()
                && let Some(at) = limit.waiting.iter().position(|flow| may_begin(*flow))
            {
                found = self.known.get_mut(to).and_then(|limit| limit.waiting.remove(at));
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
    use crate::delivery::fair_queue::{Capacity, FairQueue};

    #[test]
    fn flows_of_a_full_destination_come_one_after_the_other() {
        let to = Destination::new("a");
        let capacity = Capacity { workers: 9, in_flight: 99, flow: 9 };
        let mut queue: FairQueue<u8, ()> = FairQueue::new(capacity);
        let [one, two] = [1, 2].map(|project| queue.flow(project, &0));
        let limits =
            Limits { max_concurrency: Some(1), rate_per_second: Some(10), ..Limits::default() };
        let mut all = DestinationLimits::new(limits);
        assert!(all.may_begin(&to, 0) && !all.is_unlimited());
        all.begin(&to, 1, 0);
        assert!(!all.may_begin(&to, 0));
        all.wait(&to, one, 0);
        all.wait(&to, two, 0);
        assert_eq!(all.next(&to, 0), None, "its only call is under way");
        all.end(&to);
        assert_eq!(all.next(&to, 40), Some(Step::Later(100)), "ten a second");
        assert_eq!(all.next(&to, 40), None, "one timer");
        all.timer_ended(&to);
        assert_eq!(all.next(&to, 100), Some(Step::Wake(one)));
        all.begin(&to, 1, 100);
        all.wait(&to, one, 100);
        all.end(&to);
        assert_eq!(all.next(&to, 200), Some(Step::Wake(two)));
        assert_eq!(all.next(&to, 200), Some(Step::Wake(one)));
        assert!(DestinationLimits::new(Limits::default()).is_unlimited());
    }
}
