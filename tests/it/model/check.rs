//! The invariants that must hold at each step and at the end of a run.

use std::collections::{BTreeMap, BTreeSet};

use scheduler0::model::Millis;
use scheduler0::model::lease::Now;
use scheduler0::model::shard::{MoveKind, Shard};

use super::node::Node;
use super::scenario::{Rule, START, Scenario, next_due};
use super::state::{Entry, JournalEntry, Key, Payload, State};

/// The committed state, and the observations of a run.
pub(crate) struct Checks {
    scenario: Scenario,
    committed: State,
    /// For each shard the instant up to which all is accounted for. It never falls.
    settled: Vec<Millis>,
    sends: BTreeMap<(Key, u32), Vec<(u64, u64)>>,
    /// The instant at which the end state of each occurrence was committed.
    ended: BTreeMap<Key, Millis>,
    /// The instant at which each process started.
    starts: BTreeMap<(u64, u64), Millis>,
    /// The number of changes of the members.
    member_changes: u64,
    broken: Option<String>,
}

impl Checks {
    pub(crate) fn new(shards: u16, scenario: Scenario) -> Self {
        Self {
            scenario,
            committed: State::new(shards),
            settled: vec![START; usize::from(shards)],
            sends: BTreeMap::new(),
            ended: BTreeMap::new(),
            starts: BTreeMap::new(),
            member_changes: 0,
            broken: None,
        }
    }

    pub(crate) fn committed(&self) -> &State {
        &self.committed
    }

    pub(crate) fn sends(&self) -> u64 {
        self.sends.len() as u64
    }

    pub(crate) fn moves(&self) -> u64 {
        self.committed.moved
    }

    pub(crate) fn member_changes(&self) -> u64 {
        self.member_changes
    }

