//! The jobs that templates made: which are live, and when the others were over. Apply writes; api
//! and apply read. A row goes with its job or its template, whichever is first.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use crate::model::template_ref::TemplateRef;
use crate::model::{JobId, Millis};
use crate::store::db::Tx;
use crate::store::page::Page;
use crate::store::row::id_at;

/// A job that a template made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The template, and its version then.
    pub of: TemplateRef,
    /// The stamp at which it was over; `None` while it is live.
    pub over: Option<Millis>,
    /// Whether another one follows; `None` for what the template says.
    pub reschedule: Option<bool>,
}

/// The sort key of instances: the id of the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstanceOrder {
    /// Id; also the order of creation.
    #[default]
    Id,
}

/// The instances that a list is to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// The template.
    pub template: u64,
    /// Only those that are live (`true`) or over.
    pub live: Option<bool>,
}

impl InstanceFilter {
    fn from(&self) -> (String, Vec<Value>) {
        let state = match self.live {
            None => "",
            Some(true) => " AND over = 0",
            Some(false) => " AND over > 0",
        };
        let from = format!("FROM template_jobs WHERE template = ?{state}");
        (from, vec![Value::from(self.template.cast_signed())])
    }
}

/// The instance that a job is.
pub fn get(conn: &Connection, job: JobId) -> rusqlite::Result<Option<Instance>> {
    conn.prepare_cached(
        "SELECT template, version, over, reschedule FROM template_jobs WHERE id = ?1",
    )?
    .query_row([job.cast_signed()], |row| {
        let over: Millis = row.get(2)?;
        Ok(Instance {
            of: TemplateRef { id: id_at(row, 0)?, version: id_at(row, 1)? },
            over: (over > 0).then_some(over),
            reschedule: row.get(3)?,
        })
    })
    .optional()
}

/// The number of instances that a filter finds.
pub fn count(conn: &Connection, filter: &InstanceFilter) -> rusqlite::Result<u64> {
    let (from, values) = filter.from();
    conn.prepare(&format!("SELECT COUNT(*) {from}"))?
        .query_row(rusqlite::params_from_iter(values), |row| id_at(row, 0))
}

/// The jobs of a page of instances, in its order.
pub fn page(
    conn: &Connection,
    filter: &InstanceFilter,
    page: &Page<InstanceOrder>,
) -> rusqlite::Result<Vec<JobId>> {
    let (from, values) = filter.from();
    page.ids(conn, &from, values, "id")
}

/// The live instances of a template, at most `limit`, in the order of their ids.
pub fn live(conn: &Connection, template: u64, limit: u32) -> rusqlite::Result<Vec<JobId>> {
    conn.prepare_cached(
        "SELECT id FROM template_jobs WHERE template = ?1 AND over = 0 ORDER BY id LIMIT ?2",
    )?
    .query_map(params![template.cast_signed(), limit], |row| id_at(row, 0))?
    .collect()
}

/// The instances of a template that are over, those that were over first at the beginning; at most
/// `limit`.
pub fn first_over(conn: &Connection, template: u64, limit: u64) -> rusqlite::Result<Vec<JobId>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    conn.prepare_cached(
        "SELECT id FROM template_jobs WHERE template = ?1 AND over > 0 ORDER BY over, id LIMIT ?2",
    )?
    .query_map([template.cast_signed(), limit.cast_signed()], |row| id_at(row, 0))?
    .collect()
}

/// Notes a new live instance.
pub fn insert(tx: &Tx<'_>, job: JobId, of: TemplateRef) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO template_jobs (id, template, version, over) VALUES (?1, ?2, ?3, 0)",
    )?
    .execute([job.cast_signed(), of.id.cast_signed(), of.version.cast_signed()])?;
    Ok(())
}

/// Notes that a live instance is over. Its template counts it.
pub fn set_over(tx: &Tx<'_>, job: JobId, stamp: Millis) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE templates SET over = over + 1
         WHERE id = (SELECT template FROM template_jobs WHERE id = ?1 AND over = 0)",
    )?
    .execute([job.cast_signed()])?;
    tx.prepare_cached("UPDATE template_jobs SET over = ?2 WHERE id = ?1")?
        .execute([job.cast_signed(), stamp])?;
    Ok(())
}

/// Notes whether another instance is to follow this one.
pub fn set_reschedule(tx: &Tx<'_>, job: JobId, reschedule: bool) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE template_jobs SET reschedule = ?2 WHERE id = ?1")?
        .execute(params![job.cast_signed(), reschedule])?;
    Ok(())
}

/// Forgets that a job is an instance. Its template counts it no more.
pub fn remove(tx: &Tx<'_>, job: JobId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE templates SET over = over - 1
         WHERE id = (SELECT template FROM template_jobs WHERE id = ?1 AND over > 0)",
    )?
    .execute([job.cast_signed()])?;
    tx.prepare_cached("DELETE FROM template_jobs WHERE id = ?1")?.execute([job.cast_signed()])?;
    Ok(())
}

/// Forgets the instances of a template, which goes with them.
pub fn remove_all(tx: &Tx<'_>, template: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM template_jobs WHERE template = ?1")?
        .execute([template.cast_signed()])?;
    Ok(())
}
