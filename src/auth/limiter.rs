//! How often somebody may be wrong: token buckets by network (an IPv4 address, the /64 of an IPv6 one)
//! and one for all, and a count of failures for the log. `auth` asks it; it knows no secret, reads no
//! clock (instants come in) and has at most [`MAX_NETWORKS`] entries.
//!
//! # What is limited, and what is not
//!
//! A *password* can be guessed, so an attempt is admitted before it is checked, and one that is not
//! admitted is not checked, right or wrong: else the limit would not slow a guesser down. A success
//! gives its token back. So a network can be wrong [`PASSWORD`] often, and an operator who shares it
//! with a guesser (one address behind NAT or a proxy) gets in only between the guesses. That ends
//! 200 ms after the guesses do: nothing is locked. A network from which an operator signed in within a
//! day has [`KNOWN_PASSWORD`], and passes by the bucket for all: many guessers in many networks cannot
//! keep a known operator out.
//!
//! The *node's own machine* ([`Source::OwnMachine`]) passes by the bucket for all too, and has a bucket of
//! its own: however many guess from elsewhere, an operator gets in from there. What a proxy on that
//! machine hands on comes from the loopback as well; where the proxy says so in a header, it counts as
//! any other network. The header can only take this privilege away, so that it may be believed.
//!
//! A *key's* secret has 256 random bits and cannot be guessed: each is checked, which takes one hash,
//! and a right one is let in however many wrong ones came before it. The bucket only decides whether
//! a wrong one is told 401 or 429. It is another bucket than that of passwords, so that a client with
//! an old key keeps no operator out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most networks that are told apart; all others share one entry.
const MAX_NETWORKS: usize = 4_096;
/// The most networks that a report names.
const MAX_NAMED: usize = 10;
/// Between two looks for entries that can go, when the table is full.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long a network is known after an operator signed in from it.
const KNOWN_FOR: Duration = Duration::from_hours(24);

/// Wrong passwords of one network.
const PASSWORD: Rate = Rate { per_second: 5, burst: 10 };
/// Wrong passwords of a network from which an operator signed in lately.
const KNOWN_PASSWORD: Rate = Rate { per_second: 50, burst: 100 };
/// Wrong passwords of all other networks together.
const ALL_PASSWORDS: Rate = Rate { per_second: 100, burst: 200 };
/// Wrong keys of one network.
const KEY: Rate = Rate { per_second: 5, burst: 10 };

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Username and password of an operator.
    Password,
    /// Key and secret of a client.
    Key,
}

impl Kind {
    /// What metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Key => "key",
        }
    }
}

/// Where a password comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The machine that this node runs on: the loopback, and no proxy in between.
    OwnMachine,
    /// A network, as `listen::Connection::network` gives it.
    Network(IpAddr),
}

impl Source {
    /// The source of a request from this network; `forwarded`: it says that a proxy handed it on.
    pub(super) fn of(network: IpAddr, forwarded: bool) -> Self {
        let loopback = match network {
            IpAddr::V4(ip) => ip.is_loopback(),
            // The /64 of ::1.
            IpAddr::V6(ip) => ip.is_unspecified(),
        };
        if loopback && !forwarded { Self::OwnMachine } else { Self::Network(network) }
    }
}

/// How fast a bucket fills, and what it holds.
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

    fn is_full(&self, rate: Rate, now: Instant) -> bool {
        self.level(rate, now) >= f64::from(rate.burst)
    }

    fn has_token(&self, rate: Rate, now: Instant) -> bool {
        self.level(rate, now) >= 1.0
    }

    fn add(&mut self, tokens: f64, rate: Rate, now: Instant) {
        let level = (self.level(rate, now) + tokens).clamp(0.0, f64::from(rate.burst));
        self.0 = Some((level, now));
    }

    /// Takes a token, if there is one.
    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let has = self.has_token(rate, now);
        if has {
            self.add(-1.0, rate, now);
        }
        has
    }
}

/// One network.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    passwords: Bucket,
    keys: Bucket,
    /// When an operator last signed in from here.
    signed_in: Option<Instant>,
    /// Failures since the last report.
    failures: u64,
}

impl Entry {
    fn is_known(&self, now: Instant) -> bool {
        self.signed_in.is_some_and(|at| now.saturating_duration_since(at) < KNOWN_FOR)
    }

