//! Pending rows: what is given out, what is under way, and which results count.

use super::*;
use crate::model::delivery::Retry;
use crate::model::offer::Taken;
use crate::model::run::Phase;
use crate::model::run_terms::{BusKind, RunTerms};

fn row(id: u64, next_at: Millis) -> Pending {
    let members = Members::from_sorted([id]);
    Pending { id, attempt: 2, next_at, ..Pending::new(1, 3, 5, members) }
}

fn pair(next_at: Millis) -> Pending {
    Pending { members: Members::from_sorted([1, 2]), ..row(1, next_at) }
}

fn done<const N: usize>(members: [u64; N], under: Option<u64>) -> RowResult {
    let members = Members::from_sorted(members);
    RowResult { members, under, deferred_to: None, is_offer: false }
}

fn pop(rows: &mut PendingRows) -> Option<Vec<u64>> {
    rows.pop(100, all).map(|row| row.members.iter().collect())
}

fn all(_: ShardId, _: Millis) -> bool {
    true
}

#[test]
fn a_row_fires_once_however_often_it_is_read() {
    let mut rows = PendingRows::default();
    rows.reread(3, vec![row(1, 100), row(2, 50)]);
    assert_eq!(rows.next(all), Some(50));
    assert_eq!(rows.pop(60, all).map(|row| row.id), Some(2));
    assert_eq!(rows.pop(60, all), None, "the other is not due");
    rows.reread(3, vec![row(1, 100), row(2, 50)]);
    assert_eq!(rows.next(all), Some(100), "it is under way");
    rows.piece_finished(2, [done([2], None)]);
    rows.reread(3, vec![row(1, 100), row(2, 50)]);
    assert_eq!(rows.next(all), Some(100), "its result waits in the journal");
    rows.reread(3, vec![row(1, 100), row(3, 90)]);
    assert_eq!(rows.next(all), Some(90), "its next attempt is a new row");
}

#[test]
fn a_closing_range_waits_for_its_rows() {
    let mut rows = PendingRows::default();
    rows.reread(3, vec![row(1, 100), row(2, 200)]);
    assert!(!rows.is_clear(3, 150));
    rows.pop(100, all).unwrap();
    rows.piece_started(1);
    rows.piece_finished(1, None);
    assert!(!rows.is_clear(3, 150), "half of it is under way");
    rows.piece_finished(1, [done([1], None)]);
    assert!(rows.is_clear(3, 150));
    assert!(!rows.is_clear(3, 200));
}

#[test]
fn a_row_that_was_withheld_waits_again_and_a_foreign_one_is_left_alone() {
    let mut rows = PendingRows::default();
    rows.reread(3, vec![row(1, 100)]);
    rows.pop(100, all).unwrap();
    rows.piece_finished(1, None);
    assert_eq!(rows.pop(100, |_, at| at > 100), None);
    assert_eq!(rows.pop(100, all).map(|row| row.id), Some(1));
}

#[test]
fn a_result_of_the_process_before_counts() {
    let mut rows = PendingRows::default();
    rows.recorded_earlier(1, 3, done([1], None));
    rows.reread(3, vec![row(1, 100)]);
    assert_eq!(rows.next(all), None);
}

#[test]
fn what_a_crash_left_of_a_row_goes_out_after_it() {
    let mut rows = PendingRows::default();
    rows.recorded_earlier(1, 3, done([1], None));
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), Some(vec![2]), "the other half never got a result");
    rows.piece_finished(1, [done([2], None)]);
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), None);
}

#[test]
fn what_was_withheld_of_a_row_goes_out_again_when_the_rest_is_over() {
    let mut rows = PendingRows::default();
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), Some(vec![1, 2]));
    rows.piece_started(1);
    rows.piece_finished(1, None);
    assert_eq!(pop(&mut rows), None, "the other half is under way");
    rows.piece_finished(1, [done([1], None)]);
    assert_eq!(pop(&mut rows), Some(vec![2]));
}

#[test]
fn what_was_dead_under_a_past_epoch_is_tried_under_the_present_one() {
    let mut rows = PendingRows::default();
    rows.set_ownerships(BTreeSet::from([(3, 7)]));
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), Some(vec![1, 2]));
    rows.piece_finished(1, [done([1, 2], Some(7))]);
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), None, "the store will take it for an end");
    rows.drop_shard(3);
    rows.set_ownerships(BTreeSet::from([(3, 9)]));
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), Some(vec![1, 2]));
}

#[test]
fn what_was_deferred_waits_for_the_store_to_move_it() {
    let mut rows = PendingRows::default();
    let deferred_to = |at| RowResult { deferred_to: Some(at), ..done([1, 2], None) };
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), Some(vec![1, 2]));
    rows.piece_finished(1, [deferred_to(150)]);
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), None, "not in the store yet");
    rows.reread(3, vec![pair(150)]);
    assert_eq!(rows.next(all), Some(150));
    assert_eq!(rows.pop(150, all).map(|row| row.members.len()), Some(2));
    rows.piece_finished(
        1,
        [done([1], None), RowResult { deferred_to: Some(190), ..done([2], None) }],
    );
    rows.reread(3, vec![pair(150)]);
    assert_eq!(rows.next(all), None);
    rows.reread(3, vec![pair(190)]);
    assert_eq!(rows.pop(190, all).map(|row| row.members.iter().collect()), Some(vec![2_u64]));
}

#[test]
fn what_was_deferred_under_a_past_epoch_is_tried_under_the_present_one() {
    let mut rows = PendingRows::default();
    rows.set_ownerships(BTreeSet::from([(3, 9)]));
    rows.recorded_earlier(1, 3, RowResult { deferred_to: Some(150), ..done([1, 2], Some(7)) });
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), Some(vec![1, 2]), "the store do not take it from there");
}

