//! Whose failures keep whom from calling.

use super::*;
use url::Url;

const RULES: Rules = Rules { failures: 3, cooldown: 5_000 };
const BAD: Outcome = Outcome::Failed { down: false, unreachable: false, after: 0 };
const REFUSED: Outcome = Outcome::Failed { down: true, unreachable: true, after: 0 };

fn to(name: &str) -> Destination {
    Destination::of(&Url::parse(&format!("http://{name}/")).unwrap())
}

/// Three calls of a project, over two seconds, all of which come to the same.
fn fail(verdicts: &mut Verdicts, project: ProjectId, outcome: Outcome) {
    for at in [0, 1_000, 2_000] {
        verdicts.over((&to("a"), project), (1, false, at), outcome, at);
    }
}

fn may(verdicts: &mut Verdicts, project: ProjectId, now: u64) -> bool {
    let looked = verdicts.look((&to("a"), project), 7, now);
    let asked = verdicts.ask((&to("a"), project), 7, false, now);
    assert_eq!(looked, asked);
    matches!(asked, Leave::Go | Leave::Probe)
}

#[test]
fn a_projects_failures_keep_itself_from_calling_and_nobody_else() {
    let mut verdicts = Verdicts::new(RULES);
    // Any number of them, whatever paths they call.
    for project in 1..9 {
        fail(&mut verdicts, project, BAD);
    }
    let a = to("a");
    assert!(matches!(verdicts.look((&a, 1), 1, 2_001), Leave::No(_)));
    assert!(may(&mut verdicts, 9, 2_001), "a project that has not failed");
    let shut = verdicts.shut(2_001);
    assert_eq!((shut.len(), shut[0].failures, shut[0].since), (1, 3, 2_000));
    // Nor does the success of one open it to another one.
    verdicts.over((&a, 1), (1, false, 2_001), Outcome::Fine, 2_002);
    assert!(matches!(verdicts.look((&a, 1), 1, 2_003), Leave::Go));
    assert!(matches!(verdicts.look((&a, 2), 1, 2_003), Leave::No(_)));
    assert_eq!((verdicts.ramp(&a, 1), verdicts.ramp(&a, 2)), (Some(2), None));
}

#[test]
fn two_projects_that_cannot_connect_speak_for_others_up_to_the_first_probe_or_answer() {
    let mut verdicts = Verdicts::new(RULES);
    fail(&mut verdicts, 1, REFUSED);
    assert!(may(&mut verdicts, 3, 2_001), "one is not enough");
    fail(&mut verdicts, 2, REFUSED);
    assert!(!may(&mut verdicts, 3, 2_001));
    let a = to("a");
    assert_eq!(verdicts.ask((&a, 3), 1, true, 2_001), Leave::Go, "a manual run");
    assert_eq!(verdicts.look((&to("b"), 3), 1, 2_001), Leave::Go);
    let probe = verdicts.shut(2_001)[0].probe_at;
    assert!(may(&mut verdicts, 3, probe));
    // One answer to anybody, and everybody may see for himself.
    verdicts.over((&a, 4), (1, false, 2_002), Outcome::Fine, 2_003);
    assert!(may(&mut verdicts, 3, 2_003));
    assert_eq!(verdicts.ask((&a, 1), 1, false, 2_003), Leave::Probe);
    assert_eq!(verdicts.ask((&a, 2), 1, false, 2_003), Leave::Probe);
    // What they find counts as before.
    verdicts.over((&a, 1), (1, true, 2_003), REFUSED, 2_004);
    verdicts.over((&a, 2), (1, true, 2_003), REFUSED, 2_004);
    assert!(!may(&mut verdicts, 3, 2_005));
    // Another sort of failure is none that others would believe.
    verdicts.over((&a, 2), (1, false, 2_005), BAD, 2_006);
    assert!(may(&mut verdicts, 3, 2_007));
}

#[test]
fn what_failed_once_long_ago_is_forgotten_when_there_are_many() {
    let mut verdicts = Verdicts::new(RULES);
    for n in 0..1_024 {
        verdicts.over((&to(&n.to_string()), 1), (1, false, 0), BAD, 0);
    }
    assert_eq!(verdicts.breakers.len(), 1_024);
    verdicts.over((&to("new"), 1), (1, false, 0), BAD, FORGET_MS);
    assert_eq!((verdicts.breakers.len(), verdicts.prune_at), (1, KEPT));
}

#[test]
fn no_more_than_the_bound_are_kept_and_open_ones_go_last() {
    let mut verdicts = Verdicts::new(RULES);
    fail(&mut verdicts, 1_000_000, REFUSED);
    // One failure each opens nothing; each is younger than the open one.
    for project in 0..40_000 {
        let at = 3_000 + project;
        verdicts.over((&to("a"), project), (1, false, at), BAD, at);
        assert!(verdicts.breakers.len() <= MOST, "{project}");
    }
    assert!(verdicts.breakers.len() > MOST / 2);
    let a = to("a");
    assert!(!verdicts.has(&a, 0) && verdicts.has(&a, 39_999), "the oldest went");
    let open = verdicts.breakers.get(&(a, 1_000_000)).and_then(Breaker::open);
    assert!(open.is_some(), "it is open");
}
