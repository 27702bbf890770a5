//! The leader's side of the leases. `lead` drives a [`Grantor`] for each term of leadership. The
//! grantor asks `succession` which process of a node may be served, and `placement` what should
//! move.
//!
//! ```text
//!   renewals --> grantor --> answers: grant or refusal, shards to release
//!   ticks    --> grantor --> moves to propose (one `Assign` at a time)
//! ```
//! The invariants have names, and DESIGN.md defines them.

mod grantor;
mod position;
mod succession;

pub use self::grantor::{Grantor, Settled};
pub use self::position::LeaderPosition;
