//! `dev` beside its node: it creates a key pair and a project once, keeps them, and follows the
//! executions.

use std::process::{Command, Stdio};
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

/// Runs `dev` against the node until it has read the executions twice.
async fn attend(node: &Node, global: &Global) {
    let before = node.count(&Method::GET, "/api/v1/executions");
    let (config, keys) = dev::prepare(global).unwrap();
    let mut ticker = tokio::time::interval(Duration::from_millis(10));
    let looked = async {
        while node.count(&Method::GET, "/api/v1/executions") < before + 2 {
            ticker.tick().await;
        }
    };
    tokio::select! {
        done = dev::attend(&node.url, &config, &keys, false) => panic!("{:?}", done.unwrap_err()),
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
        operator: false,
        insecure: false,
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

#[test]
fn a_node_that_may_not_call_itself_says_so_and_runs_on() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let global = Global {
        config: None,
        set: vec![("DataDir".to_owned(), folder.path().display().to_string())],
        server: None,
        output: None,
        json: false,
        operator: false,
        insecure: false,
    };
    let node = Node::start(|asked| match (asked.method.as_str(), asked.uri.path()) {
        ("POST", "/api/v1/jobs") => {
            let error = json!({"message": "loopback addresses are refused"});
            (400, json!({"data": "no", "success": false, "error": error}))
        }
        _ => answer(asked),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(attend(&node, &global));
    assert_eq!(node.count(&Method::POST, "/api/v1/jobs"), 1);
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn dev_on_all_addresses_has_a_first_job_and_tells_it_as_json() {
    use std::io::BufRead as _;

    let folder = tempfile::tempdir().unwrap();
    let mut dev = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args([
            "dev",
            "--host",
            "0.0.0.0",
            "--port",
            "0",
            "--raft-address",
            "127.0.0.1:0",
            "--json",
        ])
        .current_dir(folder.path())
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(dev.stdout.take().unwrap()).lines();
    let line = lines.next();
    dev.kill().unwrap();
    dev.wait().unwrap();
    let execution: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
    assert_eq!((&execution["status"], &execution["httpCode"]), (&json!("delivered"), &json!(200)));
}
