//! Results: cursors, and what becomes of each occurrence.

use super::*;
use crate::model::attempt::SkipReason;
use crate::model::job::Timing;
use crate::model::result_code::ResultCode;
use crate::store::{attempts, cursors, dead_letters, jobs, pending, shards};

const RETRY: Verdict = Verdict::Retry { at: START + 65_000 };
const LATE: Verdict = Verdict::Skipped(SkipReason::Misfire);

/// A state with 60 jobs, all of shard 0, and the journals of nodes 1 and 2 that records are
/// appended to.
pub(super) struct JournalFixture {
    pub(super) state: ApplyFixture,
    pub(super) next: [u64; 3],
}

impl JournalFixture {
    pub(super) fn new() -> Self {
        let mut state = ApplyFixture::new();
        state.jobs(every_minute(), 60);
        Self { state, next: [1; 3] }
    }

    pub(super) fn tell(&mut self, node: u64, record: AttemptRecord) -> &mut Self {
        let first = self.next[node as usize];
        self.next[node as usize] += 1;
        self.state.done(journal_batch(node, node.into(), first, vec![record]));
        self
    }

    /// Node 2 takes shard 0 over: epoch 2.
    pub(super) fn taken_over(&mut self) -> &mut Self {
        let moved = Move { shard: 0, to: 2, expects: 1, kind: MoveKind::TakeOver };
        self.state.done(Command::Assign(vec![moved]));
        self
    }

    pub(super) fn rows(&self) -> Vec<(u64, u32, Vec<u64>)> {
        let rows = self.state.read(|c| pending::for_shard(c, 0));
        rows.into_iter().map(|r| (r.id, r.attempt, r.members.iter().collect())).collect()
    }

    pub(super) fn dead(&self) -> Vec<Vec<u64>> {
        let (_, list) = self.state.read(|c| {
            dead_letters::list(c, &dead_letters::Filter::default(), &crate::store::Page::default())
        });
        list.into_iter().map(|d| d.members.iter().collect()).collect()
    }

    pub(super) fn records(&self) -> Vec<attempts::StoredAttempt> {
        self.state.read(|c| attempts::after(c, 0, 0))
    }
}

fn second(record: AttemptRecord) -> AttemptRecord {
    AttemptRecord { epoch: 2, ..record }
}

fn again(row: u64, attempt: u32, record: AttemptRecord) -> AttemptRecord {
    AttemptRecord { attempt, pending: Some(row), ..record }
}

#[test]
fn a_journal_is_taken_in_order_and_once() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 10);
    let some = |first, n: u64| {
        let records = (first..first + n).map(|i| record([i], Verdict::Delivered)).collect();
        journal_batch(1, 9, first, records)
    };
    assert_eq!(state.refused(&some(2, 1)).0, RejectionKind::Conflict);
    state.done(some(1, 3));
    assert!(state.change.executions);
    state.done(some(1, 3));
    assert!(!state.change.executions, "all of it was known");
    state.done(some(2, 4));
    assert_eq!(state.count("blocks"), 5);
    let (kind, why) = state.refused(&some(7, 1));
    assert_eq!(kind, RejectionKind::Conflict);
    assert!(why.contains("expected sequence 6"), "{why}");
    assert_eq!(state.read(|c| cursors::get(c, 1)), Some((9, 5)));
}

#[test]
fn a_new_journal_begins_at_one_and_an_old_one_is_not_taken_for_new() {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 10);
    let one = |incarnation, first| journal_batch(1, incarnation, first, vec![record([1], RETRY)]);
    state.done(one(9, 1));
    assert_eq!(state.refused(&one(10, 2)).0, RejectionKind::Conflict);
    state.done(one(10, 1));
    assert_eq!(state.read(|c| cursors::get(c, 1)), Some((10, 1)));
    state.done(one(9, 1));
    assert_eq!(state.count("blocks"), 2, "a doubled batch of the old file is known");
    assert_eq!(state.read(|c| cursors::get(c, 1)), Some((10, 1)));
}

