//! Definitions, for readers: what many jobs have in common, by its id. The worker reads all of them
//! to build its queue. `cache::definitions` counts the references and writes the rows.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

pub use crate::store::cache::definitions::get;

use crate::model::job::JobDefinition;
use crate::store::row::{from_json, id_at};

/// Calls `f` for every definition with its id, in order.
pub fn for_each(conn: &Connection, mut f: impl FnMut(u64, JobDefinition)) -> rusqlite::Result<()> {
    let mut select = conn.prepare_cached("SELECT id, body FROM shapes ORDER BY id")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        f(id_at(row, 0)?, from_json(row.get_ref(1)?.as_str()?, 1)?);
    }
    Ok(())
}

/// Definitions met while a list is read: each is read once.
#[derive(Default)]
pub(in crate::store) struct DefinitionCache(HashMap<u64, Arc<JobDefinition>>);

impl DefinitionCache {
    /// Says whether a definition was loaded already.
    pub(in crate::store) fn has(&self, id: u64) -> bool {
        self.0.contains_key(&id)
    }

    /// The number of definitions that were loaded.
    pub(in crate::store) fn len(&self) -> usize {
        self.0.len()
    }

    pub(in crate::store) fn get(
        &mut self,
        conn: &Connection,
        id: u64,
    ) -> rusqlite::Result<Arc<JobDefinition>> {
        if let Some(definition) = self.0.get(&id) {
            return Ok(definition.clone());
        }
        let definition = get(conn, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let definition = Arc::new(definition);
        self.0.insert(id, definition.clone());
        Ok(definition)
    }
}
