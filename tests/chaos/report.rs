//! The report of a run: a table for people on stderr, and a line of JSON for scripts on stdout. It
//! adds nothing to the verdict.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::judge::Verdict;

/// The report of a run.
pub(crate) struct Report {
    /// The seed.
    pub(crate) seed: u64,
    /// The number of nodes.
    pub(crate) nodes: u64,
    /// The time of the faults, in seconds.
    pub(crate) seconds: f64,
    /// True when the nodes were hosts of their own.
    pub(crate) spaces: bool,
    /// The numbers of faults, by kind and role.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Other numbers, in the order in which they are shown.
    pub(crate) numbers: Vec<(&'static str, u64)>,
    /// The time until everything was accounted for, in seconds.
    pub(crate) settled: Option<f64>,
    /// The verdict.
    pub(crate) verdict: Verdict,
}

impl Report {
    fn lag(&self, thousandths: usize) -> i64 {
        let lags = &self.verdict.lags;
        let index = (lags.len() * thousandths / 1_000).min(lags.len().saturating_sub(1));
        lags.get(index).copied().unwrap_or(0)
    }

    /// The report as a line of JSON.
    pub(crate) fn json(&self) -> Value {
        let verdict = &self.verdict;
        let violations: BTreeMap<_, _> =
            verdict.violations.iter().map(|(kind, list)| (*kind, list.len())).collect();
        let numbers: serde_json::Map<String, Value> =
            self.numbers.iter().map(|(name, n)| ((*name).replace(' ', "_"), json!(n))).collect();
        json!({
            "seed": self.seed, "nodes": self.nodes, "seconds": self.seconds,
            "namespaces": self.spaces, "faults": self.faults, "counts": numbers,
            "states": verdict.states, "retries": verdict.retries,
            "duplicates": verdict.duplicates, "handed_out_again": verdict.handed_again, "repeated_first_attempts": verdict.repeated,
            "stale_fences": verdict.stale, "sent_before_the_change_was_known": verdict.unaware,
            "accepted_but_unheard": verdict.unheard, "settled_s": self.settled,
            "lag_ms": {"p50": self.lag(500), "p99": self.lag(990), "max": self.lag(1_000),
                "max_under_a_fault_alone": verdict.alone},
            "violations": violations, "passed": verdict.broken() == 0,
        })
    }

    /// Prints the table and the violations.
    pub(crate) fn print(&self) {
        let verdict = &self.verdict;
        let sum = |counts: &BTreeMap<String, u64>| {
            let all: u64 = counts.values().sum();
            let parts: Vec<_> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
            if parts.is_empty() { "0".to_owned() } else { format!("{all} ({})", parts.join(", ")) }
        };
        let line = |name: &str, value: &str| eprintln!("{name:>34}  {value}");
        eprintln!("\nseed {}: {} nodes, {:.0} s of faults", self.seed, self.nodes, self.seconds);
        line("faults", &sum(&self.faults));
        for (name, number) in &self.numbers {
            line(name, &number.to_string());
        }
        line("occurrences accounted for", &sum(&verdict.states));
        line("retries", &verdict.retries.to_string());
        line("duplicates", &sum(&verdict.duplicates));
        line("runs handed out again", &sum(&verdict.handed_again));
        line("first attempts made again", &sum(&verdict.repeated));
        line("under an older fence", &sum(&verdict.stale));
        line("sent before a change was known", &verdict.unaware.to_string());
        line("accepted but unheard", &verdict.unheard.to_string());
        let (p50, p99, most) = (self.lag(500), self.lag(990), self.lag(1_000));
        line("lag of first attempts, ms", &format!("p50 {p50}, p99 {p99}, max {most}"));
        for (fault, ms) in &verdict.alone {
            line(&format!("max under {fault} alone"), &ms.to_string());
        }
        line("seconds to settle", &self.settled.map_or("never".to_owned(), |s| format!("{s:.1}")));
        line("violations", &verdict.broken().to_string());
        for (kind, list) in &verdict.violations {
            eprintln!("{kind}: {}", list.len());
            for text in list.iter().take(8) {
                eprintln!("    {text}");
            }
        }
    }
}
