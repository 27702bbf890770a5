//! The wait of a pending row for a worker: since when, for which queue, and until when. `command`
//! writes it, `worker` hands out by it. Pure.

use super::Millis;

/// The time beyond the start timeout for which the leader leaves an offer open, in milliseconds.
/// Whoever hands it out looks at the start timeout last; then the claim, or the broker's confirm,
/// is written to the journal and collected. So the record of an occurrence that was handed out in
/// time finds it open when it is in the log within this time, less the difference between the
/// clocks of owner and leader.
pub const RECORDING: Millis = 2_000;

/// The wait of a pending row for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnOffer {
    /// The instant from which it counts.
    pub since: Millis,
    /// The instant after which nobody need take it; `None` for no bound.
    pub expires: Option<Millis>,
    /// The number of the queue.
    pub executor: u64,
}

impl OnOffer {
    /// The last instant at which it may be handed out; `None` for no bound.
    pub fn start_by(&self) -> Option<Millis> {
        self.expires.map(|expires| expires.saturating_sub(RECORDING))
    }
}
