//! What only a leader does, for one term of leadership: grant leases, place shards. It changes the
//! world through its proposals alone, and forgets everything with its term.

pub mod collect;
mod housekeeping;
pub mod lead;
pub mod leases;
pub mod placement;
