//! What `/metrics` of a node says, in which form, and to whom.

use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{TestCluster, client_of};

/// The metrics as the operator reads them.
async fn metrics(cluster: &TestCluster) -> String {
    let answer = cluster.http().get(cluster.url(1, "/metrics")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_commands_are_counted_by_their_name() {
    let cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "counted").await;
    let url = "http://127.0.0.1:9/";
    let job = json!({
        "projectId": project, "spec": "@every 1000s", "timezone": "UTC", "callbackUrl": url,
    });
    for _ in 0..2 {
        cluster.jobs(1, &job).await;
    }
    // The node takes the numbers over once a second.
    let counted = async |cluster: &TestCluster| {
        let text = metrics(cluster).await;
        let has = |command: &str, total: u64| {
            let line = format!("scheduler0_applied_total{{command=\"{command}\"}} {total}");
            text.lines().any(|found| found == line)
        };
        (has("create_project", 1) && has("create_jobs", 2) && has("init", 1)).then_some(())
    };
    cluster.wait_until("the commands are counted", counted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_open_metrics_whatever_is_asked_for_and_needs_no_credentials() {
    let cluster = TestCluster::start(1).await;
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    for accept in ["*/*", "text/plain; version=0.0.4", "application/json"] {
        let request = stranger.get(cluster.url(1, "/metrics")).header("accept", accept);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{accept}");
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
        assert!(answer.text().await.unwrap().ends_with("\n# EOF\n"), "{accept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_metrics_auth_it_answers_the_operator_alone() {
    let cluster = TestCluster::start_with(1, &[("SCHEDULER0_METRICS_AUTH", "true")]).await;
    let (status, key) = cluster.post(1, "/api/v1/credentials", &json!({})).await;
    assert_eq!(status, 201, "{key}");
    let text = |name: &str| key["data"][name].as_str().unwrap().to_owned();
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    for prefix in ["", "/v1", "/api/v1"] {
        let get = || stranger.get(cluster.url(1, &format!("{prefix}/metrics")));
        assert_eq!(get().send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{prefix}");
        let client = get()
            .header("x-api-key", text("apiKey"))
            .header("x-secret-key", text("apiSecret"))
            .send();
        assert_eq!(client.await.unwrap().status(), StatusCode::FORBIDDEN, "{prefix}");
    }
    assert!(metrics(&cluster).await.contains("scheduler0_raft_leader 1"));
    // As Prometheus asks, by `basic_auth` of its scrape configuration and no header of ours.
    let username = "admin";
    let right = ("admin-password", StatusCode::OK);
    for (password, status) in [right, ("wrong", StatusCode::UNAUTHORIZED)] {
        let url = cluster.url(1, "/metrics?collect=all");
        let scrape = stranger.get(url).basic_auth(username, Some(password));
        assert_eq!(scrape.send().await.unwrap().status(), status);
        let other = cluster.url(1, "/api/v1/cluster/status");
        let other = stranger.get(other).basic_auth(username, Some(password)).send().await.unwrap();
        assert_eq!(other.status(), StatusCode::UNAUTHORIZED, "no other route takes it so");
    }
    // Probes still need none.
    for path in ["/livez", "/readyz", "/healthcheck"] {
        let answer = stranger.get(cluster.url(1, path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn destinations_are_named_only_to_who_may_read_the_cluster() {
    let cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "named").await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let job = json!({"projectId": project, "after": 0, "data": "x", "retryMax": 0,
        "callbackUrl": format!("http://{host}/")});
    cluster.jobs(1, &job).await;
    // It takes the call and never answers, so that the call is under way from now on.
    let call = tokio::time::timeout(crate::harness::PATIENCE, silent.accept()).await.unwrap();
    let scrape = async |headers: &[(&'static str, &str)]| {
        let client = client_of(headers);
        let answer = client.get(cluster.url(1, "/metrics")).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let mut keys = Vec::new();
    for scopes in [json!(["cluster:read"]), json!(["jobs:read"])] {
        let (status, made) =
            cluster.post(1, "/api/v1/credentials", &json!({"scopes": scopes})).await;
        assert_eq!(status, 201, "{made}");
        let text = |name: &str| made["data"][name].as_str().unwrap().to_owned();
        keys.push((text("apiKey"), text("apiSecret")));
    }
    let [reader, other] = &keys[..] else { panic!() };
    let bearer = |(key, secret): &(String, String)| format!("Bearer {key}.{secret}");
    let (of_reader, of_other) = (bearer(reader), bearer(other));
    for (headers, is_named) in [
        (vec![], false),
        (vec![("authorization", &*of_other)], false),
        (vec![("authorization", &*of_reader)], true),
        (vec![("x-api-key", &*reader.0), ("x-secret-key", &*reader.1)], true),
        // As Prometheus asks, by `basic_auth`: admin:admin-password.
        (vec![("authorization", "Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ=")], true),
    ] {
        let (status, text) = scrape(&headers).await;
        assert_eq!(status, StatusCode::OK, "{headers:?}");
        assert_eq!(text.contains(&host), is_named, "{headers:?}: {text}");
        assert_eq!(text.contains("destination="), is_named, "{headers:?}: {text}");
        assert!(text.contains("scheduler0_calls_max"), "{text}");
        assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
    }
    // A scrape whose key has ended fails.
    let ended = [("authorization", "Bearer s0_none.none")];
    assert_eq!(scrape(&ended).await.0, StatusCode::UNAUTHORIZED);
    drop(call);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_counted_by_status_in_the_metrics_and_in_the_status() {
    let cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "counted").await;
    let job = json!({
        "projectId": project, "spec": "@every 1000s", "timezone": "UTC",
        "callbackUrl": "http://127.0.0.1:9/",
    });
    for _ in 0..3 {
        cluster.jobs(1, &job).await;
    }
    let (status, body) = cluster.post(1, "/api/v1/jobs/1/pause", &json!({})).await;
    assert_eq!(status, 200, "{body}");
    let status = cluster.get(1, "/api/v1/cluster/status").await;
    let counted = json!({"active": 2, "paused": 1, "completed": 0, "disabled": 0});
    assert_eq!(status["jobs"], counted, "{status}");
    let shown = async |cluster: &TestCluster| {
        let text = metrics(cluster).await;
        let has = |status: &str, number: u64| {
            let line = format!("scheduler0_jobs{{status=\"{status}\"}} {number}");
            text.lines().any(|found| found == line)
        };
        (has("active", 2) && has("paused", 1) && has("disabled", 0)).then_some(())
    };
    cluster.wait_until("the jobs are counted", shown).await;
}
