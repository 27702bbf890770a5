//! What the supervisor is told, and what it asks for: plain values. The task around it carries out
//! the effects and brings their results back as events; the supervisor itself does nothing.

use std::sync::Arc;

pub(crate) use super::hand_out::{Claim, Handed, Part, Prepared};
pub(crate) use super::source::{ClaimId, QueueId, Source};
use crate::model::attempt::{JournalEntry, ResultOrigin};
use crate::model::claim::RunHeartbeat;
use crate::model::job::Pending;
use crate::model::lease::Now;
use crate::model::members::Members;
use crate::model::offer::OfferId;
use crate::model::run::{Occurrence, Run};
use crate::model::run_report::{RunReport, RunState};
use crate::model::run_terms::RunTerms;
use crate::model::shard::{Shard, ShardId};
use crate::model::{JobId, Millis, NodeId};

/// The number of a dispatch of the engine, which waits until all its members are journaled.
pub(crate) type DispatchId = u64;
/// The number of an append, unique for a process.
pub(crate) type AppendId = u64;

/// The lease, as far as the supervisor depends on it. All answers hold for this very moment.
pub(crate) trait HandOutLease {
    /// The instant of the boot clock from which the lease has been usable without a lapse, in
    /// milliseconds; `None` while it is not usable.
    fn usable_since(&self) -> Option<u64>;

    /// Says whether the owner has promised away a shard that it owns under an epoch.
    fn is_promised(&self, shard: ShardId, epoch: u64) -> bool;
}

/// The moment of a step.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    /// Both clocks of the node.
    pub(crate) now: Now,
    /// The lease.
    pub(crate) lease: &'a dyn HandOutLease,
    /// True while the journal takes entries.
    pub(crate) has_room: bool,
}

/// Occurrences that fell due and that the request builder routed to a queue.
#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    /// The dispatch that is finished when all members are journaled.
    pub(crate) id: DispatchId,
    /// The facts of all members.
    pub(crate) source: Source,
    /// The jobs.
    pub(crate) members: Members,
    /// The terms as they are now.
    pub(crate) terms: Arc<RunTerms>,
    /// The most unclaimed occurrences of a job; `None` for no bound. Only of jobs that allow
    /// overlap: of others `BeginRun` counts.
    pub(crate) max_waiting: Option<u32>,
}

/// An offer as the store has it.
#[derive(Clone, Debug)]
pub(crate) struct OfferRow {
    /// The pending row.
    pub(crate) row: Pending,
    /// True where its jobs do not allow overlap: `BeginRun` is asked before a hand-out.
    pub(crate) asks: bool,
    /// True for one-offs.
    pub(crate) once: bool,
}

/// All that the store and the own journal have of a shard that a node owns. The journal was read
/// before the store, so that an entry that it forgot in between is in the store.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The shard.
    pub(crate) shard: ShardId,
    /// The epoch that it was read for.
    pub(crate) epoch: u64,
    /// The offers.
    pub(crate) offers: Vec<OfferRow>,
    /// The runs of workers.
    pub(crate) runs: Vec<Run>,
    /// The entries of the own journal that it has not forgotten, with their sequence numbers.
    pub(crate) journal: Vec<(u64, JournalEntry)>,
    /// The sequence number up to which the own journal was synced before it was read.
    pub(crate) read_upto: u64,
    /// The sequence number up to which the store has recorded the own journal.
    pub(crate) recorded: u64,
    /// Members of the offers whose jobs do not exist any more.
    pub(crate) gone: Vec<JobId>,
}

/// What a read found of the run of an occurrence. Reads are delivered in the order in which they
/// were made.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A run row.
    Run(Box<Run>),
    /// A pending row and no run that somebody has.
    Row,
    /// It is over.
    End {
        /// The state in which it ended.
        state: RunState,
        /// Who or what ended it.
        origin: ResultOrigin,
    },
    /// Nothing.
    Nothing,
}

/// A heartbeat of some runs.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    /// The number by which it is answered.
    pub(crate) id: u64,
    /// The worker; empty where the bus names none.
    pub(crate) worker: Arc<str>,
    /// The runs.
    pub(crate) runs: Vec<Beat>,
}

/// A sign of life of one run.
#[derive(Clone, Debug)]
pub(crate) struct Beat {
    /// The occurrence.
    pub(crate) of: Occurrence,
    /// The attempt; 0 where the bus names none.
    pub(crate) attempt: u32,
    /// Per cent, 0 to 100.
    pub(crate) progress: Option<u8>,
    /// The worker's words.
    pub(crate) message: Option<String>,
}

impl Beat {
    /// The same, as gateways carry it.
    pub(crate) fn as_heartbeat(&self) -> RunHeartbeat {
        let Self { of, attempt, progress, message } = self.clone();
        RunHeartbeat { occurrence: of, attempt, progress, message }
    }
}

