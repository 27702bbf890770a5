//! Commands that ask a node: the requests that they make and the answers that they show.

use std::process::Command;

use axum::http::Method;
use serde_json::{Value, json};

use super::fake::{Node, code, ok, scheduler0, stderr, stdout};

#[test]
fn the_nodes_warnings_go_to_stderr() {
    let node = Node::start(|_| {
        let warnings = ["unknown fields were ignored: retries", "job spec \u{1b}[2J"];
        (201, json!({"data": [{"id": 4}], "success": true, "warnings": warnings}))
    });
    let job = ["create", "job", "--project", "1", "--spec", "@daily", "--url", "http://x"];
    let said = node.run(&[&job[..], &["--timezone", "UTC"]].concat());
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let lines = "warning: unknown fields were ignored: retries\nwarning: job spec \\u{1b}[2J\n";
    assert_eq!(stderr(&said), lines);
    assert_eq!(stdout(&said), "ID\n4\n");
}

#[test]
fn executions_are_listed_by_the_apis_own_words() {
    let node = Node::start(|_| ok(&json!({"total": 0, "executions": []})));
    for (state, until, wanted) in [
        ("dead", "--until", "dead"),
        ("delivered", "--until", "delivered"),
        ("success", "--to", "delivered"),
        ("failed", "--to", "failed"),
        ("scheduled", "--until", "scheduled"),
    ] {
        let (from, to) = ("2026-01-01", "2026-01-02");
        let asked = ["list", "executions", "--state", state, "--from", from, until, to];
        let said = node.run(&asked);
        assert_eq!(code(&said), 0, "{}", stderr(&said));
        let uri = node.last().uri.to_string();
        let query = format!("state={wanted}&from={from}&until={to}&limit=50");
        assert!(uri.contains(&query), "{uri}");
    }
}

