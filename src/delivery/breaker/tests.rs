//! The breaker's rules, step by step.

use super::*;

const RULES: Rules = Rules { failures: 3, cooldown: 5_000 };
const DOWN: CallOutcome = CallOutcome::Failed { down: true, unreachable: false, after: 0 };
const BAD: CallOutcome = CallOutcome::Failed { down: false, unreachable: false, after: 0 };

/// A breaker whose cool-downs are exact.
fn closed() -> Breaker {
    let mut breaker = Breaker::new("http://a:80");
    breaker.spread = 500;
    breaker
}

fn call(breaker: &mut Breaker, path: u64, outcome: CallOutcome, at: u64) {
    breaker.record(RULES, (path, false, at), outcome, at);
}

fn probe(breaker: &mut Breaker, outcome: CallOutcome, at: u64) {
    assert_eq!(breaker.ask(1, at), Decision::Probe);
    breaker.record(RULES, (1, true, at), outcome, at);
}

fn opened(outcome: CallOutcome) -> Breaker {
    let mut breaker = closed();
    for at in [0, 1_000, 2_000] {
        assert_eq!(breaker.ask(1, at), Decision::Go);
        call(&mut breaker, 1, outcome, at);
    }
    breaker
}

#[test]
fn a_breaker_opens_after_enough_failures_in_a_row_that_last_a_while() {
    assert_eq!(
        opened(DOWN).open().map(|o| (o.since, o.failures, o.probe_at)),
        Some((2_000, 3, 7_000))
    );
    // All at once is one failure; the next one later opens it.
    let mut burst = closed();
    (0..1_000).for_each(|_| call(&mut burst, 1, DOWN, 100));
    assert_eq!(burst.open(), None);
    call(&mut burst, 1, DOWN, 2_100);
    assert!(burst.open().is_some());
    // A call that hung for long counts from its beginning.
    let mut hung = closed();
    (0..3).for_each(|_| hung.record(RULES, (1, false, 0), DOWN, 30_000));
    assert!(hung.open().is_some());
    // Any success begins anew, and 0 is off.
    let mut mixed = closed();
    for at in (0..60_000).step_by(1_000) {
        call(&mut mixed, 1, BAD, at);
        call(&mut mixed, 1, BAD, at + 1);
        call(&mut mixed, 2, CallOutcome::Fine, at + 2);
    }
    assert_eq!((mixed.open(), mixed.is_idle(0)), (None, true));
    let mut off = closed();
    let rules = Rules { failures: 0, ..RULES };
    (0..100).for_each(|at| off.record(rules, (1, false, 0), DOWN, at * 1_000));
    assert_eq!((off.open(), off.look(1, 100_000)), (None, Decision::Go));
}

#[test]
fn one_probe_at_a_time_later_and_later() {
    let mut breaker = opened(DOWN);
    assert_eq!(breaker.ask(1, 6_999), Decision::No(7_000));
    let mut at = 7_000;
    for next in [10_000, 20_000, 40_000, 60_000, 60_000] {
        assert_eq!(breaker.look(1, at), Decision::Probe);
        assert_eq!(breaker.ask(1, at), Decision::Probe);
        assert_eq!(breaker.ask(1, at), Decision::Wait);
        assert_eq!(breaker.ask(1, at + 1_000), Decision::No(at + 2_000), "it hangs");
        breaker.record(RULES, (1, true, at), DOWN, at);
        let open = breaker.open().unwrap().clone();
        assert!((next * 9 / 10..=next * 11 / 10).contains(&(open.probe_at - at)), "{open:?}");
        assert_eq!(breaker.ask(1, open.probe_at - 1), Decision::No(open.probe_at));
        at = open.probe_at;
    }
    assert_eq!(breaker.open().unwrap().failures, 8);
    assert!(breaker.is_idle(at + FORGET_MS + 1) && !breaker.is_idle(at));
}

#[test]
fn a_success_closes_it_and_the_rest_follows_slowly() {
    let mut breaker = opened(DOWN);
    probe(&mut breaker, CallOutcome::Fine, 7_000);
    assert_eq!(
        (breaker.open(), breaker.ramp(), breaker.look(1, 7_000)),
        (None, Some(2), Decision::Go)
    );
    call(&mut breaker, 1, CallOutcome::Fine, 7_001);
    assert_eq!(breaker.ramp(), Some(3));
    // A failure on the ramp opens it at once, for as long as before.
    call(&mut breaker, 1, DOWN, 7_002);
    assert_eq!(breaker.open().map(|o| o.probe_at), Some(12_002));
    probe(&mut breaker, CallOutcome::Fine, 12_002);
    (0..62).for_each(|_| call(&mut breaker, 1, CallOutcome::Fine, 12_003));
    assert!(breaker.ramp().is_none() && breaker.is_idle(12_003));
    // A late answer of a call from before counts too.
    let mut breaker = opened(DOWN);
    call(&mut breaker, 1, CallOutcome::Fine, 2_001);
    assert_eq!(breaker.open(), None);
}

#[test]
fn a_path_that_has_not_failed_may_be_tried_while_the_host_answers() {
    let mut breaker = opened(BAD);
    assert_eq!(breaker.ask(1, 3_000), Decision::No(7_000));
    assert_eq!(breaker.ask(2, 3_000), Decision::Go);
    call(&mut breaker, 2, CallOutcome::Fine, 3_001);
    assert_eq!(breaker.open(), None, "and closes it");
    let mut breaker = opened(BAD);
    for path in 2..6 {
        assert_eq!(breaker.ask(path, 3_000), Decision::Go);
        call(&mut breaker, path, BAD, 3_000);
        assert_eq!(breaker.ask(path, 3_000), Decision::No(7_000));
    }
    assert_eq!(breaker.ask(6, 3_000), Decision::No(7_000), "a few, not all");
    assert_eq!(opened(DOWN).ask(2, 3_000), Decision::No(7_000), "nobody is there at all");
}

#[test]
fn a_probe_that_was_never_sent_frees_its_place() {
    let mut breaker = opened(DOWN);
    probe(&mut breaker, CallOutcome::Nothing, 7_000);
    assert_eq!(breaker.ask(1, 7_000), Decision::Probe);
}

#[test]
fn a_rest_that_was_asked_for_is_kept_up_to_a_minute() {
    for (after, probe_at) in [(0, 5_000), (30_000, 30_000), (86_400_000, 60_000)] {
        let mut breaker = opened(BAD);
        breaker.record(RULES, (1, false, 0), CallOutcome::Fine, 10_000);
        breaker.record(
            RULES,
            (1, false, 0),
            CallOutcome::Failed { down: false, unreachable: false, after },
            10_000,
        );
        assert_eq!(breaker.open().map(|o| o.probe_at), Some(10_000 + probe_at), "{after}");
    }
}
