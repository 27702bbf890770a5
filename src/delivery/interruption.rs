//! The end of a call before its answer came. `running_call` decides on it, `gate` tells the
//! executor. Data and its words.

use std::time::Duration;

/// The error of a call that was ended because its jobs were deleted.
pub const UNWANTED: &str = "ended while it was under way: its job was deleted";

/// The reason why a call was ended before its answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The time of the call was up.
    TimedOut,
    /// The jobs of the call were deleted.
    Unwanted,
    /// Other calls needed the place of the call, after this time.
    Evicted(Duration),
}

impl Interruption {
    /// The error for people of a call with this timeout, which sent something or not.
    pub fn error(self, timeout: Duration, sent: bool) -> String {
        match self {
            Self::TimedOut => {
                let what = if sent { "no complete answer" } else { "no connection" };
                format!("timeout: {what} within {timeout:?}")
            }
            Self::Unwanted => UNWANTED.to_owned(),
            Self::Evicted(after) => format!(
                "timeout: ended after {} s: the node's places for hanging calls are full",
                after.as_secs()
            ),
        }
    }
}
