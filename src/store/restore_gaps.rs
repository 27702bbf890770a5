//! Gaps: stretches of time of which nothing due went out, because the cluster was restored from a
//! backup after them. Apply writes them, a restore's rules say when; the ledger reads.

use rusqlite::{Connection, params};

use super::writer::Tx;
use crate::model::Millis;
use crate::model::shard::ShardId;

/// A gap of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreGap {
    /// The shard.
    pub shard: ShardId,
    /// What was due after this instant ...
    pub from: Millis,
    /// ... up to and including this one did not go out, unless the history says otherwise.
    pub until: Millis,
}

impl RestoreGap {
    /// Whether it holds what is due at an instant.
    pub fn holds(&self, due: Millis) -> bool {
        self.from < due && due <= self.until
    }
}

/// The gaps of a shard, oldest first.
pub fn of_shard(conn: &Connection, shard: ShardId) -> rusqlite::Result<Vec<RestoreGap>> {
    conn.prepare_cached(
        "SELECT shard, gap_from, until FROM gaps WHERE shard = ?1 ORDER BY gap_from",
    )?
    .query_map([shard], |row| {
        Ok(RestoreGap { shard: row.get(0)?, from: row.get(1)?, until: row.get(2)? })
    })?
    .collect()
}

/// Adds a gap; one that begins where another did takes its place.
pub fn insert(tx: &Tx<'_>, gap: &RestoreGap) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO gaps (shard, gap_from, until) VALUES (?1, ?2, ?3)")?
        .execute(params![gap.shard, gap.from, gap.until])?;
    Ok(())
}
