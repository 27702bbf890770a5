//! Signed deliveries: the official verifier of Standard Webhooks (Python) accepts them, also while
//! a secret is being rotated, and rejects what was tampered with.
//!
//! The test needs a Python with the package `standardwebhooks`, named by
//! `SCHEDULER0_WEBHOOKS_PYTHON` (`python3` otherwise). Without it the test prints that it is
//! skipped, and fails with `CI` set.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::{PATIENCE, Receiver, Request, TestCluster};

const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A Python with the verifier, if there is one.
fn python() -> Option<String> {
    let python = std::env::var("SCHEDULER0_WEBHOOKS_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python)
        .args(["-c", "import standardwebhooks"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "SCHEDULER0_WEBHOOKS_PYTHON names no Python with the package standardwebhooks"
        );
        eprintln!("SKIPPED: no Python with the package standardwebhooks; see tests/it/webhooks.rs");
        return None;
    }
    Some(python)
}

/// The verdict of the verifier on each request with its secret.
fn verdicts(python: &str, asked: &[(&str, &Request)]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webhooks/verify.py");
    let mut verifier = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = String::new();
    for (secret, request) in asked {
        let headers: serde_json::Map<_, _> =
            ["webhook-id", "webhook-timestamp", "webhook-signature"]
                .into_iter()
                .map(|name| (name.to_owned(), request.header(name).into()))
                .collect();
        let body = STANDARD.encode(&request.body);
        lines.push_str(&json!({"secret": secret, "headers": headers, "body": body}).to_string());
        lines.push('\n');
    }
    verifier.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = verifier.wait_with_output().unwrap();
    assert!(output.status.success(), "the verifier failed");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Waits for a new request at a path; returns the newest one.
async fn next_at(receiver: &Receiver, path: &str) -> Request {
    let before = receiver.requests().len();
    receiver
        .wait_until("a request comes", PATIENCE, |_| {
            receiver.requests().iter().skip(before).any(|request| request.path == path)
        })
        .await;
    receiver.requests().into_iter().rev().find(|request| request.path == path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_verifier_accepts_what_we_sign() {
    let Some(python) = python() else { return };
    let receiver = Receiver::start().await;
    let cluster = TestCluster::start(1).await;
    let (status, project) = cluster
        .post(
            1,
            "/api/v1/projects",
            &json!({"name": "signed", "description": "d", "webhookSecret": FIRST}),
        )
        .await;
    assert_eq!(status, 201, "{project}");
    assert!(!project.to_string().contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{project}");
    let project = project["data"]["id"].as_u64().unwrap();
    let job = |target| {
        let mut job = json!({"projectId": project, "spec": "@every 1s", "timezone": "UTC",
            "data": "ünïcode"});
        job.as_object_mut().unwrap().extend(target);
        job
    };
    let batched = serde_json::Map::from_iter([("callbackUrl".to_owned(), json!(receiver.url()))]);
    let single = serde_json::Map::from_iter([(
        "http".to_owned(),
        json!({"method": "PUT", "url": receiver.at("/single"), "body": "it is {{scheduledAt}}"}),
    )]);
    cluster.jobs(1, &json!([job(batched.clone()), job(batched), job(single)])).await;

    let batch = next_at(&receiver, "/callback").await;
    let single = next_at(&receiver, "/single").await;
    let mut tampered = batch.clone();
    let mut body = tampered.body.to_vec();
    let last = body.len() - 2;
    body[last] ^= 1;
    tampered.body = body.into();
    let mut stolen = single.clone();
    stolen.headers.insert("webhook-id", batch.headers["webhook-id"].clone());
    let said = verdicts(
        &python,
        &[
            (FIRST, &batch),
            (FIRST, &single),
            (FIRST, &tampered),
            (FIRST, &stolen),
            (SECOND, &batch),
        ],
    );
    assert_eq!(&said[..2], ["accepted", "accepted"]);
    assert_eq!(said.len(), 5);
    assert!(said[2..].iter().all(|verdict| verdict.starts_with("rejected")), "{said:?}");

    // During the overlap receivers with either secret accept.
    let rotate = format!("/api/v1/projects/{project}/rotate-secret");
    let (status, answer) =
        cluster.post(1, &rotate, &json!({"webhookSecret": SECOND, "overlap": "1h"})).await;
    assert_eq!(status, 200, "{answer}");
    let both = loop {
        let request = next_at(&receiver, "/callback").await;
        if request.header("webhook-signature").contains(' ') {
            break request;
        }
    };
    assert_eq!(verdicts(&python, &[(FIRST, &both), (SECOND, &both)]), ["accepted", "accepted"]);

    // Without an overlap the old secret ends at once.
    let (status, answer) =
        cluster.post(1, &rotate, &json!({"webhookSecret": FIRST, "overlap": "0s"})).await;
    assert_eq!(status, 200, "{answer}");
    let one = loop {
        let request = next_at(&receiver, "/callback").await;
        if !request.header("webhook-signature").contains(' ') {
            break request;
        }
    };
    let said = verdicts(&python, &[(FIRST, &one), (SECOND, &one)]);
    assert_eq!(said[0], "accepted");
    assert!(said[1].starts_with("rejected"), "{said:?}");
}
