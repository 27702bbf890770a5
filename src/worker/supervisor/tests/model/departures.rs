//! The model's data about its broker. `broker` has the rules.

use std::collections::BTreeMap;

use super::super::super::event::{ClaimId, Handed};
use crate::model::run::Occurrence;

/// The broker, and what is on its way to it.
#[derive(Default)]
pub(super) struct Broker {
    /// The messages, by the instant from which a worker may take them.
    pub(super) messages: BTreeMap<(u64, u64), Occurrence>,
    pub(super) last: u64,
    pub(super) down_until: u64,
}

/// A run that a node hands to its bus, and the instant at which it leaves.
pub(super) struct Departure {
    pub(super) at: u64,
    pub(super) claim: ClaimId,
    pub(super) run: Handed,
}
