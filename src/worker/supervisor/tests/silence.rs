//! Silence and signs of life: who counts as lost, when, and who is asked to stop.

use super::super::event::{Effect, Event, Found, Loaded};
use super::fixture::*;
use crate::model::members::Members;
use crate::model::run::Phase;
use crate::model::run_report::Said;

fn lost(effects: &[Effect]) -> Vec<u64> {
    let proposals = effects.iter().filter_map(|effect| match effect {
        Effect::Propose(reports) => Some(reports),
        _ => None,
    });
    let said = Said::Lost { node: 1, epoch: EPOCH };
    proposals.flatten().filter(|report| report.said == said).map(|r| r.occurrence.job).collect()
}

/// A fixture whose worker `w` has job 1, and the store knows it.
fn with_a_run() -> SupervisorFixture {
    let mut fixture = SupervisorFixture::new();
    fixture.pass(400);
    fixture.dispatch(1, source(DUE, 7), [1], None);
    assert_eq!(fixture.take(1), [1]);
    fixture.record();
    fixture
}

fn read(fixture: &mut SupervisorFixture, phase: Phase) -> Vec<Effect> {
    let found = Found::Run(Box::new(stored(phase)));
    fixture.step(Event::RunRead { of: of(1), found })
}

#[test]
fn the_first_heartbeat_is_due_within_fifteen_seconds_and_then_within_the_timeout() {
    let mut fixture = with_a_run();
    assert_eq!(lost(&fixture.pass(14_800)), Vec::<u64>::new());
    assert_eq!(lost(&fixture.pass(400)), [1]);
    let mut fixture = with_a_run();
    fixture.pass(10_000);
    fixture.beat(1, 1, "w");
    assert_eq!(lost(&fixture.pass(59_800)), Vec::<u64>::new());
    assert_eq!(lost(&fixture.pass(400)), [1]);
    assert_eq!(lost(&fixture.pass(4_000)), Vec::<u64>::new(), "it is not proposed at each tick");
    assert_eq!(lost(&fixture.pass(2_000)), [1]);
}

#[test]
fn words_of_another_attempt_or_worker_are_no_sign_of_life() {
    let mut fixture = with_a_run();
    fixture.pass(10_000);
    fixture.beat(1, 2, "w");
    fixture.beat(1, 1, "v");
    assert_eq!(lost(&fixture.pass(5_400)), [1]);
}

fn heard(unknown: bool) -> [Effect; 1] {
    let unknown = if unknown { vec![of(1)] } else { Vec::new() };
    [Effect::Heard { heartbeat: 1, unknown }]
}

#[test]
fn only_an_owner_says_that_it_has_heard_a_run() {
    let mut fixture = with_a_run();
    assert_eq!(fixture.beat(1, 1, "w"), heard(false));
    fixture.lease.since = None;
    assert_eq!(fixture.beat(1, 1, "w"), heard(true), "another node may be the owner");
    fixture.lease.since = Some(fixture.boot);
    fixture.lease.promised.insert((0, EPOCH));
    assert_eq!(fixture.beat(1, 1, "w"), heard(true), "the next owner may be there");
    fixture.lease.promised.clear();
    assert_eq!(fixture.beat(1, 1, "w"), heard(false));
}

#[test]
fn a_heartbeat_that_does_not_count_here_is_a_sign_of_life_all_the_same() {
    let mut fixture = with_a_run();
    fixture.pass(10_000);
    fixture.lease.promised.insert((0, EPOCH));
    assert_eq!(fixture.beat(1, 1, "w"), heard(true));
    assert_eq!(lost(&fixture.pass(59_800)), Vec::<u64>::new());
    assert_eq!(lost(&fixture.pass(400)), [1]);
}

#[test]
fn a_heartbeat_of_another_attempt_or_worker_was_not_heard() {
    let mut fixture = with_a_run();
    assert_eq!(fixture.beat(1, 2, "w"), heard(true));
    assert_eq!(fixture.beat(1, 1, "v"), heard(true));
}

