//! A real node that is configured by its environment: it asks the provider by itself, takes tokens,
//! counts wrong ones, and ends what a token began when the token has expired.

use serde_json::{Value, json};

use super::provider::Provider;
use super::signer::{Signer, claims};
use crate::harness::{PATIENCE, TestCluster, now};

#[tokio::test]
async fn a_node_takes_the_tokens_of_its_environment_and_a_stream_ends_with_its_token() {
    let signer = Signer::new("a", "EdDSA");
    let provider = Provider::start(&[&signer]).await;
    let issuers =
        json!([{"issuer": provider.issuer(), "audiences": ["scheduler0"], "clientId": "cli"}]);
    let settings = [("SCHEDULER0_OIDC_ISSUERS", issuers.to_string())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let cluster = TestCluster::start_with(1, &settings).await;
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let get = async |path: &str, token: Option<&str>| {
        let request = http.get(cluster.url(1, path));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap()
    };
    let config: Value = get("/v1/auth/config", None).await.json().await.unwrap();
    let wanted = json!([{"issuer": provider.issuer(), "clientId": "cli"}]);
    assert_eq!(config["data"]["issuers"], wanted);

    // It has expired, and is taken for as long as clocks may differ.
    let seconds = now() / 1_000;
    let own = json!({"exp": seconds - 1, "scope": "jobs:read runs:read"});
    let token = signer.token(&claims(provider.issuer(), seconds, &own), &json!({}));
    assert_eq!(get("/v1/jobs", Some(&token)).await.status(), 200);
    assert_eq!(get("/v1/executors", Some(&token)).await.status(), 403);
    assert_eq!(get("/v1/jobs", Some("a.b.c")).await.status(), 401);
    let metrics = get("/metrics", None).await.text().await.unwrap();
    let counted = "scheduler0_auth_failures_total{kind=\"token\",result=\"wrong\"} 1";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");

    let stream = get("/v1/events?types=executor_changed", Some(&token)).await;
    assert_eq!(stream.status(), 200);
    let whole = tokio::time::timeout(PATIENCE, stream.text()).await.expect("the stream ends");
    assert!(whole.unwrap().contains("event: bye"), "the reader is told");
}
