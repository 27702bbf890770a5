//! The ledger: what became of each planned occurrence of a job, by what its plans say and what was
//! recorded. The api shows it, tests compare it with what receivers saw. It only reads.
//!
//! ```text
//!   timeline: planned ────────┐
//!   records, ranges ──────────┼──> exactly one state each
//!   pending, runs ────────────┤
//!   watermark, what is dropped┘
//! ```

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::attempts::{self, StoredAttempt};
use super::dead_letters::{self, DeadLetter};
use super::restore_gaps::{self, RestoreGap};
use super::timeline::{FiringState, Planned, Timeline};
use super::{pending, runs};
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::job::Pending;
use crate::model::run::Run;
use crate::model::shard::{Shard, shard_of};
use crate::model::{JobId, Millis};
use crate::store::catalog::{meta, shards};

/// The state of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// End state: a receiver accepted it.
    Delivered,
    /// End state: dead-lettered.
    Dead,
    /// End state: not sent, and why.
    Skipped(SkipReason),
    /// Its next attempt is in a pending row.
    Pending,
    /// It is under way: sent, or accepted by a receiver that will report.
    Running,
    /// It is due, and the watermark of its shard has not reached it yet.
    Unrecorded,
    /// It is not due yet.
    Future,
    /// Its records have been dropped since.
    Forgotten,
    /// The watermark of its shard has passed it, and nothing was recorded. There must be none of
    /// these.
    Missing,
}

impl State {
    /// Its name, as the api shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Skipped(_) => "skipped",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Unrecorded => "not_recorded",
            Self::Future => "future",
            Self::Forgotten => "forgotten",
            Self::Missing => "missing",
        }
    }

    /// The reason of a skip.
    pub fn reason(self) -> Option<SkipReason> {
        match self {
            Self::Skipped(reason) => Some(reason),
            _ => None,
        }
    }
}

/// A planned occurrence and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The due instant.
    pub due: Millis,
    /// How it stands now.
    pub state: State,
}

/// The planned occurrences of a job due from one instant to another, both included, in the order of
/// their due instants: at most `limit`, and any others due at the same instant as the last of them.
/// `None` when nothing is known of the job. What is due after `now` is still to come.
pub fn ledger(
    conn: &Connection,
    job: JobId,
    now: Millis,
    (from, until): (Millis, Millis),
    limit: usize,
) -> rusqlite::Result<Option<Vec<Entry>>> {
    let Some(timeline) = Timeline::of_job(conn, job)? else { return Ok(None) };
    let planned = timeline.between(from.saturating_sub(1), until, limit);
    let earliest = planned.iter().map(|one| one.scheduled).min();
    let latest = planned.iter().map(|one| timeline.latest_due(one)).max();
    let (Some(earliest), Some(latest)) = (earliest, latest) else { return Ok(Some(Vec::new())) };
    let recorded = Recorded::read(conn, job, (earliest, latest))?;
    let progress = Progress::read(conn, job, now)?;
    let entries = planned.iter().map(|one| Entry {
        scheduled: one.scheduled,
        due: one.due,
        state: recorded.state(&timeline, one, &progress),
    });
    Ok(Some(entries.collect()))
}

/// The progress of a shard: up to when its occurrences are accounted for.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The shard; `None` before the cluster is born.
    pub shard: Option<Shard>,
    /// Records due at or before this instant may have been dropped.
    pub dropped: Option<Millis>,
    /// The time of the caller.
    pub now: Millis,
    /// The restore gaps of the shard.
    pub restore_gaps: Vec<RestoreGap>,
}

impl Progress {
    /// Reads that of a job's shard.
    pub fn read(conn: &Connection, job: JobId, now: Millis) -> rusqlite::Result<Self> {
        let shard = shards::all(conn)?.into_iter().find(|shard| shard.id == shard_of(job));
        let restore_gaps = restore_gaps::of_shard(conn, shard_of(job))?;
        Ok(Self { shard, dropped: meta::history_dropped(conn)?, now, restore_gaps })
    }

    /// The restore gap that an occurrence due at an instant fell into.
    pub fn gap(&self, due: Millis) -> Option<&RestoreGap> {
        self.restore_gaps.iter().find(|gap| gap.holds(due))
    }

    /// The watermark for what is due at an instant. While a hand-over is closing, the closing owner
    /// accounts for what is due up to the hand-over instant.
    pub fn watermark(&self, due: Millis) -> Millis {
        match &self.shard {
            None => Millis::MIN,
            Some(Shard { closing: Some(closing), .. }) if due <= closing.until => closing.watermark,
            Some(shard) => shard.watermark,
        }
    }
}

