//! The faults of a run: which happen when, what they do, and how they are healed.

use scheduler0::model::Millis;
use scheduler0::model::process::{Starts, Verdict};

use super::protocol::ProtocolModel;
use super::scenario::{ADD, COPY, LOST_JOURNAL, REMOVE, Scenario};

impl ProtocolModel {
    /// Starts a copy of a member's folder in its present state.
    fn copy(&mut self, of: usize) {
        let at = self.nodes.len() - 1;
        if of == at || self.nodes[at].alive {
            return;
        }
        let from = &self.nodes[of];
        let (id, boots, term) = (from.id, from.boots, from.term);
        let (durable, log, journal) =
            (from.durable.clone(), from.log.clone(), from.journal.clone());
        let (forgotten, incarnation, clock_off) =
            (from.forgotten, from.incarnation, from.clock_off);
        let copy = &mut self.nodes[at];
        (copy.id, copy.boots, copy.term) = (id, boots, term);
        (copy.durable, copy.log, copy.journal) = (durable, log, journal);
        (copy.forgotten, copy.incarnation, copy.clock_off) = (forgotten, incarnation, clock_off);
        copy.original = Some(of);
        copy.copies += 1;
        self.start(at);
        self.trace(|w| format!("at place {} a copy of node {} starts", at + 1, w.nodes[at].id));
    }

    /// True when a node serves a message of a process. A process that must end is stopped.
    pub(crate) fn passes(&mut self, receiver: usize, from: usize) -> bool {
        let now = self.boot(receiver);
        let (node, process) = (self.nodes[from].id, self.process(from));
        if self.nodes[receiver].id == node {
            return receiver == from;
        }
        let verdict = self.nodes[receiver].starts.judge(node, 7, process, now);
        if verdict == Verdict::Wait {
            // The node asks the address of the process that spoke before.
            for other in 0..self.nodes.len() {
                let there = other != from && self.nodes[other].id == node;
                if there && self.runs(other) && self.linked(receiver, other) {
                    let process = self.process(other);
                    self.nodes[receiver].starts.answered(node, process, now);
                }
            }
        }
        if verdict == Verdict::Twin {
            self.trace(|_| format!("the process at place {} must end", from + 1));
            self.stop(from, 3_000);
            if self.nodes[from].original.is_some() {
                self.restart[from] = None;
            }
        }
        verdict == Verdict::Served
    }

    /// A process tells all others its identity.
    pub(crate) fn announce(&mut self, from: usize) {
        for receiver in 0..self.nodes.len() {
            let hears = receiver != from && self.runs(receiver) && self.linked(from, receiver);
            if hears && self.runs(from) {
                self.passes(receiver, from);
            }
        }
    }

    /// Heals, restarts, and begins the next fault when it is time.
    pub(crate) fn inject_faults(&mut self) {
        if self.t >= self.heals {
            self.heal();
        }
        for id in 0..self.nodes.len() {
            if self.restart[id].is_some_and(|at| at <= self.t) {
                self.start(id);
            }
            if self.crash[id].is_some_and(|at| at <= self.t) {
                self.crash[id] = None;
                if self.nodes[id].alive {
                    let down = self.random.between(0, 400);
                    self.trace(|w| format!("node {} crashes at a bad moment", w.nodes[id].id));
                    self.stop(id, down);
                }
            }
            let gentle =
                !matches!(self.scenario, Scenario::Kill | Scenario::Clocks | Scenario::Deaf);
            if gentle && self.runs(id) && self.nodes[id].draining && self.nodes[id].owns_nothing() {
                if self.scenario == Scenario::Calm && self.random.chance(4_000) {
                    self.change_of_members(false, id);
                }
                self.trace(|w| format!("node {} stops in order", w.nodes[id].id));
                self.stop(id, 1_500);
            }
        }
        if self.t >= self.next_fault && self.t < self.heals {
            let (least, most) = match self.scenario {
                Scenario::Faults | Scenario::Members | Scenario::Copies => (100, 3_000),
                Scenario::Storm => (50, 1_500),
                _ => (5_000, 9_000),
            };
            self.next_fault = self.t + self.random.between(least, most);
            let id = self.random.below(self.nodes.len());
            match self.scenario {
                Scenario::Faults | Scenario::Storm | Scenario::Members | Scenario::Copies => {
                    self.fault(id);
                }
                Scenario::Deaf => self.deafen(),
                Scenario::Calm => self.change(id),
                Scenario::Kill => self.kill(),
                Scenario::Clocks => self.wrong_clock(id),
            }
        }
    }

