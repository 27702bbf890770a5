//! Snapshots for nodes that fell behind the log, and folders that cannot take one.

use scheduler0::cluster::Cluster;
use scheduler0::command::Command;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{assert_same_state, count, created, project};
use crate::harness::{LIMIT, RaftCluster, poll_interval, raft_options, written};

/// Stops a follower and lets the others purge the part of the log that it lacks. Returns the
/// leader, the follower and the last entry.
async fn fallen_behind(raft: &mut RaftCluster) -> (u64, u64, u64) {
    let leader = raft.leader().await;
    let late = 1 + leader % 3;
    raft.stop(late).await;
    written(raft.node(leader), project("one")).await;
    let mut writes = tokio::task::JoinSet::new();
    for _ in 0..2_600 {
        let cluster = raft.node(leader).clone();
        writes.spawn(async move { written(&cluster, Command::Tick).await });
    }
    let last = writes.join_all().await.into_iter().max().unwrap();
    // Both purge their logs, whichever leads then: once the snapshot exists and no peer is sent of
    // the purged part. A leader that is just sending of it looks again with the next entry, and a
    // snapshot that was under way already may end before `last`.
    for node in (1..=3).filter(|node| *node != late) {
        raft.applied(node, last).await;
        let purged = async {
            loop {
                raft.node(node).snapshot().await.unwrap();
                if raft.node(node).purged_index() >= last - 1_100 {
                    break;
                }
                written(raft.node(leader), Command::Tick).await;
                poll_interval().await;
            }
        };
        timeout(LIMIT, purged).await.expect("the log is purged");
    }
    (leader, late, last)
}

#[tokio::test]
async fn a_node_that_fell_behind_the_log_gets_a_snapshot() {
    let mut raft = RaftCluster::build(3).await;
    let (leader, late, last) = fallen_behind(&mut raft).await;
    raft.start(late).await;
    raft.applied(late, last).await;
    assert_eq!(count(raft.node(late)).await, 1);
    // The follower got a snapshot and no entries: its log begins behind it.
    let installed = async {
        while raft.node(late).purged_index() < last {
            poll_interval().await;
        }
    };
    timeout(LIMIT, installed).await.expect("installed");
    assert_same_state(&[raft.node(leader), raft.node(late)]).await;
}

#[tokio::test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_node_that_cannot_store_a_snapshot_runs_on_and_gets_it_later() {
    let mut raft = RaftCluster::build(3).await;
    let (leader, late, last) = fallen_behind(&mut raft).await;
    let address = raft.members[late as usize - 1].1.raft_address.clone();
    let dir = raft.dirs[&late].path().to_owned();
    let cluster =
        Cluster::start(raft_options(&dir, late, late.into(), &raft.members)).await.unwrap();
    // The folder is gone before a snapshot is sent.
    std::fs::rename(dir.join("snapshots"), dir.join("away")).unwrap();
    cluster.serve(TcpListener::bind(address).await.unwrap(), axum::Router::new());
    let refused = async {
        while cluster.snapshot_failures() < 2 {
            poll_interval().await;
        }
    };
    timeout(LIMIT, refused).await.expect("it is sent again");
    assert_eq!(*cluster.failed().borrow(), None);
    assert!(cluster.snapshot_trouble().is_some());
    std::fs::rename(dir.join("away"), dir.join("snapshots")).unwrap();
    let mut applied = cluster.applied();
    timeout(LIMIT, applied.wait_for(|a| a.index >= last)).await.expect("it gets it").unwrap();
    let over = async {
        while cluster.snapshot_trouble().is_some() {
            poll_interval().await;
        }
    };
    timeout(LIMIT, over).await.expect("and keeps it");
    assert_same_state(&[raft.node(leader), &cluster]).await;
}

#[tokio::test]
async fn a_node_that_cannot_write_snapshots_goes_on_and_keeps_its_log() {
    let raft = RaftCluster::build(1).await;
    raft.leader().await;
    let node = raft.node(1);
    let dir = raft.dirs[&1].path();
    std::fs::rename(dir.join("snapshots"), dir.join("away")).unwrap();
    for failures in 1..4 {
        node.snapshot().await.unwrap();
        let failed = async {
            while node.snapshot_failures() < failures {
                poll_interval().await;
            }
        };
        timeout(LIMIT, failed).await.expect("it fails");
        assert!(created(&node.propose(project(&failures.to_string())).await.unwrap()));
    }
    assert_eq!((node.purged_index(), node.failed().borrow().clone()), (0, None));
    std::fs::rename(dir.join("away"), dir.join("snapshots")).unwrap();
    node.snapshot().await.unwrap();
    let worked = async {
        while node.snapshot_trouble().is_some() {
            poll_interval().await;
        }
    };
    timeout(LIMIT, worked).await.expect("it works again");
    assert_eq!(count(node).await, 3);
}
