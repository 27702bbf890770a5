//! Credentials: API keys, and the verifiers that secrets are checked against. Apply writes; `auth`
//! and the api read. A secret itself is never stored.

use std::collections::HashMap;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::credential::{Credential, KeyUse, LastUse, OldSecret};
use crate::model::key_terms::KeyTerms;
use crate::model::reach::Reach;
use crate::model::{AccountId, Millis};
use crate::store::db::Tx;
use crate::store::page::Page;
use crate::store::row::id_at;

const COLUMNS: &str = "id, api_key, verifier, archived, created, modified, created_by, archived_by,
    parent, terms, old_verifier, old_until, used, used_from, account";

/// The ids of a credential (?1) and of all below it: made with its key, or with keys that were.
const WITHIN: &str = "WITH RECURSIVE within (id) AS (
    SELECT ?1 UNION SELECT c.id FROM credentials c JOIN within w ON c.parent = w.id)";

/// The sort keys of credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Id.
    #[default]
    Id,
    /// The instant of its creation.
    Created,
    /// The instant of the last change.
    Modified,
    /// Archived or not.
    Archived,
}

/// A credential by its id.
pub fn get(conn: &Connection, id: u64) -> rusqlite::Result<Option<Credential>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM credentials WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

/// The reach of a key by the id of its credential; `None` where there is no such credential.
pub fn reach(conn: &Connection, id: u64) -> rusqlite::Result<Option<Reach>> {
    conn.prepare_cached("SELECT account, terms FROM credentials WHERE id = ?1")?
        .query_row([id as i64], |row| {
            let terms = terms_at(row, 1)?;
            Ok(Reach::of_projects(id_at(row, 0)?, terms.projects.as_deref()))
        })
        .optional()
}

/// The account of a credential.
pub fn account(conn: &Connection, id: u64) -> rusqlite::Result<Option<AccountId>> {
    conn.prepare_cached("SELECT account FROM credentials WHERE id = ?1")?
        .query_row([id as i64], |row| id_at(row, 0))
        .optional()
}

/// A credential by its public key, archived or not.
pub fn by_key(conn: &Connection, api_key: &str) -> rusqlite::Result<Option<Credential>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM credentials WHERE api_key = ?1"))?
        .query_row([api_key], read)
        .optional()
}

/// The number of credentials, and those of a page. With `client`, only that credential and those
/// below it.
pub fn list(
    conn: &Connection,
    page: &Page<Order>,
    client: Option<u64>,
) -> rusqlite::Result<(u64, Vec<Credential>)> {
    // Without a client the parameter is null and all credentials match.
    let client = client.map(|id| id as i64);
    let among = if client.is_some() { "id IN within" } else { "?1 IS NULL" };
    let with = if client.is_some() { WITHIN } else { "" };
    let total = conn
        .prepare_cached(&format!("{with} SELECT COUNT(*) FROM credentials WHERE {among}"))?
        .query_row([client], |row| id_at(row, 0))?;
    let column = match page.order_by {
        Order::Id => "id",
        Order::Created => "created",
        Order::Modified => "modified",
        Order::Archived => "archived",
    };
    let rows = conn
        .prepare(&format!(
            "{with} SELECT {COLUMNS} FROM credentials WHERE {among} {}",
            page.clause(column)
        ))?
        .query_map([client], read)?
        .collect::<rusqlite::Result<_>>()?;
    Ok((total, rows))
}

/// Adds a credential under an id.
pub fn insert(tx: &Tx<'_>, id: u64, credential: &Credential) -> rusqlite::Result<()> {
    tx.forget_key_names();
    tx.prepare_cached(
        "INSERT INTO credentials (id, api_key, verifier, archived, created, modified, created_by,
             archived_by, parent, terms, account)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        id as i64,
        credential.api_key,
        credential.verifier,
        credential.archived,
        credential.created,
        credential.modified,
        credential.created_by,
        credential.archived_by,
        credential.parent.map(|id| id as i64),
        terms_text(&credential.terms)?,
        credential.account as i64,
    ])?;
    Ok(())
}

/// Replaces the terms of a credential; `false` when there is none.
pub fn set_terms(tx: &Tx<'_>, id: u64, terms: &KeyTerms, stamp: Millis) -> rusqlite::Result<bool> {
    tx.forget_key_names();
    let changed = tx
        .prepare_cached("UPDATE credentials SET terms = ?2, modified = ?3 WHERE id = ?1")?
        .execute(params![id as i64, terms_text(terms)?, stamp])?;
    Ok(changed > 0)
}

/// Gives a credential another secret, by its verifier, beside the one before; `false` when there is
/// none.
pub fn set_secret(
    tx: &Tx<'_>,
    id: u64,
    verifier: &[u8],
    old: &OldSecret,
    stamp: Millis,
) -> rusqlite::Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE credentials SET verifier = ?2, old_verifier = ?3, old_until = ?4,
                 modified = ?5
             WHERE id = ?1",
        )?
        .execute(params![id as i64, verifier, old.verifier, old.until, stamp])?;
    Ok(changed > 0)
}

