//! `bench --beside`: the choice of an attack, and the results of the measured jobs before and
//! during it. `attacker` carries the attack out.

use clap::ValueEnum;
use serde_json::{Value, json};

/// The kind of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Attack {
    /// Calls that hang: 640 jobs `@every 1s` to 16 receivers that never answer
    Hang,
    /// Slow receivers: 1,000 jobs `@every 1s` to 50 receivers that take 0.9 s
    Slow,
    /// Expensive reads: 16 at a time of long pages, deep offsets and whole receipts of 20,000 jobs
    Reads,
    /// Clients without credentials: idle connections, requests with unread answers, wrong keys, on
    /// all ports
    Flood,
}

impl Attack {
    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hang => "hang",
            Self::Slow => "slow",
            Self::Reads => "reads",
            Self::Flood => "flood",
        }
    }
}

/// The results of the measured jobs in one part of the window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    /// Occurrences that were planned.
    pub(super) planned: u64,
    /// Occurrences that came at least once.
    pub(super) fired: u64,
    /// Lag: p50, p99 and the maximum, in milliseconds.
    pub(super) lag_ms: [u64; 3],
}

/// The results of the measured jobs before and during the attack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    /// The kind of the attack.
    pub(super) attack: Attack,
    /// Requests of the attack, and refused ones: see `Attacker::tally`.
    pub(super) made: (u64, u64),
    /// The part before the attack, and the part during it.
    pub(super) parts: [Part; 2],
}

impl Beside {
    /// The titles of [`Beside::rows`].
    pub(super) const TITLES: [&str; 7] =
        ["", "planned", "fired", "missed", "p50 ms", "p99 ms", "max ms"];

    /// The results as rows of a table.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let row = |(name, part): (String, Part)| {
            let [p50, p99, max] = part.lag_ms;
            let numbers = [part.planned, part.fired, part.planned - part.fired, p50, p99, max];
            std::iter::once(name).chain(numbers.map(|n| n.to_string())).collect()
        };
        let names = ["before".to_owned(), format!("beside {}", self.attack.name())];
        names.into_iter().zip(self.parts).map(row).collect()
    }

    /// The results as JSON.
    pub(super) fn json(&self) -> Value {
        let [before, during] = self.parts.map(|part| {
            let [p50, p99, max] = part.lag_ms;
            json!({
                "planned": part.planned, "fired": part.fired, "missed": part.planned - part.fired,
                "lag_ms": {"p50": p50, "p99": p99, "max": max},
            })
        });
        json!({
            "attack": self.attack.name(), "made": self.made.0, "refused": self.made.1,
            "before": before, "during": during,
        })
    }
}
