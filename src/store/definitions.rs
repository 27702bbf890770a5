//! Definitions: what many jobs have in common, kept once and counted. Apply takes and gives back
//! references; readers look a definition up by its number.
//!
//! A definition is known by the digest of its JSON. The JSON must come out the same on every node:
//! a field that a later version adds to `JobDefinition` has to be left out while it has its default.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::id_at;
use super::meta::Sequence;
use super::writer::Tx;
use crate::model::job::JobDefinition;

/// Definitions kept in memory beyond a transaction; above this they are read again.
const KEPT: usize = 4096;

/// The definitions that the writer has met. An entry stays at least until its count is written.
#[derive(Default)]
pub(super) struct Definitions {
    by_digest: HashMap<[u8; 32], u64>,
    by_id: BTreeMap<u64, Known>,
}

struct Known {
    digest: [u8; 32],
    refs: u64,
    /// The references changed since they were written.
    dirty: bool,
    /// The body of a definition that has no row yet.
    fresh: Option<String>,
}

impl Definitions {
    pub(super) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for (id, known) in self.by_id.iter_mut().filter(|(_, known)| known.dirty) {
            if let Some(body) = known.fresh.take() {
                let definition = parse(&body)?;
                conn.prepare_cached(
                    "INSERT INTO shapes (id, digest, refs, body, executor)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    *id as i64,
                    known.digest,
                    known.refs as i64,
                    body,
                    definition.executor.map(|id| id as i64),
                ])?;
                write_labels(conn, *id, &definition)?;
            } else {
                conn.prepare_cached("UPDATE shapes SET refs = ?2 WHERE id = ?1")?
                    .execute([*id as i64, known.refs as i64])?;
            }
            known.dirty = false;
        }
        if self.by_id.len() > KEPT {
            *self = Self::default();
        }
        Ok(())
    }

    fn insert(&mut self, id: u64, known: Known) {
        self.by_digest.insert(known.digest, id);
        self.by_id.insert(id, known);
    }
}

impl Tx<'_> {
    /// The number of a definition, made if it is new, with `uses` (1 or more) references added to it.
    pub fn acquire_definition(
        &mut self,
        definition: &JobDefinition,
        uses: u64,
    ) -> rusqlite::Result<u64> {
        let body = serde_json::to_string(definition)
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let digest: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        if !self.kept.definitions.by_digest.contains_key(&digest) {
            let found = self
                .sql
                .prepare_cached("SELECT id, refs FROM shapes WHERE digest = ?1")?
                .query_row([digest], |row| Ok((id_at(row, 0)?, id_at(row, 1)?)))
                .optional()?;
            let (id, known) = if let Some((id, refs)) = found {
                (id, Known { digest, refs, dirty: false, fresh: None })
            } else {
                let id = self.take(Sequence::Definition, 1)?;
                (id, Known { digest, refs: 0, dirty: true, fresh: Some(body) })
            };
            self.kept.definitions.insert(id, known);
        }
        let id = self.kept.definitions.by_digest[&digest];
        self.add_definition_uses(id, uses)?;
        Ok(id)
    }

    /// Adds references to a definition that is known to exist.
    pub fn add_definition_uses(&mut self, id: u64, uses: u64) -> rusqlite::Result<()> {
        let known = self.known_definition(id)?;
        known.refs += uses;
        known.dirty = true;
        Ok(())
    }

    /// Gives references back; the last one takes the definition with it, at once and not at the end of
    /// the transaction, so that a later command of the same log finds the same thing everywhere.
    pub fn release_definition(&mut self, id: u64, uses: u64) -> rusqlite::Result<()> {
        let known = self.known_definition(id)?;
        known.refs = known.refs.saturating_sub(uses);
        known.dirty = true;
        if known.refs > 0 {
            return Ok(());
        }
        if let Some(gone) = self.kept.definitions.by_id.remove(&id) {
            self.kept.definitions.by_digest.remove(&gone.digest);
            if gone.fresh.is_none() {
                if let Some(definition) = get(&self.sql, id)? {
                    drop_labels(&self.sql, id, &definition)?;
                }
                self.sql
                    .prepare_cached("DELETE FROM shapes WHERE id = ?1")?
                    .execute([id as i64])?;
            }
        }
        Ok(())
    }

    /// A definition by its number, whether or not it has its row yet.
    pub fn definition(&mut self, id: u64) -> rusqlite::Result<JobDefinition> {
        if let Some(Known { fresh: Some(body), .. }) = self.kept.definitions.by_id.get(&id) {
            return parse(body);
        }
        get(&self.sql, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Whether any job of such a definition, a staged one included, goes to a named executor. Plans that
    /// are closed do not count: what is left of them goes where the job goes now.
    pub fn executor_in_use(
        &self,
        executor: u64,
        such: impl Fn(&JobDefinition) -> bool,
    ) -> rusqlite::Result<bool> {
        let mut candidates: Vec<(i64, JobDefinition)> = self
            .sql
            .prepare_cached("SELECT id, body FROM shapes WHERE executor = ?1")?
            .query_map([executor as i64], |row| {
                Ok((row.get(0)?, parse(row.get_ref(1)?.as_str()?)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        // Those that have no row yet; where a transaction ends must not matter.
        for (id, known) in &self.kept.definitions.by_id {
            if let Some(definition) = known.fresh.as_deref().map(parse).transpose()?
                && definition.executor == Some(executor)
            {
                candidates.push((*id as i64, definition));
            }
        }
        let mut used = self.sql.prepare_cached(
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

    fn known_definition(&mut self, id: u64) -> rusqlite::Result<&mut Known> {
        if !self.kept.definitions.by_id.contains_key(&id) {
            let known = self
                .sql
                .prepare_cached("SELECT digest, refs FROM shapes WHERE id = ?1")?
                .query_row([id as i64], |row| {
                Ok(Known { digest: row.get(0)?, refs: id_at(row, 1)?, dirty: false, fresh: None })
            })?;
            self.kept.definitions.insert(id, known);
        }
        self.kept.definitions.by_id.get_mut(&id).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }
}

/// A definition by its number.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<JobDefinition>> {
    let body = conn
        .prepare_cached("SELECT body FROM shapes WHERE id = ?1")?
        .query_row([id as i64], |row| row.get::<_, String>(0))
        .optional()?;
    body.map(|body| parse(&body)).transpose()
}

/// Every definition with its number, in order: for a worker that builds its queue.
pub fn for_each(conn: &Connection, mut f: impl FnMut(u64, JobDefinition)) -> rusqlite::Result<()> {
    let mut select = conn.prepare_cached("SELECT id, body FROM shapes ORDER BY id")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        f(id_at(row, 0)?, parse(row.get_ref(1)?.as_str()?)?);
    }
    Ok(())
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

fn parse(body: &str) -> rusqlite::Result<JobDefinition> {
    serde_json::from_str(body).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, e.into())
    })
}
