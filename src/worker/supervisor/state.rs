//! The state of the supervisor, and the questions that its steps ask of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::at_bus::{AtBus, Leaving};
use super::event::{AppendId, ClaimId, DispatchId, Effect, Handed, Moment, QueueId};
use super::in_hand::{InHand, Taking};
use super::missed_time::{HeardAt, MissedTime};
use super::offers::{GroupId, Lane, Offers, Popped};
use super::taken::TakenRuns;
use crate::model::attempt::JournalEntry;
use crate::model::claim::ClaimOrder;
use crate::model::members::Members;
use crate::model::offer::OfferId;
use crate::model::run::Occurrence;
use crate::model::shard::{OwnershipKey, ShardId};
use crate::model::{JobId, NodeId};

/// The epoch of a shard that is this node's at present.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) epoch: u64,
    /// The owner before has not closed yet.
    pub(super) is_closing: bool,
    /// Loads that were asked for and have not come.
    pub(super) loads: u32,
    /// The instant at which the first load came.
    pub(super) loaded: Option<HeardAt>,
}

/// What this node has of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    pub(super) current: Option<Range>,
    /// The epoch that this node closes.
    pub(super) closing: Option<u64>,
}

/// A claim under way, or runs that are taken over from an owner that died with their claim.
#[derive(Debug, Default)]
pub(super) struct Hand {
    pub(super) worker: Arc<str>,
    /// A worker waits for the answer.
    pub(super) is_claim: bool,
    pub(super) key: Option<String>,
    pub(super) order: ClaimOrder,
    pub(super) queues: Vec<QueueId>,
    pub(super) max: usize,
    /// The members in hand, by part.
    pub(super) members: BTreeMap<Occurrence, Popped>,
    /// The rows that they were in when they were popped.
    pub(super) rows: BTreeSet<OfferId>,
}

/// What follows when entries are synced.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Members of dispatches that are journaled then.
    pub(super) settles: Vec<(DispatchId, u64)>,
    /// Groups that are offered then.
    pub(super) offered: Vec<GroupId>,
    /// The claim that is answered then, with its runs.
    pub(super) claim: Option<(ClaimId, Vec<Taking>)>,
    /// Runs that a broker has, and that are taken then.
    pub(super) published: Vec<Leaving>,
    /// Runs at their bus that are journaled as waiting then.
    pub(super) at_bus: Vec<Occurrence>,
    /// Members in hand that are over then.
    pub(super) over: Vec<Popped>,
    /// The epochs that the entries are of.
    pub(super) keys: BTreeSet<OwnershipKey>,
}

/// A claim that may be repeated.
#[derive(Debug)]
pub(super) enum Repeat {
    /// It is under way; these claims get the same answer.
    UnderWay(Vec<ClaimId>),
    /// It was answered.
    Answered { runs: Vec<Handed>, until: u64 },
}

/// How often a worker was asked to stop a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) since: u64,
    pub(super) times: u64,
}

/// How far a run is, in its worker's words.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) attempt: u32,
    pub(super) percent: Option<u8>,
    pub(super) message: Option<String>,
    pub(super) written: Option<u64>,
    pub(super) is_new: bool,
}

/// The supervisor of the worker runs of one node; see the head of the module.
#[derive(Default)]
pub(crate) struct Supervisor {
    pub(super) node: NodeId,
    pub(super) shards: BTreeMap<ShardId, Ranges>,
    pub(super) offers: Offers,
    pub(super) taken: TakenRuns,
    pub(super) hands: BTreeMap<ClaimId, Hand>,
    /// The attempts in hand: popped, and not yet taken or given back.
    pub(super) in_hand: InHand,
    /// The runs that are at their bus.
    pub(super) at_bus: AtBus,
    /// The queues of which something may be handed to their bus in this step.
    pub(super) publishable: BTreeSet<QueueId>,
    /// How many members of a dispatch are not journaled.
    pub(super) dispatches: BTreeMap<DispatchId, u64>,
    pub(super) appends: BTreeMap<AppendId, Following>,
    pub(super) limits: BTreeMap<QueueId, usize>,
    pub(super) keys: BTreeMap<(Arc<str>, String), Repeat>,
    pub(super) wants: BTreeMap<QueueId, VecDeque<(NodeId, u64)>>,
    pub(super) watchers: BTreeMap<QueueId, BTreeMap<NodeId, u64>>,
    /// The queues that have changed since the last hints.
    pub(super) changed_queues: BTreeSet<QueueId>,
    /// The queues that got more in this step.
    pub(super) grown_queues: BTreeSet<QueueId>,
    /// Jobs that were deleted lately, and until when that is remembered: what was on its way when
    /// they went is ended, too.
    pub(super) gone: BTreeMap<JobId, u64>,
    pub(super) cancels: BTreeMap<Occurrence, Asked>,
    pub(super) progress: BTreeMap<Occurrence, Progress>,
    /// Since when the bus of a queue is up for a shard; what is not in it was never up, or is of a
    /// bus that cannot go down.
    pub(super) buses: BTreeMap<(QueueId, ShardId), Option<HeardAt>>,
    /// The time in which workers could not be heard.
    pub(super) missed: MissedTime,
    pub(super) turn: usize,
    pub(super) last_append: AppendId,
    /// The sequence number of the last entry that is known to be synced.
    pub(super) last_seq: u64,
    pub(super) last_adoption: u64,
    pub(super) last_publish: u64,
}

