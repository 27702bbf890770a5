//! The work of a leader, for one term of leadership: it grants leases, places shards, collects
//! journals. It changes the replicated state through its proposals alone, and forgets everything
//! with its term.

pub mod collect;
mod housekeeping;
pub mod lead;
pub mod leases;
pub mod placement;
