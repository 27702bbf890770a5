//! Changes of a job between the scheduled and the due instant of an occurrence, on a whole node
//! that dies meanwhile: what was planned is sent, and the job is shown correctly all the time.

use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::{Value, json};

use super::{Away, MINUTE, SECOND};
use crate::harness::VirtualClockNode;

/// An hourly job and its next occurrence, which is due at least half a minute after it is
/// scheduled.
struct Late {
    id: u64,
    scheduled: i64,
    due: i64,
}

impl VirtualClockNode {
    /// Creates jobs until the jitter of one is large enough.
    async fn late(&self, more: &Value) -> Late {
        let mut job = json!({
            "projectId": 1, "spec": "0 * * * *", "timezone": "UTC", "data": "{}",
            "callbackUrl": self.receiver.url(), "jitter": "2m",
        });
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        loop {
            let (status, body) = self.ask("POST", "/api/v1/jobs", Some(json!([job]))).await;
            assert_eq!(status, 201, "{body}");
            let made = &body["data"][0];
            let instant = |name: &str| parse_rfc3339(made[name].as_str().unwrap()).unwrap();
            let (scheduled, due) = (instant("nextExecutionDate"), instant("nextDueDate"));
            if due >= scheduled + 30 * SECOND {
                return Late { id: made["id"].as_u64().unwrap(), scheduled, due };
            }
        }
    }