#[test]
fn watermarks_count_from_the_live_epoch_and_the_closing_one() {
    let mut state = ApplyFixture::new();
    let told = |node, first, entry| {
        Command::Record(JournalBatch {
            node,
            incarnation: node.into(),
            first,
            entries: vec![entry],
        })
    };
    let watermark = |state: &ApplyFixture| state.read(shards::all)[3].settled();
    state.done(told(1, 1, mark(3, 1, START + 10)));
    assert_eq!(watermark(&state), START + 10);
    state.done(told(2, 1, mark(3, 1, START + 20)));
    state.done(told(1, 2, mark(3, 2, START + 20)));
    state.done(told(1, 3, mark(99, 1, START + 20)));
    assert_eq!(watermark(&state), START + 10);
    let kind = MoveKind::HandOver { until: START + 50 };
    state.done(Command::Assign(vec![Move { shard: 3, to: 2, expects: 1, kind }]));
    state.done(told(1, 4, mark(3, 1, START + 30)));
    assert_eq!((watermark(&state), state.change.shards), (START + 30, false));
    state.done(told(1, 5, mark(3, 1, START + 50)));
    assert_eq!((watermark(&state), state.change.shards), (START + 50, true));
}

#[test]
fn what_fails_as_one_is_one_row_and_what_is_delivered_leaves_it() {
    let mut fixture = JournalFixture::new();
    fixture.tell(1, record(1..=10, RETRY));
    assert_eq!(fixture.rows(), [(1, 2, (1..=10).collect())]);
    assert_eq!(fixture.state.change.pending, [0]);
    // The second attempt goes out in two halves.
    fixture.tell(1, again(1, 2, record(1..=5, Verdict::Delivered)));
    assert_eq!(fixture.rows(), [(1, 2, (6..=10).collect())]);
    fixture.tell(1, again(1, 2, record(6..=10, RETRY)));
    assert_eq!(fixture.rows(), [(2, 3, (6..=10).collect())]);
    fixture.tell(1, again(2, 3, record(6..=10, Verdict::Dead)));
    assert_eq!((fixture.rows(), fixture.dead()), (vec![], vec![(6..=10).collect()]));
    assert_eq!(fixture.records().len(), 4);
}

#[test]
fn delivered_beats_everything_also_from_a_past_epoch() {
    let mut fixture = JournalFixture::new();
    fixture.taken_over();
    fixture.tell(2, second(record(1..=4, RETRY)));
    fixture.tell(2, second(record(5..=6, Verdict::Dead)));
    assert_eq!((fixture.rows().len(), fixture.dead().len()), (1, 1));
    fixture.tell(1, record([2, 3, 5, 9], Verdict::Delivered));
    assert_eq!(fixture.rows(), [(1, 2, vec![1, 4])]);
    assert_eq!(fixture.dead(), [[6]]);
    assert!(fixture.records()[2].stale);
    // The owner's own late failure at one of them is history and nothing else.
    fixture.tell(2, again(1, 2, second(record(1..=4, RETRY))));
    assert_eq!(fixture.rows(), [(2, 3, vec![1, 4])]);
}

#[test]
fn a_dead_of_a_past_epoch_is_an_attempt_and_takes_no_row_away() {
    let mut fixture = JournalFixture::new();
    fixture.tell(1, record([1], RETRY)).taken_over();
    fixture.tell(1, again(1, 2, record([1], Verdict::Dead)));
    fixture.tell(1, record([2], Verdict::Dead));
    assert_eq!((fixture.rows(), fixture.dead().len()), (vec![(1, 2, vec![1])], 0));
    assert!(fixture.records().iter().all(|b| !b.is_end()));
    // For 2 the owner's failure still counts: it has no end state.
    fixture.tell(2, second(record([2], RETRY)));
    assert_eq!(fixture.rows().len(), 2);
}

#[test]
fn a_late_failure_of_a_past_epoch_makes_a_row_only_where_nothing_is_known() {
    let mut fixture = JournalFixture::new();
    fixture.taken_over();
    fixture.tell(2, second(record([1], Verdict::Delivered)));
    fixture.tell(2, second(record([2], Verdict::Dead)));
    fixture.tell(2, second(record([3], LATE)));
    fixture.tell(2, second(record([4], RETRY)));
    let range = AttemptRecord { since: Some(START), due: START + 90_000, ..record([5], LATE) };
    fixture.tell(2, second(range));
    fixture.tell(1, record(1..=6, RETRY));
    let members: Vec<_> = fixture.rows().into_iter().map(|(_, _, members)| members).collect();
    assert_eq!(members, [vec![4], vec![6]]);
    fixture.tell(1, record([6, 7], RETRY));
    let members: Vec<_> = fixture.rows().into_iter().map(|(_, _, members)| members).collect();
    assert_eq!(members, [vec![4], vec![6], vec![7]]);
}

