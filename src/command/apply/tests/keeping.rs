//! Idempotency keys, lists of executions, retention.

use super::*;
use crate::model::attempt::SkipReason;
use crate::model::target::ProjectPause;
use crate::store::counters::{self, OutcomeKind};
use crate::store::executions::{self, Filter, Total};
use crate::store::{attempts, plans, projects};

const DAY: Millis = 24 * 3_600_000;

fn once(key: u8, body: u8, command: Command) -> Command {
    Command::Once { key: [key; 32], body: [body; 32], command: Box::new(command) }
}

fn retain(before: Millis, dead_letters: Millis, limit: u32) -> Command {
    Command::Retain { before, dead_letters, limit }
}

fn project(name: &str) -> Command {
    Command::CreateProject(NewProject {
        name: name.into(),
        description: "d".into(),
        by: None,
        ..NewProject::default()
    })
}

#[test]
fn a_keyed_command_is_carried_out_once() {
    let mut state = ApplyFixture::new();
    assert_eq!(state.done(once(1, 1, project("q"))), Outcome::Created(2));
    assert_eq!(state.done(once(1, 1, project("q"))), Outcome::Created(2));
    assert_eq!(
        state.refused(&once(1, 2, project("r"))),
        (
            RejectionKind::KeyReused,
            "idempotency key was already used with another request body".to_owned()
        )
    );
    assert_eq!(state.refused(&once(2, 1, project("q"))).0, RejectionKind::Conflict);
    assert_eq!(state.done(once(2, 3, project("s"))), Outcome::Created(3), "a refusal is forgotten");
}

#[test]
fn a_key_is_forgotten_after_a_day() {
    let mut state = ApplyFixture::new();
    state.done(once(1, 1, project("a")));
    state.now += DAY;
    assert_eq!(state.done(once(1, 2, project("b"))), Outcome::Created(3), "too old to count");
    state.done(Command::Tick);
    assert_eq!(state.count("idempotency"), 1);
    state.now += DAY + 1;
    state.done(Command::Tick);
    assert_eq!(state.count("idempotency"), 0);
}

/// One delivered record of each of jobs 1..=3 (shards 0), a minute apart, and a watermark behind
/// the last; `settled` says up to where the other shards are.
fn history(settled: Millis) -> ApplyFixture {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 60);
    let mut entries = Vec::new();
    for i in 1..=3_i64 {
        let due = START + i * 60_000;
        let record = AttemptRecord { due, scheduled: due, ..record(1..=2, Verdict::Delivered) };
        entries.push(JournalEntry::Attempt(record));
    }
    for shard in 0..SHARDS {
        entries.push(mark(shard, 1, settled));
    }
    state.done(Command::Record(JournalBatch { node: 1, incarnation: 1, first: 1, entries }));
    state
}

#[test]
fn history_is_dropped_oldest_first_and_never_above_the_lowest_watermark() {
    let mut state = history(START + 150_000);
    let all = |limit| retain(i64::MAX, START, limit);
    assert_eq!(state.done(all(1)), Outcome::Dropped(1));
    assert_eq!(state.read(attempts::oldest_due), Some(START + 120_000));
    assert_eq!(state.read(|c| counters::total(c, None, &OutcomeKind::ALL)), 4);
    assert_eq!(state.done(all(10)), Outcome::Dropped(1));
    assert_eq!(state.done(all(10)), Outcome::Dropped(0));
    assert_eq!(state.count("blocks"), 1, "what is due after the watermark stays");
    assert_eq!(state.done(retain(START, START, 10)), Outcome::Dropped(0));
}

#[test]
fn closed_plans_dead_letters_and_receipts_go_in_their_time() {
    let mut state = history(START + 200_000);
    state.now = START + 100_000;
    state.done(Command::DeleteJob { id: 1, expect: None });
    state.done(journal_batch(1, 2, 1, vec![record([7], Verdict::Dead)]));
    state.done(retain(START + 100_000, START, 100));
    assert_eq!((state.count("closed_plans"), state.count("tasks")), (1, 1));
    state.now += DAY + 1;
    state.done(retain(START + 100_001, START, 100));
    assert_eq!((state.count("closed_plans"), state.count("tasks")), (0, 0));
    assert_eq!(state.read(|c| plans::of_job(c, 1)).len(), 0);
    assert_eq!(state.count("dead_letters"), 1);
    let recorded = START + 100_000;
    state.done(retain(START, recorded, 100));
    assert_eq!(state.count("dead_letters"), 1, "they have an age of their own");
    state.done(retain(START, recorded + 1, 100));
    assert_eq!(state.count("dead_letters"), 0);
}

