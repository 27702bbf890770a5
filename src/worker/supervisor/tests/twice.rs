//! Occurrences that come a second time, and entries that a load has not read: nothing is handed
//! out twice, and nothing is lost.

use super::super::event::{Effect, Event};
use super::fixture::*;
use crate::model::attempt::JournalEntry;
use crate::model::claim::MAX_CLAIM;
use crate::model::members::Members;

#[test]
fn what_a_worker_has_is_not_taken_in_again() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1, 2, 3], None);
    assert_eq!(fixture.take(1), [1]);
    // The engine has lost what it knew, and gives out all of it once more.
    let effects = fixture.dispatch(2, source(DUE, 7), [1, 2, 3], None);
    assert!(effects.contains(&Effect::Finished { dispatch: 2 }), "{effects:?}");
    assert_eq!(fixture.take(9), [2, 3], "each once");
    assert_eq!(fixture.take(9), Vec::<u64>::new());
    let effects = fixture.dispatch(3, source(DUE, 7), [3, 4], None);
    assert!(!effects.contains(&Effect::Finished { dispatch: 3 }), "the fourth is new");
    assert_eq!(fixture.take(9), [4]);
}

#[test]
fn a_later_attempt_of_what_a_worker_had_is_taken_in() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1], None);
    assert_eq!(fixture.take(1), [1]);
    let again = super::super::event::Source { attempt: 2, pending: Some(4), ..source(DUE, 7) };
    fixture.dispatch(2, again, [1], None);
    assert_eq!(fixture.take(1), [1]);
}

#[test]
fn an_occurrence_that_waits_twice_is_in_a_claim_once() {
    let mut fixture = SupervisorFixture::new();
    // The row of the next attempt is read before the offer of this one is gone.
    fixture.dispatch(1, source(DUE, 7), [1, 2], None);
    let again = super::super::event::Source { attempt: 2, pending: Some(4), ..source(DUE, 7) };
    fixture.dispatch(2, again, [1], None);
    let claim = fixture.claim(9);
    let effects = fixture.step(Event::Claim(claim));
    let effects = fixture.carry_out(effects);
    for dispatch in [1, 2] {
        assert!(effects.contains(&Effect::Finished { dispatch }), "{dispatch}: {effects:?}");
    }
    let taken = taken(&effects);
    let mut all: Vec<_> =
        taken.iter().map(|taken| (taken.offer.attempt, taken.offer.members.clone())).collect();
    all.sort_by_key(|(attempt, _)| *attempt);
    assert_eq!(all, [(1, Members::from_sorted([2])), (2, Members::from_sorted([1]))]);
    assert!(fixture.supervisor.is_drained(0, EPOCH));
}

#[test]
fn a_load_that_read_the_journal_before_an_offer_was_written_does_not_drop_it() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), [1, 2], None);
    let effects = fixture.pass(1_000);
    fixture.carry_out(effects);
    let (read_upto, seq) = (fixture.seq - 1, fixture.seq);
    let before = super::super::event::Loaded { read_upto, ..loaded(Vec::new()) };
    fixture.step(Event::Loaded(Box::new(before)));
    assert_eq!(fixture.take(1), [1], "it is in neither of the two");
    // Behind it, the reading says all: the second was cancelled.
    let behind = super::super::event::Loaded { read_upto: seq, ..loaded(Vec::new()) };
    fixture.step(Event::Loaded(Box::new(behind)));
    assert_eq!(fixture.take(1), Vec::<u64>::new());
}

#[test]
fn a_heartbeat_takes_over_no_more_than_a_claim_may_get() {
    let most = u64::from(MAX_CLAIM);
    let mut fixture = SupervisorFixture::new();
    let shard = crate::model::shard::shard_of;
    let jobs = || (1..).filter(move |job| shard(*job) == 0).take(most as usize + 5);
    let offer = Some(Box::new(row(4, 2, jobs())));
    fixture.step(Event::OfferRead { id: 4, offer });
    let beat = move |fixture: &mut SupervisorFixture| {
        let runs = jobs().map(|job| super::super::event::Beat {
            of: of(job),
            attempt: 2,
            progress: None,
            message: None,
        });
        let runs = runs.collect();
        let heartbeat = super::super::event::Heartbeat { id: 1, worker: "w".into(), runs };
        let effects = fixture.step(Event::Heartbeat(heartbeat));
        let effects = fixture.carry_out(effects);
        taken(&effects).iter().map(|taken| taken.offer.members.len()).sum::<u64>()
    };
    assert_eq!((beat(&mut fixture), beat(&mut fixture), beat(&mut fixture)), (most, 5, 0));
}

