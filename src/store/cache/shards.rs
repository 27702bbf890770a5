//! The shards as a transaction sees them: who owns each, and up to when it is accounted for.
//! `db::tx` owns the cache; readers take [`all`] from the file.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::shard::{Closing, Shard, ShardId};
use crate::store::row::id_at;

/// The cached shards, in order; none before `Init`.
pub(in crate::store) struct Shards {
    all: Vec<Shard>,
    dirty: Vec<bool>,
}

impl Shards {
    /// Reads all of them from the file.
    pub(in crate::store) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let all = all(conn)?;
        Ok(Self { dirty: vec![false; all.len()], all })
    }

    /// The shards of a new cluster, all still to be written.
    pub(in crate::store) fn create(all: Vec<Shard>) -> Self {
        Self { dirty: vec![true; all.len()], all }
    }

    /// Writes those that changed.
    pub(in crate::store) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for (shard, dirty) in self.all.iter().zip(&mut self.dirty).filter(|(_, dirty)| **dirty) {
            write(conn, shard)?;
            *dirty = false;
        }
        Ok(())
    }

    /// All shards, in order.
    pub(in crate::store) fn all(&self) -> &[Shard] {
        &self.all
    }

    /// Lets `change` work on a shard and returns what it says: whether it changed anything. `false`
    /// also for a number that no shard has.
    pub(in crate::store) fn change(
        &mut self,
        id: ShardId,
        change: impl FnOnce(&mut Shard) -> bool,
    ) -> bool {
        let id = usize::from(id);
        let Some(shard) = self.all.get_mut(id) else { return false };
        let changed = change(shard);
        self.dirty[id] |= changed;
        changed
    }
}

fn write(conn: &Connection, shard: &Shard) -> rusqlite::Result<()> {
    let closing = shard.closing.as_ref();
    conn.prepare_cached(
        "INSERT OR REPLACE INTO shards (id, owner, epoch, watermark, last_epoch, closing_node,
             closing_epoch, closing_until, closing_watermark)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        shard.id,
        shard.owner as i64,
        shard.epoch as i64,
        shard.watermark,
        shard.last_epoch as i64,
        closing.map(|c| c.node as i64),
        closing.map(|c| c.epoch as i64),
        closing.map(|c| c.until),
        closing.map(|c| c.watermark),
    ])?;
    Ok(())
}

const COLUMNS: &str = "id, owner, epoch, watermark, last_epoch, closing_node, closing_epoch, \
                       closing_until, closing_watermark";

/// All shards, by number; none before `Init`.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<Shard>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM shards ORDER BY id"))?
        .query_map([], read)?
        .collect()
}

/// A shard; none before `Init`.
pub fn get(conn: &Connection, id: ShardId) -> rusqlite::Result<Option<Shard>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM shards WHERE id = ?1"))?
        .query_row([id], read)
        .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Shard> {
    let closing = match row.get::<_, Option<i64>>(5)? {
        None => None,
        Some(node) => Some(Closing {
            node: node as u64,
            epoch: id_at(row, 6)?,
            until: row.get(7)?,
            watermark: row.get(8)?,
        }),
    };
    Ok(Shard {
        id: row.get(0)?,
        owner: id_at(row, 1)?,
        epoch: id_at(row, 2)?,
        watermark: row.get(3)?,
        last_epoch: id_at(row, 4)?,
        closing,
    })
}
