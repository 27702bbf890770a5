//! The reply to a call: what an executor hands to the worker. Data only.

use super::attempt::Attempt;
use crate::model::Millis;
use crate::model::postponement::Obstacle;

/// The reply to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `before_send` refused the call: not a byte went out.
    Withheld,
    /// The destination takes no calls at the moment, or this node cannot call. Not a byte went out,
    /// and it is no attempt.
    Refused {
        /// The instant to try again at, in scheduler time.
        until: Millis,
        /// The reason.
        obstacle: Obstacle,
    },
    /// The call was attempted.
    Done(Attempt),
    /// The call was sent, and ended before its answer came, as its jobs were deleted.
    Unwanted(Attempt),
}
