//! Named executors: targets held once for many jobs. Apply writes; api and worker read. What is
//! secret in them is sealed.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Tx;
use super::{Page, id_at};
use crate::model::target::Executor;

/// What executors can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Number; also the order of creation.
    #[default]
    Id,
    /// Name.
    Name,
}

/// An executor by its number.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<Executor>> {
    conn.prepare_cached("SELECT body FROM executors WHERE id = ?1")?
        .query_row([id as i64], read)
        .optional()
}

/// The number of the executor with a name.
pub fn id_by_name(conn: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached("SELECT id FROM executors WHERE name = ?1")?
        .query_row([name], |row| id_at(row, 0))
        .optional()
}

/// How many executors there are.
pub fn count(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT COUNT(*) FROM executors")?.query_row([], |row| id_at(row, 0))
}

/// Reads the executors of a page one by one, for as long as `f` wants more.
pub fn each(
    conn: &Connection,
    page: &Page<Order>,
    mut f: impl FnMut(Executor) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let column = match page.order_by {
        Order::Id => "id",
        Order::Name => "name",
    };
    for id in page.ids(conn, "FROM executors WHERE TRUE", Vec::new(), column)? {
        if let Some(executor) = get(conn, id)?
            && !f(executor)?
        {
            break;
        }
    }
    Ok(())
}

/// Adds an executor.
pub fn insert(tx: &Tx<'_>, executor: &Executor) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO executors (id, name, body) VALUES (?1, ?2, ?3)")?
        .execute(params![executor.id as i64, executor.name, body(executor)?])?;
    Ok(())
}

/// Writes an executor anew.
pub fn update(tx: &Tx<'_>, executor: &Executor) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE executors SET name = ?2, body = ?3 WHERE id = ?1")?
        .execute(params![executor.id as i64, executor.name, body(executor)?])?;
    Ok(())
}

/// Removes an executor; no job must use it.
pub fn delete(tx: &Tx<'_>, id: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM executors WHERE id = ?1")?.execute([id as i64])?;
    Ok(())
}

fn body(executor: &Executor) -> rusqlite::Result<String> {
    serde_json::to_string(executor).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Executor> {
    let body: String = row.get(0)?;
    serde_json::from_str(&body)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, e.into()))
}
