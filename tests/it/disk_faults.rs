//! Faults of the disk: a power loss that takes the end of the database's write-ahead log, a
//! database that cannot be written, a disk that is nearly full.

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use rusqlite::Connection;
use scheduler0::clock::{Clock, SchedulerTime, SystemClock};
use scheduler0::cluster::{self, Cluster as Raft};
use scheduler0::command::Command;
use scheduler0::model::Millis;
use scheduler0::raft::types::Member;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::harness::{
    LIMIT, PATIENCE, Receiver, TestCluster, every, now, planned, poll_interval, raft_options,
};

/// A clock whose wall clock stands still in the past: each proposal gets the last stamp again.
struct Still;

impl Clock for Still {
    fn wall(&self) -> Millis {
        0
    }

    fn boot(&self) -> u64 {
        SystemClock.boot()
    }

    fn sleep_until(&self, boot: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        SystemClock.sleep_until(boot)
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let place = to.join(file.file_name());
        if file.path().is_dir() {
            copy(&file.path(), &place);
        } else {
            std::fs::copy(file.path(), place).unwrap();
        }
    }
}

/// The part of the database that a power loss leaves.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// All of it.
    All,
    /// The write-ahead log up to this byte.
    Upto(u64),
    /// The state of the last checkpoint.
    Checkpoint,
    /// Nothing.
    Nothing,
}

/// A copy of a data folder with this part of its database.
fn cut(data: &Path, left: Left) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(data, dir.path());
    let file = |name: &str| dir.path().join(name);
    // Shared memory does not outlive the machine.
    std::fs::remove_file(file("state.db-shm")).unwrap();
    match left {
        Left::All => {}
        Left::Upto(length) => {
            let log = std::fs::File::options().write(true).open(file("state.db-wal")).unwrap();
            log.set_len(length).unwrap();
        }
        Left::Checkpoint => std::fs::remove_file(file("state.db-wal")).unwrap(),
        Left::Nothing => {
            std::fs::remove_file(file("state.db-wal")).unwrap();
            std::fs::remove_file(file("state.db")).unwrap();
        }
    }
    dir
}

/// The applied position of a data folder's database; `None` without one.
fn applied(data: &Path) -> Option<Vec<u8>> {
    let database = Connection::open(data.join("state.db")).unwrap();
    database.query_row("SELECT value FROM meta WHERE key = 'applied'", [], |row| row.get(0)).ok()
}

/// The frames of the write-ahead log that are not in `state.db` yet, by the index of the log, whose
/// layout is <https://www.sqlite.org/walformat.html>; `None` during a checkpoint. A power loss can
/// take only these frames, because a checkpoint syncs the log first. The file may be longer,
/// because a new log overwrites the old one.
fn unsafe_frames(data: &Path) -> Option<Range<u64>> {
    let index = std::fs::read(data.join("state.db-shm")).unwrap();
    let number = |at: usize| u32::from_ne_bytes(index[at..at + 4].try_into().unwrap());
    let (last, copied, begun) = (number(16), number(96), number(128));
    (begun == copied).then_some(u64::from(copied)..u64::from(last))
}

/// Starts the Raft of a single node in a folder; returns the hash of its state when it leads, and
/// the last purged entry of its log.
async fn recovered(data: &Path) -> ([u8; 32], u64) {
    let identity = std::fs::read_to_string(data.join("identity")).unwrap();
    let instance = u128::from_str_radix(identity.split(' ').next().unwrap(), 16).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let raft_address = listener.local_addr().unwrap().to_string();
    let members = [(1, Member { raft_address, address: String::new() })];
    let time = Arc::new(SchedulerTime::new(Arc::new(Still)));
    let node = Raft::start(cluster::Options { time, ..raft_options(data, 1, instance, &members) });
    let node = node.await.unwrap_or_else(|e| panic!("{}: {e}", data.display()));
    let mut leadership = node.leadership();
    let leads = leadership.wait_for(|lead| lead.first_applied);
    timeout(LIMIT, leads).await.expect("it leads").unwrap();
    let (index, _) = node.propose_indexed(Command::Checksum).await.unwrap();
    let hash = async {
        loop {
            if let Some(hash) = node.checksum(index) {
                return hash;
            }
            poll_interval().await;
        }
    };
    let hash = timeout(LIMIT, hash).await.expect("a hash");
    let purged = node.purged_index();
    node.shutdown().await;
    (hash, purged)
}

