//! What must hold of a run of the model: the invariants of the design, by their numbers there.

use std::collections::BTreeMap;

use super::super::super::event::{ClaimId, Handed};
use super::engine::PLAN_ENDS;
use super::world::{JOBS, MOST_WAITING, PERIOD, SILENCE, START, Scenario, World};
use crate::model::attempt::{JournalEntry, Verdict};
use crate::model::delivery::Overlap;
use crate::model::run::Occurrence;
use crate::model::run_report::{RunReport, Said};
use crate::model::shard::Shard;
use crate::store::{attempts, runs};

impl World {
    /// A claim is being answered: 2, 3, 4, 8, 9.
    pub(super) fn check_answer(&mut self, n: usize, claim: ClaimId, runs: &[Handed]) {
        let (id, now) = (self.nodes[n].id, self.now);
        for run in runs {
            let (of, attempt) = (&run.of, &run.attempt);
            let on_disk = self.nodes[n].journal.iter().any(|entry| match entry {
                JournalEntry::Taken(t) => t.offer.contains(*of) && t.offer.attempt == *attempt,
                _ => false,
            });
            if !on_disk {
                self.checks.violate(format!("2: {of:?} was handed out and is not on disk"));
            }
            let before = self.checks.handed.get(&(*of, *attempt)).cloned().unwrap_or_default();
            for (node, at) in before {
                if !self.checks.has_died(node, at, now) {
                    let what = format!("3: {of:?}, attempt {attempt}, by {node} and by {id}");
                    self.checks.violate(what);
                }
            }
            self.check_handed(n, claim, run);
            self.checks.handed.entry((*of, *attempt)).or_default().push((id, now));
        }
    }

    /// A run is being handed out: 2, 4, 8, 9.
    pub(super) fn check_handed(&mut self, n: usize, claim: ClaimId, run: &Handed) {
        let (id, now, Handed { of, attempt, .. }) = (self.nodes[n].id, self.now, run);
        if !self.nodes[n].is_leased(now) {
            self.checks.violate(format!("2: {of:?} was handed out without a lease"));
        }
        if of.scheduled > self.sched() {
            self.checks.violate(format!("2: {of:?} was handed out early"));
        }
        let highest = self.checks.highest.entry(*of).or_default();
        if *highest > *attempt {
            let what = format!("8: {of:?}, attempt {attempt} after {highest}");
            self.checks.violate(what);
        } else {
            *highest = *attempt;
        }
        let looked_up = self.checks.looked_up.get(&(id, claim)).copied().unwrap_or(0);
        if self.checks.cancelled.get(of).is_some_and(|at| *at < looked_up) {
            self.checks.violate(format!("9: {of:?} was handed out after its cancel"));
        }
        if JOBS[of.job as usize - 1] != Overlap::Allow {
            let others = self.log.read(|c| runs::of_job(c, of.job));
            if others.iter().any(|run| run.accepted && run.occurrence != *of) {
                self.checks.violate(format!("4: {of:?} overlaps with another run"));
            }
        }
        self.checks.heard.insert((id, *of, *attempt), now);
    }

    /// A node says that a run is lost: 6.
    pub(super) fn check_lost(&mut self, n: usize, report: &RunReport) {
        let Said::Lost { .. } = report.said else { return };
        let (id, of) = (self.nodes[n].id, report.occurrence);
        let heard = self.checks.heard.get(&(id, of, report.attempt)).copied();
        let loaded = self.checks.loaded.get(&id).copied();
        if !self.nodes[n].is_leased(self.now) {
            return self.checks.violate(format!("6: {of:?} is judged without a lease"));
        }
        let bus = self.checks.bus_up.get(&id).copied();
        if self.has_broker() && !self.nodes[n].bus_up {
            self.checks.violate(format!("6: {of:?} is judged while its bus is away"));
        }
        let since = heard.max(loaded).max(bus).unwrap_or(0);
        if self.now < since + SILENCE + self.checks.lapsed(id, since) {
            let silent = self.now - since;
            self.checks.violate(format!("6: {of:?} is lost after {silent} ms"));
        }
    }

    /// A loss counted in the store, whose shard was this before: 6.
    pub(super) fn check_counted_before(&mut self, report: &RunReport, shard: &Shard) {
        let Said::Lost { node, epoch } = report.said else { return };
        if !shard.is_live(node, epoch) {
            self.checks.violate("6: a loss of a past epoch counted");
        }
    }

    /// The state at a moment: 4, 5, 11.
    pub(super) fn check_store(&mut self) {
        let rows = self.log.rows();
        let taken = self.log.read(|c| runs::kept(c, 0));
        for run in &taken {
            let of = run.occurrence;
            let its = |row: &&crate::model::job::Pending| {
                row.scheduled == of.scheduled && row.members.contains(of.job)
            };
            if rows.iter().any(|row| its(&row)) {
                self.checks.violate(format!("5: {of:?} is taken and in a row"));
            }
            let overlaps = JOBS[of.job as usize - 1] != Overlap::Allow;
            let other = |other: &&crate::model::run::Run| {
                other.occurrence.job == of.job && other.occurrence != of
            };
            if overlaps && taken.iter().any(|run| other(&run)) {
                self.checks.violate(format!("4: job {} has two runs", of.job));
            }
        }
        if self.scenario == Scenario::Calm {
            let waiting = rows
                .iter()
                .filter(|row| row.is_offered() && row.attempt == 1 && row.members.contains(1))
                .count();
            if waiting > MOST_WAITING as usize {
                self.checks.violate(format!("11: {waiting} of job 1 wait"));
            }
        }
    }

    /// Says what is not over yet.
    pub(super) fn open(&self) -> Result<(), String> {
        let shard = self.log.shard();
        let last = START + PLAN_ENDS.cast_signed();
        if shard.settled() < last {
            let at = shard.settled() - START;
            let firing = self.nodes.iter().flat_map(|node| &node.firing);
            let waits: Vec<_> =
                firing.map(|firing| (firing.epoch, &firing.open, &firing.todo)).collect();
            return Err(format!("1: the watermark stands at {at}; open and to do: {waits:?}"));
        }
        let rows = self.log.rows();
        if let Some(row) = rows.first() {
            return Err(format!("1: a row waits: {row:?}"));
        }
        if let Some(run) = self.log.read(runs::all).first() {
            return Err(format!("1: a run is not over: {run:?}"));
        }
        Ok(())
    }

    /// All is over: each occurrence has one end, 1.
    pub(super) fn check_ends(&self) -> Result<(), String> {
        let mut ends: BTreeMap<Occurrence, Vec<Verdict>> = BTreeMap::new();
        for stored in self.log.read(|c| attempts::after(c, 0, 0)) {
            let record = &stored.record;
            for job in record.members.iter().filter(|_| stored.is_end()) {
                let of = Occurrence { job, scheduled: record.scheduled, run: record.run };
                ends.entry(of).or_default().push(record.verdict);
            }
        }
        for n in 1..=PLAN_ENDS / PERIOD {
            for job in 1..=JOBS.len() as u64 {
                let scheduled = START + (n * PERIOD).cast_signed();
                let of = Occurrence { job, scheduled, run: 0 };
                let ends = ends.get(&of).map_or(&[][..], Vec::as_slice);
                let fits = match ends {
                    [] => self.checks.deleted.contains(&of),
                    [_] => true,
                    [first @ .., Verdict::Delivered] => {
                        first.iter().all(|end| *end == Verdict::Dead)
                    }
                    _ => false,
                };
                if !fits {
                    return Err(format!("1: {of:?} has the ends {ends:?}"));
                }
            }
        }
        Ok(())
    }
}
