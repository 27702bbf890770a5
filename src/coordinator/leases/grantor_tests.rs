//! Single rules of granting; how they work together is the business of the randomized model.

use super::*;
use crate::model::lease::{Position, Promise};

fn timing() -> Timing {
    Timing::from(150, 500)
}

fn at(boot: u64) -> Now {
    Now { boot, sched: boot as Millis }
}

fn renewal(node: NodeId, boot: u64, number: u64, clock: Millis) -> Renewal {
    let applied = Position { index: 10, stamp: 0 };
    let facts = Facts { applied, has_room: true, draining: false, memory: 10, journaled: 0 };
    Renewal {
        node,
        instance: 1,
        boot,
        number,
        term: 7,
        clock,
        facts,
        promises: Vec::new(),
        process: Process { id: boot, place: 1, boot },
    }
}

fn position() -> LeaderPosition {
    LeaderPosition { applied: Position { index: 10, stamp: 0 }, commit_index: 11, assign_index: 9 }
}

/// A leader of three that may grant.
fn leader() -> Grantor {
    let mut grantor = Grantor::new(1, 7, [1, 2, 3], timing(), 10_000);
    grantor.first_entry_applied();
    grantor.quorum_acked(10_000);
    grantor
}

#[test]
fn nothing_is_granted_before_the_first_entry_or_without_a_fresh_quorum() {
    let mut grantor = Grantor::new(1, 7, [1, 2, 3], timing(), 10_000);
    grantor.quorum_acked(10_000);
    let ask = |number, boot, grantor: &mut Grantor| {
        grantor.renewal(at(boot), &renewal(2, 1, number, boot as Millis), position()).verdict
    };
    assert_eq!(ask(1, 10_100, &mut grantor), Err(Refusal::NotYet));
    grantor.first_entry_applied();
    let grant = Grant { ttl: 4_000, needs_index: 9, commit_index: 11, log_time: 0 };
    assert_eq!(ask(2, 10_500, &mut grantor), Ok(grant));
    assert_eq!(ask(3, 10_501, &mut grantor), Err(Refusal::NotYet));
}

#[test]
fn another_term_an_older_boot_and_an_older_renewal_are_refused() {
    let mut grantor = leader();
    let mut ask =
        |renewal: &Renewal| grantor.renewal(at(10_100), renewal, position()).verdict.err();
    assert_eq!(ask(&Renewal { term: 6, ..renewal(2, 1, 1, 10_100) }), Some(Refusal::Term));
    assert_eq!(ask(&renewal(2, 2, 5, 10_100)), None);
    assert_eq!(ask(&renewal(2, 1, 9, 10_100)), Some(Refusal::Stale));
    assert_eq!(ask(&renewal(2, 2, 4, 10_100)), Some(Refusal::Stale));
    assert_eq!(ask(&renewal(9, 1, 1, 10_100)), Some(Refusal::Term), "not a member");
}

#[test]
fn a_clock_far_from_the_median_gets_no_lease_and_a_leader_notices_its_own() {
    let mut grantor = leader();
    let ask = |r: &Renewal, grantor: &mut Grantor| {
        grantor.renewal(at(10_100), r, position()).verdict.err()
    };
    assert_eq!(ask(&renewal(2, 1, 1, 15_100), &mut grantor), Some(Refusal::Clock));
    assert_eq!(
        grantor.own_clock_error(10_100),
        -2_500,
        "two that differ: nobody knows who is right"
    );
    assert_eq!(ask(&renewal(3, 1, 1, 15_100), &mut grantor), None);
    assert_eq!(ask(&renewal(2, 1, 2, 15_100), &mut grantor), None, "two agree: it is the leader");
    assert_eq!(grantor.own_clock_error(10_100), -5_000);
}

#[test]
fn a_leader_off_the_median_looks_for_one_that_agrees() {
    let mut grantor = leader();
    let mut hear = |node, clock| {
        let _ = grantor.renewal(at(10_100), &renewal(node, 1, 1, clock), position());
    };
    hear(2, 15_100);
    assert_eq!(grantor.agreeing(10_100), [0; 0], "of two that differ nobody is right");
    let mut hear = |node, clock| {
        let _ = grantor.renewal(at(10_100), &renewal(node, 1, 1, clock), position());
    };
    hear(3, 15_000);
    assert_eq!(grantor.own_clock_error(10_100), -4_900);
    assert_eq!(grantor.agreeing(10_100), [2, 3]);
}

