//! The judge's rules about occurrences that come twice: a repetition needs a fault of its first
//! sender as its reason. A change that moves an occurrence is none. `judge` calls them.

use std::collections::{BTreeMap, BTreeSet};

use crate::broker::MESSAGES;
use crate::faults::FaultKind;
use crate::inject::Window;
use crate::judge::Judge;
use crate::node_home::MAX_WORKERS;
use crate::receiver::{Answer, Arrival};

/// The time before a fault in which a call may have been sent whose result was still in the node's
/// own journal, in milliseconds. The leader collects journals about once a second, and there must
/// be one.
const BEFORE: i64 = 20_000;
/// The time before a fault of the broker in which a message may have been sent whose confirm was
/// not there yet, in milliseconds: jobs wait for 3 s.
const CONFIRM: i64 = 5_000;
/// The time after a fault in which it may still have effects, in milliseconds.
pub(crate) const AFTER: i64 = 4_000;

impl Judge<'_> {
    /// Checks that each repetition has a reason.
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
                    let window = self.delayed_by(after).map(|window| (window.what, window.from));
                    let cause = window.map(|(what, _)| format!("{what:?}"));
                    count(&mut self.verdict.stale, cause.as_deref());
                    match window {
                        None => {
                            let text = format!("{before:?} and, under an older fence, {after:?}");
                            self.verdict.violation("two owners", text);
                        }
                        // Messages travel in chunks, of which the node may have many on their way.
                        Some(_) if after.destination == MESSAGES => {}
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

    /// The fault of an arrival's sender by which the answer or its record could get lost; of
    /// several faults the one that explains most.
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

    /// The fault that delayed an arrival on its way, so that it could come after the lease under
    /// which it was sent: its sender was frozen at that time, or its packets were dropped.
    ///
    /// A message may also wait at the broker, which does not read, or in a connection to it.
    fn delayed_by(&self, one: &Arrival) -> Option<&Window> {
        if let Some(window) = self.broker_window(one) {
            return Some(window);
        }
        let met = |window: &&Window| {
            matches!(window.what, FaultKind::Freeze | FaultKind::Isolate)
                && one.sender.is_none_or(|sender| window.nodes.contains(&sender))
                && (window.from..=window.to.saturating_add(AFTER)).contains(&one.at)
        };
        self.evidence.windows.iter().find(met)
    }

    /// The fault of the broker by which the confirm of a message could get lost, or after which the
    /// broker could hand it out again.
    fn broker_window(&self, one: &Arrival) -> Option<&Window> {
        let met = |window: &&Window| {
            window.destination == Some(MESSAGES)
                && window.from <= one.at + CONFIRM
                && window.to.saturating_add(AFTER) >= one.at
        };
        let is_message = one.destination == MESSAGES;
        self.evidence.windows.iter().filter(|_| is_message).find(met)
    }

    /// The reason why an occurrence that was sent may be sent again; `None` when there is none.
    pub(crate) fn cause(&self, one: &Arrival) -> Option<String> {
        if let Some(window) = self.sender_window(one) {
            return Some(format!("{:?}", window.what));
        }
        if let Some(window) = self.broker_window(one) {
            return Some(format!("{:?}", window.what));
        }
        let near = |(from, to): &&(i64, i64)| *from <= one.at + BEFORE && *to + AFTER >= one.at;
        self.evidence.stalls.iter().find(near).map(|_| "machine stalled".to_owned())
    }
}

/// The rank of a fault as an excuse for its node to send a call again; a lower rank explains more.
/// A clock that jumps and slightly slow links excuse nothing, because they must cost no lease.
pub(crate) fn excuse(what: FaultKind) -> Option<u32> {
    match what {
        // These kill the node.
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
        // A copy must end without having sent anything.
        | FaultKind::Copy
        // These are faults of receivers.
        | FaultKind::Fails(_) | FaultKind::Hangs | FaultKind::Lags(_) | FaultKind::Mute | FaultKind::Cuts
        // These are faults of workers and of the broker; the latter excuse messages, see `cause`.
        | FaultKind::WorkerFreeze
        | FaultKind::BrokerKill | FaultKind::BrokerCut | FaultKind::BrokerAlarm => None,
    }
}

/// True for a call that the same owner sent again at once because a kept connection ended without
/// an answer. That happens once to a call.
fn is_resent(before: &Arrival, after: &Arrival) -> bool {
    before.answer == Answer::Nothing
        && (before.sender, before.fence) == (after.sender, after.fence)
        && after.at - before.at <= AFTER
}

/// Counts one more by its cause.
pub(crate) fn count(counts: &mut BTreeMap<String, u64>, cause: Option<&str>) {
    *counts.entry(cause.unwrap_or("none").to_owned()).or_default() += 1;
}