/// Everything recorded of a job's occurrences that are scheduled or due in an interval.
#[derive(Debug)]
pub struct Recorded {
    /// Records by (scheduled, run), in the order in which they were recorded.
    pub records: BTreeMap<(Millis, u64), Vec<StoredAttempt>>,
    /// Skips of whole ranges.
    pub ranges: Vec<StoredAttempt>,
    /// Pending rows, by (scheduled, run).
    pub pending: BTreeMap<(Millis, u64), Pending>,
    /// Runs, by (scheduled, run).
    pub runs: BTreeMap<(Millis, u64), Run>,
    /// Dead letters, by (scheduled, run).
    pub letters: BTreeMap<(Millis, u64), DeadLetter>,
}

impl Recorded {
    /// Reads it: the records that are due in the interval, and all else that is scheduled in it.
    /// Both ends are included.
    pub fn read(
        conn: &Connection,
        job: JobId,
        (from, until): (Millis, Millis),
    ) -> rusqlite::Result<Self> {
        let shard = shard_of(job);
        let mut recorded = Self {
            records: BTreeMap::new(),
            ranges: attempts::ranges_over(conn, shard, from, until)?,
            pending: BTreeMap::new(),
            runs: BTreeMap::new(),
            letters: BTreeMap::new(),
        };
        recorded.ranges.retain(|range| range.record.members.contains(job));
        for found in attempts::between(conn, shard, job, from, until)? {
            if found.record.members.contains(job) {
                let key = (found.record.scheduled, found.record.run);
                recorded.records.entry(key).or_default().push(found);
            }
        }
        for row in pending::between(conn, shard, job, from, until)? {
            if row.members.contains(job) {
                recorded.pending.insert((row.scheduled, row.run), row);
            }
        }
        for letter in dead_letters::between(conn, shard, job, from, until)? {
            if letter.members.contains(job) {
                recorded.letters.insert((letter.scheduled, letter.run), letter);
            }
        }
        for run in runs::of_job(conn, job)? {
            if (from..=until).contains(&run.occurrence.scheduled) {
                recorded.runs.insert((run.occurrence.scheduled, run.occurrence.run), run);
            }
        }
        Ok(recorded)
    }

    /// The records of an occurrence, a range that settled it included, in order.
    pub fn attempts(&self, key: (Millis, u64), due: Millis) -> Vec<&StoredAttempt> {
        let mut found: Vec<_> = self.records.get(&key).into_iter().flatten().collect();
        if key.1 == 0 {
            let over = |range: &&StoredAttempt| range.record.spans(key.0, due);
            found.extend(self.ranges.iter().filter(over));
        }
        found.sort_by_key(|one| one.id);
        found
    }

    /// The state that records, rows or runs give the occurrence, if any does. Delivered beats
    /// everything; an occurrence in a row has no end state; else the first end state stands. A
    /// range holds for what had neither end state nor row.
    pub fn recorded_state(&self, key: (Millis, u64), due: Millis) -> Option<State> {
        let attempts = self.attempts(key, due);
        if attempts.iter().any(|one| one.record.verdict == Verdict::Delivered) {
            return Some(State::Delivered);
        }
        if self.pending.contains_key(&key) {
            return Some(State::Pending);
        }
        if self.runs.contains_key(&key) {
            return Some(State::Running);
        }
        let mut tried = false;
        for one in attempts {
            if one.is_end() && !(tried && one.record.since.is_some()) {
                return Some(match one.record.verdict {
                    Verdict::Skipped(reason) => State::Skipped(reason),
                    _ => State::Dead,
                });
            }
            tried = true;
        }
        self.letters.contains_key(&key).then_some(State::Dead)
    }

    /// The state of a planned occurrence.
    pub fn state(&self, timeline: &Timeline, one: &Planned, progress: &Progress) -> State {
        if let Some(state) = self.recorded_state((one.scheduled, 0), one.due) {
            return state;
        }
        let pause = timeline.pause_of(one.plan, one.due);
        match timeline.firing_of(one) {
            None if timeline.is_gone_by(one.due) => State::Skipped(SkipReason::Ended),
            _ if one.due > progress.now => State::Future,
            Some(FiringState::Disabled) => State::Skipped(SkipReason::Disabled),
            Some(FiringState::Paused) => State::Skipped(SkipReason::Paused),
            _ if pause.is_some_and(|pause| pause.by_quota) => State::Skipped(SkipReason::Quota),
            _ if pause.is_some() => State::Skipped(SkipReason::Paused),
            _ if progress.dropped.is_some_and(|dropped| one.due <= dropped) => State::Forgotten,
            _ if progress.gap(one.due).is_some() => State::Skipped(SkipReason::Restored),
            _ if one.due <= progress.watermark(one.due) => State::Missing,
            _ => State::Unrecorded,
        }
    }
}
