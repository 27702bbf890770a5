//! The ledger: what became of each planned occurrence of a job, by what its plans say and what was
//! recorded. The api shows it, tests hold it against what receivers saw. Reads only.
//!
//! ```text
//!   timeline ── planned ──┐
//!   records, ranges ───────┼──> exactly one state each
//!   pending, runs ────────┤
//!   W, what was dropped ──┘
//! ```

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::attempts::StoredAttempt;
use super::dead_letters::DeadLetter;
use super::restore_gaps::RestoreGap;
use super::timeline::{FiringState, Planned, Timeline};
use super::{attempts, dead_letters, meta, pending, restore_gaps, runs, shards};
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::job::Pending;
use crate::model::run::Run;
use crate::model::shard::{Shard, ShardId, shard_of};
use crate::model::{JobId, Millis};

/// What became of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// End state: a receiver accepted it.
    Delivered,
    /// End state: given up.
    Dead,
    /// End state: not sent, and why.
    Skipped(SkipReason),
    /// Its next attempt is in the books.
    Pending,
    /// It is under way: sent, or accepted and to be reported on.
    Running,
    /// It is due, and its shard's owner has not yet said that it is through with that instant.
    Unrecorded,
    /// It is not due yet.
    Future,
    /// What was recorded of it has been dropped since.
    Forgotten,
    /// Its shard's owner is past it, and nothing was recorded: there must be none of these.
    Missing,
}

impl State {
    /// Its name, as shown.
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

    /// Why, of a skip.
    pub fn reason(self) -> Option<SkipReason> {
        match self {
            Self::Skipped(reason) => Some(reason),
            _ => None,
        }
    }
}

/// A planned occurrence and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The scheduled instant.
    pub scheduled: Millis,
    /// When it is due.
    pub due: Millis,
    /// What became of it.
    pub state: State,
}

/// The planned occurrences of a job due from one instant to another, both included, at most so many,
/// in the order of their due instants, and those that are due with the last of them; `None` when nothing is known of the job. `now` tells what is
/// still to come.
pub fn ledger(
    conn: &Connection,
    job: JobId,
    now: Millis,
    (from, until): (Millis, Millis),
    limit: usize,
) -> rusqlite::Result<Option<Vec<Entry>>> {
    let Some(timeline) = Timeline::of_job(conn, job)? else { return Ok(None) };
    let planned = timeline.between(from.saturating_sub(1), until, limit);
    let (Some(first), Some(last)) = (planned.first(), planned.last()) else {
        return Ok(Some(Vec::new()));
    };
    let earliest = planned.iter().map(|one| one.scheduled).min().unwrap_or(first.due);
    let kept = Kept::read(conn, job, (earliest, last.due))?;
    let progress = Progress::read(conn, job, now)?;
    let entries = planned.iter().map(|one| Entry {
        scheduled: one.scheduled,
        due: one.due,
        state: kept.state(&timeline, one, &progress),
    });
    Ok(Some(entries.collect()))
}

/// How far a job's shard is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The shard; `None` before the cluster is born.
    pub shard: Option<Shard>,
    /// What was due at or before this instant may have been dropped.
    pub dropped: Option<Millis>,
    /// The time of whoever asks.
    pub now: Millis,
    /// What its restores left out.
    pub restore_gaps: Vec<RestoreGap>,
}

impl Progress {
    /// That of a job's shard.
    pub fn read(conn: &Connection, job: JobId, now: Millis) -> rusqlite::Result<Self> {
        let shard = shards::all(conn)?.into_iter().find(|shard| shard.id == shard_of(job));
        let restore_gaps = restore_gaps::of_shard(conn, shard_of(job))?;
        Ok(Self { shard, dropped: meta::history_dropped(conn)?, now, restore_gaps })
    }

    /// The gap that an occurrence due at an instant fell into.
    pub fn gap(&self, due: Millis) -> Option<&RestoreGap> {
        self.restore_gaps.iter().find(|gap| gap.holds(due))
    }

    /// W for what is due at an instant: while a hand-over is closing, what is due up to H is the
    /// closing owner's.
    pub fn watermark(&self, due: Millis) -> Millis {
        match &self.shard {
            None => Millis::MIN,
            Some(Shard { closing: Some(closing), .. }) if due <= closing.until => closing.watermark,
            Some(shard) => shard.watermark,
        }
    }
}

