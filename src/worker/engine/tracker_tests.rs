//! Watermarks and exclusions: the rules one by one, then a random run against a naive model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::JobId;

const KEY: OwnershipKey = (3, 1);
const FAR: Millis = Millis::MAX;

fn open_part(after: Millis) -> Ownership {
    Ownership { epoch: 1, after, until: FAR, closing: false }
}

fn who(ids: impl IntoIterator<Item = JobId>) -> Members {
    Members::from_sorted(ids)
}

#[test]
fn a_watermark_stays_below_what_is_undispatched_unfinished_or_unread() {
    let mut tracker = Tracker::default();
    tracker.begin(KEY, open_part(100));
    assert_eq!(tracker.watermark(KEY, None, 500, 400, FAR), Some(400), "the log may still speak");
    assert_eq!(tracker.watermark(KEY, None, 300, 400, FAR), Some(300), "nor ahead of the clock");
    assert_eq!(tracker.watermark(KEY, Some(250), 500, 500, FAR), Some(249));
    tracker.dispatched(3, Instants::both(200), &who([1]));
    assert_eq!(tracker.watermark(KEY, Some(250), 500, 500, FAR), Some(199));
    tracker.split(3, 200, 2);
    tracker.finished(3, 200);
    assert_eq!(tracker.watermark(KEY, Some(250), 500, 500, FAR), Some(199), "half is under way");
    tracker.finished(3, 200);
    assert_eq!(tracker.watermark(KEY, Some(250), 500, 500, 220), Some(220), "the lease's limit");
    tracker.watermark_recorded(KEY, 220);
    assert_eq!(tracker.watermark(KEY, Some(250), 500, 500, 220), None, "said before");
}

#[test]
fn a_closing_range_ends_at_its_promise() {
    let mut tracker = Tracker::default();
    tracker.begin(KEY, open_part(100));
    tracker.dispatched(3, Instants::both(200), &who([1]));
    tracker.begin(KEY, Ownership { epoch: 1, after: 100, until: 300, closing: true });
    tracker.begin((3, 2), Ownership { epoch: 2, after: 300, until: FAR, closing: false });
    assert_eq!(tracker.watermark(KEY, None, 900, 900, FAR), Some(199));
    assert_eq!(tracker.watermark((3, 2), Some(801), 900, 900, FAR), Some(800));
    assert_eq!(
        (tracker.ownership_of(3, 300), tracker.ownership_of(3, 301)),
        (Some(KEY), Some((3, 2)))
    );
    tracker.finished(3, 200);
    assert_eq!(tracker.watermark(KEY, None, 900, 900, FAR), Some(300));
    tracker.watermark_recorded(KEY, 300);
    assert!(tracker.is_closed(KEY));
    assert_eq!(tracker.ownership_of(3, 300), None, "it fires nothing more");
}

#[test]
fn what_was_taken_is_not_given_out_again_until_it_is_withdrawn() {
    let mut tracker = Tracker::default();
    tracker.begin(KEY, open_part(100));
    tracker.exclude(3, Instants::both(150), &who([1, 2]));
    tracker.exclude_range(3, 160, Instants::both(180), &who([3]));
    assert_eq!(tracker.untaken(KEY, Instants::both(150), who([1, 2, 3])), who([3]));
    assert_eq!(tracker.untaken(KEY, Instants::both(170), who([1, 2, 3])), who([1, 2]));
    tracker.dispatched(3, Instants::both(200), &who([5]));
    tracker.reread(3);
    assert!(tracker.untaken(KEY, Instants::both(200), who([5])).is_empty());
    tracker.withdrawn(3, Instants::both(200), &who([5]));
    assert_eq!(tracker.untaken(KEY, Instants::both(200), who([5])), who([5]));
    tracker.watermark_recorded(KEY, 190);
    assert!(
        tracker.untaken(KEY, Instants::both(170), who([1])).is_empty(),
        "up to the watermark all are taken"
    );
}

#[test]
fn a_job_that_is_read_again_while_a_watermark_is_written_fires_nothing_that_it_covers() {
    let mut tracker = Tracker::default();
    tracker.begin(KEY, open_part(100));
    tracker.dispatched(3, Instants::both(200), &who([1]));
    tracker.finished(3, 200);
    let watermark = tracker.watermark(KEY, None, 260, 260, FAR).unwrap();
    // The job was edited: it goes into the queue once more, from the watermark stated so far.
    tracker.reread(3);
    assert_eq!(tracker.stated(KEY), Some(100));
    assert!(tracker.untaken(KEY, Instants::both(200), who([1])).is_empty());
    tracker.watermark_recorded(KEY, watermark);
    assert!(
        tracker.untaken(KEY, Instants::both(200), who([1])).is_empty(),
        "and now the queue has it"
    );
    assert_eq!(tracker.untaken(KEY, Instants::both(watermark + 1), who([1])), who([1]));
}

