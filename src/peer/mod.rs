//! What nodes say to each other: authenticated postcard messages over HTTP/1.1 on `RaftAddress`.
//!
//! `cluster` carries Raft over it; coordinator and worker add their own routes (`/peer/renew`, ...)
//! with [`Postcard`] and are reached by [`Peers::call`]. It knows who speaks and to whom, and never
//! what is said.
//!
//! ```text
//!  Peers::call --> POST path, postcard body, headers {token, cluster, node, instance} --> gate --> handler
//! ```

mod claims;
mod client;
mod error;
mod forwards;
mod gate;
mod postcard;
mod speakers;

pub use client::{Identity, Peers};
pub use error::Error;
pub use forwards::{Origin, Place};
pub use gate::{Bounds, Caller, Refusal, copied_folder, serve};
pub use postcard::Postcard;

/// The longest message body that is read, in bytes (snapshots are streamed and not bound by it).
pub const MAX_BODY: usize = 64 << 20;
/// So many bytes of message bodies are in memory at once; more wait for their turn.
const BODIES: usize = 256 << 20;
