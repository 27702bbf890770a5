//! The text of the metrics as Prometheus reads it.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_batch_counts_each_of_its_jobs() {
    let metrics = Metrics::new();
    metrics.fired(3, 99);
    metrics.fired(40_000, 1);
    metrics.ended(Verdict::Delivered, 99);
    metrics.ended(Verdict::Skipped(crate::model::attempt::SkipReason::Misfire), 7);
    metrics.journal_depth.set(5);
    metrics.applied("tick", 2);
    metrics.applied("tick", 3);
    metrics.request(&axum::http::Method::GET, "/jobs/{id}", 404);
    let text = metrics.encode(true);
    for line in [
        "scheduler0_firing_lag_seconds_bucket{le=\"0.005\"} 99",
        "scheduler0_firing_lag_seconds_bucket{le=\"+Inf\"} 100",
        "scheduler0_firing_lag_seconds_count 100",
        "scheduler0_firings_total{outcome=\"delivered\"} 99",
        "scheduler0_skipped_total{reason=\"misfire\"} 7",
        "scheduler0_late_firings_total 1",
        "scheduler0_journal_depth 5",
        "scheduler0_applied_total{command=\"tick\"} 3",
        "scheduler0_http_requests_total{method=\"GET\",route=\"/jobs/{id}\",status=\"404\"} 1",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn calls_are_read_when_they_are_asked_for() {
    let metrics = Metrics::new();
    assert!(metrics.encode(true).contains("scheduler0_breaker_refused_total 0"));
    let of = |name: String, in_flight, open| Destination {
        name,
        in_flight,
        open,
        paused: in_flight,
        ..Destination::default()
    };
    metrics.watch_calls(move || {
        let many = (0..400).map(|n| of(n.to_string(), 1, false));
        let dead = of("http://a:80".to_owned(), 0, true);
        let own_errors = vec![("descriptors", 3)];
        let destinations = many.chain([dead]).collect();
        let (hanging, capacity, over_share) = (5, 90, true);
        Calls { destinations, refused: 7, own_errors, hanging, capacity, over_share }
    });
    let text = metrics.encode(true);
    for line in [
        "scheduler0_breaker_open{destination=\"http://a:80\"} 1",
        "scheduler0_breaker_refused_total 7",
        "scheduler0_own_errors_total{kind=\"descriptors\"} 3",
        "scheduler0_hanging_calls 5",
        "scheduler0_calls_max 90",
        "scheduler0_hanging_full 1",
        "scheduler0_destination_in_flight{destination=\"other\"} 145",
        "scheduler0_destination_paused{destination=\"other\"} 145",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert_eq!(text.matches("destination_in_flight{").count(), 256);
    assert_eq!(text.matches("breaker_open{").count(), 1);
}

/// Each metric is in the table of docs/operations.md, and each name there is a metric.
#[test]
fn each_metric_is_documented_and_each_documented_one_is_there() {
    let metrics = Metrics::new();
    // A family is not encoded before it has a member.
    metrics.ended(Verdict::Delivered, 1);
    metrics.ended(Verdict::Skipped(crate::model::attempt::SkipReason::Misfire), 1);
    metrics.request(&axum::http::Method::GET, "/jobs", 200);
    metrics.read_refused("full");
    metrics.applied("tick", 1);
    metrics.messages.published("amqp://a:5672/", "confirmed", 1);
    metrics.bus.set_up("amqp://a:5672", true);
    metrics.bus.message("status", "ok");
    let queue = "emails".to_owned();
    metrics.runs.set_queues([QueueFigures {
        queue,
        offers: 1,
        taken: 1,
        phases: [0, 1, 0],
        oldest_seconds: 1,
    }]);
    metrics.runs.ended("emails", "completed", "reported");
    metrics.jobs.set(&[("active", 1)]);
    let text = metrics.encode(true);
    let kind = |line: &str| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let total = if kind == "counter" { "_total" } else { "" };
        Some((format!("{name}{total}"), kind.to_owned()))
    };
    let exported: BTreeMap<_, _> = text.lines().filter_map(kind).collect();
    let documented = include_str!("../../docs/operations.md").lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `scheduler0_")?.split('|').map(str::trim);
        let name = cells.next()?.trim_end_matches('`');
        Some((format!("scheduler0_{name}"), cells.next()?.to_owned()))
    });
    assert_eq!(exported, documented.collect());
}