    fn password_rate(&self, now: Instant) -> Rate {
        if self.is_known(now) { KNOWN_PASSWORD } else { PASSWORD }
    }

    /// Whether a new entry would do as well.
    fn is_idle(&self, now: Instant) -> bool {
        !self.is_known(now) && self.passwords.is_full(PASSWORD, now) && self.keys.is_full(KEY, now)
    }
}

#[derive(Default)]
struct State {
    networks: HashMap<IpAddr, Entry>,
    /// Passwords from this node's own machine.
    own_machine: Entry,
    /// Stands for all networks that are not in the table.
    rest: Entry,
    all_passwords: Bucket,
    swept: Option<Instant>,
}

impl State {
    /// What counts the passwords of a source, and whether they pass by the bucket for all.
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

/// Failures since the report before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// All of them.
    pub(super) failures: u64,
    /// The networks with the most, most first, at most [`MAX_NAMED`].
    pub(super) named: Vec<(IpAddr, u64)>,
}

impl Limiter {
    /// Whether a password may be checked. Whoever is admitted says what came of it: one that was wrong
    /// has used a token up, one that was right gets it back by [`Limiter::signed_in`].
    pub(super) fn admit_password(&self, source: Source, now: Instant) -> bool {
        let mut guard = self.lock();
        let state = &mut *guard;
        let for_all = state.all_passwords.has_token(ALL_PASSWORDS, now);
        let (entry, apart) = state.passwords(source, now);
        let rate = entry.password_rate(now);
        let admitted = (apart || for_all) && entry.passwords.take(rate, now);
        if !admitted {
            entry.failures += 1;
        } else if !apart {
            state.all_passwords.add(-1.0, ALL_PASSWORDS, now);
        }
        admitted
    }

