//! Accounts, and the times in which their executions are used up. Apply writes accounts through
//! [`Tx`], which keeps them in memory; api and worker read.

use rusqlite::{Connection, OptionalExtension, params};

pub use crate::store::cache::accounts::{all, get};

use crate::model::account::Account;
use crate::model::{AccountId, Millis};
use crate::store::db::Tx;
use crate::store::page::{self, Page};

/// The sort keys of accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Id; also the order of creation.
    #[default]
    Id,
    /// Name.
    Name,
}

/// The number of accounts.
pub fn count(conn: &Connection) -> rusqlite::Result<u64> {
    page::count(conn, "accounts")
}

/// Tells whether there is an account of that id.
pub fn exists(conn: &Connection, id: AccountId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM accounts WHERE id = ?1")?.exists([id as i64])
}

/// Reads the accounts of a page one by one, until `f` returns `false`.
pub fn each(
    conn: &Connection,
    page: &Page<Order>,
    f: impl FnMut(Account) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let column = match page.order_by {
        Order::Id => "id",
        Order::Name => "name",
    };
    page.each(conn, ("accounts", column), get, f)
}

/// The instant from which, and the one up to which nothing of an account fires, if it is so at an
/// instant or will be.
pub fn quota_pause(
    conn: &Connection,
    account: AccountId,
    at: Millis,
) -> rusqlite::Result<Option<(Millis, Millis)>> {
    conn.prepare_cached(
        "SELECT pause_from, until FROM quota_pauses WHERE account = ?1 AND until > ?2
         ORDER BY seq LIMIT 1",
    )?
    .query_row(params![account as i64, at], |row| Ok((row.get(0)?, row.get(1)?)))
    .optional()
}

/// Lets nothing of an account fire that is due after an instant, up to and including another one.
pub fn add_quota_pause(
    tx: &Tx<'_>,
    account: AccountId,
    (from, until): (Millis, Millis),
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO quota_pauses (account, seq, pause_from, until)
         VALUES (?1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM quota_pauses WHERE account = ?1),
             ?2, ?3)",
    )?
    .execute(params![account as i64, from, until])?;
    Ok(())
}

/// Ends the pauses of an account that reach beyond an instant at that instant.
pub fn cut_quota_pauses(tx: &Tx<'_>, account: AccountId, at: Millis) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM quota_pauses WHERE account = ?1 AND pause_from >= ?2")?
        .execute(params![account as i64, at])?;
    tx.prepare_cached("UPDATE quota_pauses SET until = ?2 WHERE account = ?1 AND until > ?2")?
        .execute(params![account as i64, at])?;
    Ok(())
}

/// Removes all pauses of an account.
pub fn drop_quota_pauses_of(tx: &Tx<'_>, account: AccountId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM quota_pauses WHERE account = ?1")?.execute([account as i64])?;
    Ok(())
}
