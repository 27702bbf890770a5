//! The leader of the model: renews leases, collects journals, moves the shard, ends what is too
//! late, and applies what clients ask for.

use super::engine::PLAN_ENDS;
use super::world::{JOBS, LEASE, Rule, START, Scenario, World};
use crate::command::{Command, Outcome, Reported};
use crate::model::attempt::JournalBatch;
use crate::model::run::Occurrence;
use crate::model::run_report::{RunReport, RunState, Said};
use crate::model::shard::{Move, MoveKind};
use crate::store::{cursors, jobs, pending};

/// The time after the end of a lease at which its holder counts as dead, in milliseconds.
const DEAD_AFTER: u64 = 1_500;

impl World {
    /// A step of the leader, if there is one.
    pub(super) fn lead(&mut self) {
        if !self.has_leader() {
            return;
        }
        for n in 0..self.nodes.len() {
            let is_there = self.is_reachable(n) && self.now >= self.nodes[n].frozen_until;
            if is_there {
                self.renew(n);
                // Seldom, so that much is journaled and not recorded.
                if self.random.chance(if self.scenario == Scenario::Calm { 300 } else { 100 }) {
                    self.collect(n);
                }
            }
        }
        self.move_shard();
        if self.random.chance(50) {
            self.apply(&Command::Expire { limit: 10 });
        }
        if self.scenario != Scenario::Calm && self.now < PLAN_ENDS {
            self.interfere();
        }
    }

    fn renew(&mut self, n: usize) {
        if self.now >= self.nodes[n].lease.until {
            // A lease is worth nothing until all is applied that was committed.
            self.take_feed(n, u64::MAX);
            let lapse = (self.nodes[n].id, self.nodes[n].lease.until, self.now);
            self.checks.lapses.push(lapse);
            self.nodes[n].lease.since = Some(self.now);
        }
        self.nodes[n].lease.until = self.now + LEASE;
    }

    fn collect(&mut self, n: usize) {
        let node = self.nodes[n].id;
        let known = self.log.read(|c| cursors::get(c, node)).map_or(0, |(_, seq)| seq);
        let entries: Vec<_> =
            self.nodes[n].journal.iter().skip(known as usize).take(10).cloned().collect();
        if !entries.is_empty() {
            let (incarnation, first) = (node.into(), known + 1);
            let batch = JournalBatch { node, incarnation, first, entries };
            let outcome = self.apply(&Command::Record(batch));
            assert_eq!(outcome, Outcome::Done);
        }
    }

    fn move_shard(&mut self) {
        let shard = self.log.shard();
        let able: Vec<u64> = (0..self.nodes.len())
            .filter(|n| self.nodes[*n].is_leased(self.now) && self.is_reachable(*n))
            .map(|n| self.nodes[n].id)
            .collect();
        let is_dead = |id: u64| self.now > self.nodes[id as usize - 1].lease.until + DEAD_AFTER;
        let closing = shard.closing.as_ref().filter(|closing| is_dead(closing.node));
        let lost = match closing {
            Some(closing) => Some((closing.node, closing.epoch, MoveKind::TakeClosing)),
            None if is_dead(shard.owner) => Some((shard.owner, shard.epoch, MoveKind::TakeOver)),
            None => None,
        };
        if let Some((dead, expects, kind)) = lost {
            let others: Vec<_> = able.iter().copied().filter(|id| *id != dead).collect();
            let Some(to) = others.get(self.random.below(others.len().max(1) as u64) as usize)
            else {
                return;
            };
            let change = Move { shard: 0, to: *to, expects, kind };
            if self.apply(&Command::Assign(vec![change])) == Outcome::Assigned(1) {
                self.checks.dead.push((dead, self.now));
            }
            return;
        }
        let n = shard.owner as usize - 1;
        if self.scenario == Scenario::Calm || shard.closing.is_some() {
            return;
        }
        let promised = self.nodes[n].lease.promised.filter(|(epoch, _)| *epoch == shard.epoch);
        let others: Vec<_> = able.into_iter().filter(|id| *id != shard.owner).collect();
        match promised {
            None if self.now < PLAN_ENDS && self.random.chance(8) => {
                let until = self.sched() + 400;
                self.nodes[n].lease.promised = Some((shard.epoch, until));
            }
            Some((_, until)) if !others.is_empty() && self.random.chance(100) => {
                let to = others[self.random.below(others.len() as u64) as usize];
                let kind = MoveKind::HandOver { until };
                let change = Move { shard: 0, to, expects: shard.epoch, kind };
                self.apply(&Command::Assign(vec![change]));
            }
            _ => {}
        }
    }

    /// Clients cancel, and rarely delete.
    #[expect(clippy::same_functions_in_if_condition, reason = "each draws anew")]
    fn interfere(&mut self) {
        if self.random.chance(12) {
            let rows = self.log.read(|c| pending::offers(c, 0));
            let which = self.random.below(rows.len().max(1) as u64) as usize;
            let Some(row) = rows.get(which) else { return };
            let Some(job) = row.members.iter().next() else { return };
            let of = Occurrence { job, scheduled: row.scheduled, run: row.run };
            self.cancel(of);
        } else if self.random.chance(12) {
            let ago = self.random.below(4_000).min(self.now);
            let due = (self.now - ago) / super::world::PERIOD * super::world::PERIOD;
            let job = self.random.below(JOBS.len() as u64) + 1;
            let of = Occurrence { job, scheduled: START + due.cast_signed(), run: 0 };
            self.cancel(of);
        }
        let deletes = self.has_faults() || self.lacks(Rule::JobsGone);
        if deletes && self.random.chance(2) && self.now > PLAN_ENDS / 2 {
            let id = self.random.below(JOBS.len() as u64) + 1;
            if self.log.read(|c| jobs::get(c, id)).is_some() {
                self.apply(&Command::DeleteJob { id, expect: None });
            }
        }
    }

    fn cancel(&mut self, occurrence: Occurrence) {
        let said = Said::Cancel { by: None };
        let report = RunReport { occurrence, attempt: 0, worker: String::new(), said };
        let outcome = self.apply(&Command::ReportRuns { reports: vec![report] });
        if let Outcome::Reports(told) = outcome
            && told == [Reported::Counted(RunState::Cancelled)]
        {
            self.checks.cancelled.entry(occurrence).or_insert(self.now);
            self.checks.cancelled_by.insert(self.log.index(), occurrence);
        }
    }
}
