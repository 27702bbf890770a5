//! Job templates and their versions. Apply writes; api and apply read. Secrets of their targets are
//! sealed. The jobs that they made are in `template_jobs`.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::model::ProjectId;
use crate::model::job::JobDefinition;
use crate::model::template::{KEPT_VERSIONS, Template};
use crate::store::db::Tx;
use crate::store::page::{self, Page};
use crate::store::row::{from_json, id_at, to_json};

/// The sort keys of templates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Id; also the order of creation.
    #[default]
    Id,
    /// Type.
    Type,
}

/// The sort key of the versions of a template: their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionOrder {
    /// Number; also the order of time.
    #[default]
    Number,
}

/// The ids of all templates, ascending.
pub fn ids(conn: &Connection) -> rusqlite::Result<Vec<u64>> {
    page::all_ids(conn, "templates")
}

/// The templates that a list is to show: those that are as every given field says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The project.
    pub project: Option<ProjectId>,
    /// The type.
    pub kind: Option<String>,
    /// Callers make the instances.
    pub user_triggered: Option<bool>,
    /// Instances may be made.
    pub active: Option<bool>,
}

impl Filter {
    /// `FROM ... WHERE ...`, with its values.
    fn from(&self) -> (String, Vec<Value>) {
        let mut from = "FROM templates WHERE TRUE".to_owned();
        let mut values = Vec::new();
        for (column, value) in [
            ("project", self.project.map(|id| Value::from(id.cast_signed()))),
            ("type", self.kind.clone().map(Value::from)),
            ("user_triggered", self.user_triggered.map(Value::from)),
            ("active", self.active.map(Value::from)),
        ] {
            if let Some(value) = value {
                from.push_str(" AND ");
                from.push_str(column);
                from.push_str(" = ?");
                values.push(value);
            }
        }
        (from, values)
    }
}

/// A template by its id.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<Template>> {
    conn.prepare_cached("SELECT body FROM templates WHERE id = ?1")?
        .query_row([id.cast_signed()], read)
        .optional()
}

/// The id of the template of a type in a project.
pub fn id_by_type(
    conn: &Connection,
    project: ProjectId,
    kind: &str,
) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached("SELECT id FROM templates WHERE project = ?1 AND type = ?2")?
        .query_row(params![project.cast_signed(), kind], |row| id_at(row, 0))
        .optional()
}

/// The number of instances of a template that are over.
pub fn over_count(conn: &Connection, id: u64) -> rusqlite::Result<u64> {
    let found = conn
        .prepare_cached("SELECT over FROM templates WHERE id = ?1")?
        .query_row([id.cast_signed()], |row| id_at(row, 0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// The ids of a project's templates.
pub fn of_project(conn: &Connection, project: ProjectId) -> rusqlite::Result<Vec<u64>> {
    conn.prepare_cached("SELECT id FROM templates WHERE project = ?1 ORDER BY id")?
        .query_map([project.cast_signed()], |row| id_at(row, 0))?
        .collect()
}

/// The number of templates that a filter finds.
pub fn count(conn: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
    let (from, values) = filter.from();
    conn.prepare(&format!("SELECT COUNT(*) {from}"))?
        .query_row(params_from_iter(values), |row| id_at(row, 0))
}

/// Reads the templates of a page one by one, until `f` returns `false`.
pub fn each(
    conn: &Connection,
    filter: &Filter,
    page: &Page<Order>,
    mut f: impl FnMut(Template) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let column = match page.order_by {
        Order::Id => "id",
        Order::Type => "type",
    };
    let (from, values) = filter.from();
    for id in page.ids(conn, &from, values, column)? {
        if let Some(template) = get(conn, id)?
            && !f(template)?
        {
            break;
        }
    }
    Ok(())
}

/// The number of versions of a template that are kept.
pub fn version_count(conn: &Connection, id: u64) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT COUNT(*) FROM template_versions WHERE template = ?1")?
        .query_row([id.cast_signed()], |row| id_at(row, 0))
}

/// Reads the kept versions of a template that are in a page one by one, until `f` returns `false`.
/// Their numbers are the ids of the list.
pub fn each_version(
    conn: &Connection,
    id: u64,
    page: &Page<VersionOrder>,
    mut f: impl FnMut(Template) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let from = "FROM (SELECT version AS id FROM template_versions WHERE template = ?) WHERE TRUE";
    for number in page.ids(conn, from, vec![Value::from(id.cast_signed())], "id")? {
        if let Some(found) = version(conn, id, number)?
            && !f(found)?
        {
            break;
        }
    }
    Ok(())
}

/// One version of a template, if it is kept.
pub fn version(conn: &Connection, id: u64, version: u64) -> rusqlite::Result<Option<Template>> {
    conn.prepare_cached("SELECT body FROM template_versions WHERE template = ?1 AND version = ?2")?
        .query_row([id.cast_signed(), version.cast_signed()], read)
        .optional()
}

/// Tells whether a template goes to a named executor by a definition that `such` picks.
pub fn uses_executor(
    conn: &Connection,
    executor: u64,
    such: impl Fn(&JobDefinition) -> bool,
) -> rusqlite::Result<bool> {
    let mut select = conn.prepare_cached("SELECT body FROM templates WHERE executor = ?1")?;
    let found = select.query_map([executor.cast_signed()], read)?;
    for template in found {
        if such(&template?.definition) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes all of a template, which may be new, and keeps it as a version. Old versions that no job
/// names are dropped.
pub fn put(tx: &Tx<'_>, template: &Template) -> rusqlite::Result<()> {
    let body = to_json(template)?;
    tx.prepare_cached(
        "INSERT INTO templates (id, project, type, user_triggered, active, executor, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET type = excluded.type,
             user_triggered = excluded.user_triggered, active = excluded.active,
             executor = excluded.executor, body = excluded.body",
    )?
    .execute(params![
        template.id.cast_signed(),
        template.project.cast_signed(),
        template.kind,
        template.user_triggered,
        template.active,
        template.definition.executor.map(u64::cast_signed),
        body,
    ])?;
    tx.prepare_cached(
        "INSERT INTO template_versions (template, version, body) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![template.id.cast_signed(), template.version.cast_signed(), body])?;
    tx.prepare_cached(
        "DELETE FROM template_versions WHERE template = ?1 AND version <= ?2
         AND NOT EXISTS (SELECT 1 FROM template_jobs AS jobs
             WHERE jobs.template = ?1 AND jobs.version = template_versions.version)",
    )?
    .execute([
        template.id.cast_signed(),
        template.version.saturating_sub(KEPT_VERSIONS).cast_signed(),
    ])?;
    Ok(())
}

/// Removes a template with its versions.
pub fn delete(tx: &Tx<'_>, id: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM templates WHERE id = ?1")?.execute([id.cast_signed()])?;
    tx.prepare_cached("DELETE FROM template_versions WHERE template = ?1")?
        .execute([id.cast_signed()])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Template> {
    from_json(row.get_ref(0)?.as_str()?, 0)
}
