//! A restore: what goes on, what does not, and what the ledger says of the time between.

use super::offers::{offer, taken, terms};
use super::runs::planned;
use super::*;
use crate::command::{Reopened, RestorePolicy, reopen};
use crate::model::attempt::SkipReason;
use crate::model::offer::Offer;
use crate::model::on_offer::OnOffer;
use crate::model::run::Occurrence;
use crate::model::run_terms::RunTerms;
use crate::store::ledger::{self, State};
use crate::store::{attempts, explain, pending, runs, shards};

const MINUTE: Millis = 60_000;

/// The instant of the nth minute.
fn nth(n: i64) -> Millis {
    START + n * MINUTE
}

/// The state of one-minute jobs 1..=10, accounted for up to the second minute; the third was
/// delivered to some and failed for others, and the shards have changed hands twice.
fn before_restore() -> ApplyFixture {
    let mut state = ApplyFixture::new();
    state.jobs(every_minute(), 10);
    state.create_one(at(), one(nth(4) + 500)); // 11
    state.create_one(at(), one(nth(90))); // 12
    let first = |n: i64, members: std::ops::RangeInclusive<u64>, verdict| AttemptRecord {
        due: nth(n),
        scheduled: nth(n),
        started: nth(n) + 3,
        ..record(members, verdict)
    };
    state.now = nth(3) + 100;
    let told = vec![
        JournalEntry::Attempt(first(1, 1..=10, Verdict::Delivered)),
        JournalEntry::Attempt(first(2, 1..=10, Verdict::Delivered)),
        mark(0, 1, nth(2)),
        JournalEntry::Attempt(first(3, 1..=5, Verdict::Delivered)),
        JournalEntry::Attempt(first(3, 6..=6, Verdict::Retry { at: nth(4) })),
        JournalEntry::Attempt(first(3, 7..=7, Verdict::Retry { at: nth(70) })),
    ];
    let (node, incarnation, first, entries) = (1, 1, 1, told);
    state.done(Command::Record(JournalBatch { node, incarnation, first, entries }));
    state.done(Command::Register { node: 1, instance: 77, replace: false });
    state
}

fn restored(due: RestorePolicy) -> (ApplyFixture, Reopened) {
    let mut state = before_restore();
    state.now = nth(60);
    let now = state.now;
    let reopened = state.writer.transaction(|tx| reopen(tx, now, due)).unwrap();
    (state, reopened)
}

impl ApplyFixture {
    fn state_of(&self, job: u64, at: Millis) -> State {
        let now = self.now;
        let found = self.read(|c| explain::explain(c, job, at, now));
        found.unwrap().account.unwrap().state
    }
}

#[test]
fn nothing_that_was_due_before_a_restore_goes_out_unless_it_is_asked_for() {
    let (mut state, reopened) = restored(RestorePolicy::Skip);
    let skipped = State::Skipped(SkipReason::Restored);
    assert_eq!((reopened.settled, reopened.skipped), (START, 2), "other shards settled nothing");
    assert_eq!(state.state_of(1, nth(2)), State::Delivered);
    assert_eq!(state.state_of(1, nth(3)), State::Delivered, "recorded above W");
    assert_eq!(state.state_of(8, nth(3)), skipped);
    assert_eq!(state.state_of(1, nth(60)), skipped);
    assert_eq!(state.state_of(6, nth(3)), skipped, "it waited for an attempt at the fourth minute");
    assert_eq!(state.state_of(7, nth(3)), State::Pending, "its next attempt is still to come");
    assert_eq!(state.state_of(11, nth(4) + 500), skipped);
    assert_eq!(state.job(11).status, JobStatus::Completed);
    assert_eq!(state.job(12).status, JobStatus::Active);
    state.now = nth(61) + 1;
    assert_eq!(state.state_of(1, nth(61)), State::Unrecorded, "from here on all is as ever");

    let now = state.now;
    let told = state.read(|c| ledger::ledger(c, 9, now, (START, nth(62)), 1_000)).unwrap();
    assert_eq!(told.iter().filter(|one| one.state == State::Delivered).count(), 2);
    assert_eq!(told.iter().filter(|one| one.state == skipped).count(), 58);
    let missing = told.iter().filter(|one| one.state == State::Missing);
    assert_eq!(missing.count(), 0);
    let found = state.read(shards::all);
    assert!(found.iter().all(|shard| shard.watermark == nth(60)));
}

