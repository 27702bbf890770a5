//! One step of a running node: it applies the log, fires with the leave of its `Holder`, journals
//! results and watermarks, and renews its lease.

use scheduler0::model::Millis;
use scheduler0::model::lease::Facts;
use scheduler0::model::shard::Ownership;

use super::message::Message;
use super::node::Flight;
use super::protocol::ProtocolModel;
use super::random::mix;
use super::scenario::{LOST_JOURNAL, Rule, Scenario, next_due};
use super::state::{JournalEntry, Key, Outcome};

impl ProtocolModel {
    /// The outcome of an attempt, by the seed.
    fn outcome(&self, key: Key, attempt: u32, sched: Millis) -> Outcome {
        let draw =
            mix(self.seed ^ (key.1 as u64) << 8 ^ u64::from(key.0) << 3 ^ u64::from(attempt));
        match draw % 100 {
            0..78 => Outcome::Delivered,
            78..84 => Outcome::Dead,
            _ if attempt >= 3 => Outcome::Delivered,
            _ => Outcome::Retry(sched + 200 + (draw >> 32) as Millis % 1_500),
        }
    }

    /// One step of a running node.
    pub(crate) fn work(&mut self, id: usize) -> Result<(), String> {
        let now = self.now(id);
        let mut done = Vec::new();
        let t = self.t;
        self.nodes[id].flights.retain(|f| {
            if f.ends <= t {
                done.push(*f);
            }
            f.ends > t
        });
        for f in done {
            let outcome = self.outcome(f.key, f.attempt, now.sched);
            let (key, epoch, attempt) = (f.key, f.epoch, f.attempt);
            self.nodes[id].journal.push_back(JournalEntry::Result { key, epoch, attempt, outcome });
        }
        self.apply(id);
        for shard in 0..self.shards {
            for part in self.nodes[id].parts(shard) {
                self.fire(id, shard, &part)?;
                self.fire_rows(id, shard, &part)?;
                if self.random.chance(2_000) {
                    self.watermark(id, shard, &part);
                }
            }
        }
        if t >= self.nodes[id].renew_at {
            self.renew(id);
        }
        if self.scenario == Scenario::Copies && t >= self.nodes[id].announce_at {
            self.nodes[id].announce_at = t + 500;
            self.announce(id);
        }
        Ok(())
    }

    fn apply(&mut self, id: usize) {
        if self.nodes[id].slow && !self.random.chance(300) {
            return;
        }
        let snapshot = self.random.chance(100);
        // In runs with faults of the disk, a node that is behind may get a snapshot instead of
        // entries.
        let behind = self.nodes[id].commit as u64 - self.nodes[id].state.index;
        let troubled = self.faulty() && self.kinds.contains(&LOST_JOURNAL);
        let installs = troubled && behind > 3 && self.random.chance(2_000);
        let takes = if installs { self.random.between(0, 1_500) } else { 0 };
        let t = self.t;
        let node = &mut self.nodes[id];
        if node.rebuilds_at.is_some_and(|at| at <= t) {
            node.rebuilds_at = None;
            node.holder.rebuilt(node.state.index);
        }
        let from = node.state.index as usize;
        if from < node.commit {
            for at in from..node.commit {
                node.state.apply(&self.entries[node.log[at] as usize]);
            }
            if installs {
                node.durable = node.state.clone();
                node.holder.replaced(node.state.index);
                node.rebuilds_at = Some(t + takes);
            }
            node.holder.shards_applied(&node.state.shards);
            let recorded = node.state.cursor(id, node.incarnation);
            while node.forgotten < recorded && node.journal.pop_front().is_some() {
                node.forgotten += 1;
            }
        }
        if snapshot {
            node.durable = node.state.clone();
        }
    }

    fn fire(&mut self, id: usize, shard: u16, part: &Ownership) -> Result<(), String> {
        let now = self.now(id);
        let mut due = next_due(shard, part.after);
        while due <= part.until.min(now.sched) {
            let (node, key) = (&self.nodes[id], (shard, due));
            let applied = node.position();
            if !node.flying(key) && !node.settled(key, part.epoch) {
                let cheats = self.without == Some(Rule::PromiseBinds)
                    && node.holder.usable(now.boot, applied);
                if cheats || node.holder.may_fire(now, applied, shard, part, due) {
                    self.launch(id, key, part.epoch, 1)?;
                }
            }
            due = next_due(shard, due);
        }
        Ok(())
    }

