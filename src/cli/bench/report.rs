//! What a run measured, as a table for people and as JSON for programs; and the histogram of lags.
//! `super` fills it in; it measures nothing itself.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::super::output::{Output, line, say, table};
use super::beside::Beside;
use super::limit::Turns;
use super::memory::Series;
use super::oracle::Findings;

/// Exact below this, in milliseconds; above it so many buckets to a doubling (3 %).
const EXACT: u64 = 64;
/// Half of [`EXACT`]: the buckets of one doubling.
const STEPS: u64 = EXACT / 2;
/// Up to 2^32 ms.
const BUCKETS: usize = (EXACT + 26 * STEPS) as usize;

/// Counts of milliseconds in buckets that grow with the value.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Vec<AtomicU64>,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, max: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts a value so many times.
    pub(super) fn observe(&self, ms: u64, times: u64) {
        if times > 0 {
            self.buckets[bucket(ms)].fetch_add(times, Ordering::Relaxed);
            self.max.fetch_max(ms, Ordering::Relaxed);
        }
    }

    /// The value that so many of a thousand do not exceed (the upper bound of its bucket, and never
    /// more than the greatest); 0 without any.
    pub(super) fn quantile(&self, per_mille: u64) -> u64 {
        let counts: Vec<u64> = self.buckets.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        let rank = (counts.iter().sum::<u64>() * per_mille).div_ceil(1_000).max(1);
        let mut seen = 0;
        let found = counts.iter().position(|n| {
            seen += n;
            seen >= rank
        });
        found.map_or(0, bound).min(self.max())
    }

    /// The greatest.
    pub(super) fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }
}