    /// An admitted password was right.
    pub(super) fn signed_in(&self, source: Source, now: Instant) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (entry, apart) = state.passwords(source, now);
        let (known, rate) = (entry.is_known(now), entry.password_rate(now));
        entry.passwords.add(1.0, rate, now);
        if !apart {
            state.all_passwords.add(1.0, ALL_PASSWORDS, now);
        }
        // Of those that share an entry one's success says nothing of the others.
        let own = match source {
            Source::OwnMachine => Some(&mut state.own_machine),
            Source::Network(network) => state.networks.get_mut(&network),
        };
        if let Some(entry) = own {
            if !known {
                // The larger bucket is a full one.
                entry.passwords = Bucket::default();
            }
            entry.signed_in = Some(now);
        }
    }

    /// An admitted password was wrong.
    pub(super) fn wrong_password(&self, source: Source, now: Instant) {
        self.lock().passwords(source, now).0.failures += 1;
    }

    /// A key was wrong; whether the network has been wrong too often.
    pub(super) fn wrong_key(&self, network: IpAddr, now: Instant) -> bool {
        let mut state = self.lock();
        let entry = state.entry(network, now);
        entry.failures += 1;
        !entry.keys.take(KEY, now)
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
mod tests {
    use super::*;

    fn net(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    fn from(n: u32) -> Source {
        Source::of(net(n), false)
    }

    /// How many of `tries` wrong passwords are checked, one each `step`.
    fn wrong(limiter: &Limiter, network: IpAddr, tries: u32, from: Instant, step: Duration) -> u32 {
        let mut checked = 0;
        for n in 0..tries {
            let now = from + step * n;
            let source = Source::of(network, false);
            if limiter.admit_password(source, now) {
                limiter.wrong_password(source, now);
                checked += 1;
            }
        }
        checked
    }

    #[test]
    fn a_network_is_wrong_five_times_a_second_after_ten() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        // A thousand a second, for ten seconds.
        let checked = wrong(&limiter, net(1), 10_000, start, Duration::from_millis(1));
        assert!((58..=61).contains(&checked), "{checked}");
        // Another one is not held up, and this one is free again soon after.
        let now = start + Duration::from_secs(10);
        assert!(limiter.admit_password(from(2), now));
        wrong(&limiter, net(1), 2, now, Duration::ZERO);
        assert!(!limiter.admit_password(from(1), now));
        assert!(limiter.admit_password(from(1), now + Duration::from_millis(201)));
    }

    #[test]
    fn who_is_right_uses_nothing_up() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for n in 0..10_000 {
            assert!(limiter.admit_password(from(n % 3), now), "{n}");
            limiter.signed_in(from(n % 3), now);
        }
        assert_eq!(limiter.report(), None);
    }

    #[test]
    fn many_networks_together_are_limited_but_not_where_an_operator_signed_in() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        assert!(limiter.admit_password(from(7), now));
        limiter.signed_in(from(7), now);
        let each = |n: u32| wrong(&limiter, net(1_000 + n), 1, now, Duration::ZERO);
        let checked: u32 = (0..1_000).map(each).sum();
        assert_eq!(checked, ALL_PASSWORDS.burst);
        assert!(!limiter.admit_password(from(1), now), "a network that nobody knows");
        assert_eq!(wrong(&limiter, net(7), 200, now, Duration::ZERO), KNOWN_PASSWORD.burst);
        let later = now + KNOWN_FOR;
        assert_eq!(wrong(&limiter, net(7), 200, later, Duration::ZERO), PASSWORD.burst);
    }

    #[test]
    fn guesses_from_everywhere_keep_nobody_out_who_is_at_the_nodes_own_machine() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        // Enough networks for the bucket of all, and for the table.
        let each = |n: u32| wrong(&limiter, net(1_000 + n), 1, now, Duration::ZERO);
        let checked: u32 = (0..2 * MAX_NETWORKS as u32).map(each).sum();
        assert_eq!(checked, ALL_PASSWORDS.burst);
        for loopback in ["127.0.0.1", "127.0.0.2", "::"] {
            let loopback = loopback.parse().unwrap();
            assert!(limiter.admit_password(Source::of(loopback, false), now), "{loopback}");
            limiter.signed_in(Source::of(loopback, false), now);
            let proxied = Source::of(loopback, true);
            assert!(!limiter.admit_password(proxied, now), "{loopback}, for somebody else");
        }
        assert!(!limiter.admit_password(from(1), now), "its success is nobody else's");
        // It may not guess for ever either.
        let here = Ipv4Addr::LOCALHOST.into();
        assert_eq!(wrong(&limiter, here, 200, now, Duration::ZERO), KNOWN_PASSWORD.burst);
        let later = now + KNOWN_FOR;
        assert_eq!(wrong(&limiter, here, 200, later, Duration::ZERO), PASSWORD.burst);
        let report = limiter.report().unwrap();
        assert!(report.named.contains(&(here, 400)), "{report}");
    }

    #[test]
    fn wrong_keys_have_a_bucket_of_their_own() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let told: Vec<_> = (0..20).map(|_| limiter.wrong_key(net(1), now)).collect();
        assert_eq!(told.iter().filter(|limited| !**limited).count(), KEY.burst as usize);
        assert!(told[19] && limiter.admit_password(from(1), now));
        assert!(!limiter.wrong_key(net(2), now));
    }

    #[test]
    fn the_table_is_bounded_and_what_does_not_fit_shares_an_entry() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let many = MAX_NETWORKS as u32 + 500;
        (0..many).for_each(|n| {
            limiter.wrong_key(net(n), now);
        });
        assert_eq!(limiter.lock().networks.len(), MAX_NETWORKS);
        assert!(limiter.wrong_key(net(many), now), "500 others were wrong");
        // When they are quiet their entries go, and what they did is reported all the same.
        let later = now + Duration::from_secs(3);
        assert!(!limiter.wrong_key(net(many), later));
        assert_eq!(limiter.lock().networks.len(), 1);
        let report = limiter.report().unwrap();
        assert_eq!(report.failures, u64::from(many) + 2);
        assert_eq!(report.named, [(net(many), 1)]);
        assert_eq!(limiter.report(), None);
    }

    #[test]
    fn a_report_names_the_worst_and_counts_all() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for n in 1..=12_u32 {
            (0..n).for_each(|_| {
                limiter.wrong_key(net(n), now);
            });
        }
        limiter.wrong_key("2001:db8:1:2::".parse().unwrap(), now);
        let report = limiter.report().unwrap();
        assert_eq!((report.failures, report.named.len()), (79, MAX_NAMED));
        let text = report.to_string();
        assert!(text.starts_with("0.0.0.12: 12, 0.0.0.11: 11, "), "{text}");
        assert!(text.ends_with("0.0.0.3: 3, others: 4"), "{text}");
        limiter.wrong_key("2001:db8:1:2::".parse().unwrap(), now);
        assert_eq!(limiter.report().unwrap().to_string(), "2001:db8:1:2::/64: 1");
    }
}
