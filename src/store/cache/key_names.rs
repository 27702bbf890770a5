//! The names of API keys, for rows of the audit. Most requests of a key have the same name, and a
//! row is to need no read. `db::tx` owns it; a change of any credential forgets all of it.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

/// The most names that are kept.
const MOST: usize = 1_024;

/// The names by credential; `None` for a key that has none, or that does not exist.
#[derive(Default)]
pub(in crate::store) struct KeyNames {
    known: RefCell<HashMap<u64, Option<String>>>,
}

impl KeyNames {
    /// The name of a key.
    pub(in crate::store) fn get(
        &self,
        conn: &Connection,
        id: u64,
    ) -> rusqlite::Result<Option<String>> {
        let mut known = self.known.borrow_mut();
        if let Some(name) = known.get(&id) {
            return Ok(name.clone());
        }
        let name: Option<Option<String>> = conn
            .prepare_cached("SELECT json_extract(terms, '$.name') FROM credentials WHERE id = ?1")?
            .query_row([id as i64], |row| row.get(0))
            .optional()?;
        if known.len() == MOST {
            known.clear();
        }
        let name = name.flatten();
        known.insert(id, name.clone());
        Ok(name)
    }

    /// Forgets all names.
    pub(in crate::store) fn forget(&self) {
        self.known.borrow_mut().clear();
    }
}