    fn fault(&mut self, id: usize) {
        let kind = self.kinds[self.random.below(self.kinds.len())];
        let long = self.random.between(100, 9_000);
        self.trace(|w| format!("fault {kind} at node {} for {long}", w.nodes[id].id));
        match kind {
            0 if self.nodes[id].alive => self.stop(id, long / 2),
            1 if self.nodes[id].alive => self.stop(id, long / 10),
            2 => self.nodes[id].paused_until = self.t + long,
            3 => self.part(long, |n| n == id),
            4 => {
                let sides = self.random.next();
                self.part(long, |n| sides >> n & 1 == 1);
            }
            5 => self.mute[id] = self.t + long,
            6 | 7 if self.nodes[id].alive => self.nodes[id].draining = !self.nodes[id].draining,
            LOST_JOURNAL if self.nodes[id].alive => {
                self.stop(id, long / 4);
                let node = &mut self.nodes[id];
                node.journal.clear();
                node.forgotten = 0;
                node.incarnation += 1;
                self.trace(|w| format!("node {} has lost its journal", w.nodes[id].id));
            }
            COPY => self.copy(id),
            ADD | REMOVE => {
                self.change_of_members(kind == ADD, id);
            }
            8 => self.nodes[id].slow = !self.nodes[id].slow,
            9 if self.runs(id) => {
                self.campaign(id);
            }
            10 | 11 => {
                // The leader, if there is one, is cut off or frozen.
                if let Some(id) = (0..self.nodes.len()).find(|n| self.nodes[*n].leader.is_some()) {
                    if kind == 10 {
                        self.part(long, |n| n == id);
                    } else {
                        self.nodes[id].paused_until = self.t + long;
                    }
                }
            }
            _ => {}
        }
    }

    /// The leader adds a waiting node or removes another one; returns true when it does.
    fn change_of_members(&mut self, adds: bool, id: usize) -> bool {
        let all = 0..self.nodes.len();
        let leads = all.clone().find(|n| self.runs(*n) && self.nodes[*n].leader.is_some());
        let Some(leads) = leads else { return false };
        let node = if adds {
            all.into_iter().find(|n| self.nodes[*n].boots == 1 && self.waits(*n))
        } else {
            Some(id).filter(|id| *id != leads && self.is_member(leads, *id))
        };
        let Some(node) = node.filter(|node| self.change_members(leads, *node)) else {
            return false;
        };
        let what = if adds { "adds" } else { "removes" };
        self.trace(|w| format!("node {} {what} node {}", w.nodes[leads].id, w.nodes[node].id));
        if adds {
            self.start(node);
        }
        true
    }

    /// True for a node that is not up and will not be started.
    fn waits(&self, id: usize) -> bool {
        !self.nodes[id].alive && self.restart[id].is_none()
    }

    /// In a storm a node may crash at the worst moment: right after a promise or a proposal to
    /// move.
    pub(crate) fn maybe_crash_soon(&mut self, id: usize) {
        if self.scenario == Scenario::Storm && self.random.chance(1_500) {
            self.crash[id] = Some(self.t + self.random.between(0, 300));
        }
    }

    fn part(&mut self, long: Millis, side: impl Fn(usize) -> bool) {
        self.side = (0..self.nodes.len()).map(side).collect();
        self.partitioned_until = self.t + long;
        // Elections may come at any time, also at once.
        let id = self.random.below(self.nodes.len());
        if self.random.chance(5_000) && self.runs(id) {
            self.nodes[id].campaign_at = self.t;
        }
    }

