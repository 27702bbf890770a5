//! The state that a run must end with: each acknowledged job and its occurrences. `writer` writes
//! it, `judge` compares it with the ledger and the receivers. It follows from the answers (a job's
//! stamps) and the documented rules alone, never from the cluster's own plans.

use std::collections::BTreeMap;

use serde_json::Value;

use scheduler0::model::time::parse_rfc3339;
use scheduler0::schedule::{DstRule, Jittered, Schedule};

/// The schedule of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// Periodic: the period and the anchor, in milliseconds.
    Every(i64, i64),
    /// Once, at an instant.
    Once(i64),
}

/// An interval of a job's life, up to the beginning of the next one. Its timing holds for what is
/// scheduled in it, its pause for what is due in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The instant after which it holds.
    pub(crate) from: i64,
    /// The schedule.
    pub(crate) timing: Timing,
    /// True while the job is paused.
    pub(crate) paused: bool,
    /// The delay of an occurrence is below this, in milliseconds.
    pub(crate) jitter: i64,
    /// The last date: nothing is scheduled after it.
    pub(crate) end: Option<i64>,
}

/// The longest jitter of a job here, in milliseconds.
pub(crate) const MAX_JITTER: i64 = 30_000;

impl Span {
    /// The period in milliseconds; `None` for a one-off.
    pub(crate) fn period(&self) -> Option<i64> {
        match self.timing {
            Timing::Every(period, _) => Some(period),
            Timing::Once(_) => None,
        }
    }

    /// True when the schedule has an occurrence at an instant, whenever the span ends.
    fn schedules(&self, at: i64) -> bool {
        match self.timing {
            Timing::Once(once) => at == once,
            Timing::Every(period, anchor) => at > anchor && (at - anchor) % period == 0,
        }
    }

    /// The due instant of what is scheduled for an instant.
    fn due_instant(&self, job: u64, schedule: &Schedule, at: i64) -> i64 {
        let (anchor, jitter) = match self.timing {
            Timing::Every(_, anchor) => (anchor, self.jitter),
            // An instant that had passed at the creation is not delayed.
            Timing::Once(at) if at <= self.from => (at, 0),
            Timing::Once(at) => (at, self.jitter),
        };
        Jittered { schedule, anchor, job, jitter }.due(at)
    }

    fn schedule(&self) -> Schedule {
        let Timing::Every(period, _) = self.timing else { return Schedule::once() };
        let spec = format!("@every {}s", period / 1_000);
        // The cluster accepted the period.
        Schedule::parse(&spec, chrono_tz::UTC, DstRule::default(), 0).unwrap()
    }
}

/// The way in which a job is performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A call of a receiver.
    Call,
    /// A message to the broker.
    Message,
    /// A run that a worker performs.
    Run(Bus, Overlap),
}

/// The way by which workers get the runs of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bus {
    /// They claim them.
    Embedded,
    /// They take them from the broker.
    Broker,
}

/// What happens to an occurrence of a worker's job that falls due beside a run of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// It is performed, too.
    Allow,
    /// It is skipped.
    Skip,
    /// It waits, or is skipped when too many wait.
    Queue,
}

impl Kind {
    /// True where an occurrence may be skipped for this reason.
    pub(crate) fn may_skip(self, reason: &str) -> bool {
        match self {
            Self::Run(_, Overlap::Skip) => reason == "overlap",
            Self::Run(_, Overlap::Queue) => reason == "queue_full",
            _ => false,
        }
    }

    /// True for runs of which two must not be under way at the same time.
    pub(crate) fn is_one_at_a_time(self) -> bool {
        matches!(self, Self::Run(_, Overlap::Skip | Overlap::Queue))
    }

    /// True for runs of workers.
    pub(crate) fn is_run(self) -> bool {
        matches!(self, Self::Run(..))
    }

    /// True for runs that workers take from the broker.
    pub(crate) fn is_over_broker(self) -> bool {
        matches!(self, Self::Run(Bus::Broker, _))
    }
}

/// An acknowledged job.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedJob {
    /// The id.
    pub(crate) id: u64,
    /// The way in which it is performed.
    pub(crate) kind: Kind,
    /// True with few retries: its occurrences may be dead-lettered while a receiver fails.
    pub(crate) may_die: bool,
    /// True with the misfire policy `all`: no occurrence may be skipped as a misfire.
    pub(crate) never_misfires: bool,
    /// The version, which grows by one with each change.
    pub(crate) version: u64,
    /// The data, which each edit changes.
    pub(crate) data: String,
    /// Its intervals so far.
    pub(crate) spans: Vec<Span>,
    /// The instants between which its deletion was committed.
    pub(crate) deleted: Option<(i64, i64)>,
}

/// An occurrence that a job must have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The due instant.
    pub(crate) instant: i64,
    /// True when a pause covers it.
    pub(crate) paused: bool,
    /// True when the deletion may have come before it.
    pub(crate) doubtful: bool,
}

/// The anchor of a job: its stamp, rounded up to a whole second.
fn anchor(stamp: i64) -> i64 {
    (stamp + 999).div_euclid(1_000) * 1_000
}

