//! A judge that never finds anything proves nothing: before each run he is shown a sound run, and then
//! the same run with one promise broken at a time. `main` calls it; it needs no cluster.

use std::time::Duration;

use anyhow::ensure;
use scheduler0::model::attempt::{execution_id, parse_execution_id};
use scheduler0::model::shard::shard_of;
use serde_json::json;

use crate::evidence::{Entry, Evidence};
use crate::expected::{Due, Expected, ExpectedJob, Span, Timing};
use crate::faults::{FaultKind, Role};
use crate::hosts::End;
use crate::inject::Window;
use crate::judge::judge;
use crate::receiver::{Answer, Arrival};

const JOB: u64 = 70;
const BORN: i64 = 1_000_000;

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
        mono: Duration::from_millis((scheduled - BORN) as u64),
        answer: Answer::Accepted,
    }
}

/// A job of each two seconds, its four occurrences delivered, and nothing wrong.
fn sound() -> Evidence {
    let timing = Timing::Every(2_000, BORN);
    let job = ExpectedJob {
        id: JOB,
        mortal: false,
        patient: true,
        version: 2,
        data: "d".to_owned(),
        spans: vec![Span { from: BORN, timing, paused: false, jitter: 0, end: None }],
        deleted: None,
    };
    let arrivals: Vec<Arrival> = (1..=4).map(|n| arrival(BORN + n * 2_000)).collect();
    let entry = |one: &Arrival| {
        let (state, reason) = ("delivered".to_owned(), String::new());
        (one.scheduled, Entry { due: one.scheduled, state, reason, id: one.id.clone() })
    };
    let shown = json!({"id": JOB, "version": 2, "data": "d", "status": "active"});
    Evidence {
        horizon: BORN + 9_000,
        ledgers: [(JOB, arrivals.iter().map(entry).collect())].into(),
        jobs: [(JOB, shown)].into(),
        hashes: [(1, Some("h".to_owned())), (2, Some("h".to_owned()))].into(),
        expected: Expected { jobs: [(JOB, job)].into(), ..Expected::default() },
        settled: Some(Duration::ZERO),
        arrivals,
        ..Evidence::default()
    }
}

/// The same job with jitter, of each twenty seconds; each of its occurrences meets a change between
/// the instants at which it is scheduled and due: of the jitter, a pause that is over by then, one
/// that is not, and a last date.
fn moved() -> Evidence {
    let mut evidence = sound();
    let timing = Timing::Every(20_000, BORN);
    let span = Span { from: BORN, timing, paused: false, jitter: 19_000, end: None };
    let book = evidence.expected.jobs.get_mut(&JOB).unwrap();
    book.spans = vec![span];
    let due: Vec<_> = book.due(BORN + 2_000_000).into_iter().collect();
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
    spans[0].0 = BORN;
    book.spans = spans.into_iter().map(|(from, span)| Span { from, ..span }).collect();
    evidence.horizon = late[3] + 19_500;
    let planned = book.due(evidence.horizon);
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

/// The place of the last but so many of those that came.
fn last(evidence: &Evidence, before: usize) -> usize {
    evidence.arrivals.len() - 1 - before
}

/// The ledger's last entry of a state.
fn entry<'e>(evidence: &'e mut Evidence, state: &str) -> &'e mut Entry {
    let ledger = evidence.ledgers.get_mut(&JOB).unwrap();
    ledger.values_mut().rev().find(|entry| entry.state == state).unwrap()
}

/// What is broken of jobs with jitter.
const MOVED: &[(&str, Break)] = &[
    ("early", |e| {
        // When it was scheduled, and not when it was due.
        let index = last(e, 0);
        e.arrivals[index].at = e.arrivals[index].scheduled + 1;
    }),
    ("unaccounted", |e| {
        // Lost with the plan that had it.
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
        // It had its last occurrence long ago.
        e.horizon += 60_000;
    }),
];

fn window(what: FaultKind, node: u64, from: i64, to: i64) -> Window {
    let (role, destination) = (Role::Owner, None);
    Window { what, role, destination, nodes: vec![node], leader: None, from, to }
}

/// The last arrival once more, three seconds later and by another node.
fn again(evidence: &mut Evidence, fence: u64) {
    let mut one = evidence.arrivals[3].clone();
    (one.at, one.mono) = (one.at + 3_000, one.mono + Duration::from_secs(3));
    (one.sender, one.fence) = (Some(1), fence);
    evidence.arrivals.push(one);
}

/// The last arrival was not answered, and its owner sent it again at once, so many times.
fn resent(evidence: &mut Evidence, times: i64) {
    let last = evidence.arrivals[3].clone();
    for nth in 1..=times {
        let (at, answer) = (last.at + nth, last.answer);
        evidence.arrivals.last_mut().unwrap().answer = Answer::Nothing;
        evidence.arrivals.push(Arrival { at, answer, ..last.clone() });
    }
}

