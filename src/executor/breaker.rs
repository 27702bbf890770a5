//! Whether a destination (scheme, host and port) that keeps failing is left alone for a while. A step
//! function: what happens and when in, what may be sent out. `verdicts` keeps one of these for each
//! project and destination that fails; each node has its own and finds out by itself.
//!
//! | state | asked | a call succeeds | a call fails |
//! |---|---|---|---|
//! | closed | go | the count is 0 again | counted; at `BreakerFailures` in a row, over 2 s or more: open |
//! | open, cooling down | no; but a few times a path that has not failed yet: go | closed, ramp | counted |
//! | open, cooled down | the first one is the probe, the others wait for it (1 s at most) | closed, ramp | open, twice as long |
//! | closed, ramp | go, 2 at a time, one more with each success | up to 64, then closed | open, as long as before |
//!
//! Any success closes it, so one bad path on a host shared with healthy ones opens nothing, and a
//! healthy path that is rarely called gets through even where it did. A manual run is a probe whenever
//! it comes ([`Breaker::force`]). What was neither (withheld, given up, asked to wait by `Retry-After`,
//! which `pauses` keeps by project) only frees the probe's place. The first cool-down is `BreakerCooldownSeconds`, each further one
//! twice as long up to a minute, 10 % more or less by destination so that they do not probe in step.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::reply::{Answer, Class};

/// A row of failures must have lasted this long: a burst that failed at once is one failure.
const LEAST_MS: u64 = 2_000;
/// The longest cool-down, unless the first one is longer.
const LONGEST_MS: u64 = 60_000;
/// How long others wait for a probe's answer.
const PROBE_MS: u64 = 1_000;
/// Paths that have not failed that may be tried during one cool-down.
const SPARE: u8 = 4;
/// The most paths that are remembered as failing; beyond, all count as failing.
const MOST_PATHS: usize = 64;
/// A ramp ends at so many calls at a time.
const RAMP_END: u32 = 64;
/// An open breaker that nobody has asked for so long is forgotten.
pub(super) const FORGET_MS: u64 = 600_000;
/// A timeout that is shorter says how patient the job is, and nothing of the destination.
const TELLING: Duration = Duration::from_secs(1);

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// So many failures in a row open it; 0: it never opens.
    pub failures: u32,
    /// The first cool-down, in milliseconds.
    pub cooldown: u64,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The destination is alive: any answer but 429 and 5xx.
    Fine,
    /// It is not, or asks for a rest.
    Failed {
        /// It could not even be connected to: no other path will do better.
        down: bool,
        /// No connection can be made, whoever tries.
        unreachable: bool,
        /// The rest it asked for, in milliseconds.
        after: u64,
    },
    /// It asked this project to wait so long, in milliseconds: alive, but no success.
    Asked {
        /// How long.
        after: u64,
    },
    /// Nothing was sent.
    Nothing,
}

impl CallOutcome {
    /// What comes of no answer within a time.
    pub fn timeout(after: Duration, sent: bool) -> Self {
        if after < TELLING {
            return Self::Nothing;
        }
        Self::Failed { down: !sent, unreachable: false, after: 0 }
    }

    /// What an answer says of its destination.
    pub fn of(answer: &Answer, success_codes: &[u16]) -> Self {
        if let Some(after) = answer.asks_to_wait(success_codes) {
            return Self::Asked { after: after.as_millis() as u64 };
        }
        match answer.class_by(success_codes) {
            Class::Retry { after } if matches!(answer.status, 0 | 429 | 500..) => {
                let after = after.map_or(0, |after| after.as_millis() as u64);
                Self::Failed { down: !answer.sent, unreachable: false, after }
            }
            _ => Self::Fine,
        }
    }
}

/// Whether a call may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Go,
    /// It may, as the probe.
    Probe,
    /// A probe is under way: its outcome decides.
    Wait,
    /// Not before this instant, in boot-clock milliseconds.
    No(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32, since: u64, ramp: Option<u32>, round: u32 },
    Open(Open),
}

/// A destination that is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// When it opened, in boot-clock milliseconds.
    pub since: u64,
    /// Failures in a row.
    pub failures: u32,
    /// When the next probe may go out, in boot-clock milliseconds.
    pub probe_at: u64,
    /// Cool-downs before this one.
    round: u32,
    /// When the probe that is under way went out.
    probing: Option<u64>,
    spare: u8,
    blamed: BTreeSet<u64>,
    down: bool,
}

/// One destination's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// By this its cool-downs differ from others'.
    spread: u64,
}

impl Breaker {
    /// Closed.
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

    /// When the row of failures began that has not opened it.
    pub(super) fn failed_at(&self) -> Option<u64> {
        match &self.state {
            State::Closed { failures: 1.., since, ramp: None, .. } => Some(*since),
            _ => None,
        }
    }

    /// By what it may be forgotten where there are too many, the least first: whether it is open,
    /// and since when. `None` while a probe is under way or the rest follows one.
    pub(super) fn rank(&self) -> Option<(bool, u64)> {
        match &self.state {
            State::Closed { ramp: None, since, .. } => Some((false, *since)),
            State::Open(open) if open.probing.is_none() => Some((true, open.since)),
            _ => None,
        }
    }

    /// What there is to show while it is open.
    pub fn open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Closed { .. } => None,
        }
    }

    /// Whether it says nothing that a new one would not say.
    pub fn is_idle(&self, now: u64) -> bool {
        match &self.state {
            State::Closed { failures, ramp, .. } => *failures == 0 && ramp.is_none(),
            State::Open(open) => open.probing.is_none() && now > open.probe_at + FORGET_MS,
        }
    }

    /// How many calls may be under way at a time; `None` for as many as elsewhere.
    pub fn ramp(&self) -> Option<u32> {
        match &self.state {
            State::Closed { ramp, .. } => *ramp,
            State::Open(_) => None,
        }
    }

    /// What [`Breaker::ask`] would say, changing nothing.
    pub fn look(&self, path: u64, now: u64) -> Decision {
        self.clone().ask(path, now)
    }

    /// Asks for a call to a path (a hash of it).
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
        let innocent = open.blamed.len() < MOST_PATHS && !open.blamed.contains(&path);
        if open.down || open.spare == 0 || !innocent {
            return Decision::No(open.probe_at);
        }
        open.spare -= 1;
        Decision::Go
    }

    /// Asks for a call that goes out whatever the state: as the probe if there is none.
    pub fn force(&mut self, now: u64) -> Decision {
        match &mut self.state {
            State::Open(open) if open.probing.is_none() => {
                open.probing = Some(now);
                Decision::Probe
            }
            _ => Decision::Go,
        }
    }

    /// Takes note of what came of a call that began at an instant, as the probe or not.
    pub fn over(
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

    /// Sets the next probe.
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
