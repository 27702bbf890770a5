//! The bounds on what the requests of clients take of a node: reads at a time, bytes of bodies,
//! bytes of answers. Each is shared out, so that no client takes all of it.
//!
//! ```text
//!   reader      whose request this is
//!   permits     a fair queue before a fixed number of permits ─> read_queue, body_permits
//!   budget      bytes in memory, half of them for one client  ─> http::body, answers
//! ```

pub(crate) mod answers;
pub(crate) mod body_permits;
pub(crate) mod budget;
pub(crate) mod reader;
pub(crate) mod reads;
