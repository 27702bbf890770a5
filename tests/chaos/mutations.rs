//! Mutation checks of the judge, which would prove nothing if it never found anything. It is shown
//! a sound run, and the same run with one promise broken at a time. `main` calls them before each
//! run; they need no cluster.

use std::time::Duration;

use anyhow::ensure;
use scheduler0::model::attempt::{execution_id, parse_execution_id};
use scheduler0::model::shard::shard_of;
use serde_json::json;

use crate::evidence::{Entry, Evidence};
use crate::expected::{Due, Expected, ExpectedJob, Kind, Span, Timing};
use crate::faults::{FaultKind, Role};
use crate::hosts::End;
use crate::inject::Window;
use crate::judge::judge;
use crate::receiver::{Answer, Arrival};

/// The job of the runs.
pub(crate) const JOB: u64 = 70;
/// The instant at which they begin.
pub(crate) const START: i64 = 1_000_000;

fn arrival(scheduled: i64) -> Arrival {
    let id = execution_id(1 << 96, JOB, scheduled);
    Arrival {
        // The id was made a line above.
        occurrence: parse_execution_id(&id).unwrap(),
        id,
        scheduled,
        attempt: 1,
        shard: shard_of(JOB),
        fence: 3,
        destination: 0,
        sender: Some(2),
        at: scheduled + 4,
        mono: Duration::from_millis((scheduled - START) as u64),
        answer: Answer::Accepted,
    }
}

/// A run without violations: a job of every two seconds with four delivered occurrences.
pub(crate) fn sound() -> Evidence {
    let timing = Timing::Every(2_000, START);
    let job = ExpectedJob {
        id: JOB,
        kind: Kind::Call,
        may_die: false,
        never_misfires: true,
        version: 2,
        data: "d".to_owned(),
        spans: vec![Span { from: START, timing, paused: false, jitter: 0, end: None }],
        deleted: None,
    };
    let arrivals: Vec<Arrival> = (1..=4).map(|n| arrival(START + n * 2_000)).collect();
    let entry = |one: &Arrival| {
        let (state, reason) = ("delivered".to_owned(), String::new());
        (one.scheduled, Entry { due: one.scheduled, state, reason, id: one.id.clone() })
    };
    let shown = json!({"id": JOB, "version": 2, "data": "d", "status": "active"});
    Evidence {
        horizon: START + 9_000,
        ledgers: [(JOB, arrivals.iter().map(entry).collect())].into(),
        jobs: [(JOB, shown)].into(),
        hashes: [(1, Some("h".to_owned())), (2, Some("h".to_owned()))].into(),
        expected: Expected { jobs: [(JOB, job)].into(), ..Expected::default() },
        settled: Some(Duration::ZERO),
        arrivals,
        ..Evidence::default()
    }
}

/// A run without violations of a job with jitter. Each of its occurrences meets a change between
/// the instants at which it is scheduled and due: of the jitter, a pause that is over by then, one
/// that is not, and a last date.
fn sound_with_jitter() -> Evidence {
    let mut evidence = sound();
    let timing = Timing::Every(20_000, START);
    let span = Span { from: START, timing, paused: false, jitter: 19_000, end: None };
    let tracked = evidence.expected.jobs.get_mut(&JOB).unwrap();
    tracked.spans = vec![span];
    let due: Vec<_> = tracked.due(START + 2_000_000).into_iter().collect();
    // The first four, in order, that are due at least five seconds after they are scheduled.
    let late = due.iter().filter(|(at, one)| one.instant >= at + 5_000).map(|(at, _)| *at);
    let late: Vec<i64> = late.take(4).collect();
    let ends = Some(late[3] + 2_000);
    let mut spans = vec![
        (0, span),
        (late[0] + 1_000, Span { jitter: 7_000, ..span }),
        (late[0] + 2_000, Span { jitter: 19_000, ..span }),
        (late[1] + 1_000, Span { paused: true, ..span }),
        (late[1] + 2_000, span),
        (late[2] + 1_000, Span { paused: true, ..span }),
        (late[2] + 19_500, span),
        (late[3] + 1_000, Span { end: ends, ..span }),
    ];
    spans[0].0 = START;
    tracked.spans = spans.into_iter().map(|(from, span)| Span { from, ..span }).collect();
    evidence.horizon = late[3] + 19_500;
    let planned = tracked.due(evidence.horizon);
    let arrivals = planned.iter().filter(|(_, one)| !one.paused);
    evidence.arrivals =
        arrivals.map(|(at, one)| Arrival { at: one.instant + 4, ..arrival(*at) }).collect();
    let entry = |(at, one): (&i64, &Due)| {
        let (state, reason) = if one.paused { ("skipped", "paused") } else { ("delivered", "") };
        let (state, reason) = (state.to_owned(), reason.to_owned());
        (*at, Entry { due: one.instant, state, reason, id: arrival(*at).id })
    };
    evidence.ledgers = [(JOB, planned.iter().map(entry).collect())].into();
    evidence
}

/// The index of the arrival `before` places before the last one.
fn last(evidence: &Evidence, before: usize) -> usize {
    evidence.arrivals.len() - 1 - before
}

