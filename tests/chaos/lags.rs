//! The lags of first attempts, which are reported and break no rule. `judge` asks for them.

use std::collections::BTreeMap;

use crate::expected::MAX_JITTER;
use crate::inject::Window;
use crate::judge::Judge;
use crate::receiver::Arrival;

/// The milliseconds after its fault in which the breaker of a destination may still be open.
const RESTS: i64 = 70_000;

impl Judge<'_> {
    /// The lags of first attempts. Waits for a failing destination do not count, because the nodes
    /// do not cause them.
    pub(crate) fn lags(&mut self) {
        let mut due = BTreeMap::new();
        for tracked in self.evidence.expected.jobs.values() {
            let all = tracked.due(self.evidence.horizon + MAX_JITTER);
            due.extend(all.into_iter().map(|(at, one)| ((tracked.id, at), one.instant)));
        }
        let mut first: BTreeMap<&str, &Arrival> = BTreeMap::new();
        for one in &self.evidence.arrivals {
            if one.occurrence.run == 0 && one.attempt == 1 {
                first.entry(&one.id).or_insert(one);
            }
        }
        let when = |one: &Arrival| {
            let key = (one.occurrence.job, one.occurrence.scheduled);
            due.get(&key).copied().unwrap_or(one.scheduled)
        };
        for one in first.values() {
            let over = |w: &&Window, after: i64| {
                w.from <= one.at && w.to.saturating_add(after) >= when(one)
            };
            let windows = &self.evidence.windows;
            if windows.iter().any(|w| w.destination == Some(one.destination) && over(&w, RESTS)) {
                continue;
            }
            let lag = one.at - when(one);
            self.verdict.lags.push(lag);
            let mut met = windows.iter().filter(|w| w.destination.is_none() && over(w, 5_000));
            if let (Some(window), None) = (met.next(), met.next()) {
                let name = format!("{:?} {:?}", window.what, window.role);
                let most = self.verdict.alone.entry(name).or_insert(lag);
                *most = lag.max(*most);
            }
        }
        self.verdict.lags.sort_unstable();
    }
}
