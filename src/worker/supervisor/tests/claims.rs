//! Claims: who gets what, in which order, and what must have happened before.

use super::super::event::{Effect, Event, Found, Loaded, Prepared};
use super::fixture::*;
use crate::model::attempt::{JournalEntry, ResultOrigin, SkipReason, Verdict};
use crate::model::claim::ClaimOrder;
use crate::model::members::Members;
use crate::model::offer::Taken;
use crate::model::run::{Phase, Run};

#[test]
fn a_claim_is_journaled_before_it_is_answered() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), 1..=3, None);
    let claim = fixture.claim(2);
    let effects = fixture.step(Event::Claim(claim));
    let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
    let parts = SupervisorFixture::prepared(parts);
    let effects = fixture.step(Event::Prepared { claim: *claim, parts });
    let [Effect::Append { id, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    let [taken] = &taken(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(taken.offer.members, Members::from_sorted([1, 2]));
    assert_eq!((taken.worker.as_str(), taken.offer.attempt), ("w", 1));
    let effects = fixture.step(Event::Appended { id: *id, seq: 1 });
    let [Effect::Answer { runs, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(runs.iter().map(|run| run.of.job).collect::<Vec<_>>(), [1, 2]);
    assert!(!fixture.supervisor.is_drained(0, EPOCH), "the third is not journaled");
}

#[test]
fn a_dispatch_is_finished_when_all_its_members_are_journaled() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), 1..=3, None);
    assert_eq!(fixture.take(1), [1]);
    let effects = fixture.pass(1_000);
    let offered: Vec<_> = entries(&effects);
    let [JournalEntry::Offered(offer)] = &offered[..] else { panic!("{offered:?}") };
    assert_eq!(offer.members, Members::from_sorted([2, 3]));
    assert!(!effects.contains(&Effect::Finished { dispatch: 1 }));
    assert_eq!(fixture.take(1), Vec::<u64>::new(), "not while the entry is on its way");
    let effects = fixture.carry_out(effects);
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }));
    assert!(fixture.supervisor.is_drained(0, EPOCH));
    assert_eq!(fixture.take(9), [2, 3]);
}

#[test]
fn a_dispatch_is_finished_when_the_store_says_who_has_its_last_member() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1, 2], None);
    assert_eq!(fixture.take(1), [1]);
    // The owner before had handed it out; its journal is collected only now.
    let found = Found::Run(Box::new(Run { occurrence: of(2), ..stored(Phase::Running) }));
    let effects = fixture.step(Event::RunRead { of: of(2), found });
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }), "{effects:?}");
    assert!(fixture.supervisor.is_drained(0, EPOCH));
    assert_eq!(fixture.take(1), Vec::<u64>::new(), "somebody has it");
}

#[test]
fn the_oldest_by_due_instant_and_job_are_first() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE + 1, 7), [1, 2], None);
    fixture.dispatch(2, source(DUE, 7), [5, 9], None);
    fixture.dispatch(3, source(DUE, 7), [6, 7], None);
    assert_eq!(fixture.take(4), [5, 6, 7, 9]);
    assert_eq!(fixture.take(4), [1, 2]);
}

#[test]
fn fair_takes_turns_and_strict_takes_from_the_first() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1, 2, 3, 4], None);
    fixture.dispatch(2, source(DUE, 8), [11, 12, 13, 14], None);
    let claim = fixture.claim(4);
    let mut fair: Vec<_> = fixture
        .claimed(super::super::event::Claim { queues: vec![7, 8], ..claim })
        .iter()
        .map(|run| run.of.job)
        .collect();
    fair.sort_unstable();
    assert_eq!(fair, [1, 2, 11, 12]);
    let claim = fixture.claim(4);
    let order = ClaimOrder::Strict;
    let strict = fixture.claimed(super::super::event::Claim { queues: vec![8, 7], order, ..claim });
    assert_eq!(strict.iter().map(|run| run.of.job).collect::<Vec<_>>(), [13, 14]);
}

#[test]
fn a_queue_hands_out_no_more_than_its_limit() {
    let mut fixture = SupervisorFixture::new();
    fixture.step(Event::QueueLimit { queue: 7, most: Some(2) });
    fixture.dispatch(1, source(DUE, 7), 1..=3, None);
    assert_eq!(fixture.take(5), [1, 2]);
    assert_eq!(fixture.take(5), Vec::<u64>::new());
    fixture.step(Event::QueueLimit { queue: 7, most: None });
    assert_eq!(fixture.take(5), [3]);
}