#[test]
fn without_a_lease_nothing_is_judged_and_the_time_without_it_does_not_count() {
    let mut fixture = with_a_run();
    fixture.beat(1, 1, "w");
    fixture.lease.since = None;
    assert_eq!(lost(&fixture.pass(100_000)), Vec::<u64>::new());
    fixture.lease.since = Some(fixture.boot);
    // 60 s, and 5 s in which those are heard who could not be.
    assert_eq!(lost(&fixture.pass(64_800)), Vec::<u64>::new());
    assert_eq!(lost(&fixture.pass(400)), [1]);
}

#[test]
fn a_stall_does_not_count_and_what_waited_is_heard_within_five_seconds() {
    let mut fixture = with_a_run();
    fixture.beat(1, 1, "w");
    fixture.pass(40_000);
    fixture.boot += 30_000;
    assert_eq!(lost(&fixture.step(Event::Tick)), Vec::<u64>::new());
    assert_eq!(lost(&fixture.pass(24_800)), Vec::<u64>::new());
    assert_eq!(lost(&fixture.pass(400)), [1]);
}

#[test]
fn what_was_heard_right_after_a_stall_has_no_more_than_its_timeout() {
    let mut fixture = with_a_run();
    fixture.pass(10_000);
    fixture.boot += 30_000;
    fixture.beat(1, 1, "w");
    assert_eq!(lost(&fixture.pass(59_800)), Vec::<u64>::new());
    assert_eq!(lost(&fixture.pass(400)), [1]);
}

/// The time after which a silent worker is lost where each five seconds end with `gap`.
fn lost_after(gap: impl Fn(&mut SupervisorFixture) -> Vec<Effect>) -> u64 {
    let mut fixture = with_a_run();
    fixture.beat(1, 1, "w");
    let heard = fixture.boot;
    loop {
        if lost(&fixture.pass(5_000)) == [1] {
            return fixture.boot - heard;
        }
        assert_eq!(lost(&gap(&mut fixture)), Vec::<u64>::new(), "nobody could be heard");
        assert!(fixture.boot < heard + 600_000, "nothing is ever judged");
    }
}

#[test]
fn stalls_and_lapses_without_end_do_not_put_a_loss_off_without_end() {
    // 13 times five seconds: the timeout, and the time that hearing may take.
    let stalled = lost_after(|fixture| {
        fixture.boot += 1_200;
        fixture.step(Event::Tick)
    });
    assert_eq!(stalled, 65_000 + 12 * 1_200);
    let lapsed = lost_after(|fixture| {
        fixture.lease.since = None;
        let effects = fixture.pass(1_200);
        fixture.lease.since = Some(fixture.boot);
        effects
    });
    assert_eq!(lapsed, 65_000 + 12 * 1_200);
}

#[test]
fn whoever_sends_heartbeats_in_time_is_not_lost_by_stalls_and_lapses() {
    let mut fixture = with_a_run();
    fixture.beat(1, 1, "w");
    for round in 0..20 {
        // It is sent at the last moment, in a stall, and heard late after it.
        assert_eq!(lost(&fixture.pass(40_000)), Vec::<u64>::new(), "round {round}");
        if round % 2 == 0 {
            fixture.boot += 30_000;
            assert_eq!(lost(&fixture.step(Event::Tick)), Vec::<u64>::new(), "round {round}");
        } else {
            fixture.lease.since = None;
            assert_eq!(lost(&fixture.pass(30_000)), Vec::<u64>::new(), "round {round}");
            fixture.lease.since = Some(fixture.boot);
        }
        assert_eq!(lost(&fixture.pass(4_800)), Vec::<u64>::new(), "round {round}");
        fixture.beat(1, 1, "w");
    }
}

#[test]
fn a_new_owner_grants_a_full_timeout() {
    let mut fixture = SupervisorFixture::unborn();
    fixture.pass(400);
    fixture.step(Event::Shards(vec![shard(EPOCH)]));
    let runs = vec![stored(Phase::Running)];
    fixture.step(Event::Loaded(Box::new(Loaded { runs, ..loaded(Vec::new()) })));
    assert_eq!(lost(&fixture.pass(59_800)), Vec::<u64>::new());
    assert_eq!(lost(&fixture.pass(400)), [1]);
}