#[test]
fn an_executor_is_created_from_a_file_and_listed_by_its_destination() {
    fn with(url: &str) -> Value {
        json!({"name": "orders", "type": "amqp",
            "amqp": {"url": url, "exchange": "orders", "routingKey": "new"}})
    }
    let node = Node::start(|asked| {
        let mut made = with("amqp://me:***@mq/");
        made["id"] = 3.into();
        match asked.method {
            Method::POST => (201, json!({"data": made, "success": true})),
            _ => ok(&json!({"total": 1, "executors": [made]})),
        }
    });
    let body = with("amqp://me:hunter2@mq/");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("executor.json");
    std::fs::write(&file, body.to_string()).unwrap();
    let said = node.run(&["create", "executor", "--file", file.to_str().unwrap()]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!((node.last().uri.path(), &node.last().body), ("/api/v1/executors", &body));
    let listed = node.run(&["list", "executors"]);
    assert_eq!(code(&listed), 0, "{}", stderr(&listed));
    for table in [stdout(&said), stdout(&listed)] {
        let columns: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(columns, ["ID", "NAME", "TYPE", "DESTINATION"], "{table}");
        assert!(table.contains("orders/new at amqp://me:***@mq/"), "{table}");
        assert!(table.lines().all(|line| line.len() <= 80), "{table}");
    }
    assert_eq!(node.last().uri.path(), "/api/v1/executors");
}

#[test]
fn a_job_is_created_for_an_executor() {
    let node = Node::start(|asked| {
        let mut job = asked.body[0].clone();
        job["id"] = 9.into();
        (201, json!({"data": [job], "success": true}))
    });
    let job = ["create", "job", "--project", "1", "--spec", "@daily", "--timezone", "UTC"];
    let said = node.run(&[&job[..], &["--executor", "3"]].concat());
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert!(stdout(&said).contains("executor 3"), "{}", stdout(&said));
    let asked = node.last();
    assert_eq!((&asked.body[0]["executorId"], asked.body[0].get("callbackUrl")), (&json!(3), None));
    let both = node.run(&[&job[..], &["--executor", "3", "--url", "http://x"]].concat());
    assert_eq!(code(&both), 2, "{}", stderr(&both));
}

#[test]
fn a_job_is_created_from_flags() {
    let node = Node::start(|asked| {
        let mut job = asked.body[0].clone();
        job["id"] = 9.into();
        (201, json!({"data": [job], "success": true}))
    });
    let said = node.run(&[
        "create",
        "job",
        "--project",
        "1",
        "--spec",
        "@every 5s",
        "--url",
        "http://x/y",
        "--data",
        "{\"a\":1}",
        "-o",
        "table",
    ]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let table = stdout(&said);
    assert!(table.starts_with("ID") && table.contains("@every 5s"), "{table}");
    let asked = node.last();
    assert_eq!(asked.headers["prefer"], "return=representation");
    assert_eq!(asked.body[0]["projectId"], 1);
    assert_eq!(
        (&asked.body[0]["timezone"], &asked.body[0]["data"]),
        (&json!("UTC"), &json!("{\"a\":1}"))
    );
    let default = "timezone UTC, by default: --timezone names another\n";
    assert!(stderr(&said).contains(default), "{}", stderr(&said));
    for (spec, zone) in
        [("@daily", &["--timezone", "Asia/Tokyo"][..]), ("TZ=Asia/Tokyo @daily", &[])]
    {
        let job = ["create", "job", "--project", "1", "--url", "http://x/y", "--spec", spec];
        let said = node.run(&[&job[..], zone].concat());
        assert!(!stderr(&said).contains("by default"), "{}", stderr(&said));
    }
}

#[test]
fn lists_are_tables_or_the_envelope_as_it_came() {
    let node = Node::start(|_| {
        let job = json!({"id": 3, "projectId": 1, "spec": "@daily", "status": "active"});
        ok(&json!({"total": 120, "offset": 0, "limit": 50, "jobs": [job]}))
    });
    let said =
        node.run(&["list", "jobs", "--project", "1", "--order-by", "id", "--desc", "-o", "table"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert!(stdout(&said).contains("@daily") && stderr(&said).contains("--offset 1"));
    let query = node.last_at("/api/v1/jobs").uri.query().unwrap().to_owned();
    assert_eq!(query, "projectId=1&limit=50&offset=0&orderBy=id&orderByDirection=desc");
    // A pipe gets a table, too: JSON comes only where it is asked for.
    assert!(stdout(&node.run(&["list", "jobs"])).starts_with("ID"));
    let said = node.run(&["list", "jobs", "--json"]);
    let envelope: Value = serde_json::from_str(&stdout(&said)).unwrap();
    assert_eq!(envelope["data"]["total"], 120);
    assert_eq!(stderr(&said), "");
}

#[test]
fn things_are_deleted_one_by_one() {
    let node = Node::start(|asked| {
        let gone = asked.uri.path().ends_with("/3");
        let missing = json!({"data": "job cannot be found", "success": false});
        if gone { (404, missing) } else { (204, Value::Null) }
    });
    let said = node.run(&["delete", "job", "1", "2"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(
        (node.last().method, node.last().uri.path().to_owned()),
        (Method::DELETE, "/api/v1/jobs/2".into())
    );
    let said = node.run(&["delete", "job", "3"]);
    assert_eq!(code(&said), 3);
    assert!(stderr(&said).contains("job cannot be found (HTTP 404)"), "{}", stderr(&said));
    let said = node.run(&["delete", "project", "1", "--cascade"]);
    assert_eq!(code(&said), 2, "a cascade is asked about, and nobody answers");
    let said = node.run(&["delete", "project", "1", "--cascade", "--yes"]);
    assert_eq!(code(&said), 0);
    assert_eq!(node.last().uri.query(), Some("cascade=true"));
}

#[test]
fn checksums_that_differ_are_a_failure() {
    let node = Node::start(|_| {
        ok(&json!({"index": 9, "nodes": [{"id": 1, "hash": "aa"}, {"id": 2, "hash": "aa"}]}))
    });
    let said = node.run(&["cluster", "checksum", "-o", "table"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(node.last().uri.path(), "/api/v1/cluster/checksum");
    let node = Node::start(|_| {
        ok(&json!({"index": 9, "nodes": [{"id": 1, "hash": "aa"}, {"id": 2, "hash": "ab"}]}))
    });
    assert_eq!(code(&node.run(&["cluster", "checksum"])), 1);
    let node = Node::start(|_| {
        ok(&json!({"index": 9, "nodes": [{"id": 1, "hash": "aa"}, {"id": 2, "error": "down"}]}))
    });
    let said = node.run(&["cluster", "checksum"]);
    assert_eq!(code(&said), 1);
    assert!(stderr(&said).contains("1 of 2 nodes did not answer"), "{}", stderr(&said));
}

#[test]
fn where_a_node_is_down_the_next_of_the_cluster_is_asked() {
    let node = Node::start(|_| ok(&json!({"total": 0, "offset": 0, "limit": 10, "projects": []})));
    let folder = tempfile::tempdir().unwrap();
    scheduler0(folder.path(), &["credential", "init", "--yes"]);
    // Nobody listens on these ports.
    let replicas = json!([
        {"nodeId": 1, "address": "http://127.0.0.1:1", "raft_address": "127.0.0.1:5"},
        {"nodeId": 2, "address": "http://127.0.0.1:2", "raft_address": "127.0.0.1:3"},
        {"nodeId": 3, "address": node.url, "raft_address": "127.0.0.1:4"},
    ]);
    let run = |arguments: &[&str]| {
        let said = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("SCHEDULER0_REPLICAS", replicas.to_string())
            .env("SCHEDULER0_NODE_ID", "1")
            .env("SCHEDULER0_PORT", "1")
            .output();
        said.unwrap()
    };
    let said = run(&["list", "projects"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert!(stderr(&said).contains(&format!("asking {}", node.url)), "{}", stderr(&said));
    assert_eq!(node.count(&Method::GET, "/api/v1/projects"), 1);
    // A named node is the only one that is asked.
    let said = run(&["list", "projects", "--server", "http://127.0.0.1:1"]);
    assert_eq!(code(&said), 4, "{}", stderr(&said));
}

#[test]
fn what_a_server_says_is_written_out_in_errors_and_lists() {
    const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}fdp\u{2028}\u{200b}";
    let node = Node::start(|_| (409, json!({"data": HOSTILE, "success": false})));
    let said = node.run(&["list", "projects"]);
    assert_eq!(code(&said), 3);
    let written = "\\u{1b}]0;owned\\u{7}\\u{9b}2J\\u{202e}fdp\\u{2028}\\u{200b}";
    assert_eq!(stderr(&said), format!("error: the node refused: {written} (HTTP 409)\n"));
    let node = Node::start(|_| {
        ok(&json!({"total": 1, "projects": [{"id": 1, "name": HOSTILE, "description": "d"}]}))
    });
    let table = stdout(&node.run(&["list", "projects"]));
    assert!(table.contains(written) && !table.contains('\u{1b}'), "{table}");
    let text = stdout(&node.run(&["list", "projects", "--json"]));
    assert!(!text.contains(['\u{9b}', '\u{202e}', '\u{2028}', '\u{200b}']), "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["data"]["projects"][0]["name"], HOSTILE, "the same to a program");
}

#[test]
fn runs_are_listed_shown_and_cancelled() {
    fn run(state: &str) -> Value {
        json!({"id": "1c9b2a44-4d-19aa1b2c3d0", "runId": "480788a06cd1843bcc4ff647", "jobId": 77,
               "jobName": "nightly", "queue": "emails", "bus": "embedded", "state": state,
               "attempt": 1, "worker": "mailer-7.example.com", "progress": 40,
               "createdAt": "2026-01-01T00:00:00Z"})
    }
    let node = Node::start(|asked| match (asked.method.as_str(), asked.uri.path()) {
        ("GET", "/api/v1/runs") => {
            ok(&json!({"limit": 2, "runs": [run("running")], "next": "o-1"}))
        }
        ("GET", _) => {
            let mut one = run("running");
            one["attempts"] = json!([{"scheduledAt": "2026-01-01T00:00:00Z", "jobId": 77,
                "status": "failed", "attempt": 1, "httpCode": 0, "error": "no disk"}]);
            ok(&one)
        }
        (_, path) if path.contains("denied") => {
            let error = json!({"code": "unauthorized", "message": "who are you?"});
            (401, json!({"data": "who are you?", "success": false, "error": error}))
        }
        (_, path) if path.contains("over") => {
            let error = json!({"code": "conflict", "message": "Run already finished"});
            (409, json!({"data": "Run already finished", "success": false, "error": error}))
        }
        _ => (202, json!({"data": run("cancelling"), "success": true})),
    });
    let said = node.run(&[
        "runs", "list", "--state", "running", "--state", "queued", "--queue", "emails", "--worker",
        "w 1", "--limit", "2", "--after", "o-9",
    ]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let query = "state=running&state=queued&queue=emails&worker=w+1&after=o-9&limit=2";
    assert_eq!(node.last().uri.query(), Some(query));
    let table = stdout(&said);
    let columns: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["ID", "JOB", "QUEUE", "STATE", "WORKER", "DONE"], "{table}");
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");
    assert_eq!(stderr(&said), "there may be more: go on with --after o-1\n");
    let shown = node.run(&["runs", "get", "1c9b2a44-4d-19aa1b2c3d0"]);
    assert_eq!(node.last().uri.path(), "/api/v1/runs/1c9b2a44-4d-19aa1b2c3d0");
    let text = stdout(&shown);
    assert!(text.contains("worker") && text.contains("no disk") && !text.contains('['), "{text}");
    let cancelled = node.run(&["runs", "cancel", "x"]);
    assert_eq!((code(&cancelled), node.last().method), (0, Method::POST));
    assert_eq!(stdout(&cancelled), "1c9b2a44-4d-19aa1b2c3d0  cancelling\n");
    let some = node.run(&["runs", "cancel", "over", "x", "--json"]);
    assert_eq!(code(&some), 3, "{}", stderr(&some));
    let answer: Value = serde_json::from_str(&stdout(&some)).unwrap();
    assert_eq!(
        (&answer["success"], answer["data"][0]["state"].as_str()),
        (&json!(false), Some("cancelling"))
    );
    assert!(stderr(&some).contains("1 of 2 runs not cancelled"), "{}", stderr(&some));
    let broken = node.run(&["runs", "cancel", "x", "denied", "y"]);
    assert_ne!(code(&broken), 0);
    assert_eq!(stdout(&broken), "1c9b2a44-4d-19aa1b2c3d0  cancelling\n", "what was done is shown");
    assert!(stderr(&broken).contains("2 of 3 runs not cancelled"), "{}", stderr(&broken));
}
