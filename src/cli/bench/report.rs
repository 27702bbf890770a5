//! The report of a run: a table for people, JSON for programs. `run` fills it in; the report
//! measures nothing itself.

use serde_json::{Value, json};

use super::super::output::{Output, line, say, table};
use super::baseline::RoundTrips;
use super::beside::Beside;
use super::memory::Series;
use super::messages::Published;
use super::oracle::Findings;

/// The resources that one node used.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeUse {
    /// The node's number.
    pub(super) id: u64,
    /// Anonymous memory when it had started and had no jobs, in 10^6 bytes.
    pub(super) rss_empty_mb: f64,
    /// Anonymous memory at the end, in 10^6 bytes.
    pub(super) rss_mb: f64,
    /// The highest reading of the window, requests under way included.
    pub(super) rss_most_mb: f64,
    /// Processor time in the window, in seconds.
    pub(super) cpu_s: f64,
    /// The size of its data folder, as allocated.
    pub(super) disk_bytes: u64,
    /// Entries of its journal that the cluster has not recorded yet, if it says so.
    pub(super) unrecorded: Option<u64>,
}

/// The results of a run.
#[derive(Debug)]
pub(super) struct Report {
    /// The number of jobs.
    pub(super) jobs: usize,
    /// The length of the window that was judged.
    pub(super) seconds: f64,
    /// Jobs created per second of creating.
    pub(super) loaded_per_s: f64,
    /// Rows per second that plain SQLite took.
    pub(super) sqlite_per_s: f64,
    /// The times of the nodes and of the baseline for the same bodies; empty if not measured.
    pub(super) round_trips: RoundTrips,
    /// The figures of messages, with `--amqp`.
    pub(super) published: Option<Published>,
    /// For a cluster of one node that was killed: milliseconds from the start of its process to the
    /// first arrival.
    pub(super) restart_ms: Option<u64>,
    /// The judgement of the oracle.
    pub(super) findings: Findings,
    /// Lag: p50, p90, p99, p99.9 and the maximum, in milliseconds.
    pub(super) lag_ms: [u64; 5],
    /// Results before and during an attack, if there was one.
    pub(super) beside: Option<Beside>,
    /// The nodes that this command started; empty with `--target`.
    pub(super) nodes: Vec<NodeUse>,
    /// The number of nodes of the cluster.
    pub(super) count: usize,
    /// Memory over time, with `--memory`.
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
            "amqp": self.published.as_ref().map(Published::json),
            "memory": self.memory.as_ref().map(Series::json),
            "beside": self.beside.as_ref().map(Beside::json),
            "node": self.nodes.iter().map(node).collect::<Vec<_>>(),
        })
    }

    /// Processor time of all nodes per firing, in microseconds; `None` without nodes of our own.
    fn cpu_us_per_firing(&self) -> Option<f64> {
        let cpu_s: f64 = self.nodes.iter().map(|n| n.cpu_s).sum();
        let fired = self.findings.fired.max(1) as f64;
        (!self.nodes.is_empty()).then_some(cpu_s * 1e6 / fired)
    }

    fn same_instant(&self) -> Value {
        if self.round_trips.taken.is_empty() {
            return Value::Null;
        }
        let (ours, bare) = self.round_trips.medians();
        let per_s = |ms: f64| (self.round_trips.requests as f64 * 1_000.0 / ms).round();
        json!({
            "rounds": self.round_trips.taken.len(), "requests": self.round_trips.requests,
            "last_byte_ms": ours, "bare_ms": tenth(bare), "ratio": hundredth(ours / bare),
            "requests_per_s": per_s(ours), "bare_requests_per_s": per_s(bare),
        })
    }

    /// Writes the report to stdout.
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
        if let Some(round_trips) = self.same_instant().as_object() {
            let title = |key: &String| key.replace("_per_s", "/s").replace('_', " ");
            let titles = round_trips.keys().map(title).collect::<Vec<_>>();
            let row = round_trips.values().map(ToString::to_string).collect();
            let told = "last byte of an instant, and the same bodies by a bare client";
            let titles = titles.iter().map(String::as_str);
            text = format!("{text}\n\n{told}\n{}", table(titles, one(row)));
        }
        if let Some(published) = &self.published {
            let (titles, row) = published.row();
            let titles = titles.iter().map(String::as_str);
            let told = "last message of an instant, and the bare client on the same broker";
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

    /// The report of a run with one node.
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
            round_trips: RoundTrips { taken: vec![(50.0, 20.0)], requests: 10 },
            published: None,
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
            published: Some(Published {
                jobs: 1_000_000,
                instants: vec![12_345.0],
                bare: 100_000,
                before: vec![123_456.0],
                after: vec![123_456.0],
            }),
            round_trips: RoundTrips { taken: vec![(1_234.5, 2_345.6)], requests: 100_000 },
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
            "amqp": null,
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
        let report = Report { round_trips: RoundTrips::default(), ..report };
        assert_eq!(report.json()["same_instant"], Value::Null);
    }
}
