//! One entry that is being applied, and why it may come to nothing. The files of rules add their
//! methods to [`Entry`]; `dispatch` makes one for each command.

use super::audit_notes::AuditNotes;
use crate::command::codec::Error;
use crate::command::outcome::{Change, Outcome, Rejection, RejectionKind};
use crate::model::Millis;
use crate::model::actor::ActorRef;
use crate::model::event::{Fact, Noun, RecordChange};
use crate::model::job::Pending;
use crate::model::reach::Reach;
use crate::model::shard::ShardId;
use crate::store::Tx;

/// An entry that is being applied.
pub(super) struct Entry<'a, 't> {
    /// The transaction of the chunk that the entry is in.
    pub(super) tx: &'a mut Tx<'t>,
    /// Its log index.
    pub(super) index: u64,
    /// Its effective stamp: log time after it.
    pub(super) stamp: Millis,
    /// The actor that asked for it, where the entry names one.
    pub(super) actor: Option<&'a ActorRef>,
    /// The records that exist for that actor.
    pub(super) reach: Reach,
    /// What the rules note for its row of the audit.
    pub(super) notes: AuditNotes,
    /// The change that the chunk publishes.
    pub(super) change: &'a mut Change,
}

/// The reason why an entry came to nothing.
pub(super) enum Refusal {
    /// The command is refused: every node refuses it.
    Rejected(Rejection),
    /// The store failed: this node must stop.
    Failed(Error),
}

pub(super) type Applied = Result<Outcome, Refusal>;

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A refusal of the command, for `return Err(...)`.
pub(super) fn refuse(kind: RejectionKind, message: impl Into<String>) -> Refusal {
    Refusal::Rejected(Rejection::new(kind, message))
}

/// Refuses a change that is meant for another version of its subject.
pub(super) fn expected(noun: &str, expect: Option<u64>, version: u64) -> Result<(), Refusal> {
    if expect.is_none_or(|expect| expect == version) {
        return Ok(());
    }
    let message = format!("{noun} has changed since: read it again and repeat the change");
    Err(refuse(RejectionKind::Stale, message))
}

/// The value of all, if they have the same.
pub(super) fn one_of<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// A text of at most so many bytes, cut at a letter.
pub(super) fn cut(mut text: String, longest: usize) -> String {
    text.truncate(text.floor_char_boundary(longest));
    text
}

impl Entry<'_, '_> {
    /// The credential of the client that asked for the entry, where it names one.
    pub(super) fn client(&self) -> Option<u64> {
        self.actor.and_then(ActorRef::client)
    }

    /// Notes that a record was made, edited or deleted.
    pub(super) fn record_changed(&mut self, noun: Noun, id: u64, change: RecordChange) {
        self.change.events.add(Fact::Record { noun, id, change });
    }

    /// Notes that a pending row changed: an offer by its number, any other by its shard.
    pub(super) fn row_changed(&mut self, row: &Pending) {
        if row.is_offered() {
            self.change.add_offer(row.id, row.shard);
        } else {
            self.pending_changed(row.shard);
        }
    }

    /// Notes that a shard's pending rows changed, other than its offers.
    pub(super) fn pending_changed(&mut self, shard: ShardId) {
        if !self.change.pending.contains(&shard) {
            self.change.pending.push(shard);
        }
    }
}
