//! The limit on wrong passwords and keys: [`MOST_FAILURES`] of each within a minute by network (an
//! IPv4 address, the /64 of an IPv6 one), a token bucket for all networks, and a count of failures
//! for the log. `check` asks it. It knows no secret, reads no clock (the caller passes instants),
//! and has at most [`MAX_NETWORKS`] entries.
//!
//! # What is limited, and what is not
//!
//! A *password* can be guessed, so an attempt is admitted before it is checked, and an attempt that
//! is not admitted is not checked, right or wrong: otherwise the limit would not slow a guesser
//! down. An operator who shares a network with a guesser (one address behind NAT or a proxy) waits
//! until a minute has passed since the oldest of the failures; what was refused is no failure, so
//! the wait does not grow. A network from which an operator signed in within a day passes by the
//! bucket for all: many guessers in many networks cannot keep a known operator out.
//!
//! The *node's own machine* ([`Source::OwnMachine`]) passes by the bucket for all too, and has an
//! entry of its own: however many guess from elsewhere, an operator gets in from there. Requests
//! that a proxy on that machine forwards come from the loopback as well; where the proxy says so in
//! a header, they count as those of any other network. The header can only take this privilege
//! away, so it may be believed.
//!
//! A *key's* secret has 256 random bits and cannot be guessed: each is checked, which takes one
//! hash, and a right one is accepted however many wrong ones came before it. The count only
//! decides whether a wrong one is answered with 401 or 429. Keys are counted apart from passwords,
//! so that a client with an old key keeps no operator out.
//!
//! A wrong *access token* is counted for the log and nothing else.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most networks with an entry of their own; all others share one.
const MAX_NETWORKS: usize = 10_000;
/// The most networks that a report names.
const MAX_NAMED: usize = 10;
/// The interval of sweeps for idle entries, when the table is full.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The time for which a network is known after an operator signed in from it.
const KNOWN_FOR: Duration = Duration::from_hours(24);

/// The failures of one kind that a network may have within [`WINDOW`].
const MOST_FAILURES: usize = 20;
/// The time for which a failure counts.
const WINDOW: Duration = Duration::from_mins(1);
/// The rate of wrong passwords of all networks together that are not known.
const ALL_PASSWORDS: Rate = Rate { per_second: 100, burst: 200 };

/// The kind of credentials that were wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// The username and password of an operator.
    Password,
    /// The key and secret of a client.
    Key,
    /// An access token.
    Token,
}

impl CredentialKind {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Key => "key",
            Self::Token => "token",
        }
    }
}

/// The source of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The machine that this node runs on: the loopback without a proxy in between.
    OwnMachine,
    /// A network, as `listen::Connection::network` gives it.
    Network(IpAddr),
}

impl Source {
    /// The source of a request from this network. `forwarded` says that a proxy forwards the
    /// request.
    pub(super) fn of(network: IpAddr, forwarded: bool) -> Self {
        let loopback = match network {
            IpAddr::V4(ip) => ip.is_loopback(),
            // The /64 of ::1.
            IpAddr::V6(ip) => ip.is_unspecified(),
        };
        if loopback && !forwarded { Self::OwnMachine } else { Self::Network(network) }
    }
}

/// The rate at which a bucket fills, and its size.
#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: u32,
    burst: u32,
}

/// A token bucket; `None` is a full one.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket(Option<(f64, Instant)>);

impl Bucket {
    fn level(&self, rate: Rate, now: Instant) -> f64 {
        let burst = f64::from(rate.burst);
        self.0.map_or(burst, |(level, at)| {
            let filled = now.saturating_duration_since(at).as_secs_f64();
            (level + filled * f64::from(rate.per_second)).min(burst)
        })
    }

    fn has_token(&self, rate: Rate, now: Instant) -> bool {
        self.level(rate, now) >= 1.0
    }

    fn add(&mut self, tokens: f64, rate: Rate, now: Instant) {
        let level = (self.level(rate, now) + tokens).clamp(0.0, f64::from(rate.burst));
        self.0 = Some((level, now));
    }
}

/// The newest failures, at most [`MOST_FAILURES`], the oldest first.
#[derive(Clone, Debug, Default)]
struct Failures(VecDeque<Instant>);

impl Failures {
    /// Forgets those that do not count any more.
    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            // Most networks are wrong now and then.
            self.0.shrink_to_fit();
        }
    }

    fn is_empty(&self, now: Instant) -> bool {
        self.0.back().is_none_or(|at| now.saturating_duration_since(*at) >= WINDOW)
    }

    /// Counts a failure.
    ///
    /// # Errors
    ///
    /// The time after which the next one counts, where there were too many.
    fn add(&mut self, now: Instant) -> Result<(), Duration> {
        self.forget(now);
        match self.0.front() {
            Some(oldest) if self.0.len() >= MOST_FAILURES => {
                Err(WINDOW.saturating_sub(now.saturating_duration_since(*oldest)))
            }
            _ => {
                self.0.push_back(now);
                Ok(())
            }
        }
    }

    /// Takes the newest one back.
    fn take_back(&mut self) {
        self.0.pop_back();
    }
}

/// The state of one network.
#[derive(Clone, Debug, Default)]
struct Entry {
    passwords: Failures,
    keys: Failures,
    /// The last instant at which an operator signed in from here.
    signed_in: Option<Instant>,
    /// Failures since the last report.
    failures: u64,
}

