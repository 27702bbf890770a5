//! The hash of the replicated state, which `Checksum` compares between nodes. It reads everything
//! and changes nothing.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use super::schema::TABLES;

/// The SHA-256 of every row of every table in key order. Each value is hashed with its type and
/// length, so that no two different states give the same bytes.
pub(super) fn hash(conn: &Connection) -> rusqlite::Result<[u8; 32]> {
    let mut sink = Sha256::new();
    for (table, key) in TABLES {
        let filter = if *table == "meta" { "WHERE key <> 'applied'" } else { "" };
        let mut select =
            conn.prepare_cached(&format!("SELECT * FROM {table} {filter} ORDER BY {key}"))?;
        let columns = select.column_count();
        sink.update(table.as_bytes());
        sink.update([0, columns as u8]);
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                match row.get_ref(column)? {
                    ValueRef::Null => sink.update([0]),
                    ValueRef::Integer(n) => {
                        sink.update([1]);
                        sink.update(n.to_be_bytes());
                    }
                    ValueRef::Real(x) => {
                        sink.update([2]);
                        sink.update(x.to_bits().to_be_bytes());
                    }
                    ValueRef::Text(bytes) => bytes_into(&mut sink, 3, bytes),
                    ValueRef::Blob(bytes) => bytes_into(&mut sink, 4, bytes),
                }
            }
        }
        sink.update([0xff]);
    }
    Ok(sink.finalize().into())
}

fn bytes_into(sink: &mut Sha256, kind: u8, bytes: &[u8]) {
    sink.update([kind]);
    sink.update((bytes.len() as u64).to_be_bytes());
    sink.update(bytes);
}
