//! A node of the model: its durable state, its memory, and the real `Holder`. What it does is in
//! `engine`.

use std::collections::VecDeque;
use std::rc::Rc;

use scheduler0::model::Millis;
use scheduler0::model::lease::Position;
use scheduler0::model::process::Starts;
use scheduler0::model::shard::Ownership;
use scheduler0::worker::lease::Holder;

use super::leader::Leader;
use super::state::{JournalEntry, Key, Outcome, State};

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) key: Key,
    pub(crate) epoch: u64,
    pub(crate) attempt: u32,
    pub(crate) ends: Millis,
}

/// A node. The log, the term, the journal, `durable` and the boot number outlive its process.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) alive: bool,
    /// The index of the original, for the process of a copy.
    pub(crate) original: Option<usize>,
    /// The number of copies that were started under this index.
    pub(crate) copies: u64,
    /// The process that speaks for each node, as this node's peer port knows it.
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
    /// The leader that the node knows: (term, node).
    pub(crate) hint: Option<(u64, usize)>,
    pub(crate) campaign_at: Millis,
    pub(crate) renew_at: Millis,
    /// True for a node that applies only now and then.
    pub(crate) slow: bool,
    pub(crate) draining: bool,
    pub(crate) state: State,
    pub(crate) durable: State,
    pub(crate) holder: Holder,
    /// The number of leases that it was granted since its start.
    pub(crate) leases: u64,
    pub(crate) flights: Vec<Flight>,
    pub(crate) journal: VecDeque<JournalEntry>,
    /// The sequence number before the journal's first entry.
    pub(crate) forgotten: u64,
    /// The number of the journal: a lost one is followed by another, whose entries count from 1.
    pub(crate) incarnation: u64,
    /// The instant at which the state that a snapshot brought has been read.
    pub(crate) rebuilds_at: Option<Millis>,
}

impl Node {
    /// The applied position.
    pub(crate) fn position(&self) -> Position {
        Position { index: self.state.index, stamp: self.state.stamp }
    }

    /// The holder of a process that has just started.
    pub(crate) fn fresh_holder(&self) -> Holder {
        let stated = self.journal.iter().filter_map(|note| match *note {
            JournalEntry::Watermark { shard, epoch, watermark } => {
                Some(((shard, epoch), watermark))
            }
            JournalEntry::Result { .. } => None,
        });
        let mut holder = Holder::new(self.id, u128::from(self.id), self.boots, self.term, stated);
        holder.rebuilt(self.state.index);
        holder
    }

    pub(crate) fn parts(&self, shard: u16) -> Vec<Ownership> {
        self.state.shards[usize::from(shard)].ownerships(self.id).collect()
    }

    /// True when an attempt is journaled in a way that will count when it is applied.
    pub(crate) fn journaled(&self, key: Key, attempt: u32, epoch: u64) -> bool {
        self.journal.iter().any(|note| match *note {
            JournalEntry::Result { key: k, attempt: a, epoch: e, outcome } => {
                k == key && a >= attempt && (outcome != Outcome::Dead || e == epoch)
            }
            JournalEntry::Watermark { .. } => false,
        })
    }

    pub(crate) fn flying(&self, key: Key) -> bool {
        self.flights.iter().any(|f| f.key == key)
    }

    /// True when an occurrence needs no first attempt from this node any more.
    pub(crate) fn settled(&self, key: Key, epoch: u64) -> bool {
        self.state.has(key) || self.journaled(key, 1, epoch)
    }

    /// True when the node owns no shard and has nothing left to do.
    pub(crate) fn owns_nothing(&self) -> bool {
        self.state.shards.iter().all(|s| s.ownerships(self.id).next().is_none())
            && self.flights.is_empty()
            && self.journal.is_empty()
    }
}