#[test]
fn a_claim_with_a_key_is_repeated_with_the_runs_that_its_worker_still_has() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), 1..=3, None);
    let keyed = |fixture: &mut SupervisorFixture| super::super::event::Claim {
        key: Some("k".into()),
        ..fixture.claim(2)
    };
    let first = keyed(&mut fixture);
    let first = fixture.claimed(first);
    assert_eq!(first.len(), 2);
    let again = keyed(&mut fixture);
    assert_eq!(fixture.claimed(again), first);
    fixture.record();
    let found = Found::Row;
    fixture.step(Event::RunRead { of: of(1), found });
    let again = keyed(&mut fixture);
    assert_eq!(fixture.claimed(again), first[1..]);
    let effects = fixture.pass(60_000);
    fixture.carry_out(effects);
    let again = keyed(&mut fixture);
    assert_eq!(fixture.claimed(again).len(), 1, "it is a new claim: the third waits");
}

#[test]
fn without_a_lease_or_room_nothing_is_handed_out() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), 1..=2, None);
    fixture.lease.since = None;
    assert_eq!(fixture.take(1), Vec::<u64>::new());
    fixture.lease.since = Some(fixture.boot);
    fixture.has_room = false;
    assert_eq!(fixture.take(1), Vec::<u64>::new());
    fixture.has_room = true;
    // The lease ends while the member is looked up.
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    fixture.lease.since = None;
    let effects = fixture.carry_out(effects);
    assert!(taken(&effects).is_empty(), "{effects:?}");
    fixture.lease.since = Some(fixture.boot);
    assert_eq!(fixture.take(1), [1], "it was given back");
    // The lease ends while the entry is written.
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
    let parts = SupervisorFixture::prepared(parts);
    let effects = fixture.step(Event::Prepared { claim: *claim, parts });
    fixture.lease.since = None;
    let effects = fixture.carry_out(effects);
    assert!(effects.contains(&Effect::Answer { claim: *claim, runs: Vec::new() }));
}

#[test]
fn what_is_promised_away_is_journaled_at_once_and_not_handed_out() {
    let mut fixture = SupervisorFixture::new();
    fixture.lease.promised.insert((0, EPOCH));
    let effects = fixture.dispatch(1, source(DUE, 7), 1..=2, None);
    assert!(matches!(&entries(&effects)[..], [JournalEntry::Offered(_)]), "{effects:?}");
    fixture.carry_out(effects);
    assert_eq!(fixture.take(1), Vec::<u64>::new());
    assert!(fixture.supervisor.is_drained(0, EPOCH));
}

#[test]
fn offers_of_a_shard_wait_until_the_owner_before_has_closed_and_they_are_read_again() {
    let mut fixture = SupervisorFixture::unborn();
    fixture.step(Event::Shards(vec![closing_shard()]));
    fixture.step(Event::Loaded(Box::new(loaded(vec![row(4, 1, [1, 2])]))));
    assert_eq!(fixture.take(9), Vec::<u64>::new());
    fixture.dispatch(1, source(DUE + 1, 7), [3], None);
    assert_eq!(fixture.take(9), [3], "its own are nobody else's");
    let effects = fixture.step(Event::Shards(vec![shard(EPOCH)]));
    assert_eq!(effects, [Effect::Load { shard: 0, epoch: EPOCH }]);
    assert_eq!(fixture.take(9), Vec::<u64>::new());
    fixture.step(Event::Loaded(Box::new(loaded(vec![row(4, 1, [2])]))));
    assert_eq!(fixture.take(9), [2], "the other one was taken by the owner before");
}

#[test]
fn the_closing_owner_journals_what_falls_due_and_hands_nothing_out() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1], None);
    let mut moved = closing_shard();
    moved.owner = 2;
    moved.epoch = EPOCH + 1;
    if let Some(closing) = moved.closing.as_mut() {
        (closing.node, closing.epoch) = (1, EPOCH);
    }
    let effects = fixture.step(Event::Shards(vec![moved]));
    assert!(matches!(&entries(&effects)[..], [JournalEntry::Offered(_)]), "{effects:?}");
    let effects = fixture.carry_out(effects);
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }));
    assert_eq!(fixture.take(1), Vec::<u64>::new());
}

