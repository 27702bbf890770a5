//! The model's node: a small engine that fires, journals and states watermarks, with the real
//! `Holder` to ask.

use std::collections::VecDeque;
use std::rc::Rc;

use scheduler0::model::Millis;
use scheduler0::model::lease::{Facts, Position};
use scheduler0::model::process::Starts;
use scheduler0::model::shard::Part;
use scheduler0::worker::lease::Holder;

use super::Rule;
use super::faults::LOST_JOURNAL;
use super::leader::Leader;
use super::random::mix;
use super::state::{Books, Came, Key, Note};
use super::world::{Message, Scenario, World, next_due};

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    key: Key,
    epoch: u64,
    attempt: u32,
    ends: Millis,
}

/// Durable are: the log, the term, the journal, `durable` and the boot number.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) alive: bool,
    /// Of a copy's process: the place of its original.
    pub(crate) original: Option<usize>,
    /// How often another copy was put here.
    pub(crate) copies: u64,
    /// Its gate: which process speaks for each node.
    pub(crate) starts: Starts,
    pub(crate) announce_at: Millis,
    pub(crate) paused_until: Millis,
    pub(crate) boots: u64,
    pub(crate) rate: f64,
    pub(crate) clock_off: Millis,
    pub(crate) term: u64,
    pub(crate) log: Rc<Vec<u32>>,
    pub(crate) commit: usize,
    pub(crate) leader: Option<Box<Leader>>,
    /// The leader that it knows: (term, node).
    pub(crate) hint: Option<(u64, usize)>,
    pub(crate) campaign_at: Millis,
    pub(crate) renew_at: Millis,
    /// It applies only now and then.
    pub(crate) slow: bool,
    pub(crate) draining: bool,
    pub(crate) books: Books,
    pub(crate) durable: Books,
    pub(crate) holder: Holder,
    /// How many leases it was granted since its start.
    pub(crate) leases: u64,
    pub(crate) flights: Vec<Flight>,
    pub(crate) journal: VecDeque<Note>,
    /// The sequence number before the journal's first entry.
    pub(crate) forgotten: u64,
    /// Which journal it is: one that is lost is followed by another, which counts from 1.
    pub(crate) incarnation: u64,
    /// When what a snapshot brought is looked through.
    pub(crate) rebuilds_at: Option<Millis>,
}

impl Node {
    pub(crate) fn position(&self) -> Position {
        Position { index: self.books.index, stamp: self.books.stamp }
    }

    /// The holder of a process that has just started.
    pub(crate) fn fresh_holder(&self) -> Holder {
        let stated = self.journal.iter().filter_map(|note| match *note {
            Note::Watermark { shard, epoch, w } => Some(((shard, epoch), w)),
            Note::Result { .. } => None,
        });
        let mut holder = Holder::new(self.id, u128::from(self.id), self.boots, self.term, stated);
        holder.rebuilt(self.books.index);
        holder
    }

    pub(crate) fn parts(&self, shard: u16) -> Vec<Part> {
        self.books.shards[usize::from(shard)].parts(self.id).collect()
    }

    /// Whether an attempt is journaled here in a way that will count when it is applied.
    fn journaled(&self, key: Key, attempt: u32, epoch: u64) -> bool {
        self.journal.iter().any(|note| match *note {
            Note::Result { key: k, attempt: a, epoch: e, came } => {
                k == key && a >= attempt && (came != Came::Dead || e == epoch)
            }
            Note::Watermark { .. } => false,
        })
    }

    fn flying(&self, key: Key) -> bool {
        self.flights.iter().any(|f| f.key == key)
    }

    /// Whether an occurrence of its part needs no first attempt from here any more.
    fn settled(&self, key: Key, epoch: u64) -> bool {
        self.books.has(key) || self.journaled(key, 1, epoch)
    }

    pub(crate) fn owns_nothing(&self) -> bool {
        self.books.shards.iter().all(|s| s.parts(self.id).next().is_none())
            && self.flights.is_empty()
            && self.journal.is_empty()
    }
}

