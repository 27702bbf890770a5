//! Secrets that a node was given appear in no log, listing or error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::super::Attacker;
use crate::harness::{PATIENCE, Receiver, TestCluster};

const TOKEN: &str = "bearer-token-3f9a";
const BASIC: &str = "basic-password-7c1e";
const SIGNING: &str = "signing-secret-5d2b-0123456789";
const HEADER: &str = "header-secret-4b8c";
const CLOUD: &str = "cloud-secret-8e4d";
const PROXY: &str = "proxy-password-2a6f";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_in_secret_is_never_told() {
    let receiver = Receiver::start().await;
    let proxy = format!("http://proxyuser:{PROXY}@127.0.0.1:9");
    let settings = [("RUST_LOG", "trace"), ("SCHEDULER0_EGRESS_PROXY", proxy.as_str())];
    let cluster = TestCluster::start_with(1, &settings).await;
    let attacker = Attacker::new(&cluster, 1, "secrets").await;
    let http = |token: &str, url: &str| json!({"method": "POST", "url": url, "auth": {"type": "bearer", "token": token}});
    let refused = "http://127.0.0.1:9/refused";
    for executor in [
        json!({"name": "a", "http": http(TOKEN, &receiver.at("/a")), "webhookSecret": SIGNING}),
        json!({"name": "b", "http": http(TOKEN, refused)}),
        json!({"name": "c", "type": "cloud_function", "region": "r", "cloudProvider": "p",
            "cloudResourceUrl": "https://example.com/f", "cloudApiKey": CLOUD,
            "cloudApiSecret": CLOUD}),
    ] {
        let (status, made) = attacker.post("/api/v1/executors", &executor).await;
        assert_eq!(status, 201, "{made}");
    }
    let rotate = format!("/api/v1/projects/{}/rotate-secret", attacker.project);
    let (status, rotated) = attacker.post(&rotate, &json!({"webhookSecret": SIGNING})).await;
    assert_eq!(status, 200, "{rotated}");
    let own = json!({
        "projectId": attacker.project, "after": 0, "data": "x", "retryMax": 0,
        "http": {"method": "POST", "url": receiver.at("/own"),
            "secretHeaders": {"X-Api-Key": HEADER},
            "auth": {"type": "basic", "username": "u", "password": BASIC}},
    });
    let by = |executor: u64| {
        json!({"projectId": attacker.project, "after": 0, "data": "x", "retryMax": 0,
            "executorId": executor})
    };
    attacker.jobs(&json!([own, by(1), by(2)])).await;
    receiver.wait_until("both calls", PATIENCE, |seen| seen.len() >= 2).await;
    let requests = receiver.requests();
    assert!(requests.iter().any(|request| request.header("x-api-key") == HEADER));
    cluster
        .wait_until("the third is dead-lettered", async |c: &TestCluster| {
            (c.get(1, "/api/v1/executions?status=dead").await["total"].as_u64()? > 0).then_some(())
        })
        .await;

    // Errors do not repeat bad values either.
    let mut said = vec![];
    for bad in [
        json!({"name": "a", "webhookUrl": format!("http://u:{BASIC}@127.0.0.1/")}),
        json!({"name": "d", "http": http(&format!("{TOKEN}\n"), refused)}),
        json!({"name": "d", "http": {"url": refused, "secretHeaders": {"a": format!("{HEADER}\n")}}}),
        json!({"name": "d", "webhookUrl": refused, "webhookSecret": [SIGNING]}),
        json!({"name": "d", "webhookUrl": refused, "webhookSecret": SIGNING.repeat(200)}),
    ] {
        let (status, body) = attacker.post("/api/v1/executors", &bad).await;
        assert!((400..500).contains(&status), "{status} {body}");
        said.push(body.to_string());
    }
    for (key, secret) in [(&attacker.key, "wrong-secret-1b7d"), (&attacker.secret, &attacker.key)] {
        let ask = reqwest::Client::builder().no_proxy().build().unwrap();
        let ask = ask.get(attacker.url("/api/v1/jobs")).header("x-api-key", key);
        let answer = ask.header("x-secret-key", secret).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        said.push(answer.text().await.unwrap());
    }
    for path in [
        "/api/v1/projects",
        "/api/v1/jobs",
        "/api/v1/jobs/1",
        "/api/v1/jobs/1/explain",
        "/api/v1/executors",
        "/api/v1/executors/1",
        "/api/v1/executions",
        "/api/v1/dead-letters",
        "/api/v1/async-tasks",
        "/api/v1/credentials",
        "/api/v1/cluster/status",
        "/healthcheck",
        "/metrics",
        "/version",
    ] {
        let answer = cluster.http().get(cluster.url(1, path)).send().await.unwrap();
        said.push(answer.text().await.unwrap());
    }
    let log = std::fs::read_to_string(cluster.folder().join("node1.log")).unwrap();
    assert!(log.len() > 1_000, "it was told to log everything: {log}");
    said.push(log);
    let operator = BASE64.encode("admin:admin-password");
    let secret_key = "5a".repeat(32);
    for secret in [
        TOKEN,
        BASIC,
        SIGNING,
        HEADER,
        CLOUD,
        PROXY,
        "admin-password",
        "wrong-secret-1b7d",
        &operator,
        &secret_key,
        &attacker.secret,
        &BASE64.encode(format!("u:{BASIC}")),
    ] {
        for text in &said {
            let place = text.find(secret);
            let shown = place.map(|at| text[at.saturating_sub(200)..at].to_owned());
            assert!(place.is_none(), "{secret} comes behind {shown:?}");
        }
    }
}
