//! The rules that a run of the model can do without, and what may go wrong in one. Data only.

/// The rules that a run of the model can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The lease is asked before a hand-out.
    Lease,
    /// A claim is journaled before it is answered.
    JournalFirst,
    /// Nobody hands out offers while a shard is closing.
    ClosingWaits,
    /// The own journal is read at a load.
    OwnJournal,
    /// A new owner grants a full timeout.
    LoadGrace,
    /// The time without a lease does not count as silence.
    LeaseGrace,
    /// The time of a stall does not count as silence.
    StallGrace,
    /// Rows and jobs are read again before a hand-out.
    LookUp,
    /// `BeginRun` is asked where runs must not overlap.
    AsksLeave,
    /// The offers of jobs that go are ended.
    JobsGone,
    /// No more than so many occurrences of a job wait.
    MostWaiting,
    /// The watermark waits for what is not journaled.
    WatermarkWaits,
    /// A heartbeat is answered as heard by an owner with a lease alone.
    OwnerHears,
    /// Silent workers lose their runs.
    SilenceJudged,
    /// A run that is journaled and not recorded is not dropped.
    UnrecordedStays,
    /// What the broker has confirmed is taken.
    ConfirmCounts,
    /// What a worker has spoken of is taken, whatever became of its confirm.
    ReportFirst,
    /// The same of what came back before its worker spoke of it.
    ReportAfterBack,
    /// What is not to be handed out any more is taken back from its bus.
    Withdraw,
    /// What waits at its bus is journaled as offered.
    OfferedAtBus,
    /// What has waited for too long is not handed to its bus, and does not leave.
    StartTimeout,
    /// Of a job of which a run came back nothing is handed out for a while.
    Rests,
}

/// What may go wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    /// One owner, good workers, no fault.
    Calm,
    /// Orderly hand-overs, and nothing else.
    Moves,
    /// The leader goes away, and the owner is started again meanwhile: what it has handed out is in
    /// its journal only.
    Restarts,
    /// Everything.
    Storm,
    /// Everything, and the bus is a broker.
    Broker,
}
