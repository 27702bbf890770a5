//! What came of client commands that carried a key: so that the same request, sent twice, is done
//! once. Apply writes and drops; the api may look before it proposes.

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use crate::model::Millis;

/// A remembered command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Digest of the body it came with.
    pub body: [u8; 32],
    /// The outcome, as apply coded it.
    pub outcome: Vec<u8>,
    /// When it was applied.
    pub stamp: Millis,
}

/// How long a key is remembered, in milliseconds of log time: a day.
pub const REMEMBERED: Millis = 24 * 3_600_000;

impl Remembered {
    /// Whether it still counts at an instant of log time. One that does not may be in the table yet.
    pub fn holds_at(&self, now: Millis) -> bool {
        self.stamp > now - REMEMBERED
    }
}

/// What is remembered under a key, however old it is.
pub fn get(conn: &Connection, key: &[u8; 32]) -> rusqlite::Result<Option<Remembered>> {
    conn.prepare_cached("SELECT body, outcome, stamp FROM idempotency WHERE key = ?1")?
        .query_row([key], |row| {
            Ok(Remembered { body: row.get(0)?, outcome: row.get(1)?, stamp: row.get(2)? })
        })
        .optional()
}

/// Remembers a command, in place of what was there.
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
