//! Jitter: the delay of an occurrence after its scheduled instant. It is a pure hash of job and
//! instant, so that every node computes the same delay. It is shorter than the distance to the next
//! instant, so that a job's occurrences keep their order. It is in whole seconds where there is a
//! second or more, so that jobs scheduled for the same instant are still sent together, in smaller
//! groups. Called by the worker's due queue and by `explain`. It never changes an execution id,
//! which is made of the scheduled instant.

use super::{Millis, Schedule};

const SECOND: Millis = 1_000;
/// The longest delay.
const LONGEST: Millis = u32::MAX as Millis;

/// A schedule whose occurrences are due a little later than scheduled, as one job has it.
#[derive(Clone, Copy, Debug)]
pub struct Jittered<'a> {
    /// The scheduled instant.
    pub schedule: &'a Schedule,
    /// The anchor of the schedule.
    pub anchor: Millis,
    /// The job's number.
    pub job: u64,
    /// Each is delayed by less than this, in milliseconds, at most 49 days; 0 or less for none.
    pub jitter: Millis,
}

impl Jittered<'_> {
    /// The due instant of an occurrence: not before its scheduled instant, and before the next one.
    pub fn due(&self, scheduled: Millis) -> Millis {
        if self.jitter <= 0 {
            return scheduled;
        }
        let gap = self.schedule.next(self.anchor, scheduled).map(|next| next - scheduled);
        delayed(self.job, scheduled, gap.map_or(self.jitter, |gap| gap.min(self.jitter)))
    }

    /// The first occurrence due strictly after an instant, as (scheduled, due).
    pub fn next(&self, after: Millis) -> Option<(Millis, Millis)> {
        if self.jitter > 0
            && let Some(scheduled) = self.schedule.prev(self.anchor, after)
        {
            // This one is scheduled by then, and its due instant may still be ahead.
            let due = self.due(scheduled);
            if due > after {
                return Some((scheduled, due));
            }
        }
        let scheduled = self.schedule.next(self.anchor, after)?;
        Some((scheduled, self.due(scheduled)))
    }

    /// The last occurrence due at or before an instant, as (scheduled, due).
    pub fn prev(&self, at_or_before: Millis) -> Option<(Millis, Millis)> {
        let mut scheduled = self.schedule.prev(self.anchor, at_or_before)?;
        let mut due = self.due(scheduled);
        if due > at_or_before {
            scheduled = self.schedule.prev(self.anchor, scheduled - 1)?;
            due = self.due(scheduled);
        }
        Some((scheduled, due))
    }

    /// The scheduled instant of the occurrence that is due at an instant, if one is.
    pub fn scheduled_of(&self, due: Millis) -> Option<Millis> {
        self.prev(due).filter(|found| found.1 == due).map(|found| found.0)
    }
}

/// The due instant of a job's occurrence that is delayed by less than `most`, in milliseconds.
pub fn delayed(job: u64, scheduled: Millis, most: Millis) -> Millis {
    let most = most.clamp(1, LONGEST);
    let unit = if most >= SECOND { SECOND } else { 1 };
    // Rounded up, so that the last step is still below `most`.
    let steps = (most + unit - 1) / unit;
    let hash = mix(mix(job) ^ scheduled.cast_unsigned());
    scheduled.saturating_add((hash % steps.cast_unsigned()) as Millis * unit)
}

/// The finalizer of `SplitMix64`.
fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::DstRule;
    use proptest::prelude::*;

    const T0: Millis = 1_763_700_000_000;

    fn schedules() -> Vec<Schedule> {
        let berlin = chrono_tz::Europe::Berlin;
        let specs = ["@every 7s", "* * * * *", "30 2 * * *", "0,1 9 * * 1-5", "*/10 * * * * *"];
        let read = |spec| Schedule::parse(spec, berlin, DstRule::default(), 0).unwrap();
        specs.into_iter().map(read).chain([Schedule::once()]).collect()
    }

    #[test]
    fn the_delay_of_an_instant_is_the_same_for_ever() {
        // A change of these numbers would change what clusters do at an upgrade.
        let minutes = Schedule::parse("* * * * *", chrono_tz::UTC, DstRule::default(), 0).unwrap();
        let of = |job| Jittered { schedule: &minutes, anchor: 0, job, jitter: 30_000 };
        assert_eq!([1, 2, 3].map(|job| of(job).due(T0) - T0), [6_000, 12_000, 21_000]);
        assert_eq!(Jittered { jitter: 0, ..of(1) }.due(T0), T0);
    }

    #[test]
    fn a_one_off_is_delayed_by_its_jitter_at_most() {
        let once = Schedule::once();
        let of = |job| Jittered { schedule: &once, anchor: T0, job, jitter: 10_000 };
        let delays: Vec<_> = (0..50).map(|job| of(job).due(T0) - T0).collect();
        assert!(delays.iter().all(|delay| (0..10_000).contains(delay)));
        assert!(delays.iter().any(|delay| *delay > 5_000));
        let due = of(7).due(T0);
        assert_eq!((of(7).next(T0 - 1), of(7).next(due)), (Some((T0, due)), None));
        assert_eq!((of(7).prev(due), of(7).prev(due - 1)), (Some((T0, due)), None));
    }

    proptest! {
        /// Due in the order of scheduling, never before the scheduled instant, never as late as the
        /// next one; and `next`, `prev` and `scheduled_of` see the same list of occurrences.
        #[test]
        fn occurrences_keep_their_order(which in 0_usize..6, job in any::<u64>(),
                jitter in prop_oneof![Just(0), 1_i64..100, 1_i64..200_000_000],
                from in -40_000_000_000_i64..40_000_000_000) {
            let schedule = &schedules()[which];
            let from = T0 + from;
            let anchor = from.div_euclid(1_000) * 1_000;
            let of = Jittered { schedule, anchor, job, jitter };
            let mut at = from;
            let mut before = None;
            for _ in 0..40 {
                let Some((scheduled, due)) = of.next(at) else { break };
                prop_assert_eq!(due, of.due(scheduled));
                prop_assert!(due > at && scheduled <= due && due - scheduled < jitter.max(1));
                let following = schedule.next(anchor, scheduled);
                prop_assert!(following.is_none_or(|next| due < next));
                if let Some(before) = before {
                    prop_assert_eq!(schedule.next(anchor, before), Some(scheduled));
                    prop_assert_eq!(of.prev(due - 1).map(|found| found.0), Some(before));
                }
                prop_assert_eq!(of.prev(due), Some((scheduled, due)));
                prop_assert_eq!(of.scheduled_of(due), Some(scheduled));
                prop_assert!(due == scheduled || of.scheduled_of(due - 1).is_none());
                (at, before) = (due, Some(scheduled));
            }
        }
    }
}
