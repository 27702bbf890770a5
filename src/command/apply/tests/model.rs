//! The rules of occurrences once more, written down for single ones, against random events:
//! results, reports, manual runs, replays. And what must hold of the state after every step,
//! whatever happens.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::random::{random_begin, random_occurrence, random_record, random_report};
use super::*;
use crate::model::attempt::SkipReason;
use crate::model::job::PARKED;
use crate::model::run::{Occurrence, Report, Run};
use crate::store::{Page, attempts, dead_letters, pending, runs};

/// The occurrences that wait and for which attempt, those that are dead, and those that a receiver
/// works on.
type Seen = (BTreeMap<Occurrence, u32>, Vec<Occurrence>, Vec<Occurrence>);
/// Three numbers that say what happens, and two more.
type Event = (u8, (u8, u8, u8), u8, u8);

fn events(n: usize) -> impl Strategy<Value = Vec<Event>> {
    let event = (any::<u8>(), any::<(u8, u8, u8)>(), any::<u8>(), any::<u8>());
    prop::collection::vec(event, 1..n)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(feature = "slow") { 64 } else { 16 }))]

    #[test]
    fn every_occurrence_ends_by_the_rules(events in events(60)) {
        let mut state = ApplyFixture::new();
        state.jobs(every_minute(), 60);
        let mut model = Model::default();
        let mut seq = [1, 1, 1];
        for (kind, numbers, node, row) in events {
            match kind % 16 {
                0 => {
                    let id = u64::from(numbers.1 % 8) + 1;
                    if let Outcome::Run(of) = state.done(Command::RunJob { id, forced: false }) {
                        model.known.insert(of, State::Waiting(1));
                    }
                }
                1 | 2 => {
                    let letters = letters(&state);
                    if let Some(letter) = letters.get(usize::from(row) % letters.len().max(1)) {
                        state.done(Command::ReplayDeadLetters { letters: vec![(letter.id, 0)] });
                        for job in letter.members.iter() {
                            let of = Occurrence { job, scheduled: letter.scheduled, run: letter.run };
                            model.known.insert(of, State::Waiting(letter.attempt + 1));
                        }
                    }
                }
                3..=5 => {
                    let report = random_report(numbers.0);
                    let all = all_runs(&state);
                    if let Some(run) = all.get(usize::from(row) % all.len().max(1)) {
                        model.report(run, &report);
                        let occurrence = run.occurrence;
                        state.done(Command::ReportRun { occurrence, report });
                    }
                }
                _ => {
                    let node = u64::from(node % 2) + 1;
                    let record = for_a_row(&state, random_record(numbers), row);
                    let live = node == 1 && record.epoch == 1;
                    model.event(&record, live);
                    state.done(journal_batch(node, node.into(), seq[node as usize], vec![record]));
                    seq[node as usize] += 1;
                }
            }
            prop_assert_eq!(model.seen(), seen(&state));
            prop_assert_eq!(broken(&state), Vec::<String>::new());
        }
    }

    #[test]
    fn the_state_agrees_with_itself_whatever_happens(events in events(90)) {
        let mut state = ApplyFixture::new();
        state.jobs(every_minute(), 60);
        let mut seq = [1, 1, 1];
        for (kind, numbers, node, row) in events {
            let node = u64::from(node % 2) + 1;
            state.now += i64::from(row % 4) * 5_000;
            let rows = state.read(|c| pending::for_shard(c, 0));
            let row_of = |row: u8| rows.get(usize::from(row) % rows.len().max(1));
            let command = match kind % 16 {
                0 => Command::RunJob { id: u64::from(numbers.1 % 8) + 1, forced: row > 128 },
                1 => Command::ReplayDeadLetters { letters: vec![(u64::from(row % 9), 0)] },
                2 => Command::ReportRun {
                    occurrence: random_occurrence(numbers.1, numbers.2),
                    report: random_report(numbers.0),
                },
                3 | 4 => {
                    let all = all_runs(&state);
                    let Some(run) = all.get(usize::from(row) % all.len().max(1)) else { continue };
                    let occurrence = run.occurrence;
                    Command::ReportRun { occurrence, report: random_report(numbers.0) }
                }
                5 => Command::Expire { limit: 3 },
                6 if row < 24 => Command::DeleteJob { id: u64::from(numbers.1 % 8) + 1, expect: None },
                6 if row > 230 => Command::Assign(vec![Move {
                    shard: 0,
                    to: node,
                    expects: 1,
                    kind: MoveKind::TakeOver,
                }]),
                7..=9 => {
                    let mut begin = random_begin(numbers);
                    if let (Some(row), true) = (row_of(row), row > 100) {
                        let job = row.members.iter().next().unwrap_or(1);
                        let (scheduled, run) = (row.scheduled, row.run);
                        begin.occurrence = Occurrence { job, scheduled, run };
                        (begin.pending, begin.attempt) = (Some(row.id), row.attempt);
                        begin.due = row.due;
                    }
                    Command::BeginRun(begin)
                }
                10 => {
                    let first = seq[node as usize];
                    seq[node as usize] += 1;
                    let entries = vec![mark(0, 1, START + i64::from(row) * 1_000)];
                    Command::Record(JournalBatch { node, incarnation: node.into(), first, entries })
                }
                _ => {
                    let record = for_a_row(&state, random_record(numbers), row);
                    seq[node as usize] += 1;
                    journal_batch(node, node.into(), seq[node as usize] - 1, vec![record])
                }
            };
            state.apply(&command);
            prop_assert_eq!(broken(&state), Vec::<String>::new(), "after {:?}", command);
        }
    }
}