/// The ledger's last entry of a state.
pub(crate) fn entry<'e>(evidence: &'e mut Evidence, state: &str) -> &'e mut Entry {
    let ledger = evidence.ledgers.get_mut(&JOB).unwrap();
    ledger.values_mut().rev().find(|entry| entry.state == state).unwrap()
}

/// Lets the last occurrence come when it was scheduled, shortly after a change that delays it: the
/// sender did not know of it yet.
fn delayed(evidence: &mut Evidence) {
    let index = last(evidence, 0);
    let at = evidence.arrivals[index].scheduled;
    let spans = &mut evidence.expected.jobs.get_mut(&JOB).unwrap().spans;
    let end = spans.len() - 1;
    let span = spans[end - 1];
    let changes = [Span { from: at - 450, jitter: 0, ..span }, Span { from: at - 400, ..span }];
    spans.splice(end..end, changes);
    evidence.arrivals[index].at = at + 17;
}

fn evidence_delayed() -> Evidence {
    let mut evidence = sound_with_jitter();
    delayed(&mut evidence);
    evidence
}

/// Lets the last occurrence come again when it is due by the new plan.
fn repeated_when_due(evidence: &mut Evidence) {
    let index = last(evidence, 0);
    let one = evidence.arrivals[index].clone();
    let due = evidence.ledgers[&JOB][&one.scheduled].due;
    evidence.arrivals.push(Arrival { at: due + 1, ..one });
}

/// The mutations of the run with jitter, with the violation that the judge must find.
const JITTER_MUTATIONS: &[(&str, Mutation)] = &[
    ("early", |e| {
        // It comes when it was scheduled, before it was due.
        let index = last(e, 0);
        e.arrivals[index].at = e.arrivals[index].scheduled + 1;
    }),
    ("early", |e| {
        // It comes before the plan that held before the delay, too.
        delayed(e);
        let index = last(e, 0);
        e.arrivals[index].at -= 2_000;
    }),
    ("unaccounted", |e| {
        // The ledger lost it with the plan.
        drop(e.ledgers.get_mut(&JOB).unwrap().pop_last());
    }),
    ("unaccounted", |e| entry(e, "delivered").due += 1_000),
    ("unaccounted", |e| {
        let entry = entry(e, "delivered");
        "skipped".clone_into(&mut entry.state);
        "paused".clone_into(&mut entry.reason);
    }),
    ("unaccounted", |e| {
        let entry = entry(e, "skipped");
        "skipped".clone_into(&mut entry.state);
        "ended".clone_into(&mut entry.reason);
    }),
    ("lost write", |e| {
        // The last occurrence was long ago.
        e.horizon += 60_000;
    }),
];

/// A fault of a node.
pub(crate) fn window(what: FaultKind, node: u64, from: i64, to: i64) -> Window {
    let (role, destination) = (Role::Owner, None);
    Window { what, role, destination, nodes: vec![node], leader: None, from, to }
}

/// Adds the last arrival once more, three seconds later and from another node.
pub(crate) fn again(evidence: &mut Evidence, fence: u64) {
    let mut one = evidence.arrivals[3].clone();
    (one.at, one.mono) = (one.at + 3_000, one.mono + Duration::from_secs(3));
    (one.sender, one.fence) = (Some(1), fence);
    evidence.arrivals.push(one);
}

/// Lets the owner send the last arrival again at once, because it was not answered.
fn resent(evidence: &mut Evidence, times: i64) {
    let last = evidence.arrivals[3].clone();
    for nth in 1..=times {
        let (at, answer) = (last.at + nth, last.answer);
        evidence.arrivals.last_mut().unwrap().answer = Answer::Nothing;
        evidence.arrivals.push(Arrival { at, answer, ..last.clone() });
    }
}

/// Lets the ledger forget an occurrence.
fn forgotten(evidence: &mut Evidence, index: usize) {
    let at = evidence.arrivals[index].scheduled;
    let entry = evidence.ledgers.get_mut(&JOB).unwrap().get_mut(&at).unwrap();
    "forgotten".clone_into(&mut entry.state);
}

/// A change of the evidence.
type Mutation = fn(&mut Evidence);

