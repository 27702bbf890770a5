//! The engine of a node in the model: gives out what is due, and states watermarks.

use super::super::super::event::{Dispatch, Event, Source};
use super::world::{Firing, JOBS, MOST_WAITING, PERIOD, Rule, START, World};
use crate::command::{Command, Outcome};
use crate::model::attempt::{JournalEntry, Watermark};
use crate::model::delivery::Overlap;
use crate::model::members::Members;
use crate::model::run::{BeginRun, Begun, Occurrence};
use crate::model::{JobId, Millis};
use crate::store::{attempts, jobs, runs};

/// The end of the plan: the last instant that is due.
pub(super) const PLAN_ENDS: u64 = 15_000;

impl World {
    /// Takes in what of the shard is a node's.
    pub(super) fn take_ranges(&mut self, n: usize) {
        let shard = self.log.shard();
        let node = &mut self.nodes[n];
        let now: Vec<_> = shard.ownerships(node.id).collect();
        node.firing.retain(|firing| now.iter().any(|range| range.epoch == firing.epoch));
        for range in now {
            let known = node.firing.iter_mut().find(|firing| firing.epoch == range.epoch);
            match known {
                Some(firing) => {
                    firing.until = firing.until.min(range.until);
                    firing.is_closing = range.closing;
                }
                None => node.firing.push(Firing {
                    epoch: range.epoch,
                    until: range.until,
                    is_closing: range.closing,
                    planned: range.after,
                    todo: [].into(),
                    open: [].into(),
                    rows: [].into(),
                    stated: range.after,
                }),
            }
        }
    }

    /// Says whether an occurrence has an end, a row or somebody who has it, or is in the journal of
    /// the node. An *Offered* of a past epoch counts for nothing.
    fn is_known(&self, n: usize, of: Occurrence, epoch: u64) -> bool {
        let is_stored = self.log.read(|c| {
            let due = of.scheduled;
            Ok(attempts::end_of(c, of, due, due)?.is_some()
                || runs::get(c, of)?.is_some_and(|run| run.accepted))
        });
        is_stored
            || self.log.row_of(of).is_some()
            || self.nodes[n].journal.iter().any(|entry| match entry {
                JournalEntry::Offered(offer) => offer.epoch == epoch && offer.contains(of),
                JournalEntry::Taken(taken) => taken.offer.contains(of),
                _ => false,
            })
    }

    /// Gives out what is due.
    pub(super) fn fire(&mut self, n: usize) {
        if !self.nodes[n].is_leased(self.now) || !self.is_reachable(n) {
            return;
        }
        for f in 0..self.nodes[n].firing.len() {
            let promised = self.nodes[n].lease.promised;
            let firing = &mut self.nodes[n].firing[f];
            let promise = promised.filter(|(epoch, _)| *epoch == firing.epoch);
            let until = firing.until.min(promise.map_or(Millis::MAX, |(_, until)| until));
            let until = until.min(START + self.now.cast_signed());
            let mut due = (firing.planned - START) / PERIOD.cast_signed() + 1;
            while START + due * PERIOD.cast_signed() <= until {
                let at = START + due * PERIOD.cast_signed();
                if at <= START + PLAN_ENDS.cast_signed() {
                    firing.todo.extend((1..=JOBS.len() as u64).map(|job| (at, job)));
                }
                due += 1;
            }
            firing.planned = firing.planned.max(until);
            for _ in 0..self.nodes[n].firing[f].todo.len() {
                let Some((due, job)) = self.nodes[n].firing[f].todo.pop_front() else { break };
                if !self.fire_one(n, f, (due, job), None) {
                    self.nodes[n].firing[f].todo.push_back((due, job));
                }
            }
            self.fire_rows(n, f);
        }
    }

    /// Gives out the rows whose time has come.
    fn fire_rows(&mut self, n: usize, f: usize) {
        let (shard, rows) = (self.log.shard(), self.log.rows());
        let (id, epoch) = (self.nodes[n].id, self.nodes[n].firing[f].epoch);
        let timed: Vec<_> = rows.iter().filter(|row| row.attempt_at().is_some()).collect();
        self.nodes[n].firing[f].rows.retain(|known| timed.iter().any(|row| row.id == *known));
        let promised = self.nodes[n].lease.promised.filter(|(its, _)| *its == epoch);
        let until = promised.map_or(Millis::MAX, |(_, until)| until).min(self.sched());
        for row in timed {
            let is_its = shard.holder_of_pending(row.next_at) == (id, epoch);
            if !is_its || row.next_at > until || self.nodes[n].firing[f].rows.contains(&row.id) {
                continue;
            }
            for job in row.members.iter() {
                // It counts as given out with its dispatch: else it is looked at again.
                self.fire_one(n, f, (row.due, job), Some((row.id, row.attempt)));
            }
        }
    }