/// Notes the use of a key in an hour, unless that hour or a later one is known. `false` where
/// nothing was noted.
pub fn touch(tx: &Tx<'_>, used: &KeyUse) -> rusqlite::Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE credentials SET used = ?2, used_from = ?3
             WHERE id = ?1 AND (used IS NULL OR used < ?2)",
        )?
        .execute(params![used.id as i64, used.hour, used.from.map(|from| from.to_string())])?;
    Ok(changed > 0)
}

/// Archives a credential, or takes it back into use; `false` when there is none.
pub fn set_archived(
    tx: &Tx<'_>,
    id: u64,
    archived: bool,
    by: Option<&str>,
    stamp: Millis,
) -> rusqlite::Result<bool> {
    let changed = tx
        .prepare_cached(
            "UPDATE credentials SET archived = ?2, archived_by = ?3, modified = ?4 WHERE id = ?1",
        )?
        .execute(params![id as i64, archived, by, stamp])?;
    Ok(changed > 0)
}

/// Tells whether a credential is the client's own or below it.
pub fn is_within(conn: &Connection, client: u64, id: u64) -> rusqlite::Result<bool> {
    conn.prepare_cached(&format!("{WITHIN} SELECT EXISTS (SELECT 1 FROM within WHERE id = ?2)"))?
        .query_row([client as i64, id as i64], |row| row.get(0))
}

/// Archives all credentials below one; those that are archived already stay as they are.
pub fn archive_below(
    tx: &Tx<'_>,
    id: u64,
    by: Option<&str>,
    stamp: Millis,
) -> rusqlite::Result<()> {
    tx.prepare_cached(&format!(
        "{WITHIN} UPDATE credentials SET archived = 1, archived_by = ?2, modified = ?3
         WHERE archived = 0 AND id != ?1 AND id IN within"
    ))?
    .execute(params![id as i64, by, stamp])?;
    Ok(())
}

/// Gives the credentials directly below one another parent.
pub fn set_parent_of_children(tx: &Tx<'_>, id: u64, to: Option<u64>) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE credentials SET parent = ?2 WHERE parent = ?1")?
        .execute(params![id as i64, to.map(|id| id as i64)])?;
    Ok(())
}

/// Ends the sessions of a credential that were begun up to an instant; `false` when there is none.
pub fn end_sessions(tx: &Tx<'_>, id: u64, until: Millis) -> rusqlite::Result<bool> {
    let changed = tx
        .prepare_cached("UPDATE credentials SET sessions_from = ?2 WHERE id = ?1")?
        .execute(params![id as i64, until])?;
    Ok(changed > 0)
}

/// The instant up to which begun sessions of a credential are over; `None` while none was ended.
pub fn sessions_end(conn: &Connection, id: u64) -> rusqlite::Result<Option<Millis>> {
    let ended = conn
        .prepare_cached("SELECT sessions_from FROM credentials WHERE id = ?1")?
        .query_row([id as i64], |row| row.get::<_, Option<Millis>>(0))
        .optional()?;
    Ok(ended.flatten())
}

/// The credentials whose sessions were ended, each with the instant up to which begun ones are
/// over.
pub fn ended_sessions(conn: &Connection) -> rusqlite::Result<HashMap<u64, Millis>> {
    conn.prepare_cached(
        "SELECT id, sessions_from FROM credentials WHERE sessions_from IS NOT NULL",
    )?
    .query_map([], |row| Ok((id_at(row, 0)?, row.get(1)?)))?
    .collect()
}

/// Removes a credential; `false` when there is none.
pub fn delete(tx: &Tx<'_>, id: u64) -> rusqlite::Result<bool> {
    tx.forget_key_names();
    let changed =
        tx.prepare_cached("DELETE FROM credentials WHERE id = ?1")?.execute([id as i64])?;
    Ok(changed > 0)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Credential> {
    Ok(Credential {
        id: id_at(row, 0)?,
        api_key: row.get(1)?,
        verifier: row.get(2)?,
        archived: row.get(3)?,
        created: row.get(4)?,
        modified: row.get(5)?,
        created_by: row.get(6)?,
        archived_by: row.get(7)?,
        parent: row.get::<_, Option<i64>>(8)?.map(|id| id as u64),
        terms: terms_at(row, 9)?,
        old_secret: match (row.get(10)?, row.get(11)?) {
            (Some(verifier), Some(until)) => Some(OldSecret { verifier, until }),
            _ => None,
        },
        last_use: last_use_at(row, (12, 13))?,
        account: id_at(row, 14)?,
    })
}

/// The terms as they are stored: null where they say nothing.
fn terms_text(terms: &KeyTerms) -> rusqlite::Result<Option<String>> {
    if terms.are_default() {
        return Ok(None);
    }
    let text = serde_json::to_string(terms);
    text.map(Some).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

fn terms_at(row: &Row<'_>, column: usize) -> rusqlite::Result<KeyTerms> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(KeyTerms::default()) };
    serde_json::from_str(&text).map_err(|e| unreadable(column, e))
}

fn last_use_at(row: &Row<'_>, (hour, from): (usize, usize)) -> rusqlite::Result<Option<LastUse>> {
    let Some(hour) = row.get(hour)? else { return Ok(None) };
    let text: Option<String> = row.get(from)?;
    let from = text.map(|text| text.parse().map_err(|e| unreadable(from, e))).transpose()?;
    Ok(Some(LastUse { hour, from }))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
