//! Who owns a shard: the replicated record and the only transitions it may make.
//!
//! `command::apply` calls the transitions for every node alike; the model test of the protocol calls
//! the same ones. They are pure, and every one names the epoch it expects: a late or doubled
//! command changes nothing.
//!
//! ```text
//!            take over (owner dead)                 hand over at H
//!   A, e1 ------------------------> B, e2   A, e1 ------------------> B, e2   from H on
//!   W stays: B makes up (W, now]            W       closing: A, e1 until H, then closed
//! ```

use serde::{Deserialize, Serialize};

use super::{JobId, Millis, NodeId};

/// How many shards a cluster has; fixed when it is born.
pub const SHARDS: u16 = 64;

/// A shard's number, `0..SHARDS`.
pub type ShardId = u16;

/// The shard of a job: runs of 64 ids stay together, so that batches are large and lists of
/// members code to almost nothing, and load still spreads.
pub fn shard_of(job: JobId) -> ShardId {
    ((job / 64) % u64::from(SHARDS)) as ShardId
}

/// One shard's replicated record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its number.
    pub id: ShardId,
    /// The node that fires what is due after `watermark`; 0 before the first assignment.
    pub owner: NodeId,
    /// The owner's epoch, from this shard's own counter: the fence that receivers see.
    pub epoch: u64,
    /// W: every occurrence due at or before it has an end state or a pending row (of this owner's
    /// part: while a hand-over is closing, what is due up to H is the closing owner's).
    pub watermark: Millis,
    /// The previous owner, while it still finishes what is due up to H.
    pub closing: Option<Closing>,
    /// The shard's epoch counter: the highest epoch it ever gave.
    pub last_epoch: u64,
}

/// The previous owner of a shard, until it has stated that all up to `until` is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The node that closes.
    pub node: NodeId,
    /// Its epoch.
    pub epoch: u64,
    /// H: it fires first attempts due up to this instant, and none after.
    pub until: Millis,
    /// Its W, at most `until`.
    pub watermark: Millis,
}

/// A change of a shard's ownership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The shard.
    pub shard: ShardId,
    /// Its new owner (or, for `TakeClosing`, the new closing owner).
    pub to: NodeId,
    /// The epoch that this move replaces: the owner's, or the closing owner's for `TakeClosing`.
    pub expects: u64,
    /// Which kind of change.
    pub kind: MoveKind,
}

/// The kinds of change of ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveKind {
    /// The owner was declared dead (or there never was one): the new one goes on from W.
    TakeOver,
    /// The owner promised to fire no first attempt due after `until`: the new one starts there.
    HandOver {
        /// H, above every W the owner has journaled.
        until: Millis,
    },
    /// The *closing* owner was declared dead: (its W, H] goes to another node.
    TakeClosing,
}

/// Which part of a shard a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The epoch under which it fires: goes into records. What receivers see is
    /// [`Shard::fence`].
    pub epoch: u64,
    /// First attempts due after this instant are its own ...
    pub after: Millis,
    /// ... up to and including this one.
    pub until: Millis,
    /// Whether it is the closing owner's part.
    pub closing: bool,
}

impl Shard {
    /// A shard as the birth of the cluster leaves it: nobody's, with nothing to make up.
    pub fn new(id: ShardId, born: Millis) -> Self {
        Self { id, owner: 0, epoch: 0, watermark: born, closing: None, last_epoch: 0 }
    }

    /// Applies a move; says whether it took effect. One that expects another epoch, that would
    /// start a second hand-over before the first is closed, or that promises an instant not above
    /// W, changes nothing.
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

    /// Takes a watermark that the journal of an owner states; says whether anything changed. Only
    /// the current or the closing epoch counts, and only upward; W = H closes a hand-over.
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

    /// Whether an epoch is the current or the closing one, held by that node.
    pub fn is_live(&self, node: NodeId, epoch: u64) -> bool {
        (node == self.owner && epoch == self.epoch)
            || self.closing.as_ref().is_some_and(|c| node == c.node && epoch == c.epoch)
    }

    /// What goes out as `Scheduler-Fence`, whoever sends: the highest epoch given so far. Not the
    /// sender's own epoch: a closing owner sends side by side with the new one, under a lower epoch
    /// (or, after `TakeClosing`, under a higher one), and a receiver that fences would turn one of
    /// two rightful senders away. Whoever has not heard of the last change is below it.
    pub fn fence(&self) -> u64 {
        self.last_epoch
    }

    /// The instant up to which everything of this shard is accounted for.
    pub fn settled(&self) -> Millis {
        self.closing.as_ref().map_or(self.watermark, |c| c.watermark)
    }

    /// The parts that a node has of this shard: none, one, or two (it may close its old epoch and
    /// own the new one).
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
