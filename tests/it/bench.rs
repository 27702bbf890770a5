//! `scheduler0 bench` as users run it: small, but with a real node, and without leftovers.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::rabbitmq::{self, PASSWORD, USER};

#[test]
fn a_small_run_misses_nothing_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args(["bench", "--nodes", "1", "--jobs", "50", "--every", "1s", "--seconds", "5"])
        .args(["--urls", "3", "--json"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(report["jobs"], 50);
    assert_eq!(report["nodes"], 1);
    // 4 s are judged. An `@every` counts from the whole second after its creation, so the first
    // second has no occurrence, unless the load ended in a later second than it began in.
    let fired = report["fired"].as_u64().unwrap();
    assert!(fired == 150 || fired == 200, "{report}");
    for none in ["missed", "early", "duplicates"] {
        assert_eq!(report[none], 0, "{none}: {report}");
    }
    assert!(report["loaded_per_s"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["node"][0]["rss_mb"].as_f64().unwrap() > 1.0, "{report}");
    assert!(report["node"][0]["disk_bytes"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its folder is removed");
}

/// Runs a small benchmark with a broker, whose password is in the environment.
fn publish(url: &str, password: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args(["bench", "--nodes", "1", "--jobs", "50", "--every", "1s", "--phase", "same"])
        .args(["--seconds", "4", "--amqp", url, "--json"])
        .env("TMPDIR", folder.path())
        .env("SCHEDULER0_BENCH_AMQP_PASSWORD", password)
        .output()
        .unwrap();
    for told in [&said.stdout, &said.stderr] {
        let told = String::from_utf8_lossy(told);
        assert!(!told.contains(password), "the password is told: {told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its folder is removed");
    said
}

#[test]
fn messages_are_judged_beside_the_bare_client_library() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let url = |port| {
        let vhost = rabbit.vhost().replace('/', "%2F");
        format!("amqp://{USER}@127.0.0.1:{port}/{vhost}")
    };
    let said = publish(&url(rabbit.port()), PASSWORD);
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    let amqp = &report["amqp"];
    let instants = amqp["instants"].as_u64().unwrap();
    assert!((2..=3).contains(&instants), "3 s are judged: {report}");
    assert_eq!(report["fired"], 50 * instants, "{report}");
    for none in ["missed", "early", "duplicates"] {
        assert_eq!(report[none], 0, "{none}: {report}");
    }
    assert_eq!((&amqp["bare_messages"], &amqp["bare_rounds"]), (&50.into(), &6.into()));
    let figure = |name: &str| amqp[name].as_f64().unwrap();
    assert!(figure("bare_before_per_s") > 0.0 && figure("bare_after_per_s") > 0.0, "{report}");
    let ratio = figure("bare_per_s") / figure("per_s");
    assert!((figure("ratio") - ratio).abs() < 0.1 + ratio / 10.0, "{report}");
    let refused = publish(&url(rabbit.port()), "not-the-password");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("403 ACCESS_REFUSED"), "{stderr}");
}

#[test]
fn a_broker_that_is_not_there_is_named_before_anything_starts() {
    let port = crate::harness::free_port();
    let said = publish(&format!("amqp://{USER}@127.0.0.1:{port}"), PASSWORD);
    let stderr = String::from_utf8_lossy(&said.stderr);
    let expected = format!("no connection to the broker at amqp://127.0.0.1:{port}/%2F");
    assert!(!said.status.success() && stderr.contains(&expected), "{stderr}");
}

/// Runs a small benchmark under an attack; returns the report.
fn run_under_attack(attack: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args(["bench", "--nodes", "1", "--jobs", "20", "--every", "1s", "--seconds", "12"])
        .args(["--memory", "--beside", attack, "--json"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{attack}: {stderr}");
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(report["beside"]["attack"], attack);
    assert_eq!(report["missed"], 0, "{report}");
    for part in ["before", "during"] {
        let part = &report["beside"][part];
        assert_eq!(part["missed"], 0, "{report}");
        assert!(part["fired"].as_u64().unwrap() >= 60, "{report}");
        let lag = |name: &str| part["lag_ms"][name].as_u64().unwrap();
        assert!(lag("p50") <= lag("p99") && lag("p99") <= lag("max"), "{report}");
    }
    assert!(report["beside"]["made"].as_u64().unwrap() > 10, "{report}");
    assert!(report["memory"].as_array().unwrap().len() > 5, "{report}");
    report
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn expensive_reads_beside_a_run_cost_it_nothing() {
    run_under_attack("reads");
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn a_flood_of_strangers_beside_a_run_costs_it_nothing() {
    let report = run_under_attack("flood");
    assert!(report["beside"]["refused"].as_u64().unwrap() > 10, "{report}");
    assert!(report["node"][0]["rss_most_mb"].as_f64().unwrap() < 400.0, "{report}");
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn calls_that_hang_beside_a_run_cost_it_nothing() {
    let report = run_under_attack("hang");
    assert_eq!(report["beside"]["refused"], 0, "the calls are made by the node: {report}");
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn slow_receivers_beside_a_run_cost_it_nothing() {
    run_under_attack("slow");
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn workers_are_measured_beside_a_bare_server() {
    let folder = tempfile::tempdir().unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args(["bench", "--nodes", "1", "--workers", "4", "--jobs", "200", "--json"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&report["workers"], &report["runs"]), (&4.into(), &200.into()));
    assert_eq!(report["idle"]["runs"], 100, "{report}");
    for (at, max) in [1, 50].into_iter().enumerate() {
        let rates = &report["claims"][at];
        assert_eq!((&rates["max"], &rates["rounds"]), (&max.into(), &5.into()), "{report}");
        for rate in ["per_s", "bare_per_s", "ratio"] {
            assert!(rates[rate].as_f64().unwrap() > 0.0, "{rate}: {report}");
        }
        assert_eq!(rates["reported_again"], 0, "so few find room: {report}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its folder is removed");
}
