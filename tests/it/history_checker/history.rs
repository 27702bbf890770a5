//! A history of calls: plain data that the clients of a test note.

use std::fmt;

/// A call on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Creates it, once for a token (an idempotency key).
    Create { data: String, token: Option<String> },
    /// Reads it.
    Get,
    /// Changes its data; with a version, only if it still has that one.
    Update { data: String, expect: Option<u64> },
    /// Deletes it; with a version, only if it still has that one.
    Delete { expect: Option<u64> },
}

/// An answer. All versions are 0 for a kind of object that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A creation or an update took place, the creation perhaps earlier under the same token. The
    /// answer may tell the version that it made.
    Done { version: Option<u64> },
    /// It exists.
    Found { version: u64, data: String },
    /// It does not exist.
    Absent,
    /// It was deleted.
    Deleted,
    /// It has another version than the one expected.
    Stale,
    /// One exists already.
    Taken,
}

/// A call of one client, with instants from a clock that all clients share, in any unit.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    /// The client and its node; only shown.
    pub(crate) client: String,
    /// The object.
    pub(crate) key: String,
    /// The call.
    pub(crate) call: Call,
    /// The instant before the request was sent.
    pub(crate) invoked: u64,
    /// The instant of the answer, and the answer; `None` for an unknown outcome.
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
    /// The longest order that was found, and the calls that did not fit after it.
    pub(crate) explanation: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the calls on {} are not linearizable: {}", self.key, self.explanation)
    }
}