/// The ledger has one of the occurrences no more.
fn forgotten(evidence: &mut Evidence, index: usize) {
    let at = evidence.arrivals[index].scheduled;
    let entry = evidence.ledgers.get_mut(&JOB).unwrap().get_mut(&at).unwrap();
    "forgotten".clone_into(&mut entry.state);
}

type Break = fn(&mut Evidence);

/// What is broken, and what the judge must call it.
const BROKEN: &[(&str, Break)] = &[
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
        // The history was cut for a full disk, but the receiver does not have it either.
        forgotten(e, 1);
        e.windows.push(window(FaultKind::DiskFull, 1, BORN + 4_000, BORN + 8_000));
        e.cut.insert(1);
        e.arrivals.remove(1);
    }),
    ("unaccounted", |e| {
        // Due long after there was room again.
        forgotten(e, 3);
        e.windows.push(window(FaultKind::DiskFull, 1, BORN, BORN + 2_000));
        e.cut.insert(1);
    }),
    ("unplanned", |e| e.arrivals.push(arrival(BORN + 3_000))),
    ("unplanned", |e| {
        let extra = e.ledgers[&JOB].values().next().unwrap().clone();
        e.ledgers.get_mut(&JOB).unwrap().insert(BORN + 3_000, extra);
    }),
    ("wrong id", |e| e.arrivals[2].id.push('0')),
    ("lost write", |e| e.jobs.get_mut(&JOB).unwrap()["version"] = json!(1)),
    ("lost write", |e| drop(e.jobs.remove(&JOB))),
    ("lost write", |e| drop(e.jobs.insert(71, json!({"id": 71})))),
    ("state differs", |e| drop(e.hashes.insert(2, Some("other".to_owned())))),
    ("needless duplicate", |e| again(e, 4)),
    ("two owners", |e| again(e, 4)),
    ("needless duplicate", |e| {
        // Another node than the sender died, and the sender's clock jumped: neither is a reason.
        e.windows.push(window(FaultKind::Kill, 3, BORN + 8_500, BORN + 9_500));
        e.windows.push(window(FaultKind::Clock(3_600), 2, BORN + 8_500, BORN + 9_500));
        again(e, 4);
    }),
    ("two owners", |e| {
        // That the sender of the later one was cut off is no reason to send under an old lease.
        e.windows.push(window(FaultKind::Partition, 1, BORN, BORN + 11_000));
        again(e, 2);
    }),
    // One more time is what a kept connection that ends is worth.
    ("two owners", |e| resent(e, 2)),
    ("two owners", |e| {
        resent(e, 1);
        e.arrivals[3].answer = Answer::Accepted;
    }),
    ("ended by itself", |e| e.ends.push(End { node: 1, at: BORN, code: Some(1) })),
    ("panic", |e| e.panics.push("panicked at".to_owned())),
];

/// What a fault excuses.
const EXCUSED: &[Break] = &[
    |e| resent(e, 1),
    |e| {
        e.windows.push(window(FaultKind::Kill, 2, BORN + 8_500, BORN + 9_500));
        again(e, 4);
    },
    |e| {
        e.windows.push(window(FaultKind::Freeze, 1, BORN, BORN + 11_000));
        e.windows.push(window(FaultKind::Freeze, 2, BORN + 8_500, BORN + 9_500));
        again(e, 2);
    },
    |e| {
        e.windows.push(window(FaultKind::DiskFull, 1, BORN, BORN + 11_000));
        e.ends.push(End { node: 1, at: BORN + 500, code: Some(1) });
    },
    |e| {
        // The plan went with the history, after an edit.
        e.ledgers.get_mut(&JOB).unwrap().pop_first();
        e.windows.push(window(FaultKind::DiskFull, 1, BORN + 4_000, BORN + 8_000));
        e.cut.insert(1);
    },
    |e| {
        forgotten(e, 1);
        e.windows.push(window(FaultKind::DiskFull, 1, BORN + 4_000, BORN + 8_000));
        e.cut.insert(1);
    },
];

/// Shows the judge all of them.
pub(crate) fn mutations() -> anyhow::Result<()> {
    let found = judge(&sound()).violations;
    ensure!(found.is_empty(), "the judge finds fault with a sound run: {found:?}");
    for (index, (kind, wreck)) in BROKEN.iter().enumerate() {
        let mut evidence = sound();
        wreck(&mut evidence);
        let found = judge(&evidence).violations;
        ensure!(found.contains_key(kind), "the judge overlooks {kind} ({index}): {found:?}");
    }
    let found = judge(&moved()).violations;
    ensure!(found.is_empty(), "the judge finds fault with jitter: {found:?}");
    for (index, (kind, wreck)) in MOVED.iter().enumerate() {
        let mut evidence = moved();
        wreck(&mut evidence);
        let found = judge(&evidence).violations;
        ensure!(found.contains_key(kind), "the judge overlooks {kind} of jitter ({index})");
    }
    for (index, wreck) in EXCUSED.iter().enumerate() {
        let mut evidence = sound();
        wreck(&mut evidence);
        let found = judge(&evidence).violations;
        ensure!(found.is_empty(), "the judge does not excuse ({index}): {found:?}");
    }
    Ok(())
}
