//! Silence: which runs count as lost. Time in which a worker could not be heard does not count
//! (*only heard time counts*), and a new owner, or a bus that is back, starts a timeout anew.

use super::event::{Effect, Moment};
use super::missed_time::HeardAt;
use super::state::Supervisor;
use super::taken::{Record, TakenRun};
use crate::model::run::{Occurrence, Phase};
use crate::model::run_report::{MAX_REPORTS, RunReport, Said};
use crate::model::run_terms::BusKind;
use crate::model::shard::shard_of;

/// The time in which the first heartbeat of a claim is due, if its timeout is not shorter, in
/// milliseconds: so a claim whose answer never arrived is offered again soon.
pub(super) const FIRST_HEARTBEAT: u64 = 15_000;
/// The time between two looks at a run that the store does not know yet, in milliseconds.
const UNRECORDED: u64 = 1_000;
/// The time between two proposals that a run is lost, in milliseconds.
const AGAIN: u64 = 5_000;

impl Supervisor {
    /// Proposes that runs are lost whose worker was silent for too long; all in as few commands as
    /// they fit into. Without a usable lease nothing is judged.
    pub(super) fn judge_silence(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        if at.lease.usable_since().is_none() {
            return;
        }
        let now = at.now.boot;
        let (mut lost, mut looks) = (Vec::new(), Vec::new());
        while let Some(of) = self.taken.pop_due(now) {
            let Some(run) = self.taken.get(of) else { continue };
            let Some(deadline) = self.deadline(of, run) else {
                looks.push((of, now.saturating_add(AGAIN)));
                continue;
            };
            if deadline > now {
                looks.push((of, deadline));
            } else if run.record != Record::Missing {
                let (attempt, worker) = (run.attempt, run.worker.to_string());
                let Some(epoch) = self.epoch_of(of) else { continue };
                let said = Said::Lost { node: self.node, epoch };
                lost.push(RunReport { occurrence: of, attempt, worker, said });
                looks.push((of, now.saturating_add(AGAIN)));
            } else {
                looks.push((of, now.saturating_add(UNRECORDED)));
            }
        }
        for (of, at) in looks {
            self.taken.look_at(of, at);
        }
        for reports in lost.chunks(MAX_REPORTS) {
            out.push(Effect::Propose(reports.to_vec()));
        }
    }

    fn epoch_of(&self, of: Occurrence) -> Option<u64> {
        let ranges = self.shards.get(&shard_of(of.job))?;
        ranges.current.as_ref().map(|range| range.epoch)
    }

    /// The instant of the boot clock at which a run is lost; `None` while it is not judged.
    fn deadline(&self, of: Occurrence, run: &TakenRun) -> Option<u64> {
        let timeout = run.terms.heartbeat_timeout?.max(0).cast_unsigned();
        if run.phase != Phase::Running {
            return None;
        }
        let shard = shard_of(of.job);
        let bus = match self.buses.get(&(run.terms.executor, shard)) {
            Some(up) => (*up)?,
            None if run.terms.bus == BusKind::Rabbitmq => return None,
            None => HeardAt::default(),
        };
        let ranges = self.shards.get(&shard)?;
        let loaded = ranges.current.as_ref()?.loaded?;
        let heard = run.heard.max(bus).max(loaded);
        let timeout = if run.has_spoken { timeout } else { timeout.min(FIRST_HEARTBEAT) };
        Some(self.missed.until(heard, timeout))
    }
}
