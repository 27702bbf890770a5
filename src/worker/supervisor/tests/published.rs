//! What becomes of runs at their bus: confirmed, given back, impossible, overtaken.

use super::super::event::{Effect, Event, Found, Loaded, PublishOutcome};
use super::fixture::*;
use super::publishes::{jobs, published, withdrawn};
use crate::model::attempt::{JournalEntry, ResultOrigin, SkipReason, Verdict};
use crate::model::members::Members;
use crate::model::run::{Phase, Run};
use crate::model::run_report::Said;

const NONE: [u64; 0] = [];
const BACK: PublishOutcome = PublishOutcome::Back { until: 0, of_broker: true, may_be_out: false };

/// The jobs whose worker is asked to stop.
fn told(effects: &[Effect]) -> Vec<(u64, String)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::TellCancel { of, terms, .. } => Some((of.job, terms.name.clone())),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_confirmed_run_is_taken_and_pending() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1]);
    assert!(!fixture.supervisor.is_drained(0, EPOCH) && !fixture.supervisor.is_at_rest());
    let outcome = PublishOutcome::Passed;
    let effects = fixture.step(Event::Published { claim, of: of(1), outcome });
    let [one] = &taken(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((one.phase, one.worker.as_str(), one.offer.attempt), (Phase::Pending, "", 1));
    assert_eq!(one.started, 1_000_000 + fixture.boot.cast_signed());
    assert_eq!(one.offer.terms, terms(BROKER));
    assert!(!effects.contains(&Effect::Finished { dispatch: 1 }), "not before it is synced");
    assert!(!fixture.supervisor.is_drained(0, EPOCH));
    let effects = fixture.carry_out(effects);
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }));
    assert!(fixture.supervisor.is_drained(0, EPOCH) && fixture.supervisor.is_at_rest());
    let live = fixture.supervisor.live(of(1), fixture.boot).unwrap();
    assert_eq!((live.phase, live.attempt, live.worker.as_str()), (Some(Phase::Pending), 1, ""));
}

#[test]
fn confirmed_runs_of_a_hand_are_journaled_together_and_soon() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, 1..=5);
    assert_eq!(fixture.answer(claim, 3, PublishOutcome::Passed), []);
    assert_eq!(fixture.answer(claim, 1, PublishOutcome::Passed), []);
    let effects = fixture.wait(200);
    let [first] = &taken(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(first.offer.members, Members::from_sorted([1, 3]));
    fixture.answer(claim, 5, PublishOutcome::Passed);
    // A worker that has one of them waits for the entry.
    let (attempt, worker, ends) = (0, "".into(), false);
    let effects = fixture.step(Event::Reported { of: of(5), attempt, worker, ends });
    assert_eq!(taken(&effects)[0].offer.members, Members::from_sorted([5]));
    fixture.carry_out(effects);
    let (attempt, worker) = (1, "".into());
    fixture.step(Event::Reported { of: of(4), attempt, worker, ends });
    let effects = fixture.answer(claim, 4, PublishOutcome::Passed);
    assert_eq!(taken(&effects)[0].offer.members, Members::from_sorted([4]));
    let effects = fixture.answer(claim, 2, PublishOutcome::Passed);
    assert_eq!(taken(&effects).len(), 1, "the last one ends the hand");
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }));
}

#[test]
fn what_comes_back_waits_and_its_queue_rests() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2]);
    let until = fixture.boot + 5_000;
    fixture.answer(claim, 1, PublishOutcome::Back { until, of_broker: true, may_be_out: false });
    fixture.answer(claim, 2, PublishOutcome::Passed);
    let effects = fixture.dispatch(2, source(DUE + 1, BROKER), [3], None);
    assert_eq!(jobs(&fixture.carry_out(effects)), Vec::<u64>::new());
    let effects = fixture.wait(1_200);
    let [JournalEntry::Offered(one), JournalEntry::Offered(other)] = &entries(&effects)[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((one.attempt, &one.members), (1, &Members::from_sorted([1])));
    assert_eq!(other.members, Members::from_sorted([3]));
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }));
    assert_eq!(jobs(&fixture.wait(3_600)), Vec::<u64>::new());
    let effects = fixture.wait(400);
    assert_eq!(jobs(&effects), [1, 3]);
    assert_eq!(published(&effects)[0].1.attempt, 1, "that was no attempt");
}

