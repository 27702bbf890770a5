//! What a run is told to do. Pure.

/// A directive for one run. A later one in this order wins over those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Directive {
    /// The command must not begin yet: no heartbeat was answered.
    Hold,
    /// The command may run.
    Go,
    /// The command must not begin: the worker stops, and gives the run back.
    GiveBack,
    /// The command is to end: somebody cancelled the run.
    Cancel,
    /// The command is to end, and nothing is reported: the run is over, or another worker's.
    Gone,
    /// The command is killed: the worker was told twice to stop.
    Abandon,
    /// The command is killed, and nothing is reported: no heartbeat was answered in time.
    Unanswered,
}
