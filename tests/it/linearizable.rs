//! Clients on all three nodes create, read, update and delete the same jobs while leaders die,
//! freeze and stop. The checker (`history_checker`) judges their history.

mod clients;
mod cut_off;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::task::JoinSet;

use self::clients::{Client, SLOTS, Shared};
use crate::harness::{PATIENCE, TestCluster, client};
use crate::history_checker::{Answer, Op, check};

/// The number of answers between two faults, at least.
const BETWEEN: usize = 120;

/// The faults, in order; the fast tier injects the first two.
const FAULTS: [&str; 4] = ["kill", "freeze", "stop", "kill a follower"];

/// Waits for [`BETWEEN`] more answers.
async fn progress(cluster: &TestCluster, shared: &Shared) {
    let goal = shared.answered.load(Ordering::SeqCst) + BETWEEN;
    cluster
        .wait_until("the clients get on", async |_: &TestCluster| {
            (shared.answered.load(Ordering::SeqCst) >= goal).then_some(())
        })
        .await;
}

/// The leader, as any node that answers sees it.
async fn leader(cluster: &TestCluster) -> u64 {
    cluster
        .wait_until("a leader", async |c: &TestCluster| {
            for id in 1..=3 {
                if let Some(leader) = c.leader(id).await {
                    return Some(leader);
                }
            }
            None
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_linearizable_through_any_node_whatever_becomes_of_leaders() {
    let mut cluster = TestCluster::start(3).await;
    let shared = Arc::new(Shared {
        project: cluster.project(1, "registers").await,
        began: Instant::now(),
        slots: (0..SLOTS).map(|_| Mutex::default()).collect(),
        history: Mutex::default(),
        made: Mutex::default(),
        answered: AtomicUsize::new(0),
        written: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let mut clients = JoinSet::new();
    for n in 0..6 {
        let node = n % 3 + 1;
        let base = cluster.url(node, "/api/v1");
        let name = format!("client {n} on node {node}");
        let client = Client { name, http: client(), base, shared: shared.clone(), random: n * 77 };
        clients.spawn(client.run());
    }
    progress(&cluster, &shared).await;
    for fault in &FAULTS[..if cfg!(feature = "slow") { 4 } else { 2 }] {
        let leader = leader(&cluster).await;
        match *fault {
            "kill" => {
                cluster.kill(leader);
                progress(&cluster, &shared).await;
                cluster.restart(leader).await;
            }
            "freeze" => {
                cluster.freeze(leader);
                progress(&cluster, &shared).await;
                cluster.unfreeze(leader);
            }
            // A stop in order: the node hands its leadership over before it ends.
            "stop" => {
                assert_eq!(cluster.stop(leader).await, Some(0), "{}", cluster.log(leader));
                progress(&cluster, &shared).await;
                cluster.restart(leader).await;
            }
            _ => {
                let follower = leader % 3 + 1;
                cluster.kill(follower);
                progress(&cluster, &shared).await;
                cluster.restart(follower).await;
            }
        }
        progress(&cluster, &shared).await;
    }
    shared.stop.store(true, Ordering::SeqCst);
    let finish = async { while clients.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, finish).await.expect("the clients stop");

    let history = std::mem::take(&mut *shared.history.lock().unwrap());
    let count = |what: fn(&Op) -> bool| history.iter().filter(|op| what(op)).count();
    let answers = [
        ("updates", count(|op| matches!(op.answered, Some((_, Answer::Done { .. }))))),
        ("reads", count(|op| matches!(op.answered, Some((_, Answer::Found { .. }))))),
        ("deletions", count(|op| matches!(op.answered, Some((_, Answer::Deleted))))),
        ("stale updates", count(|op| matches!(op.answered, Some((_, Answer::Stale))))),
    ];
    let unknown = count(|op| op.answered.is_none());
    assert!(answers.iter().all(|(_, n)| *n > 0), "too little happened: {answers:?}");
    let jobs = check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{} calls on {jobs} jobs: {answers:?}, {unknown} unknown", history.len());
    cluster.assert_same_state(1, 3).await;
}