#[test]
fn pauses_of_projects_go_with_the_history() {
    let mut state = history(START + 200_000);
    let pause = |from, until| ProjectPause { project: 1, from, until, by_quota: false };
    let over = pause(START, Some(START + 1_000));
    let open = pause(START + 2_000, None);
    let added = state.writer.transaction(|tx| {
        projects::add_pause(tx, &over)?;
        projects::add_pause(tx, &open)
    });
    added.unwrap_or_else(|e: rusqlite::Error| panic!("{e}"));
    state.done(retain(START + 1_000, START, 10));
    assert_eq!(state.read(|c| projects::pauses(c, 1)), [over, open]);
    state.done(retain(START + 1_001, START, 10));
    assert_eq!(state.read(|c| projects::pauses(c, 1)), [open]);
}

#[test]
fn the_size_of_the_history_is_that_of_its_rows_and_not_of_its_members() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 60);
    assert_eq!(state.read(attempts::bytes), 0);
    let wide = record(1..=50, Verdict::Delivered);
    state.done(journal_batch(1, 1, 1, vec![wide.clone()]));
    let one = state.read(attempts::bytes);
    assert!((200..300).contains(&one), "a row of 50 members takes {one}");
    let told =
        AttemptRecord { error: Some("größer".into()), response: Some("é".repeat(50)), ..wide };
    state.done(journal_batch(1, 1, 2, vec![told]));
    assert_eq!(state.read(attempts::bytes), 2 * one + 8 + 100);
    for shard in 0..SHARDS {
        state.done(Command::Record(JournalBatch {
            node: 1,
            incarnation: 1,
            first: u64::from(shard) + 3,
            entries: vec![mark(shard, 1, START + 90_000)],
        }));
    }
    assert_eq!(state.done(retain(i64::MAX, START, 1)), Outcome::Dropped(1));
    assert_eq!(state.read(attempts::bytes), one + 8 + 100);
    assert_eq!(state.done(retain(i64::MAX, START, 9)), Outcome::Dropped(1));
    assert_eq!(state.read(attempts::bytes), 0);
}

#[test]
fn executions_are_listed_member_by_member() {
    let mut state = history(START);
    let skipped = AttemptRecord {
        due: START + 240_000,
        ..record([2, 40], Verdict::Skipped(SkipReason::Paused))
    };
    state.done(journal_batch(1, 1, 68, vec![skipped]));
    let list = |filter: &Filter, limit, offset, descending| {
        let (total, page) = state.read(|c| executions::list(c, filter, limit, offset, descending));
        let page: Vec<_> =
            page.into_iter().map(|e| (e.id, e.job, (e.due - START) / 60_000)).collect();
        assert!(total.exact);
        (total.count, page)
    };
    let all = Filter::default();
    let every = vec![
        (1, 1, 1),
        (2, 2, 1),
        (3, 1, 2),
        (4, 2, 2),
        (5, 1, 3),
        (6, 2, 3),
        (7, 2, 4),
        (8, 40, 4),
    ];
    assert_eq!(list(&all, 50, 0, false), (8, every.clone()));
    let reversed: Vec<_> = every.iter().rev().copied().collect();
    assert_eq!(list(&all, 50, 0, true), (8, reversed.clone()));
    for offset in 0..9 {
        let part = |whole: &[(u64, u64, i64)]| {
            whole.iter().skip(offset).take(3).copied().collect::<Vec<_>>()
        };
        assert_eq!(list(&all, 3, offset as u64, false).1, part(&every), "from {offset}");
        assert_eq!(list(&all, 3, offset as u64, true).1, part(&reversed), "back from {offset}");
    }
    // By key: each page goes on where the one before ended, also within a record.
    let job = Filter { job: Some(2), ..Filter::default() };
    for filter in [&all, &job] {
        for (limit, descending) in [(1, false), (1, true), (3, false), (3, true), (50, true)] {
            let (mut paged, mut after) = (Vec::new(), None);
            loop {
                let filter = Filter { after, ..filter.clone() };
                let (_, page) = state.read(|c| executions::list(c, &filter, limit, 0, descending));
                let Some(end) = page.last() else { break };
                after = Some((end.due, end.id));
                paged.extend(page.into_iter().map(|e| e.id));
            }
            let (total, whole) = state.read(|c| executions::list(c, filter, 50, 0, descending));
            let whole: Vec<_> = whole.into_iter().map(|e| e.id).collect();
            assert_eq!(paged, whole, "{limit} {descending}");
            assert_eq!(total, Total { count: whole.len() as u64, exact: true });
        }
    }
    assert_eq!(list(&job, 2, 1, true), (4, vec![(6, 2, 3), (4, 2, 2)]));
    let kind = Filter { kinds: vec![OutcomeKind::Skipped], ..Filter::default() };
    assert_eq!(list(&kind, 9, 0, false), (2, vec![(7, 2, 4), (8, 40, 4)]));
    let between = Filter {
        project: Some(1),
        from: Some(START + 120_000),
        until: Some(START + 180_000),
        ..Filter::default()
    };
    assert_eq!(list(&between, 1, 0, false), (4, vec![(3, 1, 2)]));
    assert_eq!(list(&Filter { project: Some(2), ..all }, 9, 0, false), (0, vec![]));
    let one = state.read(|c| executions::get(c, 8)).unwrap();
    assert_eq!((one.job, one.verdict), (40, Verdict::Skipped(SkipReason::Paused)));
    assert_eq!(state.read(|c| executions::get(c, 9)), None);
    let of = state.read(|c| executions::of_occurrence(c, 2, START + 120_000));
    assert_eq!(of.iter().map(|e| e.id).collect::<Vec<_>>(), [4]);
}

