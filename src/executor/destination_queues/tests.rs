//! The queues' rules, without a call.

use std::time::Duration;

use super::*;
use crate::clock::TestClock;
use crate::executor::Rules;
use futures_util::FutureExt as _;
use url::Url;

fn to(name: &str) -> Destination {
    Destination::of(&Url::parse(&format!("http://{name}/")).unwrap())
}

fn queues(max_workers: usize) -> DestinationQueues {
    DestinationQueues::new(&Options { max_workers, ..Options::default() }, TestClock::new(0))
}

fn wish(limits: Limits) -> PermitRequest {
    PermitRequest { limits, ..PermitRequest::default() }
}

/// The turn, if there is one at once.
fn now(queues: &DestinationQueues, name: &str) -> Option<CallPermit> {
    limited(queues, name, Limits::default())
}

fn limited(queues: &DestinationQueues, name: &str, limits: Limits) -> Option<CallPermit> {
    queues.acquire(&to(name), wish(limits)).now_or_never().map(|turn| turn.expect("open"))
}

#[test]
fn a_destination_is_scheme_host_and_port() {
    let of = |u: &str| Destination::of(&Url::parse(u).expect("a URL"));
    assert_eq!(of("http://u:p@a.example/x?y=z").as_str(), "http://a.example:80");
    assert_eq!(of("https://a.example:8443/").as_str(), "https://a.example:8443");
    assert_ne!(of("http://a.example/"), of("https://a.example/"));
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
fn places_go_round_among_destinations_and_first_come_first_served_within() {
    let queues = queues(1);
    let first = now(&queues, "a").expect("the only place");
    let mut waiting: Vec<_> = ["a", "a", "b", "c"]
        .into_iter()
        .map(|name| {
            let (queues, name) = (queues.clone(), to(name));
            async move { queues.acquire(&name, wish(Limits::default())).await.expect("open") }
                .boxed()
        })
        .collect();
    assert!(waiting.iter_mut().all(|w| w.now_or_never().is_none()));
    let load = queues.load();
    assert_eq!((load[0].in_flight, load[0].queued, load[1].queued), (1, 2, 1));
    drop(first);
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let mut turns = Vec::new();
        for at in (0..waiting.len()).rev() {
            if let Some(turn) = (&mut waiting[at]).now_or_never() {
                order.push(turn.destination.clone());
                turns.push(turn);
                drop(waiting.remove(at));
            }
        }
        assert_eq!(turns.len(), 1, "one place, one turn");
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
fn a_turn_that_nobody_waits_for_any_more_is_not_lost() {
    let queues = queues(1);
    let held = now(&queues, "a").expect("the only place");
    let name = to("a");
    let mut given_up = queues.acquire(&name, wish(Limits::default())).boxed();
    assert!((&mut given_up).now_or_never().is_none());
    let next = to("a");
    let mut next = queues.acquire(&next, wish(Limits::default())).boxed();
    assert!((&mut next).now_or_never().is_none());
    drop(held); // granted to the first in line, who drops it without looking
    drop(given_up);
    assert!(next.now_or_never().is_some());
    assert_eq!(queues.load(), []);
}

#[test]
fn limits_hold_for_a_lane_and_a_rate_with_time() {
    let queues = queues(64);
    let two = Limits { max_concurrency: Some(2), rate_per_second: None };
    let held =
        [limited(&queues, "a", two), limited(&queues, "a", two)].map(|t| t.expect("a place"));
    assert!(limited(&queues, "a", two).is_none(), "both are taken");
    assert!(now(&queues, "a").is_some(), "others to the same destination have theirs");
    drop(held);
    assert!(limited(&queues, "a", two).is_some());
}

#[test]
fn the_operators_limit_of_a_destination_is_a_ceiling_for_all_projects_and_limits_together() {
    let limits = Limits { max_concurrency: Some(4), rate_per_second: None };
    let all = DestinationQueues::new(&Options { limits, ..Options::default() }, TestClock::new(0));
    let with = |project, own| {
        let limits = Limits { max_concurrency: Some(own), rate_per_second: None };
        let wish = PermitRequest { limits, project, ..PermitRequest::default() };
        all.acquire(&to("a"), wish).now_or_never().map(|turn| turn.expect("open"))
    };
    let one = [with(1, 1), with(1, 1)];
    assert!(one[0].is_some() && one[1].is_none(), "the lower one counts");
    let mut held: Vec<CallPermit> = (2..10_000).map_while(|own| with(1, own)).collect();
    assert_eq!(held.len(), 3, "whatever limits executors bring");
    assert!(with(2, 10_000).is_none(), "and whoever calls");
    assert!(now(&all, "b").is_some());
    // They come back in turn.
    let (name, mine) = (to("a"), PermitRequest { project: 1, ..PermitRequest::default() });
    let mut waits: Vec<_> = [mine, mine, PermitRequest { project: 2, ..PermitRequest::default() }]
        .map(|wish| all.acquire(&name, wish).boxed())
        .into();
    assert!(waits.iter_mut().all(|wait| wait.now_or_never().is_none()));
    let mut order = Vec::new();
    for _ in 0..3 {
        drop(held.pop());
        waits.retain_mut(|wait| match wait.now_or_never() {
            None => true,
            Some(turn) => {
                let turn = turn.expect("open");
                order.push(turn.project);
                std::mem::forget(turn);
                false
            }
        });
    }
    assert_eq!(order, [1, 2, 1]);
}

#[tokio::test]
async fn a_rate_lets_calls_through_as_time_passes() {
    let clock = TestClock::new(0);
    let queues = DestinationQueues::new(&Options::default(), clock.clone());
    let limits = Limits { max_concurrency: None, rate_per_second: Some(20) };
    let taken =
        |queues: &DestinationQueues| std::iter::from_fn(|| limited(queues, "a", limits)).count();
    assert_eq!(taken(&queues), 2, "a tenth of a second's");
    let waits = tokio::spawn({
        let queues = queues.clone();
        async move { queues.acquire(&to("a"), wish(limits)).await.is_ok() }
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
async fn the_operators_rate_holds_for_all_projects_together_and_who_gave_up_holds_nobody_up() {
    let clock = TestClock::new(0);
    let limits = Limits { max_concurrency: None, rate_per_second: Some(20) };
    let queues = DestinationQueues::new(&Options { limits, ..Options::default() }, clock.clone());
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
    assert!(waits.await.expect("no panic"), "the others gave up");
    assert!(ask(1).is_none());
}

#[tokio::test]
async fn who_waits_for_too_long_is_turned_away() {
    let clock = TestClock::new(0);
    let queues =
        DestinationQueues::new(&Options { max_workers: 1, ..Options::default() }, clock.clone());
    let _held = now(&queues, "a").expect("the only place");
    let to = to("a");
    let mut waits = queues.acquire(&to, wish(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none());
    clock.advance(Duration::from_millis(PATIENCE_MS));
    let full = Refusal { until: clock.boot() + PATIENCE_MS, obstacle: Obstacle::Full };
    assert_eq!(waits.await.err(), Some(full));
}

#[test]
fn an_open_breaker_turns_away_who_waits_and_lets_the_rest_follow_a_probe() {
    let clock = TestClock::new(0);
    let breaker = Rules { failures: 1, cooldown: 5_000 };
    let options = Options { max_workers: 4, breaker, ..Options::default() };
    let queues = DestinationQueues::new(&options, clock.clone());
    let down = CallOutcome::Failed { down: true, unreachable: false, after: 0 };
    let ask = || queues.acquire(&to("a"), wish(Limits::default())).now_or_never();
    let mut held: Vec<CallPermit> = (0..3).filter_map(|_| now(&queues, "a")).collect();
    let a = to("a");
    let mut waits = queues.acquire(&a, wish(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none(), "three of four places are its share");
    let began = clock.boot();
    clock.advance(Duration::from_secs(2));
    assert_eq!(queues.outages(), []);
    held.pop().expect("three of them").over(began, down);
    let shut = queues.outages().remove(0);
    assert_eq!((shut.failures, shut.since), (1, clock.boot()));
    let until = shut.probe_at;
    let open = Some(Refusal { until, obstacle: Obstacle::Failing });
    assert_eq!(waits.now_or_never().and_then(Result::err), open, "turned away at once");
    assert_eq!(ask().and_then(Result::err), open);
    assert_eq!((queues.refusal(&a, 0, 0), queues.refusal(&a, 0, 1)), (open, None));
    assert!(now(&queues, "b").is_some(), "others are untouched");
    assert_eq!(queues.refused(), 3);

    clock.advance(Duration::from_millis(until - clock.boot()));
    assert_eq!(queues.refusal(&a, 0, 0), None);
    let probe = ask().and_then(Result::ok).expect("the probe");
    let mut waits = queues.acquire(&a, wish(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none(), "one at a time");
    drop(probe);
    let probe = (&mut waits).now_or_never().and_then(Result::ok).expect("it was never sent");
    let mut waits = queues.acquire(&a, wish(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none());
    probe.over(clock.boot(), CallOutcome::Fine);
    assert!((&mut waits).now_or_never().is_none(), "two at a time, and two still hang");
    drop(held);
    assert!(waits.now_or_never().is_some_and(|turn| turn.is_ok()), "the rest follows");
    assert_eq!(queues.outages(), []);
}

#[test]
fn nobody_waits_for_a_probe_that_hangs() {
    let clock = TestClock::new(0);
    let breaker = Rules { failures: 1, cooldown: 5_000 };
    let queues = DestinationQueues::new(&Options { breaker, ..Options::default() }, clock.clone());
    let began = clock.boot();
    clock.advance(Duration::from_secs(2));
    now(&queues, "a")
        .expect("a place")
        .over(began, CallOutcome::Failed { down: true, unreachable: false, after: 0 });
    clock.advance(Duration::from_secs(6));
    let mut probe = now(&queues, "a").expect("the probe");
    let a = to("a");
    let mut waits = queues.acquire(&a, wish(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none());
    clock.advance(Duration::from_secs(1));
    probe.advance(Stage::Hanging);
    assert!(waits.now_or_never().is_some_and(|turn| turn.is_err()));
}

#[test]
fn a_destination_that_asks_a_project_to_wait_is_called_by_others_only() {
    let clock = TestClock::new(0);
    let queues = DestinationQueues::new(&Options::default(), clock.clone());
    let a = to("a");
    let of = |project| PermitRequest { project, ..PermitRequest::default() };
    let ask = |project| queues.acquire(&a, of(project)).now_or_never().expect("an answer at once");
    let asked = CallOutcome::Asked { after: 7_000 };
    ask(1).expect("a place").over(clock.boot(), asked);
    let wait = Refusal { until: clock.boot() + 7_000, obstacle: Obstacle::Asked };
    assert_eq!(queues.refusal(&a, 0, 1), Some(wait.clone()));
    assert_eq!(ask(1).err(), Some(wait));
    assert_eq!(queues.refusal(&a, 0, 2), None);
    ask(2).expect("another project's place").over(clock.boot(), CallOutcome::Fine);
    assert_eq!(queues.outages(), [], "it is no failure");
    clock.advance(Duration::from_secs(7));
    assert_eq!(queues.refusal(&a, 0, 1), None);
    assert!(ask(1).is_ok());
}

#[test]
fn a_manual_run_goes_through_an_open_breaker() {
    let clock = TestClock::new(0);
    let breaker = Rules { failures: 1, cooldown: 5_000 };
    let queues = DestinationQueues::new(&Options { breaker, ..Options::default() }, clock.clone());
    clock.advance(Duration::from_secs(2));
    now(&queues, "a")
        .expect("a place")
        .over(0, CallOutcome::Failed { down: true, unreachable: false, after: 0 });
    let a = to("a");
    let ask = |probe| {
        queues.acquire(&a, PermitRequest { probe, ..PermitRequest::default() }).now_or_never()
    };
    assert!(ask(false).is_some_and(|turn| turn.is_err()));
    let probe = ask(true).and_then(Result::ok).expect("the probe");
    let beside = ask(true).and_then(Result::ok).expect("it waits for no other");
    drop(beside);
    probe.over(clock.boot(), CallOutcome::Fine);
    assert_eq!(queues.outages(), [], "it answers again");
    assert!(ask(false).is_some_and(|turn| turn.is_ok()));
}

#[tokio::test]
async fn a_project_that_has_its_share_of_calls_under_way_waits_and_is_told_why() {
    let clock = TestClock::new(0);
    let options = Options { max_workers: 4, max_hanging: 8, ..Options::default() };
    let queues = DestinationQueues::new(&options, clock.clone());
    let of = |project, name: &str| {
        let wish = PermitRequest { project, ..PermitRequest::default() };
        queues.acquire(&to(name), wish).now_or_never().map(|turn| turn.expect("open"))
    };
    let names: Vec<String> = (0..99).map(|n| n.to_string()).collect();
    let mut held: Vec<CallPermit> = Vec::new();
    // Each that hangs gives its worker back at once, whatever else hangs.
    for name in &names {
        let Some(mut turn) = of(1, name) else { break };
        turn.advance(Stage::Hanging);
        held.push(turn);
    }
    assert_eq!(held.len(), 6, "half of twelve");
    assert_eq!(
        queues.occupancy(),
        Occupancy { hanging: 6, capacity: 12, over_share: Some((1, 6)) },
        "the seventh had to wait"
    );
    assert!(of(2, "0").is_some(), "others go on");
    let (name, wish) = (to("x"), PermitRequest { project: 1, ..PermitRequest::default() });
    let mut waits = queues.acquire(&name, wish).boxed();
    assert!((&mut waits).now_or_never().is_none());
    clock.advance(Duration::from_millis(PATIENCE_MS));
    let refusal = waits.await.expect_err("put off");
    assert_eq!(refusal.obstacle, Obstacle::Node(SHARE.to_owned()));
    drop(held.pop());
    assert!(of(1, "x").is_some());
    drop(held);
    assert_eq!(queues.occupancy(), Occupancy { hanging: 0, capacity: 12, over_share: None });
}

#[test]
fn a_flow_whose_project_has_its_share_leaves_its_turn_at_a_full_destination_to_the_next() {
    let limits = Limits { max_concurrency: Some(1), rate_per_second: None };
    let options = Options { max_workers: 4, max_hanging: 8, limits, ..Options::default() };
    let queues = DestinationQueues::new(&options, TestClock::new(0));
    let of = |project, name: &str| {
        let wish = PermitRequest { project, ..PermitRequest::default() };
        queues.acquire(&to(name), wish).now_or_never().map(|turn| turn.expect("open"))
    };
    let held = of(3, "a").expect("its only place");
    let a = to("a");
    let wait =
        |project| queues.acquire(&a, PermitRequest { project, ..PermitRequest::default() }).boxed();
    let (mut capped, mut next) = (wait(1), wait(2));
    assert!((&mut capped).now_or_never().is_none() && (&mut next).now_or_never().is_none());
    let names: Vec<String> = (0..99).map(|n| n.to_string()).collect();
    let mut hanging: Vec<CallPermit> = Vec::new();
    for name in &names {
        let Some(mut turn) = of(1, name) else { break };
        turn.advance(Stage::Hanging);
        hanging.push(turn);
    }
    assert!(queues.occupancy().over_share.is_some(), "it has its share: {}", hanging.len());
    drop(held);
    assert!((&mut capped).now_or_never().is_none());
    let begun = next.now_or_never().expect("it is woken").expect("open");
    drop(hanging);
    assert!((&mut capped).now_or_never().is_none(), "the place is taken");
    drop(begun);
    assert!(capped.now_or_never().is_some_and(|turn| turn.is_ok()), "it has not lost its turn");
}

/// Keeps the turns that have not been told to end.
fn end(held: &mut Vec<CallPermit>) {
    held.retain_mut(|turn| turn.ended().now_or_never().is_none());
}

#[test]
fn calls_that_hang_leave_the_workers_places_however_many_projects_there_are() {
    let options = Options { max_workers: 2, max_hanging: 4, ..Options::default() };
    let queues = DestinationQueues::new(&options, TestClock::new(0));
    let mut held: Vec<CallPermit> = Vec::new();
    for project in 1..=20 {
        let wish = PermitRequest { project, ..PermitRequest::default() };
        let turn = queues.acquire(&to("a"), wish).now_or_never().expect("a place");
        let mut turn = turn.expect("open");
        turn.advance(Stage::Hanging);
        held.push(turn);
        end(&mut held);
        assert!(queues.occupancy().hanging <= 4, "{project}");
    }
    let left: Vec<_> = held.iter().map(|turn| turn.project).collect();
    assert_eq!(left, [17, 18, 19, 20], "the oldest ones have ended");
}

#[test]
fn a_project_with_nothing_under_way_is_given_the_place_of_a_call_that_hangs() {
    let options = Options { max_workers: 2, max_hanging: 4, ..Options::default() };
    let queues = DestinationQueues::new(&options, TestClock::new(0));
    let a = to("a");
    let ask =
        |project| queues.acquire(&a, PermitRequest { project, ..PermitRequest::default() }).boxed();
    let begin = |project| ask(project).now_or_never().expect("a place").expect("open");
    let mut held: Vec<CallPermit> = Vec::new();
    for project in 1..=4 {
        held.push(begin(project));
        held.last_mut().expect("this one").advance(Stage::Hanging);
    }
    end(&mut held);
    assert_eq!(held.len(), 4, "the workers' places are free");
    let mut others = [begin(5), begin(6)];
    others[0].advance(Stage::Slow);
    let mut waits = ask(7);
    assert!((&mut waits).now_or_never().is_none());
    end(&mut held);
    let left: Vec<_> = held.iter().map(|turn| turn.project).collect();
    assert_eq!(left, [2, 3, 4]);
    assert!(waits.now_or_never().is_some_and(|turn| turn.is_ok()), "with a slow call's worker");
}

#[tokio::test]
async fn who_has_nothing_under_way_is_not_told_that_it_has_its_share() {
    let clock = TestClock::new(0);
    let options = Options { max_workers: 2, max_hanging: 1, ..Options::default() };
    let queues = DestinationQueues::new(&options, clock.clone());
    let a = to("a");
    let ask =
        |project| queues.acquire(&a, PermitRequest { project, ..PermitRequest::default() }).boxed();
    let begin = |project| ask(project).now_or_never().expect("a place").expect("open");
    let mut held = vec![begin(1), begin(2)];
    held[0].advance(Stage::Slow);
    held.push(begin(3));
    let mut waits = ask(4);
    assert!((&mut waits).now_or_never().is_none(), "all three places are taken");
    clock.advance(Duration::from_millis(PATIENCE_MS));
    assert_eq!(waits.await.expect_err("put off").obstacle, Obstacle::Full);
}
