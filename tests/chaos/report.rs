//! What a run says at its end: a table for people on stderr, one line of JSON on stdout for tables and
//! scripts. It adds nothing to the verdict.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::judge::Verdict;

/// Everything that is shown of a run.
pub(crate) struct Report {
    /// Its seed.
    pub(crate) seed: u64,
    /// How many nodes.
    pub(crate) nodes: u64,
    /// How long faults went on, in seconds.
    pub(crate) seconds: f64,
    /// Whether the nodes were hosts of their own.
    pub(crate) spaces: bool,
    /// Faults by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Plain numbers, in the order in which they are shown.
    pub(crate) numbers: Vec<(&'static str, u64)>,
    /// How long it took until everything was accounted for, in seconds.
    pub(crate) settled: Option<f64>,
    /// What came of it.
    pub(crate) verdict: Verdict,
}

impl Report {
    fn lag(&self, thousandths: usize) -> i64 {
        let lags = &self.verdict.lags;
        let index = (lags.len() * thousandths / 1_000).min(lags.len().saturating_sub(1));
        lags.get(index).copied().unwrap_or(0)
    }

    /// One line of JSON.
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
            "duplicates": verdict.duplicates, "repeated_first_attempts": verdict.repeated,
            "stale_fences": verdict.stale, "sent_before_the_change_was_known": verdict.unaware,
            "accepted_but_unheard": verdict.unheard, "settled_s": self.settled,
            "lag_ms": {"p50": self.lag(500), "p99": self.lag(990), "max": self.lag(1_000),
                "max_under_a_fault_alone": verdict.alone},
            "violations": violations, "passed": verdict.broken() == 0,
        })
    }

    /// A table and the violations, for people.
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
