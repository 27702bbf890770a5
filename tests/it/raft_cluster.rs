//! Clusters of one and three nodes in this process: writes, the leader's death, restarts in any
//! order, and the same state on all nodes.

mod refusals;
mod snapshots;

use std::time::Instant;

use scheduler0::clock::{Clock, SystemClock};
use scheduler0::cluster::{Cluster, Error, MemberChange};
use scheduler0::command::{Command, NewProject, Outcome};
use scheduler0::store::{meta, nodes, projects};
use tokio::time::timeout;

use crate::harness::{LIMIT, RaftCluster, poll_interval};

/// A command that creates a project.
fn project(name: &str) -> Command {
    Command::CreateProject(NewProject {
        name: name.to_owned(),
        description: "d".to_owned(),
        by: None,
        ..NewProject::default()
    })
}

/// The number of projects as a node has applied them.
async fn count(cluster: &Cluster) -> u64 {
    cluster.read(|conn| projects::list(conn, &scheduler0::store::Page::default())).await.unwrap().0
}

/// Waits for the hash of a node's state at an index.
async fn checksum(cluster: &Cluster, index: u64) -> [u8; 32] {
    let wait = async {
        loop {
            if let Some(hash) = cluster.checksum(index) {
                return hash;
            }
            poll_interval().await;
        }
    };
    timeout(LIMIT, wait).await.expect("a hash")
}

fn created(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Created(_))
}

