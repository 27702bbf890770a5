//! A node of the model: carries out what its supervisor asks for, and tells it what happens.

use std::sync::Arc;

use super::super::super::event::{Effect, Event, Found, Loaded, Moment, OfferRow, Part, Prepared};
use super::super::super::is_publish;
use super::super::super::state::Supervisor;
use super::world::{JOBS, LeaseNow, Message, Rule, Scenario, Task, World};
use crate::command::Change;
use crate::model::delivery::Overlap;
use crate::model::job::Pending;
use crate::model::lease::Now;
use crate::model::run::{Begun, Occurrence};
use crate::model::run_report::RunState;
use crate::store::{attempts, cursors, jobs, pending, runs};

impl World {
    /// Lets the supervisor of a node take an event in, and carries out the effects.
    pub(super) fn step(&mut self, n: usize, event: Event) {
        self.step_at(n, self.now, event);
    }

    pub(super) fn step_at(&mut self, n: usize, boot: u64, event: Event) {
        let is_beat = matches!(event, Event::Heartbeat(_));
        let forgets = self.lacks(Rule::LoadGrace) && matches!(event, Event::Loaded(_));
        let node = &mut self.nodes[n];
        let usable = node.alive && self.now < node.lease.until;
        let since = match self.without {
            Some(Rule::Lease) => Some(node.lease.since.unwrap_or(0)),
            Some(Rule::LeaseGrace) if usable => Some(0),
            _ => node.lease.since.filter(|_| usable),
        };
        let lease = LeaseNow { since, promised: node.lease.promised.map(|(epoch, _)| epoch) };
        let boot = if forgets { 0 } else { boot };
        let sched = super::world::START + self.now.cast_signed();
        let at = Moment { now: Now { boot, sched }, lease: &lease, has_room: true };
        let missed = node.supervisor.missed;
        let effects = node.supervisor.step(&at, event);
        if self.without == Some(Rule::LeaseGrace) && !usable {
            node.supervisor.missed.forget_since(missed);
        }
        if is_beat && effects.iter().any(|effect| matches!(effect, Effect::Append { .. })) {
            self.checks.violate("a heartbeat wrote to the journal");
        }
        for effect in effects {
            self.carry_out(n, effect);
        }
    }

    fn carry_out(&mut self, n: usize, effect: Effect) {
        let (now, delay) = (self.now, self.random.below(100));
        match effect {
            Effect::Load { epoch, .. } => self.later(n, delay, Task::Load(epoch)),
            Effect::Prepare { claim, parts } => {
                if is_publish(claim) {
                    for part in &parts {
                        self.check_popped(n, &part.jobs);
                    }
                }
                self.later(n, delay / 4, Task::Prepare(claim, parts));
            }
            Effect::ReadRuns(all) => self.later(n, delay / 4, Task::Read(all)),
            Effect::Append { id, entries } => {
                let entries = self.to_write(n, entries);
                let node = &mut self.nodes[n];
                let queued: usize = node.writes.iter().map(|(_, _, entries)| entries.len()).sum();
                let seq = (node.journal.len() + queued + entries.len()) as u64;
                let last = node.writes.back().map_or(0, |(at, _, _)| *at);
                if self.lacks(Rule::JournalFirst) {
                    let node = &mut self.nodes[n];
                    node.writes.push_back((last.max(now + 300), None, entries));
                    self.step(n, Event::Appended { id, seq });
                } else {
                    let at = last.max(now + delay / 4);
                    self.nodes[n].writes.push_back((at, Some(id), entries));
                }
            }
            Effect::Answer { claim, runs } => {
                self.check_answer(n, claim, &runs);
                let node = self.nodes[n].id;
                let effect = Effect::Answer { claim, runs };
                self.send(Message::Answer { claim, node, effect });
            }
            Effect::Finished { dispatch } => self.finish(n, dispatch),
            Effect::Returned { dispatch, .. } => self.take_back(n, dispatch),
            Effect::Propose(reports) => {
                if self.lacks(Rule::SilenceJudged) {
                    return;
                }
                for report in &reports {
                    self.check_lost(n, report);
                }
                if self.is_reachable(n) {
                    self.send(Message::Propose(reports));
                }
            }
            Effect::Heard { heartbeat, mut unknown } => {
                if self.lacks(Rule::OwnerHears) {
                    unknown.retain(|of| self.nodes[n].supervisor.taken.get(*of).is_none());
                }
                self.take_heard(n, heartbeat, &unknown);
            }
            Effect::Publish { claim, runs } => self.publish(n, claim, runs),
            Effect::Withdraw { runs } => self.withdraw(n, &runs),
            Effect::TellCancel { of, .. } => self.tell_cancel(of),
            Effect::Hint { .. } => {}
        }
    }