    /// Gives out one occurrence; says whether that is done, also where it is not to be sent.
    fn fire_one(
        &mut self,
        n: usize,
        f: usize,
        (due, job): (Millis, JobId),
        row: Option<(u64, u32)>,
    ) -> bool {
        let of = Occurrence { job, scheduled: due, run: 0 };
        let epoch = self.nodes[n].firing[f].epoch;
        if row.is_none() && self.is_known(n, of, epoch) {
            return true;
        }
        let exists = self.log.read(|c| jobs::get(c, job)).is_some();
        if !exists && row.is_none() {
            self.checks.deleted.insert(of);
            return true;
        }
        let (attempt, pending) = row.map_or((1, None), |(id, attempt)| (attempt, Some(id)));
        let overlap = JOBS[job as usize - 1];
        if overlap != Overlap::Allow && !self.lacks(Rule::AsksLeave) {
            match self.begin(n, of, (epoch, attempt, pending)) {
                Some(Begun::Go) => {}
                Some(_) => return true,
                None => return false,
            }
        }
        let node = &mut self.nodes[n];
        node.dispatches += 1;
        let id = node.dispatches;
        node.firing[f].open.insert(id, (due, job, pending));
        node.firing[f].rows.extend(pending);
        let source = Source {
            project: 1,
            shard: 0,
            epoch,
            due,
            scheduled: due,
            run: 0,
            attempt,
            pending,
            queue: 7,
            once: false,
        };
        let bounded = overlap == Overlap::Allow && row.is_none() && !self.lacks(Rule::MostWaiting);
        let dispatch = Dispatch {
            id,
            source,
            members: Members::from_sorted([job]),
            terms: std::sync::Arc::new(self.terms()),
            max_waiting: bounded.then_some(MOST_WAITING),
        };
        self.step(n, Event::Dispatch(Box::new(dispatch)));
        true
    }

    /// Asks for leave; `None` while nobody answers.
    pub(super) fn begin(
        &mut self,
        n: usize,
        of: Occurrence,
        (epoch, attempt, pending): (u64, u32, Option<u64>),
    ) -> Option<Begun> {
        if !self.has_leader() || !self.is_reachable(n) {
            return None;
        }
        let begin = BeginRun {
            occurrence: of,
            project: 1,
            shard: 0,
            node: self.nodes[n].id,
            epoch,
            due: of.scheduled,
            attempt,
            pending,
            overlap: JOBS[of.job as usize - 1],
            timeout: 10_000,
            retry: self.terms().retry,
        };
        match self.apply(&Command::BeginRun(begin)) {
            Outcome::Begun(answer) => Some(answer),
            outcome => panic!("{outcome}"),
        }
    }

    /// A dispatch is journaled.
    pub(super) fn finish(&mut self, n: usize, dispatch: u64) {
        for firing in &mut self.nodes[n].firing {
            firing.open.remove(&dispatch);
        }
    }

    /// Members of a dispatch came back unsent.
    pub(super) fn take_back(&mut self, n: usize, dispatch: u64) {
        for firing in &mut self.nodes[n].firing {
            match firing.open.remove(&dispatch) {
                Some((_, _, Some(row))) => {
                    firing.rows.remove(&row);
                }
                Some((due, job, None)) => firing.todo.push_back((due, job)),
                None => {}
            }
        }
    }

    /// States watermarks: nothing that is not journaled lies below.
    pub(super) fn state_watermarks(&mut self, n: usize) {
        if !self.nodes[n].is_leased(self.now) {
            return;
        }
        let rows = self.log.rows();
        let waits_not = self.lacks(Rule::WatermarkWaits);
        let (now, node) = (self.now, &mut self.nodes[n]);
        let mut marks = Vec::new();
        for firing in &mut node.firing {
            let todo = firing.todo.iter().map(|(due, _)| due - 1).min();
            let open = firing.open.values().map(|(due, _, _)| due - 1).min();
            let open = if waits_not { None } else { open };
            let mut at = [Some(firing.planned), todo, open].into_iter().flatten().min();
            // The hand-over instant must lie above the watermark.
            let promised = node.lease.promised.filter(|(epoch, _)| *epoch == firing.epoch);
            if let Some((_, until)) = promised.filter(|_| !firing.is_closing) {
                at = at.map(|at| at.min(until - 1));
            }
            if firing.is_closing {
                let waits = rows.iter().any(|row| {
                    row.attempt_at().is_some_and(|at| at <= firing.until)
                        && !firing.rows.contains(&row.id)
                });
                let is_done = firing.open.is_empty()
                    && firing.planned >= firing.until
                    && node.supervisor.is_drained(0, firing.epoch)
                    && !waits;
                at = at.map(|at| if is_done { at } else { at.min(firing.until - 1) });
            }
            if let Some(at) = at.filter(|at| *at > firing.stated) {
                firing.stated = at;
                marks.push(Watermark { shard: 0, epoch: firing.epoch, at });
            }
        }
        if !marks.is_empty() {
            let at = node.writes.back().map_or(0, |(at, _, _)| *at).max(now + 10);
            node.writes.push_back((at, None, vec![JournalEntry::Watermarks(marks)]));
        }
    }
}
