//! Cursors: how far each node's journal is recorded. Apply moves them; the collector reads them to
//! know where to go on.
//!
//! A journal that is lost and created again has another incarnation and counts from 1. The cursors
//! of a node's last few incarnations are kept, because a batch of the old journal that was proposed
//! twice may arrive after the first batch of the new one.

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::NodeId;
use crate::store::db::Tx;
use crate::store::row::{id_at, u128_at};

/// The number of incarnations of a node's journal that are kept.
const INCARNATIONS: u32 = 16;

/// Incarnation and sequence number of the last recorded entry of a node's newest journal.
pub fn get(conn: &Connection, node: NodeId) -> rusqlite::Result<Option<(u128, u64)>> {
    conn.prepare_cached(
        "SELECT incarnation, seq FROM cursors WHERE node = ?1 ORDER BY opened DESC LIMIT 1",
    )?
    .query_row([node as i64], |row| Ok((u128_at(row, 0)?, id_at(row, 1)?)))
    .optional()
}

/// The sequence number of the last recorded entry of one incarnation; `None` when nothing of it was
/// ever recorded.
pub fn get_incarnation(
    conn: &Connection,
    node: NodeId,
    incarnation: u128,
) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached("SELECT seq FROM cursors WHERE node = ?1 AND incarnation = ?2")?
        .query_row(params![node as i64, incarnation.to_be_bytes()], |row| id_at(row, 0))
        .optional()
}

/// Moves the cursor of an incarnation, which is new when it has none; `index` is the log index.
pub fn set(
    tx: &Tx<'_>,
    node: NodeId,
    incarnation: u128,
    seq: u64,
    index: u64,
) -> rusqlite::Result<()> {
    let moved = tx
        .prepare_cached("UPDATE cursors SET seq = ?3 WHERE node = ?1 AND incarnation = ?2")?
        .execute(params![node as i64, incarnation.to_be_bytes(), seq as i64])?;
    if moved > 0 {
        return Ok(());
    }
    tx.prepare_cached(
        "INSERT INTO cursors (node, incarnation, seq, opened) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![node as i64, incarnation.to_be_bytes(), seq as i64, index as i64])?;
    tx.prepare_cached(
        "DELETE FROM cursors WHERE node = ?1 AND incarnation NOT IN (
             SELECT incarnation FROM cursors WHERE node = ?1
             ORDER BY opened DESC, incarnation LIMIT ?2)",
    )?
    .execute(params![node as i64, INCARNATIONS])?;
    Ok(())
}

/// Removes all cursors.
pub fn clear(tx: &Tx<'_>) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM cursors", [])?;
    Ok(())
}