/// Half of the results are of attempts made for a row: of its members, some.
fn for_a_row(state: &ApplyFixture, record: AttemptRecord, row: u8) -> AttemptRecord {
    let rows = state.read(|c| pending::for_shard(c, 0));
    if row < 128 || rows.is_empty() || record.since.is_some() {
        return record;
    }
    let chosen = &rows[usize::from(row) % rows.len()];
    let some = chosen.members.without(&record.members);
    AttemptRecord {
        due: chosen.due,
        scheduled: chosen.scheduled,
        attempt: chosen.attempt,
        pending: Some(chosen.id),
        run: chosen.run,
        members: some,
        ..record
    }
}

#[derive(Default)]
struct Model {
    known: BTreeMap<Occurrence, State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(u32),
    Running,
    Ended(Verdict),
}

impl Model {
    fn event(&mut self, record: &AttemptRecord, live: bool) {
        if record.since.is_some() {
            for minute in 0..4 {
                let scheduled = START + minute * 60_000;
                for job in record.members.iter() {
                    if record.since <= Some(scheduled) && scheduled <= record.due {
                        let of = Occurrence { job, scheduled, run: 0 };
                        self.known.entry(of).or_insert(State::Ended(record.verdict));
                    }
                }
            }
            return;
        }
        for job in record.members.iter() {
            let of = Occurrence { job, scheduled: record.scheduled, run: record.run };
            let known = self.known.get(&of).copied();
            let waits = matches!(known, Some(State::Waiting(_)));
            // Neither over nor a receiver's.
            let free = known.is_none() || waits;
            let news = known.is_none() || (waits && record.pending.is_some());
            let next = match record.verdict {
                Verdict::Delivered => Some(State::Ended(Verdict::Delivered)),
                Verdict::Retry { .. } if news => Some(State::Waiting(record.attempt + 1)),
                Verdict::Postponed { .. } if news && live => Some(State::Waiting(record.attempt)),
                Verdict::Running => match known {
                    None => Some(State::Running),
                    Some(State::Waiting(attempt)) if attempt <= record.attempt => {
                        Some(State::Running)
                    }
                    _ => None,
                },
                Verdict::Dead if free && live => Some(State::Ended(Verdict::Dead)),
                Verdict::Skipped(_) if free => Some(State::Ended(record.verdict)),
                _ => None,
            };
            if let Some(next) = next {
                self.known.insert(of, next);
            }
        }
    }

    fn report(&mut self, run: &Run, report: &Report) {
        let next = match report {
            Report::Heartbeat => return,
            Report::Complete => State::Ended(Verdict::Delivered),
            Report::Cancel => State::Ended(Verdict::Skipped(SkipReason::Cancelled)),
            Report::Fail { retry: true, .. } if run.attempt - run.base <= run.retry.max => {
                State::Waiting(run.attempt + 1)
            }
            Report::Fail { .. } => State::Ended(Verdict::Dead),
        };
        self.known.insert(run.occurrence, next);
    }

