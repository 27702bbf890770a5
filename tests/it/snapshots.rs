//! Snapshots of a cluster at work: what they cost those who write meanwhile, and nodes that die while
//! one is built, sent or installed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cluster::{Cluster, client};

/// Jobs in the measurement, unless `SNAPSHOT_JOBS` says otherwise.
const JOBS: usize = 1_000_000;
/// Clients that write one after the other.
const WRITERS: usize = 8;

/// A span of time.
type Span = (Instant, Instant);

/// Accepts everything and remembers nothing; its URL.
async fn sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new().fallback(|| async { "" });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

/// Loads so many jobs that fire once a minute, their phases spread over ten seconds.
async fn load(cluster: &Cluster, project: u64, url: &str, count: usize) {
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..10 {
        beat.tick().await;
        let requests = (0..count / 10).step_by(1_000).map(|n| {
            let job = json!({"projectId": project, "spec": "@every 1m", "timezone": "UTC",
                "callbackUrl": url, "data": format!("job {n}")});
            let body = Value::from(vec![job; 1_000]);
            async move { cluster.jobs(1, &body).await.len() }
        });
        let made: Vec<_> = futures_util::stream::iter(requests).buffer_unordered(4).collect().await;
        assert_eq!(made.iter().sum::<usize>(), count / 10);
    }
}

/// Writes until told to stop; when each write began and ended.
async fn write(url: String, project: u64, sink: String, stop: Arc<AtomicBool>) -> Vec<Span> {
    let http = client();
    let body = json!({"projectId": project, "spec": "@every 100h", "timezone": "UTC",
        "callbackUrl": sink, "data": "one of many"});
    let mut spans = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let answer = http.post(&url).header("prefer", "return=representation").json(&body);
        assert_eq!(answer.send().await.unwrap().status().as_u16(), 201);
        spans.push((begun, Instant::now()));
    }
    spans
}

/// Whether a snapshot is being built in a data folder.
fn building(folder: &std::path::Path) -> bool {
    std::fs::read_dir(folder.join("snapshots")).is_ok_and(|files| {
        files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("part-"))
    })
}

/// Watches data folders; the spans in which at least one had a snapshot under way.
fn watch(folders: Vec<PathBuf>, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<Vec<Span>> {
    std::thread::spawn(move || {
        let (mut spans, mut since) = (Vec::new(), None);
        while !stop.load(Ordering::Relaxed) {
            match (folders.iter().any(|folder| building(folder)), since) {
                (true, None) => since = Some(Instant::now()),
                (false, Some(begun)) => {
                    spans.push((begun, Instant::now()));
                    since = None;
                }
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        spans
    })
}

/// Number, median, 99th percentile and worst of the writes that overlap (or don't) some spans, in ms.
fn row(writes: &[Span], during: &[Span], overlap: bool, window: Span) -> String {
    let meets = |a: &Span, b: &Span| a.0 < b.1 && b.0 < a.1;
    let counted = writes.iter().filter(|w| meets(w, &window));
    let counted = counted.filter(|w| during.iter().any(|d| meets(w, d)) == overlap);
    let mut took: Vec<f64> = counted.map(|w| (w.1 - w.0).as_secs_f64() * 1e3).collect();
    took.sort_by(f64::total_cmp);
    let at = |share: usize| took.get(took.len() * share / 1_000).copied().unwrap_or(f64::NAN);
    let max = took.last().copied().unwrap_or(f64::NAN);
    format!("{} | {:.1} | {:.1} | {max:.1}", took.len(), at(500), at(990))
}

fn size(folder: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(folder.join("snapshots")).unwrap().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).max().unwrap_or(0)
}

/// `cargo test --release --test it snapshots:: -- --ignored --nocapture`, on a machine with nothing
/// else to do. What a million jobs' snapshots cost those who write meanwhile, on three nodes of which
/// the third joins late.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of two minutes, for a release build"]
async fn writes_go_on_while_snapshots_are_built_and_sent() {
    let jobs = std::env::var("SNAPSHOT_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(JOBS);
    let settings = [
        ("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "20"),
        ("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "8192"),
    ];
    let mut cluster = Cluster::start_some(3, 2, &settings).await;
    let sink = sink().await;
    let project = cluster.project(1, "snapshots").await;
    let begun = Instant::now();
    load(&cluster, project, &sink, jobs).await;
    println!("{jobs} jobs loaded in {:.1} s", begun.elapsed().as_secs_f64());

    let stop = Arc::new(AtomicBool::new(false));
    let folders = vec![cluster.data_dir(1), cluster.data_dir(2)];
    let watching = watch(folders, stop.clone());
    let writes: Arc<Mutex<Vec<Span>>> = Arc::default();
    let mut clients = Vec::new();
    for n in 0..WRITERS {
        let url = cluster.url(1 + n as u64 % 2, "/api/v1/jobs");
        clients.push(tokio::spawn(write(url, project, sink.clone(), stop.clone())));
    }
    let steady = Instant::now();
    tokio::time::sleep(Duration::from_secs(65)).await;

    let before = Instant::now();
    let applied = |status: &Value, id: u64| {
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let node = nodes.into_iter().find(|node| node["id"].as_u64() == Some(id));
        node.and_then(|node| node["appliedIndex"].as_u64())
    };
    let status = cluster.get(1, "/api/v1/cluster/status").await;
    let goal = applied(&status, 1).unwrap();
    cluster.spawn(3);
    cluster
        .wait_until("node 3 has what was there when it came", async |c: &Cluster| {
            let status = c.get(1, "/api/v1/cluster/status").await;
            applied(&status, 3).filter(|index| *index >= goal)
        })
        .await;
    let joined = Instant::now();
    cluster.ready(3).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.store(true, Ordering::Relaxed);
    for one in clients {
        let spans = one.await.unwrap();
        writes.lock().unwrap().extend(spans);
    }
    let built = watching.join().unwrap();
    let writes = writes.lock().unwrap();
    let lengths: Vec<_> = built.iter().map(|s| (s.1 - s.0).as_millis()).collect();
    println!("snapshot of {:.0} MB", size(&cluster.data_dir(1)) as f64 / 1e6);
    println!("times in which one was built, ms: {lengths:?}");
    println!("joined in {:.1} s", (joined - before).as_secs_f64());
    println!("| writes, ms | n | p50 | p99 | max |\n|---|---|---|---|---|");
    println!("| no snapshot | {} |", row(&writes, &built, false, (steady, before)));
    println!("| being built | {} |", row(&writes, &built, true, (steady, before)));
    println!("| a node joins | {} |", row(&writes, &[], false, (before, joined)));
}
