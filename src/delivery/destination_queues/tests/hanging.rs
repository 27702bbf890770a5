//! The queues with calls that hang: the shares of projects, and the calls that are ended.

use super::*;

#[tokio::test]
async fn a_project_that_has_its_share_of_calls_under_way_waits_and_is_told_why() {
    let clock = TestClock::new(0);
    let options = QueueOptions { max_workers: 4, max_hanging: 8, ..QueueOptions::default() };
    let queues = DestinationQueues::new(&options, clock.clone());
    let of = |project, name: &str| {
        let request = PermitRequest { project, ..PermitRequest::default() };
        queues.acquire(&to(name), request).now_or_never().map(|permit| permit.expect("open"))
    };
    let names: Vec<String> = (0..99).map(|n| n.to_string()).collect();
    let mut held: Vec<CallPermit> = Vec::new();
    // Each that hangs gives its worker back at once, whatever else hangs.
    for name in &names {
        let Some(mut permit) = of(1, name) else { break };
        permit.advance(Stage::Hanging);
        held.push(permit);
    }
    assert_eq!(held.len(), 6, "half of twelve");
    assert_eq!(
        queues.occupancy(),
        Occupancy { hanging: 6, capacity: 12, over_share: Some((1, 6)) },
        "the seventh had to wait"
    );
    assert!(of(2, "0").is_some(), "others go on");
    let (name, request) = (to("x"), PermitRequest { project: 1, ..PermitRequest::default() });
    let mut waits = queues.acquire(&name, request).boxed();
    assert!((&mut waits).now_or_never().is_none());
    clock.advance(Duration::from_millis(PATIENCE_MS));
    let refusal = waits.await.expect_err("deferred");
    assert_eq!(refusal.obstacle, Obstacle::Node(SHARE.to_owned()));
    drop(held.pop());
    assert!(of(1, "x").is_some());
    drop(held);
    assert_eq!(queues.occupancy(), Occupancy { hanging: 0, capacity: 12, over_share: None });
}

#[test]
fn a_flow_whose_project_has_its_share_leaves_its_turn_at_a_full_destination_to_the_next() {
    let limits = Limits { max_concurrency: Some(1), rate_per_second: None, ..Limits::default() };
    let options =
        QueueOptions { max_workers: 4, max_hanging: 8, limits, ..QueueOptions::default() };
    let queues = DestinationQueues::new(&options, TestClock::new(0));
    let of = |project, name: &str| {
        let request = PermitRequest { project, ..PermitRequest::default() };
        queues.acquire(&to(name), request).now_or_never().map(|permit| permit.expect("open"))
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
        let Some(mut permit) = of(1, name) else { break };
        permit.advance(Stage::Hanging);
        hanging.push(permit);
    }
    assert!(queues.occupancy().over_share.is_some(), "it has its share: {}", hanging.len());
    drop(held);
    assert!((&mut capped).now_or_never().is_none());
    let begun = next.now_or_never().expect("it is woken").expect("open");
    drop(hanging);
    assert!((&mut capped).now_or_never().is_none(), "the place is taken");
    drop(begun);
    assert!(capped.now_or_never().is_some_and(|permit| permit.is_ok()), "it has not lost its turn");
}

/// Drops the permits that have been told to end.
fn end(held: &mut Vec<CallPermit>) {
    held.retain_mut(|permit| permit.evicted().now_or_never().is_none());
}

#[test]
fn calls_that_hang_leave_the_workers_places_however_many_projects_there_are() {
    let options = QueueOptions { max_workers: 2, max_hanging: 4, ..QueueOptions::default() };
    let queues = DestinationQueues::new(&options, TestClock::new(0));
    let mut held: Vec<CallPermit> = Vec::new();
    for project in 1..=20 {
        let request = PermitRequest { project, ..PermitRequest::default() };
        let permit = queues.acquire(&to("a"), request).now_or_never().expect("a place");
        let mut permit = permit.expect("open");
        permit.advance(Stage::Hanging);
        held.push(permit);
        end(&mut held);
        assert!(queues.occupancy().hanging <= 4, "{project}");
    }
    let left: Vec<_> = held.iter().map(|permit| permit.call.project).collect();
    assert_eq!(left, [17, 18, 19, 20], "the oldest ones have ended");
}

#[test]
fn a_project_with_nothing_under_way_is_given_the_place_of_a_call_that_hangs() {
    let options = QueueOptions { max_workers: 2, max_hanging: 4, ..QueueOptions::default() };
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
    let left: Vec<_> = held.iter().map(|permit| permit.call.project).collect();
    assert_eq!(left, [2, 3, 4]);
    assert!(waits.now_or_never().is_some_and(|permit| permit.is_ok()), "with a slow call's worker");
}

#[tokio::test]
async fn a_project_with_nothing_under_way_is_not_told_that_it_has_its_share() {
    let clock = TestClock::new(0);
    let options = QueueOptions { max_workers: 2, max_hanging: 1, ..QueueOptions::default() };
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
    assert_eq!(waits.await.expect_err("deferred").obstacle, Obstacle::Full);
}
