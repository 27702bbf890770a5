//! What a run of the model is about: its scenario, the rule that it does without, and the constants
//! of the modelled cluster. Plain data; every other file of the model reads it.

use scheduler0::model::Millis;
use scheduler0::model::lease::Timing;

/// The instant at which the model's time begins.
pub(crate) const START: Millis = 1_000_000;

/// The timing of the leases: `Timing::from(150, 500)`.
pub(crate) const TIMING: Timing =
    Timing { ttl: 4_000, fresh: 500, renew_every: 500, settle: 4_000 };

/// The fault in which a node comes back without its journal.
pub(crate) const LOST_JOURNAL: usize = 12;

/// The fault in which a waiting node is added.
pub(crate) const ADD: usize = 13;

/// The fault in which a member is removed by force, whatever it owns. Nothing tells it so.
pub(crate) const REMOVE: usize = 14;

/// The fault in which a copy of a member's folder is started.
pub(crate) const COPY: usize = 15;

/// The scenario of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// All faults.
    Faults,
    /// All faults, faster than the nodes can recover. Only safety is checked.
    Storm,
    /// Drains, graceful restarts and new leaders only.
    Calm,
    /// One node that owns shards and does not lead is killed for good.
    Kill,
    /// Nodes restart with wrong clocks, at most one at a time.
    Clocks,
    /// All faults, while nodes are added and removed by force.
    Members,
    /// One owner gets no more of the log, and works otherwise.
    Deaf,
    /// All faults, while a copy of a member's folder is started. Only safety is checked.
    Copies,
}

impl Scenario {
    /// The error of a clock at most, in milliseconds.
    pub(crate) fn drift(self) -> Millis {
        if matches!(self, Scenario::Faults | Scenario::Storm | Scenario::Members | Scenario::Copies)
        {
            900
        } else {
            300
        }
    }
}

/// A rule that a run does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A grant is worth nothing before the newest assignment is applied. Without it, and without
    /// `FirstEntry`, `CommitIndex` holds for the first grant after a start only: it covers for
    /// both.
    NeedsIndex,
    /// A grant to a node without a lease needs all that is committed.
    CommitIndex,
    /// The node counts the lease from sending, not from the answer.
    FromSending,
    /// A promise binds the firing.
    PromiseBinds,
    /// Under a promise the watermark stays below the hand-over instant until the hand-over is
    /// applied.
    WatermarkBelowPromise,
    /// A leader grants only under a fresh acknowledgement of its quorum.
    FreshQuorum,
    /// A leader grants only when it has applied the first entry of its term.
    FirstEntry,
    /// An owner is dead only after TTL + F.
    DeadWait,
    /// A new leader counts from when it began to grant.
    SinceBegan,
    /// Renewals of an older boot are dropped, and the promises of an older boot are forgotten.
    Boots,
    /// No grant to a node from which a proposal under way takes shards.
    Moving,
    /// A leader that does not know the outcome of its moves gives up its term.
    GivesUp,
    /// The closing statement waits for requests in flight.
    ClosingWaits,
    /// The watermark covers only what is recorded.
    WatermarkCovers,
    /// The watermark stays behind log time and the node's own clock.
    WatermarkBehindTime,
    /// A clock far from the others' gets no lease.
    Clocks,
    /// A removed owner is dead only when its lease must have ended.
    RemovedWaits,
    /// A process on another folder is granted nothing before the lease of the one before must have
    /// ended.
    OneProcess,
    /// A node too far behind to use a lease is granted none.
    BehindRefused,
    /// A watermark is stated only with the leave of the holder, which notes it for its promises.
    WatermarkAsksHolder,
}

/// The first due instant of a shard's job after an instant.
pub(crate) fn next_due(shard: u16, after: Millis) -> Millis {
    let period = [400, 700, 1_100, 550][usize::from(shard) % 4];
    let offset = Millis::from(shard) * 7;
    ((after - offset).div_euclid(period) + 1) * period + offset
}