#[test]
fn the_first_end_state_stands() {
    let mut fixture = JournalFixture::new();
    fixture.tell(1, record([1, 2], LATE));
    fixture.tell(1, record(1..=3, Verdict::Dead));
    assert_eq!(fixture.dead(), [[3]]);
    fixture.tell(1, record(1..=4, LATE));
    let last = fixture.records().pop().unwrap();
    assert_eq!(last.record.members.iter().collect::<Vec<_>>(), [4], "the others were settled");
    fixture.tell(1, record(1..=4, LATE));
    assert_eq!(fixture.records().len(), 3, "a skip of what is settled says nothing");
}

#[test]
fn a_skipped_retry_leaves_its_row() {
    let mut fixture = JournalFixture::new();
    fixture.tell(1, record([1, 2], RETRY));
    let disabled = Verdict::Skipped(SkipReason::Disabled);
    fixture.tell(1, again(1, 2, record([1], disabled)));
    assert_eq!(fixture.rows(), [(1, 2, vec![2])]);
    fixture.tell(1, again(1, 2, record([1], disabled)));
    assert_eq!(fixture.records().len(), 2, "1 is settled");
    // A range is about what has no row.
    fixture.tell(1, AttemptRecord { since: Some(START), ..record([2], LATE) });
    assert_eq!(fixture.rows(), [(1, 2, vec![2])]);
}

#[test]
fn other_instants_are_other_occurrences() {
    let mut fixture = JournalFixture::new();
    let minute = |b: AttemptRecord| AttemptRecord {
        due: b.due + 60_000,
        scheduled: b.scheduled + 60_000,
        ..b
    };
    fixture.tell(1, record([1], RETRY));
    fixture.tell(1, minute(record([1], Verdict::Delivered)));
    assert_eq!(fixture.rows().len(), 1);
    fixture.tell(1, minute(minute(record([1], Verdict::Dead))));
    fixture.tell(1, record([1], Verdict::Dead));
    assert_eq!((fixture.rows().len(), fixture.dead().len()), (0, 2));
}

#[test]
fn a_record_of_no_members_or_an_unknown_shard_does_no_harm() {
    let mut fixture = JournalFixture::new();
    fixture.tell(1, record([], RETRY));
    assert_eq!(fixture.state.count("blocks"), 0);
    fixture.tell(1, AttemptRecord { shard: 99, ..record([1], Verdict::Dead) });
    assert_eq!((fixture.state.count("blocks"), fixture.dead().len()), (1, 0));
}

#[test]
fn what_is_postponed_waits_with_its_number_and_leaves_no_trace() {
    let mut fixture = JournalFixture::new();
    let put_off = |members, at| record(members, Verdict::Postponed { at });
    fixture.tell(1, put_off(vec![1, 2], START + 70_000));
    assert_eq!((fixture.rows(), fixture.state.count("blocks")), (vec![(1, 1, vec![1, 2])], 0));
    assert_eq!(fixture.state.change.pending, [0]);
    assert!(!fixture.state.change.executions);
    fixture.tell(1, again(1, 1, put_off(vec![2], START + 80_000)));
    assert_eq!(fixture.rows(), [(1, 1, vec![1]), (2, 1, vec![2])]);
    fixture.tell(1, again(2, 1, record([2], RETRY)));
    fixture.tell(1, again(3, 2, put_off(vec![2], START + 90_000)));
    assert_eq!(fixture.rows(), [(1, 1, vec![1]), (4, 2, vec![2])], "a retry keeps its number");
    // Members that are over or in a row are passed over, and so is what a past owner deferred.
    fixture.tell(1, record([3], Verdict::Delivered));
    fixture.tell(1, put_off(vec![1, 3], START + 70_000));
    fixture.taken_over();
    fixture.tell(1, put_off(vec![4], START + 70_000));
    fixture.tell(1, again(1, 1, put_off(vec![1], START + 99_000)));
    assert_eq!(fixture.rows(), [(1, 1, vec![1]), (4, 2, vec![2])]);
}

fn status(fixture: &JournalFixture, job: u64) -> Option<JobStatus> {
    fixture.state.read(|c| jobs::get(c, job)).map(|job| job.status)
}