/// Creates jobs one by one, a log entry each.
async fn create(cluster: &TestCluster, project: u64, url: &str, count: usize) {
    let body = every("@every 100h", project, url, 1);
    let asks = (0..count).map(|_| cluster.post(1, "/api/v1/jobs", &body));
    let answers: Vec<_> = stream::iter(asks).buffer_unordered(32).collect().await;
    assert!(answers.iter().all(|(status, _)| (200..300).contains(status)), "{:?}", answers[0]);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_database_that_loses_its_tail_is_restored_from_snapshot_and_log() {
    let receiver = Receiver::start().await;
    let settings =
        [("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "1"), ("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "1")];
    let cluster = TestCluster::start_with(1, &settings).await;
    let project = cluster.project(1, "power loss").await;
    cluster.jobs(1, &every("@every 1s", project, &receiver.url(), 64)).await;
    let snapshot = async |before: u64| {
        cluster
            .wait_until("a newer snapshot", async |c: &TestCluster| {
                let health = c.get(1, "/healthcheck").await;
                let index: u64 =
                    health["raft_stats"]["last_snapshot_index"].as_str()?.parse().ok()?;
                (index > before).then_some(index)
            })
            .await
    };
    // Enough entries that the second snapshot purges some.
    create(&cluster, project, &receiver.url(), 1_200).await;
    let first = snapshot(0).await;
    create(&cluster, project, &receiver.url(), 1_200).await;
    snapshot(first).await;
    create(&cluster, project, &receiver.url(), 300).await;
    let (frozen, frames) = loop {
        // A frozen process does not write: the copy is the content of its disk.
        let frozen = tempfile::tempdir().unwrap();
        cluster.freeze(1);
        copy(&cluster.data_dir(1), frozen.path());
        cluster.unfreeze(1);
        match unsafe_frames(frozen.path()) {
            Some(frames) if frames.end - frames.start > 70 => break (frozen, frames),
            // A checkpoint has just happened.
            _ => create(&cluster, project, &receiver.url(), 50).await,
        }
    };
    let mut cuts = vec![Left::All, Left::Checkpoint, Left::Nothing, Left::Upto(0)];
    for n in 1..=6 {
        let frame = 32 + (frames.start + (frames.end - frames.start) * n / 7) * (24 + 4096);
        cuts.extend([Left::Upto(frame), Left::Upto(frame + 24 + 600 * n)]);
    }
    let whole = applied(cut(frozen.path(), Left::All).path());
    assert!(whole.is_some());
    let (mut hashes, mut purged) = (BTreeSet::new(), 0);
    for some in cuts.chunks(4) {
        let check = |left: &Left| {
            let left = *left;
            let takes = applied(cut(frozen.path(), left).path()) != whole;
            assert_eq!(takes, !matches!(left, Left::All), "{left:?} of {frames:?}");
            let dir = cut(frozen.path(), left);
            async move {
                let (hash, purged) = recovered(dir.path()).await;
                (left, hash, purged)
            }
        };
        let found = futures_util::future::join_all(some.iter().map(check)).await;
        for (left, hash, gone) in found {
            hashes.insert(hash);
            assert_eq!(hashes.len(), 1, "{left:?} comes to another state");
            purged = purged.max(gone);
        }
    }
    assert!(purged > 0, "the log has purged nothing");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_node_that_cannot_write_its_database_ends_and_is_equal_after_a_restart() {
    let mut cluster = TestCluster::start(3).await;
    let project = cluster.project(1, "locked").await;
    let leader = cluster.leader(1).await.unwrap();
    let follower = leader % 3 + 1;
    let third = follower % 3 + 1;
    let job = |data: &str| {
        json!({"projectId": project, "spec": "@every 100h", "timezone": "UTC",
            "callbackUrl": "http://127.0.0.1:9/", "data": data})
    };
    // A lock of another process: SQLite times out after a while, and the node cannot know more.
    let lock = |cluster: &TestCluster, node| {
        let database = Connection::open(cluster.data_dir(node).join("state.db")).unwrap();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        database
    };
    let ends = async |cluster: &mut TestCluster, node| {
        let code = cluster.ended(node).await;
        assert!(code.is_some_and(|code| code != 0), "node {node} ended with {code:?}");
        let log = cluster.log(node);
        assert!(log.contains("the log cannot be applied") && log.contains("locked"), "{log}");
    };

    let database = lock(&cluster, follower);
    let (status, body) = cluster.post(leader, "/api/v1/jobs", &job("first")).await;
    assert_eq!(status, 202, "the others are enough: {body}");
    ends(&mut cluster, follower).await;
    drop(database);
    cluster.restart(follower).await;

    let database = lock(&cluster, leader);
    let ask = || {
        let ask = cluster.http().post(cluster.url(leader, "/api/v1/jobs")).json(&job("second"));
        ask.header("idempotency-key", "second").send()
    };
    // No answer, or one with an unknown outcome.
    let answer = ask().await.map(|response| response.status().as_u16());
    assert!(!matches!(answer, Ok(200..500)), "it was not applied here: {answer:?}");
    ends(&mut cluster, leader).await;
    // The write is in the log all the same: the same request through another node makes no second
    // job.
    let again = || {
        let ask = cluster.http().post(cluster.url(third, "/api/v1/jobs")).json(&job("second"));
        ask.header("idempotency-key", "second").header("prefer", "return=representation").send()
    };
    let made = cluster
        .wait_until("the request is answered", async |_: &TestCluster| {
            let answer = again().await.ok()?;
            (answer.status() == 201).then_some(())?;
            answer.json::<Value>().await.ok()
        })
        .await;
    assert_eq!(made["data"][0]["data"], "second", "{made}");
    drop(database);
    cluster.restart(leader).await;
    cluster.assert_same_state(third, 3).await;
    for node in 1..=3 {
        let path = format!("/api/v1/jobs?projectId={project}&consistency=linearizable");
        assert_eq!(cluster.get(node, &path).await["total"], 2, "node {node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_disk_that_is_nearly_full_takes_no_writes_fires_on_and_forgets_early() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "full").await;
    let jobs = planned(&cluster.jobs(1, &every("@every 1s", project, &receiver.url(), 64)).await);
    let total = async |c: &TestCluster| {
        let page = c.get(1, "/api/v1/executions?limit=1").await;
        page["total"].as_u64().unwrap()
    };
    cluster
        .wait_until("some history", async |c: &TestCluster| (total(c).await > 300).then_some(()))
        .await;
    let oldest = async |c: &TestCluster| {
        let page = c.get(1, "/api/v1/executions?limit=1&orderBy=id&orderByDirection=asc").await;
        page["executions"][0]["scheduledAt"].as_str().map(str::to_owned)
    };
    let first = oldest(&cluster).await.unwrap();
    cluster.kill(1);
    // No disk has this much room.
    cluster.set("SCHEDULER0_DISK_RESERVE_MB", "1000000000");
    cluster.spawn(1);
    let since = now();
    let body = json!({"name": "more", "description": "of it"});
    cluster
        .wait_until("writes are refused", async |c: &TestCluster| {
            let answer = c.http().post(c.url(1, "/projects")).json(&body).send().await.ok()?;
            (answer.status() == 507).then_some(())
        })
        .await;
    receiver
        .wait_until("all jobs go on", PATIENCE, |arrivals| {
            let on: BTreeSet<u64> =
                arrivals.iter().filter(|a| a.scheduled > since).map(|a| a.job).collect();
            jobs.iter().all(|job| on.contains(&job.job))
        })
        .await;
    cluster
        .wait_until("the oldest history goes", async |c: &TestCluster| {
            oldest(c).await.is_some_and(|oldest| oldest > first).then_some(())
        })
        .await;
    let status = cluster.get(1, "/api/v1/cluster/status").await;
    assert!(status.is_object(), "reads are answered");
}