#[test]
fn learners_are_granted_leases_and_count_for_no_quorum() {
    let mut grantor = leader();
    grantor.set_members((1..=5).collect(), BTreeSet::from([1, 2, 3]));
    let mut ask = |node, number| {
        let renewal = renewal(node, 1, number, 10_100);
        grantor.renewal(at(10_100), &renewal, position()).verdict.err()
    };
    assert_eq!(ask(4, 1), Some(Refusal::NotYet), "a learner and the leader are no quorum of three");
    assert_eq!(ask(5, 1), Some(Refusal::NotYet));
    assert_eq!(ask(2, 1), None);
    assert_eq!(ask(4, 2), None);
}

#[test]
fn a_removed_node_keeps_its_shards_until_its_lease_must_have_ended() {
    let mut grantor = leader();
    let mut shard = Shard::new(0, 0);
    assert!(shard.apply(&Move { shard: 0, to: 2, expects: 0, kind: MoveKind::TakeOver }));
    for node in [2, 3] {
        let renewal = renewal(node, 1, 1, 10_000);
        assert!(grantor.renewal(at(10_000), &renewal, position()).verdict.is_ok());
    }
    grantor.set_members(BTreeSet::from([1, 3]), BTreeSet::from([1, 3]));
    let refused = grantor.renewal(at(10_050), &renewal(2, 1, 2, 10_050), position()).verdict;
    assert_eq!(refused, Err(Refusal::Term));
    let mut taken = None;
    for (number, boot) in (2..).zip((10_100..20_000).step_by(100)) {
        grantor.quorum_acked(boot);
        grantor.renewal(at(boot), &renewal(3, 1, number, boot as Millis), position());
        let moves = grantor.tick(at(boot), std::slice::from_ref(&shard));
        if let Some(change) = moves.first() {
            taken = taken.or(Some((boot, change.to, change.kind)));
        }
    }
    assert_eq!(taken, Some((14_700, 3, MoveKind::TakeOver)));
}

#[test]
fn a_drained_node_is_asked_for_its_shards_and_gets_none() {
    let mut grantor = leader();
    let mut shard = Shard::new(0, 0);
    assert!(shard.apply(&Move { shard: 0, to: 2, expects: 0, kind: MoveKind::TakeOver }));
    grantor.set_draining(BTreeSet::from([2]));
    let mut ask = |node, number| {
        let asked = grantor.renewal(at(10_100), &renewal(node, 1, number, 10_100), position());
        let _ = grantor.tick(at(10_100), std::slice::from_ref(&shard));
        asked.release
    };
    for node in [1, 2, 3] {
        ask(node, 1);
    }
    assert_eq!(ask(2, 2), [(0, 1)]);
    assert_eq!(ask(3, 2), []);
}

#[test]
fn a_new_data_folder_under_an_old_id_begins_anew() {
    let mut grantor = leader();
    let mut ask =
        |renewal: &Renewal| grantor.renewal(at(10_100), renewal, position()).verdict.err();
    assert_eq!(ask(&renewal(3, 1, 1, 10_100)), None);
    assert_eq!(ask(&renewal(2, 9, 5, 10_100)), None);
    assert_eq!(ask(&Renewal { instance: 2, ..renewal(2, 1, 1, 10_100) }), None);
    assert_eq!(ask(&Renewal { instance: 2, ..renewal(2, 1, 1, 10_100) }), Some(Refusal::Stale));
}

