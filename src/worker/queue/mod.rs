//! The due queue, and the plans by which jobs are due.
//!
//! ```text
//!   DueQueue ── one ShardQueue for each ownership range
//!                  └── ScheduleGroup: jobs that share a plan and their next instant
//!                         ├── Plan, Member: schedule, bounds, jitter
//!                         └── IdSet: ids of the members
//!               misfire, CatchUpQueue: what is too late; Pauses: what is passed over
//! ```
//!
//! The engine fills the queue and takes out what is due. All of it is pure but `Plans`, which
//! reads definitions from the store.

mod catch_up;
mod due_queue;
mod group;
mod id_set;
mod instants;
mod misfire;
mod pauses;
mod plan;
mod plans;
mod popped;
mod shard_queue;

pub use due_queue::DueQueue;
pub use instants::Instants;
pub use pauses::Pauses;
pub use plan::{Member, Plan};
pub(super) use plans::Plans;
pub use popped::{Fire, Moment, Popped, Skip, Ticket};
pub use shard_queue::ShardQueue;
