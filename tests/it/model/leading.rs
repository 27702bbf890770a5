//! One step of a leader: replication rounds, ticks, the real `Grantor`, and the collection of
//! journals.

use std::collections::BTreeSet;

use scheduler0::coordinator::leases::{Grantor, LeaderPosition, Settled};
use scheduler0::model::lease::{Answer, Now, Position, Renewal};
use scheduler0::model::process::Process;

use super::leader::Leader;
use super::message::Message;
use super::protocol::ProtocolModel;
use super::scenario::{Rule, Scenario};
use super::state::Payload;

/// The id of a node that never existed.
const STRANGER: u64 = 99;

impl ProtocolModel {
    /// A term that begins now at a node.
    pub(crate) fn new_leader(&self, id: usize) -> Leader {
        let node = &self.nodes[id];
        let boot = self.boot(id);
        let mut timing = self.timing;
        if self.without == Some(Rule::DeadWait) {
            timing.ttl /= 4;
        }
        let members = self.member_ids(id);
        let early = if self.without == Some(Rule::SinceBegan) { 20 } else { 0 };
        let mut grantor = Grantor::new(node.id, node.term, members, timing, boot - early * 500);
        for (node, process) in node.starts.may_be_leased(boot) {
            grantor.spoke_before(node, process);
        }
        if early > 0 || self.without == Some(Rule::FirstEntry) {
            grantor.first_entry_applied();
        }
        for back in (1..=early).rev() {
            let boot = boot - back * 500;
            grantor.quorum_acked(boot);
            grantor.tick(Now { boot, sched: self.t }, &[]);
        }
        Leader {
            grantor,
            matched: vec![0; self.nodes.len()],
            acked: vec![0; self.nodes.len()],
            first: node.log.len() as u64,
            began: self.t,
            round_at: self.t,
            tick_at: self.t + 300,
            collect_at: self.t,
            moving: None,
            collecting: vec![0; self.nodes.len()],
            arrivals: 0,
        }
    }

    /// The members by a node's log.
    pub(crate) fn member_ids(&self, by: usize) -> BTreeSet<u64> {
        let members = (0..self.nodes.len()).filter(|n| self.is_member(by, *n));
        members.map(|n| self.nodes[n].id).collect()
    }

    /// One step of a running leader.
    pub(crate) fn lead(&mut self, id: usize) {
        let now = self.now(id);
        let t = self.t;
        let Some(mut leader) = self.nodes[id].leader.take() else { return };
        let applied = self.nodes[id].state.index;
        if applied >= leader.first {
            leader.grantor.first_entry_applied();
        }
        let cheats = self.without == Some(Rule::FreshQuorum);
        let acked = if cheats { now.boot } else { self.quorum_acked(id, &leader) };
        leader.grantor.quorum_acked(acked);
        if let Some(index) = leader.moving
            && applied >= index
        {
            leader.moving = None;
            leader.grantor.assigned(Settled::Applied(index));
        }
        let members = self.member_ids(id);
        leader.grantor.set_members(members.clone(), members.clone());
        let mut shards = self.nodes[id].state.shards.clone();
        if self.without == Some(Rule::RemovedWaits) {
            // Removed owners become a node that this leader never granted anything.
            let stranger = |node: &mut u64| {
                if *node > 0 && !members.contains(node) {
                    *node = STRANGER;
                }
            };
            for shard in &mut shards {
                stranger(&mut shard.owner);
                shard.closing.iter_mut().for_each(|closing| stranger(&mut closing.node));
            }
        }
        let moves = leader.grantor.tick(now, &shards);
        if !moves.is_empty() {
            self.trace(|w| format!("node {} moves {moves:?}", w.nodes[id].id));
            self.propose(id, Payload::Assign(moves));
            self.maybe_crash_soon(id);
            let index = self.nodes[id].log.len() as u64;
            let unknown = if self.without == Some(Rule::GivesUp) { 5_000 } else { 300 };
            if self.without == Some(Rule::Moving) {
                leader.grantor.assigned(Settled::Applied(0));
            } else if self.faulty() && self.random.chance(unknown) {
                leader.grantor.assigned(Settled::Unknown);
            } else {
                leader.moving = Some(index);
            }
        }
        if t >= leader.tick_at {
            leader.tick_at = t + 400;
            self.propose(id, Payload::Nothing);
        }
        if t >= leader.collect_at {
            leader.collect_at = t + 200;
            self.collect(id, &mut leader);
        }
        // In a storm a leader that is cut off goes on for long.
        let election_timeout = if self.scenario == Scenario::Storm { 8_000 } else { 2_000 };
        let cut_off = t > leader.began + 3_000
            && self.quorum_acked(id, &leader) + election_timeout < now.boot;
        if leader.grantor.is_over() && self.without == Some(Rule::GivesUp) {
            leader.grantor = self.new_leader(id).grantor;
        }
        let wrong = leader.grantor.own_clock_error(now.boot).abs() > 1_000;
        if cut_off || wrong || leader.grantor.is_over() {
            self.trace(|w| format!("node {} steps down", w.nodes[id].id));
            self.nodes[id].campaign_at = t + 4_000;
            self.nodes[id].hint = None;
            return;
        }
        let round = t >= leader.round_at;
        if round {
            leader.round_at = t + 100;
        }
        self.nodes[id].leader = Some(leader);
        if round {
            self.replicate(id);
        }
    }

