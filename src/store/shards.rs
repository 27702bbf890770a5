//! Shards: who owns what, and up to when all is accounted for. Apply changes them in memory and
//! writes each changed one once a transaction; everybody reads.

use rusqlite::{Connection, Row, params};

use super::id_at;
use super::writer::Tx;
use crate::model::Millis;
use crate::model::shard::{Closing, Shard, ShardId};

/// The shards as the transaction sees them; empty before `Init`.
pub(super) struct Shards {
    all: Vec<Shard>,
    dirty: Vec<bool>,
}

impl Shards {
    fn new(all: Vec<Shard>) -> Self {
        Self { dirty: vec![false; all.len()], all }
    }

    pub(super) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for (shard, dirty) in self.all.iter().zip(&mut self.dirty).filter(|(_, dirty)| **dirty) {
            write(conn, shard)?;
            *dirty = false;
        }
        Ok(())
    }
}

impl Tx<'_> {
    fn loaded_shards(&mut self) -> rusqlite::Result<&mut Shards> {
        if self.kept.shards.is_none() {
            self.kept.shards = Some(Shards::new(all(&self.sql)?));
        }
        // Filled two lines above.
        Ok(self.kept.shards.as_mut().expect("the shards were just loaded"))
    }

    /// Makes the cluster's shards.
    pub fn create_shards(&mut self, shards: Vec<Shard>) {
        let dirty = vec![true; shards.len()];
        self.kept.shards = Some(Shards { all: shards, dirty });
    }

    /// All shards, in order.
    pub fn shards(&mut self) -> rusqlite::Result<&[Shard]> {
        Ok(&self.loaded_shards()?.all)
    }

    /// One shard, if there is one of that number.
    pub fn shard(&mut self, id: ShardId) -> rusqlite::Result<Option<&Shard>> {
        Ok(self.loaded_shards()?.all.get(usize::from(id)))
    }

    /// Lets `change` work on a shard; it says whether it changed anything. `false` also for a
    /// number that no shard has.
    pub fn change_shard(
        &mut self,
        id: ShardId,
        change: impl FnOnce(&mut Shard) -> bool,
    ) -> rusqlite::Result<bool> {
        let shards = self.loaded_shards()?;
        let id = usize::from(id);
        let Some(shard) = shards.all.get_mut(id) else { return Ok(false) };
        let changed = change(shard);
        shards.dirty[id] |= changed;
        Ok(changed)
    }

    /// The instant up to which every shard is accounted for; `None` before `Init`.
    pub fn lowest_settled(&mut self) -> rusqlite::Result<Option<Millis>> {
        Ok(self.shards()?.iter().map(Shard::settled).min())
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

/// All shards, by number; none before `Init`.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<Shard>> {
    conn.prepare_cached(
        "SELECT id, owner, epoch, watermark, last_epoch, closing_node, closing_epoch,
             closing_until, closing_watermark
         FROM shards ORDER BY id",
    )?
    .query_map([], read)?
    .collect()
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
