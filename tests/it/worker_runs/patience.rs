//! Reports while a leader and an owner are frozen: a worker that was handed a run and did it is
//! told to report again, and never that it has no such run.

use std::time::Duration;

use scheduler0::model::shard::shard_of;
use scheduler0::model::time::rfc3339;
use serde_json::json;

use super::fixture::QueueCluster;
use crate::harness::{TestCluster, now};

impl QueueCluster {
    /// The node that owns the shard of a job, as a node has it.
    async fn owner_of(&self, ask: u64, job: u64) -> Option<u64> {
        let status = self.cluster.get(ask, "/api/v1/cluster/status").await;
        status["shards"][usize::from(shard_of(job))]["owner"].as_u64()
    }

    /// The status of a report that a run is done, and whether it is to be repeated.
    async fn completed(&self, node: u64, id: &str, worker: &str) -> (u16, bool) {
        let url = self.cluster.url(node, &format!("/api/v1/runs/{id}/complete"));
        let body = json!({"attempt": 1, "workerId": worker});
        let told = self.cluster.http().post(url).json(&body).send().await.unwrap();
        (told.status().as_u16(), told.headers().contains_key("retry-after"))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_worker_that_did_its_run_is_never_refused_while_leader_and_owner_are_frozen() {
    let fixture = QueueCluster::start(3).await;
    let leader = fixture.cluster.leader(1).await.unwrap();
    // Ids are given out in order, 64 to a shard: one of the shards is another node's.
    let (far, filler) = (rfc3339(now() + 86_400_000), 64);
    let (mut owner, mut next) = (leader, 0);
    while owner == leader {
        let job = fixture.job(json!({"at": far}));
        let made = fixture.cluster.jobs(1, &json!(vec![job; filler])).await;
        next = made.last().unwrap()["id"].as_u64().unwrap() + 1;
        owner = fixture.owner_of(1, next).await.unwrap();
    }
    let gateway = (1..=3).find(|node| ![leader, owner].contains(node)).unwrap();
    let at = now() + 4_000;
    assert_eq!(fixture.create(json!({"at": rfc3339(at)})).await, next);
    for node in fixture.cluster.ids() {
        let knows = async |cluster: &TestCluster| {
            let url = cluster.url(node, &format!("/api/v1/jobs/{next}"));
            let status = cluster.http().get(url).send().await.ok()?.status();
            status.is_success().then_some(())
        };
        fixture.cluster.wait_until("all nodes know the job", knows).await;
    }

    // Without a leader the claim is in the journal of its owner, and nowhere else.
    let until = u64::try_from(at - 300 - now()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(until)).await;
    fixture.cluster.freeze(leader);
    let run = fixture.claim(gateway, "w").await;
    fixture.cluster.freeze(owner);
    fixture.cluster.unfreeze(leader);
    // Its record may come; where it was collected between the two freezes it is there.
    let first = fixture.completed(gateway, &run.id, "w").await;
    assert!(matches!(first, (503, true) | (200, false)), "{first:?}");
    // The next owner offers the run, and then the report counts: with its owner frozen as well.
    let counts = async |_: &TestCluster| {
        let (status, _) = fixture.completed(gateway, &run.id, "w").await;
        assert!(matches!(status, 200 | 503), "{status}");
        (status == 200).then_some(())
    };
    fixture.cluster.wait_until("the report counts", counts).await;
    fixture.cluster.unfreeze(owner);
    fixture.becomes(&run.id, "completed").await;
    // Of an attempt that never was, a cluster that works says so.
    let body = json!({"attempt": 7, "workerId": "w"});
    let path = format!("/runs/{}/fail", run.id);
    let refused = async |_: &TestCluster| {
        let (status, _) = fixture.post(gateway, &path, body.clone()).await;
        (status != 503).then_some(status)
    };
    assert_eq!(fixture.cluster.wait_until("an answer", refused).await, 409);
    fixture.cluster.assert_same_state(1, 3).await;
}
