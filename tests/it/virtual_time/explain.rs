//! `explain` of what the node's own worker did or skipped: each end state, each reason, and what is
//! open. The reason `edited` needs clocks that differ; `worker::tests` has it.

use std::process::Command;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use scheduler0::model::time::rfc3339;
use serde_json::{Value, json};

use super::{Away, HOUR, MINUTE, SECOND};
use crate::harness::{Request, VirtualClockNode};

/// The answer of the endpoint, by path and attempt.
fn answers(request: &Request) -> Option<axum::response::Response> {
    let status = match (&*request.path, request.header("scheduler-attempt")) {
        ("/flaky", "1") | ("/deleted", _) => StatusCode::SERVICE_UNAVAILABLE,
        ("/bad", _) => StatusCode::INTERNAL_SERVER_ERROR,
        ("/gone", _) => StatusCode::GONE,
        ("/async", _) => {
            return Some((StatusCode::ACCEPTED, [("scheduler-async", "true")]).into_response());
        }
        _ => return None,
    };
    Some((status, "what the endpoint says").into_response())
}

/// Status, attempt number and HTTP code of each recorded attempt.
fn attempts(data: &Value) -> Vec<(String, u64, u64)> {
    let attempts = data["occurrence"]["attempts"].as_array().unwrap().iter();
    let one = |a: &Value| {
        let status = a["status"].as_str().unwrap().to_owned();
        (status, a["attempt"].as_u64().unwrap(), a["httpCode"].as_u64().unwrap())
    };
    attempts.map(one).collect()
}

/// The expected attempts in the same form.
fn expected(attempts: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
    attempts.iter().map(|(status, n, code)| ((*status).to_owned(), *n, *code)).collect()
}

fn has(data: &Value, parts: &[&str]) {
    let summary = data["summary"].as_str().unwrap();
    for part in parts {
        assert!(summary.contains(part), "{part:?} is not in {summary:?}");
    }
}

impl VirtualClockNode {
    /// Starts a node whose endpoint answers as above; returns it with a project.
    async fn with_answers() -> (Self, u64) {
        let node = Self::build().await;
        node.receiver.script(answers);
        let project = json!({"name": "why", "description": "of a test"});
        let made = node.done("POST", "/projects", project).await;
        (node, made["id"].as_u64().unwrap())
    }

    /// Sends a request that must succeed; returns its data.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, &format!("/api/v1{path}"), Some(body)).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer["data"].clone()
    }

    /// Creates a job of every minute with a request of its own to a path; returns its id.
    async fn minutely(&self, project: u64, path: &str, more: Value) -> u64 {
        let mut job = json!({
            "projectId": project, "spec": "* * * * *", "timezone": "UTC", "retryMax": 1,
            "retryDelay": "10s", "http": {"method": "POST", "url": self.receiver.at(path)},
        });
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.done("POST", "/jobs", json!([job])).await[0]["id"].as_u64().unwrap()
    }

    async fn explained(&self, job: u64, at: i64) -> Value {
        let path = format!("/api/v1/jobs/{job}/explain?at={}", rfc3339(at));
        let (status, body) = self.ask("GET", &path, None).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["data"]["at"], rfc3339(at));
        body["data"].clone()
    }

    /// Lets time pass until an instant of a job has a state; returns the explanation.
    async fn why(&self, job: u64, at: i64, state: &str) -> Value {
        let what = format!("job {job} at {} is {state}", rfc3339(at));
        let mut last = Value::Null;
        let is = async |node: &Self| {
            last = node.explained(job, at).await;
            assert_ne!(last["state"], "missing", "{last}");
            (last["state"] == state).then(|| last.clone())
        };
        self.until(&what, is).await
    }

    /// The explanation as the command line prints it.
    async fn told(&self, job: u64, at: i64, more: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scheduler0"));
        command
            .args(["explain", &job.to_string(), &rfc3339(at), "--server", &self.url("")])
            .args(more)
            .env_clear()
            .env("SCHEDULER0_SECRET_KEY", "5a".repeat(32))
            .env("SCHEDULER0_AUTH_USERNAME", "admin")
            .env("SCHEDULER0_AUTH_PASSWORD", "admin-password");
        let said = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }
}

