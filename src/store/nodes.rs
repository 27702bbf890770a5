//! Which data folder each node id is bound to, which ids are no longer anybody's, and which nodes are
//! being drained. Apply changes it; cluster, coordinator and peers read.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Tx;
use super::{id_at, u128_at};
use crate::model::NodeId;

/// A node id and the data folder that it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The id.
    pub node: NodeId,
    /// The random id of its data folder.
    pub instance: u128,
    /// The log index at which it was bound, or removed: of two that differ the later one holds.
    pub since: u64,
    /// The node was removed: neither the folder nor, unasked, the id may come back.
    pub removed: bool,
    /// It is to own no shards.
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

/// Every node that was ever bound, by id.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<Bound>> {
    conn.prepare_cached("SELECT node, instance, since, removed, draining FROM nodes ORDER BY node")?
        .query_map([], read)?
        .collect()
}

/// What a node id is bound to.
pub fn get(conn: &Connection, node: NodeId) -> rusqlite::Result<Option<Bound>> {
    conn.prepare_cached(
        "SELECT node, instance, since, removed, draining FROM nodes WHERE node = ?1",
    )?
    .query_row([node as i64], read)
    .optional()
}

/// Forgets all of them.
pub fn clear(tx: &Tx<'_>) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM nodes", [])?;
    Ok(())
}

/// Binds a node id, or says something else of it.
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
