//! Mutation checks: without a rule the model must fail, or it does not test that rule.
//!
//! Some rules are missing here, because nothing broke without them in ten thousand runs: expected
//! epochs in moves, terms in renewals and grants, the early end of a lease, a promise above the
//! recorded watermark. Other rules, or the time that a commit takes, cover for them in the model;
//! the unit tests of `Shard`, `Holder` and `Grantor` hold them.

use super::protocol::ProtocolModel;
use super::scenario::{Rule, Scenario};

/// Tries seeds until an invariant breaks; returns the seed and the violation.
fn breaks(rule: Rule, scenario: Scenario, within: u64) -> Option<(u64, String)> {
    (1..=within).find_map(|seed| {
        let broken = ProtocolModel::new(seed, scenario, Some(rule)).run().err()?;
        Some((seed, broken))
    })
}

fn must_break(rule: Rule, scenario: Scenario, within: u64) {
    let found = breaks(rule, scenario, within);
    assert!(found.is_some(), "{within} runs without {rule:?} and nothing breaks");
    if let Some((seed, broken)) = found {
        println!("without {rule:?}: seed {seed}: {broken}");
    }
}

macro_rules! mutations {
    ($($(#[$attribute:meta])* $name:ident: $rule:ident in $scenario:ident, $within:literal;)*) => {
        $(#[test]
        $(#[$attribute])*
        fn $name() {
            must_break(Rule::$rule, Scenario::$scenario, $within);
        })*
    };
}

mutations! {
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_needs_index: NeedsIndex in Storm, 4000;
    without_commit_index: CommitIndex in Storm, 4000;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_counting_from_sending: FromSending in Storm, 4000;
    without_keeping_promises: PromiseBinds in Storm, 4000;
    without_w_below_the_promise: WatermarkBelowPromise in Storm, 600;
    without_a_fresh_quorum: FreshQuorum in Storm, 4000;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_the_first_entry: FirstEntry in Storm, 4000;
    without_waiting_for_death: DeadWait in Faults, 100;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_counting_from_the_first_grant: SinceBegan in Storm, 4000;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_boot_numbers: Boots in Storm, 4000;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_withholding_from_losers: Moving in Storm, 12000;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_giving_up: GivesUp in Storm, 4000;
    without_a_late_closing_statement: ClosingWaits in Calm, 600;
    without_w_covering_the_recorded: WatermarkCovers in Faults, 100;
    without_w_behind_time: WatermarkBehindTime in Calm, 100;
    without_one_process_of_a_node: OneProcess in Copies, 600;
    without_refusing_who_is_behind: BehindRefused in Deaf, 100;
    without_clocks: Clocks in Clocks, 100;
    without_waiting_for_the_removed: RemovedWaits in Members, 600;
    without_asking_for_w: WatermarkAsksHolder in Faults, 600;
}
