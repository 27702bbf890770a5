//! Rules of retention: what is dropped, and what never is. The ages come with the command.

use super::entry::{Applied, Entry};
use crate::command::Outcome;
use crate::model::Millis;
use crate::model::event::LettersChange;
use crate::model::shard::SHARDS;
use crate::store::{attempts, dead_letters, plans, projects, tasks};

const DAY: Millis = 24 * 3_600_000;
/// The time that finished tasks are kept: clients ask for receipts soon or never.
const TASKS: Millis = DAY;

impl Entry<'_, '_> {
    /// Drops small leftovers, besides moving log time on.
    pub(super) fn tick(&mut self) -> Applied {
        self.forget_old_keys()?;
        self.fail_abandoned_task()
    }

    /// Drops history, a bounded part at a time. Nothing above the lowest watermark is dropped
    /// (*retention floor*): a node that takes a shard over has to see what is done.
    pub(super) fn retain(&mut self, before: Millis, dead_letters: Millis, limit: u32) -> Applied {
        let Some(settled) = self.tx.lowest_settled()? else { return Ok(Outcome::Dropped(0)) };
        let before = before.min(settled);
        self.notes.fact("before", before);
        let dropped = attempts::drop_before(self.tx, before, limit)?;
        let mut left = limit;
        for shard in 0..SHARDS {
            let definitions = plans::drop_ended(self.tx, shard, before, left)?;
            left -= definitions.len() as u32;
            for definition in definitions {
                self.tx.release_definition(definition, 1)?;
            }
            if left == 0 {
                break;
            }
        }
        projects::drop_pauses(self.tx, before)?;
        let expired = dead_letters::drop_old(self.tx, dead_letters, limit)?;
        self.change.events.add_letters(LettersChange::Expired, expired);
        tasks::drop_finished(self.tx, self.stamp - TASKS, limit)?;
        self.tick()?;
        if dropped > 0 {
            self.change.executions = true;
        }
        Ok(Outcome::Dropped(dropped))
    }
}
