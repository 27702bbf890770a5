//! The breaker of one destination: it leaves a destination that keeps failing alone for a while.
//! A step function of events and their instants. `breakers` keeps one for each project and
//! destination that fails. Each node has its own breakers and finds out by itself.
//!
//! | state | a call that asks | after a success | after a failure |
//! |---|---|---|---|
//! | closed | goes | the count is 0 | counted; open after enough of them |
//! | open, cooling down | is refused; a new path may go | closed, ramp | counted |
//! | open, cooled down | is the probe; others wait | closed, ramp | open, twice as long |
//! | closed, ramp | goes, 2 at a time, then more | one more at a time | open, as long as before |
//!
//! Enough failures are `BreakerFailures` in a row, over 2 s or more. While it cools down, a few
//! calls to paths that have not failed may go. Calls wait for a probe for 1 s at most. The ramp
//! ends at 64 calls at a time.
//!
//! Any success closes the breaker. So one bad path on a host shared with healthy ones does not open
//! it, and a healthy path that is rarely called gets through even where others opened it. A manual
//! run is a probe whenever it comes ([`Breaker::force`]). A call that was neither success nor
//! failure (withheld, cancelled, or asked to wait by `Retry-After`, which `backoffs` keeps by
//! project) only frees the place of the probe. The first cool-down is `BreakerCooldownSeconds`,
//! each further one is twice as long, up to a minute. They differ by 10 % between destinations, so
//! that probes do not go out in step.

use super::call_outcome::CallOutcome;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The least time that a row of failures must have lasted, since a burst that failed at once is one
/// failure.
const LEAST_MS: u64 = 2_000;
/// The longest cool-down, unless the first one is longer.
const LONGEST_MS: u64 = 60_000;
/// The time that other calls wait for the answer to a probe.
const PROBE_MS: u64 = 1_000;
/// The number of calls to paths that have not failed, in one cool-down.
const SPARE: u8 = 4;
/// The most paths that are remembered as failing; beyond that, all paths count as failing.
const MOST_PATHS: usize = 64;
/// The number of calls at a time at which a ramp ends.
const RAMP_END: u32 = 64;
/// An open breaker that nothing has asked for this long is forgotten.
pub(super) const FORGET_MS: u64 = 600_000;

/// The rules by which breakers open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The failures in a row that open a breaker; 0: it never opens.
    pub failures: u32,
    /// The first cool-down, in milliseconds.
    pub cooldown: u64,
}

/// The decision about a call that asks to go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The call may go out.
    Go,
    /// The call may go out, as the probe.
    Probe,
    /// The call waits for the outcome of a probe that is under way.
    Wait,
    /// The call may not go out before this instant, in boot-clock milliseconds.
    No(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32, since: u64, ramp: Option<u32>, round: u32 },
    Open(Open),
}

/// The open state of a breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The instant at which it opened, in boot-clock milliseconds.
    pub since: u64,
    /// Failures in a row.
    pub failures: u32,
    /// The instant of the next probe, in boot-clock milliseconds.
    pub probe_at: u64,
    /// The number of cool-downs before this one.
    round: u32,
    /// The instant at which the probe that is under way went out.
    probing: Option<u64>,
    /// Calls to other paths that are left in this cool-down.
    spare: u8,
    /// Paths that have failed, by their hashes.
    blamed: BTreeSet<u64>,
    /// No connection was made last time.
    down: bool,
}

