//! Credentials on the command line: the operator's file, and key pairs of clients.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use axum::http::Method;
use serde_json::{Value, json};

use super::fake::{Node, code, scheduler0, stderr, stdout, with_input};

#[test]
fn credential_init_writes_a_private_file_and_show_reveals_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".scheduler0");
    let said = with_input(folder.path(), &["credential", "init"], "ops\ns3cret-word-of-ops\n\n");
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let stored: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (stored["authUsername"].as_str(), stored["authPassword"].as_str()),
        (Some("ops"), Some("s3cret-word-of-ops"))
    );
    assert_eq!(stored["secretKey"].as_str().unwrap().len(), 64);
    assert!(
        !stderr(&said).contains("s3cret-word-of-ops")
            && !stdout(&said).contains("s3cret-word-of-ops")
    );

    let said = scheduler0(folder.path(), &["credential", "show", "-o", "table"]);
    assert!(stdout(&said).contains("ops") && !stdout(&said).contains("s3cret-word-of-ops"));
    let said = scheduler0(folder.path(), &["credential", "show", "--reveal", "--json"]);
    let shown: Value = serde_json::from_str(&stdout(&said)).unwrap();
    assert_eq!(
        (&shown["authPassword"], &shown["secretKey"]),
        (&stored["authPassword"], &stored["secretKey"])
    );

    let said = scheduler0(folder.path(), &["credential", "init", "--generate"]);
    assert_eq!(code(&said), 2);
    assert!(stderr(&said).contains("--force"), "{}", stderr(&said));
    let short = ["credential", "init", "--force", "--generate", "--password", "hunter2"];
    let said = scheduler0(folder.path(), &short);
    assert_eq!(code(&said), 2);
    assert!(stderr(&said).contains("AuthPassword has 7 characters"), "{}", stderr(&said));
    assert!(!stderr(&said).contains("hunter2"), "{}", stderr(&said));
    let said = scheduler0(
        folder.path(),
        &["credential", "init", "--force", "--generate", "--secret-key", "abc"],
    );
    assert_eq!(code(&said), 2);
    assert!(stderr(&said).contains("SecretKey must be 64 hex"), "{}", stderr(&said));
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap(), stored);
}

#[test]
fn create_credential_prints_exactly_the_envelope_in_both_casings() {
    let node = Node::start(|_| {
        let pair = json!({"id": 4, "apiKey": "s0_k", "apiSecret": "hush"});
        (201, json!({"data": pair, "success": true}))
    });
    for arguments in [&["create", "credential", "--json"][..], &["create", "credential"]] {
        let said = node.run(arguments);
        assert_eq!(code(&said), 0, "{}", stderr(&said));
        let envelope: Value = serde_json::from_str(&stdout(&said)).unwrap();
        let pair = json!({
            "id": 4, "apiKey": "s0_k", "api_key": "s0_k", "apiSecret": "hush", "api_secret": "hush",
        });
        assert_eq!(envelope, json!({"data": pair, "success": true}));
    }
    let asked = node.last();
    assert_eq!((asked.method, asked.uri.path()), (Method::POST, "/api/v1/credentials"));
    assert_eq!(asked.headers["x-peer"], "cmd");
    assert_eq!(asked.headers["authorization"], "Basic b3A6cHc=");
    let said = node.run(&["create", "credential", "-o", "table"]);
    assert!(stdout(&said).contains("s0_k") && stdout(&said).contains("hush"));
    assert!(!stderr(&said).contains("hush"));
}

#[test]
fn create_credential_sends_the_terms_of_the_key() {
    let node = Node::start(|_| (201, json!({"data": {"id": 4}, "success": true})));
    let said = node.run(&[
        "create",
        "credential",
        "--name",
        "ci",
        "--scopes",
        "jobs:read,execute",
        "--expires",
        "1h",
        "--allowed-ips",
        "10.0.0.0/8,::1",
        "--projects",
        "1,2",
        "--rate",
        "50",
    ]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    let wanted = json!({
        "name": "ci", "scopes": ["jobs:read", "execute"], "expiresInSeconds": 3_600,
        "allowedIps": ["10.0.0.0/8", "::1"], "projects": [1, 2], "ratePerSecond": 50,
    });
    assert_eq!(node.last().body, wanted);
    let said = node.run(&["create", "credential", "--expires", "2030-01-31"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert_eq!(node.last().body, json!({"expiresAt": "2030-01-31"}));
    let said = node.run(&["create", "credential", "--expires", "soon"]);
    assert_eq!(code(&said), 2);
    assert!(stderr(&said).contains("--expires"), "{}", stderr(&said));
}

#[test]
fn list_credentials_shows_scopes_end_and_last_use() {
    let node = Node::start(|_| {
        let keys = json!([
            {"id": 1, "apiKey": "s0_a", "archived": false, "dateCreated": "2026-01-01T00:00:00Z"},
            {"id": 2, "apiKey": "s0_b", "archived": false, "dateCreated": "2026-01-01T00:00:00Z",
             "scopes": ["jobs:read", "runs:read"], "expiresAt": "2030-01-01T00:00:00Z",
             "lastUsedAt": "2026-11-20T20:00:00Z", "lastUsedFrom": "192.0.2.7", "projects": [31, 42]},
        ]);
        (200, json!({"data": {"total": 2, "credentials": keys}, "success": true}))
    });
    let said = stdout(&node.run(&["list", "credentials", "-o", "wide"]));
    for part in [
        "jobs:read,runs:read",
        "*",
        "31,42",
        "2030-01-01T00:00:00Z",
        "2026-11-20T20:00:00Z",
        "192.0.2.7",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
