//! The randomized model of the protocol: leases, hand-overs, watermarks and records, over an
//! abstract Raft, under every fault that a seed can think of.
//!
//! The steps under test are the real ones: `worker::lease::Holder`, `coordinator::leases::Grantor`
//! (with its placement) and `model::shard::Shard`. Around them stands a small world: `raft` (logs,
//! terms, elections, commits by majority), `books` (what the log comes to), `node` (an engine that
//! fires and states watermarks), `world` (clocks, network), `faults`, `check` (what must always hold).
//!
//! Every run follows from its seed, which a failure names. `SCHEDULER0_MODEL_RUNS` sets how many
//! seeds are tried, `SCHEDULER0_MODEL_SEED` the first.
//!
//! A model that never fails proves nothing: `teeth` takes the rules away one at a time and expects
//! a violation.

mod check;
mod faults;
mod leader;
mod mutations;
mod node;
mod raft;
mod random;
mod state;
mod world;

use world::{Scenario, World};

/// A rule that a run does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A grant is worth nothing before the newest assignment is applied. Without it, and without
    /// `FirstEntry`, `CommitIndex` holds for the first grant after a start only: it covers for both.
    NeedsIndex,
    /// A grant to a node without a lease needs all that is committed.
    CommitIndex,
    /// The node counts the lease from sending, not from the answer.
    FromSending,
    /// A promise binds the firing.
    PromiseBinds,
    /// Under a promise W stays below H until the hand-over is applied.
    WatermarkBelowPromise,
    /// A leader grants only under a fresh acknowledgement of its quorum.
    FreshQuorum,
    /// A leader grants only when it has applied the first entry of its term.
    FirstEntry,
    /// An owner is dead only after TTL + F.
    DeadWait,
    /// A new leader counts from when it began to grant.
    SinceBegan,
    /// Renewals of an older boot are dropped, the promises of an older boot forgotten.
    Boots,
    /// No grant to a node from which a proposal under way takes shards.
    Moving,
    /// A leader that does not know what became of its moves gives up its term.
    GivesUp,
    /// The closing statement waits for what is in flight.
    ClosingWaits,
    /// W covers only what is recorded.
    WatermarkCovers,
    /// W stays behind log time and the own clock.
    WatermarkBehindTime,
    /// A clock far from the others' gets no lease.
    Clocks,
    /// A removed owner is dead only when its lease must have ended.
    RemovedWaits,
    /// A process on another folder is granted nothing before the lease of the one before must have
    /// ended.
    OneProcess,
    /// A node too far behind to use a lease is granted none.
    BehindRefused,
    /// W is stated with the holder's leave: under a lease, and noted for its promises.
    WatermarkAsksHolder,
}

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Runs a scenario over many seeds.
fn all_hold(scenario: Scenario, runs: u64) {
    let first = env("SCHEDULER0_MODEL_SEED", 1);
    let runs = env("SCHEDULER0_MODEL_RUNS", runs);
    let (mut sent, mut moves, mut changes) = (0, 0, 0);
    for seed in first..first + runs {
        let mut world = World::new(seed, scenario, None);
        if let Err(broken) = world.run() {
            panic!("seed {seed}, {scenario:?}: {broken}\n{}", world.story());
        }
        sent += world.checks.sends();
        moves += world.checks.moves();
        changes += world.checks.member_changes();
    }
    assert!(
        scenario != Scenario::Members || changes > 2 * runs,
        "{changes} changes of the members"
    );
    assert!(sent > 20 * runs && moves > 2 * runs, "an idle world: {sent} sent, {moves} moves");
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
