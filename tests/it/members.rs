//! Members of a cluster are added, removed, moved and lost, by the command line and while jobs
//! fire.

mod clocks;
mod races;
mod recovery;

use serde_json::Value;

use crate::harness::{
    FiringCluster, Receiver, TOLERANCE, TestCluster, every, every_job_again, judge, now, planned,
};

/// The ids of the members with a role, as a node sees them.
async fn members(cluster: &TestCluster, ask: u64, role: &str) -> Vec<u64> {
    let listed = cluster.get(ask, "/api/v1/cluster/members").await;
    let all = listed["members"].as_array().unwrap();
    all.iter().filter(|m| m["role"] == role).map(|m| m["id"].as_u64().unwrap()).collect()
}

/// Runs a command that must succeed; returns its data.
async fn command(cluster: &TestCluster, ask: u64, words: &[&str]) -> Value {
    let (code, stdout, said) = cluster.cli(ask, words).await;
    assert_eq!(code, 0, "{words:?}: {said}");
    stdout["data"].clone()
}

/// Runs a command that the node must refuse; returns its stderr.
async fn refused(cluster: &TestCluster, ask: u64, words: &[&str]) -> String {
    let (code, _, said) = cluster.cli(ask, words).await;
    assert_eq!(code, 3, "{words:?}: {said}");
    said
}

