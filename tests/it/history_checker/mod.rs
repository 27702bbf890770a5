//! Is a history linearizable? Whoever drives clients against nodes notes each call with the instants
//! of its invocation and its answer, and asks [`check`] whether one order of the calls explains every
//! answer: an order in which no call that ended before another began comes after it.
//!
//! ```text
//!   clients --Op--> history --by key--> search: calls that may come next, state after them --> order
//!                                                 a state seen before with the same calls behind it
//!                                                 is not looked at again (Wing and Gong, Lowe)
//! ```
//!
//! A key is one object: a job or a project. Its state is absent, or a version and data; beside it
//! the idempotency keys that were used. Keys do not touch each other, so each is judged alone. A call
//! without an answer stays open for ever: it may have taken effect at any instant after its
//! invocation, or never.
//!
//! Nothing here knows of processes, HTTP or files: the stories of `tests/it` and the fault injection
//! of `tests/chaos` both use it.

mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

/// What a client asked of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Make it, once for a token (an idempotency key).
    Create { data: String, token: Option<String> },
    /// Show it.
    Get,
    /// Give it other data; with a version, only if it still has that one.
    Update { data: String, expect: Option<u64> },
    /// Remove it; with a version, only if it still has that one.
    Delete { expect: Option<u64> },
}

/// What came back. Where a kind of object has no versions, those found are all 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A creation or an update took place (a creation maybe earlier, under the same token); the
    /// version that it made, if the answer tells.
    Done { version: Option<u64> },
    /// It exists.
    Found { version: u64, data: String },
    /// It does not exist; a deletion's answer too, when there is nothing to delete.
    Absent,
    /// It was removed.
    Deleted,
    /// It has another version than the one expected.
    Stale,
    /// There is one already.
    Taken,
}

/// A call of one client, with instants from a clock that all clients share (any unit).
#[derive(Clone, Debug)]
pub(crate) struct Op {
    /// Who asked, and where; only shown.
    pub(crate) client: String,
    /// Which object.
    pub(crate) key: String,
    /// What was asked.
    pub(crate) call: Call,
    /// Before the request went out.
    pub(crate) invoked: u64,
    /// When the answer was in, and what it was; `None` when nobody knows what became of it.
    pub(crate) answered: Option<(u64, Answer)>,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12} ", self.invoked)?;
        match &self.answered {
            Some((at, answer)) => {
                write!(f, "{at:>12} {}: {:?} -> {answer:?}", self.client, self.call)
            }
            None => write!(f, "{:>12} {}: {:?}", "?", self.client, self.call),
        }
    }
}

/// No order explains the calls on a key.
#[derive(Debug)]
pub(crate) struct Violation {
    /// The object.
    pub(crate) key: String,
    /// For people: how far an order went, and what then did not fit.
    pub(crate) story: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the calls on {} are not linearizable: {}", self.key, self.story)
    }
}

/// Judges a whole history, key by key; gives how many keys there were.
pub(crate) fn check(history: &[Op]) -> Result<usize, Violation> {
    let mut keys: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
    for op in history {
        keys.entry(&op.key).or_default().push(op);
    }
    for (key, ops) in &mut keys {
        ops.sort_by_key(|op| op.invoked);
        search::explain(ops).map_err(|story| Violation { key: (*key).to_owned(), story })?;
    }
    Ok(keys.len())
}
