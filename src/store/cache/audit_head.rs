//! The end of the audit: the number and the hash of its last row, and the bytes of all rows so far.
//! The next row is linked to it. The rows themselves say it; it is only kept so that a new row
//! needs no read. `db::tx` owns it.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension};

use super::meta::{AUDIT_BASE, get, put};
use crate::model::audit::ChainHash;
use crate::model::audit_chain::FIRST;

/// A place in the audit: behind a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPlace {
    /// The number of the row; 0 before the first.
    pub id: u64,
    /// Its hash.
    pub chain: ChainHash,
    /// The bytes of all rows up to it, also of those that were dropped.
    pub total: u64,
}

impl Default for AuditPlace {
    fn default() -> Self {
        Self { id: 0, chain: FIRST, total: 0 }
    }
}

impl AuditPlace {
    /// The place behind the last row.
    pub(in crate::store) fn last(conn: &Connection) -> rusqlite::Result<Self> {
        let last = conn
            .prepare_cached("SELECT id, chain, total FROM audit ORDER BY id DESC LIMIT 1")?
            .query_row([], |row| {
                let (id, total) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(2)? as u64);
                Ok(Self { id, chain: row.get(1)?, total })
            })
            .optional()?;
        match last {
            Some(last) => Ok(last),
            None => Self::base(conn),
        }
    }

    /// The place behind the last row that was dropped.
    pub(in crate::store) fn base(conn: &Connection) -> rusqlite::Result<Self> {
        let Some(bytes) = get::<Vec<u8>>(conn, AUDIT_BASE)? else { return Ok(Self::default()) };
        let read = || {
            let (id, rest) = bytes.split_first_chunk::<8>()?;
            let (total, chain) = rest.split_first_chunk::<8>()?;
            let chain = chain.try_into().ok()?;
            Some(Self { id: u64::from_be_bytes(*id), chain, total: u64::from_be_bytes(*total) })
        };
        let wrong = || rusqlite::Error::InvalidColumnType(0, AUDIT_BASE.to_owned(), Type::Blob);
        read().ok_or_else(wrong)
    }

    /// Notes that all rows up to here were dropped.
    pub(in crate::store) fn set_base(&self, conn: &Connection) -> rusqlite::Result<()> {
        let bytes = [&self.id.to_be_bytes()[..], &self.total.to_be_bytes(), &self.chain].concat();
        put(conn, AUDIT_BASE, bytes)
    }
}
