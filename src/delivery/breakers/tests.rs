//! The failures of one project, and which projects they keep from calling.

use super::*;

const RULES: Rules = Rules { failures: 3, cooldown: 5_000 };
const BAD: CallOutcome = CallOutcome::Failed { down: false, unreachable: false, after: 0 };
const REFUSED: CallOutcome = CallOutcome::Failed { down: true, unreachable: true, after: 0 };

fn to(name: &str) -> Destination {
    Destination::new(name)
}

/// Three calls of a project, over two seconds, all of which have the same outcome.
fn fail(breakers: &mut Breakers, project: ProjectId, outcome: CallOutcome) {
    for at in [0, 1_000, 2_000] {
        breakers.record((&to("a"), project), (1, false, at), outcome, at);
    }
}

fn may(breakers: &mut Breakers, project: ProjectId, now: u64) -> bool {
    let looked = breakers.look((&to("a"), project), 7, now);
    let asked = breakers.ask((&to("a"), project), 7, false, now);
    assert_eq!(looked, asked);
    matches!(asked, Decision::Go | Decision::Probe)
}

#[test]
fn the_failures_of_a_project_keep_that_project_from_calling_and_no_other() {
    let mut breakers = Breakers::new(RULES);
    // Any number of them, whatever paths they call.
    for project in 1..9 {
        fail(&mut breakers, project, BAD);
    }
    let a = to("a");
    assert!(matches!(breakers.look((&a, 1), 1, 2_001), Decision::No(_)));
    assert!(may(&mut breakers, 9, 2_001), "a project that has not failed");
    let outages = breakers.outages(2_001);
    assert_eq!((outages.len(), outages[0].failures, outages[0].since), (1, 3, 2_000));
    // Nor does the success of one open it to another one.
    breakers.record((&a, 1), (1, false, 2_001), CallOutcome::Fine, 2_002);
    assert!(matches!(breakers.look((&a, 1), 1, 2_003), Decision::Go));
    assert!(matches!(breakers.look((&a, 2), 1, 2_003), Decision::No(_)));
    assert_eq!((breakers.ramp(&a, 1), breakers.ramp(&a, 2)), (Some(2), None));
}

#[test]
fn where_two_projects_cannot_connect_others_wait_up_to_the_first_probe_or_answer() {
    let mut breakers = Breakers::new(RULES);
    fail(&mut breakers, 1, REFUSED);
    assert!(may(&mut breakers, 3, 2_001), "one is not enough");
    fail(&mut breakers, 2, REFUSED);
    assert!(!may(&mut breakers, 3, 2_001));
    let a = to("a");
    assert_eq!(breakers.ask((&a, 3), 1, true, 2_001), Decision::Go, "a manual run");
    assert_eq!(breakers.look((&to("b"), 3), 1, 2_001), Decision::Go);
    let probe = breakers.outages(2_001)[0].probe_at;
    assert!(may(&mut breakers, 3, probe));
    // After one answer to any project every project may try again.
    breakers.record((&a, 4), (1, false, 2_002), CallOutcome::Fine, 2_003);
    assert!(may(&mut breakers, 3, 2_003));
    assert_eq!(breakers.ask((&a, 1), 1, false, 2_003), Decision::Probe);
    assert_eq!(breakers.ask((&a, 2), 1, false, 2_003), Decision::Probe);
    // Their outcomes count as before.
    breakers.record((&a, 1), (1, true, 2_003), REFUSED, 2_004);
    breakers.record((&a, 2), (1, true, 2_003), REFUSED, 2_004);
    assert!(!may(&mut breakers, 3, 2_005));
    // Another kind of failure does not concern other projects.
    breakers.record((&a, 2), (1, false, 2_005), BAD, 2_006);
    assert!(may(&mut breakers, 3, 2_007));
}

#[test]
fn old_single_failures_are_forgotten_when_there_are_many() {
    let mut breakers = Breakers::new(RULES);
    for n in 0..1_024 {
        breakers.record((&to(&n.to_string()), 1), (1, false, 0), BAD, 0);
    }
    assert_eq!(breakers.known.len(), 1_024);
    breakers.record((&to("new"), 1), (1, false, 0), BAD, FORGET_MS);
    assert_eq!((breakers.known.len(), breakers.prune_at), (1, KEPT));
}

#[test]
fn no_more_than_the_bound_are_kept_and_open_ones_go_last() {
    let mut breakers = Breakers::new(RULES);
    fail(&mut breakers, 1_000_000, REFUSED);
    // One failure each opens nothing; each is younger than the open one.
    for project in 0..40_000 {
        let at = 3_000 + project;
        breakers.record((&to("a"), project), (1, false, at), BAD, at);
        assert!(breakers.known.len() <= MOST, "{project}");
    }
    assert!(breakers.known.len() > MOST / 2);
    let a = to("a");
    assert!(!breakers.has(&a, 0) && breakers.has(&a, 39_999), "the oldest went");
    let open = breakers.known.get(&(a, 1_000_000)).and_then(Breaker::open);
    assert!(open.is_some(), "it is open");
}