impl Entry {
    fn is_known(&self, now: Instant) -> bool {
        self.signed_in.is_some_and(|at| now.saturating_duration_since(at) < KNOWN_FOR)
    }

    /// Says whether a new entry would be equal to this one.
    fn is_idle(&self, now: Instant) -> bool {
        !self.is_known(now) && self.passwords.is_empty(now) && self.keys.is_empty(now)
    }
}

#[derive(Default)]
struct State {
    networks: HashMap<IpAddr, Entry>,
    /// The state of this node's own machine.
    own_machine: Entry,
    /// The shared state of all networks that are not in the table.
    rest: Entry,
    all_passwords: Bucket,
    swept: Option<Instant>,
}

impl State {
    /// The entry that counts the passwords of a source, and whether they pass by the bucket for
    /// all.
    fn passwords(&mut self, source: Source, now: Instant) -> (&mut Entry, bool) {
        match source {
            Source::OwnMachine => (&mut self.own_machine, true),
            Source::Network(network) => {
                let entry = self.entry(network, now);
                let known = entry.is_known(now);
                (entry, known)
            }
        }
    }

    fn entry(&mut self, network: IpAddr, now: Instant) -> &mut Entry {
        if self.networks.len() >= MAX_NETWORKS && !self.networks.contains_key(&network) {
            self.sweep(now);
            if self.networks.len() >= MAX_NETWORKS {
                return &mut self.rest;
            }
        }
        self.networks.entry(network).or_default()
    }

    fn sweep(&mut self, now: Instant) {
        let due = self.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_INTERVAL);
        if !due {
            return;
        }
        self.swept = Some(now);
        let mut unreported = 0;
        self.networks.retain(|_, entry| {
            let stays = !entry.is_idle(now);
            if !stays {
                unreported += entry.failures;
            }
            stays
        });
        self.rest.failures += unreported;
    }
}

/// The limits of one node.
#[derive(Default)]
pub(super) struct Limiter(Mutex<State>);

/// The failures since the last report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// The number of failures.
    pub(super) failures: u64,
    /// The networks with the most failures, the most first, at most [`MAX_NAMED`].
    pub(super) named: Vec<(IpAddr, u64)>,
}

impl Limiter {
    /// Says whether a password may be checked. The caller reports the result of an admitted one: it
    /// counts as wrong until [`Limiter::signed_in`] takes that back.
    ///
    /// # Errors
    ///
    /// The time after which one may be checked again.
    pub(super) fn admit_password(&self, source: Source, now: Instant) -> Result<(), Duration> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let for_all = state.all_passwords.has_token(ALL_PASSWORDS, now);
        let (entry, apart) = state.passwords(source, now);
        let admitted =
            if apart || for_all { entry.passwords.add(now) } else { Err(Duration::from_secs(1)) };
        if admitted.is_err() {
            entry.failures += 1;
        } else if !apart {
            state.all_passwords.add(-1.0, ALL_PASSWORDS, now);
        }
        admitted
    }

    /// Notes that an admitted password was right.
    pub(super) fn signed_in(&self, source: Source, now: Instant) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (entry, apart) = state.passwords(source, now);
        entry.passwords.take_back();
        if !apart {
            state.all_passwords.add(1.0, ALL_PASSWORDS, now);
        }
        // The success of one network says nothing of others that share its entry.
        let own = match source {
            Source::OwnMachine => Some(&mut state.own_machine),
            Source::Network(network) => state.networks.get_mut(&network),
        };
        if let Some(entry) = own {
            entry.signed_in = Some(now);
        }
    }

    /// Notes that an admitted password was wrong.
    pub(super) fn wrong_password(&self, source: Source, now: Instant) {
        self.lock().passwords(source, now).0.failures += 1;
    }

    /// Notes that a key was wrong. Returns the time to wait where the network has been wrong too
    /// often.
    pub(super) fn wrong_key(&self, network: IpAddr, now: Instant) -> Option<Duration> {
        let mut state = self.lock();
        let entry = state.entry(network, now);
        entry.failures += 1;
        entry.keys.add(now).err()
    }

    /// Notes that an access token was wrong. A signature cannot be guessed, so nothing is limited.
    pub(super) fn wrong_token(&self, network: IpAddr, now: Instant) {
        self.lock().entry(network, now).failures += 1;
    }

    /// The failures since the last call; `None` when there were none.
    pub(super) fn report(&self) -> Option<Report> {
        let mut state = self.lock();
        let mut report = Report { failures: state.rest.failures, named: Vec::new() };
        state.rest.failures = 0;
        let own = std::mem::take(&mut state.own_machine.failures);
        if own > 0 {
            let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
            state.networks.entry(here).or_default().failures += own;
        }
        for (network, entry) in &mut state.networks {
            if entry.failures > 0 {
                report.failures += entry.failures;
                report.named.push((*network, entry.failures));
                entry.failures = 0;
            }
        }
        report.named.sort_by_key(|(network, failures)| (std::cmp::Reverse(*failures), *network));
        report.named.truncate(MAX_NAMED);
        (report.failures > 0).then_some(report)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, (network, failures)) in self.named.iter().enumerate() {
            let between = if n == 0 { "" } else { ", " };
            let prefix = if network.is_ipv6() { "/64" } else { "" };
            write!(f, "{between}{network}{prefix}: {failures}")?;
        }
        let named: u64 = self.named.iter().map(|(_, failures)| failures).sum();
        match self.failures - named {
            0 => Ok(()),
            others => write!(f, ", others: {others}"),
        }
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;