impl Supervisor {
    /// A supervisor of a node that owns nothing yet.
    pub(crate) fn new(node: NodeId) -> Self {
        Self { node, ..Self::default() }
    }

    /// Says whether nothing of an epoch is on its way to the journal: only then may the owner
    /// state that the epoch is closed.
    pub(crate) fn is_drained(&self, shard: ShardId, epoch: u64) -> bool {
        let key = (shard, epoch);
        let is_its = |popped: &Popped| (popped.source.shard, popped.source.epoch) == key;
        let has_fresh =
            self.offers.fresh().any(|(_, group)| (group.source.shard, group.source.epoch) == key);
        let in_hand = self.hands.values().any(|hand| hand.members.values().any(is_its));
        let appending = self.appends.values().any(|following| following.keys.contains(&key));
        !has_fresh && !in_hand && !appending && !self.at_bus.has_any_of(key)
    }

    /// Says whether an epoch of a shard is this node's at present.
    pub(super) fn is_current(&self, shard: ShardId, epoch: u64) -> bool {
        let current = self.shards.get(&shard).and_then(|ranges| ranges.current.as_ref());
        current.is_some_and(|range| range.epoch == epoch)
    }

    /// Says whether members of a lane may be handed out: the lease is usable, the shard is neither
    /// promised away nor unread, and no closing owner may have handed them out.
    pub(super) fn is_open(&self, at: &Moment<'_>, (shard, own): Lane) -> bool {
        let ranges = self.shards.get(&shard);
        let Some(range) = ranges.and_then(|ranges| ranges.current.as_ref()) else { return false };
        let waits = range.is_closing || range.loads > 0;
        at.has_room
            && at.lease.usable_since().is_some()
            && !at.lease.is_promised(shard, range.epoch)
            && range.loaded.is_some()
            && (own || !waits)
    }

    /// Notes that more waits in a queue.
    pub(super) fn grew(&mut self, queue: QueueId) {
        self.changed_queues.insert(queue);
        self.grown_queues.insert(queue);
        self.may_publish(queue);
    }

    /// Starts an append.
    pub(super) fn append(
        &mut self,
        entries: Vec<JournalEntry>,
        following: Following,
        out: &mut Vec<Effect>,
    ) {
        if entries.is_empty() {
            return;
        }
        self.last_append += 1;
        self.appends.insert(self.last_append, following);
        out.push(Effect::Append { id: self.last_append, entries });
    }

    /// Counts members of a dispatch as journaled, or as come back.
    pub(super) fn settle(&mut self, dispatch: DispatchId, count: u64, out: &mut Vec<Effect>) {
        let Some(left) = self.dispatches.get_mut(&dispatch) else { return };
        *left = left.saturating_sub(count);
        if *left == 0 {
            self.dispatches.remove(&dispatch);
            out.push(Effect::Finished { dispatch });
        }
    }

    /// Says whether the *Offered* of a run that was at its bus is on its way to the journal.
    fn is_being_offered(&self, of: Occurrence) -> bool {
        self.appends.values().any(|following| following.at_bus.contains(&of))
    }

    /// Puts a member back that was not handed out.
    pub(super) fn give_back(&mut self, mut popped: Popped, out: &mut Vec<Effect>) {
        let source = Arc::clone(&popped.source);
        if !self.is_being_offered(source.occurrence(popped.job)) {
            popped.set_offered(self.last_seq);
        }
        if self.is_current(source.shard, source.epoch) {
            self.grew(source.queue);
            self.offers.give_back(popped);
        } else if let Some((dispatch, _)) = &popped.dispatch {
            let ranges = self.shards.get(&source.shard);
            if ranges.is_some_and(|ranges| ranges.closing == Some(source.epoch)) {
                self.offers.give_back(popped);
            } else {
                let members = Members::from_sorted([popped.job]);
                out.push(Effect::Returned { dispatch: *dispatch, members });
                self.settle(*dispatch, 1, out);
            }
        }
    }
}
