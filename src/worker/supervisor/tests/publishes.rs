//! Publishes: which runs an owner hands to the broker of their queue, and when.

use super::super::event::{Effect, Event, Found, Handed, PublishOutcome};
use super::super::is_publish;
use super::fixture::*;
use crate::model::attempt::{JournalEntry, SkipReason, Verdict};
use crate::model::run::{Phase, Run};

/// The runs that effects hand to a bus, with the hand.
pub(super) fn published(effects: &[Effect]) -> Vec<(u64, Handed)> {
    let hands = effects.iter().filter_map(|effect| match effect {
        Effect::Publish { claim, runs } => Some((*claim, runs.clone())),
        _ => None,
    });
    hands.flat_map(|(claim, runs)| runs.into_iter().map(move |run| (claim, run))).collect()
}

/// Their jobs.
pub(super) fn jobs(effects: &[Effect]) -> Vec<u64> {
    published(effects).iter().map(|(_, run)| run.of.job).collect()
}

/// The jobs whose runs effects ask back.
pub(super) fn withdrawn(effects: &[Effect]) -> Vec<u64> {
    let all = effects.iter().filter_map(|effect| match effect {
        Effect::Withdraw { runs } => Some(runs.iter().map(|run| run.of.job)),
        _ => None,
    });
    all.flatten().collect()
}

impl SupervisorFixture {
    /// A fixture whose broker is there.
    pub(super) fn with_broker() -> Self {
        let mut fixture = Self::new();
        fixture.step(Event::Bus { shard: 0, queue: BROKER, up: true });
        fixture
    }

    /// Has occurrences of the broker's queue fall due; the hand by which they are published.
    pub(super) fn publish(&mut self, dispatch: u64, jobs: impl IntoIterator<Item = u64>) -> u64 {
        let effects = self.dispatch(dispatch, source(DUE, BROKER), jobs, None);
        let effects = self.carry_out(effects);
        published(&effects).first().expect("nothing was published").0
    }

    /// The bus answers, and what follows is carried out.
    pub(super) fn answer(&mut self, claim: u64, job: u64, outcome: PublishOutcome) -> Vec<Effect> {
        let effects = self.step(Event::Published { claim, of: of(job), outcome });
        self.carry_out(effects)
    }

    /// Lets time pass, and carries out what follows.
    pub(super) fn wait(&mut self, millis: u64) -> Vec<Effect> {
        let effects = self.pass(millis);
        self.carry_out(effects)
    }

    fn phase_of(&self, job: u64) -> Option<Phase> {
        self.supervisor.live(of(job), self.boot).and_then(|live| live.phase)
    }
}

#[test]
fn before_its_bus_has_come_nothing_is_published() {
    let mut fixture = SupervisorFixture::new();
    let effects = fixture.dispatch(1, source(DUE + 1, BROKER), [1, 2], None);
    assert_eq!(jobs(&fixture.carry_out(effects)), Vec::<u64>::new());
    let effects = fixture.dispatch(2, source(DUE, BROKER), [4], None);
    assert_eq!(jobs(&fixture.carry_out(effects)), Vec::<u64>::new());
    // That of another shard says nothing.
    let effects = fixture.step(Event::Bus { shard: 1, queue: BROKER, up: true });
    assert_eq!(jobs(&fixture.carry_out(effects)), Vec::<u64>::new());
    let effects = fixture.step(Event::Bus { shard: 0, queue: BROKER, up: true });
    let effects = fixture.carry_out(effects);
    assert_eq!(jobs(&effects), [4, 1, 2], "the oldest first");
    let (claim, run) = published(&effects).remove(0);
    assert!(is_publish(claim));
    assert_eq!((run.attempt, run.epoch, run.due, run.project), (1, EPOCH, DUE, 1));
    assert_eq!(run.terms.name, "nightly");
    assert_eq!(fixture.take(9), Vec::<u64>::new(), "nobody else gets them");
}

