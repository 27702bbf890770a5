//! Restore gaps: intervals in which nothing that was due went out, because the cluster was restored
//! from a backup after them. The rules of a restore add them; the ledger reads them.

use rusqlite::{Connection, params};

use crate::model::Millis;
use crate::model::shard::ShardId;
use crate::store::db::Tx;

/// A restore gap of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreGap {
    /// The number of the shard.
    pub shard: ShardId,
    /// Occurrences due after this instant ...
    pub from: Millis,
    /// ... up to and including this one did not go out, unless the history says otherwise.
    pub until: Millis,
}

impl RestoreGap {
    /// Tells whether occurrences due at an instant fall into it.
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

/// Adds a gap; it replaces one that begins at the same instant.
pub fn insert(tx: &Tx<'_>, gap: &RestoreGap) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO gaps (shard, gap_from, until) VALUES (?1, ?2, ?3)")?
        .execute(params![gap.shard, gap.from, gap.until])?;
    Ok(())
}
