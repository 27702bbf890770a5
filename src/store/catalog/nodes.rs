//! Node ids: the data folder that each is bound to, those that were removed, and those that are
//! being drained. Apply writes; cluster, coordinator and peers read.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::NodeId;
use crate::store::db::Tx;
use crate::store::row::{id_at, u128_at};

/// A node id and the data folder that it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The `NodeId` of the configuration.
    pub node: NodeId,
    /// The random id of its data folder.
    pub instance: u128,
    /// The log index at which it was bound or removed. Where two sources differ, the later one
    /// counts.
    pub since: u64,
    /// The node was removed: its folder may not come back, its id only if `--replace` is given.
    pub removed: bool,
    /// The node is to own no shards.
    pub draining: bool,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Bound> {
    Ok(Bound {
        node: id_at(row, 0)?,
        instance: u128_at(row, 1)?,
        since: id_at(row, 2)?,
        removed: row.get(3)?,
        draining: row.get(4)?,
    })
}

/// Every node that was ever bound, in the order of ids.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<Bound>> {
    conn.prepare_cached("SELECT node, instance, since, removed, draining FROM nodes ORDER BY node")?
        .query_map([], read)?
        .collect()
}

/// The binding of a node id.
pub fn get(conn: &Connection, node: NodeId) -> rusqlite::Result<Option<Bound>> {
    conn.prepare_cached(
        "SELECT node, instance, since, removed, draining FROM nodes WHERE node = ?1",
    )?
    .query_row([node as i64], read)
    .optional()
}

/// Removes all bindings.
pub fn clear(tx: &Tx<'_>) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM nodes", [])?;
    Ok(())
}

/// Binds a node id, or changes its binding.
pub fn put(tx: &Tx<'_>, bound: &Bound) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO nodes (node, instance, since, removed, draining)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        bound.node as i64,
        bound.instance.to_be_bytes(),
        bound.since as i64,
        bound.removed,
        bound.draining
    ])?;
    Ok(())
}
