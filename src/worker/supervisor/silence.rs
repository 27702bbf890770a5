//! Silence: which runs count as lost. Whoever is the supervisor grants a full timeout first, and
//! after each time in which heartbeats might not have come through (*full timeout*).

use super::event::{Effect, Moment};
use super::state::Supervisor;
use super::taken::TakenRun;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_report::{MAX_REPORTS, RunReport, Said};
use crate::model::run_terms::BusKind;
use crate::model::shard::shard_of;

/// The time in which the first heartbeat of a claim is due, if its timeout is not shorter, in
/// milliseconds: so a claim whose answer never arrived is offered again soon.
pub(super) const FIRST_HEARTBEAT: u64 = 15_000;
/// The time after which this task has stalled, in milliseconds: what it did not hear meanwhile may
/// still wait to be read.
const STALL: u64 = 1_000;
/// The time between two proposals that a run is lost, in milliseconds.
const AGAIN: u64 = 5_000;

impl Supervisor {
    /// Notes when this task did not run for a while.
    pub(super) fn note_stall(&mut self, at: &Moment<'_>) {
        let now = at.now.boot;
        let is_late = |last: u64| now.saturating_sub(last) > STALL;
        if self.last_tick.is_none_or(is_late) {
            self.stalled = now;
        }
        self.last_tick = Some(now);
    }

    /// Proposes that runs are lost whose worker was silent for too long; all in as few commands as
    /// they fit into. Without a usable lease nothing is judged.
    pub(super) fn judge_silence(&mut self, at: &Moment<'_>, out: &mut Vec<Effect>) {
        let Some(leased) = at.lease.usable_since() else { return };
        let (now, grace) = (at.now.boot, leased.max(self.stalled));
        let (mut lost, mut looks) = (Vec::new(), Vec::new());
        while let Some(of) = self.taken.pop_due(now) {
            let Some(run) = self.taken.get(of) else { continue };
            let Some(deadline) = self.deadline(of, run, grace) else {
                looks.push((of, now.saturating_add(AGAIN)));
                continue;
            };
            if deadline > now {
                looks.push((of, deadline));
            } else if run.is_recorded {
                let (attempt, worker) = (run.attempt, run.worker.to_string());
                let Some(epoch) = self.epoch_of(of) else { continue };
                let said = Said::Lost { node: self.node, epoch };
                lost.push(RunReport { occurrence: of, attempt, worker, said });
                looks.push((of, now.saturating_add(AGAIN)));
            } else {
                looks.push((of, now.saturating_add(STALL)));
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
    fn deadline(&self, of: Occurrence, run: &TakenRun, grace: u64) -> Option<u64> {
        let timeout = run.terms.heartbeat_timeout?.max(0).cast_unsigned();
        if run.phase != Phase::Running {
            return None;
        }
        let bus = match self.buses.get(&run.terms.executor) {
            Some(up) => (*up)?,
            None if run.terms.bus == BusKind::Rabbitmq => return None,
            None => 0,
        };
        let ranges = self.shards.get(&shard_of(of.job))?;
        let loaded = ranges.current.as_ref()?.loaded?;
        let heard = run.heard.max(grace).max(bus).max(loaded);
        let timeout = if run.has_spoken { timeout } else { timeout.min(FIRST_HEARTBEAT) };
        Some(heard.saturating_add(timeout))
    }
}
