//! Mutation checks: without a rule the model must fail, or it does not test that rule.
//!
//! Some rules are missing here, because nothing broke without them: that a shard that is promised
//! away is not handed out (the closing statement comes after all that was taken, and the next
//! owner waits for it), that a loss is fenced (so seldom is one under way while the shard moves),
//! adoption, and the short time for a first heartbeat (without them a worker has more doubles and
//! waits longer, and no invariant forbids either). The tests of single rules hold them.

use super::world::{Rule, Scenario, World};

fn must_break(rule: Rule, scenario: Scenario, within: u64) {
    let found = (1..=within).find_map(|seed| {
        let broken = World::new(seed, scenario, Some(rule)).run().err()?;
        Some((seed, broken))
    });
    let Some((seed, broken)) = found else {
        panic!("{within} runs without {rule:?} and nothing breaks");
    };
    println!("without {rule:?}: seed {seed}: {broken}");
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
    without_asking_the_lease: Lease in Storm, 100;
    publishing_without_asking_the_lease: Lease in Broker, 100;
    publishing_without_taking_what_is_confirmed: ConfirmCounts in Broker, 30;
    publishing_without_taking_what_workers_speak_of: ReportFirst in Broker, 60;
    publishing_without_taking_what_workers_speak_of_later: ReportAfterBack in Broker, 60;
    publishing_without_taking_back: Withdraw in Broker, 60;
    publishing_without_journaling_what_waits_at_the_broker: OfferedAtBus in Broker, 60;
    publishing_without_rests: Rests in Broker, 10;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    publishing_without_looking_at_the_start_timeout: StartTimeout in Broker, 400;
    without_journaling_first: JournalFirst in Calm, 3;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_waiting_for_the_closing_owner: ClosingWaits in Moves, 400;
    without_reading_the_own_journal: OwnJournal in Restarts, 60;
    without_a_full_timeout_after_a_load: LoadGrace in Storm, 60;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_sparing_the_time_of_a_lapse: LeaseGrace in Storm, 400;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_sparing_the_time_of_a_stall: StallGrace in Storm, 400;
    without_looking_up: LookUp in Storm, 60;
    without_asking_for_leave: AsksLeave in Calm, 3;
    without_ending_what_is_gone: JobsGone in Moves, 60;
    without_a_most_that_waits: MostWaiting in Calm, 10;
    without_w_waiting_for_the_journal: WatermarkWaits in Storm, 100;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_hearing_only_as_the_owner: OwnerHears in Storm, 400;
    without_judging_silence: SilenceJudged in Moves, 30;
    #[cfg_attr(not(feature = "slow"), ignore = "slow")]
    without_keeping_what_is_unrecorded: UnrecordedStays in Storm, 400;
}