/// The mutations of the sound run, with the violation that the judge must find.
const MUTATIONS: &[(&str, Mutation)] = &[
    ("early", |e| e.arrivals[0].at -= 1_500),
    ("lost delivery", |e| drop(e.arrivals.remove(1))),
    ("unaccounted", |e| drop(e.ledgers.get_mut(&JOB).unwrap().pop_last())),
    ("unaccounted", |e| e.ledgers.get_mut(&JOB).unwrap().clear()),
    ("unaccounted", |e| {
        "missing".clone_into(
            &mut e.ledgers.get_mut(&JOB).unwrap().last_entry().unwrap().get_mut().state,
        );
    }),
    ("unaccounted", |e| e.settled = None),
    ("unaccounted", |e| forgotten(e, 1)),
    ("unaccounted", |e| {
        // The history was cut for a full disk, but the receiver does not have the occurrence
        // either.
        forgotten(e, 1);
        e.windows.push(window(FaultKind::DiskFull, 1, START + 4_000, START + 8_000));
        e.cut.insert(1);
        e.arrivals.remove(1);
    }),
    ("unaccounted", |e| {
        // It was due long after the disk had room again.
        forgotten(e, 3);
        e.windows.push(window(FaultKind::DiskFull, 1, START, START + 2_000));
        e.cut.insert(1);
    }),
    ("unplanned", |e| e.arrivals.push(arrival(START + 3_000))),
    ("unplanned", |e| {
        let extra = e.ledgers[&JOB].values().next().unwrap().clone();
        e.ledgers.get_mut(&JOB).unwrap().insert(START + 3_000, extra);
    }),
    ("wrong id", |e| e.arrivals[2].id.push('0')),
    ("lost write", |e| e.jobs.get_mut(&JOB).unwrap()["version"] = json!(1)),
    ("lost write", |e| drop(e.jobs.remove(&JOB))),
    ("lost write", |e| drop(e.jobs.insert(71, json!({"id": 71})))),
    ("state differs", |e| drop(e.hashes.insert(2, Some("other".to_owned())))),
    ("needless duplicate", |e| again(e, 4)),
    ("two owners", |e| again(e, 4)),
    ("needless duplicate", |e| {
        // Neither the death of another node nor a jump of the sender's clock is a reason.
        e.windows.push(window(FaultKind::Kill, 3, START + 8_500, START + 9_500));
        e.windows.push(window(FaultKind::Clock(3_600), 2, START + 8_500, START + 9_500));
        again(e, 4);
    }),
    ("two owners", |e| {
        // A partition of the later sender is no reason to send under an old lease.
        e.windows.push(window(FaultKind::Partition, 1, START, START + 11_000));
        again(e, 2);
    }),
    // A kept connection that ends excuses one repetition, not two.
    ("two owners", |e| resent(e, 2)),
    ("two owners", |e| {
        resent(e, 1);
        e.arrivals[3].answer = Answer::Accepted;
    }),
    ("ended by itself", |e| e.ends.push(End { node: 1, at: START, code: Some(1) })),
    ("panic", |e| e.panics.push("panicked at".to_owned())),
];

/// Changes that a fault excuses.
const EXCUSED: &[Mutation] = &[
    |e| resent(e, 1),
    |e| {
        e.windows.push(window(FaultKind::Kill, 2, START + 8_500, START + 9_500));
        again(e, 4);
    },
    |e| {
        e.windows.push(window(FaultKind::Freeze, 1, START, START + 11_000));
        e.windows.push(window(FaultKind::Freeze, 2, START + 8_500, START + 9_500));
        again(e, 2);
    },
    |e| {
        e.windows.push(window(FaultKind::DiskFull, 1, START, START + 11_000));
        e.ends.push(End { node: 1, at: START + 500, code: Some(1) });
    },
    |e| {
        // After an edit the old plan is forgotten with the history.
        e.ledgers.get_mut(&JOB).unwrap().pop_first();
        e.windows.push(window(FaultKind::DiskFull, 1, START + 4_000, START + 8_000));
        e.cut.insert(1);
    },
    |e| {
        forgotten(e, 1);
        e.windows.push(window(FaultKind::DiskFull, 1, START + 4_000, START + 8_000));
        e.cut.insert(1);
    },
];

/// Runs all mutations; the error is the first one that the judge does not find.
pub(crate) fn check() -> anyhow::Result<()> {
    let found = judge(&sound()).violations;
    ensure!(found.is_empty(), "the judge finds violations in a sound run: {found:?}");
    for (index, (kind, mutate)) in MUTATIONS.iter().enumerate() {
        let mut evidence = sound();
        mutate(&mut evidence);
        let found = judge(&evidence).violations;
        ensure!(found.contains_key(kind), "the judge overlooks {kind} ({index}): {found:?}");
    }
    let found = judge(&sound_with_jitter()).violations;
    ensure!(found.is_empty(), "the judge finds violations in a sound run with jitter: {found:?}");
    for (index, (kind, mutate)) in JITTER_MUTATIONS.iter().enumerate() {
        let mut evidence = sound_with_jitter();
        mutate(&mut evidence);
        let found = judge(&evidence).violations;
        ensure!(found.contains_key(kind), "the judge overlooks {kind} of jitter ({index})");
    }
    let found = judge(&evidence_delayed()).violations;
    ensure!(found.is_empty(), "the judge does not excuse a plan that was not known: {found:?}");
    // It does not come by the new plan as well.
    let mut evidence = evidence_delayed();
    repeated_when_due(&mut evidence);
    let found = judge(&evidence).violations;
    ensure!(
        found.contains_key("needless duplicate"),
        "a delayed occurrence comes twice: {found:?}"
    );
    for (index, mutate) in EXCUSED.iter().enumerate() {
        let mut evidence = sound();
        mutate(&mut evidence);
        let found = judge(&evidence).violations;
        ensure!(found.is_empty(), "the judge does not excuse ({index}): {found:?}");
    }
    Ok(())
}
