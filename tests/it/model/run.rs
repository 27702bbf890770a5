//! A run of the model from its beginning to its end, with the checks after each step.

use scheduler0::model::Millis;

use super::message::Message;
use super::protocol::ProtocolModel;
use super::scenario::Scenario;

/// The length of a step.
const STEP: Millis = 50;

impl ProtocolModel {
    /// Delivers the messages that are due.
    fn deliver(&mut self) {
        while let Some(first) = self.net.first_entry() {
            if first.key().0 > self.t {
                return;
            }
            let (from, to, message) = first.remove();
            if !self.nodes[to].alive {
                continue;
            }
            if self.nodes[to].paused_until > self.t {
                self.posted += 1;
                let at = self.nodes[to].paused_until + 1;
                self.net.insert((at, self.posted), (from, to, message));
                continue;
            }
            match message {
                Message::Append(append) => self.on_append(to, from, &append),
                Message::Ack { term, of_term, upto, sent_boot } => {
                    self.on_ack(to, from, (term, of_term), upto, sent_boot);
                }
                Message::Renewal(renewal) => self.on_renewal(to, from, &renewal),
                Message::Answer(answer, asked) => self.on_answer(to, answer, &asked),
            }
        }
    }

    /// Runs to the end; the error is the first violation.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        while self.t < self.ends {
            self.t += STEP;
            self.inject_faults();
            self.deliver();
            let turn = self.random.below(self.nodes.len());
            for i in 0..self.nodes.len() {
                let id = (i + turn) % self.nodes.len();
                if !self.runs(id) {
                    continue;
                }
                self.work(id)?;
                if self.nodes[id].leader.is_some() {
                    self.lead(id);
                } else if self.t >= self.nodes[id].campaign_at && !self.campaign(id) {
                    self.nodes[id].campaign_at = self.t + self.election_timeout();
                }
            }
            self.checks.authority(&self.nodes, |id| self.boot(id), self.without)?;
            self.checks.broken()?;
            self.check_killed()?;
            self.check_deaf()?;
        }
        if matches!(self.scenario, Scenario::Storm | Scenario::Copies | Scenario::Deaf) {
            return Ok(());
        }
        let leads = (0..self.nodes.len())
            .filter(|n| self.nodes[*n].alive && self.nodes[*n].leader.is_some())
            .max_by_key(|n| self.nodes[*n].term)
            .ok_or("nobody leads")?;
        let mut owners = self.member_ids(leads);
        if let Some((id, _)) = self.killed {
            owners.remove(&self.nodes[id].id);
        }
        self.checks.at_end(&self.nodes[leads], &owners, self.t)
    }

    /// A node that gets no log loses its shards in time: it counts as behind after one TTL of log
    /// time, which advances twice a second.
    fn check_deaf(&self) -> Result<(), String> {
        let Some((id, at)) = self.deaf else { return Ok(()) };
        let bound = (self.timing.ttl + self.timing.dead_after()) as Millis + 2_000;
        let owner = self.nodes[id].id;
        let shards = &self.checks.committed().shards;
        if self.t > at + bound && shards.iter().any(|s| s.ownerships(owner).next().is_some()) {
            return Err(format!("node {owner}, which is behind, still owns after {bound} ms"));
        }
        Ok(())
    }

    /// A killed owner loses its shards in time.
    fn check_killed(&self) -> Result<(), String> {
        let Some((id, at)) = self.killed else { return Ok(()) };
        let bound = (self.timing.dead_after() + 1_000) as Millis;
        let owner = self.nodes[id].id;
        let shards = &self.checks.committed().shards;
        if self.t > at + bound && shards.iter().any(|s| s.ownerships(owner).next().is_some()) {
            return Err(format!("killed node {owner} still owns after {} ms", self.t - at));
        }
        Ok(())
    }
}
