//! The ownership of a shard: the replicated record and the only transitions that it may make.
//!
//! `command::apply` makes the transitions on every node alike, and the model test of the protocol
//! plays the same ones. They are pure, and each names the epoch that it expects: a late or doubled
//! command changes nothing.
//!
//! ```text
//!            take over (the owner is dead)          hand over at an instant H
//!   A, e1 ------------------------> B, e2   A, e1 ------------------> B, e2   from H on
//!   watermark stays: B catches up           watermark: H     closing: A, e1 up to H, then closed
//! ```

use serde::{Deserialize, Serialize};

use super::{JobId, Millis, NodeId};

/// The number of shards of a cluster, fixed when it is born.
pub const SHARDS: u16 = 64;

/// The number of a shard, `0..SHARDS`.
pub type ShardId = u16;

/// The shard of a job. Runs of 64 ids stay together, so that batches are large and lists of members
/// need almost no space; load still spreads.
pub fn shard_of(job: JobId) -> ShardId {
    ((job / 64) % u64::from(SHARDS)) as ShardId
}

/// The replicated record of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The number of the shard.
    pub id: ShardId,
    /// The node that fires what is due after `watermark`; 0 before the first assignment.
    pub owner: NodeId,
    /// The owner's epoch, from this shard's own counter.
    pub epoch: u64,
    /// The watermark: everything due up to it has an end state, a pending row or a run. While a
    /// hand-over is closing, what is due up to the hand-over instant is the closing owner's.
    pub watermark: Millis,
    /// The owner before, while it finishes what is due up to the hand-over instant.
    pub closing: Option<Closing>,
    /// The shard's epoch counter: the highest epoch that it ever gave.
    pub last_epoch: u64,
}

/// The owner before a hand-over, until it has stated that everything up to `until` is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The node that closes.
    pub node: NodeId,
    /// The epoch under which that node owned the shard.
    pub epoch: u64,
    /// The hand-over instant: it fires first attempts due up to this instant, and none after.
    pub until: Millis,
    /// Its watermark, at most `until`.
    pub watermark: Millis,
}

/// A change of a shard's ownership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The number of the shard.
    pub shard: ShardId,
    /// The new owner; for `TakeClosing` the new closing owner.
    pub to: NodeId,
    /// The epoch that this move replaces: the owner's; for `TakeClosing` the closing owner's.
    pub expects: u64,
    /// The kind of change.
    pub kind: MoveKind,
}

/// The kinds of change of ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveKind {
    /// The owner was declared dead, or there never was one. The new owner goes on from the
    /// watermark.
    TakeOver,
    /// The owner promised to fire no first attempt due after `until`. The new owner starts there.
    HandOver {
        /// The hand-over instant, above every watermark that the owner has journaled.
        until: Millis,
    },
    /// The *closing* owner was declared dead. What is due after its watermark, up to the hand-over
    /// instant, goes to another node.
    TakeClosing,
}

/// The key of an ownership range: the shard and the epoch.
pub type OwnershipKey = (ShardId, u64);

/// An ownership range: a shard under one epoch, with the due instants that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The epoch, as records carry it. Receivers see [`Shard::fence`].
    pub epoch: u64,
    /// First attempts due after this instant belong to the range.
    pub after: Millis,
    /// The last due instant of the range.
    pub until: Millis,
    /// True if it is the closing owner's range.
    pub closing: bool,
}

impl Shard {
    /// A shard at the birth of the cluster: nobody's, with nothing to catch up.
    pub fn new(id: ShardId, born: Millis) -> Self {
        Self { id, owner: 0, epoch: 0, watermark: born, closing: None, last_epoch: 0 }
    }

    /// Applies a move, and says whether it took effect. A move changes nothing that expects another
    /// epoch, that would start a second hand-over before the first is closed, or whose hand-over
    /// instant is not above the watermark.
    pub fn apply(&mut self, change: &Move) -> bool {
        match change.kind {
            MoveKind::TakeOver => {
                if change.expects != self.epoch {
                    return false;
                }
                self.owner = change.to;
                self.epoch = self.fresh_epoch();
            }
            MoveKind::HandOver { until } => {
                if change.expects != self.epoch || self.closing.is_some() || until <= self.watermark
                {
                    return false;
                }
                self.closing = Some(Closing {
                    node: self.owner,
                    epoch: self.epoch,
                    until,
                    watermark: self.watermark,
                });
                self.owner = change.to;
                self.epoch = self.fresh_epoch();
                self.watermark = until;
            }
            MoveKind::TakeClosing => {
                let epoch = self.last_epoch + 1;
                let Some(closing) = self.closing.as_mut() else { return false };
                if change.expects != closing.epoch {
                    return false;
                }
                closing.node = change.to;
                closing.epoch = epoch;
                self.last_epoch = epoch;
            }
        }
        true
    }

    /// Takes a watermark that an owner's journal states, and says whether anything changed. Only
    /// the current and the closing epoch count, and only upward. A watermark at the hand-over
    /// instant closes the hand-over.
    pub fn advance(&mut self, node: NodeId, epoch: u64, watermark: Millis) -> bool {
        if node == self.owner && epoch == self.epoch {
            let higher = watermark > self.watermark;
            self.watermark = self.watermark.max(watermark);
            return higher;
        }
        let Some(closing) = self.closing.as_mut() else { return false };
        if node != closing.node || epoch != closing.epoch || watermark <= closing.watermark {
            return false;
        }
        closing.watermark = watermark.min(closing.until);
        if closing.watermark == closing.until {
            self.closing = None;
        }
        true
    }

