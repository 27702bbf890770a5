//! The values that the writer keeps in memory, because almost every command changes, or asks for.
//!
//! Each file is a plain struct over a `&Connection`. `db::tx` owns one of each, hands it the
//! connection, and writes the changes of a transaction once, at its end. A cache repeats what the
//! file says and adds nothing to it (*cache transparency*, see `DESIGN.md`): after a rollback or a
//! snapshot install it is dropped and read again, and no result depends on where a transaction
//! ends.
//!
//! | file | holds | written |
//! |---|---|---|
//! | `numbers` | log time, sequences, bytes of the history | those that changed |
//! | `definitions` | reference counts by digest and by id | those that changed |
//! | `shards` | owner, epoch and watermark of each shard | those that changed |
//! | `accounts` | accounts, with what each has | those that changed |
//! | `counters` | differences of the hourly counters | all, then forgotten |
//! | `job_counts` | differences of the numbers of jobs by status | all, then forgotten |
//! | `empty_tables` | which shards have no row in a table | never: it is only a hint |
//! | `audit_head` | the last row of the audit | never: the row is written at once |
//! | `key_names` | names of API keys | never |

pub(in crate::store) mod accounts;
pub(in crate::store) mod audit_head;
pub(in crate::store) mod counters;
pub(in crate::store) mod definitions;
pub mod empty_tables;
pub(in crate::store) mod job_counts;
pub(in crate::store) mod key_names;
pub(in crate::store) mod meta;
pub(in crate::store) mod numbers;
pub(in crate::store) mod shards;