#[test]
fn a_row_set_aside_waits_for_the_next_read() {
    let mut rows = PendingRows::default();
    rows.reread(3, vec![row(1, 100)]);
    rows.pop(100, all).unwrap();
    rows.await_reread(1);
    assert_eq!(rows.next(all), None);
    rows.reread(3, vec![row(1, Millis::MAX)]);
    assert_eq!(rows.next(|_, at| at < Millis::MAX), None, "it is parked");
    rows.reread(3, vec![row(1, 120)]);
    assert_eq!(rows.pop(120, all).map(|row| row.id), Some(1));
}

#[test]
fn what_is_on_offer_or_taken_by_the_own_journal_is_not_sent_again() {
    let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
    let offer = |id| Offer {
        project: 1,
        shard: 3,
        epoch: 7,
        due: 5,
        scheduled: 5,
        run: 0,
        attempt: 2,
        pending: Some(id),
        members: Members::from_sorted([id]),
        terms: RunTerms::new(BusKind::Embedded, 9, retry),
    };
    let (phase, worker, started) = (Phase::Running, "w".to_owned(), 9);
    let taken = Taken { offer: offer(2), phase, worker, started };
    let entries = [JournalEntry::Offered(offer(1)), JournalEntry::Taken(taken)];
    let entries: Vec<_> = (1..).zip(entries).collect();
    for (epoch, sent) in [(7, vec![3]), (8, vec![1, 3])] {
        let mut rows = PendingRows::from_journal(&entries);
        rows.set_ownerships(BTreeSet::from([(3, epoch)]));
        rows.reread(3, vec![row(1, 100), row(2, 100), row(3, 100)]);
        let mut found = Vec::new();
        while let Some(row) = rows.pop(200, |_, _| true) {
            found.push(row.id);
        }
        assert_eq!(found, sent, "an offer of another epoch settles nothing, a claim does");
    }
}

#[test]
fn what_a_worker_has_of_a_row_is_sent_under_no_epoch_and_an_offer_counts_under_its_own() {
    let mut rows = PendingRows::default();
    rows.set_ownerships(BTreeSet::from([(3, 7)]));
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), Some(vec![1, 2]));
    let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
    let offer = |job| Offer {
        project: 1,
        shard: 3,
        epoch: 7,
        due: 5,
        scheduled: 5,
        run: 0,
        attempt: 2,
        pending: Some(1),
        members: Members::from_sorted([job]),
        terms: RunTerms::new(BusKind::Embedded, 9, retry),
    };
    rows.note_journaled(&JournalEntry::Offered(offer(1)));
    rows.note_journaled(&JournalEntry::Offered(offer(2)));
    rows.piece_finished(1, None);
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), None, "the store will move it");
    // It is claimed when the dispatch is over already.
    let (phase, worker, started) = (Phase::Running, "w".to_owned(), 9);
    let taken = Taken { offer: offer(1), phase, worker, started };
    rows.note_journaled(&JournalEntry::Taken(taken));
    rows.drop_shard(3);
    rows.set_ownerships(BTreeSet::from([(3, 9)]));
    rows.reread(3, vec![pair(100)]);
    assert_eq!(pop(&mut rows), Some(vec![2]), "only that of the claim counts");
}

#[test]
fn a_result_counts_also_if_its_row_ends_while_the_shard_is_read_again() {
    for is_journaled_before in [true, false] {
        let mut rows = PendingRows::default();
        rows.reread(3, vec![row(1, 100)]);
        assert_eq!(pop(&mut rows), Some(vec![1]));
        let taken = JournalEntry::Taken(Taken {
            offer: offer_of(1),
            phase: Phase::Running,
            worker: "w".to_owned(),
            started: 9,
        });
        if is_journaled_before {
            rows.note_journaled(&taken);
        }
        rows.drop_shard(3);
        let rest = (!is_journaled_before).then(|| done([1], None));
        rows.piece_finished(1, rest);
        rows.reread(3, vec![row(1, 100)]);
        assert_eq!(pop(&mut rows), None, "the store does not know of it yet");
        assert!(rows.is_clear(3, 100));
        rows.reread(3, vec![]);
        rows.reread(3, vec![row(1, 100)]);
        assert_eq!(pop(&mut rows), Some(vec![1]), "nothing is kept of a row that is gone");
    }
}

fn offer_of(id: u64) -> Offer {
    let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
    Offer {
        project: 1,
        shard: 3,
        epoch: 7,
        due: 5,
        scheduled: 5,
        run: 0,
        attempt: 2,
        pending: Some(id),
        members: Members::from_sorted([id]),
        terms: RunTerms::new(BusKind::Embedded, 9, retry),
    }
}

#[test]
fn a_row_that_was_parked_before_its_offer_was_recorded_goes_out_when_it_is_released() {
    for is_read_first in [true, false] {
        let mut rows = PendingRows::default();
        rows.set_ownerships(BTreeSet::from([(3, 7)]));
        rows.reread(3, vec![row(1, 100)]);
        assert_eq!(pop(&mut rows), Some(vec![1]));
        let offered = JournalEntry::Offered(offer_of(1));
        if is_read_first {
            rows.reread(3, vec![row(1, PARKED)]);
            rows.note_journaled(&offered);
        } else {
            rows.note_journaled(&offered);
            rows.reread(3, vec![row(1, PARKED)]);
        }
        rows.piece_finished(1, None);
        assert_eq!(pop(&mut rows), None, "it is parked");
        rows.reread(3, vec![row(1, 90)]);
        assert_eq!(pop(&mut rows), Some(vec![1]), "the store has not put it on offer");
    }
}
