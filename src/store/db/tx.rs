//! A transaction of the writer: SQL, and the caches that go with it. `command::apply` is the only
//! one that writes through it.
//!
//! Values that change with almost every command (log time, sequences, reference counts, shards,
//! hourly counters, numbers of jobs, accounts) are kept in memory and written once, at the end of
//! the transaction. `cache` says what holds for them.

use std::ops::Deref;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::model::account::Account;
use crate::model::attempt::Verdict;
use crate::model::job::{JobDefinition, JobStatus};
use crate::model::shard::{Shard, ShardId};
use crate::model::{AccountId, Millis, ProjectId};
use crate::store::cache::accounts::Accounts;
use crate::store::cache::audit_head::AuditPlace;
use crate::store::cache::counters::OutcomeCounters;
use crate::store::cache::definitions::Definitions;
use crate::store::cache::empty_tables::{EmptyTables, Table};
use crate::store::cache::job_counts::JobCounts;
use crate::store::cache::key_names::KeyNames;
use crate::store::cache::numbers::{Numbers, Sequence};
use crate::store::cache::shards::Shards;

/// The caches of the writer. `numbers`, `shards` and `accounts` are read when first asked for.
#[derive(Default)]
pub(super) struct Caches {
    empty_tables: EmptyTables,
    numbers: Option<Numbers>,
    definitions: Definitions,
    shards: Option<Shards>,
    counters: OutcomeCounters,
    job_counts: JobCounts,
    accounts: Accounts,
    audit_end: Option<AuditPlace>,
    key_names: KeyNames,
}

/// A transaction under way. SQL sees what the transaction wrote, except for what is cached: that
/// has functions of its own here.
pub struct Tx<'a> {
    sql: Transaction<'a>,
    caches: &'a mut Caches,
}

impl<'a> Deref for Tx<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Transaction<'a> {
        &self.sql
    }
}

/// Runs `f` in one transaction and commits what it did. After an error nothing is committed, and
/// the caller has to drop the caches.
pub(super) fn run<T, E: From<rusqlite::Error>>(
    conn: &mut Connection,
    caches: &mut Caches,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let sql = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    caches.empty_tables.forget();
    let mut tx = Tx { sql, caches };
    let value = f(&mut tx)?;
    tx.flush()?;
    tx.sql.commit()?;
    Ok(value)
}

/// The value of a cache that is read when first asked for.
fn loaded<'c, T>(
    cache: &'c mut Option<T>,
    conn: &Connection,
    load: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<&'c mut T> {
    if cache.is_none() {
        *cache = Some(load(conn)?);
    }
    // Filled two lines above.
    Ok(cache.as_mut().expect("the cache was just loaded"))
}

impl Tx<'_> {
    /// Writes what the caches hold and the file does not.
    fn flush(&mut self) -> rusqlite::Result<()> {
        if let Some(numbers) = self.caches.numbers.as_mut() {
            numbers.flush(&self.sql)?;
        }
        self.caches.definitions.flush(&self.sql)?;
        if let Some(shards) = self.caches.shards.as_mut() {
            shards.flush(&self.sql)?;
        }
        self.caches.job_counts.flush(&self.sql)?;
        self.caches.accounts.flush(&self.sql)?;
        self.caches.counters.flush(&self.sql)
    }

    fn numbers(&mut self) -> rusqlite::Result<&mut Numbers> {
        loaded(&mut self.caches.numbers, &self.sql, Numbers::load)
    }

    /// Moves log time on to `stamp`, never back; the effective stamp of an entry.
    pub fn advance_log_time(&mut self, stamp: Millis) -> rusqlite::Result<Millis> {
        Ok(self.numbers()?.advance_log_time(stamp))
    }

    /// Takes `n` consecutive numbers of a sequence; the first of them.
    pub fn take(&mut self, sequence: Sequence, n: u64) -> rusqlite::Result<u64> {
        Ok(self.numbers()?.take(sequence, n))
    }

    /// Moves every sequence on to where no number can have been given since a backup was taken: by
    /// `meta::STEP` or more.
    pub fn raise_sequences(&mut self) -> rusqlite::Result<()> {
        self.numbers()?.raise_sequences();
        Ok(())
    }

    /// Adds bytes to the size of the history, or takes them away when `by` is negative.
    pub(in crate::store) fn add_history_bytes(&mut self, by: i64) -> rusqlite::Result<()> {
        self.numbers()?.add_history_bytes(by);
        Ok(())
    }

    /// Notes the log index of an entry that changed ownership.
    pub fn set_assign_index(&mut self, index: u64) -> rusqlite::Result<()> {
        self.numbers()?.set_assign_index(index);
        Ok(())
    }
}

/// Definitions and their reference counts.
impl Tx<'_> {
    /// The id of a definition, made if it is new, with `uses` (1 or more) references added to it.
    pub fn acquire_definition(
        &mut self,
        definition: &JobDefinition,
        uses: u64,
    ) -> rusqlite::Result<u64> {
        let Caches { definitions, numbers, .. } = &mut *self.caches;
        let sql = &self.sql;
        definitions.acquire(sql, definition, uses, || {
            Ok(loaded(numbers, sql, Numbers::load)?.take(Sequence::Definition, 1))
        })
    }

    /// Adds references to a definition that is known to exist.
    pub fn add_definition_uses(&mut self, id: u64, uses: u64) -> rusqlite::Result<()> {
        self.caches.definitions.add_uses(&self.sql, id, uses)
    }

    /// Gives references back. The last one removes the definition at once.
    pub fn release_definition(&mut self, id: u64, uses: u64) -> rusqlite::Result<()> {
        self.caches.definitions.release(&self.sql, id, uses)
    }

    /// A definition by its id, whether or not it has its row yet.
    pub fn definition(&mut self, id: u64) -> rusqlite::Result<JobDefinition> {
        self.caches.definitions.read(&self.sql, id)
    }

    /// Tells whether a job, or a staged job, goes to a named executor by a definition that `such`
    /// picks. Closed plans do not count: what is left of them goes where the job goes now.
    pub fn executor_in_use(
        &self,
        executor: u64,
        such: impl Fn(&JobDefinition) -> bool,
    ) -> rusqlite::Result<bool> {
        self.caches.definitions.executor_in_use(&self.sql, executor, such)
    }
}