/// What the books hold of a job's occurrences scheduled or due in a stretch of time.
#[derive(Debug)]
pub struct Kept {
    /// Records by (scheduled, run), in the order in which they were recorded.
    pub records: BTreeMap<(Millis, u64), Vec<StoredAttempt>>,
    /// Skips of whole stretches.
    pub ranges: Vec<StoredAttempt>,
    /// Rows, by (scheduled, run).
    pub pending: BTreeMap<(Millis, u64), Pending>,
    /// Runs, by (scheduled, run).
    pub runs: BTreeMap<(Millis, u64), Run>,
    /// Dead letters, by (scheduled, run).
    pub letters: BTreeMap<(Millis, u64), DeadLetter>,
}

impl Kept {
    /// Reads it: of records what is due, of all else what is scheduled in the stretch, ends included.
    pub fn read(
        conn: &Connection,
        job: JobId,
        (from, until): (Millis, Millis),
    ) -> rusqlite::Result<Self> {
        let shard = shard_of(job);
        let mut kept = Self {
            records: BTreeMap::new(),
            ranges: attempts::ranges_over(conn, shard, from, until)?,
            pending: BTreeMap::new(),
            runs: BTreeMap::new(),
            letters: BTreeMap::new(),
        };
        kept.ranges.retain(|range| range.record.members.contains(job));
        for found in attempts::between(conn, shard, job, from, until)? {
            if found.record.members.contains(job) {
                let key = (found.record.scheduled, found.record.run);
                kept.records.entry(key).or_default().push(found);
            }
        }
        for row in pending::between(conn, shard, job, from, until)? {
            if row.members.contains(job) {
                kept.pending.insert((row.scheduled, row.run), row);
            }
        }
        for letter in dead_letters::between(conn, shard, job, from, until)? {
            if letter.members.contains(job) {
                kept.letters.insert((letter.scheduled, letter.run), letter);
            }
        }
        for run in runs::of_job(conn, job)? {
            if (from..=until).contains(&run.occurrence.scheduled) {
                kept.runs.insert((run.occurrence.scheduled, run.occurrence.run), run);
            }
        }
        Ok(kept)
    }

    /// What was recorded of an occurrence, a range that settled it included, in order.
    pub fn attempts(&self, key: (Millis, u64), due: Millis) -> Vec<&StoredAttempt> {
        let mut found: Vec<_> = self.records.get(&key).into_iter().flatten().collect();
        if key.1 == 0 {
            let over = |range: &&StoredAttempt| range.record.spans(key.0, due);
            found.extend(self.ranges.iter().filter(over));
        }
        found.sort_by_key(|one| one.id);
        found
    }

    /// What was recorded, if anything settles or holds the occurrence: delivered beats everything; one
    /// that is in a row has no end state; else the first end state stands. A range is about what had
    /// neither end state nor row.
    pub fn recorded(&self, key: (Millis, u64), due: Millis) -> Option<State> {
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
        if let Some(state) = self.recorded((one.scheduled, 0), one.due) {
            return state;
        }
        let paused = timeline.pause_of(one.plan, one.due).is_some();
        match timeline.firing_of(one) {
            None if timeline.is_gone_by(one.due) => State::Skipped(SkipReason::Ended),
            _ if one.due > progress.now => State::Future,
            Some(FiringState::Disabled) => State::Skipped(SkipReason::Disabled),
            Some(FiringState::Paused) => State::Skipped(SkipReason::Paused),
            _ if paused => State::Skipped(SkipReason::Paused),
            _ if progress.dropped.is_some_and(|dropped| one.due <= dropped) => State::Forgotten,
            _ if progress.gap(one.due).is_some() => State::Skipped(SkipReason::Restored),
            _ if one.due <= progress.watermark(one.due) => State::Missing,
            _ => State::Unrecorded,
        }
    }
}

/// The condition of those that may hold a job, and its parameters: see `lone` in the schema.
pub(super) fn of_job<T>(
    conn: &Connection,
    sql: &str,
    (shard, job): (ShardId, JobId),
    (from, until): (Millis, Millis),
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(params![shard, job as i64, from, until], read)?.collect()
}
