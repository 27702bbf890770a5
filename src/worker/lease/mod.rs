//! May this node fire now? The node's half of the lease protocol.
//!
//! ```text
//!   leader <── renewal ── Renewer ──> LeaseGuard (one lock, shards as applied) ──> Holder (pure)
//!          ── answer ──>                  ▲
//!                                         └── engine and senders ask
//! ```
//!
//! The node makes a [`LeaseGuard`] and runs a [`Renewer`]. Placement of shards is the leader's.

mod guard;
mod holder;
mod renewal;

pub use guard::LeaseGuard;
pub use holder::{Answered, Holder, stated_watermarks};
pub use renewal::{LeaseState, Renewer};