/// Shards.
impl Tx<'_> {
    fn loaded_shards(&mut self) -> rusqlite::Result<&mut Shards> {
        loaded(&mut self.caches.shards, &self.sql, Shards::load)
    }

    /// Creates the cluster's shards.
    pub fn create_shards(&mut self, shards: Vec<Shard>) {
        self.caches.shards = Some(Shards::create(shards));
    }

    /// All shards, in order.
    pub fn shards(&mut self) -> rusqlite::Result<&[Shard]> {
        Ok(self.loaded_shards()?.all())
    }

    /// One shard, if there is one of that number.
    pub fn shard(&mut self, id: ShardId) -> rusqlite::Result<Option<&Shard>> {
        Ok(self.shards()?.get(usize::from(id)))
    }

    /// Lets `change` work on a shard and returns what it says: whether it changed anything. `false`
    /// also for a number that no shard has.
    pub fn change_shard(
        &mut self,
        id: ShardId,
        change: impl FnOnce(&mut Shard) -> bool,
    ) -> rusqlite::Result<bool> {
        Ok(self.loaded_shards()?.change(id, change))
    }

    /// The instant up to which every shard is accounted for; `None` before `Init`.
    pub fn lowest_settled(&mut self) -> rusqlite::Result<Option<Millis>> {
        Ok(self.shards()?.iter().map(Shard::settled).min())
    }
}

/// Accounts.
impl Tx<'_> {
    /// An account by its id.
    pub fn account(&mut self, id: AccountId) -> rusqlite::Result<Option<&Account>> {
        self.caches.accounts.get(&self.sql, id)
    }

    /// The id of the account with a name.
    pub fn account_named(&mut self, name: &str) -> rusqlite::Result<Option<AccountId>> {
        self.caches.accounts.named(&self.sql, name)
    }

    /// Lets `change` work on an account and returns what it says; `None` without such an account.
    pub fn change_account<T>(
        &mut self,
        id: AccountId,
        change: impl FnOnce(&mut Account) -> T,
    ) -> rusqlite::Result<Option<T>> {
        self.caches.accounts.change(&self.sql, id, change)
    }

    /// Adds an account under its id.
    pub fn add_account(&mut self, account: Account) -> rusqlite::Result<()> {
        self.caches.accounts.add(&self.sql, account)
    }

    /// Removes an account.
    pub fn remove_account(&mut self, id: AccountId) -> rusqlite::Result<()> {
        self.caches.accounts.remove(&self.sql, id)
    }

    /// Notes executions of a project, for [`Tx::take_executed`] at the end of the entry.
    pub fn count_executed(&mut self, project: ProjectId, count: u64) {
        self.caches.accounts.count_executed(project, count);
    }

    /// Takes the executions that the entry noted, in the order in which they came.
    pub fn take_executed(&mut self) -> Vec<(ProjectId, u64)> {
        self.caches.accounts.take_executed()
    }
}

/// Counters and hints.
impl Tx<'_> {
    /// Adds executions to an hourly counter, or takes them away when `by` is negative.
    pub fn count_outcome(&mut self, project: ProjectId, due: Millis, verdict: Verdict, by: i64) {
        self.caches.counters.add(project, due, verdict, by);
    }

    /// Adds jobs to the number of a project's jobs of a status, or takes them away when `by` is
    /// negative.
    pub(in crate::store) fn count_jobs(&self, project: ProjectId, status: JobStatus, by: i64) {
        self.caches.job_counts.add(project, status, by);
    }

    /// Tells whether a shard has no row in a table: then a search there finds nothing.
    pub fn is_empty(&self, table: Table, shard: ShardId) -> rusqlite::Result<bool> {
        self.caches.empty_tables.is_empty(&self.sql, table, shard)
    }

    /// The place behind the last row of the audit.
    pub(in crate::store) fn audit_end(&mut self) -> rusqlite::Result<AuditPlace> {
        Ok(*loaded(&mut self.caches.audit_end, &self.sql, AuditPlace::last)?)
    }

    /// Notes that the audit has another last row.
    pub(in crate::store) fn set_audit_end(&mut self, end: AuditPlace) {
        self.caches.audit_end = Some(end);
    }

    /// The name of an API key; `None` where it has none.
    pub fn key_name(&self, credential: u64) -> rusqlite::Result<Option<String>> {
        self.caches.key_names.get(&self.sql, credential)
    }

    /// Notes that credentials changed.
    pub(in crate::store) fn forget_key_names(&self) {
        self.caches.key_names.forget();
    }

    /// Notes that a shard has a row in a table from here on.
    pub(in crate::store) fn mark_occupied(&self, table: Table, shard: ShardId) {
        self.caches.empty_tables.mark_occupied(table, shard);
    }
}