/// The next full minute.
fn minute(node: &VirtualClockNode) -> i64 {
    node.now() - node.now() % MINUTE + MINUTE
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_explained_by_its_attempts() {
    let (node, project) = VirtualClockNode::with_answers().await;
    let fine = node.minutely(project, "/fine", json!({})).await;
    let flaky = node.minutely(project, "/flaky", json!({})).await;
    let bad = node.minutely(project, "/bad", json!({})).await;
    let gone = node.minutely(project, "/gone", json!({})).await;
    let at = minute(&node);
    let future = node.why(fine, at, "future").await;
    assert_eq!((&future["due"], &future["occurrence"]["attempts"]), (&json!(true), &json!([])));
    has(&future, &["not due yet", &rfc3339(at)]);
    node.jump_to(at - SECOND);

    let data = node.why(fine, at, "delivered").await;
    assert_eq!((&data["due"], &data["schedule"]["matches"]), (&json!(true), &json!(true)));
    assert_eq!(attempts(&data), expected(&[("delivered", 1, 200)]));
    let sent = &data["occurrence"]["attempts"][0];
    assert_eq!((&sent["nodeId"], &sent["how"]), (&json!(1), &json!("answer")));
    assert_eq!(sent["epoch"], data["shard"]["epoch"]);
    assert_eq!(data["plan"]["standing"], "active");
    assert_eq!(data["plan"]["misfire"]["policy"], "latest");
    let seen = node.receiver.arrivals().into_iter().find(|a| a.job == fine).unwrap();
    assert_eq!(data["occurrence"]["executionId"], seen.execution_id);
    has(&data, &["delivered: attempt 1 by node 1", "HTTP 200"]);

    // Before the second attempt, and after it.
    let data = node.why(flaky, at, "pending").await;
    assert_eq!(attempts(&data), expected(&[("failed", 1, 503)]));
    let next = &data["occurrence"]["pending"];
    assert_eq!(next["attempt"], 2);
    assert_eq!(next["nextAttemptAt"], data["occurrence"]["attempts"][0]["nextAttemptAt"]);
    has(&data, &["attempt 2 is to be made at", next["nextAttemptAt"].as_str().unwrap()]);
    let data = node.why(flaky, at, "delivered").await;
    assert_eq!(attempts(&data), expected(&[("failed", 1, 503), ("delivered", 2, 200)]));
    assert_eq!(data["occurrence"]["pending"], Value::Null);
    has(&data, &["delivered: attempt 2 by node 1"]);

    let data = node.why(bad, at, "dead").await;
    assert_eq!(attempts(&data), expected(&[("failed", 1, 500), ("dead", 2, 500)]));
    let letter = data["occurrence"]["deadLetterId"].as_u64().unwrap();
    has(&data, &["given up: attempt 2", "HTTP 500", &format!("dead letter {letter}")]);
    let error = data["occurrence"]["attempts"][1]["error"].as_str().unwrap();
    assert!(error.contains("what the endpoint says"), "{error}");

    // 410 disables the job, so its next occurrence is skipped.
    let data = node.why(gone, at, "dead").await;
    assert_eq!(attempts(&data), expected(&[("dead", 1, 410)]));
    node.jump_to(at + MINUTE - SECOND);
    node.why(fine, at + MINUTE, "delivered").await;
    let data = node.why(gone, at + MINUTE, "skipped").await;
    assert_eq!((&data["reason"], &data["due"]), (&json!("disabled"), &json!(false)));
    assert_eq!((&data["plan"]["standing"], attempts(&data)), (&json!("disabled"), vec![]));
    has(&data, &["skipped: the job was disabled from"]);

    let off = node.explained(fine, at + 30 * SECOND).await;
    assert_eq!((&off["state"], &off["due"]), (&json!("not_due"), &json!(false)));
    assert_eq!(
        (&off["previous"], &off["next"]),
        (&json!(rfc3339(at)), &json!(rfc3339(at + MINUTE)))
    );
    has(&off, &["not due: its occurrences lie on whole minutes, and this is 30 s later"]);
    let early = node.explained(fine, at - HOUR).await;
    assert_eq!(early["state"], "not_created");

    let told = node.told(flaky, at, &["-o", "table"]).await;
    for part in
        ["delivered: attempt 2 by node 1", "the job was active", "503", "what the endpoint says"]
    {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let told = node.told(gone, at + MINUTE, &["-o", "table"]).await;
    assert!(told.starts_with("skipped: the job was disabled from"), "{told}");
    let told: Value = serde_json::from_str(&node.told(bad, at, &["--json"]).await).unwrap();
    assert_eq!(told["data"], node.explained(bad, at).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_and_what_waits_behind_them_are_explained() {
    let (node, project) = VirtualClockNode::with_answers().await;
    let overlap = |policy: &str| json!({"overlap": policy, "runTimeout": "30m"});
    let skip = node.minutely(project, "/async", overlap("skip")).await;
    let queue = node.minutely(project, "/async", overlap("queue_one")).await;
    let push = node.minutely(project, "/async", overlap("cancel_previous")).await;
    let first = minute(&node);
    node.jump_to(first - SECOND);
    for job in [skip, queue, push] {
        // The wait covers the time between sending and acceptance.
        let accepted = async |node: &VirtualClockNode| {
            let data = node.explained(job, first).await;
            (data["occurrence"]["run"]["accepted"] == true).then_some(data)
        };
        let data = node.until("it is accepted", accepted).await;
        assert_eq!(data["state"], "running");
        let run = &data["occurrence"]["run"];
        assert_eq!((&run["accepted"], &run["attempt"]), (&json!(true), &json!(1)), "{data}");
        has(&data, &["under way: accepted by its receiver, by node 1"]);
    }
    let second = first + MINUTE;
    node.jump_to(second - SECOND);
    let data = node.why(skip, second, "skipped").await;
    assert_eq!((&data["reason"], &data["due"]), (&json!("overlap"), &json!(true)));
    has(&data, &["skipped: the run before it was still under way"]);

    let ran = node.explained(queue, first).await["occurrence"]["executionId"].clone();
    let data = node.why(queue, second, "pending").await;
    assert_eq!(data["occurrence"]["pending"]["behind"], json!([ran]));
    assert_eq!(data["occurrence"]["pending"]["nextAttemptAt"], Value::Null);
    has(&data, &["it waits until the run before it is over"]);

    node.why(push, second, "running").await;
    let data = node.why(push, first, "skipped").await;
    assert_eq!(data["reason"], "cancelled");
    has(&data, &["skipped: its run was cancelled"]);

    let path = format!("/executions/{}/complete", ran.as_str().unwrap());
    node.done("POST", &path, json!({})).await;
    let data = node.why(queue, first, "delivered").await;
    let last = data["occurrence"]["attempts"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["status"], &last["how"]), (&json!("delivered"), &json!("reported")));
    node.why(queue, second, "running").await;
    let told = node.told(skip, second, &["-o", "table"]).await;
    assert!(told.starts_with("skipped: the run before it was still under way"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_is_explained_by_the_decision() {
    let (mut node, project) = VirtualClockNode::with_answers().await;
    let witness = node.minutely(project, "/fine", json!({})).await;
    let paused = node.minutely(project, "/fine", json!({})).await;
    let edited = node.minutely(project, "/fine", json!({})).await;
    let deleted = node.minutely(project, "/deleted", json!({"retryDelay": "1h"})).await;
    let skip = json!({"misfire": {"policy": "skip"}});
    let late = node.minutely(project, "/fine", skip).await;
    let first = minute(&node);
    node.done("POST", &format!("/jobs/{paused}/pause"), json!({})).await;
    node.jump_to(first - SECOND);
    node.why(witness, first, "delivered").await;
    let data = node.why(paused, first, "skipped").await;
    assert_eq!((&data["reason"], &data["due"]), (&json!("paused"), &json!(false)));
    assert_eq!((&data["plan"]["standing"], attempts(&data)), (&json!("paused"), vec![]));
    has(&data, &["skipped: the job was paused from", "until further notice"]);

    // An edit closes the plan: earlier occurrences stay, later ones of the old plan are not due.
    node.why(edited, first, "delivered").await;
    node.jump_to(first + 30 * SECOND);
    let hourly = json!({"spec": "30 * * * *"});
    node.done("PATCH", &format!("/jobs/{edited}"), hourly).await;
    node.jump_to(first + MINUTE - SECOND);
    node.why(witness, first + MINUTE, "delivered").await;
    let data = node.explained(edited, first + MINUTE).await;
    assert_eq!((&data["state"], &data["due"]), (&json!("not_due"), &json!(false)));
    has(&data, &["wants 30"]);
    assert_eq!(node.explained(edited, first).await["state"], "delivered");
    assert_eq!(node.arrivals_of(edited), [first]);

    // A deletion between two attempts cancels the second one.
    node.why(deleted, first, "pending").await;
    let (status, _) = node.ask("DELETE", &format!("/api/v1/jobs/{deleted}"), None).await;
    assert_eq!(status, 204);
    let gone = node.explained(deleted, first + 30 * MINUTE).await;
    assert_eq!(gone["state"], "deleted");
    has(&gone, &["the job was deleted at"]);
    node.jump_to(first + HOUR - SECOND);
    let data = node.why(deleted, first, "skipped").await;
    assert_eq!(data["reason"], "ended");
    assert_eq!(attempts(&data)[0], ("failed".to_owned(), 1, 503));
    has(&data, &["skipped: the job was deleted, or was past its end"]);

    // A paused project.
    let path = format!("/projects/{project}");
    let pause = minute(&node) + MINUTE;
    node.jump_to(pause - 30 * SECOND);
    node.why(witness, pause - MINUTE, "delivered").await;
    node.done("PATCH", &path, json!({"status": "inactive"})).await;
    node.jump_to(pause + 30 * SECOND);
    node.done("PATCH", &path, json!({"status": "active"})).await;
    node.jump_to(pause + MINUTE - SECOND);
    node.why(witness, pause + MINUTE, "delivered").await;
    let data = node.why(witness, pause, "skipped").await;
    assert_eq!((&data["reason"], &data["plan"]["standing"]), (&json!("paused"), &json!("active")));
    has(&data, &["skipped: its project was paused from"]);

    // The node was down for three hours.
    let last = pause + MINUTE;
    node.why(late, last, "delivered").await;
    node.jump_to(last + 20 * SECOND);
    node.away(Away::Stopped, 3 * HOUR).await;
    let newest = last + 3 * HOUR;
    node.why(witness, newest, "delivered").await;
    for (job, policy) in [(witness, "latest: only the newest"), (late, "skip: what is late is not")]
    {
        let data = node.why(job, last + HOUR, "skipped").await;
        assert_eq!((&data["reason"], &data["due"]), (&json!("misfire"), &json!(true)));
        let range = &data["occurrence"]["attempts"][0];
        assert_eq!(range["skippedSince"], rfc3339(last + MINUTE), "{data}");
        assert!(policy.starts_with(data["plan"]["misfire"]["policy"].as_str().unwrap()));
        has(&data, &["skipped: it could not be sent in time", policy, "like all from"]);
    }
    let told = node.told(late, last + HOUR, &["-o", "table"]).await;
    assert!(told.starts_with("skipped: it could not be sent in time"), "{told}");
}