#[test]
fn what_is_due_in_a_range_of_another_node_comes_back() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1], None);
    let other = crate::model::shard::Shard { owner: 2, ..shard(EPOCH + 1) };
    let effects = fixture.step(Event::Shards(vec![other]));
    let members = Members::from_sorted([1]);
    assert!(effects.contains(&Effect::Returned { dispatch: 1, members }), "{effects:?}");
}

/// A row of jobs 1 and 2, the first of which is taken in the own journal.
fn loaded_with_claim() -> Loaded {
    let members = Members::from_sorted([1]);
    let offer = super::super::offering::offer(&source(DUE, 7), members, &terms(7));
    let taken = Taken { offer, phase: Phase::Running, worker: "v".into(), started: 1 };
    let journal = vec![(5, JournalEntry::Taken(taken))];
    Loaded { journal, ..loaded(vec![row(4, 1, [1, 2])]) }
}

#[test]
fn what_was_given_out_before_the_own_journal_was_read_does_not_wait_beside_it() {
    let mut fixture = SupervisorFixture::unborn();
    fixture.step(Event::Shards(vec![shard(EPOCH)]));
    fixture.dispatch(1, source(DUE, 7), [1], None);
    let effects = fixture.step(Event::Loaded(Box::new(loaded_with_claim())));
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }), "{effects:?}");
    assert_eq!(fixture.take(9), [2]);
}

#[test]
fn what_the_own_journal_has_as_taken_is_not_handed_out_again() {
    let mut fixture = SupervisorFixture::unborn();
    fixture.step(Event::Shards(vec![shard(EPOCH)]));
    fixture.step(Event::Loaded(Box::new(loaded_with_claim())));
    fixture.seq = 5;
    assert_eq!(fixture.take(9), [2]);
    // Until the store has recorded it, it says nothing about the run.
    let found = Found::Row;
    fixture.step(Event::RunRead { of: of(1), found });
    fixture.step(Event::OfferRead { id: 4, offer: Some(Box::new(row(4, 1, [1]))) });
    assert_eq!(fixture.take(9), Vec::<u64>::new());
    assert_eq!(fixture.step(Event::Recorded { seq: 5 }), []);
    let effects = fixture.pass(400);
    assert!(effects.contains(&Effect::ReadRuns(vec![of(1)])), "{effects:?}");
    assert_eq!(reads(&fixture.pass(1_000)), 0, "it is asked once");
}

/// The number of runs that are to be read.
fn reads(effects: &[Effect]) -> usize {
    let reads = effects.iter().filter_map(|effect| match effect {
        Effect::ReadRuns(runs) => Some(runs.len()),
        _ => None,
    });
    reads.sum()
}

#[test]
fn a_run_that_a_change_names_when_it_is_recorded_is_read_once() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1, 2], None);
    assert_eq!(fixture.take(2), [1, 2]);
    // The cursor is read before the change has come that names them.
    fixture.record();
    let run = Box::new(stored(Phase::Running));
    fixture.step(Event::RunRead { of: of(1), found: Found::Run(run) });
    let effects = fixture.pass(1_000);
    assert!(effects.contains(&Effect::ReadRuns(vec![of(2)])), "no change named it: {effects:?}");
    assert_eq!(reads(&effects), 1);
}

#[test]
fn jobs_that_go_end_their_offers() {
    let mut fixture = SupervisorFixture::new();
    fixture.step(Event::OfferRead { id: 4, offer: Some(Box::new(row(4, 2, [1, 2, 3]))) });
    let effects = fixture.step(Event::JobsGone(vec![2]));
    let skipped = entries(&effects);
    let [JournalEntry::Attempt(record)] = &skipped[..] else { panic!("{effects:?}") };
    assert_eq!(record.verdict, Verdict::Skipped(SkipReason::Ended));
    assert_eq!(record.origin, ResultOrigin::Cancelled, "lists of runs show it");
    assert_eq!((record.pending, record.attempt), (Some(4), 2));
    assert_eq!(record.members, Members::from_sorted([2]));
    // One that went before it came, by an older reading of the builder.
    let effects = fixture.dispatch(9, source(DUE, 7), [2], None);
    assert!(matches!(&entries(&effects)[..], [JournalEntry::Attempt(_)]), "{effects:?}");
    // One that goes while it is looked up.
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
    let mut part = Prepared::new(parts[0].source.clone());
    part.gone = parts[0].jobs.clone();
    let effects = fixture.step(Event::Prepared { claim: *claim, parts: vec![part] });
    assert!(taken(&effects).is_empty());
    assert!(matches!(&entries(&effects)[..], [JournalEntry::Attempt(_)]), "{effects:?}");
    let effects = fixture.carry_out(effects);
    assert_eq!(taken(&effects)[0].offer.members, Members::from_sorted([3]), "the next one");
}

