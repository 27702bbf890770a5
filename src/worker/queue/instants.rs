//! The two instants of an occurrence, which jitter makes differ. An edit of the jitter can make two
//! occurrences of a job due at one instant, so both instants are needed to tell them apart.

use crate::model::Millis;

/// The two instants of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// The instant by the schedule.
    pub scheduled: Millis,
    /// The instant from which on it may be sent.
    pub due: Millis,
}

impl Instants {
    /// The instants of an occurrence without jitter.
    pub fn both(at: Millis) -> Self {
        Self { scheduled: at, due: at }
    }
}