#[test]
fn what_can_never_be_handed_out_is_dead() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1]);
    let error = "a name of 232 bytes is too long".to_owned();
    let outcome = PublishOutcome::Failed { error: error.clone() };
    let effects = fixture.step(Event::Published { claim, of: of(1), outcome });
    let [JournalEntry::Attempt(record)] = &entries(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((record.verdict, &record.error), (Verdict::Dead, &Some(error)));
    assert_eq!((record.attempt, record.epoch), (1, EPOCH));
    assert!(!fixture.supervisor.is_drained(0, EPOCH));
    let effects = fixture.carry_out(effects);
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }));
    assert!(fixture.supervisor.is_drained(0, EPOCH));
    assert_eq!(fixture.supervisor.queues(), []);
}

#[test]
fn a_promise_takes_back_what_has_not_left_and_a_confirm_counts_all_the_same() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2]);
    fixture.lease.promised.insert((0, EPOCH));
    assert_eq!(withdrawn(&fixture.wait(200)), [1, 2]);
    assert_eq!(withdrawn(&fixture.wait(200)), Vec::<u64>::new(), "it is asked once");
    // What comes back is journaled as waiting at once.
    fixture.answer(claim, 1, BACK);
    let effects = fixture.wait(200);
    assert!(matches!(entries(&effects)[..], [JournalEntry::Offered(_)]), "{effects:?}");
    assert!(!fixture.supervisor.is_drained(0, EPOCH));
    // Now the shard is another's.
    fixture.step(Event::Shards(vec![crate::model::shard::Shard { owner: 2, ..shard(EPOCH + 1) }]));
    let effects = fixture.answer(claim, 2, PublishOutcome::Passed);
    assert_eq!(taken(&effects)[0].offer.epoch, EPOCH);
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }));
    assert!(fixture.supervisor.is_drained(0, EPOCH));
}

#[test]
fn what_comes_back_under_a_past_epoch_is_the_engines_or_the_stores() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1]);
    let effects = fixture.step(Event::OfferRead { id: 5, offer: Some(offer_row(5, [2])) });
    let effects = fixture.carry_out(effects);
    let [(row, _)] = published(&effects)[..] else { panic!("{effects:?}") };
    fixture.step(Event::Shards(vec![shard(EPOCH + 2)]));
    // What is at the bus is not published beside that.
    let offers = vec![*offer_row(5, [2])];
    let again = Loaded { epoch: EPOCH + 2, ..loaded(offers) };
    let effects = fixture.step(Event::Loaded(Box::new(again)));
    assert_eq!(jobs(&fixture.carry_out(effects)), Vec::<u64>::new());
    let effects = fixture.answer(claim, 1, BACK);
    let members = Members::from_sorted([1]);
    assert!(effects.contains(&Effect::Returned { dispatch: 1, members }), "{effects:?}");
    let effects = fixture.answer(row, 2, BACK);
    assert!(effects.contains(&Effect::Load { shard: 0, epoch: EPOCH + 2 }), "{effects:?}");
}

#[test]
fn a_cancelled_offer_is_taken_back_and_does_not_wait() {
    let mut fixture = SupervisorFixture::with_broker();
    let effects = fixture.step(Event::OfferRead { id: 5, offer: Some(offer_row(5, [1, 2])) });
    let effects = fixture.carry_out(effects);
    let claim = published(&effects)[0].0;
    let effects = fixture.step(Event::OfferRead { id: 5, offer: Some(offer_row(5, [2])) });
    assert_eq!(withdrawn(&effects), [1]);
    fixture.answer(claim, 1, BACK);
    fixture.answer(claim, 2, BACK);
    assert_eq!(jobs(&fixture.wait(1_000)), [2]);
}

#[test]
fn the_worker_of_a_cancelled_offer_that_has_left_is_told_once() {
    let mut fixture = SupervisorFixture::with_broker();
    let effects = fixture.step(Event::OfferRead { id: 5, offer: Some(offer_row(5, [1])) });
    let effects = fixture.carry_out(effects);
    let claim = published(&effects)[0].0;
    fixture.step(Event::OfferRead { id: 5, offer: None });
    fixture.answer(claim, 1, PublishOutcome::Passed);
    let seq = fixture.seq;
    fixture.step(Event::Recorded { seq });
    let effects = fixture.pass(400);
    assert!(effects.contains(&Effect::ReadRuns(vec![of(1)])), "{effects:?}");
    let found = over(false);
    let effects = fixture.step(Event::RunRead { of: of(1), found: found.clone() });
    assert_eq!(told(&effects), [(1, "nightly".to_owned())]);
    assert_eq!(told(&fixture.step(Event::RunRead { of: of(1), found })), []);
}

