//! An execution, and how it is read from a row of its record.

use rusqlite::Row;

use crate::model::attempt::{ResultOrigin, Verdict};
use crate::model::result_code::ResultCode;
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis, NodeId, ProjectId};
use crate::store::history::attempts::{self, StoredAttempt};
use crate::store::row::{id_at, result_at};

/// The number of executions of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// How many executions match.
    pub count: u64,
    /// `false` when a part of it was estimated: a job's executions are not counted beyond some
    /// thousand records of its shard, each of which would have to be read; of others, the part of
    /// an hour at the end of a range is not, where it has many records.
    pub exact: bool,
}

/// One attempt (or decision not to make one) at one occurrence of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Its id: stable, unique, in the order of recording.
    pub id: u64,
    /// The project that the job belongs to.
    pub project: ProjectId,
    /// The job that was sent, or skipped.
    pub job: JobId,
    /// The shard of the job.
    pub shard: ShardId,
    /// The scheduled instant; with the job it makes the execution id.
    pub scheduled: Millis,
    /// The instant at which it was due.
    pub due: Millis,
    /// The beginning of the range, for skips of a range.
    pub since: Option<Millis>,
    /// The node that made the attempt.
    pub node: NodeId,
    /// The epoch under which it was made.
    pub epoch: u64,
    /// 1 for the first.
    pub attempt: u32,
    /// What came of the attempt.
    pub verdict: Verdict,
    /// The code that came back.
    pub result: ResultCode,
    /// The instant at which its first byte went out.
    pub started: Millis,
    /// Its duration in milliseconds.
    pub duration: u32,
    /// The error, if it failed.
    pub error: Option<String>,
    /// The number of a manual run; 0 for planned occurrences.
    pub run: u64,
    /// The origin of its outcome.
    pub origin: ResultOrigin,
    /// The start of the answer.
    pub response: Option<String>,
    /// The stamp of the entry that recorded it.
    pub created: Millis,
}

impl Execution {
    /// The execution of a job at a place among the members of a record.
    pub(super) fn of(found: &StoredAttempt, ordinal: u64, job: JobId) -> Self {
        let record = &found.record;
        Self {
            id: found.id + ordinal,
            project: record.project,
            job,
            shard: record.shard,
            scheduled: record.scheduled,
            due: record.due,
            since: record.since,
            node: found.node,
            epoch: record.epoch,
            attempt: record.attempt,
            verdict: record.verdict,
            result: record.result,
            started: record.started,
            duration: record.duration,
            error: record.error.clone(),
            run: record.run,
            origin: record.origin,
            response: record.response.clone(),
            created: found.created,
        }
    }
}

/// The execution of a job at a place among the members of a row with `attempts::COLUMNS`.
pub(super) fn read(row: &Row<'_>, ordinal: u64, job: JobId) -> rusqlite::Result<Execution> {
    Ok(Execution {
        id: id_at(row, 0)? + ordinal,
        node: id_at(row, 1)?,
        created: row.get(3)?,
        project: id_at(row, 4)?,
        job,
        shard: row.get(5)?,
        epoch: id_at(row, 6)?,
        due: row.get(7)?,
        scheduled: row.get(8)?,
        since: row.get(9)?,
        attempt: row.get(10)?,
        verdict: attempts::verdict_of(row)?,
        result: result_at(row, 13)?,
        started: row.get(14)?,
        duration: row.get(15)?,
        error: row.get(16)?,
        run: id_at(row, 19)?,
        origin: ResultOrigin::from_code(row.get(20)?),
        response: row.get(21)?,
    })
}