#[test]
fn what_a_change_moves_ahead_is_not_given_out_again_and_not_lost() {
    let mut tracker = Tracker::default();
    tracker.begin(KEY, open_part(100));
    let (later, ahead) =
        (Instants { scheduled: 200, due: 250 }, Instants { scheduled: 200, due: 210 });
    tracker.dispatched(3, later, &who([1, 2]));
    tracker.reread(3);
    assert_eq!(tracker.untaken(KEY, ahead, who([1, 2, 3])), who([3]));
    let other = Instants { scheduled: 210, due: 210 };
    assert_eq!(tracker.untaken(KEY, other, who([1])), who([1]), "another occurrence");
    assert!(!tracker.dropped(3, later, &who([])), "nothing was left out yet");
    tracker.hold(3, ahead, &who([1, 2]));
    assert_eq!(tracker.watermark(KEY, None, 500, 500, FAR), Some(209), "it may come to nothing");
    assert!(tracker.dropped(3, later, &who([1])), "it must be read again");
    assert_eq!(tracker.untaken(KEY, ahead, who([1, 2, 3])), who([1, 3]));
    tracker.finished(3, 250);
    assert_eq!(tracker.watermark(KEY, None, 500, 500, FAR), Some(500));
    // What comes back holds as long as it was not given out again.
    tracker.dispatched(3, later, &who([2]));
    tracker.hold(3, ahead, &who([2]));
    assert!(tracker.withdrawn(3, later, &who([2])));
    assert_eq!(tracker.watermark(KEY, None, 500, 500, FAR), Some(500));
    assert!(!tracker.withdrawn(3, Instants::both(300), &who([2])), "nothing depends on it");
}

#[test]
fn only_what_was_left_out_itself_is_held_for() {
    let mut tracker = Tracker::default();
    tracker.begin(KEY, open_part(100));
    let (later, ahead) =
        (Instants { scheduled: 200, due: 250 }, Instants { scheduled: 200, due: 210 });
    // Jitter spreads the jobs of one scheduled instant. Job 1 is over; job 2, which is due later,
    // may wait for a watermark at this very instant.
    tracker.exclude(3, ahead, &who([1]));
    tracker.dispatched(3, later, &who([2]));
    tracker.hold(3, ahead, &who([1]));
    assert_eq!(tracker.watermark(KEY, None, 500, 500, FAR), Some(249));
    assert!(!tracker.dropped(3, later, &who([2])), "nothing was left out because of it");
}

#[test]
fn what_has_a_result_is_not_held_for_while_its_neighbours_wait() {
    let mut tracker = Tracker::default();
    tracker.begin(KEY, open_part(100));
    let (later, ahead) =
        (Instants { scheduled: 200, due: 250 }, Instants { scheduled: 200, due: 210 });
    tracker.dispatched(3, later, &who([1, 2, 3]));
    tracker.split(3, 250, 3);
    tracker.hold(3, ahead, &who([1, 2]));
    tracker.settled(3, later, &who([1, 3]));
    tracker.finished(3, 250);
    assert_eq!(tracker.watermark(KEY, None, 500, 500, FAR), Some(209), "2 is under way");
    tracker.settled(3, ahead, &who([2]));
    assert_eq!(tracker.watermark(KEY, None, 500, 500, FAR), Some(209), "another occurrence");
    tracker.settled(3, later, &who([2]));
    assert_eq!(tracker.watermark(KEY, None, 500, 500, FAR), Some(249), "3 may wait for that");
    assert!(!tracker.dropped(3, later, &who([3])));
    tracker.finished(3, 250);
    tracker.finished(3, 250);
    assert_eq!(tracker.watermark(KEY, None, 500, 500, FAR), Some(500));
}

#[test]
fn in_flight_work_is_known_across_a_loss_of_the_shard() {
    let mut tracker = Tracker::default();
    tracker.begin(KEY, open_part(100));
    tracker.dispatched(3, Instants::both(200), &who([1]));
    tracker.dispatched(3, Instants::both(210), &who([1]));
    tracker.finished(3, 210);
    tracker.end(KEY);
    tracker.begin((3, 5), Ownership { epoch: 5, after: 150, until: FAR, closing: false });
    tracker.reread(3);
    assert!(tracker.untaken((3, 5), Instants::both(200), who([1])).is_empty(), "still under way");
    let left = tracker.untaken((3, 5), Instants::both(210), who([1]));
    assert_eq!(left, who([1]), "the store and the journal know that");
    assert_eq!(tracker.watermark((3, 5), None, 900, 900, FAR), Some(199));
}

proptest! {
    /// Random dispatches, finishes and withdrawals: the watermark never falls, and at or below it
    /// nothing is unfinished or undispatched.
    #[test]
    fn below_the_watermark_all_is_done(steps in prop::collection::vec((0_u8..4, 0_usize..8, 1_i64..30), 1..120)) {
        let mut tracker = Tracker::default();
        tracker.begin(KEY, open_part(0));
        let mut queue: BTreeSet<Millis> = (1..60).map(|k| k * 10).collect();
        let mut flying: Vec<Millis> = Vec::new();
        let mut done: BTreeMap<Millis, bool> = BTreeMap::new();
        let (mut now, mut last) = (0, 0);
        for (what, pick, by) in steps {
            now += by;
            match what {
                0 => while let Some(due) = queue.first().copied().filter(|due| *due <= now) {
                    queue.remove(&due);
                    tracker.dispatched(3, Instants::both(due), &who([1]));
                    flying.push(due);
                },
                1 if !flying.is_empty() => {
                    let due = flying.swap_remove(pick % flying.len());
                    tracker.finished(3, due);
                    done.insert(due, true);
                }
                2 if !flying.is_empty() => {
                    let due = flying.swap_remove(pick % flying.len());
                    tracker.withdrawn(3, Instants::both(due), &who([1]));
                    queue.insert(due);
                }
                _ => if let Some(watermark) = tracker.watermark(KEY, queue.first().copied(), now, now, FAR) {
                    prop_assert!(watermark > last && watermark <= now);
                    last = watermark;
                    tracker.watermark_recorded(KEY, watermark);
                    prop_assert!(flying.iter().all(|due| *due > watermark));
                    prop_assert!((1..60).map(|k| k * 10).filter(|due| *due <= watermark).all(|due| done.contains_key(&due)));
                },
            }
        }
    }
}
