//! Rules of dead letters: taken back to be tried again, or dropped. Called by `apply` alone.

#![expect(clippy::unused_self, reason = "its rules land next")]

use super::{Applied, Entry, refuse};
use crate::command::RejectionKind;
use crate::model::Millis;

impl Entry<'_, '_> {
    pub(super) fn replay_dead_letters(&mut self, _: &[(u64, Millis)]) -> Applied {
        Err(refuse(RejectionKind::Invalid, "dead letters cannot be replayed yet"))
    }

    pub(super) fn purge_dead_letters(&mut self, _: &[u64]) -> Applied {
        Err(refuse(RejectionKind::Invalid, "dead letters cannot be purged yet"))
    }
}
