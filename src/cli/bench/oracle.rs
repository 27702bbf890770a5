//! The oracle: which occurrences were planned, and which of them came. It needs a bit for each
//! occurrence and a few words for each job, so that a million jobs fit; arrivals are judged as they
//! come and not kept. `receiver` feeds it and `run` reads it at the end. It knows nothing of the
//! cluster but its promises.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::histogram::Histogram;
use crate::model::Millis;
use crate::schedule::{DstRule, Schedule, anchor};

/// The difference of the clocks of sender and receiver that is not yet early. Both are on one
/// machine, but scheduler time and wall clock are different clocks.
pub(super) const TOLERANCE_MS: Millis = 50;

/// The class of a number that no job has.
const NO_CLASS: u32 = u32::MAX;

/// A job as the API reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Created {
    /// The job's number.
    pub(super) id: u64,
    /// The instant at which the job was created.
    pub(super) at: Millis,
}

/// Judges arrivals against plans.
#[derive(Debug)]
pub(super) struct Oracle {
    window: (Millis, Millis),
    /// The lowest number of a job.
    first: u64,
    /// The class of each job, and the place of its first bit; indexed by the job's number.
    jobs: Vec<(u32, u64)>,
    /// The instants planned in the window, ascending; indexed by class.
    classes: Vec<Vec<Millis>>,
    planned: u64,
    seen: Vec<AtomicU64>,
    fired: AtomicU64,
    duplicates: AtomicU64,
    early: AtomicU64,
    unplanned: AtomicU64,
    lag: Histogram,
    /// The instant of [`Oracle::split_at`], with the counts up to it and after it.
    halves: Option<(Millis, [Half; 2])>,
    /// The counts of each instant, when there is only one class.
    together: Vec<Together>,
}

/// A part of the window.
#[derive(Debug, Default)]
struct Half {
    planned: u64,
    fired: AtomicU64,
    lag: Histogram,
}

/// The arrivals of all jobs at one instant.
#[derive(Debug, Default)]
struct Together {
    came: AtomicU64,
    last: AtomicI64,
}

/// The judgement of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Occurrences planned in the window.
    pub(super) planned: u64,
    /// Planned occurrences that came at least once.
    pub(super) fired: u64,
    /// Planned occurrences that never came.
    pub(super) missed: u64,
    /// Arrivals before their instant.
    pub(super) early: u64,
    /// Arrivals of an occurrence that had come already.
    pub(super) duplicates: u64,
    /// Arrivals due in the window of which no job has such an occurrence.
    pub(super) unplanned: u64,
}

impl Oracle {
    /// Makes an oracle for jobs of one spec, read in UTC. It judges the occurrences that are due
    /// after the first and up to the second instant of the window. `created` must not be empty.
    pub(super) fn new(
        spec: &str,
        created: &[Created],
        window: (Millis, Millis),
    ) -> anyhow::Result<Self> {
        let first = created.iter().map(|job| job.id).min().unwrap_or(0);
        let last = created.iter().map(|job| job.id).max().unwrap_or(0);
        let mut jobs = vec![(NO_CLASS, 0); (last - first) as usize + 1];
        let seeded = Schedule::is_seed_dependent(spec);
        let common = Schedule::parse(spec, chrono_tz::UTC, DstRule::default(), 0)?;
        let mut known: HashMap<(Option<Schedule>, Millis), u32> = HashMap::new();
        let mut classes: Vec<Vec<Millis>> = Vec::new();
        let mut planned = 0;
        for job in created {
            let own = if seeded {
                Some(Schedule::parse(spec, chrono_tz::UTC, DstRule::default(), job.id)?)
            } else {
                None
            };
            // Only `@every` has an anchor; jobs with other schedules share a class.
            let from = if common.period().is_some() { anchor(job.at, &common) } else { 0 };
            let class = *known.entry((own, from)).or_insert_with_key(|(own, from)| {
                let schedule = own.as_ref().unwrap_or(&common);
                let next = |after: &Millis| schedule.next(*from, *after);
                let instants = std::iter::successors(next(&window.0), next);
                classes.push(instants.take_while(|at| *at <= window.1).collect());
                classes.len() as u32 - 1
            });
            jobs[(job.id - first) as usize] = (class, planned);
            planned += classes[class as usize].len() as u64;
        }
        let seen = (0..planned.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let together = match &classes[..] {
            [one] => one.iter().map(|_| Together::default()).collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            window,
            first,
            jobs,
            classes,
            planned,
            seen,
            fired: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            early: AtomicU64::new(0),
            unplanned: AtomicU64::new(0),
            lag: Histogram::default(),
            halves: None,
            together,
        })
    }