#[test]
fn a_promise_is_carried_out_and_its_owner_gets_no_lease_meanwhile() {
    let mut grantor = leader();
    let own = Move { shard: 0, to: 2, expects: 0, kind: MoveKind::TakeOver };
    let mut shard = Shard::new(0, 0);
    assert!(shard.apply(&own));
    for node in [3, 1] {
        let renewal = renewal(node, 1, 1, 10_100);
        assert!(grantor.renewal(at(10_100), &renewal, position()).verdict.is_ok());
    }
    let mut promised = renewal(2, 1, 1, 10_100);
    promised.promises = vec![Promise { shard: 0, epoch: 1, until: 12_000 }];
    assert!(grantor.renewal(at(10_100), &promised, position()).verdict.is_ok());
    let moves = grantor.tick(at(10_200), std::slice::from_ref(&shard));
    let hand_over =
        Move { shard: 0, to: 3, expects: 1, kind: MoveKind::HandOver { until: 12_000 } };
    assert_eq!(moves, [hand_over]);
    assert_eq!(grantor.tick(at(10_300), std::slice::from_ref(&shard)), [], "one at a time");
    let again = renewal(2, 2, 1, 10_300);
    let refused = grantor.renewal(at(10_300), &again, position()).verdict;
    assert_eq!(refused, Err(Refusal::Moving), "a restarted owner knows no promise");
    grantor.assigned(Settled::Applied(15));
    let granted = grantor.renewal(at(10_400), &renewal(2, 2, 2, 10_400), position()).verdict;
    assert_eq!(granted.map(|g| g.needs_index), Ok(15));
}

#[test]
fn an_owner_is_dead_a_ttl_and_f_after_its_last_grant_unless_the_leader_stalled() {
    let mut grantor = leader();
    let mut shard = Shard::new(0, 0);
    assert!(shard.apply(&Move { shard: 0, to: 2, expects: 0, kind: MoveKind::TakeOver }));
    let mut taken = None;
    let mut number = 1;
    assert!(grantor.renewal(at(10_000), &renewal(3, 1, 1, 10_000), position()).verdict.is_ok());
    assert!(grantor.renewal(at(10_000), &renewal(2, 1, 1, 10_000), position()).verdict.is_ok());
    for boot in (10_000..30_000).step_by(100) {
        if (12_000..13_000).contains(&boot) {
            continue; // The leader's loop stands still.
        }
        grantor.quorum_acked(boot);
        number += 1;
        grantor.renewal(at(boot), &renewal(3, 1, number, boot as Millis), position());
        let moves = grantor.tick(at(boot), std::slice::from_ref(&shard));
        if let Some(change) = moves.first() {
            taken = taken.or(Some((boot, change.to, change.kind)));
        }
    }
    assert_eq!(taken, Some((17_600, 3, MoveKind::TakeOver)));
}

/// A renewal of another process of the node, on another folder.
fn of_copy(node: NodeId, boot: u64, number: u64, clock: Millis) -> Renewal {
    let process = Process { id: 99, place: 2, boot };
    Renewal { process, ..renewal(node, boot, number, clock) }
}

#[test]
fn a_process_on_a_copied_folder_is_granted_nothing_while_the_original_may_hold_a_lease() {
    for boot in [4, 5, 6] {
        let mut grantor = leader();
        let mut ask = |asks: &dyn Fn(Millis) -> Renewal, now: u64| {
            grantor.quorum_acked(now);
            // The other voter is heard all the time.
            let _ = grantor.renewal(at(now), &renewal(3, 1, now, now as Millis), position());
            grantor.renewal(at(now), &asks(now as Millis), position()).verdict.err()
        };
        assert_eq!(ask(&|clock| renewal(2, 5, 1, clock), 10_100), None);
        assert_eq!(ask(&|clock| of_copy(2, boot, 1, clock), 10_200), Some(Refusal::Other));
        assert_eq!(ask(&|clock| renewal(2, 5, 2, clock), 10_300), None, "the original goes on");
        assert_eq!(ask(&|clock| of_copy(2, boot, 2, clock), 14_800), Some(Refusal::Other));
        assert_eq!(ask(&|clock| of_copy(2, boot, 3, clock), 14_801), None, "TTL + F of silence");
        assert_eq!(ask(&|clock| renewal(2, 5, 3, clock), 14_900), Some(Refusal::Other));
        // The original's folder, started anew, comes back as soon as the copy is silent.
        assert_eq!(ask(&|clock| renewal(2, 6, 1, clock), 19_302), None);
    }
}