/// What became of a run that was handed to its bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublishOutcome {
    /// The broker has confirmed it.
    Passed,
    /// It was not handed out, or nobody knows: refused, withheld, withdrawn, or the connection was
    /// lost before the confirm. It waits on, and is not tried again before an instant.
    Back {
        /// The instant of the boot clock, in milliseconds.
        until: u64,
        /// True where the whole broker is concerned; otherwise only the runs of its job are not
        /// tried before that.
        of_broker: bool,
        /// True where it may have arrived: its worker may speak of it yet.
        may_be_out: bool,
    },
    /// It can never be handed out, for this reason.
    Failed {
        /// The reason, in words for the user.
        error: String,
    },
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The shards, as the store has them; all that changed at least.
    Shards(Vec<Shard>),
    /// The result of [`Effect::Load`].
    Loaded(Box<Loaded>),
    /// More of some shards changed than was named: they are to be read again.
    Reload(Vec<ShardId>),
    /// Occurrences fell due.
    Dispatch(Box<Dispatch>),
    /// The change feed named an offer: its row, if it still waits for a worker.
    OfferRead {
        /// The row's number.
        id: OfferId,
        /// The row.
        offer: Option<Box<OfferRow>>,
    },
    /// The change feed named a run, or the supervisor asked for it.
    RunRead {
        /// The occurrence.
        of: Occurrence,
        /// What the store has.
        found: Found,
    },
    /// Jobs were deleted.
    JobsGone(Vec<JobId>),
    /// The most runs of a queue that this owner may have taken; `None` for no bound.
    QueueLimit {
        /// The queue.
        queue: QueueId,
        /// The bound.
        most: Option<u32>,
    },
    /// A worker asks for runs.
    Claim(Claim),
    /// The result of [`Effect::Prepare`].
    Prepared {
        /// The claim.
        claim: ClaimId,
        /// The results.
        parts: Vec<Prepared>,
    },
    /// The entries of [`Effect::Append`] are synced.
    Appended {
        /// The append.
        id: AppendId,
        /// The sequence number of the last entry.
        seq: u64,
    },
    /// The store has recorded the own journal up to a sequence number.
    Recorded { seq: u64 },
    /// A gateway has workers that wait for runs of a queue.
    Want {
        /// The gateway.
        gateway: NodeId,
        /// The queue.
        queue: QueueId,
        /// The end of the wish, by the boot clock of this node.
        until: u64,
    },
    /// A worker is alive.
    Heartbeat(Heartbeat),
    /// A worker reported on a run; the report is on its own way into the store.
    Reported {
        /// The occurrence.
        of: Occurrence,
        /// The attempt; 0 for whichever.
        attempt: u32,
        /// The worker; empty for whichever.
        worker: Arc<str>,
        /// True if the report ends the run, or gives it back.
        ends: bool,
    },
    /// The connection to the bus of a queue came, or went, for the jobs of a shard.
    Bus {
        /// The shard.
        shard: ShardId,
        /// The queue.
        queue: QueueId,
        /// True when it came.
        up: bool,
    },
    /// The bus says what became of a run of [`Effect::Publish`].
    Published {
        /// The hand that the run is of.
        claim: ClaimId,
        /// The occurrence.
        of: Occurrence,
        /// The outcome.
        outcome: PublishOutcome,
    },
    /// Time has passed: every 200 ms, after all other events that wait.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Read a shard: [`Event::Loaded`] follows. Repeated for each wish.
    Load {
        /// The shard.
        shard: ShardId,
        /// The epoch.
        epoch: u64,
    },
    /// Look up the jobs, rows and places of members: [`Event::Prepared`] follows.
    Prepare {
        /// The claim.
        claim: ClaimId,
        /// The parts.
        parts: Vec<Part>,
    },
    /// Append entries to the own journal, again until it succeeds: [`Event::Appended`] follows.
    Append {
        /// The append.
        id: AppendId,
        /// The entries.
        entries: Vec<JournalEntry>,
    },
    /// Answer a claim.
    Answer {
        /// The claim.
        claim: ClaimId,
        /// The runs; none where nothing waits.
        runs: Vec<Handed>,
    },
    /// Hand runs to their bus: [`Event::Published`] follows for each. The lease is asked again for
    /// each run by whoever carries this out, right before the run leaves.
    Publish {
        /// The hand, whose number [`is_publish`](super::is_publish).
        claim: ClaimId,
        /// The runs, the oldest first.
        runs: Vec<Handed>,
    },
    /// Take back the runs of an [`Effect::Publish`] that have not left: each that has not is
    /// answered with [`PublishOutcome::Back`].
    Withdraw {
        /// The runs.
        runs: Vec<Handed>,
    },
    /// Members of a dispatch come back unsent: the range that they are of is not this node's.
    Returned {
        /// The dispatch.
        dispatch: DispatchId,
        /// The jobs.
        members: Members,
    },
    /// All members of a dispatch are journaled, or have come back.
    Finished {
        /// The dispatch.
        dispatch: DispatchId,
    },
    /// Propose reports; their outcome is not waited for.
    Propose(Vec<RunReport>),
    /// Ask a worker to stop a run, by its bus.
    TellCancel {
        /// The occurrence.
        of: Occurrence,
        /// The attempt.
        attempt: u32,
        /// The worker; empty while it is not known.
        worker: Arc<str>,
        /// The terms, which name the bus.
        terms: Arc<RunTerms>,
    },
    /// Tell a gateway what a queue has.
    Hint {
        /// The gateway.
        gateway: NodeId,
        /// The queue.
        queue: QueueId,
        /// The number of occurrences that wait.
        count: u64,
        /// The due instant of the oldest; [`Millis::MAX`] where none waits.
        oldest: Millis,
    },
    /// Answer a heartbeat: of these runs nothing is known here yet.
    Heard {
        /// The number of the heartbeat.
        heartbeat: u64,
        /// The occurrences.
        unknown: Vec<Occurrence>,
    },
    /// Read runs: [`Event::RunRead`] follows for each.
    ReadRuns(Vec<Occurrence>),
}