impl World {
    /// What an attempt comes to, by the seed.
    fn outcome(&self, key: Key, attempt: u32, sched: Millis) -> Came {
        let roll =
            mix(self.seed ^ (key.1 as u64) << 8 ^ u64::from(key.0) << 3 ^ u64::from(attempt));
        match roll % 100 {
            0..78 => Came::Delivered,
            78..84 => Came::Dead,
            _ if attempt >= 3 => Came::Delivered,
            _ => Came::Retry(sched + 200 + (roll >> 32) as Millis % 1_500),
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
            let came = self.outcome(f.key, f.attempt, now.sched);
            let (key, epoch, attempt) = (f.key, f.epoch, f.attempt);
            self.nodes[id].journal.push_back(Note::Result { key, epoch, attempt, came });
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
        // In runs with troubles of the disk, who is behind may get a snapshot instead of entries.
        let behind = self.nodes[id].commit as u64 - self.nodes[id].books.index;
        let troubled = self.faulty() && self.kinds.contains(&LOST_JOURNAL);
        let installs = troubled && behind > 3 && self.random.chance(2_000);
        let takes = if installs { self.random.between(0, 1_500) } else { 0 };
        let t = self.t;
        let node = &mut self.nodes[id];
        if node.rebuilds_at.is_some_and(|at| at <= t) {
            node.rebuilds_at = None;
            node.holder.rebuilt(node.books.index);
        }
        let from = node.books.index as usize;
        if from < node.commit {
            for at in from..node.commit {
                node.books.apply(&self.arena[node.log[at] as usize]);
            }
            if installs {
                node.durable = node.books.clone();
                node.holder.replaced(node.books.index);
                node.rebuilds_at = Some(t + takes);
            }
            node.holder.shards_applied(&node.books.shards);
            let recorded = node.books.cursor(id, node.incarnation);
            while node.forgotten < recorded && node.journal.pop_front().is_some() {
                node.forgotten += 1;
            }
        }
        if snapshot {
            node.durable = node.books.clone();
        }
    }

    fn fire(&mut self, id: usize, shard: u16, part: &Part) -> Result<(), String> {
        let now = self.now(id);
        let mut due = next_due(shard, part.after);
        while due <= part.until.min(now.sched) {
            let (node, key) = (&self.nodes[id], (shard, due));
            let applied = node.position();
            if !node.flying(key) && !node.settled(key, part.epoch) {
                let bold = self.without == Some(Rule::PromiseBinds)
                    && node.holder.usable(now.boot, applied);
                if bold || node.holder.may_fire(now, applied, shard, part, due) {
                    self.launch(id, key, part.epoch, 1)?;
                }
            }
            due = next_due(shard, due);
        }
        Ok(())
    }

    fn fire_rows(&mut self, id: usize, shard: u16, part: &Part) -> Result<(), String> {
        let now = self.now(id);
        let node = &self.nodes[id];
        let of_shard = (shard, Millis::MIN)..=(shard, Millis::MAX);
        let rows: Vec<_> = node.books.rows.range(of_shard).map(|(k, row)| (*k, *row)).collect();
        for (key, row) in rows {
            let node = &self.nodes[id];
            let holder = node.books.shards[usize::from(shard)].holder_of_pending(row.next_at);
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
        self.tell(|_| format!("node {node}.{boot} sends {key:?} #{attempt} under {epoch}"));
        self.checks.sent(key, attempt, (node, boot), self.t)
    }

    fn watermark(&mut self, id: usize, shard: u16, part: &Part) {
        let now = self.now(id);
        let without = self.without;
        let node = &mut self.nodes[id];
        let applied = node.position();
        let mut w = applied.stamp.min(now.sched);
        if without == Some(Rule::WatermarkBehindTime) {
            w = w.max(applied.stamp).max(now.sched) + 1_000;
        }
        w = w.min(part.until);
        let mut due = next_due(shard, part.after);
        while due <= w {
            let key = (shard, due);
            let covered = without == Some(Rule::WatermarkCovers);
            if node.flying(key) || !node.settled(key, part.epoch) {
                w = if covered { w } else { due - 1 };
            }
            due = next_due(shard, due);
        }
        let promised = node.holder.promised(shard, part.epoch);
        if let Some(h) = promised.filter(|_| !part.closing) {
            let most = if without == Some(Rule::WatermarkBelowPromise) { h } else { h - 1 };
            w = w.min(most);
        }
        if part.closing && w == part.until && without != Some(Rule::ClosingWaits) {
            let of_shard = (shard, Millis::MIN)..=(shard, Millis::MAX);
            let rows = node.books.rows.range(of_shard).any(|(_, row)| row.next_at <= part.until);
            if rows || node.flights.iter().any(|f| f.key.0 == shard && f.epoch == part.epoch) {
                w -= 1;
            }
        }
        let bold = match without {
            Some(Rule::WatermarkBelowPromise) => {
                !part.closing && Some(w) == promised && node.holder.usable(now.boot, applied)
            }
            Some(Rule::WatermarkBehindTime) => node.holder.usable(now.boot, applied),
            Some(Rule::WatermarkAsksHolder) => true,
            _ => false,
        } && w > part.after;
        if bold || node.holder.state_watermark(now, applied, shard, part, w) {
            node.journal.push_back(Note::Watermark { shard, epoch: part.epoch, w });
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