    pub(crate) fn broken(&self) -> Result<(), String> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn fails(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// An entry is committed: watermarks never fall, and cover only accounted occurrences.
    pub(crate) fn commit(&mut self, entry: &Entry, t: Millis) {
        let before = self.committed.shards.clone();
        self.committed.apply(entry);
        self.member_changes += u64::from(matches!(entry.payload, Payload::Members));
        if let Payload::Assign(moves) = &entry.payload {
            for change in moves {
                let shard = &before[usize::from(change.shard)];
                if let MoveKind::HandOver { until } = change.kind
                    && (shard.epoch, &shard.closing) == (change.expects, &None)
                    && until <= shard.watermark
                {
                    self.fails(format!("void for ever: {change:?} of {shard:?}"));
                }
            }
        }
        if let Payload::Record { notes, .. } = &entry.payload {
            for note in notes {
                if let JournalEntry::Result { key, .. } = note
                    && self.committed.ends.contains_key(key)
                {
                    self.ended.entry(*key).or_insert(t);
                }
            }
        }
        for (old, new) in before.iter().zip(self.committed.shards.clone()) {
            if *old == new {
                continue;
            }
            let at = usize::from(new.id);
            if new.settled() < self.settled[at] || new.watermark < old.watermark {
                self.fails(format!("the watermark of {old:?} fell to {new:?}"));
            }
            self.settled[at] = new.settled();
            let covered = |shard: &Shard| match &shard.closing {
                Some(c) => vec![(old.settled(), c.watermark), (c.until, shard.watermark)],
                None => vec![(old.settled(), shard.watermark)],
            };
            for (from, to) in covered(&new) {
                let mut due = next_due(new.id, from);
                while due <= to {
                    if !self.committed.has((new.id, due)) {
                        self.fails(format!(
                            "({}, {due}) is below the watermark and unaccounted for",
                            new.id
                        ));
                        break;
                    }
                    due = next_due(new.id, due);
                }
            }
        }
    }

    /// A process starts.
    pub(crate) fn started(&mut self, who: (u64, u64), t: Millis) {
        self.starts.insert(who, t);
    }

    /// A request goes out.
    pub(crate) fn sent(
        &mut self,
        key: Key,
        attempt: u32,
        by: (u64, u64),
        t: Millis,
    ) -> Result<(), String> {
        let senders = self.sends.entry((key, attempt)).or_default();
        senders.push(by);
        if self.scenario == Scenario::Calm && senders.len() > 1 {
            return Err(format!("{key:?} #{attempt} was sent twice: {senders:?}"));
        }
        if key.1 > t + self.scenario.drift() {
            return Err(format!("{key:?} was sent early, at {t}"));
        }
        // An end state that was committed before the sender started, and a leader's freshness ago.
        let started = self.starts.get(&by).copied().unwrap_or(START);
        if self.ended.get(&key).is_some_and(|at| at + 600 < started) {
            return Err(format!("{key:?} was over before {by:?} started, and was sent again"));
        }
        Ok(())
    }

    /// No two nodes, frozen ones included, may both fire the same instant of a shard.
    pub(crate) fn authority(
        &self,
        nodes: &[Node],
        boot: impl Fn(usize) -> u64,
        without: Option<Rule>,
    ) -> Result<(), String> {
        let usable = |(id, n): &(usize, &Node)| n.alive && n.holder.usable(boot(*id), n.position());
        let usable: Vec<(usize, &Node)> = nodes.iter().enumerate().filter(usable).collect();
        if usable.len() < 2 {
            return Ok(());
        }
        for shard in &self.committed.shards {
            let mut held: Vec<(u64, Millis, Millis)> = Vec::new();
            for &(id, node) in &usable {
                let record = &node.state.shards[usize::from(shard.id)];
                for part in record.ownerships(node.id) {
                    let promised = node.holder.promised(shard.id, part.epoch);
                    let until = part.until.min(promised.unwrap_or(Millis::MAX));
                    // A closing owner fires nothing after its closing statement.
                    let now = Now { boot: boot(id), sched: Millis::MAX };
                    if !node.holder.may_send(now, node.position(), shard.id, &part, until) {
                        continue;
                    }
                    let until =
                        if without == Some(Rule::PromiseBinds) { part.until } else { until };
                    let after = match &record.closing {
                        Some(c) if !part.closing => c.until,
                        _ => Millis::MIN,
                    };
                    for (other, from, to) in &held {
                        let (from, to) = (after.max(*from), until.min(*to));
                        if *other != id as u64 + 1 && from < to {
                            let who = format!("the processes at {other} and {}", id + 1);
                            let what = format!("({from}, {to}] of shard {}", shard.id);
                            return Err(format!("{who} may both fire {what}"));
                        }
                    }
                    held.push((id as u64 + 1, after, until));
                }
            }
        }
        Ok(())
    }

    /// The end of a run, after the faults were healed: all that was due is delivered or dead,
    /// hand-overs are closed, shards are spread evenly, and the leader's clock is right.
    pub(crate) fn at_end(
        &self,
        leads: &Node,
        living: &BTreeSet<u64>,
        t: Millis,
    ) -> Result<(), String> {
        if leads.clock_off.abs() > 1_000 {
            return Err(format!("node {} leads with a wrong clock", leads.id));
        }
        let alone = living.len() == 1;
        let owners = living.iter().filter(|id| alone || **id != leads.id);
        let mut is_member: BTreeMap<u64, usize> = owners.map(|id| (*id, 0)).collect();
        for shard in &self.committed.shards {
            if let Some(closing) = shard.closing.as_ref().filter(|c| c.until < t - 4_000) {
                return Err(format!("shard {} never closes: {closing:?}", shard.id));
            }
            let mut due = next_due(shard.id, START);
            while due < t - 7_000 {
                if !self.committed.ends.contains_key(&(shard.id, due)) {
                    return Err(format!("({}, {due}) has no end state: {shard:?}", shard.id));
                }
                due = next_due(shard.id, due);
            }
            *is_member.entry(shard.owner).or_default() += 1;
        }
        let spread = is_member.values().max().zip(is_member.values().min());
        if spread.is_some_and(|(most, least)| most - least > 1) {
            return Err(format!("uneven at the end: {is_member:?}, node {} leads", leads.id));
        }
        Ok(())
    }
}