/// The breaker of one project for one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// A hash of the destination, by which its cool-downs differ from those of others.
    spread: u64,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(destination: &str) -> Self {
        let mut hash = DefaultHasher::new();
        destination.hash(&mut hash);
        let state = State::Closed { failures: 0, since: 0, ramp: None, round: 0 };
        Self { state, spread: hash.finish() }
    }

    /// Lets the next call be the probe.
    pub(super) fn probe_now(&mut self, now: u64) {
        if let State::Open(open) = &mut self.state {
            open.probe_at = open.probe_at.min(now);
        }
    }

    /// The instant at which a row of failures began that has not opened the breaker.
    pub(super) fn failed_at(&self) -> Option<u64> {
        match &self.state {
            State::Closed { failures: 1.., since, ramp: None, .. } => Some(*since),
            _ => None,
        }
    }

    /// The rank by which breakers are forgotten where there are too many, the least first: whether
    /// it is open, and since when. `None` while a probe is under way and while the breaker ramps
    /// up, as calls wait for it.
    pub(super) fn rank(&self) -> Option<(bool, u64)> {
        match &self.state {
            State::Closed { ramp: None, since, .. } => Some((false, *since)),
            State::Open(open) if open.probing.is_none() => Some((true, open.since)),
            _ => None,
        }
    }

    /// The open state; `None` while the breaker is closed.
    pub fn open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Closed { .. } => None,
        }
    }

    /// Whether the breaker behaves like a new one, so that it may be forgotten.
    pub fn is_idle(&self, now: u64) -> bool {
        match &self.state {
            State::Closed { failures, ramp, .. } => *failures == 0 && ramp.is_none(),
            State::Open(open) => open.probing.is_none() && now > open.probe_at + FORGET_MS,
        }
    }

    /// The most calls under way at a time on the ramp; `None` where there is no ramp.
    pub fn ramp(&self) -> Option<u32> {
        match &self.state {
            State::Closed { ramp, .. } => *ramp,
            State::Open(_) => None,
        }
    }

    /// The decision that [`Breaker::ask`] would make, without a change of state.
    pub fn look(&self, path: u64, now: u64) -> Decision {
        self.clone().ask(path, now)
    }

    /// Decides about a call to a path, which is given by its hash.
    pub fn ask(&mut self, path: u64, now: u64) -> Decision {
        let State::Open(open) = &mut self.state else { return Decision::Go };
        if let Some(since) = open.probing {
            let until = since + PROBE_MS;
            return if now < until { Decision::Wait } else { Decision::No(now + PROBE_MS) };
        }
        if now >= open.probe_at {
            open.probing = Some(now);
            return Decision::Probe;
        }
        let is_unblamed = open.blamed.len() < MOST_PATHS && !open.blamed.contains(&path);
        if open.down || open.spare == 0 || !is_unblamed {
            return Decision::No(open.probe_at);
        }
        open.spare -= 1;
        Decision::Go
    }

    /// Lets a call out whatever the state is: as the probe, where none is under way.
    pub fn force(&mut self, now: u64) -> Decision {
        match &mut self.state {
            State::Open(open) if open.probing.is_none() => {
                open.probing = Some(now);
                Decision::Probe
            }
            _ => Decision::Go,
        }
    }

    /// Records the outcome of a call: its path, whether it was the probe, and when it began.
    pub fn record(
        &mut self,
        rules: Rules,
        (path, probe, began): (u64, bool, u64),
        outcome: CallOutcome,
        now: u64,
    ) {
        match (&mut self.state, outcome) {
            (State::Closed { failures, ramp, round, .. }, CallOutcome::Fine) => {
                *failures = 0;
                *ramp = ramp.map(|most| most + 1).filter(|most| *most < RAMP_END);
                *round = if ramp.is_none() { 0 } else { *round };
            }
            (State::Open(open), CallOutcome::Fine) => {
                let (ramp, round) = (Some(2), open.round);
                self.state = State::Closed { failures: 0, since: now, ramp, round };
            }
            (
                State::Closed { failures, since, ramp, round },
                CallOutcome::Failed { down, after, .. },
            ) => {
                *since = if *failures == 0 { began } else { (*since).min(began) };
                *failures = failures.saturating_add(1);
                let enough = *failures >= rules.failures && now >= *since + LEAST_MS;
                if rules.failures == 0 || !(enough || ramp.is_some()) {
                    return;
                }
                let open = Open {
                    since: now,
                    failures: *failures,
                    probe_at: now,
                    round: *round,
                    probing: None,
                    spare: SPARE,
                    blamed: BTreeSet::from([path]),
                    down,
                };
                self.state = State::Open(open);
                self.cool(rules, after, now);
            }
            (State::Open(open), CallOutcome::Failed { down, after, .. }) => {
                open.failures = open.failures.saturating_add(1);
                open.down = down;
                if open.blamed.len() < MOST_PATHS {
                    open.blamed.insert(path);
                }
                if probe {
                    open.probing = None;
                    open.round += 1;
                    open.spare = SPARE;
                    self.cool(rules, after, now);
                }
            }
            (State::Open(open), CallOutcome::Asked { after }) if probe => {
                open.probing = None;
                open.spare = SPARE;
                self.cool(rules, after, now);
            }
            (State::Open(open), CallOutcome::Nothing) if probe => open.probing = None,
            (_, CallOutcome::Nothing | CallOutcome::Asked { .. }) => {}
        }
    }

    /// Sets the instant of the next probe.
    fn cool(&mut self, rules: Rules, after: u64, now: u64) {
        let State::Open(open) = &mut self.state else { return };
        let longest = LONGEST_MS.max(rules.cooldown);
        let doubled = rules.cooldown.saturating_mul(1 << open.round.min(20)).min(longest);
        let about = doubled - doubled / 10 + self.spread % (doubled / 5 + 1);
        open.probe_at = now + about.max(after.min(longest));
    }
}

#[cfg(test)]
mod tests;
