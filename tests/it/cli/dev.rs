//! What `dev` does around its node: it asks for a key pair and a project once, keeps them, and
//! watches the executions.

use std::time::Duration;

use axum::http::Method;
use scheduler0::cli::{Global, dev};
use serde_json::{Value, json};

use super::fake::{Asked, Node, ok};

fn answer(asked: &Asked) -> (u16, Value) {
    let pair = json!({"id": 4, "apiKey": "s0_k", "apiSecret": "hush"});
    match (asked.method.as_str(), asked.uri.path()) {
        ("GET", "/readyz") => (200, json!({})),
        ("POST", "/api/v1/credentials") => (201, json!({"data": pair, "success": true})),
        ("GET", "/api/v1/credentials/4") => ok(&json!({"id": 4, "apiKey": "s0_k"})),
        ("POST", "/api/v1/projects") => (201, json!({"data": {"id": 1}, "success": true})),
        ("GET", "/api/v1/projects") => ok(&json!({"projects": []})),
        ("GET", "/api/v1/jobs") => ok(&json!({"jobs": [], "total": 0})),
        ("POST", "/api/v1/jobs") => (202, json!({"data": "a task", "success": true})),
        ("GET", "/api/v1/executions") => ok(&json!({"executions": [{"id": 1, "jobId": 1}]})),
        _ => (404, json!({"data": "no such route", "success": false})),
    }
}

/// Attends to the node until it has looked at the executions twice.
async fn attend(node: &Node, global: &Global) {
    let before = node.count(&Method::GET, "/api/v1/executions");
    let (config, keys) = dev::prepare(global).unwrap();
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    let looked = async {
        while node.count(&Method::GET, "/api/v1/executions") < before + 2 {
            beat.tick().await;
        }
    };
    tokio::select! {
        done = dev::attend(&node.url, &config, &keys) => panic!("{:?}", done.unwrap_err()),
        looked = tokio::time::timeout(Duration::from_secs(20), looked) => looked.unwrap(),
    }
}

#[test]
fn a_key_pair_is_made_once_and_kept() {
    // Another test may have set it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let global = Global {
        config: None,
        set: vec![("DataDir".to_owned(), folder.path().display().to_string())],
        server: None,
        output: None,
        json: false,
    };
    let node = Node::start(answer);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        attend(&node, &global).await;
        attend(&node, &global).await;
    });
    assert_eq!(node.count(&Method::POST, "/api/v1/credentials"), 1);
    assert_eq!(node.count(&Method::GET, "/api/v1/credentials/4"), 1);
    let first = node.count(&Method::POST, "/api/v1/jobs");
    assert_eq!(first, 2, "an empty project gets a first job (the fake one stays empty)");
    let kept: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("client.json")).unwrap()).unwrap();
    assert_eq!(kept, json!({"id": 4, "apiKey": "s0_k", "apiSecret": "hush"}));
}