    async fn change(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, body) = self.ask(method, path, Some(body)).await;
        assert_eq!(status, 200, "{method} {path}: {body}");
        body["data"].clone()
    }

    async fn shown(&self, job: u64) -> Value {
        self.ask("GET", &format!("/api/v1/jobs/{job}"), None).await.1["data"].clone()
    }

    /// State and reason of a job's occurrence, once it is over.
    async fn ended(&self, job: &Late) -> (String, String) {
        let (from, until) = (rfc3339(job.due), rfc3339(job.due));
        let path = format!("/api/v1/jobs/{}/occurrences?from={from}&until={until}", job.id);
        self.until("the occurrence has an end", async |node: &Self| {
            let (_, body) = node.ask("GET", &path, None).await;
            let one = &body["data"]["occurrences"][0];
            assert_eq!(one["scheduledAt"], rfc3339(job.scheduled), "{body}");
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            let open = ["future", "not_recorded", "pending", "running"];
            (!open.contains(&&*text("state"))).then(|| (text("state"), text("reason")))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn what_was_planned_before_an_edit_comes_after_a_crash() {
    let mut node = VirtualClockNode::build().await;
    node.jobs(&["@yearly"]).await;
    let edits = [
        json!({"endDate": "2040-01-01T00:00:00Z"}),
        json!({"jitter": null}),
        json!({"spec": "0 0 1 1 *"}),
        json!({"misfire": {"policy": "all"}, "dst": {"gap": "skip"}}),
    ];
    let mut jobs = Vec::new();
    for _ in &edits {
        jobs.push(node.late(&json!({})).await);
    }
    node.jump_to(jobs[0].scheduled + 5 * SECOND);
    for (edit, job) in edits.iter().zip(&jobs) {
        node.change("PATCH", &format!("/api/v1/jobs/{}", job.id), edit.clone()).await;
        let shown = node.shown(job.id).await;
        assert_eq!(shown["nextExecutionDate"], rfc3339(job.scheduled), "it is still to come");
        assert_eq!(shown["nextDueDate"], rfc3339(job.due));
        let next = node.ask("GET", &format!("/api/v1/jobs/{}/next?count=2", job.id), None).await.1;
        let next = &next["data"]["occurrences"];
        assert_eq!(next[0]["utc"], rfc3339(job.scheduled), "{next}");
        assert_eq!(next[0]["dueAt"], rfc3339(job.due), "{next}");
        assert!(next[1]["utc"].as_str() > next[0]["utc"].as_str(), "{next}");
    }
    node.away(Away::Crashed, 10 * SECOND).await;
    for (edit, job) in edits.iter().zip(&jobs) {
        node.arrives(job.id, job.scheduled).await;
        assert_eq!(node.ended(job).await, ("delivered".to_owned(), String::new()), "{edit}");
        assert_eq!(node.arrivals_of(job.id), [job.scheduled], "{edit}: once");
        let shown = node.shown(job.id).await;
        assert_eq!(shown["lastExecutionDate"], rfc3339(job.scheduled));
        assert_ne!(shown["nextExecutionDate"], rfc3339(job.scheduled));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_job_is_completed_when_its_last_occurrence_is_due() {
    let mut node = VirtualClockNode::build().await;
    node.jobs(&["@yearly"]).await;
    let hour = node.now() - node.now() % (60 * MINUTE) + 60 * MINUTE;
    // A job whose last date is its only instant, and one whose last date is long after its last
    // instant.
    let mut jobs = Vec::new();
    for bounds in [
        json!({"startDate": rfc3339(hour), "endDate": rfc3339(hour)}),
        json!({"endDate": rfc3339(hour + 30 * MINUTE), "jitter": "100s"}),
    ] {
        jobs.push(node.late(&bounds).await);
    }
    let listed = async |node: &VirtualClockNode, job: &Late, status: &str| {
        let path = format!("/api/v1/jobs?status={status}&limit=1000");
        let (_, body) = node.ask("GET", &path, None).await;
        body["data"]["jobs"].as_array().unwrap().iter().any(|one| one["id"] == job.id)
    };
    node.jump_to(hour + 2 * SECOND);
    for job in &jobs {
        assert_eq!(job.scheduled, hour);
        assert_eq!(node.shown(job.id).await["status"], "active", "it is still to come");
        assert!(listed(&node, job, "active").await && !listed(&node, job, "completed").await);
    }
    for job in &jobs {
        node.arrives(job.id, hour).await;
        assert_eq!(node.ended(job).await.0, "delivered");
        let shown = node.shown(job.id).await;
        assert_eq!(shown["status"], "completed", "{shown}");
        assert_eq!(shown["lastExecutionDate"], rfc3339(hour));
        assert!(shown["nextExecutionDate"].is_null() && shown["pauseUntil"].is_null());
        assert!(!listed(&node, job, "active").await && listed(&node, job, "completed").await);
        // A job that is sent back as it is shown does not change.
        let path = format!("/api/v1/jobs/{}", job.id);
        let first = node.change("PUT", &path, shown).await;
        assert_eq!(first["status"], "completed", "{first}");
        let again = node.change("PUT", &path, first.clone()).await;
        assert_eq!(again, first, "nothing changes");
    }
    node.away(Away::Crashed, SECOND).await;
    for job in &jobs {
        assert_eq!(node.shown(job.id).await["status"], "completed");
        assert_eq!(node.arrivals_of(job.id), [hour]);
        let path = format!("/api/v1/jobs/{}", job.id);
        let more = node.change("PATCH", &path, json!({"endDate": null})).await;
        assert_eq!(more["status"], "active", "a later last date takes it back");
        assert!(more["nextExecutionDate"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_pause_is_asked_when_an_occurrence_is_due() {
    let node = VirtualClockNode::build().await;
    node.jobs(&["@yearly"]).await;
    let [over, paused, gone] =
        [node.late(&json!({})).await, node.late(&json!({})).await, node.late(&json!({})).await];
    let act = async |job: &Late, what: &str, body: Value| {
        node.change("POST", &format!("/api/v1/jobs/{}/{what}", job.id), body).await
    };
    node.jump_to(over.scheduled - SECOND);
    act(&over, "pause", json!({"until": rfc3339(over.due)})).await;
    node.jump_to(over.scheduled + SECOND);
    let shown = act(&paused, "pause", json!({})).await;
    assert!(shown["nextExecutionDate"].is_null(), "{shown}");
    let shown = node.shown(over.id).await;
    assert_eq!(
        (&shown["status"], &shown["pauseUntil"]),
        (&json!("inactive"), &json!(rfc3339(over.due)))
    );
    assert_eq!(shown["nextExecutionDate"], rfc3339(over.scheduled), "due when the pause ends");
    assert_eq!(node.ask("DELETE", &format!("/api/v1/jobs/{}", gone.id), None).await.0, 204);
    node.arrives(over.id, over.scheduled).await;
    node.jump_to(over.scheduled + 3 * MINUTE);
    let told = |state: &str, reason: &str| (state.to_owned(), reason.to_owned());
    assert_eq!(node.ended(&over).await, told("delivered", ""));
    assert_eq!(node.ended(&paused).await, told("skipped", "paused"));
    assert_eq!(node.ended(&gone).await, told("skipped", "ended"));
    assert_eq!((node.arrivals_of(paused.id), node.arrivals_of(gone.id)), (vec![], vec![]));
    let why = format!("/api/v1/jobs/{}/explain?at={}", paused.id, rfc3339(paused.scheduled));
    let why = node.ask("GET", &why, None).await.1;
    assert!(why["data"]["summary"].as_str().unwrap().contains("paused from"), "{why}");
}
