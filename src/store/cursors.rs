//! How far each node's journal is recorded. Apply moves the cursors; the collector reads them to
//! know where to go on.

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use super::{id_at, u128_at};
use crate::model::NodeId;

/// Incarnation and sequence number of the last recorded entry of a node's journal.
pub fn get(conn: &Connection, node: NodeId) -> rusqlite::Result<Option<(u128, u64)>> {
    conn.prepare_cached("SELECT incarnation, seq FROM cursors WHERE node = ?1")?
        .query_row([node as i64], |row| Ok((u128_at(row, 0)?, id_at(row, 1)?)))
        .optional()
}

/// Every cursor: (node, incarnation, sequence number).
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<(NodeId, u128, u64)>> {
    conn.prepare_cached("SELECT node, incarnation, seq FROM cursors ORDER BY node")?
        .query_map([], |row| Ok((id_at(row, 0)?, u128_at(row, 1)?, id_at(row, 2)?)))?
        .collect()
}

/// Moves a cursor.
pub fn set(tx: &Tx<'_>, node: NodeId, incarnation: u128, seq: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO cursors (node, incarnation, seq) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![node as i64, incarnation.to_be_bytes(), seq as i64])?;
    Ok(())
}