#[test]
fn while_its_bus_is_away_nothing_is_published() {
    let mut fixture = SupervisorFixture::with_broker();
    fixture.step(Event::Bus { shard: 0, queue: BROKER, up: false });
    let effects = fixture.dispatch(1, source(DUE, BROKER), [1], None);
    assert_eq!(jobs(&fixture.carry_out(effects)), Vec::<u64>::new());
    let effects = fixture.wait(1_000);
    assert!(matches!(entries(&effects)[..], [JournalEntry::Offered(_)]), "{effects:?}");
    let effects = fixture.step(Event::Bus { shard: 0, queue: BROKER, up: true });
    assert_eq!(jobs(&fixture.carry_out(effects)), [1]);
}

#[test]
fn without_a_lease_room_or_shard_nothing_is_published() {
    let mut fixture = SupervisorFixture::with_broker();
    let none = Vec::<u64>::new();
    fixture.lease.since = None;
    let effects = fixture.dispatch(1, source(DUE, BROKER), [1], None);
    assert_eq!(jobs(&fixture.carry_out(effects)), none, "without a lease");
    fixture.lease.since = Some(fixture.boot);
    fixture.has_room = false;
    assert_eq!(jobs(&fixture.wait(200)), none, "without room in the journal");
    fixture.has_room = true;
    fixture.lease.promised.insert((0, EPOCH));
    assert_eq!(jobs(&fixture.wait(200)), none, "promised away");
    fixture.lease.promised.clear();
    assert_eq!(jobs(&fixture.wait(200)), [1]);
    fixture.step(Event::Shards(vec![closing_shard()]));
    let effects = fixture.step(Event::OfferRead { id: 5, offer: Some(offer_row(5, [2])) });
    assert_eq!(jobs(&fixture.carry_out(effects)), none, "the owner before may have");
}

#[test]
fn the_lease_is_asked_again_when_members_were_looked_up() {
    let mut fixture = SupervisorFixture::with_broker();
    let effects = fixture.dispatch(1, source(DUE, BROKER), [1], None);
    let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(!fixture.supervisor.is_drained(0, EPOCH));
    let parts = SupervisorFixture::prepared(parts);
    fixture.lease.since = None;
    let effects = fixture.step(Event::Prepared { claim: *claim, parts });
    assert_eq!(effects, [], "it waits on");
    fixture.lease.since = Some(fixture.boot);
    assert_eq!(jobs(&fixture.wait(200)), [1]);
}

#[test]
fn what_cannot_be_looked_up_is_not_asked_for_without_end() {
    let mut fixture = SupervisorFixture::with_broker();
    let mut effects = fixture.dispatch(1, source(DUE, BROKER), [1], None);
    let mut asked = 0;
    for _ in 0..4 {
        let [Effect::Prepare { claim, parts }, ..] = effects.as_slice() else { break };
        asked += 1;
        let later = parts.iter().map(later).collect();
        effects = fixture.step(Event::Prepared { claim: *claim, parts: later });
    }
    assert_eq!(asked, 1, "it rests");
    assert_eq!(jobs(&fixture.wait(200)), [1]);
}

#[test]
fn a_queue_has_no_more_in_hand_than_its_bus_can_keep_apart() {
    let mut fixture = SupervisorFixture::with_broker();
    let effects = fixture.dispatch(1, source(DUE, BROKER), 64..64 + 2_000, None);
    let effects = fixture.carry_out(effects);
    let all = published(&effects);
    assert_eq!(all.len(), 1_024);
    for claim in all.iter().map(|(claim, _)| *claim) {
        assert_eq!(all.iter().filter(|(of, _)| *of == claim).count(), 256);
    }
    // Another hand is begun when it may be a whole one.
    let mut begun = Vec::new();
    for (claim, run) in &all[..256] {
        assert_eq!(begun, []);
        begun = published(&fixture.answer(*claim, run.of.job, PublishOutcome::Passed));
    }
    assert_eq!(begun.len(), 256);
    assert_eq!(fixture.supervisor.queues()[0].offers, 2_000 - 256);
    assert_eq!(fixture.supervisor.queues()[0].taken, 256);
}

