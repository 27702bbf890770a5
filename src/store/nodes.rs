//! Which data folder each node id is bound to. Apply binds; the coordinator and peers read.

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use super::{id_at, u128_at};
use crate::model::NodeId;

/// Every node that ever registered, with its instance id.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<(NodeId, u128)>> {
    conn.prepare_cached("SELECT node, instance FROM nodes ORDER BY node")?
        .query_map([], |row| Ok((id_at(row, 0)?, u128_at(row, 1)?)))?
        .collect()
}

/// The instance id that a node is bound to.
pub fn get(conn: &Connection, node: NodeId) -> rusqlite::Result<Option<u128>> {
    conn.prepare_cached("SELECT instance FROM nodes WHERE node = ?1")?
        .query_row([node as i64], |row| u128_at(row, 0))
        .optional()
}

/// Forgets all of them.
pub fn clear(tx: &Tx<'_>) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM nodes", [])?;
    Ok(())
}

/// Binds a node.
pub fn insert(tx: &Tx<'_>, node: NodeId, instance: u128) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO nodes (node, instance) VALUES (?1, ?2)")?
        .execute(params![node as i64, instance.to_be_bytes()])?;
    Ok(())
}
