//! The audit: who did what to what, a row for each entry of the log that a client or an operator
//! asked for. Apply adds rows and drops the oldest ones; the api lists and exports them.
//!
//! A row has the bytes of all rows up to it beside it. So the size of what is kept is a difference,
//! and no number changes with each row.

use rusqlite::{Connection, OptionalExtension, Row, params};

pub use crate::store::cache::audit_head::AuditPlace;

use crate::model::audit::{AuditActor, AuditRow, ChainHash};
use crate::model::audit_chain::link;
use crate::model::{Millis, ProjectId};
use crate::store::db::Tx;
use crate::store::page::Walked;
use crate::store::row::{clamped, id_at};

const COLUMNS: &str = "id, at, actor_kind, actor_id, actor_name, address, node, action, noun, \
                       object, project, account, detail, chain";
/// The bytes of a row beside its line: hash, sum, and what SQLite needs.
const OVERHEAD: u64 = 64;

/// The rows that are asked for; what is `None` is not asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The kind of record.
    pub noun: Option<String>,
    /// The record, see [`AuditRow::concerns`].
    pub object: Option<String>,
    /// The actor, see [`AuditRow::is_by`].
    pub actor: Option<String>,
    /// The project of the records.
    pub project: Option<ProjectId>,
    /// What was done.
    pub action: Option<String>,
    /// Only rows at this instant or later.
    pub from: Option<Millis>,
    /// Only rows before this instant.
    pub until: Option<Millis>,
}

impl Filter {
    fn finds(&self, row: &AuditRow) -> bool {
        fn is(wanted: Option<&String>, found: &str) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        is(self.noun.as_ref(), &row.noun)
            && is(self.action.as_ref(), &row.action)
            && self.project.is_none_or(|project| row.project == Some(project))
            && self.until.is_none_or(|until| row.at < until)
            && self.object.as_ref().is_none_or(|object| row.concerns(object))
            && self.actor.as_ref().is_none_or(|actor| row.is_by(actor))
    }
}

/// Adds a row to the end of the chain. Its number is made of the log index of its entry. After a
/// restore, where the log begins anew, it is the next one until the index has caught up.
pub fn insert(tx: &mut Tx<'_>, index: u64, mut row: AuditRow) -> rusqlite::Result<()> {
    let last = tx.audit_end()?;
    row.id = (index << 8).max(last.id + 1);
    let line = row.line();
    let chain = link(&last.chain, &line);
    let total = last.total + line.len() as u64 + OVERHEAD;
    tx.prepare_cached(
        "INSERT INTO audit (id, at, actor_kind, actor_id, actor_name, address, node, action, noun,
             object, project, account, detail, chain, total)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        row.id as i64,
        row.at,
        row.actor.kind,
        row.actor.id,
        row.actor.name,
        row.address,
        row.node as i64,
        row.action,
        row.noun,
        row.object,
        row.project.map(|project| project as i64),
        row.account as i64,
        row.detail,
        chain,
        total as i64,
    ])?;
    tx.set_audit_end(AuditPlace { id: row.id, chain, total });
    Ok(())
}

/// Drops the oldest rows, at most `limit`: those before an instant, and those beyond so many bytes.
/// Notes the hash of the last one, so that what is left is still a chain. Returns their number.
pub fn drop_old(
    tx: &mut Tx<'_>,
    before: Millis,
    most_bytes: u64,
    limit: u32,
) -> rusqlite::Result<u32> {
    let end = tx.audit_end()?;
    let mut base = AuditPlace::base(tx)?;
    let mut dropped = 0;
    {
        let mut select =
            tx.prepare_cached("SELECT id, at, chain, total FROM audit ORDER BY id LIMIT ?1")?;
        let mut rows = select.query([limit])?;
        while let Some(row) = rows.next()? {
            let is_old = row.get::<_, Millis>(1)? < before;
            if !is_old && end.total - base.total <= most_bytes {
                break;
            }
            base = AuditPlace { id: id_at(row, 0)?, chain: row.get(2)?, total: id_at(row, 3)? };
            dropped += 1;
        }
    }
    if dropped > 0 {
        tx.prepare_cached("DELETE FROM audit WHERE id <= ?1")?.execute([base.id as i64])?;
        base.set_base(tx)?;
    }
    Ok(dropped)
}

