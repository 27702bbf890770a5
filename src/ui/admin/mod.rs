//! The pages of who may and of what runs: keys, accounts, the audit, backups, one node, and the
//! stream of events.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod backups;
pub(crate) mod events;
mod key_terms;
pub(crate) mod keys;
pub(crate) mod node;