#[test]
fn gone_disables_a_single_job_for_which_its_owner_speaks() {
    let mut fixture = JournalFixture::new();
    let gone = |members: Vec<u64>, verdict| AttemptRecord {
        result: ResultCode::Http(410),
        ..record(members, verdict)
    };
    fixture.tell(1, gone(vec![1, 2], Verdict::Dead));
    fixture.tell(1, gone(vec![3], RETRY));
    fixture.tell(1, record([4], Verdict::Dead));
    fixture.tell(2, gone(vec![5], Verdict::Dead));
    let all = |fixture: &JournalFixture| {
        (1..=8).filter(|id| status(fixture, *id) != Some(JobStatus::Active)).collect::<Vec<_>>()
    };
    assert_eq!(all(&fixture), [0; 0]);
    fixture.tell(1, gone(vec![6], Verdict::Dead));
    assert_eq!(
        (status(&fixture, 6), fixture.state.change.edited.clone()),
        (Some(JobStatus::Disabled), vec![6])
    );
    fixture.tell(1, AttemptRecord { run: 5, ..gone(vec![7], Verdict::Dead) });
    assert_eq!(all(&fixture), [6, 7], "a manual run tells as much");
    // An edit after the request went out: the answer may be about the target it had before.
    fixture.state.now = START + 60_002;
    let edit = crate::command::JobEdit { id: 8, definition: every_minute(), ..Default::default() };
    fixture.state.done(Command::UpdateJob(Box::new(edit)));
    fixture.tell(1, gone(vec![8], Verdict::Dead));
    assert_eq!(status(&fixture, 8), Some(JobStatus::Active));
}

#[test]
fn a_one_off_is_completed_by_any_end_of_its_own_occurrence() {
    let mut fixture = JournalFixture::new();
    let definition = JobDefinition {
        timing: Timing::After(60_000),
        spec: String::new(),
        period: None,
        ..every_minute()
    };
    let first = fixture.state.jobs(definition, 5);
    let once = |job, verdict| AttemptRecord { once: true, ..record([job], verdict) };
    let done = |fixture: &JournalFixture| {
        (first..first + 5)
            .filter(|id| status(fixture, *id) == Some(JobStatus::Completed))
            .map(|id| id - first)
            .collect::<Vec<_>>()
    };
    fixture.tell(1, once(first, RETRY));
    fixture.tell(2, once(first, Verdict::Dead));
    fixture.tell(1, AttemptRecord { run: 7, ..once(first, Verdict::Delivered) });
    assert_eq!(done(&fixture), [0; 0], "an attempt, a past epoch's word, a manual run");
    fixture.tell(1, once(first, Verdict::Delivered));
    fixture
        .tell(1, AttemptRecord { result: ResultCode::Http(410), ..once(first + 1, Verdict::Dead) });
    fixture.tell(1, once(first + 2, Verdict::Skipped(SkipReason::Ended)));
    assert_eq!(done(&fixture), [0, 1, 2]);
    let range = AttemptRecord { since: Some(START), due: START + 90_000, ..once(first + 3, LATE) };
    fixture.tell(1, range);
    assert_eq!(done(&fixture), [0, 1, 2, 3]);
    // It is no one-off any more: the end of its old instant is not its own.
    let edit =
        crate::command::JobEdit { id: first + 4, definition: every_minute(), ..Default::default() };
    fixture.state.now = START + 90_000;
    fixture.state.done(Command::UpdateJob(Box::new(edit)));
    fixture.tell(1, once(first + 4, Verdict::Delivered));
    assert_eq!(done(&fixture), [0, 1, 2, 3]);
    // A replay that is delivered leaves it completed.
    fixture.state.done(Command::ReplayDeadLetters { letters: vec![(1, 0)] });
    let row = fixture.rows().pop().unwrap().0;
    fixture.tell(1, again(row, 2, once(first + 1, Verdict::Delivered)));
    assert_eq!((fixture.dead().len(), done(&fixture)), (0, vec![0, 1, 2, 3]));
}

/// The cost of recording; run with `--release -- --ignored --nocapture` to measure.
#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_executions_are_recorded_in_no_time() {
    let mut fixture = JournalFixture::new();
    for round in 1..=20 {
        let due = START + round * 1_000;
        let batch = |shard: u64| {
            // The ids of one shard: runs of 64, 4,096 apart.
            let ids = (0..25).flat_map(|i| (0..64).map(move |n| shard * 64 + i * 4_096 + n));
            AttemptRecord {
                due,
                scheduled: due,
                ..record(ids.filter(|id| *id > 0), Verdict::Delivered)
            }
        };
        let command =
            journal_batch(1, 1, (round as u64 - 1) * 64 + 1, (0..64).map(batch).collect());
        let began = std::time::Instant::now();
        fixture.state.done(command);
        println!("{:?} for {} executions", began.elapsed(), 64 * 25 * 64);
    }
}
