//! The report of `bench --workers`: tables for people, JSON for programs. `workers` fills it in.

use serde_json::{Value, json};

use super::super::output::{Output, line, table};
use super::baseline::median;
use super::report::NodeUse;

/// The rates of the rounds with one maximum, in runs a second.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    /// The most runs of a claim.
    pub(super) max: usize,
    pub(super) ours: Vec<f64>,
    pub(super) bare: Vec<f64>,
    /// The reports that a node had no room for: they were sent again.
    pub(super) refused: usize,
}

impl Rates {
    /// How much longer a run takes at the nodes than at the bare server.
    fn ratio(&self) -> f64 {
        median(self.bare.clone()) / median(self.ours.clone())
    }
}

/// The results of a run.
#[derive(Debug)]
pub(super) struct WorkersReport {
    pub(super) workers: usize,
    /// The number of nodes.
    pub(super) count: u64,
    /// The runs of a round.
    pub(super) runs: usize,
    pub(super) idle_runs: usize,
    /// Due to claimed on idle nodes: p50, p99 and the maximum, in milliseconds.
    pub(super) idle_ms: [u64; 3],
    pub(super) rates: Vec<Rates>,
    pub(super) nodes: Vec<NodeUse>,
}

impl WorkersReport {
    /// The report for programs.
    pub(super) fn json(&self) -> Value {
        let [p50, p99, max] = self.idle_ms;
        let rates = self.rates.iter().map(|rates| {
            json!({
                "max": rates.max, "rounds": rates.ours.len(),
                "per_s": median(rates.ours.clone()).round(),
                "bare_per_s": median(rates.bare.clone()).round(),
                "ratio": (rates.ratio() * 100.0).round() / 100.0,
                "reported_again": rates.refused,
            })
        });
        let node = |n: &NodeUse| {
            let tenth = |value: f64| (value * 10.0).round() / 10.0;
            json!({"id": n.id, "rss_mb": tenth(n.rss_mb), "cpu_s": tenth(n.cpu_s)})
        };
        json!({
            "workers": self.workers, "nodes": self.count, "runs": self.runs,
            "idle": {"runs": self.idle_runs, "p50_ms": p50, "p99_ms": p99, "max_ms": max},
            "claims": rates.collect::<Vec<_>>(),
            "node": self.nodes.iter().map(node).collect::<Vec<_>>(),
        })
    }

    /// Writes the report to stdout.
    pub(super) fn show(&self, output: Output) -> anyhow::Result<()> {
        if output.is_json() {
            return output.json(&self.json());
        }
        line(&self.tables())
    }

    /// The report for people, no wider than 80 columns.
    fn tables(&self) -> String {
        let all = self.json();
        let cells = |of: &Value, names: &[&str]| -> Vec<String> {
            names.iter().map(|name| of[*name].to_string()).collect()
        };
        let names = ["max", "rounds", "per_s", "bare_per_s", "ratio", "reported_again"];
        let titles = ["max a claim", "rounds", "runs/s", "bare server/s", "ratio", "sent again"];
        let rows = all["claims"].as_array().into_iter().flatten().map(|of| cells(of, &names));
        let claims = table(titles.into_iter(), rows);
        let idle = ["p50_ms", "p99_ms", "max_ms"];
        let titles = ["idle p50 ms", "p99 ms", "max ms"];
        let row = std::iter::once(cells(&all["idle"], &idle));
        let idle = table(titles.into_iter(), row);
        let names = ["id", "rss_mb", "cpu_s"];
        let rows = all["node"].as_array().into_iter().flatten().map(|of| cells(of, &names));
        let nodes = table(["node", "rss mb", "cpu s"].into_iter(), rows);
        let Self { workers, runs, .. } = self;
        format!(
            "{workers} workers, {runs} runs a round: claimed and reported\n{claims}\n\n\
             from due to claimed\n{idle}\n\n{nodes}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> WorkersReport {
        let rates = Rates {
            max: 1,
            ours: vec![1.0, 500.0, 400.0],
            bare: vec![900.0, 1_000.0, 5_000.0],
            refused: 9,
        };
        let node = NodeUse {
            id: 1,
            rss_empty_mb: 9.0,
            rss_mb: 12.34,
            rss_most_mb: 20.0,
            cpu_s: 1.26,
            disk_bytes: 7,
            unrecorded: None,
        };
        WorkersReport {
            workers: 16,
            count: 1,
            runs: 1_000_000,
            idle_runs: 100,
            idle_ms: [2, 30, 31],
            rates: vec![rates.clone(), Rates { max: 50, ..rates }],
            nodes: vec![node],
        }
    }

    #[test]
    fn the_ratio_compares_the_medians_and_the_json_has_exactly_its_fields() {
        let claims = |max| json!({"max": max, "rounds": 3, "per_s": 400.0, "bare_per_s": 1_000.0, "ratio": 2.5, "reported_again": 9});
        let expected = json!({
            "workers": 16, "nodes": 1, "runs": 1_000_000,
            "idle": {"runs": 100, "p50_ms": 2, "p99_ms": 30, "max_ms": 31},
            "claims": [claims(1), claims(50)],
            "node": [{"id": 1, "rss_mb": 12.3, "cpu_s": 1.3}],
        });
        assert_eq!(report().json(), expected);
    }

    #[test]
    fn the_tables_fit_into_80_columns() {
        let text = report().tables();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for title in ["RUNS/S", "BARE SERVER/S", "IDLE P50 MS", "1000000 runs"] {
            assert!(text.contains(title), "{title} is not in\n{text}");
        }
    }
}