    fn fire_rows(&mut self, id: usize, shard: u16, part: &Ownership) -> Result<(), String> {
        let now = self.now(id);
        let node = &self.nodes[id];
        let of_shard = (shard, Millis::MIN)..=(shard, Millis::MAX);
        let rows: Vec<_> = node.state.rows.range(of_shard).map(|(k, row)| (*k, *row)).collect();
        for (key, row) in rows {
            let node = &self.nodes[id];
            let holder = node.state.shards[usize::from(shard)].holder_of_pending(row.next_at);
            if holder == (node.id, part.epoch)
                && !node.flying(key)
                && !node.journaled(key, row.attempt, part.epoch)
                && node.holder.may_send(now, node.position(), shard, part, row.next_at)
            {
                self.launch(id, key, part.epoch, row.attempt)?;
            }
        }
        Ok(())
    }

    fn launch(&mut self, id: usize, key: Key, epoch: u64, attempt: u32) -> Result<(), String> {
        let longest = if self.scenario == Scenario::Calm { 600 } else { 2_000 };
        let takes = if self.random.chance(9_000) { 60 } else { longest };
        let ends = self.t + self.random.between(0, takes);
        let (node, boot) = (id as u64 + 1, self.nodes[id].boots);
        self.nodes[id].flights.push(Flight { key, epoch, attempt, ends });
        self.trace(|_| format!("node {node}.{boot} sends {key:?} #{attempt} under {epoch}"));
        self.checks.sent(key, attempt, (node, boot), self.t)
    }

    fn watermark(&mut self, id: usize, shard: u16, part: &Ownership) {
        let now = self.now(id);
        let without = self.without;
        let node = &mut self.nodes[id];
        let applied = node.position();
        let mut watermark = applied.stamp.min(now.sched);
        if without == Some(Rule::WatermarkBehindTime) {
            watermark = watermark.max(applied.stamp).max(now.sched) + 1_000;
        }
        watermark = watermark.min(part.until);
        let mut due = next_due(shard, part.after);
        while due <= watermark {
            let key = (shard, due);
            let covered = without == Some(Rule::WatermarkCovers);
            if node.flying(key) || !node.settled(key, part.epoch) {
                watermark = if covered { watermark } else { due - 1 };
            }
            due = next_due(shard, due);
        }
        let promised = node.holder.promised(shard, part.epoch);
        if let Some(handover) = promised.filter(|_| !part.closing) {
            let most =
                if without == Some(Rule::WatermarkBelowPromise) { handover } else { handover - 1 };
            watermark = watermark.min(most);
        }
        if part.closing && watermark == part.until && without != Some(Rule::ClosingWaits) {
            let of_shard = (shard, Millis::MIN)..=(shard, Millis::MAX);
            let rows = node.state.rows.range(of_shard).any(|(_, row)| row.next_at <= part.until);
            if rows || node.flights.iter().any(|f| f.key.0 == shard && f.epoch == part.epoch) {
                watermark -= 1;
            }
        }
        let cheats = match without {
            Some(Rule::WatermarkBelowPromise) => {
                !part.closing
                    && Some(watermark) == promised
                    && node.holder.usable(now.boot, applied)
            }
            Some(Rule::WatermarkBehindTime) => node.holder.usable(now.boot, applied),
            Some(Rule::WatermarkAsksHolder) => true,
            _ => false,
        } && watermark > part.after;
        if cheats || node.holder.state_watermark(now, applied, shard, part, watermark) {
            node.journal.push_back(JournalEntry::Watermark { shard, epoch: part.epoch, watermark });
        }
    }

    pub(crate) fn renew(&mut self, id: usize) {
        let now = self.now(id);
        let every = self.timing.renew_every as Millis;
        let t = self.t;
        let node = &mut self.nodes[id];
        node.renew_at = t + every;
        let Some((_, leader)) = node.hint.filter(|(term, _)| *term == node.term) else { return };
        let facts = Facts {
            applied: node.position(),
            has_room: true,
            draining: node.draining,
            memory: 20,
            journaled: node.forgotten + node.journal.len() as u64,
        };
        let mut renewal = node.holder.renewal(now, facts);
        renewal.process = self.process(id);
        self.send(id, leader, &Message::Renewal(renewal));
    }
}