#[test]
fn a_new_leader_waits_for_the_lease_of_the_process_that_spoke_before_its_term() {
    let mut grantor = leader();
    grantor.spoke_before(2, Process { id: 5, place: 1, boot: 5 });
    let mut ask = |renewal: &Renewal, now: u64| {
        grantor.quorum_acked(now);
        grantor.renewal(at(now), renewal, position()).verdict.err()
    };
    assert_eq!(ask(&of_copy(2, 6, 1, 10_100), 10_100), Some(Refusal::Other));
    assert_eq!(ask(&renewal(2, 5, 9, 10_200), 10_200), None, "it is known");
    assert_eq!(ask(&renewal(2, 6, 1, 10_300), 10_300), None, "started anew");
    assert_eq!(ask(&renewal(2, 5, 10, 10_400), 10_400), Some(Refusal::Stale));
}

#[test]
fn a_folder_that_was_put_back_in_place_gets_a_lease_when_no_renewal_can_be_late_any_more() {
    let mut grantor = leader();
    let mut ask = |boot: u64, now: u64| {
        grantor.quorum_acked(now);
        let _ = grantor.renewal(at(now), &renewal(3, 1, now, now as Millis), position());
        let put_back = Renewal {
            promises: vec![Promise { shard: 0, epoch: 1, until: 99 }],
            ..renewal(2, boot, now, now as Millis)
        };
        let verdict = grantor.renewal(at(now), &put_back, position()).verdict.err();
        (verdict, grantor.promises().len())
    };
    assert_eq!(ask(6, 10_100), (None, 1));
    assert_eq!(ask(5, 10_200), (Some(Refusal::Stale), 1));
    assert_eq!(ask(5, 14_600), (Some(Refusal::Stale), 1));
    assert_eq!(ask(5, 14_601), (None, 0), "a late renewal's promises would be of no worth");
    assert_eq!(ask(5, 14_700), (None, 1), "it repeats them");
}

#[test]
fn a_new_leader_waits_for_the_leases_of_all_processes_that_spoke_lately() {
    let mut grantor = leader();
    grantor.spoke_before(2, Process { id: 5, place: 1, boot: 5 });
    let copy = of_copy(2, 6, 1, 10_100).process;
    grantor.spoke_before(2, copy);
    let others = |now: u64| renewal(3, 1, now, now as Millis);
    let mut ask = |renewal: &Renewal, now: u64| {
        grantor.quorum_acked(now);
        let _ = grantor.renewal(at(now), &others(now), position());
        grantor.renewal(at(now), renewal, position()).verdict.err()
    };
    assert_eq!(
        ask(&of_copy(2, 6, 1, 10_100), 10_100),
        Some(Refusal::Other),
        "another was displaced lately"
    );
    assert_eq!(ask(&of_copy(2, 6, 2, 14_500), 14_500), Some(Refusal::Other));
    assert_eq!(ask(&of_copy(2, 6, 3, 14_501), 14_501), None);
}

#[test]
fn a_node_too_far_behind_to_use_a_lease_gets_none_and_loses_its_shards() {
    let mut grantor = leader();
    let mut shard = Shard::new(0, 0);
    assert!(shard.apply(&Move { shard: 0, to: 2, expects: 0, kind: MoveKind::TakeOver }));
    let mut taken = None;
    for (number, boot) in (1..).zip((10_100..20_000).step_by(100)) {
        grantor.quorum_acked(boot);
        // Log time goes on, and node 2 stays where it is.
        let applied = Position { index: 10 + number, stamp: boot as Millis };
        let position = LeaderPosition { applied, ..position() };
        let mut behind = renewal(2, 1, number, boot as Millis);
        behind.facts.applied = Position { index: 10, stamp: 10_000 };
        let refused = grantor.renewal(at(boot), &behind, position).verdict.err();
        assert_eq!(refused, (boot > 14_000).then_some(Refusal::Behind), "at {boot}");
        let mut other = renewal(3, 1, number, boot as Millis);
        other.facts.applied = applied;
        assert!(grantor.renewal(at(boot), &other, position).verdict.is_ok());
        let moves = grantor.tick(at(boot), std::slice::from_ref(&shard));
        taken = taken.or(moves.first().map(|change| (boot, change.to, change.kind)));
    }
    assert_eq!(taken, Some((18_600, 3, MoveKind::TakeOver)));
}