/// Says whether [`drop_old`] would drop a row.
pub fn has_old(conn: &Connection, before: Millis, most_bytes: u64) -> rusqlite::Result<bool> {
    let oldest: Option<Millis> = conn
        .prepare_cached("SELECT at FROM audit ORDER BY id LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(oldest) = oldest else { return Ok(false) };
    Ok(oldest < before || bytes(conn)? > most_bytes)
}

/// About how many bytes the rows take.
pub fn bytes(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(AuditPlace::last(conn)?.total.saturating_sub(AuditPlace::base(conn)?.total))
}

/// The place behind the last row.
pub fn last(conn: &Connection) -> rusqlite::Result<AuditPlace> {
    AuditPlace::last(conn)
}

/// The place from which an export goes on behind a row; `None` where the hash of that row is not
/// known any more, or where there never was one of that number. Without a number it is the place
/// before the oldest row.
pub fn place(conn: &Connection, after: Option<u64>) -> rusqlite::Result<Option<AuditPlace>> {
    let base = AuditPlace::base(conn)?;
    let Some(after) = after.filter(|id| *id != base.id) else { return Ok(Some(base)) };
    conn.prepare_cached("SELECT id, chain, total FROM audit WHERE id = ?1")?
        .query_row([clamped(after)], |row| {
            Ok(AuditPlace { id: id_at(row, 0)?, chain: row.get(1)?, total: id_at(row, 2)? })
        })
        .optional()
}

/// The rows behind a row up to another one, oldest first, at most `limit`, each with its hash.
/// `None` where rows behind the first one were dropped meanwhile: the chain is broken there.
pub fn behind(
    conn: &Connection,
    (after, last): (u64, u64),
    limit: u32,
) -> rusqlite::Result<Option<Vec<(AuditRow, ChainHash)>>> {
    if AuditPlace::base(conn)?.id > after {
        return Ok(None);
    }
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM audit WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3"
    ))?
    .query_map(params![clamped(after), clamped(last), limit], read)?
    .collect::<rusqlite::Result<_>>()
    .map(Some)
}

/// Rows that match, newest first: at most `limit` of them, and at most `scanned` are looked at. The
/// walk goes on below the id that it ends with.
pub fn walk(
    conn: &Connection,
    filter: &Filter,
    below: Option<u64>,
    (limit, scanned): (usize, usize),
) -> rusqlite::Result<Walked<AuditRow>> {
    let mut found = Vec::new();
    let mut select = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
    ))?;
    // One more tells whether there is more.
    let looked = scanned.saturating_add(1) as i64;
    let mut rows = select.query(params![below.map_or(i64::MAX, clamped), looked])?;
    let (mut seen, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        if found.len() == limit || seen == scanned {
            return Ok(Walked { found, on: last });
        }
        let at: Millis = row.get(1)?;
        // Stamps do not fall, so all others are older.
        if filter.from.is_some_and(|from| at < from) {
            break;
        }
        let (row, _) = read(row)?;
        (seen, last) = (seen + 1, Some(row.id));
        if filter.finds(&row) {
            found.push(row);
        }
    }
    Ok(Walked { found, on: None })
}

fn read(row: &Row<'_>) -> rusqlite::Result<(AuditRow, ChainHash)> {
    let text = |column| row.get::<_, String>(column);
    let actor = AuditActor { kind: text(2)?.into(), id: row.get(3)?, name: row.get(4)? };
    let one = AuditRow {
        id: id_at(row, 0)?,
        at: row.get(1)?,
        actor,
        address: row.get(5)?,
        node: id_at(row, 6)?,
        action: text(7)?.into(),
        noun: text(8)?.into(),
        object: row.get(9)?,
        project: row.get::<_, Option<i64>>(10)?.map(|project| project as u64),
        account: id_at(row, 11)?,
        detail: row.get(12)?,
    };
    Ok((one, row.get(13)?))
}
