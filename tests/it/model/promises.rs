//! The promises of the lease protocol under each scenario, over many seeds.

use super::protocol::ProtocolModel;
use super::scenario::Scenario;

/// The fast tier tries the seeds divided by this.
const FAST_SHARE: u64 = 16;

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Runs a scenario over many seeds.
fn all_hold(scenario: Scenario, runs: u64) {
    let first = env("SCHEDULER0_MODEL_SEED", 1);
    let runs = if cfg!(feature = "slow") { runs } else { runs / FAST_SHARE };
    let runs = env("SCHEDULER0_MODEL_RUNS", runs);
    let (mut sent, mut moves, mut changes) = (0, 0, 0);
    for seed in first..first + runs {
        let mut model = ProtocolModel::new(seed, scenario, None);
        if let Err(broken) = model.run() {
            panic!("seed {seed}, {scenario:?}: {broken}\n{}", model.trace_text());
        }
        sent += model.checks.sends();
        moves += model.checks.moves();
        changes += model.checks.member_changes();
    }
    assert!(
        scenario != Scenario::Members || changes > 2 * runs,
        "{changes} changes of the members"
    );
    assert!(
        sent > 20 * runs && moves > 2 * runs,
        "too little happened: {sent} sent, {moves} moves"
    );
}

#[test]
fn no_fault_breaks_the_promises() {
    all_hold(Scenario::Faults, 250);
}

#[test]
fn no_storm_gives_two_nodes_the_same_work() {
    all_hold(Scenario::Storm, 250);
}

#[test]
fn without_faults_nothing_is_sent_twice_through_drains_and_new_leaders() {
    all_hold(Scenario::Calm, 150);
}

#[test]
fn a_killed_owner_is_replaced_in_time() {
    all_hold(Scenario::Kill, 100);
}

#[test]
fn an_owner_that_hears_no_more_of_the_log_loses_its_shards_in_time() {
    all_hold(Scenario::Deaf, 100);
}

#[test]
fn a_copy_of_a_folder_never_fires_beside_its_original() {
    all_hold(Scenario::Copies, 250);
}

#[test]
fn who_is_added_or_removed_shares_no_work_with_others() {
    all_hold(Scenario::Members, 250);
}

#[test]
fn a_node_with_a_wrong_clock_neither_leads_nor_fires() {
    all_hold(Scenario::Clocks, 100);
}