#[test]
fn while_a_bus_is_down_nothing_is_judged() {
    let mut fixture = with_a_run();
    fixture.beat(1, 1, "w");
    fixture.step(Event::Bus { shard: 0, queue: 7, up: false });
    assert_eq!(lost(&fixture.pass(100_000)), Vec::<u64>::new());
    fixture.step(Event::Bus { shard: 0, queue: 7, up: true });
    assert_eq!(lost(&fixture.pass(59_800)), Vec::<u64>::new());
    assert_eq!(lost(&fixture.pass(400)), [1]);
}

#[test]
fn what_the_store_does_not_know_as_taken_is_not_lost_yet() {
    let mut fixture = SupervisorFixture::new();
    fixture.pass(400);
    fixture.dispatch(1, source(DUE, 7), [1], None);
    assert_eq!(fixture.take(1), [1]);
    assert_eq!(lost(&fixture.pass(20_000)), Vec::<u64>::new());
    fixture.record();
    assert_eq!(lost(&fixture.pass(1_200)), [1]);
}

#[test]
fn a_heartbeat_for_an_offer_of_that_attempt_takes_it() {
    let mut fixture = SupervisorFixture::new();
    fixture.step(Event::OfferRead { id: 4, offer: Some(Box::new(row(4, 2, [1, 2]))) });
    let unknown = |effects: &[Effect]| {
        let unknown = vec![of(1)];
        effects.contains(&Effect::Heard { heartbeat: 1, unknown })
    };
    let effects = fixture.beat(1, 1, "w");
    assert!(unknown(&effects) && effects.len() == 1, "of an older attempt: {effects:?}");
    let effects = fixture.beat(1, 2, "w");
    assert!(unknown(&effects));
    let effects = fixture.carry_out(effects);
    let [adopted] = &taken(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((adopted.worker.as_str(), adopted.offer.attempt), ("w", 2));
    assert_eq!(adopted.offer.members, Members::from_sorted([1]));
    assert_eq!(fixture.take(9), [2]);
    let known = Effect::Heard { heartbeat: 1, unknown: Vec::new() };
    assert_eq!(fixture.beat(1, 2, "w"), [known]);
}

#[test]
fn heartbeats_write_nothing_and_progress_is_written_seldom() {
    let mut fixture = with_a_run();
    for _ in 0..100 {
        fixture.beat(1, 1, "w");
        assert!(entries(&fixture.pass(200)).is_empty());
    }
    let mut written = 0;
    for percent in 0..50 {
        let beat = super::super::event::Beat {
            of: of(1),
            attempt: 1,
            progress: Some(percent),
            message: None,
        };
        let runs = vec![beat];
        let heartbeat = super::super::event::Heartbeat { id: 1, worker: "w".into(), runs };
        fixture.step(Event::Heartbeat(heartbeat));
        written += entries(&fixture.pass(200)).len();
    }
    assert_eq!(written, 2, "in ten seconds");
}

#[test]
fn a_worker_is_asked_three_times_to_stop_and_after_a_reconnect() {
    let mut fixture = with_a_run();
    let asked = |effects: &[Effect]| {
        effects.iter().filter(|effect| matches!(effect, Effect::TellCancel { .. })).count()
    };
    assert_eq!(asked(&read(&mut fixture, Phase::Cancelling)), 1);
    assert_eq!(asked(&read(&mut fixture, Phase::Cancelling)), 0);
    assert_eq!(asked(&fixture.pass(19_800)), 0);
    assert_eq!(asked(&fixture.pass(400)), 1);
    assert_eq!(asked(&fixture.pass(40_000)), 1);
    assert_eq!(asked(&fixture.step(Event::Bus { shard: 0, queue: 7, up: true })), 1);
}

#[test]
fn a_worker_whose_run_ended_without_it_is_asked_to_stop_once() {
    let end = |by_worker| Event::RunRead { of: of(1), found: over(by_worker) };
    let asked = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::TellCancel { attempt: 1, .. }))
    };
    let mut fixture = with_a_run();
    assert!(asked(&fixture.step(end(false))));
    assert!(!asked(&fixture.step(end(false))));
    let mut fixture = with_a_run();
    assert!(!asked(&fixture.step(end(true))));
    let mut fixture = with_a_run();
    fixture.step(Event::Reported { of: of(1), attempt: 1, worker: "w".into(), ends: true });
    assert!(!asked(&fixture.step(end(false))), "it just said that it is done");
}
