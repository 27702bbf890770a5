//! Mutation checks of the judge's rules about runs over the broker, as `run_mutations` has them for
//! claims: a sound run, and the same run with one promise broken at a time.

use crate::evidence::Evidence;
use crate::expected::{Bus, Kind, Overlap};
use crate::faults::FaultKind;
use crate::mutations::{JOB, START, window};
use crate::run_mutations::{
    Mutation, again_after, check_all, ends_as, last, of_broker, overlap, sound_of_workers,
};
use crate::workers::record::{Ending, Transport};

/// A message that the broker delivers for the first time.
const NEW: Transport = Transport::Message { redelivered: false };
/// A message that it has delivered before.
const OLD: Transport = Transport::Message { redelivered: true };

/// A sound run: the four occurrences of a job, performed by a worker that got them by messages.
fn sound() -> Evidence {
    let mut evidence = sound_of_workers();
    evidence.expected.jobs.get_mut(&JOB).unwrap().kind = Kind::Run(Bus::Broker, Overlap::Queue);
    for one in &mut evidence.record.hand_outs {
        // Its message says the second in which it was published.
        (one.transport, one.asked) = (NEW, one.from.div_euclid(1_000) * 1_000);
    }
    evidence
}

/// Lets the last run not begin in time.
fn not_started(evidence: &mut Evidence) {
    ends_as(evidence, "skipped", "not_started");
}

fn with(evidence: &mut Evidence, what: FaultKind) {
    evidence.windows.push(window(what, 1, START, START + 11_000));
}

/// The mutations, with the violation that the judge must find.
const MUTATIONS: &[(&str, Mutation)] = &[
    ("lost delivery", |e| drop(e.record.hand_outs.pop())),
    ("lost delivery", |e| last(e).said_done = false),
    // What the broker has confirmed is in the ledger: nothing says that the run was over before.
    ("lost completion", |e| {
        ends_as(e, "dead", "");
        e.horizon += 20_000;
    }),
    ("lost completion", |e| {
        not_started(e);
        e.horizon += 20_000;
    }),
    ("lost completion", |e| {
        // A fault is no reason why a run that is done is skipped for the one before.
        with(e, FaultKind::Kill);
        ends_as(e, "skipped", "queue_full");
        e.horizon += 20_000;
    }),
    ("unaccounted", |e| {
        not_started(e);
        e.record.hand_outs.pop();
    }),
    ("unaccounted", |e| {
        // The fault was over before it was due.
        e.windows.push(window(FaultKind::WorkerFreeze, 1, START, START + 1_000));
        not_started(e);
        e.record.hand_outs.pop();
    }),
    ("unaccounted", |e| {
        // Only the broker's queue has a start timeout here.
        with(e, FaultKind::WorkerFreeze);
        e.expected.jobs.get_mut(&JOB).unwrap().kind = Kind::Run(Bus::Embedded, Overlap::Queue);
        not_started(e);
        e.record.hand_outs.pop();
    }),
    ("unaccounted", |e| {
        // It is dead with retries left, and no client wished its end.
        ends_as(e, "dead", "");
        (last(e).ending, last(e).said_done) = (Ending::Failed, false);
    }),
    ("early", |e| last(e).from -= 1_500),
    ("unplanned", |e| {
        let mut extra = last(e).clone();
        extra.occurrence.scheduled -= 1_000;
        e.record.hand_outs.push(extra);
    }),
    ("stuck run", |e| last(e).ending = Ending::Held),
    ("needless cancel", |e| again_after(e, Ending::Cancelled, 2)),
    // It was published twice, and the broker did not deliver one message twice.
    ("needless hand-out", |e| again_after(e, Ending::Silent, 1)),
    ("needless hand-out", |e| again_after(e, Ending::Copy, 1)),
    // What was given back to the broker was no attempt.
    ("needless hand-out", |e| again_after(e, Ending::Returned, 2)),
    ("needless hand-out", |e| again_after(e, Ending::Gone, 2)),
    // It said that it is done, and nothing lost that.
    ("needless hand-out", |e| again_after(e, Ending::Said, 2)),
    ("needless hand-out", |e| again_after(e, Ending::Silent, 3)),
    ("needless hand-out", |e| {
        again_after(e, Ending::Completed, 2);
        last(e).asked += 1_000;
    }),
    ("needless hand-out", |e| {
        // A claim without an answer is no reason.
        e.record.unanswered.push(crate::workers::record::Unanswered { from: START });
        again_after(e, Ending::Silent, 3);
    }),
    ("needless hand-out", |e| {
        // That the broker delivers again is no reason for another attempt.
        again_after(e, Ending::Returned, 2);
        last(e).transport = OLD;
    }),
    ("attempt fell", |e| {
        with(e, FaultKind::BrokerKill);
        again_after(e, Ending::Gone, 2);
        e.record.hand_outs[3].asked = last(e).from + 2_000;
    }),
    ("two workers", |e| {
        again_after(e, Ending::Silent, 2);
        e.record.hand_outs[3].until += 1_500;
    }),
    ("overlapping runs", overlap),
    ("overlapping runs", |e| {
        // A fault does not excuse it for a run that is done.
        with(e, FaultKind::Kill);
        overlap(e);
        e.record.hand_outs[2].said_done = false;
    }),
    ("wrong answer", |e| e.record.wrong.push("an action: {}".to_owned())),
];

/// Changes that have a cause.
const EXCUSED: &[Mutation] = &[
    |e| again_after(e, Ending::Silent, 2),
    |e| again_after(e, Ending::Failed, 2),
    |e| {
        again_after(e, Ending::Returned, 1);
        last(e).transport = OLD;
    },
    |e| {
        // It died before it acknowledged the message, when it was done.
        again_after(e, Ending::Completed, 1);
        (last(e).transport, last(e).asked) = (OLD, e.record.hand_outs[3].asked);
    },
    |e| {
        e.windows.push(of_broker(FaultKind::BrokerKill));
        again_after(e, Ending::Silent, 1);
    },
    |e| {
        e.windows.push(of_broker(FaultKind::BrokerCut));
        again_after(e, Ending::Said, 2);
        e.record.hand_outs[3].until += 1_500;
    },
    |e| {
        e.windows.push(window(FaultKind::Kill, 1, START + 8_000, START + 9_000));
        again_after(e, Ending::Copy, 1);
    },
    |e| {
        e.windows.push(window(FaultKind::WorkerFreeze, 1, START + 8_000, START + 9_000));
        not_started(e);
        e.record.hand_outs.pop();
    },
    |e| {
        // It got the message and died.
        not_started(e);
        (last(e).ending, last(e).said_done) = (Ending::Silent, false);
    },
    |e| {
        // It came back after the others had taken it for lost, and says that it failed.
        with(e, FaultKind::Isolate);
        ends_as(e, "dead", "");
        (last(e).ending, last(e).said_done) = (Ending::Failed, false);
    },
];

/// Runs all mutations; the error is the first one that the judge does not find.
pub(crate) fn check() -> anyhow::Result<()> {
    check_all("runs over the broker", sound, MUTATIONS, EXCUSED)
}
