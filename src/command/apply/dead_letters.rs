//! Rules of dead letters: taken back to be tried again, or dropped. Called by `apply` alone.
//!
//! A replay is the one way back from an end state: the occurrence is in a row again, with the id
//! that it always had, and the attempts before it do not count against its retries any more. Of a
//! job that is gone it finds at sending that it has ended.

use super::{Applied, Entry};
use crate::command::Outcome;
use crate::model::Millis;
use crate::model::job::PARKED;
use crate::store::dead_letters;

impl Entry<'_, '_> {
    /// Takes letters back into the pending rows; those that are not there are passed over.
    pub(super) fn replay_dead_letters(&mut self, letters: &[(u64, Millis)]) -> Applied {
        let mut done = 0;
        for (id, at) in letters {
            let Some(letter) = dead_letters::get(self.tx, *id)? else { continue };
            dead_letters::delete(self.tx, *id)?;
            let next_at = (*at).clamp(self.stamp, PARKED - 1);
            self.add_row(letter.row(next_at))?;
            done += 1;
        }
        Ok(Outcome::Changed(done))
    }

    /// Drops letters for good: their occurrences stay given up.
    pub(super) fn purge_dead_letters(&mut self, letters: &[u64]) -> Applied {
        let mut done = 0;
        for id in letters {
            done += u32::from(dead_letters::delete(self.tx, *id)?);
        }
        Ok(Outcome::Changed(done))
    }
}
