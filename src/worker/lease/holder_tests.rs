//! Single rules of the lease holder. How they work together is tested by the model in
//! `tests/it/model`.

use super::*;
use crate::model::lease::Grant;
use crate::model::shard::{Move, MoveKind};

const APPLIED: Position = Position { index: 50, stamp: 100_000 };

fn at(boot: u64) -> Now {
    Now { boot, sched: 100_000 + boot as Millis }
}

fn facts(draining: bool) -> Facts {
    Facts { applied: APPLIED, has_room: true, draining, memory: 10, journaled: 0 }
}

fn granting(renewal: &Renewal) -> Answer {
    let grant = Grant { ttl: 4_000, needs_index: 40, commit_index: 45, log_time: 100_000 };
    Answer {
        term: renewal.term,
        boot: renewal.boot,
        number: renewal.number,
        verdict: Ok(grant),
        release: Vec::new(),
        clock_error: 0,
    }
}

fn owned() -> Shard {
    let mut shard = Shard::new(0, 100_000);
    assert!(shard.apply(&Move { shard: 0, to: 1, expects: 0, kind: MoveKind::TakeOver }));
    shard
}

fn ownership(shard: &Shard) -> Ownership {
    shard.ownerships(1).next().unwrap()
}

/// A node with a lease from 1,000 to 4,600.
fn leased() -> Holder {
    let mut holder = Holder::new(1, 1, 3, 7, []);
    holder.rebuilt(50);
    let renewal = holder.renewal(at(1_000), facts(false));
    assert!(holder.answered(at(1_400), APPLIED, &granting(&renewal), &[owned()]).granted);
    holder
}

#[test]
fn a_lease_counts_from_sending_and_ends_early() {
    let holder = leased();
    assert!(holder.usable(4_599, APPLIED));
    assert!(!holder.usable(4_600, APPLIED));
    assert_eq!(holder.lease_left(4_000), 600);
}

#[test]
fn a_lapse_of_the_lease_is_seen_also_one_that_nobody_asked_in() {
    let mut holder = leased();
    assert_eq!(holder.usable_since(2_000, APPLIED), Some(1_400), "from the answer on");
    let renew = |holder: &mut Holder, sent: u64, answered: u64| {
        let renewal = holder.renewal(at(sent), facts(false));
        assert!(holder.answered(at(answered), APPLIED, &granting(&renewal), &[]).granted);
    };
    renew(&mut holder, 3_000, 3_100);
    assert_eq!(holder.usable_since(5_000, APPLIED), Some(1_400), "prolonged in time");
    // It ended at 6,600, and the next answer comes after that.
    renew(&mut holder, 6_500, 6_601);
    assert_eq!(holder.usable_since(7_000, APPLIED), Some(6_601));
    holder.clock_jumped();
    renew(&mut holder, 7_100, 7_200);
    assert_eq!(holder.usable_since(7_300, APPLIED), Some(7_200));
    // A snapshot whose queues were built before anybody asked.
    holder.replaced(60);
    holder.rebuilt(60);
    assert_eq!(holder.usable_since(7_400, Position { index: 60, ..APPLIED }), Some(7_400));
    assert_eq!(
        holder.usable_since(7_500, Position { stamp: 0, ..APPLIED }),
        None,
        "too far behind"
    );
}

#[test]
fn a_lease_needs_the_newest_assignment_the_first_one_all_that_is_committed() {
    let mut holder = leased();
    assert!(!holder.usable(2_000, Position { index: 44, ..APPLIED }));
    assert!(!holder.usable(2_000, Position { stamp: 95_999, ..APPLIED }), "too far behind");
    holder.replaced(60);
    assert!(!holder.usable(2_000, Position { index: 60, ..APPLIED }), "queues are void");
    holder.rebuilt(60);
    assert!(holder.usable(2_000, Position { index: 60, ..APPLIED }));
    holder.clock_jumped();
    assert!(!holder.usable(2_000, Position { index: 60, ..APPLIED }));
}

#[test]
fn a_lease_that_had_run_out_needs_all_that_is_committed() {
    let mut holder = leased();
    let mut prolong = |sent, answered, commit_index| {
        let renewal = holder.renewal(at(sent), facts(false));
        let mut answer = granting(&renewal);
        let grant = Grant { commit_index, ..answer.verdict.unwrap() };
        answer.verdict = Ok(grant);
        assert!(holder.answered(at(answered), APPLIED, &answer, &[owned()]).granted);
        holder.usable(answered, APPLIED)
    };
    assert!(prolong(4_000, 4_100, 60), "without a gap what is committed may still be on its way");
    // It was cut off until its lease ended at 7,600.
    assert!(!prolong(8_000, 8_100, 51), "a pause may be among what it has not applied");
    assert!(!prolong(8_500, 8_600, 51), "and it stays out until it has");
    assert!(holder.usable(8_600, Position { index: 51, ..APPLIED }));
}

