//! The pieces of work whose members are not all journaled, by the number of their dispatch. The
//! task keeps them; the engine hears of what becomes of a piece. Data only.

use std::collections::HashMap;

use crate::model::members::Members;
use crate::worker::send::Work;
use crate::worker::supervisor::DispatchId;

/// The pieces; see the head of this file.
#[derive(Default)]
pub(super) struct Dispatches {
    pieces: HashMap<DispatchId, Work>,
    last: DispatchId,
}

impl Dispatches {
    /// Keeps a piece. Returns the number of its dispatch.
    pub(super) fn add(&mut self, piece: Work) -> DispatchId {
        self.last += 1;
        self.pieces.insert(self.last, piece);
        self.last
    }

    /// Takes members that come back out of a piece, as a piece of their own: when the rest is
    /// finished, another dispatch may have them.
    pub(super) fn take_back(&mut self, dispatch: DispatchId, members: &Members) -> Option<Work> {
        let piece = self.pieces.get_mut(&dispatch)?;
        let ids: Vec<_> = members.iter().collect();
        let back = piece.only(&ids);
        piece.jobs.retain(|(job, _)| ids.binary_search(job).is_err());
        Some(back)
    }

    /// Takes out what is left of a piece that is finished.
    pub(super) fn finish(&mut self, dispatch: DispatchId) -> Option<Work> {
        self.pieces.remove(&dispatch)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_came_back_is_not_finished_with_the_rest() {
        let mut dispatches = Dispatches::default();
        let piece = Work { head: Arc::default(), jobs: vec![(1, 0), (2, 0), (3, 1)] };
        let id = dispatches.add(piece);
        let back = dispatches.take_back(id, &Members::from_sorted([2, 3])).unwrap();
        assert_eq!(back.jobs, [(2, 0), (3, 1)]);
        assert_eq!(dispatches.finish(id).unwrap().jobs, [(1, 0)]);
        assert!(dispatches.finish(id).is_none());
    }
}
