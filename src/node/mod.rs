//! The node: all parts of the process put together. It says which part is started when, on which
//! thread, and in which order they stop. `cli` starts one node a process; tests start several, with
//! clocks of their own.
//!
//! ```text
//!   core runtime (one thread)                      callbacks' runtime   the caller's runtime
//!     Raft, peers, leases, due queue, coordinator    senders, client      API
//!
//!   start: identity -> cluster -> journal -> lease -> worker -> coordinator -> peers -> API
//!   stop:  drain -> worker -> leadership -> journal collected -> API -> cluster
//! ```
//!
//! Firing must not wait behind somebody's bulk import, nor either of them behind receivers that
//! keep the client busy: each has threads of its own (`runtimes`). Nothing here knows what a part
//! does.

mod admin;
mod bind;
mod descriptors;
mod error;
mod identity;
mod journal_gc;
mod members;
mod other_owners;
mod pressure;
mod pulse;
mod report;
pub mod restore;
mod rpc;
mod runtimes;
mod start;
mod status;
mod stop;
mod view;
mod wiring;

pub use self::error::Error;
pub use self::identity::Identity;
pub use self::start::{Node, Options};
