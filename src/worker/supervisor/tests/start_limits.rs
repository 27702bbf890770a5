//! Start timeouts: what has waited for too long is neither claimed nor published any more, at any
//! step of its way.

use std::sync::Arc;

use super::super::event::{Dispatch, Effect, Event, PublishOutcome};
use super::fixture::*;
use super::publishes::{jobs, published, withdrawn};
use crate::model::Millis;
use crate::model::attempt::JournalEntry;
use crate::model::members::Members;
use crate::model::on_offer::{OnOffer, RECORDING};
use crate::model::run::Phase;
use crate::model::run_terms::RunTerms;

const NONE: [u64; 0] = [];

impl SupervisorFixture {
    fn sched(&self) -> Millis {
        1_000_000 + self.boot.cast_signed()
    }

    /// Jobs of a queue fall due that may wait for `start_timeout`.
    fn fall_due(&mut self, jobs: &[u64], queue: u64, start_timeout: Millis) -> Vec<Effect> {
        let (id, source) = (1, source(DUE, queue));
        let terms = RunTerms { start_timeout: Some(start_timeout), ..terms(queue) };
        let (members, terms) = (Members::from_sorted(jobs.iter().copied()), Arc::new(terms));
        let dispatch = Dispatch { id, source, members, terms, max_waiting: None };
        self.step(Event::Dispatch(Box::new(dispatch)))
    }

    /// The store has jobs that may be handed out for `left` from now on.
    fn read_row(&mut self, id: u64, jobs: &[u64], queue: u64, left: Millis) -> Vec<Effect> {
        let mut offer = row(id, 1, jobs.iter().copied());
        let expires = Some(self.sched() + left + RECORDING);
        offer.row.on_offer = Some(OnOffer { since: DUE, expires, executor: queue });
        self.step(Event::OfferRead { id, offer: Some(Box::new(offer)) })
    }
}

#[test]
fn what_has_waited_for_too_long_is_not_claimed_and_others_pass_it() {
    let mut fixture = SupervisorFixture::new();
    fixture.read_row(4, &[1, 2], 7, 5_000);
    fixture.read_row(5, &[3], 7, 60_000);
    fixture.boot += 5_000;
    assert_eq!(fixture.take(1), [1], "at the last instant");
    fixture.boot += 1;
    assert_eq!(fixture.take(9), [3]);
    assert_eq!(fixture.supervisor.queues()[0].offers, 1, "the leader ends it");
    let until = fixture.boot + 10_000;
    let effects = fixture.step(Event::Want { gateway: 2, queue: 7, until });
    assert_eq!(effects, [], "nothing of it may be had");
    // A later wait of its row, after an edit or a restore.
    fixture.read_row(4, &[2], 7, 5_000);
    assert_eq!(fixture.take(9), [2]);
}

#[test]
fn what_the_journal_does_not_have_yet_is_not_claimed_too_late_either() {
    let mut fixture = SupervisorFixture::new();
    fixture.fall_due(&[1, 2], 7, 500);
    assert_eq!(fixture.take(1), [1]);
    fixture.boot += 501;
    assert_eq!(fixture.take(9), NONE);
    let effects = fixture.pass(600);
    assert!(matches!(entries(&effects)[..], [JournalEntry::Offered(_)]), "{effects:?}");
    fixture.carry_out(effects);
    assert_eq!(fixture.take(9), NONE);
}

#[test]
fn what_is_late_when_it_was_looked_up_is_not_taken_and_not_looked_up_again() {
    let mut fixture = SupervisorFixture::new();
    fixture.read_row(4, &[1], 7, 100);
    let claim = fixture.claim(1);
    let effects = fixture.step(Event::Claim(claim));
    fixture.boot += 101;
    let effects = fixture.carry_out(effects);
    assert!(taken(&effects).is_empty(), "{effects:?}");
    let looks = effects.iter().filter(|effect| matches!(effect, Effect::Prepare { .. })).count();
    assert_eq!(looks, 1);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Answer { .. })), "{effects:?}");
}

#[test]
fn a_claim_whose_entry_took_too_long_is_not_answered_with_the_run() {
    let answered_after = |disk: u64| {
        let mut fixture = SupervisorFixture::new();
        fixture.read_row(4, &[1], 7, 100);
        let claim = fixture.claim(1);
        let effects = fixture.step(Event::Claim(claim));
        let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
        let parts = SupervisorFixture::prepared(parts);
        let effects = fixture.step(Event::Prepared { claim: *claim, parts });
        assert_eq!(taken(&effects).len(), 1);
        fixture.boot += 100 + disk;
        let effects = fixture.carry_out(effects);
        let answer = effects.iter().find_map(|effect| match effect {
            Effect::Answer { runs, .. } => Some(runs.len()),
            _ => None,
        });
        answer.expect("the claim is answered")
    };
    assert_eq!((answered_after(1_000), answered_after(1_001)), (1, 0));
}