#[test]
fn what_lies_far_back_is_found_and_its_number_estimated() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 60);
    for first in (0..5_000).step_by(1_000) {
        let record = |i: u64| {
            let due = second(i);
            let of = record([1, 2 + i % 2], Verdict::Delivered);
            JournalEntry::Attempt(AttemptRecord { due, scheduled: due, ..of })
        };
        let entries = (first..first + 1_000).map(record).collect();
        let first = first + 1;
        state.done(Command::Record(JournalBatch { node: 1, incarnation: 1, first, entries }));
    }
    let filter = Filter { job: Some(2), ..Filter::default() };
    let list = |filter: &Filter, limit, offset, descending| {
        state.read(|c| executions::list(c, filter, limit, offset, descending))
    };
    let about = Total { count: 2_500, exact: false };
    for descending in [false, true] {
        let (total, whole) = list(&filter, 5_000, 0, descending);
        assert_eq!((total, whole.len()), (about, 2_500));
        assert_eq!(list(&filter, 40, 2_480, descending), (about, whole[2_480..].to_vec()));
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let (total, page) = list(&Filter { after, ..filter.clone() }, 700, 0, descending);
            assert_eq!(total, about, "the same on every page");
            let Some(end) = page.last() else { break };
            after = Some((end.due, end.id));
            paged.extend(page);
        }
        assert_eq!(paged, whole);
    }
    let counted = |filter: Filter| list(&filter, 0, 0, true).0;
    let recent = Filter { from: Some(second(1_000)), ..filter.clone() };
    assert_eq!(counted(recent), Total { count: 2_000, exact: true });
    let dead = Filter { kinds: vec![OutcomeKind::Dead], ..filter.clone() };
    assert_eq!(counted(dead), Total { count: 0, exact: false });
    let other = Filter { project: Some(2), ..filter };
    assert_eq!(counted(other).count, 0);
}

/// The instants of a job that is due each second.
fn second(i: u64) -> Millis {
    START + (i as Millis + 1) * 1_000
}

#[test]
fn tallies_follow_the_records() {
    let state = history(START);
    let hour = START.div_euclid(counters::HOUR) * counters::HOUR;
    let found = state.read(|c| counters::between(c, Some(1), hour, hour + counters::HOUR));
    let expected =
        counters::HourlyCount { hour, project: 1, kind: OutcomeKind::Delivered, count: 6 };
    assert_eq!(found, [expected]);
    assert!(state.read(|c| counters::between(c, None, hour + counters::HOUR, i64::MAX)).is_empty());
}
