//! A dead endpoint beside a healthy one: the healthy one's jobs do not notice, the dead one is left
//! alone. A story with counts, and the measurement behind it.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{PATIENCE, Receiver, TestCluster, now};

/// So many jobs of one schedule, each with a request of its own or all in batches.
fn jobs(project: u64, spec: &str, url: &str, single: bool, count: usize) -> Value {
    let job = |n: usize| {
        let mut job =
            json!({"projectId": project, "spec": spec, "timezone": "UTC", "data": n.to_string()});
        if single {
            job["http"] = json!({"method": "POST", "url": url});
        } else {
            job["callbackUrl"] = json!(url);
        }
        job
    };
    (0..count).map(job).collect()
}

fn busy(receiver: &Receiver) {
    receiver.script(|_| Some(StatusCode::SERVICE_UNAVAILABLE.into_response()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_left_alone_and_the_healthy_one_misses_nothing() {
    let (dead, live) = (Receiver::start().await, Receiver::start().await);
    busy(&dead);
    let cluster =
        TestCluster::start_with(1, &[("SCHEDULER0_JOB_EXECUTION_RETRY_DELAY", "1")]).await;
    let project = cluster.project(1, "beside").await;
    cluster.jobs(1, &jobs(project, "* * * * * *", &dead.at("/dead"), true, 50)).await;
    cluster.jobs(1, &jobs(project, "* * * * * *", &live.at("/live"), true, 50)).await;
    let failing = cluster
        .wait_until("status names it", async |c: &TestCluster| {
            let status = c.get(1, "/api/v1/cluster/status").await;
            status["nodes"][0]["failing"].get(0).cloned()
        })
        .await;
    let destination = failing["destination"].as_str().unwrap();
    assert!(dead.url().starts_with(destination), "{failing}");
    assert!(failing["failures"].as_u64().unwrap() >= 5 && failing["nextProbe"].is_string());
    let metrics = cluster.http().get(cluster.url(1, "/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let gauge = format!("scheduler0_breaker_open{{destination=\"{destination}\"}} 1");
    assert!(metrics.contains(&gauge), "{metrics}");

    // From here on 50 jobs a second would go there.
    let (since, before) = (now(), dead.requests().len());
    live.wait_until("ten seconds of the healthy ones", PATIENCE, |arrivals| {
        arrivals.iter().filter(|a| a.scheduled > since).count() >= 500
    })
    .await;
    let probes = dead.requests().len() - before;
    assert!(probes <= 8, "probes only, a few of those that were on their way: {probes}");

    // It comes back, and what waited comes with it.
    dead.script(|_| None);
    let back = now();
    dead.wait_until("its jobs are taken again", PATIENCE * 2, |arrivals| {
        let fine = arrivals.iter().filter(|a| a.accepted);
        fine.clone().any(|a| a.scheduled < back)
            && fine.filter(|a| a.scheduled > back).count() > 100
    })
    .await;
    let seen = live.arrivals();
    let (first, last) = (seen.first().unwrap().scheduled, seen.last().unwrap().scheduled);
    for instant in (first + 1_000..last).step_by(1_000) {
        let came = seen.iter().filter(|a| a.scheduled == instant).count();
        assert_eq!(came, 50, "the healthy ones of {instant}");
    }
}

/// How an endpoint is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// Nobody listens.
    Refused,
    /// It accepts connections and never says a word.
    Hangs,
    /// 503 at once.
    Busy,
}

/// Where requests of that form go.
fn path(single: bool) -> &'static str {
    if single { "/single" } else { "/callback" }
}

/// A dead endpoint's URL, and what keeps it that way.
async fn dead(
    how: Death,
    path: &str,
) -> (String, Option<Receiver>, Option<tokio::task::JoinHandle<()>>) {
    if how == Death::Busy {
        let receiver = Receiver::start().await;
        busy(&receiver);
        return (receiver.at(path), Some(receiver), None);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let holding = (how == Death::Hangs).then(|| {
        tokio::spawn(async move {
            let mut held: Vec<TcpStream> = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        })
    });
    (url, None, holding)
}

/// Jobs on each side, all within one period.
const JOBS: usize = 10_000;
const PERIOD_S: u64 = 10;

/// Median, 99th percentile, worst lag (ms) and number of the arrivals due in a window.
fn lags(receiver: &Receiver, from: i64, to: i64) -> [i64; 4] {
    let seen = receiver.arrivals();
    let due = seen.iter().filter(|a| a.scheduled > from && a.scheduled <= to);
    let mut lags: Vec<i64> = due.map(|a| a.at - a.scheduled).collect();
    lags.sort_unstable();
    let at = |share: usize| lags.get(lags.len() * share / 1_000).copied().unwrap_or(-1);
    [at(500), at(990), lags.last().copied().unwrap_or(-1), lags.len() as i64]
}

/// Loads jobs so that they fall due over the whole period.
async fn load(cluster: &TestCluster, project: u64, url: &str, single: bool) {
    let mut ticker = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..PERIOD_S {
        ticker.tick().await;
        let each = JOBS / PERIOD_S as usize;
        let spec = format!("@every {PERIOD_S}s");
        cluster.jobs(1, &jobs(project, &spec, url, single, each)).await;
    }
}

/// Waits until the receiver's clock says so.
async fn until(at: i64) {
    let wait = u64::try_from(at - now()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

/// `cargo test --release --test it beside:: -- --ignored --nocapture`, on a machine with nothing else
/// to do. The lags of 10,000 healthy jobs, a request each or in batches: without, with, and again
/// without 10,000 jobs on a dead endpoint, in one run of one cluster. `BESIDE_NODES=3` for three nodes,
/// `BESIDE_ONLY=hangs-single` for one case.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of ten minutes, for a release build"]
async fn healthy_lags_beside_a_dead_endpoint() {
    println!("| dead | form | without: p50 p99 max n | with: p50 p99 max n | after | failing |");
    let nodes = std::env::var("BESIDE_NODES").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let only = std::env::var("BESIDE_ONLY").unwrap_or_default();
    for single in [true, false] {
        for how in [Death::Refused, Death::Hangs, Death::Busy] {
            let form = if single { "single" } else { "batch" };
            if !format!("{how:?}-{form}").to_lowercase().contains(&only) {
                continue;
            }
            let live = Receiver::start().await;
            let (url, busy, holding) = dead(how, path(single)).await;
            let cluster = TestCluster::start(nodes).await;
            let project = cluster.project(1, "healthy").await;
            let doomed = cluster.project(1, "doomed").await;
            load(&cluster, project, &live.at(path(single)), single).await;
            let begin = now() + 5_000;
            until(begin + 20_000).await;
            let without = lags(&live, begin, begin + 19_000);
            load(&cluster, doomed, &url, single).await;
            // From the first failure on, timeouts (30 s) included.
            let with = now();
            until(with + 45_000).await;
            let beside = lags(&live, with, with + 44_000);
            let status = cluster.get(1, "/api/v1/cluster/status").await;
            let nodes = status["nodes"].as_array().unwrap();
            let failing: Vec<_> = nodes.iter().map(|n| n["failing"].to_string()).collect();
            let path = format!("/api/v1/projects/{doomed}?cascade=true");
            let gone = cluster.http().delete(cluster.url(1, &path)).send().await.unwrap();
            assert!(gone.status().is_success(), "{}", gone.status());
            let after = now() + 5_000;
            until(after + 20_000).await;
            let after = lags(&live, after, after + 19_000);
            println!("| {how:?} | {form} | {without:?} | {beside:?} | {after:?} | {failing:?} |");
            if let Some(busy) = busy {
                println!("  it was asked {} times", busy.requests().len());
            }
            if let Some(holding) = holding {
                holding.abort();
            }
        }
    }
}