    /// Says whether a node holds an epoch as owner or closing owner.
    pub fn is_live(&self, node: NodeId, epoch: u64) -> bool {
        (node == self.owner && epoch == self.epoch)
            || self.closing.as_ref().is_some_and(|c| node == c.node && epoch == c.epoch)
    }

    /// The value of `Scheduler-Fence`, whoever sends: the highest epoch given so far. It is not the
    /// sender's own epoch. A closing owner sends side by side with the new one under a lower epoch
    /// (after `TakeClosing` under a higher one), and a receiver that fences would turn one of two
    /// rightful senders away. A node that has not heard of the last change sends a lower fence.
    pub fn fence(&self) -> u64 {
        self.last_epoch
    }

    /// The instant up to which everything of this shard is accounted for.
    pub fn settled(&self) -> Millis {
        self.closing.as_ref().map_or(self.watermark, |c| c.watermark)
    }

    /// The ownership ranges that a node has of this shard: none, one, or two (it may close its old
    /// epoch and own the new one).
    pub fn ownerships(&self, node: NodeId) -> impl Iterator<Item = Ownership> {
        let closing = self.closing.as_ref().filter(|c| c.node == node).map(|c| Ownership {
            epoch: c.epoch,
            after: c.watermark,
            until: c.until,
            closing: true,
        });
        let current = (self.owner == node && self.epoch > 0).then_some(Ownership {
            epoch: self.epoch,
            after: self.watermark,
            until: Millis::MAX,
            closing: false,
        });
        closing.into_iter().chain(current)
    }

    /// The (node, epoch) that a pending row with this next attempt belongs to.
    pub fn holder_of_pending(&self, next_at: Millis) -> (NodeId, u64) {
        match &self.closing {
            Some(c) if next_at <= c.until => (c.node, c.epoch),
            _ => (self.owner, self.epoch),
        }
    }

    fn fresh_epoch(&mut self) -> u64 {
        self.last_epoch += 1;
        self.last_epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned() -> Shard {
        let mut shard = Shard::new(3, 1_000);
        assert!(shard.apply(&Move { shard: 3, to: 1, expects: 0, kind: MoveKind::TakeOver }));
        shard
    }

    fn hand_over(to: NodeId, expects: u64, until: Millis) -> Move {
        Move { shard: 3, to, expects, kind: MoveKind::HandOver { until } }
    }

    #[test]
    fn a_take_over_keeps_the_watermark_and_ignores_a_stale_epoch() {
        let mut shard = owned();
        assert!(shard.advance(1, 1, 5_000));
        assert!(shard.apply(&Move { shard: 3, to: 2, expects: 1, kind: MoveKind::TakeOver }));
        assert_eq!((shard.owner, shard.epoch, shard.watermark), (2, 2, 5_000));
        assert!(!shard.apply(&Move { shard: 3, to: 1, expects: 1, kind: MoveKind::TakeOver }));
        assert!(!shard.advance(1, 1, 9_000), "a past epoch moves no watermark");
        assert!(!shard.advance(2, 2, 4_000), "a watermark never falls");
    }

    #[test]
    fn a_hand_over_splits_the_time_line_at_the_promise() {
        let mut shard = owned();
        assert!(!shard.apply(&hand_over(2, 1, 1_000)), "H must lie above W");
        assert!(shard.apply(&hand_over(2, 1, 6_000)));
        assert!(!shard.apply(&hand_over(3, 2, 7_000)), "one hand-over at a time");
        assert_eq!(shard.settled(), 1_000);
        let parts: Vec<_> = shard.ownerships(1).chain(shard.ownerships(2)).collect();
        assert_eq!((parts[0].after, parts[0].until, parts[0].closing), (1_000, 6_000, true));
        assert_eq!((parts[1].after, parts[1].until, parts[1].closing), (6_000, i64::MAX, false));
        assert_eq!(shard.holder_of_pending(6_000), (1, 1));
        assert_eq!(shard.holder_of_pending(6_001), (2, 2));
        assert!(shard.advance(1, 1, 9_000), "more than H counts as H");
        assert_eq!((shard.settled(), shard.closing.is_none()), (6_000, true));
    }

    #[test]
    fn a_dead_closing_owner_is_replaced_under_a_fresh_epoch() {
        let mut shard = owned();
        assert!(shard.apply(&hand_over(2, 1, 6_000)));
        let take = Move { shard: 3, to: 2, expects: 1, kind: MoveKind::TakeClosing };
        assert!(shard.apply(&take));
        assert!(!shard.apply(&take), "a doubled command changes nothing");
        let epochs: Vec<_> = shard.ownerships(2).map(|p| p.epoch).collect();
        assert_eq!(epochs, [3, 2]);
        assert!(!shard.advance(1, 1, 6_000), "the replaced owner closes nothing");
        assert!(shard.advance(2, 3, 6_000));
        assert!(shard.closing.is_none());
    }
}
