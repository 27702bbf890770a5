//! The rules of the queues, without a call: workers, shares and limits. `breakers` and `hanging`
//! hold the tests of the other rules.

mod breakers;
mod hanging;

use std::time::Duration;

use futures_util::FutureExt as _;

use super::queues::SHARE;
use super::*;
use crate::clock::{Clock as _, TestClock};
use crate::delivery::breaker::Rules;
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::destination::{Destination, Limits};
use crate::delivery::fair_queue::Stage;
use crate::model::postponement::Obstacle;

fn to(name: &str) -> Destination {
    Destination::new(name)
}

fn queues(max_workers: usize) -> DestinationQueues {
    DestinationQueues::new(
        &QueueOptions { max_workers, ..QueueOptions::default() },
        TestClock::new(0),
    )
}

fn request(limits: Limits) -> PermitRequest {
    PermitRequest { limits, ..PermitRequest::default() }
}

/// The permit, if there is one at once.
fn now(queues: &DestinationQueues, name: &str) -> Option<CallPermit> {
    limited(queues, name, Limits::default())
}

fn limited(queues: &DestinationQueues, name: &str, limits: Limits) -> Option<CallPermit> {
    queues.acquire(&to(name), request(limits)).now_or_never().map(|permit| permit.expect("open"))
}

#[test]
fn one_destination_gets_three_quarters_at_most() {
    let queues = queues(8);
    let held: Vec<_> = (0..6).map(|_| now(&queues, "a").expect("a place")).collect();
    assert!(now(&queues, "a").is_none(), "its share is used up");
    let other = now(&queues, "b").expect("a quarter is left to others");
    drop(held);
    assert!(now(&queues, "a").is_some());
    drop(other);
    assert_eq!(queues.load(), []);
}

#[test]
fn destinations_take_turns_and_within_one_the_first_call_is_served_first() {
    let queues = queues(1);
    let first = now(&queues, "a").expect("the only place");
    let mut waiting: Vec<_> = ["a", "a", "b", "c"]
        .into_iter()
        .map(|name| {
            let (queues, name) = (queues.clone(), to(name));
            async move { queues.acquire(&name, request(Limits::default())).await.expect("open") }
                .boxed()
        })
        .collect();
    assert!(waiting.iter_mut().all(|w| w.now_or_never().is_none()));
    let load = queues.load();
    assert_eq!((load[0].in_flight, load[0].queued, load[1].queued), (1, 2, 1));
    drop(first);
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let mut permits = Vec::new();
        for at in (0..waiting.len()).rev() {
            if let Some(permit) = (&mut waiting[at]).now_or_never() {
                order.push(permit.call.destination.clone());
                permits.push(permit);
                drop(waiting.remove(at));
            }
        }
        assert_eq!(permits.len(), 1, "one place, one permit");
    }
    assert_eq!(order, ["b", "c", "a", "a"].map(to), "a had its turn before b and c came");
}

#[test]
fn a_hanging_call_stops_counting_against_others_only() {
    let queues = queues(1);
    let mut hanging = now(&queues, "dead").expect("the only place");
    assert!(now(&queues, "live").is_none());
    hanging.advance(Stage::Hanging);
    let live = now(&queues, "live").expect("the place is free again");
    assert!(now(&queues, "dead").is_none(), "its own destination waits for it");
    drop(live);
    drop(hanging);
    assert!(now(&queues, "dead").is_some());
}

#[test]
fn a_permit_that_no_call_waits_for_any_more_is_not_lost() {
    let queues = queues(1);
    let held = now(&queues, "a").expect("the only place");
    let name = to("a");
    let mut cancelled = queues.acquire(&name, request(Limits::default())).boxed();
    assert!((&mut cancelled).now_or_never().is_none());
    let next = to("a");
    let mut next = queues.acquire(&next, request(Limits::default())).boxed();
    assert!((&mut next).now_or_never().is_none());
    drop(held); // granted to the first one that waits, which drops it unseen
    drop(cancelled);
    assert!(next.now_or_never().is_some());
    assert_eq!(queues.load(), []);
}

#[test]
fn limits_hold_for_a_flow() {
    let queues = queues(64);
    let two = Limits { max_concurrency: Some(2), rate_per_second: None, ..Limits::default() };
    let held =
        [limited(&queues, "a", two), limited(&queues, "a", two)].map(|t| t.expect("a place"));
    assert!(limited(&queues, "a", two).is_none(), "both are taken");
    assert!(now(&queues, "a").is_some(), "others to the same destination have theirs");
    drop(held);
    assert!(limited(&queues, "a", two).is_some());
}

