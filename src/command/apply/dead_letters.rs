//! Rules of dead letters: they are replayed or purged.
//!
//! A replay is the only way back from an end state. The occurrence is in a row again under its old
//! id, and the attempts before the replay do not count against its retries. If its job is gone, the
//! sender finds that and ends the occurrence.

use std::collections::BTreeSet;

use super::entry::{Applied, Entry};
use crate::command::Outcome;
use crate::model::Millis;
use crate::model::event::LettersChange;
use crate::model::job::LAST_ATTEMPT;
use crate::store::dead_letters;

impl Entry<'_, '_> {
    /// Turns letters into pending rows again; those that do not exist are passed over. All are
    /// refused where the executions of an account are used up.
    pub(super) fn replay_dead_letters(&mut self, letters: &[(u64, Millis)]) -> Applied {
        let mut found = Vec::with_capacity(letters.len());
        let (mut ids, mut projects) = (BTreeSet::new(), BTreeSet::new());
        for (id, at) in letters.iter().filter(|(id, _)| ids.insert(*id)) {
            if !self.reaches_letter(*id)? {
                continue;
            }
            let Some(letter) = dead_letters::get(self.tx, *id)? else { continue };
            // A job that has moved away runs where its key does not reach.
            if self.reaches_members(&letter.members)? {
                projects.insert(letter.project);
                found.push((letter, *at));
            }
        }
        for project in projects {
            self.has_executions(project)?;
        }
        let mut done = 0;
        for (letter, at) in found {
            dead_letters::delete(self.tx, letter.id)?;
            let next_at = at.clamp(self.stamp, LAST_ATTEMPT);
            self.add_row(letter.row(next_at))?;
            done += 1;
        }
        self.change.events.add_letters(LettersChange::Replayed, done.into());
        Ok(Outcome::Changed(done))
    }

    /// Drops letters for good: their occurrences stay dead.
    pub(super) fn purge_dead_letters(&mut self, letters: &[u64]) -> Applied {
        let mut done = 0;
        for id in letters {
            let in_reach = self.reaches_letter(*id)?;
            done += u32::from(in_reach && dead_letters::delete(self.tx, *id)?);
        }
        self.change.events.add_letters(LettersChange::Purged, done.into());
        Ok(Outcome::Changed(done))
    }
}
