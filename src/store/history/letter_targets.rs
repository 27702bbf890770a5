//! The search for dead letters by the target of their jobs. A letter does not name one: its members
//! went out in one request, so the target is that which the first of them has now. `dead_letters`
//! asks for each letter that matches otherwise.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::model::members::Members;
use crate::model::target_text::TargetText;
use crate::store::cache::definitions;
use crate::store::catalog::executors;
use crate::store::row::id_at;

/// A search for one target: the URL, or the name of the executor or kind. Each definition is read
/// once.
pub(super) struct TargetSearch<'a> {
    conn: &'a Connection,
    wanted: &'a str,
    definitions: HashMap<u64, bool>,
}

impl<'a> TargetSearch<'a> {
    pub(super) fn new(conn: &'a Connection, wanted: &'a str) -> Self {
        Self { conn, wanted, definitions: HashMap::new() }
    }

    /// Says whether the members of a letter go to the target. Those whose first job is gone do not.
    pub(super) fn has(&mut self, members: &Members) -> rusqlite::Result<bool> {
        let Some(job) = members.iter().next() else { return Ok(false) };
        let definition = self
            .conn
            .prepare_cached("SELECT shape_id FROM jobs WHERE id = ?1")?
            .query_row([job.cast_signed()], |row| id_at(row, 0))
            .optional()?;
        let Some(id) = definition else { return Ok(false) };
        if let Some(known) = self.definitions.get(&id) {
            return Ok(*known);
        }
        let is_it = self.is_target_of(id)?;
        self.definitions.insert(id, is_it);
        Ok(is_it)
    }

    fn is_target_of(&self, definition: u64) -> rusqlite::Result<bool> {
        let Some(definition) = definitions::get(self.conn, definition)? else { return Ok(false) };
        Ok(match definition.target_text() {
            TargetText::Text(text) => text == self.wanted,
            TargetText::Executor(id) => executors::name(self.conn, id)? == self.wanted,
        })
    }
}
