//! Mutation checks of the judge's rules about workers and messages, as `mutations` has them for
//! calls: a sound run of a queue's job, and the same run with one promise broken at a time.
//! `bus_mutations` and `cancel_mutations` begin with the run of here.

use anyhow::ensure;
use scheduler0::model::attempt::parse_execution_id;

use crate::broker::MESSAGES;
use crate::evidence::Evidence;
use crate::expected::{Bus, Kind, Overlap};
use crate::faults::FaultKind;
use crate::judge::judge;
use crate::mutations::{JOB, START, again, entry, sound, window};
use crate::workers::record::{Ending, HandOut, Transport, Unanswered};

/// A change of the evidence.
pub(crate) type Mutation = fn(&mut Evidence);

/// A sound run: the four occurrences of a job, performed one after the other by a worker.
pub(crate) fn sound_of_workers() -> Evidence {
    let mut evidence = sound();
    evidence.expected.jobs.get_mut(&JOB).unwrap().kind = Kind::Run(Bus::Embedded, Overlap::Queue);
    for one in std::mem::take(&mut evidence.arrivals) {
        let (asked, from) = (one.at - 500, one.at);
        evidence.record.hand_outs.push(HandOut {
            // The id was read in the sound run, too.
            occurrence: parse_execution_id(&one.id).unwrap(),
            id: one.id,
            attempt: 1,
            transport: Transport::Claim,
            worker: "w".to_owned(),
            asked,
            from,
            until: from + 100,
            ending: Ending::Completed,
            answered: from + 150,
            said_done: true,
            overdue: false,
        });
    }
    evidence
}

/// Lets the last run end otherwise than by a completion, and another worker complete it.
pub(crate) fn again_after(evidence: &mut Evidence, ending: Ending, attempt: u64) {
    let last = evidence.record.hand_outs.last_mut().unwrap();
    let mut next = last.clone();
    (last.ending, last.said_done) = (ending, false);
    (next.attempt, next.worker) = (attempt, "v".to_owned());
    for at in [&mut next.asked, &mut next.from, &mut next.until, &mut next.answered] {
        *at += 1_000;
    }
    evidence.record.hand_outs.push(next);
}

pub(crate) fn last(evidence: &mut Evidence) -> &mut HandOut {
    evidence.record.hand_outs.last_mut().unwrap()
}

/// Lets the ledger have another end than a delivery for the last run.
pub(crate) fn ends_as(evidence: &mut Evidence, state: &str, reason: &str) {
    let entry = entry(evidence, "delivered");
    state.clone_into(&mut entry.state);
    reason.clone_into(&mut entry.reason);
}

/// Lets a worker have two runs of the job at once.
pub(crate) fn overlap(evidence: &mut Evidence) {
    evidence.record.hand_outs[2].until += 3_000;
}

/// The mutations of the sound run of workers, with the violation that the judge must find.
const MUTATIONS: &[(&str, Mutation)] = &[
    ("lost delivery", |e| drop(e.record.hand_outs.pop())),
    ("lost delivery", |e| last(e).said_done = false),
    ("lost completion", |e| ends_as(e, "skipped", "queue_full")),
    ("lost completion", |e| ends_as(e, "dead", "")),
    ("unaccounted", |e| {
        ends_as(e, "skipped", "overlap");
        e.record.hand_outs.pop();
    }),
    ("early", |e| last(e).from -= 1_500),
    ("unplanned", |e| {
        let mut extra = last(e).clone();
        extra.occurrence.scheduled -= 1_000;
        e.record.hand_outs.push(extra);
    }),
    ("stuck run", |e| last(e).ending = Ending::Held),
    ("needless cancel", |e| again_after(e, Ending::Cancelled, 2)),
    ("run taken away", |e| last(e).ending = Ending::Gone),
    ("run taken away", |e| last(e).ending = Ending::Refused(409)),
    ("needless hand-out", |e| again_after(e, Ending::Gone, 2)),
    ("needless hand-out", |e| again_after(e, Ending::Silent, 1)),
    ("needless hand-out", |e| again_after(e, Ending::Silent, 3)),
    ("needless hand-out", |e| {
        // No fault excuses what comes after the end.
        e.windows.push(window(FaultKind::Kill, 1, START, START + 11_000));
        again_after(e, Ending::Completed, 2);
    }),
    ("needless hand-out", |e| {
        // The freeze of other workers and a broker's death are no reason.
        e.windows.push(window(FaultKind::WorkerFreeze, 1, START, START + 11_000));
        e.windows.push(window(FaultKind::BrokerKill, 1, START, START + 11_000));
        again_after(e, Ending::Gone, 2);
    }),
    ("attempt fell", |e| {
        e.windows.push(window(FaultKind::Kill, 1, START, START + 11_000));
        again_after(e, Ending::Gone, 2);
        let late = last(e).from + 2_000;
        e.record.hand_outs[3].asked = late;
    }),
    ("two workers", |e| {
        again_after(e, Ending::Silent, 2);
        e.record.hand_outs[3].until += 1_500;
    }),
    ("overlapping runs", overlap),
    ("overlapping runs", |e| {
        e.windows.push(window(FaultKind::Kill, 1, START, START + 11_000));
        overlap(e);
        // Its worker has not said that it is done.
        e.record.hand_outs[2].said_done = false;
    }),
    ("wrong answer", |e| e.record.wrong.push("a claim is answered 500".to_owned())),
];