fn stamp(job: &Value, field: &str) -> Option<i64> {
    parse_rfc3339(job[field].as_str()?)
}

impl ExpectedJob {
    /// A job as the answer to its creation shows it. `every` is its period in seconds. Without one
    /// it is a one-off, `after` seconds later or at the instant that the answer shows.
    pub(crate) fn created(
        job: &Value,
        kind: Kind,
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
            kind,
            may_die: job["retryMax"].as_u64()? < 50,
            never_misfires: job["misfire"]["policy"] == "all",
            version: job["version"].as_u64()?,
            data: job["data"].as_str()?.to_owned(),
            spans: vec![Span { from: created, timing, paused: false, jitter, end: None }],
            deleted: None,
        })
    }

    /// The present interval.
    pub(crate) fn last(&self) -> Span {
        self.spans[self.spans.len() - 1]
    }

    /// True for a one-off.
    pub(crate) fn is_once(&self) -> bool {
        matches!(self.spans[0].timing, Timing::Once(_))
    }

    /// Applies a change as the answer shows the job afterwards. `to` has the new jitter, end and
    /// pause.
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
        // The clock of the leader that stamped the deletion may be off by this.
        const SLACK: i64 = 1_000;
        let mut found = BTreeMap::new();
        let gone = self.deleted.map_or((i64::MAX, i64::MAX), |(a, b)| (a - SLACK, b + SLACK));
        for (index, span) in self.spans.iter().enumerate() {
            let end = self.spans.get(index + 1).map_or(i64::MAX, |next| next.from);
            let end = end.min(until).min(gone.1).min(span.end.unwrap_or(i64::MAX));
            let schedule = span.schedule();
            let mut one = |at| {
                let instant = span.due_instant(self.id, &schedule, at);
                let paused = self.paused_at(instant);
                // An occurrence that was scheduled before the deletion is in the ledger, whatever
                // its end.
                let planned = Due { instant, paused, doubtful: at > gone.0 };
                found.extend((instant <= until).then_some((at, planned)));
            };
            match span.timing {
                Timing::Once(at) if at <= end => one(at),
                Timing::Once(_) => {}
                Timing::Every(period, anchor) => {
                    // The first occurrence after the beginning; the anchor is none.
                    let periods = (span.from - anchor).div_euclid(period) + 1;
                    let first = anchor + periods.max(1) * period;
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

    /// True when it was paused at an instant.
    fn paused_at(&self, instant: i64) -> bool {
        let begun = self.spans.iter().rev().find(|span| span.from < instant);
        begun.is_some_and(|span| span.paused)
    }

    /// True when what is scheduled for an instant may have been sent by the plan before a change
    /// that delays it, since the sender did not know of the change yet.
    pub(crate) fn was_due_before_change(&self, at: i64, sent: i64, within: i64) -> bool {
        self.spans.windows(2).any(|pair| {
            let (old, changed) = (pair[0], pair[1].from);
            changed < sent
                && sent <= changed + within
                && !old.paused
                && old.schedules(at)
                && old.due_instant(self.id, &old.schedule(), at) <= sent
        })
    }

    /// True when an instant lies so shortly after a change that a call may have been sent before
    /// the sender knew of it.
    pub(crate) fn changed_before(&self, instant: i64, within: i64) -> bool {
        let changes = self.spans.iter().skip(1).map(|span| span.from);
        let mut changes = changes.chain(self.deleted.map(|(from, _)| from - 1_000));
        let end = self.deleted.map_or(0, |(_, until)| until);
        changes.any(|from| instant > from && instant <= from.max(end) + within)
    }
}

/// An acknowledged manual run.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedRun {
    /// The job.
    pub(crate) job: u64,
    /// The scheduled instant.
    pub(crate) scheduled: i64,
}

/// A client's wish that a run ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpectedCancel {
    /// What it was answered, and when; `None` where no answer was final.
    pub(crate) answer: Option<(CancelAnswer, i64)>,
}

/// The final answer to a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelAnswer {
    /// The run is over.
    Cancelled,
    /// Its worker is to stop.
    Cancelling,
    /// It was over before, or is unknown. True where an earlier try may have counted.
    Refused(bool),
}

/// All acknowledged writes.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Jobs by id.
    pub(crate) jobs: BTreeMap<u64, ExpectedJob>,
    /// Manual runs by execution id.
    pub(crate) runs: BTreeMap<String, ExpectedRun>,
    /// Cancels by execution id.
    pub(crate) cancels: BTreeMap<String, Vec<ExpectedCancel>>,
    /// The number of jobs that never fire but must exist.
    pub(crate) idle_jobs: u64,
}

impl Expected {
    /// The number of runs whose cancel was answered as such.
    pub(crate) fn cancelled(&self) -> usize {
        let counts = |cancel: &ExpectedCancel| {
            matches!(cancel.answer, Some((CancelAnswer::Cancelled | CancelAnswer::Cancelling, _)))
        };
        self.cancels.values().filter(|all| all.iter().any(counts)).count()
    }
}
