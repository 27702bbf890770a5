//! Pauses hold while the nodes that fire come and go, and end when they are said to end.

use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::{Value, json};

use super::{Stage, TOLERANCE, instants};
use crate::cluster::Cluster;
use crate::firing::planned;
use crate::oracle::Planned;
use crate::receiver::now;

/// What is due so soon after a pause was committed may have been sent before it was applied, in
/// milliseconds.
const APPLY_LAG: i64 = 300;

/// A job and its pause: after the first instant, up to the second.
struct Paused {
    plan: Planned,
    from: i64,
    until: i64,
}

fn modified(job: &Value) -> i64 {
    parse_rfc3339(job["dateModified"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_hold_when_the_executing_node_dies() {
    let mut stage = Stage::set().await;
    let [node, _] = stage.others;
    let other = stage.cluster.project(node, "paused as a whole").await;
    let job = stage.batched(json!({"spec": "@every 1s"}));
    let elsewhere = stage.batched(json!({"spec": "@every 1s", "projectId": other}));
    // Neighbours, so that all are the same node's.
    let jobs = json!([job, job, elsewhere, job]);
    let jobs = planned(&stage.cluster.jobs(node, &jobs).await);
    let [until_then, open, whole, free] = <[Planned; 4]>::try_from(jobs).unwrap();
    let ids = [until_then.job, open.job, whole.job, free.job];
    stage.arrives("all fire", |seen| ids.iter().all(|id| seen.iter().any(|a| a.job == *id))).await;

    let end = now() / 1_000 * 1_000 + 9_500;
    let path = |id: u64, what: &str| format!("/api/v1/jobs/{id}/{what}");
    let until = json!({"until": rfc3339(end)});
    let first = modified(&stage.post(node, &path(until_then.job, "pause"), until).await);
    let second = modified(&stage.post(node, &path(open.job, "pause"), json!({})).await);
    let project = format!("/api/v1/projects/{other}");
    stage.post(node, &format!("{project}/pause"), json!({})).await;
    let third = now();

    let victim = stage.owner(free.job).await;
    stage.cluster.kill(victim);
    let left: Vec<u64> = stage.others.into_iter().filter(|id| *id != victim).collect();
    stage.cluster.settled(stage.leader, &left).await;
    let taken = now() + 1_000;
    stage
        .arrives("the successor fires", |seen| {
            seen.iter().any(|a| a.job == free.job && a.scheduled > taken)
        })
        .await;
    let resumed = stage.post(left[0], &path(open.job, "resume"), json!({})).await;
    stage.post(left[0], &format!("{project}/resume"), json!({})).await;
    let last = now();
    let resumed = modified(&resumed);
    assert!(resumed - second > 2_000, "the pause was long enough to be seen");
    stage.past(end).await;
    let until = now() / 1_000 * 1_000 + 1_000;
    stage
        .arrives("all fire again", |seen| {
            ids.iter().all(|id| seen.iter().any(|a| a.job == *id && a.scheduled >= until))
        })
        .await;
    stage.cluster.restart(victim).await;

    let pauses = [
        Paused { plan: until_then, from: first, until: end },
        Paused { plan: open, from: second, until: resumed },
        Paused { plan: whole, from: third, until: last },
        Paused { plan: free, from: 0, until: 0 },
    ];
    let seen = stage.receiver.arrivals();
    for Paused { plan, from, until: to } in &pauses {
        let ledger = stage.accounted(plan, until).await;
        for at in instants(plan, until) {
            let (said, reason) = &ledger[&at];
            let came = seen.iter().filter(|a| a.job == plan.job && a.scheduled == at);
            let (count, early) =
                (came.clone().count(), came.clone().any(|a| a.at + TOLERANCE < at));
            assert!(!early, "job {}: {at} came early", plan.job);
            if at > *from + APPLY_LAG && at <= *to - APPLY_LAG {
                assert_eq!(count, 0, "job {}: {at} came in the pause", plan.job);
                assert_eq!((&**said, &**reason), ("skipped", "paused"), "job {}: {at}", plan.job);
            } else if at <= *from - APPLY_LAG || at > *to + APPLY_LAG {
                assert!(count > 0, "job {}: {at} never came", plan.job);
                assert_eq!(said, "delivered", "job {}: {at}", plan.job);
            }
        }
    }
    let active = async |c: &Cluster| {
        let found = c.get(node, &format!("/api/v1/jobs/{}", ids[0])).await;
        (found["status"] == "active" && found["pauseUntil"].is_null()).then_some(())
    };
    stage.cluster.wait_until("nobody has to wake it", active).await;
    stage.alike().await;
}

/// A manual run is nobody's plan: it goes out in a pause, and asks for overlap unless it is forced.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_runs_when_asked() {
    let stage = Stage::set().await;
    let [node, other] = stage.others;
    stage.receiver.script(|_| Some(super::runs::accepts()));
    let job = json!({"spec": "@yearly", "overlap": "skip", "runTimeout": "5m"});
    let job = stage.create(node, stage.single("/async", job)).await;
    stage.post(node, &format!("/api/v1/jobs/{job}/pause"), json!({})).await;
    let path = format!("/api/v1/jobs/{job}/run");
    let first = stage.post(other, &path, json!({})).await;
    let id = |ran: &Value| ran["executionId"].as_str().unwrap().to_owned();
    let first = id(&first);
    stage.becomes(node, &first, "running").await;
    let second = id(&stage.post(other, &path, json!({})).await);
    stage.becomes(node, &second, "skipped").await;
    let third = id(&stage.post(other, &path, json!({"force": true})).await);
    stage.becomes(node, &third, "running").await;
    for one in [&first, &third] {
        let told = stage.post(node, &format!("/api/v1/executions/{one}/complete"), json!({})).await;
        assert_eq!(told["state"], "delivered");
        stage.becomes(other, one, "delivered").await;
    }
    let seen = stage.receiver.arrivals();
    let came: Vec<_> = seen.iter().map(|a| (a.job, &a.execution_id, a.attempt)).collect();
    assert_eq!(came, [(job, &first, 1), (job, &third, 1)]);
    let skipped = stage.cluster.get(node, &format!("/api/v1/executions/{second}")).await;
    assert_eq!(skipped["reason"], "overlap", "{skipped}");
    let shown = stage.cluster.get(node, &format!("/api/v1/jobs/{job}")).await;
    assert_eq!(shown["status"], "inactive", "a run out of turn resumes nothing");
    stage.alike().await;
}
