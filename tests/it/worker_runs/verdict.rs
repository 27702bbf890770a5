//! The judge of what workers were handed: each second hand-out of a run has a cause, no two workers
//! perform a run at once, and what is missing in the workers' record was lost on its way to one.
//!
//! It knows the record of the workers and the kills of owners, nothing of the cluster. All instants
//! are milliseconds of the test's monotonic clock.

use std::collections::BTreeMap;

/// The time by which the answer to a claim may be later than its hand-out, in milliseconds.
const ANSWER: i64 = 2_000;

/// The way in which a worker stopped to perform a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It has not stopped.
    Held,
    /// Its report that the run is done was accepted.
    Completed,
    /// Its report that the run failed was accepted.
    Failed,
    /// It gave the run back.
    Released,
    /// It went away without a word.
    Silent,
    /// It had no answer to a heartbeat in time.
    Fenced,
    /// It was told that the run is over or somebody else's.
    Gone,
    /// It was told to stop, which nobody asked for.
    Cancelled,
    /// Its report was refused, with this status.
    Refused(u16),
}

/// A run in the hands of a worker.
#[derive(Clone, Debug)]
pub(super) struct HandOut {
    pub(super) run: String,
    pub(super) attempt: u64,
    pub(super) worker: String,
    /// The instant at which the worker got it.
    pub(super) from: i64,
    /// The instant from which on the worker did nothing for it any more.
    pub(super) until: i64,
    pub(super) ending: Ending,
    /// Heartbeats were not answered for longer than the timeout, while its end was being reported.
    pub(super) overdue: bool,
}

/// A claim that got no answer: what it was answered is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unanswered {
    pub(super) from: i64,
    pub(super) max: u64,
}

/// The record of all workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) hand_outs: Vec<HandOut>,
    pub(super) unanswered: Vec<Unanswered>,
    /// The instants at which owners were killed.
    pub(super) kills: Vec<i64>,
}

/// What the judge found.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Violations, in words.
    pub(super) broken: Vec<String>,
    /// The hand-outs beyond the first of each run.
    pub(super) again: u64,
    /// The hand-outs that reached no worker.
    pub(super) lost: u64,
}

impl Evidence {
    /// Judges the record.
    pub(super) fn judge(&self) -> Verdict {
        let mut by_run: BTreeMap<&str, Vec<&HandOut>> = BTreeMap::new();
        for hand_out in &self.hand_outs {
            by_run.entry(&hand_out.run).or_default().push(hand_out);
        }
        let mut verdict = Verdict::default();
        for (_, mut all) in by_run {
            all.sort_by_key(|one| (one.attempt, one.from));
            self.judge_run(&all, &mut verdict);
        }
        let most: u64 = self.unanswered.iter().map(|claim| claim.max).sum();
        if verdict.lost > most && self.kills.is_empty() {
            let lost = verdict.lost;
            verdict.broken.push(format!("{lost} hand-outs are lost, and {most} may be"));
        }
        verdict
    }

    /// Judges the hand-outs of one run, in the order of their attempts.
    fn judge_run(&self, all: &[&HandOut], verdict: &mut Verdict) {
        let mut broken = |what: &str| verdict.broken.push(format!("{what}: {all:?}"));
        let mut expected = 1;
        for (at, one) in all.iter().enumerate() {
            match one.ending {
                Ending::Held => broken("a run was never let go"),
                Ending::Cancelled => broken("a run was cancelled by nobody"),
                Ending::Gone | Ending::Refused(_) if all.len() == 1 => {
                    broken("a run was taken from its only worker");
                }
                _ => {}
            }
            if one.attempt > expected && !self.has_lost_claim(one.from) {
                broken("an attempt reached nobody, and no claim was left without an answer");
            }
            verdict.lost += one.attempt.saturating_sub(expected);
            expected = one.attempt + 1;
            for later in &all[at + 1..] {
                if one.from.max(later.from) < one.until.min(later.until)
                    && !self.has_kill(one.from.min(later.from), one.from.max(later.from))
                {
                    broken("two workers had a run at once");
                }
            }
            let Some(next) = all.get(at + 1) else { continue };
            verdict.again += 1;
            let has_cause = if next.attempt == one.attempt {
                self.has_kill(one.from.min(next.from), one.from.max(next.from))
            } else {
                one.overdue
                    || matches!(
                        one.ending,
                        Ending::Failed | Ending::Released | Ending::Silent | Ending::Fenced
                    )
                    || self.has_kill(one.from, next.from)
            };
            if !has_cause {
                let same = one.worker == next.worker;
                let whose = if same { "its worker" } else { "another worker" };
                broken(&format!("a run was handed out again without a cause, to {whose}"));
            }
        }
    }

    fn has_kill(&self, from: i64, until: i64) -> bool {
        self.kills.iter().any(|kill| (from - ANSWER..=until).contains(kill))
    }

    fn has_lost_claim(&self, before: i64) -> bool {
        self.unanswered.iter().any(|claim| claim.from < before) || self.has_kill(0, before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(attempt: u64, (from, until): (i64, i64), ending: Ending) -> HandOut {
        let (run, worker) = ("r".to_owned(), format!("w-{attempt}"));
        HandOut { run, attempt, worker, from, until, ending, overdue: false }
    }

    fn evidence(hand_outs: Vec<HandOut>) -> Evidence {
        Evidence { hand_outs, ..Evidence::default() }
    }

    #[test]
    fn the_judge_finds_what_has_no_cause_and_excuses_what_has_one() {
        use Ending::{Cancelled, Completed, Fenced, Gone, Held, Refused, Silent};
        let first = |ending| one(1, (0, 5_000), ending);
        let second = || one(2, (10_000, 11_000), Completed);
        for (hand_outs, fine) in [
            (vec![first(Completed)], true),
            (vec![first(Silent), second()], true),
            (vec![first(Fenced), second()], true),
            (vec![HandOut { overdue: true, ..first(Completed) }, second()], true),
            (vec![first(Completed), second()], false),
            (vec![first(Gone), second()], false),
            (vec![first(Gone)], false),
            (vec![first(Refused(404))], false),
            (vec![first(Held)], false),
            (vec![first(Cancelled)], false),
            (vec![one(1, (0, 10_500), Silent), second()], false),
            (vec![first(Completed), one(1, (6_000, 7_000), Completed)], false),
        ] {
            let verdict = evidence(hand_outs.clone()).judge();
            assert_eq!(verdict.broken.is_empty(), fine, "{hand_outs:?}: {verdict:?}");
        }
    }

    #[test]
    fn a_kill_excuses_only_what_was_under_way() {
        let doubled =
            vec![one(1, (3_000, 9_000), Ending::Gone), one(1, (8_000, 8_500), Ending::Completed)];
        for (kill, fine) in [(4_000, true), (500, false), (8_600, false)] {
            let verdict = Evidence { kills: vec![kill], ..evidence(doubled.clone()) }.judge();
            assert_eq!(verdict.broken.is_empty(), fine, "{kill}: {verdict:?}");
        }
    }

    #[test]
    fn a_missing_attempt_needs_a_claim_without_an_answer() {
        let found = || evidence(vec![one(2, (9_000, 9_500), Ending::Completed)]);
        assert!(!found().judge().broken.is_empty());
        for (from, max, fine) in [(1_000, 1, true), (9_500, 1, false), (1_000, 0, false)] {
            let verdict =
                Evidence { unanswered: vec![Unanswered { from, max }], ..found() }.judge();
            assert_eq!((verdict.broken.is_empty(), verdict.lost), (fine, 1), "{verdict:?}");
        }
    }
}
