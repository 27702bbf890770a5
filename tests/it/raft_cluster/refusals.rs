//! Messages, data folders and states that a node refuses.

use std::time::{Duration, Instant};

use scheduler0::cluster::{Cluster, Error};
use scheduler0::command::Command;
use scheduler0::store::nodes;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{created, project};
use crate::harness::{LIMIT, RaftCluster, poll_interval, raft_options};

#[tokio::test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn no_message_of_one_node_ends_another() {
    type More<'a> = &'a [(&'static str, &'a str)];
    let raft = RaftCluster::build(3).await;
    let leader = raft.leader().await;
    let (victim, other) = (1 + leader % 3, 1 + (leader + 1) % 3);
    let generation = raft.node(leader).peers().generation();
    let address = &raft.members[victim as usize - 1].1.raft_address;
    let http = reqwest::Client::new();
    // A stranger that has read the token off the network can claim this in the name of a member.
    let claim = async |by: u64, instance: u64, path: &str, body: Vec<u8>, more: More<'_>| {
        let mut request = http
            .post(format!("http://{address}{path}"))
            .bearer_auth("a token")
            .header("x-scheduler0-cluster", format!("{generation:032x}"))
            .header("x-scheduler0-node", by)
            .header("x-scheduler0-instance", format!("{instance:032x}"));
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        request.body(body).send().await.unwrap().status().as_u16()
    };
    let (most, nobody) = (u64::MAX.to_string(), format!("{:032x}", 4_711));
    let reverted = postcard::to_allocvec(&(u64::MAX, u64::MAX)).unwrap();
    let expects =
        [("x-scheduler0-expects", nobody.as_str()), ("x-scheduler0-expects-since", most.as_str())];
    for by in [other, leader] {
        assert_eq!(claim(by, by, "/cluster/who", vec![], &expects).await, 409);
        assert_eq!(claim(by, by, "/raft/reverted", reverted.clone(), &[]).await, 200);
    }
    let bound = [("x-scheduler0-bound", most.as_str())];
    assert_eq!(claim(victim, 4_711, "/cluster/who", vec![], &bound).await, 409);
    // Two rounds of such questions later all nodes run on.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        let name = format!("{:?}", begun.elapsed());
        assert!(created(&raft.node(victim).propose(project(&name)).await.unwrap()));
    }
    for node in 1..=3 {
        assert_eq!(*raft.node(node).failed().borrow(), None, "node {node}");
    }
}

#[tokio::test]
async fn another_data_folder_under_a_known_node_id_is_refused() {
    let mut raft = RaftCluster::build(3).await;
    let leader = raft.leader().await;
    let victim = 1 + leader % 3;
    let registered = async {
        while raft.node(leader).read(nodes::all).await.unwrap().len() < 3 {
            poll_interval().await;
        }
    };
    timeout(LIMIT, registered).await.expect("registered");
    raft.stop(victim).await;
    raft.dirs.insert(victim, tempfile::tempdir().unwrap());
    let empty = raft_options(raft.dirs[&victim].path(), victim, 999, &raft.members);
    let address = &raft.members[victim as usize - 1].1.raft_address;
    let listener = TcpListener::bind(address).await.unwrap();
    let cluster = Cluster::start(empty).await.unwrap();
    cluster.serve(listener, axum::Router::new());
    let mut failed = cluster.failed();
    let why = timeout(LIMIT, failed.wait_for(Option::is_some)).await.unwrap().unwrap().clone();
    assert!(why.unwrap().contains("registered with"));
    let refused = cluster.propose(Command::Tick).await;
    assert!(matches!(refused, Err(Error::Fatal(_))), "{refused:?}");
}

#[tokio::test]
async fn a_node_whose_state_cannot_be_written_says_so_and_stops() {
    let raft = RaftCluster::build(1).await;
    raft.leader().await;
    let state = rusqlite::Connection::open(raft.dirs[&1].path().join("state.db")).unwrap();
    state.execute_batch("DROP TABLE projects").unwrap();
    let mut failed = raft.node(1).failed();
    let lost = raft.node(1).propose(project("one")).await;
    assert!(matches!(lost, Err(Error::Unavailable(_) | Error::Fatal(_))), "{lost:?}");
    let why = timeout(LIMIT, failed.wait_for(Option::is_some)).await.unwrap().unwrap().clone();
    assert!(why.as_ref().is_some_and(|why| why.contains("projects")), "{why:?}");
    let refused = raft.node(1).propose(Command::Tick).await;
    assert!(matches!(refused, Err(Error::Fatal(_))), "{refused:?}");
}
