//! What the writer knows: each job that was acknowledged, as it must be found at the end, and what it
//! has to do when. `writer` writes it, `judge` holds it against ledger and receivers. It reckons from
//! the answers alone (a job's stamps) and the documented rules, never from the cluster's own plans.

use std::collections::BTreeMap;

use serde_json::Value;

use scheduler0::model::time::parse_rfc3339;
use scheduler0::schedule::{DstRule, Jittered, Schedule};

/// When a job is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// Each so many seconds, from an instant on.
    Every(i64, i64),
    /// At an instant.
    Once(i64),
}

/// A stretch of a job's time, up to the next one's beginning. Its timing decides about what is
/// scheduled in it, and whether it is paused about what is due in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// It holds for instants after this one.
    pub(crate) from: i64,
    /// When the job is due.
    pub(crate) timing: Timing,
    /// Whether it is paused.
    pub(crate) paused: bool,
    /// Each occurrence is delayed by less than this, in milliseconds.
    pub(crate) jitter: i64,
    /// Nothing is scheduled after this instant.
    pub(crate) end: Option<i64>,
}

/// No delay of a job here is longer, in milliseconds.
pub(crate) const LONGEST: i64 = 30_000;

impl Span {
    /// How often the job is due, in milliseconds; `None` for a one-off.
    pub(crate) fn period(&self) -> Option<i64> {
        match self.timing {
            Timing::Every(period, _) => Some(period),
            Timing::Once(_) => None,
        }
    }

    /// When what is scheduled in it for an instant is due.
    fn delayed(&self, job: u64, schedule: &Schedule, at: i64) -> i64 {
        let (anchor, jitter) = match self.timing {
            Timing::Every(_, anchor) => (anchor, self.jitter),
            // What had come when it was made is not delayed.
            Timing::Once(at) if at <= self.from => (at, 0),
            Timing::Once(at) => (at, self.jitter),
        };
        Jittered { schedule, anchor, job, jitter }.due(at)
    }

    fn schedule(&self) -> Schedule {
        let Timing::Every(period, _) = self.timing else { return Schedule::once() };
        let spec = format!("@every {}s", period / 1_000);
        // The period was taken by the cluster.
        Schedule::parse(&spec, chrono_tz::UTC, DstRule::default(), 0).unwrap()
    }
}

/// A job that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedJob {
    /// Its number.
    pub(crate) id: u64,
    /// Few retries: it may die of a receiver that fails.
    pub(crate) mortal: bool,
    /// Nothing of it is ever too late: it must not be skipped as a misfire.
    pub(crate) patient: bool,
    /// Its version: one more with each change.
    pub(crate) version: u64,
    /// Its data: changed with each edit.
    pub(crate) data: String,
    /// Its time so far.
    pub(crate) spans: Vec<Span>,
    /// Its deletion was committed between these instants.
    pub(crate) deleted: Option<(i64, i64)>,
}

/// An occurrence that a job must have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// When it was due.
    pub(crate) instant: i64,
    /// Whether it fell into a pause.
    pub(crate) paused: bool,
    /// Whether the deletion may have come before it.
    pub(crate) doubtful: bool,
}

/// The instant that a job counts from: the stamp, rounded up to a whole second.
fn anchor(stamp: i64) -> i64 {
    (stamp + 999).div_euclid(1_000) * 1_000
}

fn stamp(job: &Value, field: &str) -> Option<i64> {
    parse_rfc3339(job[field].as_str()?)
}

impl ExpectedJob {
    /// A job as its creation was answered. `every` is its period in seconds; without one it is a
    /// one-off, `after` so many seconds or at the instant that it shows.
    pub(crate) fn created(
        job: &Value,
        every: Option<i64>,
        after: Option<i64>,
        jitter: i64,
    ) -> Option<Self> {
        let created = stamp(job, "dateCreated")?;
        let timing = match (every, after) {
            (Some(period), _) => Timing::Every(period * 1_000, anchor(created)),
            (None, Some(delay)) => Timing::Once(anchor(created) + delay * 1_000),
            (None, None) => Timing::Once(stamp(job, "at")?),
        };
        Some(Self {
            id: job["id"].as_u64()?,
            mortal: job["retryMax"].as_u64()? < 50,
            patient: job["misfire"]["policy"] == "all",
            version: job["version"].as_u64()?,
            data: job["data"].as_str()?.to_owned(),
            spans: vec![Span { from: created, timing, paused: false, jitter, end: None }],
            deleted: None,
        })
    }