/// Starts a host and adds it through a member.
async fn join(cluster: &mut TestCluster, ask: u64, id: u64, flags: &[&str]) {
    cluster.spawn(id);
    let waits = async |c: &TestCluster| {
        let answer = c.http().get(c.url(id, "/readyz")).send().await.ok()?;
        answer.text().await.ok()?.contains("cluster add").then_some(())
    };
    cluster.wait_until("it waits to be added", waits).await;
    let (address, raft_address) = cluster.addresses(id);
    let number = id.to_string();
    let mut words = vec!["cluster", "add", &number, "--address", &address];
    words.extend(["--raft-address", &raft_address]);
    words.extend(flags);
    command(cluster, ask, &words).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_cluster_grows_from_one_to_five_and_shrinks_to_three_while_it_fires() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "growing").await;
    let created = cluster.jobs(1, &every("@every 1s", project, &receiver.url(), 2_048)).await;
    let jobs = planned(&created);
    every_job_again(&receiver, &jobs, now()).await;
    for id in 2..=5 {
        cluster.add_host();
        join(&mut cluster, 1 + (id % 2), id, &[]).await;
        cluster.ready(id).await;
    }
    assert_eq!(members(&cluster, 3, "voter").await, [1, 2, 3, 4, 5]);
    let leader = cluster.leader(2).await.unwrap();
    let owners: Vec<u64> = (1..=5).filter(|id| *id != leader).collect();
    cluster.settled(leader, &owners).await;
    every_job_again(&receiver, &jobs, now()).await;

    // The leader is removed through another node, then a node that only fires.
    let other = owners[0];
    for id in [leader, owners[1]] {
        let left = command(&cluster, other, &["cluster", "remove", &id.to_string()]).await;
        let listed = left["members"].as_array().unwrap();
        assert!(listed.iter().all(|m| m["id"] != id), "{left}");
        // A removed node ends, also when it is started again.
        assert_ne!(cluster.ended(id).await, Some(0));
        assert!(cluster.log(id).contains("was removed from this cluster"), "{}", cluster.log(id));
        cluster.spawn(id);
        assert_ne!(cluster.ended(id).await, Some(0));
    }
    assert_eq!(members(&cluster, other, "voter").await.len(), 3);
    let until = every_job_again(&receiver, &jobs, now() + 2_000).await;
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
    cluster.assert_same_state(other, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_drained_node_fires_nothing_until_it_is_taken_back() {
    let fixture = FiringCluster::start(2_048).await;
    let FiringCluster { receiver, mut cluster, leader, others, jobs } = fixture;

    let drained = others[0].to_string();
    command(&cluster, others[1], &["cluster", "drain", &drained]).await;
    let status = cluster.get(leader, "/api/v1/cluster/status").await;
    let nodes = status["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["id"] == others[0]).unwrap();
    assert!(node["draining"] == true && node["shards"] == 0, "{node}");
    every_job_again(&receiver, &jobs, now()).await;
    // The drain outlives the leader and the process of the drained node.
    let third = others[1].to_string();
    command(&cluster, others[0], &["cluster", "transfer-leader", &third]).await;
    assert_eq!(cluster.stop(others[0]).await, Some(0));
    cluster.restart(others[0]).await;
    cluster.settled(others[1], &[leader]).await;
    every_job_again(&receiver, &jobs, now()).await;
    command(&cluster, leader, &["cluster", "drain", &drained, "--undo"]).await;
    cluster.settled(others[1], &[others[0], leader]).await;
    let until = every_job_again(&receiver, &jobs, now() + 2_000).await;
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_dead_node_is_removed_and_its_id_goes_to_a_new_folder_only_if_asked() {
    let mut cluster = TestCluster::start(3).await;
    let (leader, others) = cluster.settled_roles().await;
    let (dead, other) = (others[0], others[1]);
    cluster.kill(dead);
    let number = dead.to_string();
    let (address, raft_address) = cluster.addresses(dead);
    let add = ["cluster", "add", &number, "--address", &address, "--raft-address", &raft_address];

    // An empty folder under the id of a member is refused: by its own registration, or by a member
    // that has had more entries acknowledged, whichever hears of it first.
    let kept = cluster.data_dir(dead).with_extension("kept");
    std::fs::rename(cluster.data_dir(dead), &kept).unwrap();
    cluster.spawn(dead);
    assert_ne!(cluster.ended(dead).await, Some(0));
    let log = cluster.log(dead);
    let causes = ["is registered with another data folder", "is older than what this node has"];
    assert!(causes.iter().any(|cause| log.contains(cause)), "{log}");
    assert!(log.contains("cluster remove") && log.contains("--replace"), "{log}");

    let said = refused(&cluster, other, &["cluster", "remove", &number]).await;
    assert!(said.contains("does not answer") && said.contains("delivered again"), "{said}");
    let said =
        refused(&cluster, other, &["cluster", "remove", &leader.to_string(), "--force"]).await;
    assert!(said.contains("no quorum"), "two voters of which one is dead: {said}");
    command(&cluster, other, &["cluster", "remove", &number, "--force"]).await;

    // The old folder is refused, too.
    std::fs::remove_dir_all(cluster.data_dir(dead)).unwrap();
    std::fs::rename(&kept, cluster.data_dir(dead)).unwrap();
    cluster.spawn(dead);
    assert_ne!(cluster.ended(dead).await, Some(0));
    let log = cluster.log(dead);
    assert!(log.contains("was removed from this cluster"), "{log}");

    // A new folder gets the id only with `--replace`.
    std::fs::remove_dir_all(cluster.data_dir(dead)).unwrap();
    cluster.settled(other, &[other]).await;
    let said = refused(&cluster, other, &add).await;
    assert!(said.contains("--replace"), "{said}");
    join(&mut cluster, other, dead, &["--replace", "--learner"]).await;
    assert_eq!(members(&cluster, other, "learner").await, [dead]);
    command(&cluster, other, &["cluster", "promote", &number]).await;
    assert_eq!(members(&cluster, other, "voter").await, [1, 2, 3]);
    cluster.ready(dead).await;
    // It votes: the cluster has a quorum with it. Its first try may reach the leader that is gone.
    cluster.kill(other);
    cluster.project_again(dead, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_found_again_at_other_addresses() {
    let mut cluster = TestCluster::start(3).await;
    let leader = cluster.leader(1).await.unwrap();
    let moved = 1 + leader % 3;
    assert_eq!(cluster.stop(moved).await, Some(0));
    cluster.relocate(moved);
    cluster.restart(moved).await;
    let known = async |cluster: &TestCluster, ask: u64, id: u64| {
        let (address, raft_address) = cluster.addresses(id);
        let listed = cluster.get(ask, "/api/v1/cluster/members").await;
        let all = listed["members"].as_array()?.clone();
        let found = all.iter().find(|m| m["id"] == id)?;
        (found["address"] == address
            && found["raftAddress"] == raft_address
            && found["reachable"] == true)
            .then_some(())
    };
    for ask in 1..=3 {
        cluster.wait_until("the new address is known", async |c| known(c, ask, moved).await).await;
    }
    cluster.project(moved, "moved").await;
    // All move at once: no node is at its registered address.
    cluster.kill_all();
    for id in 1..=3 {
        cluster.relocate(id);
        cluster.spawn(id);
    }
    for id in 1..=3 {
        cluster.ready(id).await;
        cluster.wait_until("the new address is known", async |c| known(c, 1, id).await).await;
    }
    cluster.project_again(moved, "moved again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_and_says_why() {
    let mut cluster = TestCluster::start(1).await;
    cluster.add_host();
    let (address, raft_address) = cluster.addresses(2);
    let (first, first_raft) = cluster.addresses(1);
    let add = |id: &str, address: &str, raft: &str| {
        let words = ["cluster", "add", id, "--address", address, "--raft-address", raft];
        words.map(str::to_owned).to_vec()
    };
    let cases = [
        (vec!["cluster".to_owned(), "remove".into(), "1".into()], "the last voter", 3),
        (vec!["cluster".into(), "remove".into(), "7".into()], "there is no node 7", 3),
        (vec!["cluster".into(), "promote".into(), "7".into()], "there is no node 7", 3),
        (vec!["cluster".into(), "promote".into(), "1".into()], "votes already", 3),
        (vec!["cluster".into(), "drain".into(), "7".into()], "there is no node 7", 3),
        (vec!["cluster".into(), "transfer-leader".into(), "7".into()], "there is no node 7", 3),
        (vec!["cluster".into(), "transfer-leader".into()], "no other voter", 3),
        (add("1", &address, &raft_address), "a member already", 3),
        (add("2", &address, &first_raft), "is node 1's", 3),
        (add("2", &first, &raft_address), "is node 1's", 3),
        (add("2", &address, &raft_address), "start it first", 3),
        (add("0", &address, &raft_address), "id must be a whole number", 3),
        (add("2", "ftp://x", &raft_address), "address: expected", 3),
        (add("2", &address, "nowhere"), "raftAddress: expected", 3),
    ];
    for (words, why, code) in cases {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (got, _, said) = cluster.cli(1, &words).await;
        assert!(got == code && said.contains(why), "{words:?}: {got} {said}");
    }
    let unsigned = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = unsigned.get(cluster.url(1, "/cluster/members")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    // The casing is that of the route prefix.
    let listed = cluster.get(1, "/cluster/members").await;
    assert_eq!(listed["members"][0]["raft_address"], first_raft.as_str());
    // A learner cannot lead.
    join(&mut cluster, 1, 2, &["--learner"]).await;
    let said = refused(&cluster, 2, &["cluster", "transfer-leader", "2"]).await;
    assert!(said.contains("is a learner"), "{said}");
    assert_eq!(members(&cluster, 2, "learner").await, [2]);
    command(&cluster, 2, &["cluster", "remove", "2"]).await;
    assert_ne!(cluster.ended(2).await, Some(0));
    assert_eq!(members(&cluster, 1, "voter").await, [1]);
}
