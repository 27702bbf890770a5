//! The accounts as a transaction sees them: features, limits, and how much each has. Almost every
//! command of a client asks for an account, or counts for it. `db::tx` owns the cache; readers take
//! [`all`] and [`get`] from the file.
//!
//! Executions are collected here while an entry is applied, by project. The rules take them at the
//! end of the entry, so that a record costs one addition.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::account::{Account, Held, Limits, MonthlyUse};
use crate::model::feature::Features;
use crate::model::{AccountId, ProjectId};
use crate::store::row::{from_json, id_at, to_json};

const COLUMNS: &str = "id, name, features, limits, projects, jobs, executors, credentials, month, \
                       used, granted, created, modified, created_by, modified_by, version";

/// The cached accounts, by id; read when first asked for.
#[derive(Default)]
pub(in crate::store) struct Accounts {
    all: Option<BTreeMap<AccountId, Cached>>,
    /// The executions of the entry that is being applied.
    executed: Vec<(ProjectId, u64)>,
}

struct Cached {
    account: Account,
    /// It differs from the file.
    dirty: bool,
}

impl Accounts {
    fn loaded(&mut self, conn: &Connection) -> rusqlite::Result<&mut BTreeMap<AccountId, Cached>> {
        if self.all.is_none() {
            let cached = |account: Account| (account.id, Cached { account, dirty: false });
            self.all = Some(all(conn)?.into_iter().map(cached).collect());
        }
        // Filled two lines above.
        Ok(self.all.as_mut().expect("the accounts were just loaded"))
    }

    /// An account by its id.
    pub(in crate::store) fn get(
        &mut self,
        conn: &Connection,
        id: AccountId,
    ) -> rusqlite::Result<Option<&Account>> {
        Ok(self.loaded(conn)?.get(&id).map(|cached| &cached.account))
    }

    /// The id of the account with a name.
    pub(in crate::store) fn named(
        &mut self,
        conn: &Connection,
        name: &str,
    ) -> rusqlite::Result<Option<AccountId>> {
        let all = self.loaded(conn)?;
        let found = all.values().find(|cached| cached.account.name == name);
        Ok(found.map(|cached| cached.account.id))
    }

    /// Lets `change` work on an account and returns what it says; `None` without such an account.
    pub(in crate::store) fn change<T>(
        &mut self,
        conn: &Connection,
        id: AccountId,
        change: impl FnOnce(&mut Account) -> T,
    ) -> rusqlite::Result<Option<T>> {
        let Some(cached) = self.loaded(conn)?.get_mut(&id) else { return Ok(None) };
        cached.dirty = true;
        Ok(Some(change(&mut cached.account)))
    }

    /// Adds an account.
    pub(in crate::store) fn add(
        &mut self,
        conn: &Connection,
        account: Account,
    ) -> rusqlite::Result<()> {
        self.loaded(conn)?.insert(account.id, Cached { account, dirty: true });
        Ok(())
    }

    /// Removes an account.
    pub(in crate::store) fn remove(
        &mut self,
        conn: &Connection,
        id: AccountId,
    ) -> rusqlite::Result<()> {
        self.loaded(conn)?.remove(&id);
        conn.prepare_cached("DELETE FROM accounts WHERE id = ?1")?.execute([id as i64])?;
        Ok(())
    }

    /// Writes those that changed.
    pub(in crate::store) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let all = self.all.iter_mut().flatten().map(|(_, cached)| cached);
        for cached in all.filter(|cached| cached.dirty) {
            write(conn, &cached.account)?;
            cached.dirty = false;
        }
        Ok(())
    }

    /// Notes executions of a project.
    pub(in crate::store) fn count_executed(&mut self, project: ProjectId, count: u64) {
        match self.executed.last_mut() {
            Some((last, sum)) if *last == project => *sum += count,
            _ => self.executed.push((project, count)),
        }
    }

    /// Takes the executions that were noted, in the order in which they came.
    pub(in crate::store) fn take_executed(&mut self) -> Vec<(ProjectId, u64)> {
        std::mem::take(&mut self.executed)
    }
}

fn write(conn: &Connection, account: &Account) -> rusqlite::Result<()> {
    let Account { held, monthly, .. } = account;
    let limits = (account.limits != Limits::default()).then(|| to_json(&account.limits));
    conn.prepare_cached(&format!(
        "INSERT INTO accounts ({COLUMNS})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (id) DO UPDATE SET name = ?2, features = ?3, limits = ?4, projects = ?5,
             jobs = ?6, executors = ?7, credentials = ?8, month = ?9, used = ?10, granted = ?11,
             modified = ?13, modified_by = ?15, version = ?16"
    ))?
    .execute(params![
        account.id as i64,
        account.name,
        account.features.bits(),
        limits.transpose()?,
        held.projects as i64,
        held.jobs as i64,
        held.executors as i64,
        held.credentials as i64,
        monthly.month,
        monthly.used as i64,
        monthly.granted as i64,
        account.created,
        account.modified,
        account.created_by,
        account.modified_by,
        account.version as i64,
    ])?;
    Ok(())
}

/// All accounts, by number.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<Account>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM accounts ORDER BY id"))?
        .query_map([], read)?
        .collect()
}

/// An account by its number.
pub fn get(conn: &Connection, id: AccountId) -> rusqlite::Result<Option<Account>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM accounts WHERE id = ?1"))?
        .query_row([id as i64], read)
        .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Account> {
    let limits: Option<String> = row.get(3)?;
    let limits = limits.map_or(Ok(Limits::default()), |text| from_json(&text, 3))?;
    Ok(Account {
        id: id_at(row, 0)?,
        name: row.get(1)?,
        features: Features::from_bits(row.get(2)?),
        limits,
        held: Held {
            projects: id_at(row, 4)?,
            jobs: id_at(row, 5)?,
            executors: id_at(row, 6)?,
            credentials: id_at(row, 7)?,
        },
        monthly: MonthlyUse { month: row.get(8)?, used: id_at(row, 9)?, granted: id_at(row, 10)? },
        created: row.get(11)?,
        modified: row.get(12)?,
        created_by: row.get(13)?,
        modified_by: row.get(14)?,
        version: id_at(row, 15)?,
    })
}
