//! The single facts of the cluster: its id and line of descent, log time, the applied mark of raft.
//! Apply sets them, `raft::machine` sets its mark; every module may read them.

use rusqlite::Connection;

pub use crate::store::cache::meta::{applied, assign_index, had_accounts, log_time};
pub use crate::store::cache::numbers::{STEP, Sequence};

use crate::model::Millis;
use crate::store::cache::meta::{
    APPLIED, BORN, CLUSTER, GENERATION, HAD_ACCOUNTS, HISTORY_BYTES, HISTORY_DROPPED, LEVEL,
    OPERATOR_SESSIONS_FROM, get, put,
};
use crate::store::db::Tx;

/// The id that a dead letter was given last; 0 when none ever was.
pub fn last_dead_letter(conn: &Connection) -> rusqlite::Result<u64> {
    Sequence::DeadLetter.last(conn)
}

/// Notes, for ever, that there is another account than the first.
pub fn set_had_accounts(tx: &Tx<'_>) -> rusqlite::Result<()> {
    put(tx, HAD_ACCOUNTS, 1)
}

/// The cluster's id; `None` before `Init`.
pub fn cluster_id(conn: &Connection) -> rusqlite::Result<Option<u128>> {
    Ok(get::<[u8; 16]>(conn, CLUSTER)?.map(u128::from_be_bytes))
}

/// The log time at which the cluster was born; `None` before `Init`.
pub fn born(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    get(conn, BORN)
}

/// Sets the cluster's id and birth; once.
pub fn set_birth(tx: &Tx<'_>, cluster: u128, stamp: Millis) -> rusqlite::Result<()> {
    put(tx, CLUSTER, cluster.to_be_bytes().to_vec())?;
    put(tx, BORN, stamp)
}

/// The line of descent of the cluster: its id, until a quorum was lost and a survivor went on alone
/// under a new number; `None` before `Init`.
pub fn generation(conn: &Connection) -> rusqlite::Result<Option<u128>> {
    match get::<[u8; 16]>(conn, GENERATION)? {
        Some(bytes) => Ok(Some(u128::from_be_bytes(bytes))),
        None => cluster_id(conn),
    }
}

/// Begins a new line of descent. The cluster's id stays, and with it the ids of executions.
pub fn set_generation(tx: &Tx<'_>, generation: u128) -> rusqlite::Result<()> {
    put(tx, GENERATION, generation.to_be_bytes().to_vec())
}

/// The level of the cluster: every program that takes part understands it. 1 before it was raised.
pub fn level(conn: &Connection) -> rusqlite::Result<u32> {
    Ok(get(conn, LEVEL)?.unwrap_or(1))
}

/// Sets the level of the cluster.
pub fn set_level(tx: &Tx<'_>, level: u32) -> rusqlite::Result<()> {
    put(tx, LEVEL, level)
}

/// The instant up to which sessions that operators began are over; `None` while none was ended.
pub fn operator_sessions_from(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    get(conn, OPERATOR_SESSIONS_FROM)
}

/// Ends the sessions that operators began up to an instant.
pub fn end_operator_sessions(tx: &Tx<'_>, until: Millis) -> rusqlite::Result<()> {
    put(tx, OPERATOR_SESSIONS_FROM, until)
}

/// About how many bytes the history takes.
pub(in crate::store) fn history_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(get::<i64>(conn, HISTORY_BYTES)?.unwrap_or(0).max(0) as u64)
}

/// The instant up to which records, by their due instants, may have been dropped; `None` while all
/// are kept.
pub fn history_dropped(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    get(conn, HISTORY_DROPPED)
}

/// Notes that records due up to an instant were dropped.
pub(in crate::store) fn set_history_dropped(tx: &Tx<'_>, due: Millis) -> rusqlite::Result<()> {
    let before = history_dropped(tx)?.unwrap_or(Millis::MIN);
    put(tx, HISTORY_DROPPED, due.max(before))
}

/// Sets raft's mark, in the transaction of the change that it marks.
pub fn set_applied(tx: &Tx<'_>, mark: &[u8]) -> rusqlite::Result<()> {
    put(tx, APPLIED, mark.to_vec())
}
