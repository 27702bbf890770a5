//! The reports of senders to the engine. Data only.

use std::sync::Arc;

use super::work::{Head, Work};
use crate::model::attempt::{AttemptRecord, JournalEntry};
use crate::model::members::Members;

/// A report of a sender.
#[derive(Debug)]
pub(in crate::worker) enum SendEvent {
    /// One more piece of this work is under way.
    Started(Arc<Head>),
    /// A piece is over. Its records go to the journal; what was not sent goes back to the queue.
    Finished {
        /// The work that it was a piece of.
        head: Arc<Head>,
        /// The results.
        records: Vec<AttemptRecord>,
        /// The part that was not sent.
        back: Option<Work>,
    },
    /// A piece is over: its members wait for workers, or have been taken by them, and the own
    /// journal says so.
    Offered {
        /// The work that it was a piece of.
        head: Arc<Head>,
        /// The jobs.
        members: Members,
    },
    /// Entries about pending rows that the supervisor has written to the own journal.
    Journaled(Vec<JournalEntry>),
    /// A piece is over, and the store has its result already.
    Recorded {
        /// The work that it was a piece of.
        head: Arc<Head>,
        /// The jobs.
        members: Members,
    },
    /// Part of a piece is not sent, since no plan has it at these instants any more. The end of the
    /// piece follows.
    Dropped(Work),
    /// By the store a piece is over or another sender's: the engine must read it again.
    Disputed(Work),
    /// All requests of a work are built; the engine may start the next.
    Built,
}

impl SendEvent {
    /// Says whether the engine must look at once. Other reports may gather while it writes to the
    /// journal: only the next write waits for them.
    pub(super) fn is_urgent(&self) -> bool {
        let may_gather =
            matches!(self, Self::Offered { .. } | Self::Journaled(_) | Self::Dropped(_))
                || matches!(self, Self::Started(_) | Self::Finished { back: None, .. });
        !may_gather
    }
}
