//! The records that a fair queue keeps: one of each project, and one of each of its flows.
//! `queue::FairQueue` reads and changes them; they have no rules of their own but
//! [`Project::need`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::workers::WorkerShare;
use crate::model::ProjectId;

/// A flow; valid until it is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowId(pub(super) usize);

/// A project of the queue.
#[derive(Debug)]
pub(super) struct Project<K> {
    pub(super) id: ProjectId,
    pub(super) share: WorkerShare,
    pub(super) in_flight: usize,
    /// Its flows by their key.
    pub(super) flows: BTreeMap<K, usize>,
    /// Flows that may begin a call, by (in flight, turn): the first one is served next.
    pub(super) ring: BTreeSet<(usize, u64, usize)>,
    /// The turn in which it was served last.
    pub(super) turn: u64,
    pub(super) place: Place,
}

impl<K> Project<K> {
    pub(super) fn new(id: ProjectId) -> Self {
        Self {
            id,
            share: WorkerShare::default(),
            in_flight: 0,
            flows: BTreeMap::new(),
            ring: BTreeSet::new(),
            turn: 0,
            place: Place::Out,
        }
    }

    /// The number of places of which more must be free before a flow with `in_flight` calls may
    /// begin one more.
    pub(super) fn need(&self, in_flight: usize, flow_factor: usize) -> usize {
        self.in_flight + in_flight / flow_factor
    }
}

/// Where a project is listed, with the keys that it is listed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: it has nothing that may begin.
    Out,
    /// Among those that may begin a call: workers and turn.
    Ready(usize, u64),
    /// Among those that have reached their share: need and turn.
    Capped(usize, u64),
}

/// A flow of a project.
#[derive(Debug)]
pub(super) struct Flow<K, W, D> {
    /// The index of its project.
    pub(super) project: usize,
    /// `None` once it was forgotten.
    pub(super) key: Option<K>,
    pub(super) waiting: VecDeque<W>,
    pub(super) in_flight: usize,
    /// The most calls that may be in flight.
    pub(super) most: usize,
    /// The owner of the queue wants nothing to be begun.
    pub(super) parked: bool,
    /// The turn in which it was served last.
    pub(super) turn: u64,
    /// The keys under which it is in its project's ring.
    pub(super) listed: Option<(usize, u64)>,
    pub(super) data: D,
}