    fn later(&mut self, n: usize, delay: u64, task: Task) {
        let tasks = &mut self.nodes[n].tasks;
        let at = tasks.back().map_or(0, |(at, _)| *at).max(self.now + delay);
        tasks.push_back((at, task));
    }

    /// A step of a node that is there.
    pub(super) fn work(&mut self, n: usize) {
        let now = self.now;
        if self.is_reachable(n) {
            self.take_feed(n, now);
        }
        while let Some((at, event)) = self.nodes[n].inbox.pop_front() {
            debug_assert!(at <= now, "nothing is in an inbox before it is there");
            if let Some(event) = self.hear(n, event) {
                self.step(n, event);
            }
        }
        while self.nodes[n].tasks.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, task)) = self.nodes[n].tasks.pop_front() else { break };
            if !self.carry_out_task(n, task) {
                break;
            }
        }
        while self.nodes[n].writes.front().is_some_and(|(at, _, _)| *at <= now) {
            let Some((_, id, entries)) = self.nodes[n].writes.pop_front() else { break };
            self.nodes[n].journal.extend(entries);
            let seq = self.nodes[n].journal.len() as u64;
            if let Some(id) = id {
                self.step(n, Event::Appended { id, seq });
            }
        }
        self.drive_bus(n);
        self.fire(n);
        if self.nodes[n].next_mark <= now {
            self.nodes[n].next_mark = now + 250;
            self.state_watermarks(n);
        }
        if self.nodes[n].next_tick <= now {
            self.nodes[n].next_tick = now + 200;
            self.step(n, Event::Tick);
        }
    }

    /// Tells a node of all changes that have come until an instant.
    pub(super) fn take_feed(&mut self, n: usize, until: u64) {
        while self.nodes[n].feed.front().is_some_and(|(at, _)| *at <= until) {
            let Some((_, change)) = self.nodes[n].feed.pop_front() else { break };
            self.take_change(n, &change);
        }
    }

    fn drops_notices(&self) -> bool {
        matches!(self.scenario, Scenario::Storm | Scenario::Broker)
    }

    fn take_change(&mut self, n: usize, change: &Change) {
        if self.drops_notices() && self.random.chance(5) {
            self.step(n, Event::Reload(vec![0]));
        } else {
            if self.lacks(Rule::UnrecordedStays) {
                change.runs.iter().for_each(|of| self.read_run(n, *of));
            }
            for id in &change.offers {
                let offer = self.log.read(|c| pending::offer(c, *id));
                let offer = offer.map(|row| Box::new(self.offer_row(row)));
                self.step(n, Event::OfferRead { id: *id, offer });
            }
            for of in &change.runs {
                self.read_run(n, *of);
            }
            if let Some(of) = self.checks.cancelled_by.get(&change.index).copied() {
                self.checks.learned.entry((self.nodes[n].id, of)).or_insert(self.now);
            }
        }
        let gone: Vec<_> = change
            .edited
            .iter()
            .copied()
            .filter(|job| self.log.read(|c| jobs::get(c, *job)).is_none())
            .collect();
        if !gone.is_empty() && !self.lacks(Rule::JobsGone) {
            self.step(n, Event::JobsGone(gone));
        }
        let seq = self.recorded(n);
        self.step(n, Event::Recorded { seq });
        if change.shards {
            self.tell_shards(n);
        }
    }

    pub(super) fn tell_shards(&mut self, n: usize) {
        let mut shard = self.log.shard();
        self.take_ranges(n);
        if shard.owner != self.nodes[n].id {
            // What its runs were is the next owner's to know.
            self.nodes[n].given_back.clear();
            self.nodes[n].spoken_of.clear();
        }
        if self.lacks(Rule::ClosingWaits) && shard.owner == self.nodes[n].id {
            shard.closing = None;
        }
        self.step(n, Event::Shards(vec![shard]));
    }

    fn recorded(&self, n: usize) -> u64 {
        let id = self.nodes[n].id;
        self.log.read(|c| cursors::get(c, id)).map_or(0, |(_, seq)| seq)
    }

    fn read_run(&mut self, n: usize, of: Occurrence) {
        if self.lacks(Rule::UnrecordedStays) {
            self.step(n, Event::Recorded { seq: u64::MAX });
        }
        let found = self.log.read(|c| {
            let run = runs::get(c, of)?;
            if let Some(run) = run.filter(|run| run.accepted) {
                return Ok(Found::Run(Box::new(run)));
            }
            if self.log.row_of(of).is_some() {
                return Ok(Found::Row);
            }
            let end = attempts::end_of(c, of, of.scheduled, of.scheduled)?;
            let end = end.and_then(|(verdict, origin)| Some((RunState::of_end(verdict)?, origin)));
            Ok(end.map_or(Found::Nothing, |(state, origin)| Found::End { state, origin }))
        });
        self.step(n, Event::RunRead { of, found });
    }

    fn carry_out_task(&mut self, n: usize, task: Task) -> bool {
        match task {
            Task::Load(epoch) if self.is_reachable(n) => {
                let loaded = self.load(n, epoch);
                if self.nodes[n].loaded != Some(epoch) {
                    self.nodes[n].loaded = Some(epoch);
                    self.checks.loaded.insert(self.nodes[n].id, self.now);
                }
                self.step(n, Event::Loaded(Box::new(loaded)));
            }
            Task::Prepare(claim, parts) => {
                let is_fresh = self.is_reachable(n);
                if is_fresh {
                    let node = self.nodes[n].id;
                    self.checks.looked_up.insert((node, claim), self.now);
                }
                let parts = parts.iter().map(|part| self.look_up(n, part, is_fresh)).collect();
                self.step(n, Event::Prepared { claim, parts });
            }
            Task::Read(all) if self.is_reachable(n) => {
                for of in all {
                    self.read_run(n, of);
                }
            }
            task => {
                self.nodes[n].tasks.push_front((self.now + 50, task));
                return false;
            }
        }
        true
    }

    fn load(&mut self, n: usize, epoch: u64) -> Loaded {
        let recorded = self.recorded(n);
        let journal = self.nodes[n].journal.iter().cloned();
        let journal = (1..).zip(journal).skip(recorded as usize).collect();
        let rows: Vec<Pending> = self.log.read(|c| pending::offers(c, 0));
        let mut gone: Vec<_> = rows.iter().flat_map(|row| row.members.iter()).collect();
        gone.retain(|job| self.log.read(|c| jobs::get(c, *job)).is_none());
        gone.sort_unstable();
        gone.dedup();
        Loaded {
            shard: 0,
            epoch,
            offers: rows.into_iter().map(|row| self.offer_row(row)).collect(),
            runs: self.log.read(|c| runs::kept(c, 0)),
            journal: if self.lacks(Rule::OwnJournal) { Vec::new() } else { journal },
            read_upto: self.nodes[n].journal.len() as u64,
            recorded,
            gone: if self.lacks(Rule::JobsGone) { Vec::new() } else { gone },
        }
    }

    /// Looks up jobs and rows as they are now. A node that is cut off sees an old state, in which
    /// all is as the supervisor knows it.
    fn look_up(&mut self, n: usize, part: &Part, is_fresh: bool) -> Prepared {
        let mut found = Prepared::new(Arc::clone(&part.source));
        let (mut ready, source) = (Vec::new(), &part.source);
        for job in &part.jobs {
            let of = source.occurrence(*job);
            if part.asks && !self.lacks(Rule::AsksLeave) {
                match self.begin(n, of, (source.epoch, source.attempt, source.pending)) {
                    Some(Begun::Go) => {}
                    Some(_) => continue,
                    None => {
                        found.later.push(*job);
                        continue;
                    }
                }
            }
            if self.lacks(Rule::LookUp) || !is_fresh {
                ready.push(*job);
                continue;
            }
            if self.log.read(|c| jobs::get(c, *job)).is_none() {
                if !self.lacks(Rule::JobsGone) {
                    found.gone.push(*job);
                }
                continue;
            }
            let row = self.log.row_of(of);
            let is_over = self.log.read(|c| {
                Ok(attempts::end_of(c, of, of.scheduled, of.scheduled)?.is_some()
                    || runs::get(c, of)?.is_some_and(|run| run.accepted))
            });
            let fits = row.as_ref().is_none_or(|row| {
                row.attempt == source.attempt && row.next_at != crate::model::job::PARKED
            });
            if fits && (!is_over || row.is_some()) {
                ready.push(*job);
            }
        }
        if !ready.is_empty() {
            found.ready.push((ready, Arc::new(self.terms())));
        }
        found
    }

    fn offer_row(&self, mut row: Pending) -> OfferRow {
        let job = row.members.iter().next().unwrap_or(1);
        let asks = JOBS[job as usize - 1] != Overlap::Allow;
        if let Some(on_offer) = row.on_offer.as_mut().filter(|_| self.lacks(Rule::StartTimeout)) {
            on_offer.expires = None;
        }
        OfferRow { row, asks, once: false }
    }

    /// Kills a node: what was not synced is lost.
    pub(super) fn kill(&mut self, n: usize, until: u64) {
        let node = &mut self.nodes[n];
        let (id, journal) = (node.id, std::mem::take(&mut node.journal));
        let life = node.life + 1;
        let lease = super::world::ModelLease {
            since: None,
            promised: None,
            until: node.lease.until.min(self.now),
        };
        *node = super::world::Node::new(id);
        node.alive = false;
        node.dead_until = until;
        node.journal = journal;
        node.life = life;
        node.lease = lease;
        node.supervisor = Supervisor::new(id);
    }

    /// Starts a node again.
    pub(super) fn revive(&mut self, n: usize) {
        self.nodes[n].alive = true;
        self.tell_shards(n);
    }
}