#[tokio::test]
async fn a_single_node_is_born_writes_and_comes_back_with_everything() {
    let mut raft = RaftCluster::build(1).await;
    raft.leader().await;
    assert!(created(&raft.node(1).propose(project("one")).await.unwrap()));
    let again = raft.node(1).propose(project("one")).await.unwrap();
    assert!(matches!(again, Outcome::Rejected(_)), "{again:?}");
    let id = raft.node(1).read(meta::cluster_id).await.unwrap();
    assert!(id.is_some());
    assert!(raft.node(1).quorum_acked_boot().is_some());
    raft.stop(1).await;
    raft.start(1).await;
    raft.leader().await;
    assert_eq!(count(raft.node(1)).await, 1);
    assert_eq!(raft.node(1).read(meta::cluster_id).await.unwrap(), id);
    raft.kill(1);
    raft.start(1).await;
    raft.leader().await;
    assert_eq!(count(raft.node(1)).await, 1);
    let stats = raft.node(1).raft_stats();
    assert!(stats.contains(&("state", "Leader".to_owned())), "{stats:?}");
    let large = project(&"x".repeat(2 << 20));
    let refused = raft.node(1).propose(large).await.unwrap_err();
    assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn a_follower_forwards_and_has_applied_when_it_answers() {
    let raft = RaftCluster::build(3).await;
    let leader = raft.leader().await;
    let follower = 1 + leader % 3;
    let mut changes = raft.node(follower).changes();
    for i in 0..5 {
        let outcome = raft.node(follower).propose(project(&format!("p{i}"))).await.unwrap();
        assert!(created(&outcome), "{outcome:?}");
        assert_eq!(count(raft.node(follower)).await, i + 1);
    }
    assert!(timeout(LIMIT, changes.recv()).await.unwrap().unwrap().index > 0);
    let other = 6 - leader - follower;
    raft.node(other).linearize().await.unwrap();
    assert_eq!(count(raft.node(other)).await, 5);
    let term = raft.node(leader).leadership().borrow().term;
    let (index, _) = raft.node(leader).propose_as_leader(term, Command::Checksum).await.unwrap();
    let refused = raft.node(leader).propose_as_leader(term + 1, Command::Tick).await;
    assert!(matches!(refused, Err(Error::NotLeader { .. })));
    let refused = raft.node(follower).propose_as_leader(term, Command::Tick).await;
    assert!(matches!(refused, Err(Error::NotLeader { .. })));
    let boot = SystemClock.boot();
    let acked = raft.node(leader).quorum_acked_boot().expect("a quorum answers its leader");
    assert!(acked <= boot && boot - acked < 1_000, "{acked}, now {boot}");
    assert_eq!(raft.node(follower).quorum_acked_boot(), None);
    let hash = checksum(raft.node(1), index).await;
    for node in 2..=3 {
        assert_eq!(checksum(raft.node(node), index).await, hash, "node {node}");
    }
    // Every node registers its data folder.
    let all = async {
        loop {
            let nodes = raft.node(leader).read(nodes::all).await.unwrap();
            let known: Vec<_> = nodes.iter().map(|bound| (bound.node, bound.instance)).collect();
            if known == [(1, 1), (2, 2), (3, 3)] {
                return;
            }
            poll_interval().await;
        }
    };
    timeout(LIMIT, all).await.expect("registered");
}

#[tokio::test]
async fn a_leader_stamps_nothing_before_its_clock_was_found_to_agree() {
    let raft = RaftCluster::build(3).await;
    let leader = raft.leader().await;
    let (leads, follows) = (raft.node(leader), raft.node(1 + leader % 3));
    assert!(created(&follows.propose(project("of a sound clock")).await.unwrap()));
    leads.set_clock_unconfirmed();
    let term = leads.leadership().borrow().term;
    let refused = leads.propose_as_leader(term, project("of which hour?")).await.unwrap_err();
    assert!(refused.is_unwritten(), "{refused}");
    // A write through another node waits until the clock is confirmed.
    let waits = follows.propose(project("of an hour that all agree on"));
    let (outcome, ()) = tokio::join!(waits, async { leads.clock_agrees() });
    assert!(created(&outcome.unwrap()));
    assert_eq!(count(follows).await, 2);
}

#[tokio::test]
async fn a_new_leader_hears_the_others_before_it_counts_who_lives() {
    let mut raft = RaftCluster::build(3).await;
    let dead = raft.leader().await;
    raft.kill(dead);
    let witness = *raft.nodes.keys().next().unwrap();
    // The request waits for the next leader, and is served as soon as there is one.
    let remove = || MemberChange::Remove { node: dead, force: true };
    let removed = async {
        loop {
            match raft.node(witness).change_members(remove()).await {
                Ok(node) => return node,
                Err(Error::Refused(rejection)) => panic!("two of two voters live: {rejection}"),
                // It was on its way to the dead leader.
                Err(error) => assert!(!matches!(error, Error::Fatal(_)), "{error}"),
            }
        }
    };
    assert_eq!(timeout(LIMIT, removed).await.expect("removed"), dead);
    assert_eq!(raft.node(witness).members().len(), 2);
}

#[tokio::test]
async fn when_the_leader_dies_another_goes_on_and_the_old_one_catches_up() {
    let mut raft = RaftCluster::build(3).await;
    let first = raft.leader().await;
    assert!(created(&raft.node(first).propose(project("before")).await.unwrap()));
    raft.kill(first);
    let died = Instant::now();
    let witness = *raft.nodes.keys().next().unwrap();
    // A write on its way to the dead leader has an unknown outcome: the caller repeats it.
    let write = async {
        loop {
            match raft.node(witness).propose(project("after")).await {
                Ok(_) => return,
                Err(error) => assert!(!matches!(error, Error::Fatal(_)), "{error}"),
            }
        }
    };
    timeout(LIMIT, write).await.expect("written");
    eprintln!("written again {:?} after the leader's death", died.elapsed());
    let second = raft.leader().await;
    assert_ne!(first, second);
    raft.start(first).await;
    raft.node(first).linearize().await.unwrap();
    assert_eq!(count(raft.node(first)).await, 2);
    raft.leader().await;
    // Leadership is handed over on request.
    let leader = raft.leader().await;
    raft.node(leader).transfer_leader(witness).await.unwrap();
    assert_eq!(raft.leader().await, witness);
}

#[tokio::test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn without_a_quorum_nothing_is_written_and_all_may_restart_in_any_order() {
    let mut raft = RaftCluster::build(3).await;
    let leader = raft.leader().await;
    assert!(created(&raft.node(leader).propose(project("one")).await.unwrap()));
    for node in [1, 2, 3] {
        raft.stop(node).await;
    }
    raft.start(3).await;
    let mut leadership = raft.node(3).leadership();
    let read_back = timeout(LIMIT, leadership.wait_for(|lead| lead.term > 0)).await;
    let before = read_back.unwrap().unwrap().term;
    let alone = raft.node(3).propose(project("two")).await;
    assert!(matches!(alone, Err(Error::NoLeader)), "{alone:?}");
    // A node asks for pre-votes before it stands for election: five seconds alone cost no term.
    assert_eq!(raft.node(3).leadership().borrow().term, before);
    raft.start(2).await;
    assert!(created(&raft.node(3).propose(project("two")).await.unwrap()));
    raft.start(1).await;
    raft.node(1).linearize().await.unwrap();
    assert_eq!(count(raft.node(1)).await, 2);
}

#[tokio::test]
async fn many_writers_share_their_syncs() {
    let raft = RaftCluster::build(1).await;
    raft.leader().await;
    let start = Instant::now();
    let mut writes = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let cluster = raft.node(1).clone();
        writes.spawn(async move {
            for _ in 0..50 {
                cluster.propose(Command::Tick).await.unwrap();
            }
        });
    }
    writes.join_all().await;
    let rate = 3_200.0 / start.elapsed().as_secs_f64();
    eprintln!("{rate:.0} writes/s by 64 writers on one node");
    let one = Instant::now();
    for _ in 0..50 {
        raft.node(1).propose(Command::Tick).await.unwrap();
    }
    let alone = 50.0 / one.elapsed().as_secs_f64();
    eprintln!("{alone:.0} writes/s by one writer");
    assert!(rate > alone * 2.0, "64 writers: {rate:.0}/s, one: {alone:.0}/s");
}
