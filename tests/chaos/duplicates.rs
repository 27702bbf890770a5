//! The judge's part about what comes twice: who sent it first, what befell that node, and whether that
//! is a reason. `judge` calls it.

use std::collections::{BTreeMap, BTreeSet};

use crate::faults::FaultKind;
use crate::inject::Window;
use crate::judge::Judge;
use crate::node_home::MAX_WORKERS;
use crate::receiver::{Answer, Arrival};

/// How long before a fault a call may have gone out whose result was still on the node's own disk
/// only: the leader reads it from there about once a second, and there must be a leader.
const BEFORE: i64 = 20_000;
/// How long after a fault it may still be felt.
const AFTER: i64 = 4_000;

impl Judge<'_> {
    /// What comes twice comes for a reason.
    pub(crate) fn repetitions(&mut self) {
        let mut by_id: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
        for one in &self.evidence.arrivals {
            by_id.entry(&one.id).or_default().push(one);
        }
        let mut late_from: BTreeMap<(u64, i64), BTreeSet<_>> = BTreeMap::new();
        for arrivals in by_id.values() {
            let accepted = arrivals.iter().copied().filter(|one| one.answer == Answer::Accepted);
            for pair in accepted.collect::<Vec<_>>().windows(2) {
                let cause = self.cause(pair[0]);
                count(&mut self.verdict.duplicates, cause.as_deref());
                if cause.is_none() {
                    let text = format!("{:?} and again {:?}", pair[0], pair[1]);
                    self.verdict.violation("needless duplicate", text);
                }
            }
            let first = arrivals.iter().copied().filter(|one| one.attempt == 1);
            let mut resent = false;
            for pair in first.collect::<Vec<_>>().windows(2) {
                let (before, after) = (pair[0], pair[1]);
                resent = !resent && is_resent(before, after);
                if resent {
                    count(&mut self.verdict.repeated, Some("kept connection ended"));
                } else if after.fence < before.fence {
                    let window = self.held_up(after).map(|window| (window.what, window.from));
                    let cause = window.map(|(what, _)| format!("{what:?}"));
                    count(&mut self.verdict.stale, cause.as_deref());
                    match window {
                        None => {
                            let text = format!("{before:?} and, under an older fence, {after:?}");
                            self.verdict.violation("two owners", text);
                        }
                        Some((_, from)) => {
                            let key = (after.sender.unwrap_or(0), from);
                            late_from.entry(key).or_default().insert(after.mono);
                        }
                    }
                } else {
                    let cause = self.cause(before);
                    count(&mut self.verdict.repeated, cause.as_deref());
                    if cause.is_none() {
                        let text = format!("{before:?} and again {after:?}");
                        self.verdict.violation("two owners", text);
                    }
                }
            }
        }
        for ((node, from), requests) in late_from {
            if requests.len() > MAX_WORKERS {
                let text = format!("{} requests of node {node} after {from}", requests.len());
                self.verdict.violation("two owners", text);
            }
        }
    }

    /// The fault that met the sender of an arrival, so that the answer or the record of it could get
    /// lost; of several the one that explains most.
    fn sender_window(&self, one: &Arrival) -> Option<&Window> {
        let met = |window: &&Window| {
            one.sender.map_or(!window.nodes.is_empty(), |sender| window.nodes.contains(&sender))
                && window.from <= one.at + BEFORE
                && window.to.saturating_add(AFTER) >= one.at
        };
        let met = self.evidence.windows.iter().filter(met);
        let excuses = met.filter_map(|window| Some((excuse(window.what)?, window)));
        excuses.min_by_key(|(rank, _)| *rank).map(|(_, window)| window)
    }

    /// The fault that held an arrival up on its way, so that it could come after the lease under which
    /// it was sent: its sender was frozen right then, or its packets were dropped.
    fn held_up(&self, one: &Arrival) -> Option<&Window> {
        let met = |window: &&Window| {
            matches!(window.what, FaultKind::Freeze | FaultKind::Isolate)
                && one.sender.is_none_or(|sender| window.nodes.contains(&sender))
                && (window.from..=window.to.saturating_add(AFTER)).contains(&one.at)
        };
        self.evidence.windows.iter().find(met)
    }

    /// Why an occurrence that was sent may be sent again.
    pub(crate) fn cause(&self, one: &Arrival) -> Option<String> {
        if let Some(window) = self.sender_window(one) {
            return Some(format!("{:?}", window.what));
        }
        let near = |(from, to): &&(i64, i64)| *from <= one.at + BEFORE && *to + AFTER >= one.at;
        self.evidence.stalls.iter().find(near).map(|_| "machine stalled".to_owned())
    }
}

/// Whether a fault of its sender excuses that a call is made again, and how well: low is better. A
/// clock that jumps and links that are a little slow are none: they must cost nobody a lease.
fn excuse(what: FaultKind) -> Option<u32> {
    match what {
        // Those that kill the node first.
        FaultKind::Kill | FaultKind::WrongStart(_) | FaultKind::PutBack | FaultKind::Stall => Some(0),
        FaultKind::DiskFull => Some(1),
        FaultKind::Freeze => Some(2),
        FaultKind::Isolate => Some(3),
        FaultKind::Partition => Some(4),
        FaultKind::Deaf => Some(5),
        FaultKind::Silent => Some(6),
        FaultKind::Slow(ms) if ms >= 300 => Some(7),
        FaultKind::Flap => Some(8),
        FaultKind::Slow(_)
        | FaultKind::Clock(_)
        // It must end without having done anything.
        | FaultKind::Copy
        // Of receivers, not of senders.
        | FaultKind::Fails(_) | FaultKind::Hangs | FaultKind::Lags(_) | FaultKind::Mute | FaultKind::Cuts => None,
    }
}

/// Whether a call was sent once more because a kept connection ended without an answer: by the same
/// owner, at once. It is sent so once.
fn is_resent(before: &Arrival, after: &Arrival) -> bool {
    before.answer == Answer::Nothing
        && (before.sender, before.fence) == (after.sender, after.fence)
        && after.at - before.at <= AFTER
}

fn count(counts: &mut BTreeMap<String, u64>, cause: Option<&str>) {
    *counts.entry(cause.unwrap_or("none").to_owned()).or_default() += 1;
}
