//! A member that was taken out of its group: to be handed out, moved or ended, or to come back.
//! Plain data; `offers` makes it and takes it back.

use std::sync::Arc;

use super::event::{DispatchId, Handed, Source};
use crate::model::on_offer::RECORDING;
use crate::model::run_terms::RunTerms;
use crate::model::{JobId, Millis};

/// The sequence number of an entry that is not synced.
pub(super) const UNSYNCED: u64 = u64::MAX;

/// A member that was taken out of its group.
#[derive(Clone, Debug)]
pub(super) struct Popped {
    pub(super) source: Arc<Source>,
    pub(super) job: JobId,
    pub(super) dispatch: Option<(DispatchId, Arc<RunTerms>)>,
    pub(super) own: bool,
    pub(super) asks: bool,
    pub(super) since: Millis,
    /// The last instant at which it may be handed out; `None` for no bound.
    pub(super) start_by: Option<Millis>,
    /// The instant of the boot clock at which it came, while a dispatch waits for it.
    pub(super) came: u64,
    /// The sequence number of its entry in the own journal, or a higher one; 0 where it is not
    /// known.
    pub(super) journaled: u64,
}

/// Says whether an instant is past the last one at which something may be handed out.
pub(super) fn is_late(start_by: Option<Millis>, now: Millis) -> bool {
    start_by.is_some_and(|start_by| start_by < now)
}

impl Popped {
    /// Says whether it may not be handed out any more (*not past its start timeout*).
    pub(super) fn is_late(&self, now: Millis) -> bool {
        is_late(self.start_by, now)
    }

    /// Says whether so much of [`RECORDING`] is over that the leader may end it before its *Taken*
    /// is recorded, though it was not late when that was made. Of what a dispatch waits for the
    /// store has nothing that could be ended.
    pub(super) fn may_be_ended(&self, now: Millis) -> bool {
        self.dispatch.is_none()
            && is_late(self.start_by.map(|start_by| start_by.saturating_add(RECORDING / 2)), now)
    }

    /// Notes that an *Offered* of the member is on its way to the journal: no dispatch waits for it
    /// any more, and its row will have another number. A read of the store that does not have it
    /// proves nothing.
    pub(super) fn set_offering(&mut self) {
        self.dispatch = None;
        self.source = Arc::new(Source { pending: None, ..(*self.source).clone() });
        self.journaled = UNSYNCED;
    }

    /// Notes that its *Offered* is synced, under this sequence number or a lower one.
    pub(super) fn set_offered(&mut self, seq: u64) {
        if self.journaled == UNSYNCED {
            self.journaled = seq;
        }
    }

    /// The member as it is handed out, under some terms.
    pub(super) fn handed(&self, terms: Arc<RunTerms>) -> Handed {
        let source = &self.source;
        Handed {
            of: source.occurrence(self.job),
            attempt: source.attempt,
            epoch: source.epoch,
            project: source.project,
            due: source.due,
            start_by: self.start_by,
            terms,
        }
    }
}
