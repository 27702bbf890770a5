//! Pauses hold while the owners of the shards die and return, and they end when they are to end.

use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::{Value, json};

use crate::harness::{DeliveryFixture, Planned, TOLERANCE, TestCluster, instants, now, planned};

/// An occurrence that is due so soon after a pause was committed may be sent before the owner has
/// applied the pause, in milliseconds.
const APPLY_LAG: i64 = 300;

/// A job and its pause, which covers instants after `from` and up to `until`.
struct Paused {
    plan: Planned,
    from: i64,
    until: i64,
}

fn modified(job: &Value) -> i64 {
    parse_rfc3339(job["dateModified"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn pauses_hold_when_the_executing_node_dies() {
    let mut fixture = DeliveryFixture::start().await;
    let [node, _] = fixture.others;
    let other = fixture.cluster.project(node, "paused as a whole").await;
    let job = fixture.batched(json!({"spec": "@every 1s"}));
    let elsewhere = fixture.batched(json!({"spec": "@every 1s", "projectId": other}));
    // Consecutive ids, so that one node owns all of them.
    let jobs = json!([job, job, elsewhere, job]);
    let jobs = planned(&fixture.cluster.jobs(node, &jobs).await);
    let [until_then, open, whole, free] = <[Planned; 4]>::try_from(jobs).unwrap();
    let ids = [until_then.job, open.job, whole.job, free.job];
    fixture
        .arrives("all fire", |seen| ids.iter().all(|id| seen.iter().any(|a| a.job == *id)))
        .await;

    let end = now() / 1_000 * 1_000 + 9_500;
    let path = |id: u64, what: &str| format!("/api/v1/jobs/{id}/{what}");
    let until = json!({"until": rfc3339(end)});
    let first = modified(&fixture.post(node, &path(until_then.job, "pause"), until).await);
    let second = modified(&fixture.post(node, &path(open.job, "pause"), json!({})).await);
    let project = format!("/api/v1/projects/{other}");
    fixture.post(node, &format!("{project}/pause"), json!({})).await;
    let third = now();

    let victim = fixture.owner(free.job).await;
    fixture.cluster.kill(victim);
    let left: Vec<u64> = fixture.others.into_iter().filter(|id| *id != victim).collect();
    fixture.cluster.settled(fixture.leader, &left).await;
    let taken = now() + 1_000;
    fixture
        .arrives("the successor fires", |seen| {
            seen.iter().any(|a| a.job == free.job && a.scheduled > taken)
        })
        .await;
    let resumed = fixture.post(left[0], &path(open.job, "resume"), json!({})).await;
    fixture.post(left[0], &format!("{project}/resume"), json!({})).await;
    let last = now();
    let resumed = modified(&resumed);
    assert!(resumed - second > 2_000, "the pause was long enough to be seen");
    fixture.past(end).await;
    let until = now() / 1_000 * 1_000 + 1_000;
    fixture
        .arrives("all fire again", |seen| {
            ids.iter().all(|id| seen.iter().any(|a| a.job == *id && a.scheduled >= until))
        })
        .await;
    fixture.cluster.restart(victim).await;

    let pauses = [
        Paused { plan: until_then, from: first, until: end },
        Paused { plan: open, from: second, until: resumed },
        Paused { plan: whole, from: third, until: last },
        Paused { plan: free, from: 0, until: 0 },
    ];
    let seen = fixture.receiver.arrivals();
    for Paused { plan, from, until: to } in &pauses {
        let ledger = fixture.accounted(plan, until).await;
        for at in instants(plan, until) {
            let entry = &ledger[&at];
            let came = seen.iter().filter(|a| a.job == plan.job && a.scheduled == at);
            let (count, early) =
                (came.clone().count(), came.clone().any(|a| a.at + TOLERANCE < at));
            assert!(!early, "job {}: {at} came early", plan.job);
            if at > *from + APPLY_LAG && at <= *to - APPLY_LAG {
                assert_eq!(count, 0, "job {}: {at} came in the pause", plan.job);
                assert!(entry.is_skipped("paused"), "job {}: {at}: {entry:?}", plan.job);
            } else if at <= *from - APPLY_LAG || at > *to + APPLY_LAG {
                assert!(count > 0, "job {}: {at} never came", plan.job);
                assert_eq!(entry.state, "delivered", "job {}: {at}", plan.job);
            }
        }
    }
    let active = async |c: &TestCluster| {
        let found = c.get(node, &format!("/api/v1/jobs/{}", ids[0])).await;
        (found["status"] == "active" && found["pauseUntil"].is_null()).then_some(())
    };
    fixture.cluster.wait_until("the pause ends by itself", active).await;
    fixture.assert_same_state().await;
}

/// A manual run belongs to no plan: it is sent in a pause too, and the overlap policy holds for it
/// unless it is forced.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_runs_when_asked() {
    let fixture = DeliveryFixture::start().await;
    let [node, other] = fixture.others;
    fixture.receiver.script(|_| Some(super::runs::accepts()));
    let job = json!({"spec": "@yearly", "overlap": "skip", "runTimeout": "5m"});
    let job = fixture.create(node, fixture.single("/async", job)).await;
    fixture.post(node, &format!("/api/v1/jobs/{job}/pause"), json!({})).await;
    let path = format!("/api/v1/jobs/{job}/run");
    let first = fixture.post(other, &path, json!({})).await;
    let id = |ran: &Value| ran["executionId"].as_str().unwrap().to_owned();
    let first = id(&first);
    fixture.becomes(node, &first, "running").await;
    let second = id(&fixture.post(other, &path, json!({})).await);
    fixture.becomes(node, &second, "skipped").await;
    let third = id(&fixture.post(other, &path, json!({"force": true})).await);
    fixture.becomes(node, &third, "running").await;
    for one in [&first, &third] {
        let told =
            fixture.post(node, &format!("/api/v1/executions/{one}/complete"), json!({})).await;
        assert_eq!(told["state"], "delivered");
        fixture.becomes(other, one, "delivered").await;
    }
    let seen = fixture.receiver.arrivals();
    let came: Vec<_> = seen.iter().map(|a| (a.job, &a.execution_id, a.attempt)).collect();
    assert_eq!(came, [(job, &first, 1), (job, &third, 1)]);
    let skipped = fixture.cluster.get(node, &format!("/api/v1/executions/{second}")).await;
    assert_eq!(skipped["reason"], "overlap", "{skipped}");
    let shown = fixture.cluster.get(node, &format!("/api/v1/jobs/{job}")).await;
    assert_eq!(shown["status"], "inactive", "a manual run resumes nothing");
    fixture.assert_same_state().await;
}