    /// The boot instant at which the newest round was sent that a quorum has acknowledged; 0 for
    /// none.
    fn quorum_acked(&self, id: usize, leader: &Leader) -> u64 {
        let mut acked = leader.acked.clone();
        acked[id] = self.boot(id);
        self.reached_by_majority(id, &acked)
    }

    /// Collects the journals of the nodes that it reaches, after the recorded entries.
    fn collect(&mut self, id: usize, leader: &mut Leader) {
        if self.nodes[id].state.index < leader.first {
            return;
        }
        for from in 0..self.nodes.len() {
            let applied = self.nodes[id].state.index;
            let reached_by_majority = from == id
                || (self.is_member(id, from) && self.runs(from) && self.linked(id, from));
            if !reached_by_majority
                || applied < leader.collecting[from]
                || !self.random.chance(7_000)
            {
                continue;
            }
            let incarnation = self.nodes[from].incarnation;
            let cursor = self.nodes[id].state.cursor(from, incarnation);
            let most = 1 + self.random.below(20);
            let node = &self.nodes[from];
            let skip = cursor.saturating_sub(node.forgotten) as usize;
            let first = node.forgotten + skip as u64 + 1;
            let notes: Vec<_> = node.journal.iter().skip(skip).take(most).copied().collect();
            if !notes.is_empty() {
                self.propose(id, Payload::Record { node: from, incarnation, first, notes });
                leader.collecting[from] = self.nodes[id].log.len() as u64;
            }
        }
    }

    /// A leader receives a renewal and answers it.
    pub(crate) fn on_renewal(&mut self, id: usize, from: usize, renewal: &Renewal) {
        let gated = self.scenario == Scenario::Copies && self.without != Some(Rule::OneProcess);
        if gated && !self.passes(id, from) {
            return;
        }
        let now = self.now(id);
        let node = &mut self.nodes[id];
        let commit_index = node.commit as u64;
        let position = LeaderPosition {
            applied: Position { index: node.state.index, stamp: node.state.stamp },
            commit_index,
            assign_index: node.state.assign_index,
        };
        let Some(leader) = node.leader.as_mut() else { return };
        leader.arrivals += 1;
        let mut heard = renewal.clone();
        match self.without {
            Some(Rule::Clocks) => heard.clock = now.sched,
            // All processes look like one that asks again and again; its start number is part of
            // that.
            Some(Rule::Boots | Rule::OneProcess) => {
                heard.process = Process::default();
                (heard.boot, heard.number) = (1, leader.arrivals);
            }
            Some(Rule::BehindRefused) => heard.facts.applied.stamp = position.applied.stamp,
            _ => {}
        }
        let mut answer = leader.grantor.renewal(now, &heard, position);
        (answer.boot, answer.number) = (renewal.boot, renewal.number);
        if let Ok(grant) = &mut answer.verdict {
            grant.ttl = self.timing.ttl;
        }
        self.send(id, from, &Message::Answer(answer, renewal.clone()));
    }

    /// A node receives the answer to its renewal.
    pub(crate) fn on_answer(&mut self, id: usize, mut answer: Answer, asked: &Renewal) {
        let now = self.now(id);
        let t = self.t;
        let without = self.without;
        let node = &mut self.nodes[id];
        if let Ok(grant) = &mut answer.verdict {
            // Scheduler time runs along with the boot clock here.
            let waited = (now.sched - asked.clock).max(0) as u64;
            if matches!(without, Some(Rule::NeedsIndex | Rule::FirstEntry)) && node.leases > 0 {
                grant.commit_index = 0;
            }
            match without {
                Some(Rule::NeedsIndex) => grant.needs_index = 0,
                Some(Rule::CommitIndex) => grant.commit_index = 0,
                Some(Rule::FromSending) => grant.ttl += waited * 10 / 9,
                _ => {}
            }
        }
        let answered = node.holder.answered(now, node.position(), &answer, &node.state.shards);
        node.leases += u64::from(answered.granted);
        if !answered.promised.is_empty() {
            node.renew_at = t;
            self.maybe_crash_soon(id);
            self.trace(|w| format!("node {} promises {:?}", w.nodes[id].id, answered.promised));
        }
    }
}