#[test]
fn what_is_cancelled_while_it_is_in_no_row_does_not_leave() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2]);
    assert!(fixture.supervisor.asks_for_end(of(1)), "its end is to be read");
    let effects = fixture.step(Event::RunRead { of: of(2), found: over(true) });
    assert_eq!(withdrawn(&effects), NONE, "its worker was faster than its confirm");
    let effects = fixture.step(Event::RunRead { of: of(1), found: over(false) });
    assert_eq!(withdrawn(&effects), [1]);
    fixture.answer(claim, 1, BACK);
    let effects = fixture.answer(claim, 2, PublishOutcome::Passed);
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }), "{effects:?}");
    // Cancelled after it was looked up, and before that was heard.
    let effects = fixture.dispatch(2, source(DUE, BROKER), [3], None);
    let cancelled = fixture.step(Event::RunRead { of: of(3), found: over(false) });
    assert_eq!(cancelled, [Effect::Finished { dispatch: 2 }]);
    let effects = [fixture.carry_out(effects), fixture.wait(2_000)].concat();
    assert_eq!(jobs(&effects), NONE);
    assert!(fixture.supervisor.is_at_rest());
}

#[test]
fn the_run_of_a_deleted_job_is_taken_back_and_over() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2]);
    assert_eq!(withdrawn(&fixture.step(Event::JobsGone(vec![1]))), [1]);
    let effects = fixture.answer(claim, 1, BACK);
    let [JournalEntry::Attempt(record)] = &entries(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(record.verdict, Verdict::Skipped(SkipReason::Ended));
    assert_eq!(record.origin, ResultOrigin::Cancelled);
    fixture.answer(claim, 2, BACK);
    assert_eq!(jobs(&fixture.wait(200)), [2]);
}

#[test]
fn a_status_that_came_before_the_confirm_wins() {
    let mut fixture = SupervisorFixture::with_broker();
    let effects = fixture.step(Event::OfferRead { id: 5, offer: Some(offer_row(5, [1, 2])) });
    let effects = fixture.carry_out(effects);
    let claim = published(&effects)[0].0;
    for job in [1, 2] {
        let run = Run {
            occurrence: of(job),
            worker: Some(published_run(Phase::Running)),
            ..stored(Phase::Running)
        };
        fixture.step(Event::RunRead { of: of(job), found: Found::Run(Box::new(run)) });
    }
    fixture.answer(claim, 1, PublishOutcome::Passed);
    fixture.answer(claim, 2, BACK);
    for job in [1, 2] {
        let live = fixture.supervisor.live(of(job), fixture.boot).unwrap();
        assert_eq!(live.phase, Some(Phase::Running), "{job}");
    }
    assert_eq!(jobs(&fixture.wait(1_000)), Vec::<u64>::new(), "its worker has it");
}

#[test]
fn what_a_worker_has_spoken_of_is_taken_though_its_confirm_is_lost() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2, 3]);
    let worker = "".into();
    fixture.step(Event::Reported { of: of(1), attempt: 0, worker, ends: false });
    let effects = fixture.answer(claim, 1, BACK);
    assert_eq!(taken(&effects)[0].offer.members, Members::from_sorted([1]), "{effects:?}");
    let worker = "".into();
    fixture.step(Event::Reported { of: of(2), attempt: 1, worker, ends: false });
    let outcome = PublishOutcome::Failed { error: "too large".to_owned() };
    let effects = fixture.answer(claim, 2, outcome);
    assert_eq!(taken(&effects)[0].offer.members, Members::from_sorted([2]), "{effects:?}");
    // Nobody has spoken of this attempt.
    let worker = "".into();
    fixture.step(Event::Reported { of: of(3), attempt: 2, worker, ends: false });
    let effects = fixture.answer(claim, 3, BACK);
    assert_eq!(taken(&effects), []);
    assert_eq!(jobs(&fixture.wait(400)), [3]);
}

#[test]
fn what_was_journaled_as_waiting_at_its_bus_is_taken_back_with_its_row() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2]);
    fixture.wait(1_000);
    fixture.record();
    let effects = fixture.step(Event::OfferRead { id: 5, offer: Some(offer_row(5, [1, 2])) });
    assert_eq!((jobs(&effects), withdrawn(&effects)), (vec![], vec![]), "they are at the bus");
    let effects = fixture.step(Event::OfferRead { id: 5, offer: Some(offer_row(5, [2])) });
    assert_eq!(withdrawn(&effects), [1]);
    fixture.answer(claim, 1, BACK);
    fixture.answer(claim, 2, BACK);
    assert_eq!(jobs(&fixture.wait(1_000)), [2]);
}

