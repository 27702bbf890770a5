//! Clusters of one and three nodes in this process: writes, the leader's death, restarts, a
//! snapshot for a node that fell behind, and the same state everywhere.

use std::time::{Duration, Instant};

use scheduler0::clock::{Clock, SystemClock};
use scheduler0::cluster::{Cluster, Error};
use scheduler0::command::{Command, NewProject, Outcome};
use scheduler0::store::{meta, nodes, projects};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::harness::{LIMIT, RaftCluster, poll_interval, raft_options};

fn project(name: &str) -> Command {
    Command::CreateProject(NewProject {
        name: name.to_owned(),
        description: "d".to_owned(),
        by: None,
        ..NewProject::default()
    })
}

async fn count(cluster: &Cluster) -> u64 {
    cluster.read(|conn| projects::list(conn, &scheduler0::store::Page::default())).await.unwrap().0
}

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
    let mut bell = raft.node(follower).changes();
    for i in 0..5 {
        let outcome = raft.node(follower).propose(project(&format!("p{i}"))).await.unwrap();
        assert!(created(&outcome), "{outcome:?}");
        assert_eq!(count(raft.node(follower)).await, i + 1);
    }
    assert!(timeout(LIMIT, bell.recv()).await.unwrap().unwrap().index > 0);
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
    // Who asks through any node waits, and is served when the doubt is over.
    let waits = follows.propose(project("of an hour that all agree on"));
    let (outcome, ()) = tokio::join!(waits, async { leads.clock_agrees() });
    assert!(created(&outcome.unwrap()));
    assert_eq!(count(follows).await, 2);
}

#[tokio::test]
async fn when_the_leader_dies_another_goes_on_and_the_old_one_catches_up() {
    let mut raft = RaftCluster::build(3).await;
    let first = raft.leader().await;
    assert!(created(&raft.node(first).propose(project("before")).await.unwrap()));
    raft.kill(first);
    let died = Instant::now();
    let witness = *raft.nodes.keys().next().unwrap();
    // What was on its way to the dead leader has an unknown outcome: the caller asks again.
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
    // It asks before it stands for election (pre-vote): five seconds alone have cost no term.
    assert_eq!(raft.node(3).leadership().borrow().term, before);
    raft.start(2).await;
    assert!(created(&raft.node(3).propose(project("two")).await.unwrap()));
    raft.start(1).await;
    raft.node(1).linearize().await.unwrap();
    assert_eq!(count(raft.node(1)).await, 2);
}

/// Stops a follower and has the others drop the part of the log that it lacks; the leader, the follower,
/// and the last entry.
async fn fallen_behind(raft: &mut RaftCluster) -> (u64, u64, u64) {
    let leader = raft.leader().await;
    let late = 1 + leader % 3;
    raft.stop(late).await;
    assert!(created(&raft.node(leader).propose(project("one")).await.unwrap()));
    let mut writes = tokio::task::JoinSet::new();
    for _ in 0..2_600 {
        let cluster = raft.node(leader).clone();
        writes.spawn(async move { cluster.propose_indexed(Command::Tick).await.unwrap().0 });
    }
    let last = writes.join_all().await.into_iter().max().unwrap();
    // Behind the log of whoever leads then: it goes once the snapshot is there and nobody is sent of
    // it.
    for node in (1..=3).filter(|node| *node != late) {
        raft.applied(node, last).await;
        raft.node(node).snapshot().await.unwrap();
        let purged = async {
            while raft.node(node).purged_index() < last - 1_100 {
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
    // It did not come entry by entry: its log begins behind the snapshot.
    let installed = async {
        while raft.node(late).purged_index() < last {
            poll_interval().await;
        }
    };
    timeout(LIMIT, installed).await.expect("installed");
    let (index, _) = raft.node(leader).propose_indexed(Command::Checksum).await.unwrap();
    assert_eq!(checksum(raft.node(late), index).await, checksum(raft.node(leader), index).await);
}

#[tokio::test]
async fn a_node_that_has_no_place_for_a_snapshot_lives_and_gets_it_later() {
    let mut raft = RaftCluster::build(3).await;
    let (leader, late, last) = fallen_behind(&mut raft).await;
    let address = raft.members[late as usize - 1].1.raft_address.clone();
    let dir = raft.dirs[&late].path().to_owned();
    let cluster =
        Cluster::start(raft_options(&dir, late, late.into(), &raft.members)).await.unwrap();
    // The folder is gone before anybody can send one.
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
    let (index, _) = raft.node(leader).propose_indexed(Command::Checksum).await.unwrap();
    assert_eq!(checksum(&cluster, index).await, checksum(raft.node(leader), index).await);
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

#[tokio::test]
async fn no_message_of_one_node_ends_another() {
    type More<'a> = &'a [(&'static str, &'a str)];
    let raft = RaftCluster::build(3).await;
    let leader = raft.leader().await;
    let (victim, other) = (1 + leader % 3, 1 + (leader + 1) % 3);
    let generation = raft.node(leader).peers().generation();
    let address = &raft.members[victim as usize - 1].1.raft_address;
    let http = reqwest::Client::new();
    // What whoever has read the token off the wire can claim, in the name of a member or the leader.
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
    // Two rounds of questions later everybody is still there.
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

/// A measurement, not a rule: `cargo test -- --ignored a_busy_machine`.
#[tokio::test]
#[ignore = "takes 20 s of all processors"]
async fn a_busy_machine_keeps_its_leader() {
    let raft = RaftCluster::build(3).await;
    let leader = raft.leader().await;
    let term = raft.node(leader).leadership().borrow().term;
    let end = Instant::now() + Duration::from_secs(20);
    let spinners: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let (mut writes, mut stalest) = (0, 0);
    while Instant::now() < end {
        if raft.node(leader).propose(Command::Tick).await.is_ok() {
            writes += 1;
        }
        if let Some(acked) = raft.node(leader).quorum_acked_boot() {
            stalest = stalest.max(SystemClock.boot() - acked);
        }
    }
    for spinner in spinners {
        spinner.join().unwrap();
    }
    let now = raft.node(raft.leader().await).leadership().borrow().term;
    eprintln!("{writes} writes, {} elections, stalest quorum {stalest} ms", now - term);
    assert_eq!(now, term);
}

/// A measurement, not a rule: `cargo test -- --ignored what_three_nodes`.
#[tokio::test]
#[ignore = "a measurement"]
async fn what_three_nodes_write() {
    let raft = RaftCluster::build(3).await;
    let leader = raft.leader().await;
    for (at, node) in [("leader", leader), ("follower", 1 + leader % 3)] {
        for writers in [1, 16, 128] {
            let (start, each) = (Instant::now(), 6_400 / (writers + 15));
            let mut writes = tokio::task::JoinSet::new();
            for _ in 0..writers {
                let cluster = raft.node(node).clone();
                writes.spawn(async move {
                    for _ in 0..each {
                        cluster.propose(Command::Tick).await.unwrap();
                    }
                });
            }
            writes.join_all().await;
            let rate = f64::from(writers * each) / start.elapsed().as_secs_f64();
            eprintln!("{writers} writers at the {at}: {rate:.0} writes/s");
        }
    }
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
