//! The checker of linearizability. Clients note each call with the instants of its invocation and
//! of its answer; [`check`] then looks for one order of the calls that explains every answer. In it
//! no call that ended before another began comes after that one.
//!
//! ```text
//!   clients --Op--> history --by key--> search: calls that may come next, state after them
//!                                         a state that was seen before with the same calls behind
//!                                         it is not searched again (Wing and Gong, Lowe)
//! ```
//!
//! A key is one object: a job or a project. Its state is absent, or a version and data, and beside
//! it the idempotency keys that were used. Objects do not depend on each other, so each is checked
//! alone. A call without an answer stays open for ever: it may have taken effect at any instant
//! after its invocation, or never.
//!
//! The checker knows nothing of processes, HTTP or files.

mod check;
mod history;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use check::check;
pub(crate) use history::{Answer, Call, Op};
