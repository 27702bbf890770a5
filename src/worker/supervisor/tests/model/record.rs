//! What is remembered of a run of the model, for the checks.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::event::ClaimId;
use crate::model::run::Occurrence;

/// A confirm that came to a node: the node, its life, and the instant.
pub(super) type Confirm = (u64, u64, u64);

/// What is remembered of a run of the model.
#[derive(Default)]
pub(super) struct Checks {
    /// Who handed out an attempt, and when.
    pub(super) handed: BTreeMap<(Occurrence, u32), Vec<(u64, u64)>>,
    pub(super) highest: BTreeMap<Occurrence, u32>,
    /// When a node was without a lease, and from when on it had one again.
    pub(super) lapses: Vec<(u64, u64, u64)>,
    /// The owners that were declared dead, and when.
    pub(super) dead: Vec<(u64, u64)>,
    /// When a node last heard of an attempt: its heartbeats, and the claim.
    pub(super) heard: BTreeMap<(u64, Occurrence, u32), u64>,
    /// When a node first read the shard under its epoch.
    pub(super) loaded: BTreeMap<u64, u64>,
    /// Occurrences that were not given out because their job was gone.
    pub(super) deleted: BTreeSet<Occurrence>,
    pub(super) cancelled: BTreeMap<Occurrence, u64>,
    /// The offers that were cancelled by the entry of an index.
    pub(super) cancelled_by: BTreeMap<u64, Occurrence>,
    /// When a node has taken in that an offer was cancelled.
    pub(super) learned: BTreeMap<(u64, Occurrence), u64>,
    /// When a node looked up the members of a hand.
    pub(super) looked_up: BTreeMap<(u64, ClaimId), u64>,
    /// The nodes that heard of the confirm of an attempt, each with its life, and when.
    pub(super) confirmed: BTreeMap<(Occurrence, u32), Vec<Confirm>>,
    /// When the bus of a node came or went.
    pub(super) bus_up: BTreeMap<u64, u64>,
    broken: Option<String>,
}

impl Checks {
    pub(super) fn violate(&mut self, what: impl Into<String>) {
        self.broken.get_or_insert(what.into());
    }

    pub(super) fn take_broken(&mut self) -> Result<(), String> {
        self.broken.take().map_or(Ok(()), Err)
    }

    /// The time since an instant in which a node was without a lease.
    pub(super) fn lapsed(&self, node: u64, since: u64) -> u64 {
        let its = self.lapses.iter().filter(|(of, ..)| *of == node);
        its.map(|(_, from, until)| until.saturating_sub(since.max(*from))).sum()
    }

    /// Says whether a node was declared dead between two instants.
    pub(super) fn has_died(&self, node: u64, from: u64, until: u64) -> bool {
        self.dead.iter().any(|(dead, at)| *dead == node && (from..=until).contains(at))
    }
}