fn bucket(ms: u64) -> usize {
    if ms < EXACT {
        return ms as usize;
    }
    let exponent = 63 - u64::from(ms.leading_zeros()); // at least 6
    let step = (ms >> (exponent - 5)) & (STEPS - 1);
    ((EXACT + (exponent - 6) * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The greatest value of a bucket.
fn bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let (exponent, step) = ((bucket - EXACT) / STEPS + 6, (bucket - EXACT) % STEPS);
    ((STEPS + 1 + step) << (exponent - 5)) - 1
}

/// What a node used.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeUse {
    /// The node.
    pub(super) id: u64,
    /// Anonymous memory when it had started and had no jobs, in 10^6 bytes.
    pub(super) rss_empty_mb: f64,
    /// Anonymous memory at the end, in 10^6 bytes.
    pub(super) rss_mb: f64,
    /// The most that was seen in the window, requests under way included.
    pub(super) rss_most_mb: f64,
    /// Processor time in the window, in seconds.
    pub(super) cpu_s: f64,
    /// Of its data folder, as allocated.
    pub(super) disk_bytes: u64,
    /// Entries of its journal that the cluster has not recorded yet, if it says so.
    pub(super) unrecorded: Option<u64>,
}

/// A whole run.
#[derive(Debug)]
pub(super) struct Report {
    /// How many jobs.
    pub(super) jobs: usize,
    /// The length of the window that was judged.
    pub(super) seconds: f64,
    /// Jobs created per second of creating.
    pub(super) loaded_per_s: f64,
    /// The same by plain SQLite.
    pub(super) sqlite_per_s: f64,
    /// What the nodes and a bare client took for the same instants, if that was measured.
    pub(super) turns: Turns,
    /// Of a cluster of one node that was killed: from the start of its process to the first arrival,
    /// in milliseconds.
    pub(super) restart_ms: Option<u64>,
    /// The oracle's.
    pub(super) findings: Findings,
    /// p50, p90, p99, p99.9 and the maximum, in milliseconds.
    pub(super) lag_ms: [u64; 5],
    /// Before an attack and beside it, if there was one.
    pub(super) beside: Option<Beside>,
    /// The nodes; none when the cluster is somebody else's.
    pub(super) nodes: Vec<NodeUse>,
    /// How many nodes there were.
    pub(super) count: usize,
    /// Their memory over time, if that was asked for.
    pub(super) memory: Option<Series>,
}

impl Report {
    fn fired_per_s(&self) -> f64 {
        self.findings.fired as f64 / self.seconds
    }

    /// The report for programs.
    pub(super) fn json(&self) -> Value {
        let [p50, p90, p99, p999, max] = self.lag_ms;
        let node = |n: &NodeUse| {
            json!({
                "id": n.id, "rss_empty_mb": tenth(n.rss_empty_mb), "rss_mb": tenth(n.rss_mb),
                "rss_most_mb": tenth(n.rss_most_mb), "cpu_s": tenth(n.cpu_s),
                "disk_bytes": n.disk_bytes, "unrecorded": n.unrecorded,
            })
        };
        json!({
            "jobs": self.jobs,
            "nodes": self.count,
            "seconds": self.seconds,
            "loaded_per_s": self.loaded_per_s.round(),
            "sqlite_per_s": self.sqlite_per_s.round(),
            "sqlite_ratio": hundredth(self.loaded_per_s / self.sqlite_per_s),
            "fired": self.findings.fired,
            "fired_per_s": tenth(self.fired_per_s()),
            "missed": self.findings.missed,
            "early": self.findings.early,
            "duplicates": self.findings.duplicates,
            "lag_ms": {"p50": p50, "p90": p90, "p99": p99, "p999": p999, "max": max},
            "cpu_us_per_firing": self.cpu_us_per_firing().map(tenth),
            "restart_ms": self.restart_ms,
            "same_instant": self.same_instant(),
            "memory": self.memory.as_ref().map(Series::json),
            "beside": self.beside.as_ref().map(Beside::json),
            "node": self.nodes.iter().map(node).collect::<Vec<_>>(),
        })
    }

    /// Of all nodes together, as far as that is known.
    fn cpu_us_per_firing(&self) -> Option<f64> {
        let cpu_s: f64 = self.nodes.iter().map(|n| n.cpu_s).sum();
        let fired = self.findings.fired.max(1) as f64;
        (!self.nodes.is_empty()).then_some(cpu_s * 1e6 / fired)
    }

    fn same_instant(&self) -> Value {
        if self.turns.taken.is_empty() {
            return Value::Null;
        }
        let (ours, bare) = self.turns.medians();
        let per_s = |ms: f64| (self.turns.requests as f64 * 1_000.0 / ms).round();
        json!({
            "rounds": self.turns.taken.len(), "requests": self.turns.requests,
            "last_byte_ms": ours, "bare_ms": tenth(bare), "ratio": hundredth(ours / bare),
            "requests_per_s": per_s(ours), "bare_requests_per_s": per_s(bare),
        })
    }

    /// Puts it out.
    pub(super) fn show(&self, output: Output) -> anyhow::Result<()> {
        if output.is_json() {
            return output.json(&self.json());
        }
        line(&self.tables())?;
        if self.nodes.is_empty() {
            say("what the nodes used is not known: they are not this command's");
        }
        Ok(())
    }

    /// The report for people, no wider than 80 columns.
    fn tables(&self) -> String {
        let found = self.findings;
        let ratio = self.loaded_per_s / self.sqlite_per_s;
        let row = vec![
            self.jobs.to_string(),
            format!("{:.0}", self.loaded_per_s),
            format!("{ratio:.2}"),
            found.fired.to_string(),
            format!("{:.0}", self.fired_per_s()),
            found.missed.to_string(),
            found.early.to_string(),
            found.duplicates.to_string(),
        ];
        let lags = self.lag_ms.map(|ms| ms.to_string()).into();
        let titles =
            ["jobs", "loaded/s", "x sqlite", "fired", "fired/s", "missed", "early", "duplicates"];
        let one = |row| std::iter::once(row);
        let mut text = table(titles.into_iter(), one(row));
        let titles = ["lag p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"];
        text = format!("{text}\n\n{}", table(titles.into_iter(), one(lags)));
        if let Some(ms) = self.restart_ms {
            let told = "from the start of the killed node to its first call";
            text = format!("{text}\n\n{told}: {ms} ms");
        }
        if let Some(turns) = self.same_instant().as_object() {
            let title = |key: &String| key.replace("_per_s", "/s").replace('_', " ");
            let titles = turns.keys().map(title).collect::<Vec<_>>();
            let row = turns.values().map(ToString::to_string).collect();
            let told = "last byte of an instant, and the same bodies by a bare client";
            let titles = titles.iter().map(String::as_str);
            text = format!("{text}\n\n{told}\n{}", table(titles, one(row)));
        }
        if let Some(beside) = &self.beside {
            let titles = Beside::TITLES.into_iter();
            let (made, refused) = beside.made;
            let rows = table(titles, beside.rows().into_iter());
            let told = format!("calls or requests of the attack: {made}, refused: {refused}");
            text = format!("{text}\n\n{rows}\n{told}");
        }
        if let Some(memory) = &self.memory {
            let titles = Series::titles(self.nodes.len());
            let titles = titles.iter().map(String::as_str);
            text = format!("{text}\n\n{}", table(titles, memory.rows().into_iter()));
        }
        if self.nodes.is_empty() {
            return text;
        }
        let rows = self.nodes.iter().map(|n| {
            let mb = n.disk_bytes as f64 / 1e6;
            vec![
                n.id.to_string(),
                format!("{:.1}", n.rss_empty_mb),
                format!("{:.1}", n.rss_mb),
                format!("{:.1}", n.rss_most_mb),
                format!("{:.1}", n.cpu_s),
                format!("{mb:.1}"),
            ]
        });
        let titles = ["node", "rss mb empty", "at the end", "at most", "cpu s", "disk mb"];
        format!("{text}\n\n{}", table(titles.into_iter(), rows))
    }
}

fn hundredth(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::super::beside::{Attack, Part};
    use super::*;

    #[test]
    fn buckets_hold_their_bounds_and_are_narrow() {
        for ms in (0..9_000).chain([1_000_000, u64::from(u32::MAX)]) {
            let own = bucket(ms);
            assert!(ms <= bound(own), "{ms}");
            assert!(own == 0 || ms > bound(own - 1), "{ms}");
            assert!(bound(own) - ms <= ms / 32, "{ms}: {}", bound(own));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_count_from_below_and_stop_at_the_greatest() {
        let lag = Histogram::default();
        assert_eq!((lag.quantile(500), lag.max()), (0, 0));
        lag.observe(2, 500);
        lag.observe(7, 490);
        lag.observe(40, 9);
        lag.observe(1_001, 1);
        let found = [500, 501, 990, 991, 999, 1_000].map(|q| lag.quantile(q));
        assert_eq!(found, [2, 7, 7, 40, 40, 1_001]);
    }

    /// What a run of one node measured, with numbers of so many digits.
    fn report(jobs: usize) -> Report {
        let node = NodeUse {
            id: 1,
            rss_empty_mb: 9.0,
            rss_mb: 12.34,
            rss_most_mb: 20.06,
            cpu_s: 0.5,
            disk_bytes: 7,
            unrecorded: Some(3),
        };
        let findings =
            Findings { planned: 2 * jobs as u64, fired: 2 * jobs as u64, ..Findings::default() };
        Report {
            jobs,
            seconds: 4.0,
            loaded_per_s: 1.4,
            sqlite_per_s: 2.0,
            turns: Turns { taken: vec![(50.0, 20.0)], requests: 10 },
            restart_ms: Some(900),
            findings,
            lag_ms: [1, 2, 3, 4, 5],
            beside: None,
            nodes: vec![node],
            count: 1,
            memory: None,
        }
    }

    #[test]
    fn the_tables_fit_into_80_columns() {
        let large = Report {
            loaded_per_s: 123_456.0,
            lag_ms: [12_345; 5],
            turns: Turns { taken: vec![(1_234.5, 2_345.6)], requests: 100_000 },
            ..report(1_000_000)
        };
        for report in [report(20), large] {
            let text = report.tables();
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            for title in ["DUPLICATES", "P99.9 MS", "BARE REQUESTS/S", "RSS MB EMPTY"] {
                assert!(text.contains(title), "{title} is not in\n{text}");
            }
        }
    }

    #[test]
    fn the_json_has_exactly_its_fields() {
        let report = report(20);
        let expected = json!({
            "jobs": 20, "nodes": 1, "seconds": 4.0, "loaded_per_s": 1.0, "sqlite_per_s": 2.0,
            "sqlite_ratio": 0.7, "fired": 40, "fired_per_s": 10.0, "missed": 0, "early": 0, "duplicates": 0,
            "lag_ms": {"p50": 1, "p90": 2, "p99": 3, "p999": 4, "max": 5},
            "cpu_us_per_firing": 12_500.0,
            "restart_ms": 900,
            "same_instant": {
                "rounds": 1, "requests": 10, "last_byte_ms": 50.0, "bare_ms": 20.0, "ratio": 2.5,
                "requests_per_s": 200.0, "bare_requests_per_s": 500.0,
            },
            "memory": null,
            "beside": null,
            "node": [{
                "id": 1, "rss_empty_mb": 9.0, "rss_mb": 12.3, "rss_most_mb": 20.1, "cpu_s": 0.5,
                "disk_bytes": 7, "unrecorded": 3,
            }],
        });
        assert_eq!(report.json(), expected);
        let part = |fired, lag_ms| Part { planned: 20, fired, lag_ms };
        let parts = [part(20, [1, 2, 3]), part(19, [4, 5, 6])];
        let beside = Some(Beside { attack: Attack::Slow, made: (900, 8), parts });
        let report = Report { beside, ..report };
        let expected = json!({
            "attack": "slow", "made": 900, "refused": 8,
            "before": {
                "planned": 20, "fired": 20, "missed": 0, "lag_ms": {"p50": 1, "p99": 2, "max": 3},
            },
            "during": {
                "planned": 20, "fired": 19, "missed": 1, "lag_ms": {"p50": 4, "p99": 5, "max": 6},
            },
        });
        assert_eq!(report.json()["beside"], expected);
        let report = Report { turns: Turns::default(), ..report };
        assert_eq!(report.json()["same_instant"], Value::Null);
    }
}
