//! Reference counts of definitions: what many jobs have in common is stored once and counted.
//! `db::tx` owns the cache; apply takes and gives back references through it.
//!
//! A definition is found by the SHA-256 digest of its JSON. So the JSON must come out the same on
//! every node: a field that a later version adds to `JobDefinition` has to be left out while it has
//! its default.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::model::job::JobDefinition;
use crate::store::row::{from_json, id_at, to_json};

/// The most definitions that are kept beyond a transaction; with more, all are forgotten.
const MAX_ENTRIES: usize = 4096;

/// The definitions that the writer has met. An entry stays at least until its count is written.
#[derive(Default)]
pub(in crate::store) struct Definitions {
    by_digest: HashMap<[u8; 32], u64>,
    by_id: BTreeMap<u64, Entry>,
}

struct Entry {
    digest: [u8; 32],
    refs: u64,
    /// The references changed since they were written.
    dirty: bool,
    /// The body of a definition that has no row yet.
    fresh: Option<String>,
}

impl Definitions {
    /// Writes the counts that changed, and the rows of new definitions with their labels.
    pub(in crate::store) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for (id, entry) in self.by_id.iter_mut().filter(|(_, entry)| entry.dirty) {
            if let Some(body) = entry.fresh.take() {
                let definition: JobDefinition = from_json(&body, 0)?;
                conn.prepare_cached(
                    "INSERT INTO shapes (id, digest, refs, body, executor)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    *id as i64,
                    entry.digest,
                    entry.refs as i64,
                    body,
                    definition.executor.map(|id| id as i64),
                ])?;
                write_labels(conn, *id, &definition)?;
            } else {
                conn.prepare_cached("UPDATE shapes SET refs = ?2 WHERE id = ?1")?
                    .execute([*id as i64, entry.refs as i64])?;
            }
            entry.dirty = false;
        }
        if self.by_id.len() > MAX_ENTRIES {
            *self = Self::default();
        }
        Ok(())
    }

    /// The id of a definition with `uses` (1 or more) references added to it. A new one gets the id
    /// that `next_id` gives.
    pub(in crate::store) fn acquire(
        &mut self,
        conn: &Connection,
        definition: &JobDefinition,
        uses: u64,
        next_id: impl FnOnce() -> rusqlite::Result<u64>,
    ) -> rusqlite::Result<u64> {
        let body = to_json(definition)?;
        let digest: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        if !self.by_digest.contains_key(&digest) {
            let found = conn
                .prepare_cached("SELECT id, refs FROM shapes WHERE digest = ?1")?
                .query_row([digest], |row| Ok((id_at(row, 0)?, id_at(row, 1)?)))
                .optional()?;
            let (id, entry) = if let Some((id, refs)) = found {
                (id, Entry { digest, refs, dirty: false, fresh: None })
            } else {
                (next_id()?, Entry { digest, refs: 0, dirty: true, fresh: Some(body) })
            };
            self.insert(id, entry);
        }
        let id = self.by_digest[&digest];
        self.add_uses(conn, id, uses)?;
        Ok(id)
    }

    /// Adds references to a definition that is known to exist.
    pub(in crate::store) fn add_uses(
        &mut self,
        conn: &Connection,
        id: u64,
        uses: u64,
    ) -> rusqlite::Result<()> {
        let entry = self.entry(conn, id)?;
        entry.refs += uses;
        entry.dirty = true;
        Ok(())
    }

    /// Gives references back. The last one removes the definition at once, and not at the end of
    /// the transaction, so that a later command of the same log finds the same state on every node.
    pub(in crate::store) fn release(
        &mut self,
        conn: &Connection,
        id: u64,
        uses: u64,
    ) -> rusqlite::Result<()> {
        let entry = self.entry(conn, id)?;
        entry.refs = entry.refs.saturating_sub(uses);
        entry.dirty = true;
        if entry.refs > 0 {
            return Ok(());
        }
        if let Some(gone) = self.by_id.remove(&id) {
            self.by_digest.remove(&gone.digest);
            if gone.fresh.is_none() {
                if let Some(definition) = get(conn, id)? {
                    drop_labels(conn, id, &definition)?;
                }
                conn.prepare_cached("DELETE FROM shapes WHERE id = ?1")?.execute([id as i64])?;
            }
        }
        Ok(())
    }

    /// A definition by its id, whether or not it has its row yet.
    pub(in crate::store) fn read(
        &self,
        conn: &Connection,
        id: u64,
    ) -> rusqlite::Result<JobDefinition> {
        if let Some(Entry { fresh: Some(body), .. }) = self.by_id.get(&id) {
            return from_json(body, 0);
        }
        get(conn, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Tells whether a job, or a staged job, goes to a named executor by a definition that `such`
    /// picks. Closed plans do not count: what is left of them goes where the job goes now.
    pub(in crate::store) fn executor_in_use(
        &self,
        conn: &Connection,
        executor: u64,
        such: impl Fn(&JobDefinition) -> bool,
    ) -> rusqlite::Result<bool> {
        let mut candidates: Vec<(i64, JobDefinition)> = conn
            .prepare_cached("SELECT id, body FROM shapes WHERE executor = ?1")?
            .query_map([executor as i64], |row| {
                Ok((row.get(0)?, from_json(row.get_ref(1)?.as_str()?, 1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        // Those that have no row yet; where a transaction ends must not matter.
        for (id, entry) in &self.by_id {
            let definition: Option<JobDefinition> =
                entry.fresh.as_deref().map(|body| from_json(body, 0)).transpose()?;
            if let Some(definition) = definition.filter(|one| one.executor == Some(executor)) {
                candidates.push((*id as i64, definition));
            }
        }
        let mut used = conn.prepare_cached(
            "SELECT 1 FROM jobs WHERE project_id = ?2 AND shape_id = ?1
             UNION ALL SELECT 1 FROM staged_jobs WHERE shape_id = ?1",
        )?;
        for (id, definition) in candidates.iter().filter(|(_, definition)| such(definition)) {
            if used.exists((id, definition.project as i64))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn insert(&mut self, id: u64, entry: Entry) {
        self.by_digest.insert(entry.digest, id);
        self.by_id.insert(id, entry);
    }

    fn entry(&mut self, conn: &Connection, id: u64) -> rusqlite::Result<&mut Entry> {
        if !self.by_id.contains_key(&id) {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Entry { digest: row.get(0)?, refs: id_at(row, 1)?, dirty: false, fresh: None })
            };
            let entry = conn
                .prepare_cached("SELECT digest, refs FROM shapes WHERE id = ?1")?
                .query_row([id as i64], read)?;
            self.insert(id, entry);
        }
        self.by_id.get_mut(&id).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }
}

/// A definition by its id.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<JobDefinition>> {
    let body = conn
        .prepare_cached("SELECT body FROM shapes WHERE id = ?1")?
        .query_row([id as i64], |row| row.get::<_, String>(0))
        .optional()?;
    body.map(|body| from_json(&body, 0)).transpose()
}

fn write_labels(conn: &Connection, id: u64, definition: &JobDefinition) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO shape_labels (project, key, value, shape_id) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (key, value) in &definition.labels {
        insert.execute(params![definition.project as i64, key, value, id as i64])?;
    }
    Ok(())
}

fn drop_labels(conn: &Connection, id: u64, definition: &JobDefinition) -> rusqlite::Result<()> {
    let mut delete = conn.prepare_cached(
        "DELETE FROM shape_labels
         WHERE project = ?1 AND key = ?2 AND value = ?3 AND shape_id = ?4",
    )?;
    for (key, value) in &definition.labels {
        delete.execute(params![definition.project as i64, key, value, id as i64])?;
    }
    Ok(())
}
