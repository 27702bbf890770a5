//! Commands about job templates: files and payloads go as they are, and every wrong field is told.

use axum::http::Method;
use serde_json::json;

use super::fake::{Node, code, ok, stderr, stdout};

#[test]
fn templates_are_listed_and_jobs_made_of_them() {
    let node = Node::start(|asked| match asked.method {
        Method::GET => ok(&json!({"total": 1, "templates": [{
            "id": 3, "projectId": 1, "type": "send_mail", "userTriggered": true,
            "rescheduleAfterTermination": false, "active": true, "startInSeconds": 5,
            "target": {"callbackUrl": "http://x/mail"}}]})),
        _ => (201, json!({"data": {"id": 9, "after": "5s", "status": "active"}, "success": true})),
    });
    let listed = node.run(&["templates", "list", "--project", "1"]);
    assert_eq!(code(&listed), 0, "{}", stderr(&listed));
    assert!(stdout(&listed).contains("send_mail") && stdout(&listed).contains("http://x/mail"));
    assert!(node.last().uri.to_string().contains("/api/v1/templates?projectId=1&limit=50"));
    let payload = "{\"b\": 1.50, \"a\": 18446744073709551615}";
    let made = node.run(&[
        "templates",
        "run",
        "3",
        "--payload",
        payload,
        "--after",
        "60",
        "--external-id",
        "e",
    ]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    assert!(stdout(&made).contains('9'), "{}", stdout(&made));
    let asked = node.last();
    assert_eq!(asked.uri.path(), "/api/v1/templates/3/instances");
    let wanted = json!({"payload": {"b": 1.5, "a": u64::MAX}, "startInSeconds": 60,
        "externalId": "e"});
    assert_eq!(asked.body, wanted);
}

#[test]
fn a_file_is_imported_and_its_warnings_are_told() {
    let node = Node::start(|_| {
        ok(&json!({"dryRun": true, "updated": [], "unchanged": [{"id": 2, "type": "b",
            "active": true}], "created": [{"type": "a", "active": false}],
            "warnings": ["template a needs a target and is inactive"]}))
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("job_templates.json");
    std::fs::write(&file, r#"{"a":{"type":"a"},"b":{"type":"b"}}"#).unwrap();
    let file = file.to_str().unwrap();
    let said =
        node.run(&["templates", "import", file, "--project", "1", "--executor", "2", "--dry-run"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(stdout(&said), "would create  a  (inactive)\nwould leave 2  b\n");
    assert!(stderr(&said).contains("warning: template a needs a target"), "{}", stderr(&said));
    let asked = node.last();
    let uri = asked.uri.to_string();
    assert!(uri.ends_with("/templates/import?projectId=1&executorId=2&dryRun=true"), "{uri}");
    assert_eq!(asked.body, json!({"a": {"type": "a"}, "b": {"type": "b"}}));
}

#[test]
fn every_field_that_is_wrong_is_told() {
    let node = Node::start(|_| {
        let error = json!({"code": "payload", "message": "payload is not valid",
            "fields": {"kind": "must be one of a, b", "user_id": "must be 0 or more, got -5"}});
        (422, json!({"data": "payload is not valid", "success": false, "error": error}))
    });
    let said = node.run(&["templates", "run", "3"]);
    assert_eq!(code(&said), 3);
    for told in ["kind must be one of a, b", "user_id must be 0 or more, got -5"] {
        assert!(stderr(&said).contains(told), "{}", stderr(&said));
    }
}

#[test]
fn jobs_are_ended_one_after_the_other() {
    let node = Node::start(|asked| {
        if asked.uri.path().ends_with("/jobs/8/terminate") {
            return (409, json!({"data": "job is recurring", "success": false}));
        }
        ok(&json!({"id": 7, "status": "completed"}))
    });
    let said = node.run(&["jobs", "terminate", "7", "--no-reschedule", "--reason", "done"]);
    assert_eq!((code(&said), stdout(&said).as_str()), (0, "7  completed\n"), "{}", stderr(&said));
    assert_eq!(node.last().body, json!({"reschedule": false, "reason": "done"}));
    let said = node.run(&["jobs", "terminate", "8", "7"]);
    assert_eq!((code(&said), stdout(&said).as_str()), (3, "7  completed\n"));
    assert!(stderr(&said).contains("job 8: "), "{}", stderr(&said));
}
