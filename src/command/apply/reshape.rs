//! The rule of an edit of many jobs: each job that still has the definition that the edit was made
//! of gets the new one, by the rule of an edit of one job (`jobs`). So its plan, its pause and its
//! instant become what they become there.
//!
//! A job that is refused the edit does not stop the others: it is counted, with the reason of the
//! first one. Each is refused before anything of it is written.

use super::entry::{Applied, Entry, Refusal};
use crate::command::{DefinitionEdit, JobEdit, Outcome, ReshapeJobs, Reshaped};
use crate::model::Millis;
use crate::model::job::Job;
use crate::store::jobs;

impl Entry<'_, '_> {
    /// Edits many jobs.
    pub(super) fn reshape_jobs(&mut self, reshape: &ReshapeJobs) -> Applied {
        let mut done = Reshaped::default();
        for (first, n) in &reshape.jobs {
            for id in jobs::ids_between(self.tx, *first, *n)? {
                if !self.reaches_job(id)? {
                    continue;
                }
                // The end of another one may have dropped it.
                let Some(old) = jobs::get_in(self.tx, id)? else { continue };
                let same = |edit: &&DefinitionEdit| edit.from == old.definition_id;
                let Some(edit) = reshape.definitions.iter().find(same) else {
                    done.moved.push(id);
                    continue;
                };
                match self.edit_job(&old, &edit_of(&old, edit, reshape, self.stamp)) {
                    Ok(true) => done.changed += 1,
                    Ok(false) => done.unchanged += 1,
                    Err(Refusal::Rejected(why)) => {
                        done.refused += 1;
                        done.first_refused.get_or_insert((id, why));
                    }
                    Err(failed) => return Err(failed),
                }
            }
        }
        Ok(Outcome::Reshaped(done))
    }
}

/// The edit of one job: all that the edit of many does not change is as it is now.
fn edit_of(old: &Job, edit: &DefinitionEdit, reshape: &ReshapeJobs, stamp: Millis) -> JobEdit {
    let stays = !edit.again && old.definition.is_one_off() && edit.to.is_one_off();
    JobEdit {
        id: old.id,
        expect: None,
        definition: edit.to.clone(),
        data: reshape.data.clone().unwrap_or_else(|| old.data.clone()),
        status: old.status,
        at: edit.at.or(stays.then_some(old.anchor)),
        pause_until: old.paused_until(stamp),
        external_id: old.external_id.clone(),
        by: reshape.by.clone(),
    }
}