    /// Counts what is due up to an instant apart from what is due after it.
    pub(super) fn split_at(mut self, instant: Millis) -> Self {
        let first = |class: &Vec<Millis>| class.partition_point(|at| *at <= instant) as u64;
        let firsts: Vec<u64> = self.classes.iter().map(first).collect();
        let known = self.jobs.iter().filter(|(class, _)| *class != NO_CLASS);
        let before: u64 = known.map(|(class, _)| firsts[*class as usize]).sum();
        let half = |planned| Half { planned, ..Half::default() };
        self.halves = Some((instant, [half(before), half(self.planned - before)]));
        self
    }

    /// The results up to the instant of [`Oracle::split_at`] and after it: planned, fired, and p50,
    /// p99 and maximum of the lag.
    pub(super) fn halves(&self) -> Option<[(u64, u64, [u64; 3]); 2]> {
        let (_, halves) = self.halves.as_ref()?;
        Some([0, 1].map(|n| {
            let Half { planned, fired, lag } = &halves[n];
            let lags = [lag.quantile(500), lag.quantile(990), lag.max()];
            (*planned, fired.load(Ordering::Relaxed), lags)
        }))
    }

    /// The instants of the window, if all jobs have the same ones.
    pub(super) fn common_instants(&self) -> &[Millis] {
        match &self.classes[..] {
            [one] => one,
            _ => &[],
        }
    }

    /// The arrival of the last job of an instant, by the instant's place; `None` until all jobs
    /// have come.
    pub(super) fn complete(&self, place: usize) -> Option<Millis> {
        let instant = self.together.get(place)?;
        let all = self.planned / self.together.len() as u64;
        (instant.came.load(Ordering::Acquire) == all).then(|| instant.last.load(Ordering::Relaxed))
    }

    /// Judges the jobs of one request, each with its due instant, that arrived at `at` by the
    /// receiver's clock. Occurrences outside of the window count only if they are early.
    pub(super) fn arrived(&self, jobs: impl Iterator<Item = (u64, Millis)>, at: Millis) {
        let (mut fired, mut again, mut early, mut unplanned) = (0, 0, 0, 0);
        // All jobs of a request have one instant, so the histogram is called once.
        let mut lag = (0, 0);
        let (mut instant, mut half) = (None, None);
        for (job, due) in jobs {
            early += u64::from(at + TOLERANCE_MS < due);
            if due <= self.window.0 || due > self.window.1 {
                continue;
            }
            let Some((bit, place)) = self.bit(job, due) else {
                unplanned += 1;
                continue;
            };
            let mask = 1 << (bit % 64);
            if self.seen[(bit / 64) as usize].fetch_or(mask, Ordering::Relaxed) & mask != 0 {
                again += 1;
                continue;
            }
            fired += 1;
            instant = self.together.get(place);
            let late = (at - due).max(0) as u64;
            if let Some((split, halves)) = &self.halves {
                half = Some((&halves[usize::from(due > *split)], late));
            }
            if late != lag.0 {
                self.lag.observe(lag.0, lag.1);
                lag = (late, 0);
            }
            lag.1 += 1;
        }
        self.lag.observe(lag.0, lag.1);
        if let Some((half, late)) = half {
            half.fired.fetch_add(fired, Ordering::Relaxed);
            half.lag.observe(late, fired);
        }
        if let Some(instant) = instant {
            instant.last.fetch_max(at, Ordering::Relaxed);
            instant.came.fetch_add(fired, Ordering::Release);
        }
        self.fired.fetch_add(fired, Ordering::Relaxed);
        self.duplicates.fetch_add(again, Ordering::Relaxed);
        self.early.fetch_add(early, Ordering::Relaxed);
        self.unplanned.fetch_add(unplanned, Ordering::Relaxed);
    }