    /// The result that `seen` has to have.
    fn seen(&self) -> Seen {
        let mut waiting = BTreeMap::new();
        let (mut dead, mut running) = (Vec::new(), Vec::new());
        for (of, state) in &self.known {
            match state {
                State::Waiting(attempt) => {
                    waiting.insert(*of, *attempt);
                }
                State::Running => running.push(*of),
                State::Ended(Verdict::Dead) => dead.push(*of),
                State::Ended(_) => {}
            }
        }
        (waiting, dead, running)
    }
}

fn seen(state: &ApplyFixture) -> Seen {
    let mut waiting = BTreeMap::new();
    for row in state.read(|c| pending::for_shard(c, 0)) {
        for job in row.members.iter() {
            let of = Occurrence { job, scheduled: row.scheduled, run: row.run };
            assert_eq!(waiting.insert(of, row.attempt), None, "{of:?} is in two rows");
        }
    }
    let mut dead: Vec<_> = letters(state).iter().flat_map(dead_ones).collect();
    dead.sort_unstable();
    let running =
        all_runs(state).iter().filter(|run| run.accepted).map(|run| run.occurrence).collect();
    (waiting, dead, running)
}

pub(super) fn letters(state: &ApplyFixture) -> Vec<dead_letters::DeadLetter> {
    let page = Page { limit: 10_000, ..Page::default() };
    state.read(|c| dead_letters::list(c, &dead_letters::Filter::default(), &page)).1
}

fn dead_ones(letter: &dead_letters::DeadLetter) -> Vec<Occurrence> {
    let (scheduled, run) = (letter.scheduled, letter.run);
    letter.members.iter().map(|job| Occurrence { job, scheduled, run }).collect()
}

pub(super) fn all_runs(state: &ApplyFixture) -> Vec<Run> {
    state.read(|c| {
        let runs = (1..=60).map(|job| runs::of_job(c, job));
        Ok(runs.collect::<rusqlite::Result<Vec<_>>>()?.concat())
    })
}

/// The rules in the head of `record` that do not hold.
pub(super) fn broken(state: &ApplyFixture) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut over: BTreeMap<Occurrence, Vec<Verdict>> = BTreeMap::new();
    for recorded in state.read(|c| attempts::after(c, 0, 0)) {
        let record = &recorded.record;
        for job in record.members.iter().filter(|_| recorded.is_end() && record.since.is_none()) {
            let of = Occurrence { job, scheduled: record.scheduled, run: record.run };
            over.entry(of).or_default().push(record.verdict);
        }
    }
    // It has no end state, or is a replay of a dead letter.
    let open = |of: &Occurrence, base: u32| {
        over.get(of).is_none_or(|ends| base > 0 && ends.iter().all(|v| *v == Verdict::Dead))
    };
    let runs = all_runs(state);
    let mut held = BTreeMap::new();
    for row in state.read(|c| pending::for_shard(c, 0)) {
        for job in row.members.iter() {
            let of = Occurrence { job, scheduled: row.scheduled, run: row.run };
            if held.insert(of, row.id).is_some() {
                wrong.push(format!("{of:?} is in two rows"));
            }
            if !open(&of, row.base) {
                wrong.push(format!("{of:?} is over and in a row"));
            }
            if row.next_at == PARKED && !runs.iter().any(|run| run.occurrence.job == job) {
                wrong.push(format!("{of:?} waits for nothing"));
            }
        }
    }
    for run in &runs {
        let of = run.occurrence;
        if !open(&of, run.base) {
            wrong.push(format!("{of:?} is over and has a run"));
        }
        if run.accepted && held.contains_key(&of) {
            wrong.push(format!("{of:?} is accepted and in a row"));
        }
        let waits_for_nobody = run.deadline == Millis::MAX && !run.accepted;
        if waits_for_nobody && !held.contains_key(&of) {
            wrong.push(format!("{of:?} has a run that nothing ends"));
        }
    }
    for of in letters(state).iter().flat_map(dead_ones) {
        let running = runs.iter().any(|run| run.occurrence == of);
        let delivered = over.get(&of).is_some_and(|ends| ends.contains(&Verdict::Delivered));
        if held.contains_key(&of) || running || delivered {
            wrong.push(format!("{of:?} has a dead letter and is not dead"));
        }
    }
    wrong
}
