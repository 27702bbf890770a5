//! The oracle: it matches the arrivals at a receiver one to one to the planned instants of jobs,
//! and reports what was missed, extra, early or doubled. It knows nothing of the cluster but its
//! promises, and shares no code with the oracle of `scheduler0 bench`, so that each can find the
//! other's faults.

use std::collections::BTreeMap;

use scheduler0::schedule::Schedule;

/// A job as the test created it.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// Its number.
    pub(crate) job: u64,
    /// Its schedule.
    pub(crate) schedule: Schedule,
    /// The instant that an `@every` counts from.
    pub(crate) anchor: i64,
    /// The instant after which its occurrences begin.
    pub(crate) from: i64,
}

/// One job in one request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The job.
    pub(crate) job: u64,
    /// The execution id it carried.
    pub(crate) execution_id: String,
    /// The scheduled instant that the request named, in milliseconds.
    pub(crate) scheduled: i64,
    /// The receiver's clock when it arrived, in milliseconds.
    pub(crate) at: i64,
    /// True when the receiver accepted it.
    pub(crate) accepted: bool,
    /// The number of the attempt.
    pub(crate) attempt: u32,
}

/// A planned instant of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    /// The job.
    pub(crate) job: u64,
    /// The instant, in milliseconds.
    pub(crate) at: i64,
}

/// A planned instant that was accepted more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubled {
    /// The job.
    pub(crate) job: u64,
    /// The instant, in milliseconds.
    pub(crate) at: i64,
    /// The number of accepted arrivals.
    pub(crate) times: usize,
}

/// The findings between two instants.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The number of planned instants in the window that were accepted.
    pub(crate) delivered: usize,
    /// Planned and never accepted.
    pub(crate) missed: Vec<Instance>,
    /// Arrivals that no plan asked for.
    pub(crate) extra: Vec<Arrival>,
    /// Arrivals before their instant, beyond the tolerance.
    pub(crate) early: Vec<Arrival>,
    /// Accepted more than once.
    pub(crate) doubled: Vec<Doubled>,
    /// Occurrences that came with two different execution ids.
    pub(crate) renamed: Vec<Instance>,
}

impl Findings {
    /// Asserts that nothing was missed, extra, early or renamed. The caller judges doubles.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        assert!(self.missed.is_empty(), "missed {}: {:?}", self.missed.len(), head(&self.missed));
        assert!(self.extra.is_empty(), "extra {}: {:?}", self.extra.len(), head(&self.extra));
        assert!(self.early.is_empty(), "early {}: {:?}", self.early.len(), head(&self.early));
        assert!(self.renamed.is_empty(), "two ids for one occurrence: {:?}", head(&self.renamed));
    }

    /// Asserts that nothing was accepted twice.
    #[track_caller]
    pub(crate) fn assert_once(&self) {
        assert!(
            self.doubled.is_empty(),
            "doubled {}: {:?}",
            self.doubled.len(),
            head(&self.doubled)
        );
    }
}

fn head<T>(list: &[T]) -> &[T] {
    &list[..list.len().min(5)]
}

/// Judges all instants due in (`from`, `to`]. Arrivals outside the window count only as early or
/// extra. The clocks of sender and receiver may differ by `tolerance` milliseconds.
pub(crate) fn judge(
    jobs: &[Planned],
    arrivals: &[Arrival],
    from: i64,
    to: i64,
    tolerance: i64,
) -> Findings {
    let mut findings = Findings::default();
    let plans: BTreeMap<u64, &Planned> = jobs.iter().map(|p| (p.job, p)).collect();
    let mut seen: BTreeMap<(u64, i64), Vec<&Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        let planned = plans.get(&arrival.job).is_some_and(|p| {
            arrival.scheduled > p.from
                && p.schedule.prev(p.anchor, arrival.scheduled) == Some(arrival.scheduled)
        });
        if !planned {
            findings.extra.push(arrival.clone());
            continue;
        }
        if arrival.at + tolerance < arrival.scheduled {
            findings.early.push(arrival.clone());
        }
        seen.entry((arrival.job, arrival.scheduled)).or_default().push(arrival);
    }
    for plan in jobs {
        let mut after = from.max(plan.from);
        while let Some(instant) = plan.schedule.next(plan.anchor, after).filter(|t| *t <= to) {
            after = instant;
            let arrivals = seen.get(&(plan.job, instant)).map_or(&[][..], Vec::as_slice);
            let accepted = arrivals.iter().filter(|a| a.accepted).count();
            match accepted {
                0 => findings.missed.push(Instance { job: plan.job, at: instant }),
                1 => findings.delivered += 1,
                n => {
                    findings.delivered += 1;
                    findings.doubled.push(Doubled { job: plan.job, at: instant, times: n });
                }
            }
            if arrivals.windows(2).any(|w| w[0].execution_id != w[1].execution_id) {
                findings.renamed.push(Instance { job: plan.job, at: instant });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use scheduler0::schedule::DstRule;

    fn arrival(scheduled: i64, at: i64, accepted: bool) -> Arrival {
        let execution_id = format!("x-{scheduled}");
        Arrival { job: 1, execution_id, scheduled, at, accepted, attempt: 1 }
    }

    /// The oracle must be able to find each kind of fault.
    #[test]
    fn it_tells_missed_extra_early_and_doubled_apart() {
        let schedule =
            Schedule::parse("@every 10s", chrono_tz::UTC, DstRule::default(), 1).unwrap();
        let plan = Planned { job: 1, schedule, anchor: 0, from: 0 };
        let seen = [
            arrival(10_000, 10_003, true),
            arrival(20_000, 18_000, true),
            arrival(30_000, 30_001, false),
            arrival(40_000, 40_001, true),
            arrival(40_000, 40_900, true),
            arrival(41_000, 41_000, true),
        ];
        let found = judge(&[plan], &seen, 0, 40_000, 100);
        assert_eq!(found.delivered, 3);
        assert_eq!(found.missed, [Instance { job: 1, at: 30_000 }]);
        assert_eq!(found.doubled, [Doubled { job: 1, at: 40_000, times: 2 }]);
        assert_eq!((found.early.len(), found.extra.len()), (1, 1));
        assert!(found.renamed.is_empty());
    }
}
