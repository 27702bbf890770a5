//! The messages between nodes: authenticated postcard bodies over HTTP/1.1 on `RaftAddress`.
//!
//! `cluster` carries Raft over it; coordinator and worker add their own [`routes`] with
//! [`Postcard`] and are reached by [`Peers::call`]. It knows sender and receiver, and never what is
//! said.
//!
//! ```text
//!  Peers::call --> POST path, postcard body, headers --> auth --> handler
//! ```

mod auth;
mod claims;
mod client;
mod error;
mod forwards;
mod headers;
mod identity;
mod peers;
mod postcard;
mod refusal;
pub mod routes;
mod server;
mod speakers;

pub use auth::{Caller, copied_folder};
pub use error::Error;
pub use forwards::{Origin, Place};
pub use identity::Identity;
pub use peers::Peers;
pub use postcard::Postcard;
pub use refusal::Refusal;
pub use server::{Bounds, MAX_BODY, serve};
