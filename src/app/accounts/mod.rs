//! Accounts: tenants of the cluster, with their features, their limits and what they have.
//! `command::apply` counts and refuses; the use cases here show and change.
//!
//! Operators and the keys of account 1 administer all accounts, as far as their scopes go. A key of
//! another account sees its own account and may rename it: nobody gives itself more.

mod create;
mod executions;
mod input;
mod read;
mod rights;
mod update;

pub use executions::ExecutionCount;
pub use input::{AccountInput, LONGEST_BY, LimitsPatch};
pub use read::AccountRecord;

pub use crate::store::accounts::Order;
