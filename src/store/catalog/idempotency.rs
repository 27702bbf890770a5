//! The outcomes of client commands that carried an idempotency key, so that a request that is sent
//! twice is carried out once. Apply writes and drops them; the api may look before it proposes.

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::Millis;
use crate::store::db::Tx;

/// The stored outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Digest of the body of its request.
    pub body: [u8; 32],
    /// The outcome, as apply encoded it.
    pub outcome: Vec<u8>,
    /// The log time at which it was applied.
    pub stamp: Millis,
}

/// The time that a key is kept, in milliseconds of log time: a day.
pub const REMEMBERED: Millis = 24 * 3_600_000;

impl Remembered {
    /// Tells whether it still counts at an instant of log time. One that does not may still be in
    /// the table.
    pub fn holds_at(&self, now: Millis) -> bool {
        self.stamp > now - REMEMBERED
    }
}

/// The outcome under a key, however old it is.
pub fn get(conn: &Connection, key: &[u8; 32]) -> rusqlite::Result<Option<Remembered>> {
    conn.prepare_cached("SELECT body, outcome, stamp FROM idempotency WHERE key = ?1")?
        .query_row([key], |row| {
            Ok(Remembered { body: row.get(0)?, outcome: row.get(1)?, stamp: row.get(2)? })
        })
        .optional()
}

/// Stores an outcome, in place of an older one under the same key.
pub fn put(tx: &Tx<'_>, key: &[u8; 32], entry: &Remembered) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO idempotency (key, body, outcome, stamp) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![key, entry.body, entry.outcome, entry.stamp])?;
    Ok(())
}

/// Drops at most `limit` entries from before an instant, oldest first.
pub fn drop_old(tx: &Tx<'_>, before: Millis, limit: u32) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM idempotency WHERE key IN (
             SELECT key FROM idempotency WHERE stamp < ?1 ORDER BY stamp, key LIMIT ?2)",
    )?
    .execute(params![before, limit])?;
    Ok(())
}
