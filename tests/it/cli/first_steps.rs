//! The first steps of a new user: commands beside `dev`, errors that say why, waits for a cluster,
//! and readable tables.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Method;
use serde_json::{Value, json};

use super::fake::{Node, code, ok, scheduler0, stderr, stdout};

#[test]
fn a_refusal_is_told_with_its_reason_and_advice() {
    let node = Node::start(|_| {
        let reason = "job spec is not valid 0 9 * *: found 4 fields; write 5";
        let error = json!({"code": "invalid", "message": reason, "field": "spec"});
        (400, json!({"data": "job spec is not valid 0 9 * *", "success": false, "error": error}))
    });
    let said =
        node.run(&["create", "job", "--project", "1", "--spec", "0 9 * *", "--url", "http://x"]);
    assert_eq!(code(&said), 3);
    let line = "error: the node refused: job spec is not valid 0 9 * *: found 4 fields; write 5 (HTTP 400)\n";
    assert!(stderr(&said).ends_with(line), "{}", stderr(&said));
}

#[test]
fn commands_find_the_credentials_of_the_node_that_dev_runs_here() {
    let node = Node::start(|_| ok(&json!({"total": 0, "projects": []})));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("scheduler0-dev");
    std::fs::create_dir(&data).unwrap();
    let made =
        ["credential", "init", "--generate", "--weak", "--username", "op", "--password", "pw"];
    assert_eq!(code(&scheduler0(&data, &made)), 0);
    let said = scheduler0(folder.path(), &["list", "projects", "--server", &node.url]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(node.last().headers["authorization"], "Basic b3A6cHc=");
    let said = scheduler0(folder.path(), &["credential", "show"]);
    assert!(stdout(&said).contains("op"), "{}", stderr(&said));
    // A node that is started here needs credentials of its own.
    let said = scheduler0(folder.path(), &["start", "--port", "0"]);
    assert_eq!(code(&said), 2, "{}", stderr(&said));
    assert!(stderr(&said).contains("credential init"), "{}", stderr(&said));
}

#[test]
fn where_a_node_answers_nobody_is_told_to_make_other_credentials() {
    let node = Node::start(|_| ok(&Value::Null));
    let folder = tempfile::tempdir().unwrap();
    let said = scheduler0(folder.path(), &["list", "jobs", "--server", &node.url]);
    assert_eq!(code(&said), 2);
    let told = stderr(&said);
    assert!(told.contains(&format!("a node runs at {}", node.url)), "{told}");
    assert!(!told.contains("credential init"), "{told}");
}

#[test]
fn status_waits_until_the_cluster_is_ready_and_not_for_ever() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let node = Node::start(|_| {
        let leader = if ASKED.fetch_add(1, Ordering::SeqCst) < 2 { Value::Null } else { json!(1) };
        let shards = [json!({"id": 0, "owner": 1, "watermark": "2026-01-01T00:00:00Z"})];
        ok(&json!({"leader": leader, "term": 1, "nodes": [{"id": 1}], "shards": shards}))
    });
    let said = node.run(&["status", "--wait", "0"]);
    assert_eq!(code(&said), 1);
    assert_eq!(stderr(&said), "error: not ready after 0 s: there is no leader\n");
    let said = node.run(&["status", "--wait"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert!(stdout(&said).contains("node 1 (term 1)") && ASKED.load(Ordering::SeqCst) >= 3);
    // Nothing listens on this port: the error comes when the time is over.
    let folder = tempfile::tempdir().unwrap();
    scheduler0(folder.path(), &["credential", "init", "--yes"]);
    let said =
        scheduler0(folder.path(), &["status", "--wait", "0", "--server", "http://127.0.0.1:1"]);
    assert!(code(&said) == 4 && stderr(&said).contains("not ready after 0 s"), "{}", stderr(&said));
}

#[test]
fn a_list_of_jobs_says_when_where_and_what_became_of_them() {
    let node = Node::start(|asked| {
        if asked.uri.path().ends_with("/executions") {
            let skipped = json!({"status": "skipped", "reason": "overlap", "jobId": 2});
            let query = asked.uri.query().unwrap_or_default();
            let found = if query.contains("jobId=2&") { vec![skipped] } else { vec![] };
            return ok(&json!({"total": found.len(), "executions": found}));
        }
        let jobs = json!([
            {"id": 1, "projectId": 1, "spec": "", "at": "2027-03-01T09:00:00Z", "status": "active",
                "callbackUrl": "", "http": {"method": "PUT", "url": "http://a/b"},
                "nextExecutionDate": "2027-03-01T09:00:00Z", "labels": {"team": "shop", "tier": "1"}},
            {"id": 2, "projectId": 1, "spec": "", "after": "20m", "status": "completed",
                "callbackUrl": "", "executorId": 7, "externalId": "order-77"},
            {"id": 3, "projectId": 1, "spec": "@daily", "status": "active", "callbackUrl": "http://c"},
        ]);
        ok(&json!({"total": 3, "jobs": jobs}))
    });
    let table = stdout(&node.run(&["list", "jobs", "-o", "wide"]));
    let rows: Vec<Vec<_>> = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let next = "2027-03-01T09:00:00Z";
    let wanted = [
        vec!["ID", "PROJECT", "EXTERNAL ID", "WHEN", "STATUS", "LAST", "NEXT", "TARGET", "LABELS"],
        vec![
            "1",
            "1",
            "-",
            "once, at 2027-03-01T09:00:00Z",
            "active",
            "-",
            next,
            "PUT http://a/b",
            "team=shop,tier=1",
        ],
        vec![
            "2",
            "1",
            "order-77",
            "once, after 20m",
            "completed",
            "skipped: overlap",
            "-",
            "executor 7",
            "-",
        ],
        vec!["3", "1", "-", "@daily", "active", "-", "-", "http://c", "-"],
    ];
    assert_eq!(rows, wanted, "{table}");
    let table = stdout(&node.run(&["list", "jobs"]));
    assert!(!table.contains("PROJECT") && table.contains("EXTERNAL ID"), "{table}");
}

#[test]
fn a_list_of_executions_says_why_nothing_was_sent_and_that_nobody_answered() {
    let node = Node::start(|_| {
        let chain = "no connection: tcp connect error: Connection refused (os error 111)";
        let executions = json!([
            {"jobId": 1, "scheduledAt": "2026-01-01T00:00:00Z", "status": "skipped", "state": 0,
                "reason": "paused", "attempt": 0, "httpCode": 0, "durationMs": 0},
            {"jobId": 1, "scheduledAt": "2026-01-01T00:00:01Z", "status": "failed", "attempt": 1,
                "httpCode": 0, "durationMs": 12_345, "error": chain},
            {"jobId": 1, "scheduledAt": "2026-01-01T00:00:01Z", "status": "delivered",
                "attempt": 2, "httpCode": 204, "durationMs": 3},
        ]);
        ok(&json!({"total": 3, "executions": executions}))
    });
    let table = stdout(&node.run(&["list", "executions"]));
    let wanted = "\
SCHEDULED             JOB  RESULT           ATTEMPT  ANSWER     TOOK    ERROR
2026-01-01T00:00:00Z  1    skipped: paused  -        -          -       -
2026-01-01T00:00:01Z  1    failed           1        no answer  12.3 s  Connection refused
2026-01-01T00:00:01Z  1    delivered        2        HTTP 204   3 ms    -
";
    assert_eq!(table, wanted);
}

#[test]
fn explain_needs_no_instant() {
    let node = Node::start(|asked| {
        let id = "deadbeef-7-19aa5b1e8f0-1";
        let run = json!({"executionId": id, "state": "delivered", "summary": "run by hand, done",
            "manual": true, "attempts": []});
        let path = asked.uri.path();
        if path.ends_with("/explain") {
            let (at, next) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
            return ok(&json!({"summary": format!("asked {}", asked.uri.query().unwrap()),
                "previous": at, "next": next, "state": "not_due", "manualRuns": [run]}));
        }
        let execution = json!({"executionId": id, "jobId": 7, "run": 1,
            "scheduledAt": "2026-01-01T12:00:00Z"});
        if path.ends_with(id) {
            return ok(&execution);
        }
        ok(&json!({"total": 1, "executions": [execution]}))
    });
    let asked = |arguments: &[&str]| {
        let said = node.run(&[&["explain"], arguments].concat());
        assert_eq!(code(&said), 0, "{}", stderr(&said));
        let at = node.last().uri.query().unwrap().replace("%3A", ":");
        (at, stdout(&said).lines().next().unwrap_or_default().to_owned())
    };
    // A manual run is the newest when it is newer than the last occurrence.
    let (at, fact) = asked(&["7"]);
    assert_eq!((at.as_str(), fact.as_str()), ("at=2026-01-01T12:00:00Z", "run by hand, done"));
    assert_eq!(asked(&["7", "--next"]).0, "at=2026-01-02T00:00:00Z");
    assert_eq!(asked(&["deadbeef-7-19aa5b1e8f0-1", "--wait"]).1, "run by hand, done");
    assert_eq!(asked(&["7", "deadbeef-7-19aa5b1e8f0-1"]).1, "run by hand, done");
    assert!(asked(&["7", "now"]).0.starts_with("at=20"));
    for (arguments, part) in [
        (&["explain", "seven"][..], "JOB: expected a number or an execution id"),
        (&["explain", "7", "2026-11-20"], "INSTANT: expected RFC 3339"),
        (&["explain", "deadbeef-7-19aa5b1e8f0-1", "--next"], "leave out the rest"),
    ] {
        let said = node.run(arguments);
        assert!(code(&said) == 2 && stderr(&said).contains(part), "{}", stderr(&said));
    }
}

#[test]
fn a_delete_goes_on_past_a_missing_one_and_fails() {
    let node = Node::start(|asked| {
        let missing = json!({"data": "job cannot be found", "success": false});
        if asked.uri.path().ends_with("/99") { (404, missing) } else { (204, Value::Null) }
    });
    let said = node.run(&["delete", "job", "99", "2"]);
    assert_eq!(code(&said), 3);
    assert_eq!(node.last().uri.path(), "/api/v1/jobs/2");
    let told = stderr(&said);
    for part in
        ["job 99: the node refused: job cannot be found", "deleted job 2", "1 of 2 jobs not"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// The answers of a node with jobs, projects and members to delete.
fn deletable(asked: &super::fake::Asked) -> (u16, Value) {
    match (asked.method.as_str(), asked.uri.path()) {
        ("DELETE", _) => (204, Value::Null),
        ("GET", "/api/v1/jobs") => ok(&json!({"total": 120, "jobs": []})),
        ("GET", "/api/v1/projects/1") => ok(&json!({"id": 1, "name": "billing"})),
        ("GET", "/api/v1/credentials/4") => ok(&json!({"id": 4, "apiKey": "s0_k"})),
        ("GET", "/api/v1/cluster/members") => {
            let member = json!({"id": 2, "role": "voter", "address": "http://n2", "shards": 21});
            ok(&json!({"leader": 1, "members": [member]}))
        }
        _ => ok(&json!({"id": 7, "spec": "@daily", "callbackUrl": "http://x/y"})),
    }
}

#[test]
fn a_dry_run_shows_what_a_delete_would_take_away() {
    let node = Node::start(deletable);
    for (arguments, line) in [
        (&["delete", "job", "7", "--dry-run"][..], "would delete job 7 (@daily, http://x/y)\n"),
        (
            &["delete", "project", "1", "--cascade", "--dry-run"],
            "would delete project 1 (billing, with 120 jobs)\n",
        ),
        (&["delete", "credential", "4", "--dry-run"], "would delete credential 4 (key s0_k)\n"),
    ] {
        let said = node.run(arguments);
        assert_eq!((code(&said), stdout(&said).as_str()), (0, line), "{}", stderr(&said));
    }
    assert_eq!(node.count_of(&Method::DELETE), 0);
}

#[test]
fn on_a_terminal_the_question_names_what_goes() {
    let node = Node::start(deletable);
    for (command, part) in [
        ("delete job 7", "This deletes 1 job:\r\n  job 7 (@daily, http://x/y)\r\nGo on? [y/N]"),
        ("delete credential 4", "  credential 4 (key s0_k)"),
        ("delete project 1 --cascade", "  project 1 (billing, with 120 jobs)"),
        ("archive credential 4", "Credential 4 (key s0_k) stops working at once"),
        ("cluster remove 2", "Node 2 (http://n2, voter, 21 shards) leaves the cluster for good"),
        ("cluster transfer-leader 3", "The leadership goes from node 1 to node 3. Go on?"),
    ] {
        let said = node.on_a_terminal(command, "n\n");
        assert!(said.contains(part) && said.contains("nothing was"), "{command}: {said}");
    }
    assert_eq!(node.count_of(&Method::DELETE) + node.count_of(&Method::POST), 0);
    assert_eq!(node.count_of(&Method::PUT), 0);
    assert!(node.on_a_terminal("delete job 7", "y\n").contains("deleted job 7"));
    assert!(node.on_a_terminal("delete job 7 --yes", "").contains("deleted job 7"));
    assert_eq!(node.count_of(&Method::DELETE), 2);
}
