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

use crate::harness::{PATIENCE, TestCluster, client};

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
async fn load(cluster: &TestCluster, project: u64, url: &str, count: usize) {
    let mut ticker = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..10 {
        ticker.tick().await;
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
    let mut cluster = TestCluster::start_some(3, 2, &settings).await;
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
        .wait_until("node 3 has what was there when it came", async |c: &TestCluster| {
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

/// Enough that a snapshot is not there in the blink of an eye.
const SOME: usize = 20_000;
/// Deaths at each of the three places.
const DEATHS: u64 = 3;

/// Writes so many entries, each of its own.
async fn entries(cluster: &TestCluster, count: usize) {
    let tick = |n: usize| {
        let body = json!({"name": format!("entry {n} {:?}", Instant::now()), "description": "-"});
        async move {
            let (status, body) = cluster.post(1, "/api/v1/projects", &body).await;
            assert_eq!(status, 201, "{body}");
        }
    };
    futures_util::stream::iter((0..count).map(tick)).buffer_unordered(64).collect::<Vec<_>>().await;
}

async fn index(cluster: &TestCluster, node: u64, name: &str) -> u64 {
    let health = cluster.get(node, "/healthcheck").await;
    health["raft_stats"][name].as_str().unwrap().parse().unwrap()
}

/// Waits until a file is there whose name begins so, and then a little longer; `false` if a snapshot
/// is installed already.
async fn appears(data: &std::path::Path, folder: &str, begins: &str, delay: Duration) -> bool {
    let there = async {
        let mut ticker = tokio::time::interval(Duration::from_millis(1));
        loop {
            ticker.tick().await;
            let files = std::fs::read_dir(data.join(folder)).into_iter().flatten().flatten();
            let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
            if names.any(|name| name.starts_with(begins)) {
                return true;
            }
            if folder.is_empty() && data.join("snapshots/current").exists() {
                return false;
            }
        }
    };
    let there = tokio::time::timeout(PATIENCE, there).await;
    // Not to wait for something, but to die a little later each time.
    tokio::time::sleep(delay).await;
    there.unwrap_or_else(|_| panic!("no {begins} in {} / {folder}", data.display()))
}

/// A cluster of as many nodes, the last of them not started, with a snapshot that begins where the
/// log does not any more.
async fn with_snapshot(count: u64, started: u64) -> TestCluster {
    let settings = [
        ("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "1"),
        ("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "1024"),
    ];
    let cluster = TestCluster::start_some(count, started, &settings).await;
    let project = cluster.project(1, "snapshots").await;
    let job = json!({"projectId": project, "spec": "@every 100h", "timezone": "UTC",
        "callbackUrl": "http://127.0.0.1:9/", "data": "one of many"});
    let body = Value::from(vec![job; 1_000]);
    for _ in 0..SOME / 1_000 {
        cluster.jobs(1, &body).await;
    }
    cluster
}

async fn all_there(cluster: &TestCluster, node: u64) {
    let page = cluster.get(node, "/api/v1/jobs?limit=1&consistency=linearizable").await;
    assert_eq!(page["total"].as_u64(), Some(SOME as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_while_it_builds_a_snapshot_starts_again() {
    let mut cluster = with_snapshot(1, 1).await;
    let data = cluster.data_dir(1);
    for death in 0..DEATHS {
        let before = index(&cluster, 1, "last_snapshot_index").await;
        // Writes go on until one is seen: it may be built before anybody looks.
        tokio::select! {
            _ = appears(&data, "snapshots", "part-", Duration::from_millis(death * 25)) => {}
            () = async { loop { entries(&cluster, 1_100).await } } => {}
        }
        cluster.kill(1);
        cluster.restart(1).await;
        all_there(&cluster, 1).await;
        assert!(index(&cluster, 1, "last_snapshot_index").await >= before);
        let files: Vec<_> = std::fs::read_dir(data.join("snapshots")).unwrap().flatten().collect();
        assert!(files.len() <= 4, "what was half done is swept: {files:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_die_while_a_snapshot_is_sent_or_installed_start_again() {
    let mut cluster = with_snapshot(5, 3).await;
    entries(&cluster, 2_600).await;
    let leader = cluster
        .wait_until("the log does not begin at its beginning", async |cluster: &TestCluster| {
            let leader = cluster.leader(1).await?;
            (index(cluster, leader, "last_snapshot_index").await > 1_100).then_some(leader)
        })
        .await;
    // The receiver dies, a little later each time, until it was too late.
    let data = cluster.data_dir(4);
    let mut deaths = 0;
    for death in 0..DEATHS {
        let delay = Duration::from_millis(death * 10);
        for (folder, file) in [("snapshots", "part-"), ("", "state.db.in")] {
            if data.join("snapshots/current").exists() {
                break;
            }
            cluster.spawn(4);
            appears(&data, folder, file, delay).await;
            cluster.kill(4);
            deaths += 1;
        }
    }
    assert!(deaths > 1, "{deaths}");
    cluster.restart(4).await;
    all_there(&cluster, 4).await;
    // The sender dies: another one sends.
    cluster.spawn(5);
    appears(&cluster.data_dir(5), "snapshots", "part-", Duration::ZERO).await;
    cluster.kill(leader);
    cluster.ready(5).await;
    all_there(&cluster, 5).await;
    cluster.restart(leader).await;
    cluster.assert_same_state(4, 5).await;
}
