//! The record of the workers: what they were handed, and what became of it. `workers` writes it,
//! `judge` reads it. All instants are milliseconds since the epoch, by the harness's clock.

use scheduler0::model::run::Occurrence;

/// The way by which a worker got a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// The answer to a claim.
    Claim,
    /// A message of the broker.
    Message {
        /// The broker says that it had delivered the message before.
        redelivered: bool,
    },
}

/// The way in which a worker stopped to perform a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has not stopped.
    Held,
    /// Its report that the run is done was accepted: committed by the nodes, or kept by the broker.
    Completed,
    /// Its report that the run is done was taken by the broker, which may lose it.
    Said,
    /// Its report that the run failed was accepted.
    Failed,
    /// It gave the run back to the nodes.
    Released,
    /// It gave the message back to the broker, and did not begin.
    Returned,
    /// It had the run already: this is a copy.
    Copy,
    /// It went away without a word, or died.
    Silent,
    /// It had no answer to a heartbeat in time.
    Fenced,
    /// It was told that the run is over or somebody else's.
    Gone,
    /// It was told to stop.
    Cancelled,
    /// It was told to stop, and its report that it has stopped was committed.
    Stopped,
    /// Its report was refused, with this status.
    Refused(u16),
}

/// A run in the hands of a worker.
#[derive(Clone, Debug)]
pub(crate) struct HandOut {
    /// The occurrence.
    pub(crate) occurrence: Occurrence,
    /// The execution id.
    pub(crate) id: String,
    /// The number of the attempt.
    pub(crate) attempt: u64,
    /// The way by which it came.
    pub(crate) transport: Transport,
    /// The worker.
    pub(crate) worker: String,
    /// The instant at which its claim was sent, or the second in which its message was published.
    pub(crate) asked: i64,
    /// The instant at which the worker got it.
    pub(crate) from: i64,
    /// The instant from which on the worker did nothing for it any more.
    pub(crate) until: i64,
    /// The way in which it ended.
    pub(crate) ending: Ending,
    /// The instant at which the answer came by which it ended.
    pub(crate) answered: i64,
    /// The worker has sent a report that the run is done.
    pub(crate) said_done: bool,
    /// Heartbeats were not answered for longer than the timeout, while its end was being reported.
    pub(crate) overdue: bool,
}

impl HandOut {
    /// The same, of a worker that does nothing with it and ends so.
    pub(crate) fn over(&self, ending: Ending) -> Self {
        Self { until: self.from, answered: self.from, ending, ..self.clone() }
    }

    /// The same, of a worker that has it already.
    pub(crate) fn copy(&self) -> Self {
        self.over(Ending::Copy)
    }

    /// True for a run that came over the broker.
    pub(crate) fn is_message(&self) -> bool {
        self.transport != Transport::Claim
    }

    /// True for a message that the broker had delivered before.
    pub(crate) fn is_redelivered(&self) -> bool {
        self.transport == Transport::Message { redelivered: true }
    }
}

/// A claim that got no answer: what it was answered is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unanswered {
    /// The instant at which it was sent.
    pub(crate) from: i64,
}

/// The record of all workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// What they were handed, in the order in which it came.
    pub(crate) hand_outs: Vec<HandOut>,
    /// The claims without an answer.
    pub(crate) unanswered: Vec<Unanswered>,
    /// Answers that no rule allows.
    pub(crate) wrong: Vec<String>,
    /// The number of workers that died.
    pub(crate) deaths: u64,
}

impl Record {
    /// The number of hand-outs over the broker.
    pub(crate) fn messages(&self) -> usize {
        self.hand_outs.iter().filter(|one| one.is_message()).count()
    }
}
