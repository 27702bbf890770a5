//! The queues with a destination that fails, or that asks to wait.

use super::*;

#[test]
fn an_open_breaker_turns_waiting_calls_away_and_lets_the_rest_follow_a_probe() {
    let clock = TestClock::new(0);
    let breaker = Rules { failures: 1, cooldown: 5_000 };
    let options = QueueOptions { max_workers: 4, breaker, ..QueueOptions::default() };
    let queues = DestinationQueues::new(&options, clock.clone());
    let down = CallOutcome::Failed { down: true, unreachable: false, after: 0 };
    let ask = || queues.acquire(&to("a"), request(Limits::default())).now_or_never();
    let mut held: Vec<CallPermit> = (0..3).filter_map(|_| now(&queues, "a")).collect();
    let a = to("a");
    let mut waits = queues.acquire(&a, request(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none(), "three of four places are its share");
    let began = clock.boot();
    clock.advance(Duration::from_secs(2));
    assert_eq!(queues.outages(), []);
    held.pop().expect("three of them").finish(began, down);
    let outage = queues.outages().remove(0);
    assert_eq!((outage.failures, outage.since), (1, clock.boot()));
    let until = outage.probe_at;
    let open = Some(Refusal { until, obstacle: Obstacle::Failing });
    assert_eq!(waits.now_or_never().and_then(Result::err), open, "turned away at once");
    assert_eq!(ask().and_then(Result::err), open);
    assert_eq!((queues.refusal(&a, 0, 0), queues.refusal(&a, 0, 1)), (open, None));
    assert!(now(&queues, "b").is_some(), "others are untouched");
    assert_eq!(queues.refused(), 3);

    clock.advance(Duration::from_millis(until - clock.boot()));
    assert_eq!(queues.refusal(&a, 0, 0), None);
    let probe = ask().and_then(Result::ok).expect("the probe");
    let mut waits = queues.acquire(&a, request(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none(), "one at a time");
    drop(probe);
    let probe = (&mut waits).now_or_never().and_then(Result::ok).expect("it was never sent");
    let mut waits = queues.acquire(&a, request(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none());
    probe.finish(clock.boot(), CallOutcome::Fine);
    assert!((&mut waits).now_or_never().is_none(), "two at a time, and two still hang");
    drop(held);
    assert!(waits.now_or_never().is_some_and(|permit| permit.is_ok()), "the rest follows");
    assert_eq!(queues.outages(), []);
}

#[test]
fn no_call_waits_for_a_probe_that_hangs() {
    let clock = TestClock::new(0);
    let breaker = Rules { failures: 1, cooldown: 5_000 };
    let queues =
        DestinationQueues::new(&QueueOptions { breaker, ..QueueOptions::default() }, clock.clone());
    let began = clock.boot();
    clock.advance(Duration::from_secs(2));
    now(&queues, "a")
        .expect("a place")
        .finish(began, CallOutcome::Failed { down: true, unreachable: false, after: 0 });
    clock.advance(Duration::from_secs(6));
    let mut probe = now(&queues, "a").expect("the probe");
    let a = to("a");
    let mut waits = queues.acquire(&a, request(Limits::default())).boxed();
    assert!((&mut waits).now_or_never().is_none());
    clock.advance(Duration::from_secs(1));
    probe.advance(Stage::Hanging);
    assert!(waits.now_or_never().is_some_and(|permit| permit.is_err()));
}

#[test]
fn a_destination_that_asks_a_project_to_wait_is_called_by_other_projects_only() {
    let clock = TestClock::new(0);
    let queues = DestinationQueues::new(&QueueOptions::default(), clock.clone());
    let a = to("a");
    let of = |project| PermitRequest { project, ..PermitRequest::default() };
    let ask = |project| queues.acquire(&a, of(project)).now_or_never().expect("an answer at once");
    let asked = CallOutcome::Asked { after: 7_000 };
    ask(1).expect("a place").finish(clock.boot(), asked);
    let wait = Refusal { until: clock.boot() + 7_000, obstacle: Obstacle::Asked };
    assert_eq!(queues.refusal(&a, 0, 1), Some(wait.clone()));
    assert_eq!(ask(1).err(), Some(wait));
    assert_eq!(queues.refusal(&a, 0, 2), None);
    ask(2).expect("another project's place").finish(clock.boot(), CallOutcome::Fine);
    assert_eq!(queues.outages(), [], "it is no failure");
    clock.advance(Duration::from_secs(7));
    assert_eq!(queues.refusal(&a, 0, 1), None);
    assert!(ask(1).is_ok());
}

#[test]
fn a_manual_run_goes_through_an_open_breaker() {
    let clock = TestClock::new(0);
    let breaker = Rules { failures: 1, cooldown: 5_000 };
    let queues =
        DestinationQueues::new(&QueueOptions { breaker, ..QueueOptions::default() }, clock.clone());
    clock.advance(Duration::from_secs(2));
    now(&queues, "a")
        .expect("a place")
        .finish(0, CallOutcome::Failed { down: true, unreachable: false, after: 0 });
    let a = to("a");
    let ask = |probe| {
        queues.acquire(&a, PermitRequest { probe, ..PermitRequest::default() }).now_or_never()
    };
    assert!(ask(false).is_some_and(|permit| permit.is_err()));
    let probe = ask(true).and_then(Result::ok).expect("the probe");
    let beside = ask(true).and_then(Result::ok).expect("it waits for no other");
    drop(beside);
    probe.finish(clock.boot(), CallOutcome::Fine);
    assert_eq!(queues.outages(), [], "it answers again");
    assert!(ask(false).is_some_and(|permit| permit.is_ok()));
}