#[test]
fn what_comes_back_before_its_entry_is_synced_is_the_stores_to_say_afterwards() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1]);
    let effects = fixture.pass(1_000);
    let append = effects.iter().find_map(|effect| match effect {
        Effect::Append { id, .. } => Some(*id),
        _ => None,
    });
    let id = append.expect("it is journaled as waiting");
    fixture.step(Event::Published { claim, of: of(1), outcome: BACK });
    fixture.step(Event::Appended { id, seq: 1 });
    let before = Loaded { read_upto: 0, ..loaded(Vec::new()) };
    fixture.step(Event::Loaded(Box::new(before)));
    assert_eq!(fixture.supervisor.queues()[0].offers, 1, "the entry was not read");
    let behind = Loaded { read_upto: 1, ..loaded(Vec::new()) };
    fixture.step(Event::Loaded(Box::new(behind)));
    assert_eq!(fixture.supervisor.queues(), [], "the store has it no more");
}

#[test]
fn a_broker_that_gives_back_again_and_again_holds_no_watermark_back() {
    let mut fixture = SupervisorFixture::with_broker();
    let mut claim = fixture.publish(1, [1]);
    let mut all = Vec::new();
    for _ in 0..4 {
        let mut effects = fixture.answer(claim, 1, BACK);
        effects.extend(fixture.wait(400));
        claim = published(&effects)[0].0;
        all.extend(effects);
    }
    assert!(matches!(entries(&all)[..], [JournalEntry::Offered(_)]), "{all:?}");
    assert!(all.contains(&Effect::Finished { dispatch: 1 }));
}

#[test]
fn a_broker_that_does_not_answer_holds_no_watermark_back() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2]);
    let effects = fixture.wait(1_000);
    let [JournalEntry::Offered(offer)] = &entries(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(offer.members, Members::from_sorted([1, 2]));
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }));
    assert!(!fixture.supervisor.is_drained(0, EPOCH), "they may be confirmed yet");
    // A read of the store from before the entry does not lose what came back.
    fixture.answer(claim, 1, BACK);
    let read_upto = 0;
    fixture.step(Event::Loaded(Box::new(Loaded { read_upto, ..loaded(Vec::new()) })));
    let effects = fixture.answer(claim, 2, PublishOutcome::Passed);
    assert_eq!(taken(&effects)[0].offer.members, Members::from_sorted([2]));
    assert_eq!(jobs(&fixture.wait(200)), [1]);
}

#[test]
fn a_pending_run_is_cancelled_by_its_bus_and_told_again_when_that_comes_back() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1]);
    fixture.answer(claim, 1, PublishOutcome::Passed);
    let run = Run { worker: Some(published_run(Phase::Cancelling)), ..stored(Phase::Cancelling) };
    let effects = fixture.step(Event::RunRead { of: of(1), found: Found::Run(Box::new(run)) });
    let nightly = [(1, "nightly".to_owned())];
    assert_eq!(told(&effects), nightly);
    let bus = |shard, up| Event::Bus { shard, queue: BROKER, up };
    fixture.step(bus(0, false));
    assert_eq!(told(&fixture.step(bus(1, true))), [], "that of another shard");
    assert_eq!(told(&fixture.step(bus(0, true))), nightly);
}

#[test]
fn a_pending_run_is_not_silent_and_one_that_has_begun_is_judged_at_once() {
    let mut fixture = SupervisorFixture::with_broker();
    fixture.pass(400);
    let claim = fixture.publish(1, [1]);
    fixture.answer(claim, 1, PublishOutcome::Passed);
    let lost = |effects: &[Effect]| {
        let said = Said::Lost { node: 1, epoch: EPOCH };
        effects.iter().any(|effect| match effect {
            Effect::Propose(reports) => reports.iter().any(|report| report.said == said),
            _ => false,
        })
    };
    fixture.record();
    assert!(!lost(&fixture.pass(200_000)), "nobody said that it began");
    let run = Run { worker: Some(published_run(Phase::Running)), ..stored(Phase::Running) };
    fixture.step(Event::RunRead { of: of(1), found: Found::Run(Box::new(run)) });
    assert!(!lost(&fixture.pass(1_800)));
    assert!(lost(&fixture.pass(400)));
}
