//! The Raft of the model: terms, votes, logs and commits, as messages that may be late or lost.
//! Votes are collected at one instant; nothing else is simplified.

use std::rc::Rc;

use scheduler0::model::Millis;

use super::message::{Append, Message};
use super::protocol::ProtocolModel;
use super::state::{Entry, Payload};

impl ProtocolModel {
    /// The members as bits, by the last entry of a node's log, committed or not.
    pub(crate) fn members(&self, id: usize) -> u64 {
        self.nodes[id].log.last().map_or(self.founders, |e| self.entries[*e as usize].members)
    }

    /// True when a node is a member by the log of node `by`.
    pub(crate) fn is_member(&self, by: usize, id: usize) -> bool {
        self.members(by) >> id & 1 == 1
    }

    fn majority(&self, by: usize) -> usize {
        self.members(by).count_ones() as usize / 2 + 1
    }

    /// The highest value that a majority of the members has reached, from the value of each node.
    pub(crate) fn reached_by_majority<T: Ord + Copy>(&self, by: usize, places: &[T]) -> T {
        let members = (0..places.len()).filter(|n| self.is_member(by, *n));
        let mut places: Vec<T> = members.map(|n| places[n]).collect();
        places.sort_unstable_by(|a, b| b.cmp(a));
        places[self.majority(by) - 1]
    }

    /// A leader appends an entry to its log.
    pub(crate) fn propose(&mut self, id: usize, payload: Payload) {
        let members = self.members(id);
        self.propose_with(id, payload, members);
    }

    /// A leader changes the members by one node. The change before and an entry of its own term
    /// must be committed; returns false otherwise.
    pub(crate) fn change_members(&mut self, id: usize, node: usize) -> bool {
        let Some(leader) = &self.nodes[id].leader else { return false };
        let (log, commit) = (&self.nodes[id].log, self.nodes[id].commit);
        let open = |e: &u32| matches!(self.entries[*e as usize].payload, Payload::Members);
        if commit < leader.first as usize || log[commit..].iter().any(open) {
            return false;
        }
        let members = self.members(id) ^ 1 << node;
        self.propose_with(id, Payload::Members, members);
        true
    }

    fn propose_with(&mut self, id: usize, payload: Payload, members: u64) {
        let node = &mut self.nodes[id];
        let last = node.log.last().map_or(0, |e| self.entries[*e as usize].stamp);
        let stamp = (self.t + node.clock_off).max(last);
        let entry = self.entries.len() as u32;
        self.entries.push(Entry { term: node.term, stamp, payload, members });
        Rc::make_mut(&mut node.log).push(entry);
    }

    /// A node tries to be elected at this instant; returns true for a new leader.
    pub(crate) fn campaign(&mut self, id: usize) -> bool {
        let place = |w: &ProtocolModel, n: usize| {
            let log = &w.nodes[n].log;
            (log.last().map_or(0, |e| w.entries[*e as usize].term), log.len())
        };
        let mine = place(self, id);
        let voters: Vec<usize> = (0..self.nodes.len())
            .filter(|&n| self.is_member(id, n))
            .filter(|&n| n == id || (self.runs(n) && self.linked(id, n) && place(self, n) <= mine))
            .collect();
        if !self.is_member(id, id) || voters.len() < self.majority(id) {
            return false;
        }
        let term = voters.iter().map(|n| self.nodes[*n].term).max().unwrap_or(0) + 1;
        for &n in &voters {
            self.sees_term(n, term);
        }
        let election_timeout = self.random.between(1_000, 2_000);
        let t = self.t;
        for &n in &voters {
            self.nodes[n].campaign_at = t + 1_000 + election_timeout;
        }
        self.propose(id, Payload::Nothing);
        self.trace(|w| format!("node {} leads term {term}", w.nodes[id].id));
        let leader = self.new_leader(id);
        self.nodes[id].leader = Some(Box::new(leader));
        self.nodes[id].hint = Some((term, id));
        self.nodes[id].renew_at = t;
        true
    }

    fn sees_term(&mut self, id: usize, term: u64) {
        let node = &mut self.nodes[id];
        if term > node.term {
            node.term = term;
            node.leader = None;
            node.holder.saw_term(term);
        }
    }

    /// Sends a round to all members.
    pub(crate) fn replicate(&mut self, id: usize) {
        let sent_boot = self.boot(id);
        let node = &self.nodes[id];
        let append =
            Append { term: node.term, log: node.log.clone(), commit: node.commit, sent_boot };
        let hears = |to: &usize| self.is_member(id, self.nodes[*to].original.unwrap_or(*to));
        let all = (0..self.nodes.len()).filter(|to| *to != id).filter(hears);
        for to in all.collect::<Vec<_>>() {
            self.send(id, to, &Message::Append(append.clone()));
        }
        self.commit(id);
    }

    pub(crate) fn on_append(&mut self, id: usize, from: usize, append: &Append) {
        if append.term >= self.nodes[id].term {
            self.sees_term(id, append.term);
            let election_timeout = self.random.between(500, 1_000);
            let node = &mut self.nodes[id];
            let stale = append.log.len() <= node.log.len() && {
                let (new, old) = (append.log.last(), node.log.get(append.log.len().max(1) - 1));
                new == old
            };
            if !stale {
                node.log = append.log.clone();
            }
            node.commit = node.commit.max(append.commit.min(node.log.len()));
            node.campaign_at = self.t + 1_000 + election_timeout;
            if node.hint != Some((append.term, from)) {
                node.hint = Some((append.term, from));
                node.renew_at = self.t;
            }
        }
        let (term, sent_boot) = (self.nodes[id].term, append.sent_boot);
        let of_term = append.term;
        self.send(id, from, &Message::Ack { term, of_term, upto: append.log.len(), sent_boot });
    }

    pub(crate) fn on_ack(
        &mut self,
        id: usize,
        from: usize,
        (term, of_term): (u64, u64),
        upto: usize,
        sent_boot: u64,
    ) {
        self.sees_term(id, term);
        let node = &mut self.nodes[id];
        if term == node.term
            && of_term == term
            && let Some(leader) = node.leader.as_mut()
        {
            leader.matched[from] = leader.matched[from].max(upto);
            leader.acked[from] = leader.acked[from].max(sent_boot);
            self.commit(id);
        }
    }

    fn commit(&mut self, id: usize) {
        let node = &mut self.nodes[id];
        let Some(leader) = node.leader.as_mut() else { return };
        leader.matched[id] = node.log.len();
        let places = leader.matched.clone();
        let upto = self.reached_by_majority(id, &places);
        let node = &mut self.nodes[id];
        let own = upto > 0 && self.entries[node.log[upto - 1] as usize].term == node.term;
        if own && upto > node.commit {
            node.commit = upto;
        }
        let (log, commit) = (node.log.clone(), node.commit);
        if let Some(at) = commit.min(self.committed.len()).checked_sub(1) {
            assert_eq!(self.committed[at], log[at], "the model's Raft is broken");
        }
        for &entry in log.get(self.committed.len()..commit).unwrap_or_default() {
            self.committed.push(entry);
            let entry = self.entries[entry as usize].clone();
            self.checks.commit(&entry, self.t);
        }
    }

    /// The time that a node waits before its next try to be elected.
    pub(crate) fn election_timeout(&mut self) -> Millis {
        self.random.between(500, 1_500)
    }
}
