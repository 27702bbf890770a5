//! More connections without credentials than a node has descriptors, and refused messages: firing
//! goes on, snapshots are taken, no node ends, and the log stays small.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use super::{Port, RawConnection, Victim, metric};
use crate::harness::{TestCluster, spawn_under};

/// The connections to each address: more than the descriptors of a node here.
const CONNECTIONS: usize = 1_100;
/// The connections that are opened at a time, while the oldest ones are closed.
const STEP: usize = 110;

/// Holds idle connections to some addresses, and opens new ones all the time, until it is dropped.
struct IdleFlood {
    /// The number of rounds of new connections.
    rounds: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl IdleFlood {
    fn begin(addresses: Vec<SocketAddr>) -> Self {
        let rounds = Arc::new(AtomicUsize::new(0));
        let counted = rounds.clone();
        let task = tokio::spawn(async move {
            let mut held: Vec<VecDeque<RawConnection>> =
                addresses.iter().map(|_| VecDeque::new()).collect();
            let mut ticker = tokio::time::interval(Duration::from_millis(200));
            loop {
                for (to, held) in addresses.iter().zip(&mut held) {
                    held.extend(RawConnection::many(*to, STEP).await);
                    let over = held.len().saturating_sub(CONNECTIONS);
                    drop(held.drain(..over));
                }
                counted.fetch_add(1, Ordering::Relaxed);
                ticker.tick().await;
            }
        });
        Self { rounds, task }
    }

    fn is_full(&self) -> bool {
        self.rounds.load(Ordering::Relaxed) > CONNECTIONS / STEP
    }
}

impl Drop for IdleFlood {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The index of a node's last snapshot.
async fn snapshot(cluster: &TestCluster, id: u64) -> Option<u64> {
    let health = cluster.http().get(cluster.url(id, "/healthcheck")).send().await.ok()?;
    let health: serde_json::Value = health.json().await.ok()?;
    health["data"]["raft_stats"]["last_snapshot_index"].as_str()?.parse().ok()
}

/// Three nodes under such connections to one of their ports.
async fn flooded(port: Port) {
    let settings = [
        ("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "1"),
        ("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "1024"),
    ];
    let mut cluster = TestCluster::start_some(3, 0, &settings).await;
    for id in 1..=3 {
        spawn_under(&mut cluster, id, "ulimit -n 1024");
    }
    for id in 1..=3 {
        cluster.ready(id).await;
    }
    let victim = Victim::start(&cluster, 60).await;
    let processes = [1, 2, 3].map(|id| cluster.process(id));
    let flood = IdleFlood::begin((1..=3).map(|id| port.of(&cluster, id)).collect());
    // Writes over older connections, enough for a snapshot of each node.
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let (http, url) = (cluster.http().clone(), cluster.url(1, "/projects"));
        writers.spawn(async move {
            for n in 0..200 {
                let project = json!({"name": format!("{writer} {n}"), "description": "of a test"});
                let answer = http.post(&url).json(&project).send().await.unwrap();
                assert_eq!(answer.status().as_u16(), 201);
            }
        });
    }
    let full = async |_: &TestCluster| flood.is_full().then_some(());
    cluster.wait_until("all connections are open", full).await;
    let lags = victim.watch(15).await;
    writers.join_all().await;
    println!("{port:?}: {lags}");
    drop(flood);
    for id in 1..=3 {
        let taken = async |c: &TestCluster| snapshot(c, id).await.filter(|index| *index > 1_024);
        cluster.wait_until("a snapshot is taken", taken).await;
        assert_eq!(cluster.process(id), processes[id as usize - 1]);
        let failures = metric(&cluster, id, "scheduler0_snapshot_failures_total").await;
        assert_eq!(failures as u64, 0, "{}", cluster.log(id));
    }
    cluster.assert_same_state(1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn idle_connections_to_the_raft_ports_stop_nothing() {
    flooded(Port::Raft).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn idle_connections_to_the_apis_stop_nothing() {
    flooded(Port::Api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_messages_fill_no_log() {
    let cluster = TestCluster::start(1).await;
    let to = Port::Raft.of(&cluster, 1);
    let log = cluster.folder().join("node1.log");
    let size = || std::fs::metadata(&log).unwrap().len();
    let before = size();
    let message = "POST /raft/append HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".repeat(100);
    let mut refused = 0;
    for _ in 0..300 {
        let mut connection = RawConnection::open(to).await.unwrap();
        // The node may close before it has read all.
        let _ = connection.send(&message).await;
        let answers = String::from_utf8_lossy(&connection.rest().await).into_owned();
        refused += answers.matches("HTTP/1.1 401").count();
    }
    assert!(refused >= 100, "they are answered: {refused}");
    let written = size() - before;
    assert!(written < 8_192, "{written} bytes of log about {refused} messages");
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("a peer message was refused") && log.contains("127.0.0.1"), "{log}");
}