#[test]
fn an_answer_of_an_older_term_or_boot_or_to_nothing_asked_brings_nothing() {
    let mut holder = leased();
    let renewal = holder.renewal(at(2_000), facts(false));
    let good = granting(&renewal);
    holder.saw_term(8);
    for bad in [
        good.clone(),
        Answer { term: 8, boot: 2, ..good.clone() },
        Answer { term: 8, number: 99, ..good.clone() },
    ] {
        assert!(!holder.answered(at(2_100), APPLIED, &bad, &[owned()]).granted, "{bad:?}");
    }
    assert!(holder.usable(4_599, APPLIED), "the lease outlives its leader's term");
    let good = Answer { term: 8, ..good };
    assert!(holder.answered(at(2_100), APPLIED, &good, &[owned()]).granted);
    assert!(!holder.answered(at(2_100), APPLIED, &good, &[owned()]).granted, "doubled");
}

/// Asks the holder to release its shard, and returns the promised instant.
fn release(holder: &mut Holder, now: u64, draining: bool, shard: &Shard) -> Millis {
    let renewal = holder.renewal(at(now), facts(draining));
    let answer = Answer { release: vec![(0, 1)], ..granting(&renewal) };
    let answered = holder.answered(at(now), APPLIED, &answer, std::slice::from_ref(shard));
    assert_eq!(answered.promised, holder.renewal(at(now), facts(draining)).promises);
    answered.promised[0].until
}

#[test]
fn a_promise_binds_firing_and_watermarks_until_the_epoch_is_over() {
    let mut holder = leased();
    let mut shard = owned();
    let late = Position { index: 50, stamp: 110_000 };
    assert_eq!(release(&mut holder, 2_000, true, &shard), 103_000);
    let open = ownership(&shard);
    assert!(holder.may_fire(at(3_000), late, 0, &open, 103_000));
    assert!(!holder.may_fire(at(3_000), late, 0, &open, 103_001), "not due yet");
    assert!(!holder.may_fire(at(4_000), late, 0, &open, 103_001), "promised away");
    assert!(!holder.may_send(at(4_000), late, 0, &open, 103_001), "a row, too");
    assert!(!holder.state_watermark(at(4_000), late, 0, &open, 103_000), "the hand-over needs it");
    assert!(holder.state_watermark(at(4_000), late, 0, &open, 102_999));
    let until = 103_000;
    let hand_over = Move { shard: 0, to: 2, expects: 1, kind: MoveKind::HandOver { until } };
    assert!(shard.apply(&hand_over));
    let closing = ownership(&shard);
    assert!(holder.may_send(at(4_000), late, 0, &closing, 103_000));
    assert!(holder.state_watermark(at(4_000), late, 0, &closing, 103_000));
    assert!(!holder.may_send(at(4_000), late, 0, &closing, 103_000), "closed is closed");
    assert!(shard.advance(1, 1, 103_000));
    holder.shards_applied(&[shard]);
    assert_eq!(holder.promised(0, 1), None);
}

#[test]
fn a_promise_lies_above_every_watermark_also_one_of_a_faster_clock() {
    let mut holder = leased();
    let mut shard = owned();
    shard.watermark = 109_999;
    assert_eq!(release(&mut holder, 2_000, true, &shard), 110_000);
    let mut holder = leased();
    assert_eq!(release(&mut holder, 2_000, false, &owned()), 106_000, "for balance, a TTL ahead");
    assert_eq!(holder.promised(0, 1), Some(106_000));
}

#[test]
fn a_watermark_never_passes_log_time_or_the_own_clock() {
    let mut holder = leased();
    let open = ownership(&owned());
    let late = Position { index: 50, stamp: 102_000 };
    assert!(!holder.state_watermark(at(3_000), late, 0, &open, 102_001));
    assert!(!holder.state_watermark(at(1_500), late, 0, &open, 101_501));
    assert!(holder.state_watermark(at(3_000), late, 0, &open, 102_000));
    assert!(!holder.state_watermark(at(3_000), late, 0, &open, 102_000), "nothing new");
}
