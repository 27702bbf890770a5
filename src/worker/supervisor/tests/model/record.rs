//! What is remembered of a run of the model, for the checks.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::event::ClaimId;
use crate::model::run::Occurrence;

/// What is remembered of a run of the model.
#[derive(Default)]
pub(super) struct Checks {
    /// Who handed out an attempt, and when.
    pub(super) handed: BTreeMap<(Occurrence, u32), Vec<(u64, u64)>>,
    pub(super) highest: BTreeMap<Occurrence, u32>,
    /// The owners that were declared dead, and when.
    pub(super) dead: Vec<(u64, u64)>,
    /// When a node last heard of an attempt: its heartbeats, and the claim.
    pub(super) heard: BTreeMap<(u64, Occurrence, u32), u64>,
    /// When a node first read the shard under its epoch.
    pub(super) loaded: BTreeMap<u64, u64>,
    /// Occurrences that were not given out because their job was gone.
    pub(super) deleted: BTreeSet<Occurrence>,
    pub(super) cancelled: BTreeMap<Occurrence, u64>,
    pub(super) looked_up: BTreeMap<ClaimId, u64>,
    broken: Option<String>,
}

impl Checks {
    pub(super) fn violate(&mut self, what: impl Into<String>) {
        self.broken.get_or_insert(what.into());
    }

    pub(super) fn take_broken(&mut self) -> Result<(), String> {
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Says whether a node was declared dead between two instants.
    pub(super) fn has_died(&self, node: u64, from: u64, until: u64) -> bool {
        self.dead.iter().any(|(dead, at)| *dead == node && (from..=until).contains(at))
    }
}