    /// The bit of an occurrence, and the place of its instant among those of its class.
    fn bit(&self, job: u64, due: Millis) -> Option<(u64, usize)> {
        let place = usize::try_from(job.checked_sub(self.first)?).ok()?;
        let (class, begin) = *self.jobs.get(place)?;
        let instants = self.classes.get(class as usize)?;
        let place = instants.binary_search(&due).ok()?;
        Some((begin + place as u64, place))
    }

    /// The judgement so far. `early` is the number of early arrivals before the oracle knew the
    /// jobs.
    pub(super) fn findings(&self, early: u64) -> Findings {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let fired = load(&self.fired);
        Findings {
            planned: self.planned,
            fired,
            missed: self.planned - fired,
            early: early + load(&self.early),
            duplicates: load(&self.duplicates),
            unplanned: load(&self.unplanned),
        }
    }

    /// The lags of first arrivals.
    pub(super) fn lag(&self) -> &Histogram {
        &self.lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(list: &[(u64, Millis)]) -> Vec<Created> {
        list.iter().map(|(id, at)| Created { id: *id, at: *at }).collect()
    }

    /// The oracle itself must be able to find each kind of fault.
    #[test]
    fn it_tells_missed_early_doubled_and_unplanned_apart() {
        let created = jobs(&[(7, 500), (9, 1_000), (12, 2_001)]);
        let oracle = Oracle::new("@every 10s", &created, (10_000, 31_000)).unwrap();
        // 7 and 9 at 11, 21, 31 s; 12 at 13 and 23 s.
        assert_eq!(oracle.findings(0).planned, 8);
        let came = |job, due, at| oracle.arrived([(job, due)].into_iter(), at);
        came(7, 11_000, 11_004);
        came(9, 11_000, 11_004);
        came(7, 21_000, 20_949);
        came(9, 21_000, 20_951);
        came(9, 21_000, 22_000);
        came(12, 13_001, 13_001);
        came(8, 13_000, 13_001);
        came(12, 3_000, 3_001);
        came(12, 33_000, 32_000);
        let expected =
            Findings { planned: 8, fired: 4, missed: 4, early: 3, duplicates: 1, unplanned: 2 };
        assert_eq!(oracle.findings(1), expected);
        assert!(oracle.common_instants().is_empty() && oracle.complete(0).is_none());
        assert_eq!(oracle.lag().quantile(1_000), 4);
    }

    #[test]
    fn many_bits_are_kept_apart_and_cron_needs_no_anchor() {
        let created: Vec<_> = (1..=100).map(|id| Created { id, at: id as Millis }).collect();
        let oracle = Oracle::new("* * * * * *", &created, (0, 7_000)).unwrap();
        for second in 1..=7 {
            oracle.arrived((1..=100).map(|id| (id, second * 1_000)), second * 1_000 + 3);
        }
        let expected = Findings { planned: 700, fired: 700, ..Findings::default() };
        assert_eq!(oracle.findings(0), expected);
        assert_eq!(oracle.lag().quantile(500), 3);
    }

    #[test]
    fn an_instant_of_all_is_complete_when_the_last_has_come() {
        let created = jobs(&[(1, 0), (2, 0)]);
        let oracle = Oracle::new("*/10 * * * * *", &created, (0, 20_000)).unwrap();
        assert_eq!(oracle.common_instants(), [10_000, 20_000]);
        oracle.arrived([(2, 20_000)].into_iter(), 20_009);
        oracle.arrived([(2, 20_000)].into_iter(), 20_010);
        assert_eq!((oracle.complete(0), oracle.complete(1)), (None, None));
        oracle.arrived([(1, 20_000)].into_iter(), 20_031);
        assert_eq!((oracle.complete(0), oracle.complete(1)), (None, Some(20_031)));
    }

    #[test]
    fn a_seed_gives_each_job_its_own_plan() {
        let created = jobs(&[(1, 0), (2, 0), (3, 0)]);
        let oracle = Oracle::new("H * * * * *", &created, (0, 60_000)).unwrap();
        for id in 1..=3 {
            let own = Schedule::parse("H * * * * *", chrono_tz::UTC, DstRule::default(), id);
            let due = own.unwrap().next(0, 0).unwrap();
            oracle.arrived([(id, due)].into_iter(), due);
        }
        let found = oracle.findings(0);
        assert_eq!((found.planned, found.fired, found.unplanned), (3, 3, 0));
    }
}
