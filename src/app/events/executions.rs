//! The attempts at one job, for a stream that names it. Facts say in which shards results were
//! recorded; the attempts themselves are read from the history.

use tokio::time::{Duration, Instant};

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::history::{ExecutionRecord, ExecutionRecords};
use crate::app::state::App;
use crate::events::EventId;
use crate::model::{JobId, Millis};
use crate::store::executions;

/// Time between two reads of a stream.
const INTERVAL: Duration = Duration::from_millis(250);
/// The most attempts that one read gives.
const MOST: usize = 50;
/// The most records of the shard that one read looks at.
const MOST_LOOKED_AT: u32 = 20_000;

/// The attempts of its job that a stream has to read from the history.
#[derive(Debug, Default)]
pub(super) struct PendingAttempts {
    /// The place of the last fact, and log time after the first one.
    wanted: Option<(EventId, Millis)>,
    /// The id up to which the history was read.
    seen: u64,
    /// The earliest instant of the next read.
    not_before: Option<Instant>,
}

/// The result of one read of the history.
#[derive(Debug)]
pub(super) struct ReadAttempts {
    /// The place of the last fact that was wanted; `None` while a part of the history is still to
    /// be read, which stays wanted.
    pub(super) id: Option<EventId>,
    /// The attempts, in the order in which they were recorded.
    pub(super) found: Vec<ExecutionRecord>,
    /// There were more than are given.
    pub(super) more: bool,
}

impl PendingAttempts {
    /// Notes that results of the job's shard were recorded.
    pub(super) fn want(&mut self, id: EventId, at: Millis) {
        let since = self.wanted.map_or(at, |(_, since)| since);
        self.wanted = Some((id, since));
        self.not_before.get_or_insert_with(Instant::now);
    }

    /// Drops what was wanted.
    pub(super) fn clear(&mut self) {
        self.wanted = None;
    }

    /// The instant of the next read; `None` when there is nothing to read.
    pub(super) fn due(&self) -> Option<Instant> {
        self.wanted.and(self.not_before)
    }

    /// Reads what was wanted, or the next part of it. `None` when nothing was wanted.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when they cannot be read in time; they stay wanted.
    pub(super) async fn read(
        &mut self,
        app: &App,
        actor: &Actor,
        job: JobId,
    ) -> Result<Option<ReadAttempts>, Error> {
        let Some((id, since)) = self.wanted else { return Ok(None) };
        let (now, seen) = (app.now(), self.seen);
        self.not_before = Some(Instant::now() + INTERVAL);
        let read = app.read(actor, move |conn| {
            let span = executions::Recorded { since, seen, looked_at: MOST_LOOKED_AT };
            let part = executions::recorded_of_job(conn, job, &span, MOST)?;
            let mut records = ExecutionRecords::at(conn, now)?;
            let found = part.found.into_iter().map(|one| records.of(one));
            let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok((found, part.more, part.looked_to))
        });
        let (found, more, looked_to) = read.await?;
        let id = self.note_read(id, looked_to, found.last().map(|last| last.execution.id));
        Ok(Some(ReadAttempts { id, found, more }))
    }

    /// Notes how far a read came: to an id, or else to the end, where nothing stays wanted.
    fn note_read(
        &mut self,
        id: EventId,
        looked_to: Option<u64>,
        last: Option<u64>,
    ) -> Option<EventId> {
        self.seen = looked_to.or(last).unwrap_or(self.seen);
        if looked_to.is_some() {
            return None;
        }
        self.wanted = None;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Position;

    #[test]
    fn attempts_stay_wanted_until_the_end_of_the_history_was_read() {
        let mut pending = PendingAttempts::default();
        let id = EventId { lineage: 1, position: Position { index: 7, number: 1 } };
        pending.want(id, 70);
        assert_eq!(pending.note_read(id, Some(20_000), None), None);
        assert!(pending.due().is_some() && pending.seen == 20_000);
        assert_eq!(pending.note_read(id, None, Some(20_005)), Some(id));
        assert!(pending.due().is_none() && pending.seen == 20_005);
    }
}
