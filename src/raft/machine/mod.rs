//! The state machine: it applies committed entries to the state, and builds and installs snapshots.
//!
//! ```text
//!   handle: apply(stream) --chunks--> thread: decode, transaction, commit --> watches: applied,
//!           install, build                                                    change feed
//! ```
//! A command that cannot be decoded and a store that fails are errors here: openraft stops, and the
//! node exits rather than diverge. A snapshot that lacks disk or descriptors is no error: the node
//! tries it again.

mod applied;
mod builder;
mod handle;
mod thread;
mod watches;

#[cfg(test)]
mod tests;

pub(super) use self::applied::AppliedState;
pub use self::applied::{Applied, covered_by};
pub use self::builder::Builder;
pub use self::handle::Machine;
pub use self::watches::{NodeRegistry, Watches};
