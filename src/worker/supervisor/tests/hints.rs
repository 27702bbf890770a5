//! Hints of queues with a limit: what claims may get, and when a gateway hears of it.

use super::super::event::{Effect, Event};
use super::fixture::*;

/// The gateways that effects hint, with the number of occurrences that may be had.
fn hints(effects: &[Effect]) -> Vec<(u64, u64)> {
    let hints = effects.iter().filter_map(|effect| match effect {
        Effect::Hint { gateway, queue: 7, count, .. } => Some((*gateway, *count)),
        _ => None,
    });
    hints.collect()
}

impl SupervisorFixture {
    fn want(&mut self, gateway: u64) -> Vec<(u64, u64)> {
        let until = self.boot + 10_000;
        hints(&self.step(Event::Want { gateway, queue: 7, until }))
    }

    fn limit(&mut self, most: Option<u32>) -> Vec<(u64, u64)> {
        hints(&self.step(Event::QueueLimit { queue: 7, most }))
    }

    /// The store says that a run is over.
    fn end(&mut self, job: u64) -> Vec<(u64, u64)> {
        self.record();
        let found = over(true);
        hints(&self.step(Event::RunRead { of: of(job), found }))
    }
}

#[test]
fn a_run_that_leaves_a_full_queue_makes_room_for_a_waiting_gateway() {
    let mut fixture = SupervisorFixture::new();
    fixture.limit(Some(1));
    fixture.dispatch(1, source(DUE, 7), 1..=3, None);
    assert_eq!(fixture.take(5), [1]);
    assert_eq!([fixture.want(2), fixture.want(3)], [[], []], "nothing can be had");
    assert_eq!(fixture.end(1), [(2, 1)], "one gateway for one run");
    assert_eq!(fixture.take(5), [2]);
    assert_eq!(fixture.end(2), [(3, 1)]);
}

#[test]
fn a_queue_without_a_limit_has_no_more_when_a_run_leaves_it() {
    let mut fixture = SupervisorFixture::new();
    fixture.dispatch(1, source(DUE, 7), 1..=3, None);
    assert_eq!(fixture.take(1), [1]);
    assert_eq!(fixture.want(2), [(2, 2)]);
    assert_eq!(fixture.end(1), []);
}

#[test]
fn a_hint_counts_what_claims_may_get() {
    let mut fixture = SupervisorFixture::new();
    fixture.limit(Some(2));
    fixture.dispatch(1, source(DUE, 7), 1..=5, None);
    assert_eq!(fixture.want(2), [(2, 2)]);
    assert_eq!(fixture.take(1), [1]);
    assert_eq!(hints(&fixture.pass(200)), [(2, 1)]);
    assert_eq!(fixture.take(1), [2]);
    assert_eq!(hints(&fixture.pass(200)), [(2, 0)], "its limit is reached");
}

#[test]
fn a_higher_limit_makes_room_for_a_waiting_gateway() {
    let mut fixture = SupervisorFixture::new();
    fixture.limit(Some(1));
    fixture.dispatch(1, source(DUE, 7), 1..=3, None);
    assert_eq!(fixture.take(5), [1]);
    assert_eq!(fixture.want(2), []);
    assert_eq!(fixture.limit(Some(3)), [(2, 2)]);
}
