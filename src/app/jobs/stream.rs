//! The jobs of one request, perhaps a hundred thousand, read piece by piece: the caller asks for
//! the next piece when there is room for it.
//!
//! Each piece is a read of its own: a job is given as it is when its piece is read, and a job that
//! was deleted before is not given.

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::jobs::record::{JobRecord, Records};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::model::{JobId, Millis};
use crate::store::jobs;

/// The jobs of a request that are left to be read. Only use cases make it, for an actor that they
/// have authorized to see these jobs.
#[derive(Debug)]
pub struct JobsLeft {
    actor: Actor,
    /// The instant at which the jobs are shown.
    now: Millis,
    /// The jobs as (first id, how many), in order.
    ranges: Vec<(JobId, u64)>,
}

impl JobsLeft {
    /// The jobs of these ranges, shown to an actor as of `now`.
    pub(super) fn new(actor: &Actor, now: Millis, ranges: Vec<(JobId, u64)>) -> Self {
        Self { actor: actor.clone(), now, ranges }
    }

    /// Says whether no job is left.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The first job that is left.
    pub fn first(&self) -> Option<JobId> {
        self.ranges.first().map(|(first, _)| *first)
    }

    /// Says whether only one job is left.
    pub fn is_single(&self) -> bool {
        matches!(self.ranges[..], [(_, 1)])
    }
}

impl App {
    /// Reads the next piece of the jobs that are left. `add` puts a job into the piece, on the
    /// thread that reads, and says whether there is room for more. After an error no job is left.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when the piece cannot be read in time.
    pub async fn read_piece<P: Send + 'static>(
        &self,
        left: &mut JobsLeft,
        mut piece: P,
        mut add: impl FnMut(&mut P, JobRecord) -> bool + Send + 'static,
    ) -> Result<P, Error> {
        let (now, retry_max) = (left.now, self.config.job_execution_retry_max);
        let mut ranges = std::mem::take(&mut left.ranges);
        let read = move |conn: &rusqlite::Connection| {
            let mut records = Records::new(conn, now, retry_max)?;
            let mut room = true;
            while let Some((first, n)) = ranges.first().copied().filter(|_| room) {
                let mut last = None;
                jobs::each_of_range(conn, first, n, |job| {
                    last = Some(job.id);
                    room = add(&mut piece, records.record(job)?);
                    Ok(room)
                })?;
                match last.filter(|_| !room) {
                    // The next piece begins behind the last job.
                    Some(id) if id + 1 < first + n => ranges[0] = (id + 1, first + n - id - 1),
                    _ => {
                        ranges.remove(0);
                    }
                }
            }
            Ok((piece, ranges))
        };
        let (piece, ranges) = self.read_at(&left.actor, ReadPhase::AfterWrite, read).await?;
        left.ranges = ranges;
        Ok(piece)
    }
}
