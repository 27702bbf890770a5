//! What the supervisor promises, over many seeds of each scenario. `SCHEDULER0_MODEL_RUNS` sets the
//! number of seeds, `SCHEDULER0_MODEL_SEED` the first; a failure names its seed.

use super::world::{Scenario, World};

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn holds(scenario: Scenario, seeds: u64) {
    let first = variable("SCHEDULER0_MODEL_SEED").unwrap_or(1);
    let seeds = variable("SCHEDULER0_MODEL_RUNS").unwrap_or(seeds);
    for seed in first..first + seeds {
        if let Err(broken) = World::new(seed, scenario, None).run() {
            panic!("seed {seed} of {scenario:?}: {broken}");
        }
    }
}

#[test]
fn one_owner_hands_out_each_occurrence_once() {
    holds(Scenario::Calm, 3);
}

#[test]
fn orderly_hand_overs_hand_nothing_out_twice() {
    holds(Scenario::Moves, 5);
}

#[test]
fn an_owner_that_starts_again_hands_nothing_out_twice() {
    holds(Scenario::Restarts, 8);
}

#[test]
fn whatever_goes_wrong_the_invariants_hold() {
    holds(Scenario::Storm, 8);
}

#[test]
fn whatever_goes_wrong_with_a_broker_the_invariants_hold() {
    holds(Scenario::Broker, 8);
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn whatever_goes_wrong_the_invariants_hold_for_long() {
    let scenarios = [
        (Scenario::Calm, 20),
        (Scenario::Moves, 60),
        (Scenario::Restarts, 100),
        (Scenario::Storm, 150),
        (Scenario::Broker, 150),
    ];
    for (scenario, seeds) in scenarios {
        holds(scenario, seeds);
    }
}
