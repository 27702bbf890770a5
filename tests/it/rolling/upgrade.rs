//! A rolling upgrade: three nodes run the program of the oldest version that is supported, and are
//! restarted one by one with the program under test, while jobs fire and clients write. Between two
//! restarts nodes of two versions are one cluster.
//!
//! `SCHEDULER0_OLD_BINARY` names the old program, built from commit `c4ba270`; `.ci/run` builds it.
//! Without it this test says that it was skipped, and fails where `CI` is set. Where it is empty,
//! the clone has no history that goes so far back, and the test says that.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::clients::Clients;
use super::{BOUND, greatest_lag, jobs};
use crate::harness::{
    PATIENCE, Receiver, TOLERANCE, TestCluster, every, every_job_again, judge, now, planned,
    poll_interval,
};

/// The old program, if there is one.
fn old_program() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("SCHEDULER0_OLD_BINARY") else {
        assert!(std::env::var_os("CI").is_none(), "SCHEDULER0_OLD_BINARY is not set");
        eprintln!("SKIPPED: SCHEDULER0_OLD_BINARY names no program of an older version");
        return None;
    };
    if path.is_empty() {
        eprintln!("SKIPPED: the history of this clone does not reach the older version");
        return None;
    }
    Some(PathBuf::from(path))
}

/// Runs a job on the condition that it has a version: a command that the old program does not know.
async fn run_on_condition(cluster: &TestCluster, job: &Value) -> (u16, Value) {
    let url = cluster.url(1, &format!("/api/v1/jobs/{}/run", job["id"]));
    let version = format!("\"{}\"", job["version"]);
    let answer = cluster.http().post(url).header("if-match", version).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn three_nodes_are_upgraded_one_by_one_and_no_client_notices() {
    let Some(old) = old_program() else { return };
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start_other(3, &old).await;
    let (leader, others) = cluster.settled_roles().await;
    let project = cluster.project(leader, "upgraded").await;
    let created = cluster.jobs(leader, &jobs(project, &receiver)).await;
    let due_soon = |job: &&Value| job["spec"] != "@every 24h";
    let firing = planned(&created.iter().filter(due_soon).cloned().collect::<Vec<_>>());
    let by_hand = Receiver::start().await;
    let manual = cluster.jobs(leader, &every("@every 24h", project, &by_hand.url(), 1)).await;
    every_job_again(&receiver, &firing, now()).await;
    let mut clients = Clients::start(&cluster, 16, project);
    clients.each_writes(10).await;

    // Node 1 is upgraded first: the requests of this test go to it.
    let began = now();
    let last = if leader == 1 { others[0] } else { leader };
    let middle = (1..=3).find(|id| *id != 1 && *id != last).unwrap();
    for id in [1, middle, last] {
        clients.goes(id);
        assert_eq!(cluster.stop(id).await, Some(0), "node {id}: {}", cluster.log(id));
        clients.each_writes(5).await;
        cluster.upgrade(id);
        cluster.restart(id).await;
        clients.comes(id);
        clients.each_writes(5).await;
        if id != last {
            // New nodes write nothing that the old ones cannot read.
            let (status, body) = run_on_condition(&cluster, &manual[0]).await;
            assert_eq!(status, 409, "{body}");
            assert_eq!(body["error"]["code"], json!("upgrade_pending"), "{body}");
        }
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, body) = run_on_condition(&cluster, &manual[0]).await;
        if status == 202 {
            break;
        }
        assert_eq!(body["error"]["code"], json!("upgrade_pending"), "{body}");
        assert!(tokio::time::Instant::now() < deadline, "the level does not rise: {body}");
        poll_interval().await;
    }
    by_hand.wait_until("the run by hand", PATIENCE, |arrivals| arrivals.len() == 1).await;
    let until = every_job_again(&receiver, &firing, now() + 2_000).await;
    let done = clients.stop().await;
    println!("{}", done.figures());
    done.all_there(&cluster, 1).await;

    let arrivals = receiver.arrivals();
    let found = judge(&firing, &arrivals, 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
    let late = greatest_lag(&arrivals, began);
    assert!(late <= BOUND, "a first attempt came {late} ms late");
}