    fn change(&mut self, id: usize) {
        let busy =
            (0..self.nodes.len()).any(|n| self.nodes[n].draining || self.restart[n].is_some());
        if self.random.chance(5_000) && !busy && self.nodes.len() > 1 {
            self.trace(|w| format!("node {} is drained", w.nodes[id].id));
            self.nodes[id].draining = true;
        } else if self.runs(id) {
            self.campaign(id);
        }
    }

    fn kill(&mut self) {
        let owner = |id: &usize| {
            let node = &self.nodes[*id];
            node.leader.is_none()
                && self.checks.committed().shards.iter().any(|s| s.owner == node.id)
        };
        if self.killed.is_none()
            && let Some(id) = (0..self.nodes.len()).find(owner)
        {
            self.trace(|w| format!("node {} is killed", w.nodes[id].id));
            self.stop(id, Millis::MAX / 2);
            self.killed = Some((id, self.t));
        }
    }

    /// Cuts one owner that does not lead off from the log.
    fn deafen(&mut self) {
        let owner = |id: &usize| {
            let node = &self.nodes[*id];
            node.leader.is_none()
                && self.checks.committed().shards.iter().any(|s| s.owner == node.id)
        };
        if self.deaf.is_none()
            && let Some(id) = (0..self.nodes.len()).find(owner)
        {
            self.trace(|w| format!("node {} hears no more of the log", w.nodes[id].id));
            self.deaf = Some((id, self.t));
            // It does not stand for election: the others would not elect it while the leader lives.
            self.nodes[id].campaign_at = Millis::MAX / 2;
        }
    }

    fn wrong_clock(&mut self, id: usize) {
        for other in 0..self.nodes.len() {
            if self.nodes[other].clock_off.abs() > 1_000 {
                self.nodes[other].clock_off = 0;
                self.stop(other, 200);
            }
        }
        let off = self.random.between(3_500, 8_000);
        self.nodes[id].clock_off = if self.random.chance(5_000) { off } else { -off };
        self.trace(|w| format!("node {} is off by {}", w.nodes[id].id, w.nodes[id].clock_off));
        self.stop(id, 500);
    }

    /// Ends a process; its memory is lost.
    fn stop(&mut self, id: usize, restart_in: Millis) {
        let node = &mut self.nodes[id];
        node.alive = false;
        node.paused_until = 0;
        node.leader = None;
        node.flights.clear();
        node.draining = false;
        self.restart[id] = Some(self.t + restart_in);
    }

    fn start(&mut self, id: usize) {
        self.restart[id] = None;
        let (t, election_timeout) = (self.t, self.election_timeout());
        let (drift, most) = (self.random.between(-100, 100), self.scenario.drift());
        let node = &mut self.nodes[id];
        node.alive = true;
        node.boots += 1;
        if node.clock_off.abs() < 1_000 {
            node.clock_off = (node.clock_off + drift).clamp(-most, most);
        }
        node.state = node.durable.clone();
        node.commit = node.state.index as usize;
        node.hint = None;
        node.campaign_at = t + 1_000 + election_timeout;
        node.renew_at = t;
        node.slow = self.scenario == Scenario::Storm && drift > 0;
        node.holder = node.fresh_holder();
        node.leases = 0;
        node.rebuilds_at = None;
        // The node forgets the processes of the others.
        node.starts = Starts::new(self.timing.dead_after());
        node.announce_at = t;
        let (at, id, boots) = (id as u64 + 1, node.id, node.boots);
        self.checks.started((at, boots), t);
        self.trace(|_| format!("node {id} starts for the {boots}th time"));
    }

    fn heal(&mut self) {
        self.partitioned_until = 0;
        for id in 0..self.nodes.len() {
            self.mute[id] = 0;
            let node = &mut self.nodes[id];
            node.paused_until = 0;
            node.slow = false;
            node.draining = false;
            if node.clock_off.abs() > 400 && node.alive {
                node.clock_off = 0;
                self.stop(id, 200);
            }
            if let Some(at) = self.restart[id]
                && at < Millis::MAX / 4
            {
                self.restart[id] = Some(at.min(self.t + 200));
            }
        }
    }
}
