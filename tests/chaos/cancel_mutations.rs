//! Mutation checks of the judge's rules about cancels: a run in which clients cancel one that waits
//! and one that a worker has, and the same run with one promise broken at a time.

use crate::evidence::Evidence;
use crate::expected::{CancelAnswer, ExpectedCancel};
use crate::faults::FaultKind;
use crate::mutations::{JOB, START, window};
use crate::run_mutations::{Mutation, check_all, ends_as, last, sound_of_workers};
use crate::workers::record::{Ending, HandOut};

fn cancel(evidence: &mut Evidence, id: &str, answer: Option<(CancelAnswer, i64)>) {
    let cancels = &mut evidence.expected.cancels;
    cancels.entry(id.to_owned()).or_default().push(ExpectedCancel { answer });
}

/// Takes the last run out of the hands of its worker.
fn never_handed(evidence: &mut Evidence) -> HandOut {
    evidence.record.hand_outs.pop().unwrap()
}

/// A sound run: the last occurrence was cancelled before anybody had it.
fn sound_of_waiting() -> Evidence {
    let mut evidence = sound_of_workers();
    let id = never_handed(&mut evidence).id;
    ends_as(&mut evidence, "skipped", "cancelled");
    cancel(&mut evidence, &id, Some((CancelAnswer::Cancelled, START + 8_100)));
    evidence
}

/// A sound run: the last occurrence was cancelled while a worker had it, which has stopped.
fn sound_of_running() -> Evidence {
    let mut evidence = sound_of_workers();
    ends_as(&mut evidence, "skipped", "cancelled");
    let one = last(&mut evidence);
    (one.ending, one.said_done) = (Ending::Stopped, false);
    let id = one.id.clone();
    cancel(&mut evidence, &id, Some((CancelAnswer::Cancelling, START + 8_050)));
    evidence
}

/// Changes the only answer to a cancel.
fn answer(evidence: &mut Evidence, answer: Option<CancelAnswer>) {
    let cancel = evidence.expected.cancels.values_mut().next().unwrap();
    cancel[0].answer = answer.map(|answer| (answer, START + 8_100));
}

/// Hands the last run out, by a claim that was sent so long after the cancel.
fn handed(evidence: &mut Evidence, after: i64) {
    let mut one = sound_of_workers().record.hand_outs.pop().unwrap();
    one.asked = START + 8_100 + after;
    (one.from, one.until, one.answered) = (one.asked + 10, one.asked + 100, one.asked + 150);
    (one.ending, one.said_done, one.attempt) = (Ending::Gone, false, 1);
    if evidence.record.hand_outs.len() == 4 {
        one.attempt = 2;
    }
    evidence.record.hand_outs.push(one);
}

fn kill(evidence: &mut Evidence) {
    evidence.windows.push(window(FaultKind::Kill, 1, START, START + 18_000));
}

/// The mutations of what waited, with the violation that the judge must find.
const WAITING: &[(&str, Mutation)] = &[
    ("lost cancel", |e| {
        // A kill is no reason to forget it.
        kill(e);
        ends_as_done(e);
    }),
    ("lost cancel", |e| set(e, "skipped", "queue_full")),
    ("lost cancel", |e| set(e, "dead", "")),
    ("unaccounted", |e| answer(e, Some(CancelAnswer::Refused(false)))),
    ("unaccounted", |e| e.expected.cancels.clear()),
    ("handed out after a cancel", |e| handed(e, 1_500)),
    ("handed out after a cancel", |e| {
        // Its owner must have heard of it by then.
        kill(e);
        handed(e, 7_000);
    }),
];

/// Changes of it that are allowed.
const WAITING_EXCUSED: &[Mutation] = &[
    |e| answer(e, None),
    |e| answer(e, Some(CancelAnswer::Refused(true))),
    |e| handed(e, -200),
    |e| {
        // The owner was cut off.
        kill(e);
        handed(e, 4_000);
    },
];

/// The mutations of what a worker had.
const RUNNING: &[(&str, Mutation)] = &[
    ("lost cancel", |e| {
        // It is done by nobody who may say so.
        last(e).said_done = true;
        set(e, "delivered", "");
    }),
    ("lost delivery", |e| {
        set(e, "delivered", "");
        last(e).ending = Ending::Cancelled;
    }),
    ("lost completion", |e| (last(e).ending, last(e).said_done) = (Ending::Completed, true)),
    ("needless cancel", |e| e.expected.cancels.clear()),
    ("needless cancel", |e| answer(e, Some(CancelAnswer::Refused(false)))),
    ("unaccounted", |e| set(e, "dead", "")),
    ("handed out after a cancel", |e| handed(e, 1_500)),
    ("overlapping runs", |e| {
        // Its worker had heard of it, and no fault kept it from that.
        e.record.hand_outs[2].until += 3_000;
    }),
];

/// Changes of it that are allowed.
const RUNNING_EXCUSED: &[Mutation] = &[
    // It does not say that it has stopped.
    |e| last(e).ending = Ending::Cancelled,
    |e| last(e).ending = Ending::Gone,
    |e| last(e).ending = Ending::Refused(409),
    |e| {
        // It was done before it heard of it.
        (last(e).ending, last(e).said_done) = (Ending::Completed, true);
        set(e, "delivered", "");
    },
    |e| {
        // It failed, and is not tried again.
        last(e).ending = Ending::Failed;
        set(e, "dead", "");
    },
];

/// Gives the last occurrence another end.
fn set(evidence: &mut Evidence, state: &str, reason: &str) {
    let entry = evidence.ledgers.get_mut(&JOB).unwrap().last_entry().unwrap().into_mut();
    state.clone_into(&mut entry.state);
    reason.clone_into(&mut entry.reason);
}

/// Lets a worker perform what was cancelled.
fn ends_as_done(evidence: &mut Evidence) {
    set(evidence, "delivered", "");
    let one = sound_of_workers().record.hand_outs.pop().unwrap();
    evidence.record.hand_outs.push(one);
}

/// Runs all mutations; the error is the first one that the judge does not find.
pub(crate) fn check() -> anyhow::Result<()> {
    check_all("cancels of what waits", sound_of_waiting, WAITING, WAITING_EXCUSED)?;
    check_all("cancels of what is performed", sound_of_running, RUNNING, RUNNING_EXCUSED)
}