#[test]
fn beyond_the_most_that_may_wait_an_occurrence_is_skipped() {
    let mut fixture = SupervisorFixture::new();
    for n in 0..3 {
        let effects = fixture.dispatch(n, source(DUE + n.cast_signed(), 7), [1], Some(2));
        let skipped = entries(&effects);
        if n < 2 {
            assert!(skipped.is_empty(), "{effects:?}");
            continue;
        }
        let [JournalEntry::Attempt(record)] = &skipped[..] else { panic!("{effects:?}") };
        assert_eq!(record.verdict, Verdict::Skipped(SkipReason::QueueFull));
        let effects = fixture.carry_out(effects);
        assert!(effects.contains(&Effect::Finished { dispatch: 2 }));
    }
    assert_eq!(fixture.take(9), [1, 1]);
}

#[test]
fn an_offer_that_is_gone_is_not_handed_out() {
    let mut fixture = SupervisorFixture::new();
    fixture.step(Event::OfferRead { id: 4, offer: Some(Box::new(row(4, 1, [1]))) });
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    fixture.step(Event::OfferRead { id: 4, offer: None });
    let effects = fixture.carry_out(effects);
    assert!(taken(&effects).is_empty(), "{effects:?}");
    assert_eq!(fixture.take(1), Vec::<u64>::new());
}

#[test]
fn one_waiting_gateway_is_told_of_what_comes_and_the_others_a_little_later() {
    let mut fixture = SupervisorFixture::new();
    for gateway in [2, 3] {
        let until = fixture.boot + 10_000;
        fixture.step(Event::Want { gateway, queue: 7, until });
    }
    let hinted = |effects: &[Effect]| -> Vec<u64> {
        let hints = effects.iter().filter_map(|effect| match effect {
            Effect::Hint { gateway, count: 2, oldest: DUE, .. } => Some(*gateway),
            _ => None,
        });
        hints.collect()
    };
    let effects = fixture.dispatch(1, source(DUE, 7), [1, 2], None);
    assert_eq!(hinted(&effects), [2]);
    let effects = fixture.pass(200);
    assert_eq!(hinted(&effects), [2, 3]);
    assert_eq!(hinted(&fixture.pass(200)), Vec::<u64>::new(), "nothing has changed");
}

#[test]
fn a_member_that_leaves_its_row_while_it_is_looked_up_is_not_handed_out() {
    let mut fixture = SupervisorFixture::new();
    let read = |members: &[u64]| {
        let offer = Some(Box::new(row(5, 1, members.iter().copied())));
        Event::OfferRead { id: 5, offer }
    };
    fixture.step(read(&[1, 2, 3]));
    let claim = fixture.claim(2);
    let effects = fixture.step(Event::Claim(claim));
    let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
    // A client has cancelled the first one.
    fixture.step(read(&[2, 3]));
    let (claim, parts) = (*claim, SupervisorFixture::prepared(parts));
    let effects = fixture.step(Event::Prepared { claim, parts });
    let [taken] = &taken(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(taken.offer.members, Members::from_sorted([2]));
}

#[test]
fn what_is_not_to_be_performed_any_more_is_journaled_as_that() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), 1..=3, None);
    let claim = fixture.claim(3);
    let effects = fixture.step(Event::Claim(claim));
    let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
    let found = Prepared {
        skipped: vec![(vec![1], SkipReason::Paused)],
        rerouted: vec![2],
        later: vec![3],
        ..Prepared::new(parts[0].source.clone())
    };
    let effects = fixture.step(Event::Prepared { claim: *claim, parts: vec![found] });
    let ends: Vec<_> = entries(&effects)
        .into_iter()
        .filter_map(|entry| match entry {
            JournalEntry::Attempt(record) => Some((record.members, record.verdict)),
            _ => None,
        })
        .collect();
    let at = 1_000_000 + fixture.boot.cast_signed();
    let (first, second) = (Members::from_sorted([1]), Members::from_sorted([2]));
    let skipped = Verdict::Skipped(SkipReason::Paused);
    assert_eq!(ends, [(first, skipped), (second, Verdict::Postponed { at })]);
    let effects = fixture.carry_out(effects);
    assert!(!effects.contains(&Effect::Finished { dispatch: 1 }), "the third waits on");
    assert_eq!(fixture.take(9), [3]);
}