#[test]
fn the_operators_limit_of_a_destination_holds_for_all_projects_and_limits_together() {
    let limits = Limits { max_concurrency: Some(4), rate_per_second: None, ..Limits::default() };
    let all = DestinationQueues::new(
        &QueueOptions { limits, ..QueueOptions::default() },
        TestClock::new(0),
    );
    let with = |project, own| {
        let limits =
            Limits { max_concurrency: Some(own), rate_per_second: None, ..Limits::default() };
        let request = PermitRequest { limits, project, ..PermitRequest::default() };
        all.acquire(&to("a"), request).now_or_never().map(|permit| permit.expect("open"))
    };
    let one = [with(1, 1), with(1, 1)];
    assert!(one[0].is_some() && one[1].is_none(), "the lower one counts");
    let mut held: Vec<CallPermit> = (2..10_000).map_while(|own| with(1, own)).collect();
    assert_eq!(held.len(), 3, "whatever limits executors bring");
    assert!(with(2, 10_000).is_none(), "and whoever calls");
    assert!(now(&all, "b").is_some());
    // They are served in turn.
    let (name, mine) = (to("a"), PermitRequest { project: 1, ..PermitRequest::default() });
    let mut waits: Vec<_> = [mine, mine, PermitRequest { project: 2, ..PermitRequest::default() }]
        .map(|request| all.acquire(&name, request).boxed())
        .into();
    assert!(waits.iter_mut().all(|wait| wait.now_or_never().is_none()));
    let mut order = Vec::new();
    for _ in 0..3 {
        drop(held.pop());
        waits.retain_mut(|wait| match wait.now_or_never() {
            None => true,
            Some(permit) => {
                let permit = permit.expect("open");
                order.push(permit.call.project);
                std::mem::forget(permit);
                false
            }
        });
    }
    assert_eq!(order, [1, 2, 1]);
}

#[tokio::test]
async fn a_rate_lets_calls_through_as_time_passes() {
    let clock = TestClock::new(0);
    let queues = DestinationQueues::new(&QueueOptions::default(), clock.clone());
    let limits = Limits { max_concurrency: None, rate_per_second: Some(20), ..Limits::default() };
    let taken =
        |queues: &DestinationQueues| std::iter::from_fn(|| limited(queues, "a", limits)).count();
    assert_eq!(taken(&queues), 2, "a tenth of a second's");
    let waits = tokio::spawn({
        let queues = queues.clone();
        async move { queues.acquire(&to("a"), request(limits)).await.is_ok() }
    });
    while queues.load().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(now(&queues, "b").is_some(), "others do not wait for it");
    clock.advance(Duration::from_millis(50));
    assert!(waits.await.expect("no panic"), "its timer lets it through");
    assert_eq!(taken(&queues), 0);
}

#[tokio::test]
async fn the_operators_rate_holds_for_all_projects_together_and_cancelled_calls_hold_up_none() {
    let clock = TestClock::new(0);
    let limits = Limits { max_concurrency: None, rate_per_second: Some(20), ..Limits::default() };
    let queues =
        DestinationQueues::new(&QueueOptions { limits, ..QueueOptions::default() }, clock.clone());
    let name = to("a");
    let ask = |project| {
        queues.acquire(&name, PermitRequest { project, ..PermitRequest::default() }).now_or_never()
    };
    assert_eq!((1..9).filter_map(ask).count(), 2, "a tenth of a second's");
    let waits = tokio::spawn({
        let (queues, name) = (queues.clone(), name.clone());
        async move {
            queues
                .acquire(&name, PermitRequest { project: 9, ..PermitRequest::default() })
                .await
                .is_ok()
        }
    });
    while queues.load().is_empty() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_millis(50));
    assert!(waits.await.expect("no panic"), "the others were cancelled");
    assert!(ask(1).is_none());
}

#[tokio::test]
async fn a_call_that_waits_for_too_long_is_turned_away() {
    let clock = TestClock::new(0);
    let queues = DestinationQueues::new(
        &QueueOptions { max_workers: 1, ..QueueOptions::default() },
        clock.clone(),
    );
    let _held = now(&queues, "a").expect("the only place");
    let to = to("a");
    let mut waits = queues.acquire(&to, request(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none());
    clock.advance(Duration::from_millis(PATIENCE_MS));
    let full = Refusal { until: clock.boot() + PATIENCE_MS, obstacle: Obstacle::Full };
    assert_eq!(waits.await.err(), Some(full));
}
