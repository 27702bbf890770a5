//! Named executors: targets that are defined once for many jobs. Apply writes; api and worker read.
//! Their secrets are sealed.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::AccountId;
use crate::model::target::Executor;
use crate::store::db::Tx;
use crate::store::page::{self, Page};
use crate::store::row::{from_json, id_at, to_json};

/// The sort keys of executors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Id; also the order of creation.
    #[default]
    Id,
    /// Name.
    Name,
}

/// An executor by its id.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<Executor>> {
    conn.prepare_cached("SELECT body FROM executors WHERE id = ?1")?
        .query_row([id as i64], read)
        .optional()
}

/// The name of an executor, as lists show it; its number where it is gone.
pub fn name(conn: &Connection, id: u64) -> rusqlite::Result<String> {
    Ok(get(conn, id)?.map_or_else(|| format!("executor {id}"), |found| found.name))
}

/// The account of an executor.
pub fn account(conn: &Connection, id: u64) -> rusqlite::Result<Option<AccountId>> {
    conn.prepare_cached("SELECT account FROM executors WHERE id = ?1")?
        .query_row([id as i64], |row| id_at(row, 0))
        .optional()
}

/// The id of the executor of an account with a name.
pub fn id_in_account(
    conn: &Connection,
    account: AccountId,
    name: &str,
) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached("SELECT id FROM executors WHERE account = ?1 AND name = ?2")?
        .query_row(params![account as i64, name], |row| id_at(row, 0))
        .optional()
}

/// The id of the executor with a name; of several accounts that have one, the first.
pub fn id_by_name(conn: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached("SELECT id FROM executors WHERE name = ?1 ORDER BY account LIMIT 1")?
        .query_row([name], |row| id_at(row, 0))
        .optional()
}

/// The number of executors.
pub fn count(conn: &Connection) -> rusqlite::Result<u64> {
    page::count(conn, "executors")
}

/// The ids of all executors, ascending.
pub fn ids(conn: &Connection) -> rusqlite::Result<Vec<u64>> {
    page::all_ids(conn, "executors")
}

/// Reads the executors of a page one by one, until `f` returns `false`.
pub fn each(
    conn: &Connection,
    page: &Page<Order>,
    f: impl FnMut(Executor) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let column = match page.order_by {
        Order::Id => "id",
        Order::Name => "name",
    };
    page.each(conn, ("executors", column), get, f)
}

/// Adds an executor to an account.
pub fn insert(tx: &Tx<'_>, account: AccountId, executor: &Executor) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO executors (id, account, name, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![executor.id as i64, account as i64, executor.name, to_json(executor)?])?;
    Ok(())
}

/// Writes all of an executor that exists.
pub fn update(tx: &Tx<'_>, executor: &Executor) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE executors SET name = ?2, body = ?3 WHERE id = ?1")?
        .execute(params![executor.id as i64, executor.name, to_json(executor)?])?;
    Ok(())
}

/// Removes an executor; no job must use it.
pub fn delete(tx: &Tx<'_>, id: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM executors WHERE id = ?1")?.execute([id as i64])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Executor> {
    from_json(row.get_ref(0)?.as_str()?, 0)
}
