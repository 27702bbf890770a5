//! The bounds on what the requests of clients take of a node's memory: large bodies at a time,
//! bytes of bodies, bytes of answers. Each is shared out, so that no client takes all of it. Reads
//! at a time are bounded in `app::reads`.
//!
//! ```text
//!   body_permits   large bodies at a time ─────────────────────────┐
//!   budget         bytes in memory, half of them for one client ─┬─┴─> bodies ─> http::body, ui
//!                                                                └───> answers
//! ```

pub(crate) mod answers;
pub(crate) mod bodies;
pub(crate) mod body_permits;
pub(crate) mod budget;