#[test]
fn what_was_due_is_caught_up_on_if_asked_for_and_what_was_delivered_is_not() {
    let (mut state, reopened) = restored(RestorePolicy::Fire);
    assert_eq!((reopened.settled, reopened.skipped), (START, 0));
    let found = state.read(shards::all);
    assert_eq!((found[0].watermark, found[1].watermark), (nth(2), START));
    assert_eq!(state.state_of(1, nth(3)), State::Delivered);
    assert_eq!(state.state_of(8, nth(3)), State::Unrecorded);
    assert_eq!(state.state_of(6, nth(3)), State::Pending);
    assert_eq!(state.job(11).status, JobStatus::Active);
    // The next owner leaves alone what the state holds above the watermark.
    let taken = state.read(|c| attempts::after(c, 0, nth(2)));
    assert_eq!(taken.iter().filter(|b| b.is_end()).map(|b| b.record.members.len()).sum::<u64>(), 5);
    state.assign_all(2, found[0].epoch);
}

#[test]
fn numbers_epochs_and_time_go_on_where_the_lost_cluster_cannot_have_been() {
    let before = before_restore();
    let fences: Vec<_> = before.read(shards::all).iter().map(|s| s.last_epoch).collect();
    let (mut state, _) = restored(RestorePolicy::Skip);
    let found = state.read(shards::all);
    for (shard, before) in found.iter().zip(fences) {
        assert_eq!((shard.owner, shard.epoch), (0, shard.last_epoch));
        assert!(shard.fence() >= before + 1_000_000_000 && shard.closing.is_none());
    }
    assert_eq!((state.count("nodes"), state.count("cursors")), (0, 0));
    let mut definition = every_minute();
    definition.retry_max = Some(9);
    assert_eq!(state.jobs(definition, 1), 2_000_000_001);
    assert_eq!(state.job(2_000_000_001).created, nth(60));
    // A journal that begins again is recorded; the cursor of an older one is gone.
    state.done(journal_batch(1, 2, 1, vec![record([1], Verdict::Delivered)]));
    let row = state.read(|c| c.query_row("SELECT max(id) FROM blocks", [], |row| row.get(0)));
    let row: i64 = row;
    assert!(row > 1_000_000_000_000, "{row}");
    let again = state.writer.transaction(|tx| reopen(tx, nth(80), RestorePolicy::Skip));
    assert!(again.is_ok(), "a backup of a restored cluster is one like any other");
    assert_eq!(state.read(|c| crate::store::restore_gaps::of_shard(c, 0)).len(), 2);
}

#[test]
fn offers_are_skipped_or_made_anew_and_what_workers_have_stands() {
    for due in [RestorePolicy::Skip, RestorePolicy::Fire] {
        let mut state = before_restore();
        let terms = RunTerms { start_timeout: Some(30_000), run_timeout: Some(5_000), ..terms() };
        let offered = Offer {
            due: nth(3),
            scheduled: nth(3),
            members: Members::from_sorted([8, 9]),
            terms,
            ..offer(planned(1, 0))
        };
        let members = Members::from_sorted([10]);
        let claimed = taken(Offer { members, ..offered.clone() }, "w");
        let entries = vec![JournalEntry::Offered(offered), JournalEntry::Taken(claimed)];
        state.done(Command::Record(JournalBatch { node: 1, incarnation: 1, first: 7, entries }));
        state.now = nth(60);
        let now = state.now;
        let reopened = state.writer.transaction(|tx| reopen(tx, now, due)).unwrap();
        let offers = state.read(|c| pending::offers(c, 0));
        if due == RestorePolicy::Skip {
            assert_eq!((offers.len(), reopened.skipped), (0, 3 + 1));
            assert_eq!(state.state_of(8, nth(3)), State::Skipped(SkipReason::Restored));
        } else {
            let on_offer = OnOffer { since: now, expires: Some(now + 32_000), executor: 7 };
            assert_eq!(offers.iter().map(|row| row.on_offer).collect::<Vec<_>>(), [Some(on_offer)]);
        }
        // Its run timeout is long over, which its worker has not heard.
        let of = Occurrence { job: 10, scheduled: nth(3), run: 0 };
        assert!(state.read(|c| runs::get(c, of)).unwrap().deadline < now);
        assert_eq!(state.state_of(10, nth(3)), State::Running);
    }
}
