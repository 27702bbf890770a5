//! Identity of nodes: a copied data folder, an older copy that is put back, a wrong own address,
//! members that refuse the founder, a lost majority.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Receiver, TestCluster, every, every_job_again, free_port, now, planned};

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// A process under a node's id on another folder and other ports; dropping it kills it.
struct Other {
    process: Child,
    log: std::path::PathBuf,
}

impl Other {
    fn start(cluster: &TestCluster, id: u64, name: &str, environment: &[(&str, &str)]) -> Self {
        let log = cluster.folder().join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = cluster.command(id);
        command.args(["start", "--weak"]).stdout(Stdio::null()).stderr(Stdio::from(file));
        command.envs(environment.iter().copied());
        Self { process: command.spawn().unwrap(), log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has ended by itself; returns its exit code.
    async fn ended(&mut self, cluster: &TestCluster) -> Option<i32> {
        let process = std::cell::RefCell::new(&mut self.process);
        let over = async |_: &TestCluster| process.borrow_mut().try_wait().unwrap();
        cluster.wait_until("it ends", over).await.code()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The list of replicas with the entry of one node replaced.
fn replicas(
    cluster: &TestCluster,
    count: u64,
    id: u64,
    address: &str,
    raft_address: &str,
) -> String {
    let entries = (1..=count).map(|node| {
        let (known, known_raft) = cluster.addresses(node);
        let (address, raft_address) = if node == id {
            (address.to_owned(), raft_address.to_owned())
        } else {
            (known, known_raft)
        };
        json!({"nodeId": node, "address": address, "raft_address": raft_address})
    });
    entries.collect::<Value>().to_string()
}

/// Starts a copy of a node's folder at addresses of its own.
fn start_copy(cluster: &TestCluster, id: u64, folder: &Path, name: &str) -> Other {
    let (port, raft_port) = (free_port(), free_port());
    let (address, raft_address) =
        (format!("http://127.0.0.1:{port}"), format!("127.0.0.1:{raft_port}"));
    let list = replicas(cluster, 3, id, &address, &raft_address);
    let environment = [
        ("SCHEDULER0_DATA_DIR", folder.to_str().unwrap()),
        ("SCHEDULER0_PORT", &port.to_string()),
        ("SCHEDULER0_RAFT_ADDRESS", &raft_address),
        ("SCHEDULER0_REPLICAS", &list),
    ];
    Other::start(cluster, id, name, &environment)
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_copy_of_a_folder_beside_its_original_ends_and_the_original_goes_on() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(3).await;
    let (leader, others) = cluster.settled_roles().await;
    let id = others[0];
    let project = cluster.project(leader, "copied").await;
    let created = cluster.jobs(leader, &every("@every 1s", project, &receiver.url(), 2_048)).await;
    let jobs = planned(&created);

    // A copy of a stopped node: both processes have the same start number.
    let cold = cluster.folder().join("cold");
    assert_eq!(cluster.stop(id).await, Some(0));
    copy(&cluster.data_dir(id), &cold);
    cluster.restart(id).await;
    // A copy of a running node: the copy is a later start.
    let hot = cluster.folder().join("hot");
    copy(&cluster.data_dir(id), &hot);
    for folder in [cold, hot] {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let mut copied = start_copy(&cluster, id, &folder, &name);
        assert_eq!(copied.ended(&cluster).await, Some(1), "{}", copied.log());
        let said = copied.log();
        assert_eq!(said.matches("copy of this data folder").count(), 1, "{said}");
    }
    let members = cluster.get(leader, "/api/v1/cluster/members").await;
    let listed = members["members"].as_array().unwrap().iter().find(|m| m["id"] == id).unwrap();
    assert_eq!(listed["raftAddress"], cluster.addresses(id).1, "{members}");
    every_job_again(&receiver, &jobs, now()).await;

    // The original comes back after a stop and after a crash.
    assert_eq!(cluster.stop(id).await, Some(0));
    cluster.restart(id).await;
    cluster.kill(id);
    cluster.restart(id).await;
    every_job_again(&receiver, &jobs, now()).await;
    cluster.settled(leader, &others).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn an_older_copy_of_a_folder_that_is_put_back_is_refused_and_warned_of() {
    let mut cluster = TestCluster::start(3).await;
    let (leader, others) = cluster.settled_roles().await;
    let id = others[0];
    let old = cluster.folder().join("old");
    assert_eq!(cluster.stop(id).await, Some(0));
    copy(&cluster.data_dir(id), &old);
    cluster.restart(id).await;
    let project = cluster.project(leader, "forgotten").await;
    cluster.jobs(id, &every("@every 1h", project, "http://127.0.0.1:9/", 50)).await;
    assert_eq!(cluster.stop(id).await, Some(0));
    let newest = cluster.move_data_away(id);
    for _ in 0..2 {
        // Each start has its number, so the second one is not taken for a late message of the
        // first.
        if !cluster.data_dir(id).exists() {
            copy(&old, &cluster.data_dir(id));
        }
        cluster.spawn(id);
        assert_eq!(cluster.ended(id).await, Some(1), "{}", cluster.log(id));
    }
    let said = cluster.log(id);
    assert!(said.contains("older than what this node has acknowledged"), "{said}");
    let status = cluster.get(others[1], "/api/v1/cluster/status").await;
    let warned = |w: &Value| w.as_str().unwrap().contains(&format!("node {id} was put back"));
    assert!(status["warnings"].as_array().unwrap().iter().any(warned), "{status}");
    assert!(cluster.log(leader).contains("put back to an older copy"));

    std::fs::remove_dir_all(cluster.data_dir(id)).unwrap();
    std::fs::rename(newest, cluster.data_dir(id)).unwrap();
    cluster.restart(id).await;
    cluster.assert_same_state(leader, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn an_older_copy_is_told_by_its_journal_where_no_leader_remembers_it() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(3).await;
    let (leader, others) = cluster.settled_roles().await;
    let id = others[0];
    let project = cluster.project(leader, "journal").await;
    let created = cluster.jobs(leader, &every("@every 1s", project, &receiver.url(), 2_048)).await;
    let jobs = planned(&created);
    every_job_again(&receiver, &jobs, now()).await;
    assert_eq!(cluster.stop(id).await, Some(0));
    let old = cluster.folder().join("old");
    copy(&cluster.data_dir(id), &old);
    cluster.restart(id).await;
    cluster.settled(leader, &others).await;
    every_job_again(&receiver, &jobs, now()).await;
    // Its graceful stop waits until all of its journal is recorded.
    assert_eq!(cluster.stop(id).await, Some(0));
    let other = others[1].to_string();
    let (code, _, said) = cluster.cli(leader, &["cluster", "transfer-leader", &other]).await;
    assert_eq!(code, 0, "{said}");
    cluster.move_data_away(id);
    std::fs::rename(&old, cluster.data_dir(id)).unwrap();
    cluster.spawn(id);
    assert_eq!(cluster.ended(id).await, Some(1), "{}", cluster.log(id));
    let said = cluster.log(id);
    assert!(said.contains("put back to an older copy"), "{said}");
    every_job_again(&receiver, &jobs, now()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_wrong_own_address_is_logged_and_registered_nowhere() {
    let mut cluster = TestCluster::start(3).await;
    let (leader, others) = cluster.settled_roles().await;
    let id = others[0];
    assert_eq!(cluster.stop(id).await, Some(0));
    let (address, right) = cluster.addresses(id);
    let wrong = format!("127.0.0.1:{}", free_port());
    let port = right.rsplit_once(':').unwrap().1;
    let environment = [
        ("SCHEDULER0_RAFT_ADDRESS", format!("0.0.0.0:{port}")),
        ("SCHEDULER0_REPLICAS", replicas(&cluster, 3, id, &address, &wrong)),
    ];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut mistaken = Other::start(&cluster, id, "mistaken", &environment);
    let told = async |_: &TestCluster| mistaken.log().contains(&wrong).then_some(());
    cluster.wait_until("it is told", told).await;
    let said = mistaken.log();
    assert!(said.contains("does not believe") && said.contains("RaftAddress"), "{said}");
    let members = cluster.get(leader, "/api/v1/cluster/members").await;
    let listed = members["members"].as_array().unwrap().iter().find(|m| m["id"] == id).unwrap();
    assert_eq!(listed["raftAddress"], right, "{members}");
    mistaken.process.kill().unwrap();
    mistaken.process.wait().unwrap();
    cluster.restart(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_majority_founds_and_a_member_that_answers_wrongly_is_named_and_asked_again() {
    let mut cluster = TestCluster::start_some(3, 0, &[]).await;
    let wrong = [("SCHEDULER0_SECRET_KEY", "6b".repeat(32))];
    let wrong = wrong.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut other = Other::start(&cluster, 3, "other-secret", &wrong);
    let waits =
        async |c: &TestCluster| c.http().get(c.url(3, "/livez")).send().await.ok().map(|_| ());
    cluster.wait_until("node 3 answers", waits).await;
    // Alone with this member the founder waits and names it.
    cluster.spawn(1);
    let named = async |c: &TestCluster| c.log(1).contains("is not founded yet").then_some(());
    cluster.wait_until("the founder says why", named).await;
    let said = cluster.log(1);
    assert!(said.contains("node=3") && said.contains("401"), "{said}");
    assert!(said.contains("SecretKey") && !said.contains("exists already"), "{said}");
    let ready = cluster.http().get(cluster.url(1, "/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let body = ready.text().await.unwrap();
    assert!(body.contains("is not founded"), "{body}");
    cluster.spawn(2);
    cluster.ready(1).await;
    cluster.ready(2).await;
    other.process.kill().unwrap();
    other.process.wait().unwrap();
    std::fs::remove_dir_all(cluster.data_dir(3)).unwrap();
    cluster.restart(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nobody_is_shown_to_lead() {
    let mut cluster = TestCluster::start(3).await;
    let (leader, others) = cluster.settled_roles().await;
    for id in &others {
        cluster.kill(*id);
    }
    let lost = async |c: &TestCluster| {
        let answer = c.http().get(c.url(leader, "/readyz")).send().await.ok()?;
        (answer.status() == 503).then_some(answer.text().await.ok()?)
    };
    let why = cluster.wait_until("it is not ready", lost).await;
    assert!(why.contains("no quorum") && why.contains("1 of 3 voters"), "{why}");
    let health = cluster.get(leader, "/api/v1/healthcheck").await;
    assert_eq!(
        (&health["leaderId"], &health["raftStats"]["state"]),
        (&json!(""), &json!("Candidate"))
    );
    assert_ne!(health["raftStats"]["last_contact"], "0");
    let alive = cluster.http().get(cluster.url(leader, "/livez")).send().await.unwrap();
    assert_eq!(alive.status(), 200);
    let metrics = async |c: &TestCluster| {
        let text = c.http().get(c.url(leader, "/metrics")).send().await.ok()?.text().await.ok()?;
        let lines: BTreeSet<&str> = text.lines().collect();
        let shown = ["scheduler0_raft_leader 0", "scheduler0_raft_quorum 0"];
        shown.iter().all(|line| lines.contains(line)).then_some(())
    };
    cluster.wait_until("the metrics say so", metrics).await;
    let (code, shown, said) = cluster.cli(leader, &["status"]).await;
    assert_eq!((code, &shown["data"]["quorum"]), (5, &json!(false)), "{said}");

    assert_eq!(cluster.stop(leader).await, Some(0));
    assert_quiet(&cluster);
}

/// Asserts that no stop waited in vain, and that no log has misleading lines.
fn assert_quiet(cluster: &TestCluster) {
    let noise = [
        "were still held",
        "not yet collected",
        "gets no lease",
        "two nodes are less",
        "ERROR openraft",
    ];
    for id in 1..=3 {
        let log = cluster.log(id);
        assert!(!noise.iter().any(|line| log.contains(line)), "node {id}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn nodes_that_stop_one_after_the_other_wait_for_nobody_at_the_end() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(3).await;
    let (leader, others) = cluster.settled_roles().await;
    let project = cluster.project(leader, "last").await;
    let created = cluster.jobs(leader, &every("@every 1s", project, &receiver.url(), 2_048)).await;
    every_job_again(&receiver, &planned(&created), now()).await;
    for id in [leader, others[0], others[1]] {
        assert_eq!(cluster.stop(id).await, Some(0));
    }
    assert_quiet(&cluster);
}