#[test]
fn the_most_runs_of_a_queue_hold_for_its_bus_too() {
    let mut fixture = SupervisorFixture::with_broker();
    fixture.step(Event::QueueLimit { queue: BROKER, most: Some(2) });
    let claim = fixture.publish(1, 1..=4);
    assert_eq!(jobs(&fixture.wait(400)), Vec::<u64>::new(), "two are in hand");
    fixture.answer(claim, 1, PublishOutcome::Passed);
    fixture.answer(claim, 2, PublishOutcome::Passed);
    assert_eq!(jobs(&fixture.wait(400)), Vec::<u64>::new(), "two are taken");
    fixture.record();
    let found = over(true);
    let effects = fixture.step(Event::RunRead { of: of(1), found });
    assert_eq!(jobs(&fixture.carry_out(effects)), [3]);
}

#[test]
fn what_an_edit_has_changed_is_not_published() {
    let mut fixture = SupervisorFixture::with_broker();
    let effects = fixture.dispatch(1, source(DUE, BROKER), [1, 2, 3], None);
    let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
    let mut parts: Vec<_> = parts.iter().map(later).collect();
    parts[0].later.clear();
    parts[0].gone = vec![1];
    parts[0].skipped = vec![(vec![2], SkipReason::Paused)];
    parts[0].moved = vec![(vec![3], std::sync::Arc::new(terms(7)))];
    let effects = fixture.step(Event::Prepared { claim: *claim, parts });
    let effects = fixture.carry_out(effects);
    let verdicts = entries(&effects).into_iter().filter_map(|entry| match entry {
        JournalEntry::Attempt(record) => Some(record.verdict),
        _ => None,
    });
    let skipped = [SkipReason::Ended, SkipReason::Paused].map(Verdict::Skipped);
    assert_eq!(verdicts.collect::<Vec<_>>(), skipped);
    assert!(effects.contains(&Effect::Finished { dispatch: 1 }));
    assert_eq!(fixture.take(9), [3], "its queue is embedded now");
}

#[test]
fn a_queue_that_has_another_bus_since_an_edit_is_published_no_more() {
    let mut fixture = SupervisorFixture::with_broker();
    let effects = fixture.dispatch(1, source(DUE, BROKER), [1], None);
    let [Effect::Prepare { claim, parts }] = effects.as_slice() else { panic!("{effects:?}") };
    let mut parts = SupervisorFixture::prepared(parts);
    parts[0].ready[0].1 = std::sync::Arc::new(terms(7));
    let effects = fixture.step(Event::Prepared { claim: *claim, parts });
    assert_eq!(jobs(&fixture.carry_out(effects)), Vec::<u64>::new());
    assert_eq!(jobs(&fixture.wait(2_000)), Vec::<u64>::new());
}

#[test]
fn an_answer_that_comes_twice_changes_nothing() {
    let mut fixture = SupervisorFixture::with_broker();
    let claim = fixture.publish(1, [1]);
    fixture.answer(claim, 1, PublishOutcome::Passed);
    assert_eq!(fixture.phase_of(1), Some(Phase::Pending));
    fixture.record();
    let run = Run { worker: Some(published_run(Phase::Running)), ..stored(Phase::Running) };
    fixture.step(Event::RunRead { of: of(1), found: Found::Run(Box::new(run)) });
    assert_eq!(fixture.phase_of(1), Some(Phase::Running));
    assert_eq!(fixture.answer(claim, 1, PublishOutcome::Passed), []);
    assert_eq!(
        fixture.answer(
            claim,
            1,
            PublishOutcome::Back { until: 0, of_broker: true, may_be_out: false }
        ),
        []
    );
    assert_eq!(fixture.phase_of(1), Some(Phase::Running));
}
