//! Runs that came back from their bus and arrived all the same: once a worker has spoken of one it
//! is taken, and not published again.

use super::super::event::{Effect, Event, PublishOutcome};
use super::fixture::*;
use super::publishes::{jobs, published};
use crate::model::members::Members;
use crate::model::run::Phase;

/// Nobody knows whether the run has arrived.
fn lost(until: u64) -> PublishOutcome {
    PublishOutcome::Back { until, of_broker: false, may_be_out: true }
}

fn reported(job: u64, attempt: u32, ends: bool) -> Event {
    Event::Reported { of: of(job), attempt, worker: "".into(), ends }
}

#[test]
fn what_came_back_and_was_spoken_of_since_is_taken_and_not_published_again() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2, 3, 4]);
    let until = fixture.boot + 1_000;
    for job in [1, 2, 4] {
        fixture.answer(claim, job, lost(until));
    }
    let refused = PublishOutcome::Back { until, of_broker: false, may_be_out: false };
    fixture.answer(claim, 3, refused);
    fixture.step(reported(1, 0, false));
    fixture.step(reported(2, 2, false)); // of another attempt
    fixture.step(reported(3, 0, false)); // it never left
    let effects = fixture.wait(1_400);
    assert_eq!(jobs(&effects), [2, 3, 4], "nobody has spoken of these");
    let [one] = &taken(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((&one.offer.members, one.phase), (&Members::from_sorted([1]), Phase::Pending));
    assert_eq!((one.offer.attempt, &one.offer.terms), (1, &terms(BROKER)));
    let live = fixture.supervisor.live(of(1), fixture.boot).unwrap();
    assert_eq!((live.phase, live.attempt), (Some(Phase::Pending), 1));
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }), "the others are on offer");
}

#[test]
fn what_may_have_arrived_may_have_after_another_try_that_did_not_leave() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1, 2]);
    fixture.answer(claim, 1, lost(0));
    fixture.answer(claim, 2, lost(0));
    let effects = fixture.wait(400);
    assert_eq!(jobs(&effects), [1, 2]);
    let claim = published(&effects)[0].0;
    let until = fixture.boot + 1_000;
    let refused = PublishOutcome::Back { until, of_broker: false, may_be_out: false };
    for job in [1, 2] {
        fixture.answer(claim, job, refused.clone());
    }
    fixture.step(reported(1, 0, false));
    let effects = fixture.wait(1_400);
    assert_eq!(jobs(&effects), [2], "nobody has spoken of it");
    let [one] = &taken(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(one.offer.members, Members::from_sorted([1]));
}

#[test]
fn what_is_spoken_of_while_it_is_looked_up_is_taken() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1]);
    fixture.answer(claim, 1, lost(0));
    let effects = fixture.pass(400);
    let prepare = effects.into_iter().find_map(|effect| match effect {
        Effect::Prepare { claim, parts } => Some((claim, parts)),
        _ => None,
    });
    let (claim, parts) = prepare.expect("it is to be published again");
    fixture.step(reported(1, 1, true));
    let parts = SupervisorFixture::prepared(&parts);
    let effects = fixture.step(Event::Prepared { claim, parts });
    assert!(published(&effects).is_empty(), "{effects:?}");
    assert_eq!(taken(&effects).len(), 1);
    fixture.carry_out(effects);
    assert!(fixture.supervisor.is_drained(0, EPOCH) && fixture.supervisor.is_at_rest());
    assert!(published(&fixture.wait(2_000)).is_empty(), "its worker has it");
}