    /// How it is now.
    pub(crate) fn last(&self) -> Span {
        self.spans[self.spans.len() - 1]
    }

    /// Whether it is a one-off.
    pub(crate) fn is_once(&self) -> bool {
        matches!(self.spans[0].timing, Timing::Once(_))
    }

    /// Takes a change in, as it was answered: the job afterwards. `to` is what it says of jitter, end
    /// and pause.
    pub(crate) fn changed(&mut self, job: &Value, every: Option<i64>, to: Span) -> Option<()> {
        let from = stamp(job, "dateModified")?;
        let timing = match every {
            Some(period) => Timing::Every(period * 1_000, anchor(from)),
            None => self.last().timing,
        };
        let span = Span { from, timing, ..to };
        if span != (Span { from, ..self.last() }) {
            self.spans.push(span);
        }
        self.version = job["version"].as_u64()?;
        job["data"].as_str()?.clone_into(&mut self.data);
        Some(())
    }

    /// Every occurrence due up to an instant, by the one that it is scheduled for.
    pub(crate) fn due(&self, until: i64) -> BTreeMap<i64, Due> {
        // The leader that stamped the deletion may be this much off.
        const SLACK: i64 = 1_000;
        let mut found = BTreeMap::new();
        let gone = self.deleted.map_or((i64::MAX, i64::MAX), |(a, b)| (a - SLACK, b + SLACK));
        for (index, span) in self.spans.iter().enumerate() {
            let end = self.spans.get(index + 1).map_or(i64::MAX, |next| next.from);
            let end = end.min(until).min(gone.1).min(span.end.unwrap_or(i64::MAX));
            let schedule = span.schedule();
            let mut one = |at| {
                let instant = span.delayed(self.id, &schedule, at);
                let paused = self.paused_at(instant);
                // What was scheduled before the deletion is told, whatever became of it.
                let planned = Due { instant, paused, doubtful: at > gone.0 };
                found.extend((instant <= until).then_some((at, planned)));
            };
            match span.timing {
                Timing::Once(at) if at <= end => one(at),
                Timing::Once(_) => {}
                Timing::Every(period, anchor) => {
                    // The first beat after the beginning; an anchor is no occurrence.
                    let beats = (span.from - anchor).div_euclid(period) + 1;
                    let first = anchor + beats.max(1) * period;
                    let mut at = first;
                    while at <= end {
                        one(at);
                        at += period;
                    }
                }
            }
        }
        found
    }

    /// Whether it was paused at an instant.
    fn paused_at(&self, instant: i64) -> bool {
        let begun = self.spans.iter().rev().find(|span| span.from < instant);
        begun.is_some_and(|span| span.paused)
    }

    /// Whether an instant lies so shortly after a change that a call may have gone out before the
    /// sender knew of it.
    pub(crate) fn changed_before(&self, instant: i64, within: i64) -> bool {
        let changes = self.spans.iter().skip(1).map(|span| span.from);
        let mut changes = changes.chain(self.deleted.map(|(from, _)| from - 1_000));
        let end = self.deleted.map_or(0, |(_, until)| until);
        changes.any(|from| instant > from && instant <= from.max(end) + within)
    }
}

/// A run that was asked for and acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedRun {
    /// Of which job.
    pub(crate) job: u64,
    /// Its scheduled instant.
    pub(crate) scheduled: i64,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// By job.
    pub(crate) jobs: BTreeMap<u64, ExpectedJob>,
    /// By execution id.
    pub(crate) runs: BTreeMap<String, ExpectedRun>,
    /// Jobs that never fire, but must be there.
    pub(crate) idle_jobs: u64,
}