/// Changes that have a cause.
const EXCUSED: &[Mutation] = &[
    |e| again_after(e, Ending::Silent, 2),
    |e| again_after(e, Ending::Failed, 2),
    |e| {
        e.record.unanswered.push(Unanswered { from: START });
        again_after(e, Ending::Released, 3);
    },
    |e| {
        e.windows.push(window(FaultKind::Kill, 1, START + 8_000, START + 9_000));
        again_after(e, Ending::Gone, 1);
        e.record.hand_outs[3].until += 1_500;
    },
    |e| {
        ends_as(e, "skipped", "queue_full");
        e.record.hand_outs.pop();
    },
    |e| {
        // Whoever has it when it is done does not know yet that the next one may begin.
        overlap(e);
        let mut first = e.record.hand_outs[2].clone();
        first.until = first.from + 50;
        (first.worker, first.overdue) = ("v".to_owned(), true);
        (e.record.hand_outs[2].attempt, e.record.hand_outs[2].said_done) = (2, false);
        e.record.hand_outs[2].ending = Ending::Gone;
        e.record.hand_outs[2].from += 60;
        e.record.hand_outs.push(first);
    },
    |e| e.expected.jobs.get_mut(&JOB).unwrap().kind = Kind::Run(Bus::Embedded, Overlap::Allow),
];

/// A sound run of a job that publishes.
fn sound_of_messages() -> Evidence {
    let mut evidence = sound();
    evidence.expected.jobs.get_mut(&JOB).unwrap().kind = Kind::Message;
    for one in &mut evidence.arrivals {
        (one.destination, one.sender) = (MESSAGES, None);
    }
    evidence
}

/// A fault of the broker around the last message.
pub(crate) fn of_broker(what: FaultKind) -> crate::inject::Window {
    let destination = Some(MESSAGES);
    let nodes = Vec::new();
    crate::inject::Window { destination, nodes, ..window(what, 0, START + 8_500, START + 9_500) }
}

/// Runs mutations of a sound run, and changes of it that have a cause; the error is the first one
/// that the judge does not find, or does not excuse.
pub(crate) fn check_all(
    what: &str,
    sound: fn() -> Evidence,
    mutations: &[(&str, Mutation)],
    excused: &[Mutation],
) -> anyhow::Result<()> {
    let found = judge(&sound()).violations;
    ensure!(found.is_empty(), "the judge finds violations in a sound run of {what}: {found:?}");
    for (index, (kind, mutate)) in mutations.iter().enumerate() {
        let mut evidence = sound();
        mutate(&mut evidence);
        let found = judge(&evidence).violations;
        ensure!(
            found.contains_key(kind),
            "the judge overlooks {kind} of {what} ({index}): {found:?}"
        );
    }
    for (index, mutate) in excused.iter().enumerate() {
        let mut evidence = sound();
        mutate(&mut evidence);
        let found = judge(&evidence).violations;
        ensure!(found.is_empty(), "the judge does not excuse {what} ({index}): {found:?}");
    }
    Ok(())
}

/// Runs all mutations; the error is the first one that the judge does not find.
pub(crate) fn check() -> anyhow::Result<()> {
    let found = judge(&sound_of_messages()).violations;
    ensure!(found.is_empty(), "the judge finds violations in a sound run of messages: {found:?}");
    check_all("workers", sound_of_workers, MUTATIONS, EXCUSED)?;
    let mut evidence = sound_of_messages();
    evidence.arrivals.remove(2);
    ensure!(judge(&evidence).violations.contains_key("lost delivery"), "a lost message");
    for excused in [false, true] {
        for what in [FaultKind::BrokerKill, FaultKind::BrokerCut, FaultKind::BrokerAlarm] {
            let mut evidence = sound_of_messages();
            again(&mut evidence, 4);
            evidence.windows.extend(excused.then(|| of_broker(what)));
            let found = judge(&evidence).violations.contains_key("needless duplicate");
            ensure!(found != excused, "a message that came twice, {what:?}: {excused}");
        }
    }
    // A fault of the broker excuses no call.
    let mut evidence = sound();
    again(&mut evidence, 4);
    evidence.windows.push(of_broker(FaultKind::BrokerKill));
    ensure!(
        judge(&evidence).violations.contains_key("needless duplicate"),
        "a call that came twice"
    );
    Ok(())
}