#[test]
fn what_its_worker_has_is_adopted_however_late() {
    let mut fixture = SupervisorFixture::new();
    fixture.read_row(4, &[1], 7, 100);
    fixture.boot += 1_000;
    let effects = fixture.beat(1, 1, "w");
    let effects = fixture.carry_out(effects);
    assert_eq!(taken(&effects).len(), 1, "{effects:?}");
}

#[test]
fn what_has_waited_for_too_long_is_not_published_and_others_pass_it() {
    let mut fixture = SupervisorFixture::new();
    fixture.read_row(4, &[1], BROKER, 5_000);
    fixture.read_row(5, &[2], BROKER, 60_000);
    fixture.boot += 5_001;
    let effects = fixture.step(Event::Bus { shard: 0, queue: BROKER, up: true });
    let effects = fixture.carry_out(effects);
    assert_eq!(jobs(&effects), [2]);
    let until = fixture.sched() - 5_001 + 60_000;
    assert_eq!(published(&effects)[0].1.start_by, Some(until), "for the check as it leaves");
}

#[test]
fn what_is_late_when_it_was_looked_up_is_not_published() {
    let mut fixture = SupervisorFixture::with_broker();
    let effects = fixture.fall_due(&[1], BROKER, 500);
    fixture.boot += 501;
    let effects = fixture.carry_out(effects);
    assert_eq!(jobs(&effects), NONE, "{effects:?}");
    let looks = effects.iter().filter(|effect| matches!(effect, Effect::Prepare { .. })).count();
    assert_eq!(looks, 1);
    assert_eq!(jobs(&fixture.wait(2_000)), NONE);
}

#[test]
fn what_comes_back_late_rests_nobody_and_is_not_published_again() {
    let mut fixture = SupervisorFixture::with_broker();
    let effects = fixture.fall_due(&[1], BROKER, 500);
    let effects = fixture.carry_out(effects);
    let claim = published(&effects)[0].0;
    fixture.boot += 501;
    let until = fixture.boot;
    let withheld = PublishOutcome::Back { until, of_broker: true, may_be_out: false };
    assert_eq!(jobs(&fixture.answer(claim, 1, withheld)), NONE);
    let effects = fixture.dispatch(2, source(DUE, BROKER), [2], None);
    assert_eq!(jobs(&fixture.carry_out(effects)), [2], "its broker does not rest");
    assert_eq!(jobs(&fixture.wait(2_000)), NONE);
}

#[test]
fn what_has_left_is_taken_before_the_leader_ends_it_however_late_its_confirm() {
    for outcome in [
        PublishOutcome::Passed,
        PublishOutcome::Back { until: 0, of_broker: false, may_be_out: true },
    ] {
        let mut fixture = SupervisorFixture::with_broker();
        let effects = fixture.fall_due(&[1, 2], BROKER, 300);
        let effects = fixture.carry_out(effects);
        let (claim, run) = published(&effects)[0].clone();
        assert_eq!(withdrawn(&fixture.wait(200)), NONE, "it may still leave");
        // The bus gives back what has not left.
        assert_eq!(withdrawn(&fixture.wait(200)), [1, 2]);
        let until = fixture.boot;
        let withheld = PublishOutcome::Back { until, of_broker: true, may_be_out: false };
        fixture.answer(claim, 2, withheld);
        let effects = fixture.wait(400);
        let [one] = &taken(&effects)[..] else { panic!("{effects:?}") };
        assert_eq!((one.phase, &one.offer.members), (Phase::Pending, &Members::from_sorted([1])));
        assert!(one.started < run.start_by.unwrap() + RECORDING / 2, "there is time to record it");
        assert!(taken(&fixture.answer(claim, 1, outcome)).is_empty());
        assert_eq!(jobs(&fixture.wait(5_000)), NONE, "it is out");
        let live = fixture.supervisor.live(of(1), fixture.boot);
        assert_eq!(live.and_then(|live| live.phase), Some(Phase::Pending));
        assert!(fixture.supervisor.is_at_rest());
    }
}