#[test]
fn waiting_is_counted_by_job_also_over_other_queues_and_hands() {
    let mut fixture = SupervisorFixture::new();
    for n in 0..2 {
        fixture.dispatch(n, source(DUE + n.cast_signed(), 7), 1..=2, Some(2));
    }
    fixture.dispatch(2, source(DUE + 2, 8), [1], Some(2));
    let is_full = |effects: &[Effect]| {
        entries(effects).iter().any(|entry| matches!(entry, JournalEntry::Attempt(_)))
    };
    // One of the first job's is looked up: it still counts.
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    assert!(is_full(&fixture.dispatch(3, source(DUE + 3, 7), [1], Some(2))));
    assert!(!is_full(&fixture.dispatch(4, source(DUE + 4, 8), [1], Some(2))));
    fixture.carry_out(effects);
    assert!(!is_full(&fixture.dispatch(5, source(DUE + 5, 7), [1], Some(2))), "it is taken");
    assert!(is_full(&fixture.dispatch(6, source(DUE + 6, 7), [1, 2], Some(2))));
}

#[test]
fn what_is_deleted_in_shards_of_others_is_not_remembered() {
    let mut fixture = SupervisorFixture::new();
    let own = crate::model::shard::shard_of(1);
    let other = (1..10_000).find(|job| crate::model::shard::shard_of(*job) != own).unwrap();
    fixture.step(Event::JobsGone(vec![1, other]));
    assert_eq!(fixture.supervisor.gone.keys().copied().collect::<Vec<_>>(), [1]);
}

#[test]
fn an_offer_has_waited_since_it_was_made_and_not_since_it_was_due() {
    let mut fixture = SupervisorFixture::new();
    fixture.boot += 5_000;
    fixture.dispatch(1, source(DUE, 7), [1, 2], None);
    let made = 1_000_000 + fixture.boot.cast_signed();
    assert_eq!(fixture.supervisor.waiting_since().get(&7), Some(&made));
    let [shown] = fixture.supervisor.queues()[..] else { panic!("one queue") };
    assert_eq!((shown.queue, shown.since), (7, made));
    let effects = fixture.pass(1_000);
    fixture.carry_out(effects);
    assert_eq!(fixture.supervisor.waiting_since().get(&7), Some(&made), "also when journaled");
    let offer = Some(Box::new(row(4, 1, [1, 2])));
    fixture.step(Event::OfferRead { id: 4, offer });
    assert_eq!(fixture.supervisor.waiting_since().get(&7), Some(&DUE), "as the store says");
    assert_eq!(fixture.take(9).len(), 2);
    assert!(fixture.supervisor.waiting_since().is_empty());
}

#[test]
fn what_was_popped_under_an_epoch_before_stands_for_nothing_until_it_is_written() {
    for is_written in [false, true] {
        let mut fixture = SupervisorFixture::new();
        fixture.dispatch(1, source(DUE, 7), [1], None);
        let effects = fixture.pass(1_000);
        fixture.carry_out(effects);
        let claim = fixture.claim(1);
        let mut effects = fixture.step(Event::Claim(claim));
        if is_written {
            let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!() };
            let (claim, parts) = (*claim, SupervisorFixture::prepared(parts));
            effects = fixture.step(Event::Prepared { claim, parts });
        }
        // The shard came back under another epoch before anything was recorded.
        let next = EPOCH + 2;
        fixture.step(Event::Shards(vec![shard(next)]));
        let behind = super::super::event::Loaded { epoch: next, ..loaded(Vec::new()) };
        fixture.step(Event::Loaded(Box::new(behind)));
        let again = super::super::event::Source { epoch: next, ..source(DUE, 7) };
        let members = Members::from_sorted([1]);
        let back = fixture.dispatch(2, again.clone(), [1], None);
        let returned = Effect::Returned { dispatch: 2, members };
        assert_eq!(back.contains(&returned), is_written, "its entry is not synced: {back:?}");
        fixture.carry_out(effects);
        if is_written {
            let back = fixture.dispatch(3, again, [1], None);
            assert!(back.contains(&Effect::Finished { dispatch: 3 }), "the entry counts");
        }
        let expected = if is_written { vec![] } else { vec![1] };
        assert_eq!(fixture.take(1), expected, "it is neither lost nor handed out twice");
    }
}
