//! Accounts in the shapes of published clients: features, executions of the month, limits that
//! refuse, the header that chooses an account, and routes that are not offered.

use axum::http::StatusCode;
use scheduler0::command::{Command, Outcome};
use scheduler0::model::account::NewAccount;
use scheduler0::model::attempt::Verdict;
use serde_json::{Value, json};

use super::job;
use crate::harness::{Answer, ApiFixture, attempt_record, poll_interval};

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["error"]["code"].as_str().unwrap_or_default())
}

/// Makes an account as a node does where targets are decided on, and waits until this one's check
/// of requests knows of it.
async fn second_account(api: &ApiFixture) -> u64 {
    let new = NewAccount { name: "shop".into(), ..NewAccount::default() };
    let outcome = api.cluster().propose(Command::CreateAccount(Box::new(new))).await.unwrap();
    let Outcome::Created(id) = outcome else { panic!("{outcome:?}") };
    let stranger = [("x-account-id", "99")];
    while api.send("GET", "/features", &stranger, "").await.status != StatusCode::NOT_FOUND {
        poll_interval().await;
    }
    id
}

/// A key pair with these scopes.
async fn key(api: &ApiFixture, scopes: &[&str]) -> [String; 2] {
    let made = api.post("/api/v1/credentials", json!({"scopes": scopes})).await;
    ["apiKey", "apiSecret"].map(|name| made.json["data"][name].as_str().unwrap().to_owned())
}

async fn by_key(
    api: &ApiFixture,
    [key, secret]: &[String; 2],
    account: Option<&str>,
    path: &str,
) -> Answer {
    let mut headers = vec![("x-api-key", key.as_str()), ("x-secret-key", secret.as_str())];
    headers.extend(account.map(|id| ("x-account-id", id)));
    api.send_bare("GET", path, &headers, "").await
}

#[tokio::test]
async fn the_first_account_has_the_shape_of_published_clients_in_both_casings() {
    let api = ApiFixture::build().await;
    api.project().await;
    let shown = api.get("/api/v1/accounts/1").await;
    assert_eq!((shown.status, shown.header("etag")), (StatusCode::OK, "\"1\""));
    let account = &shown.json["data"];
    assert_eq!((&account["id"], &account["name"]), (&json!(1), &json!("default")));
    let features = account["features"].as_array().unwrap();
    assert_eq!(features.len(), 5);
    assert_eq!(features[1], json!({"accountId": 1, "featureId": 2, "feature": "http_targets"}));
    assert!(account["dateCreated"].as_str().unwrap().ends_with('Z'), "{account}");
    let usage =
        json!({"projects": 1, "jobs": 0, "executors": 0, "credentials": 0, "executions": 0});
    assert_eq!(account["usage"], usage);
    assert_eq!(account["limits"]["jobs"], Value::Null);
    let snake = api.get("/accounts/1").await;
    assert_eq!(snake.json["data"]["features"][0]["feature_id"], 1);
    assert!(snake.json["data"]["limits"].get("executions_per_month").is_some());
    let listed = api.get("/api/v1/accounts?limit=10").await.json["data"].clone();
    assert_eq!((&listed["total"], &listed["accounts"][0]), (&json!(1), account));
    let features = api.get("/api/v1/features").await.json["data"].clone();
    assert_eq!((&features[0]["id"], &features[0]["name"]), (&json!(1), &json!("sub_minute")));
    assert_eq!(code(&api.get("/accounts/9").await), (404, "not_found"));
}

#[tokio::test]
async fn features_are_switched_as_published_clients_do() {
    let api = ApiFixture::build().await;
    let on = async || {
        let shown = api.get("/api/v1/accounts/1").await.json["data"]["features"].clone();
        let names = shown.as_array().unwrap().iter().map(|one| one["featureId"].as_u64().unwrap());
        names.collect::<Vec<_>>()
    };
    let send = async |method: &str, path: &str, body: &str| {
        api.send(method, &format!("/api/v1/accounts/1/{path}"), &[], body).await
    };
    let removed = send("DELETE", "feature", r#"{"featureId": 4}"#).await;
    let shown = json!({"accountId": 1, "featureId": 4, "feature": "long_runs"});
    assert_eq!((removed.status, &removed.json["data"]), (StatusCode::OK, &shown));
    assert_eq!(on().await, [1, 2, 3, 5]);
    assert_eq!(send("PUT", "feature", r#"{"feature_id": 4}"#).await.json["data"]["featureId"], 4);
    assert_eq!(on().await, [1, 2, 3, 4, 5]);
    // The client sends no body here.
    assert_eq!(send("DELETE", "features/all", "").await.status, StatusCode::OK);
    assert!(on().await.is_empty());
    assert_eq!(send("PUT", "features/all", "").await.status, StatusCode::OK);
    assert_eq!(on().await.len(), 5);
    for (body, field) in [
        ("{}", "featureId"),
        (r#"{"featureId": 9}"#, "featureId"),
        (r#"{"feature": "x"}"#, "feature"),
    ] {
        let refused = send("PUT", "feature", body).await;
        assert_eq!(code(&refused), (400, "invalid"), "{body}");
        assert_eq!(refused.json["error"]["field"], field);
    }
}

#[tokio::test]
async fn what_needs_a_feature_that_is_off_is_refused_with_its_name() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let made = api.post("/jobs", job(project, "kept")).await;
    assert_eq!(made.status, StatusCode::ACCEPTED);
    let features = json!({"features": ["large_payloads"]});
    assert_eq!(api.put("/accounts/1", features).await.status, StatusCode::OK);
    let with = |field: &str, value: Value| {
        let mut job = job(project, "x");
        job["callback_url"] = "https://example.com/".into();
        job[field] = value;
        job
    };
    assert_eq!(api.post("/jobs", with("data", "y".into())).await.status, StatusCode::ACCEPTED);
    let http = json!({"url": "https://example.com/"});
    for (field, value, named, shown) in [
        ("spec", json!("@every 30s"), "sub_minute", "spec"),
        ("spec", json!("0,30 * * * * *"), "sub_minute", "spec"),
        ("callback_url", json!("http://10.0.0.1/"), "private_targets", "callback_url"),
        ("callback_url", json!("http://localhost/"), "private_targets", "callback_url"),
        ("http", http, "http_targets", "http"),
    ] {
        let mut job = with(field, value);
        if field == "http" {
            job.as_object_mut().unwrap().remove("callback_url");
        }
        let refused = api.post("/jobs", json!([with("data", "z".into()), job])).await;
        assert_eq!(code(&refused), (403, "feature_disabled"), "{named}: {}", refused.json);
        let message = refused.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(named), "{message}");
        assert_eq!(
            (&refused.json["error"]["field"], &refused.json["error"]["index"]),
            (&json!(shown), &json!(1))
        );
    }
    // The first job leads to a private address: it is paused, but not edited.
    assert_eq!(api.post("/jobs/1/pause", json!({})).await.status, StatusCode::OK);
    let edited = api.send("PATCH", "/jobs/1", &[], r#"{"data": "new"}"#).await;
    assert_eq!(code(&edited), (403, "feature_disabled"));
}

#[tokio::test]
async fn a_limit_refuses_with_its_name_and_number() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let limits = json!({"limits": {"projects": 1, "jobs": 2, "executors": 0, "credentials": 0, "jobs_per_request": 2}});
    let limited = api.put("/accounts/1", limits).await;
    assert_eq!(limited.json["data"]["limits"]["jobs_per_request"], 2);
    let refused = api.post("/projects", json!({"name": "b", "description": "d"})).await;
    assert_eq!(code(&refused), (403, "quota_exceeded"));
    let message = refused.json["error"]["message"].as_str().unwrap();
    assert!(message.contains("1 of at most 1 projects"), "{message}");
    let executor =
        json!({"name": "e", "type": "webhook_url", "webhook_url": "https://example.com/"});
    assert_eq!(code(&api.post("/executors", executor).await), (403, "quota_exceeded"));
    assert_eq!(code(&api.post("/credentials", json!({})).await), (403, "quota_exceeded"));
    let three = json!([job(project, "a"), job(project, "b"), job(project, "c")]);
    assert_eq!(code(&api.post("/jobs", three).await), (403, "quota_exceeded"));
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 0);
    let two = json!([job(project, "a"), job(project, "b")]);
    assert_eq!(api.post("/jobs", two).await.status, StatusCode::ACCEPTED);
    assert_eq!(code(&api.post("/jobs", job(project, "c")).await), (403, "quota_exceeded"));
    let usage = api.get("/accounts/1").await.json["data"]["usage"].clone();
    assert_eq!((&usage["projects"], &usage["jobs"]), (&json!(1), &json!(2)));
    // Null takes a limit away, and what is not named stays.
    let freed = api.put("/accounts/1", json!({"limits": {"jobs": null}})).await;
    assert_eq!(freed.json["data"]["limits"]["projects"], 1);
    assert_eq!(api.post("/jobs", job(project, "c")).await.status, StatusCode::ACCEPTED);
    for wrong in
        [json!({"limits": {"jobs": -1}}), json!({"limits": {"jops": 1}}), json!({"limits": 5})]
    {
        assert_eq!(code(&api.put("/accounts/1", wrong.clone()).await), (400, "invalid"), "{wrong}");
    }
}

#[tokio::test]
async fn executions_are_counted_stop_and_go_on_after_a_grant() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    api.own_first_shard().await;
    api.post("/jobs", job(project, "a")).await;
    let count = async || api.get("/api/v1/accounts/1/execution-count").await.json["data"].clone();
    let open = count().await;
    assert_eq!((&open["id"], &open["accountId"]), (&json!(1), &json!(1)));
    assert_eq!((&open["executionCount"], &open["limit"]), (&json!(2_147_483_647), &Value::Null));
    assert!(open["nextResetDate"].as_str().unwrap().contains("-01T00:00:00Z"), "{open}");
    api.put("/accounts/1", json!({"limits": {"executions_per_month": 2}})).await;
    let at = api.app.now() - 600_000;
    let results = [Verdict::Delivered, Verdict::Retry { at: at + 1 }, Verdict::Delivered];
    for (number, verdict) in (0..).zip(results) {
        let record = attempt_record(&[1], at + number * 60_000, 1, verdict);
        api.record(number.unsigned_abs(), vec![record]).await;
    }
    let used = count().await;
    assert_eq!((&used["used"], &used["executionCount"]), (&json!(2), &json!(0)));
    assert_eq!(used["pausedUntil"], used["nextResetDate"]);
    assert_eq!(code(&api.post("/jobs/1/run", json!({})).await), (403, "quota_exceeded"));
    let next = api.get("/api/v1/jobs/1/next?count=1").await.json["data"].clone();
    let reset = used["nextResetDate"].as_str().unwrap();
    assert!(next.to_string().contains(&reset[..10]), "nothing fires before {reset}: {next}");
    let explained = api.get("/api/v1/jobs/1/explain?at=2037-12-27T06:00:00Z").await;
    assert_eq!(explained.status, StatusCode::OK);

    let key = [("idempotency-key", "grant-1")];
    for _ in 0..2 {
        let path = "/api/v1/accounts/1/execution-count";
        let granted = api.send("PUT", path, &key, r#"{"count": 5}"#).await;
        assert_eq!(granted.json["data"], json!({"newExecutionCount": 5}), "once");
    }
    assert_eq!(count().await.get("pausedUntil"), None);
    assert_eq!(api.post("/jobs/1/run", json!({})).await.status, StatusCode::ACCEPTED);
    for wrong in ["{}", r#"{"count": 0}"#, r#"{"count": "5"}"#] {
        let refused = api.send("PUT", "/accounts/1/execution-count", &[], wrong).await;
        assert_eq!(code(&refused), (400, "invalid"), "{wrong}");
    }
}

#[tokio::test]
async fn other_accounts_wait_for_a_rule_of_targets_and_go_when_they_are_empty() {
    let api = ApiFixture::build().await;
    let refused = api.post("/api/v1/accounts", json!({"name": "shop"})).await;
    assert_eq!(code(&refused), (409, "conflict"));
    assert!(refused.json["data"].as_str().unwrap().contains("TargetPolicy"), "{}", refused.json);
    for (body, field) in [(json!({}), "name"), (json!({"name": " "}), "name")] {
        let wrong = api.post("/accounts", body).await;
        assert_eq!(
            (code(&wrong), &wrong.json["error"]["field"]),
            ((400, "invalid"), &json!(field))
        );
    }
    let id = second_account(&api).await;
    let renamed = api.put(&format!("/api/v1/accounts/{id}"), json!({"name": "shop 2"})).await;
    assert_eq!(
        (&renamed.json["data"]["name"], renamed.header("etag")),
        (&json!("shop 2"), "\"2\"")
    );
    assert_eq!(renamed.json["data"]["features"], json!([]));
    let taken = api.put(&format!("/accounts/{id}"), json!({"name": "default"})).await;
    assert_eq!(code(&taken), (409, "conflict"));
    let stale = [("if-match", "\"1\"")];
    let path = format!("/accounts/{id}");
    assert_eq!(code(&api.send("DELETE", &path, &stale, "").await), (412, "stale"));
    assert_eq!(code(&api.delete("/accounts/1").await), (409, "conflict"));
    assert_eq!(api.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(code(&api.delete(&path).await), (404, "not_found"));
}

#[tokio::test]
async fn the_header_of_the_account_counts_from_the_second_one_on() {
    let api = ApiFixture::build().await;
    let pair = key(&api, &["*", "accounts:read"]).await;
    for any in ["1", "7", "x", ""] {
        let answer = by_key(&api, &pair, Some(any), "/accounts/1").await;
        assert_eq!(answer.status, StatusCode::OK, "{any:?} is ignored");
    }
    let id = second_account(&api).await.to_string();
    for (account, expected) in [
        (None, (200, "")),
        (Some("1"), (200, "")),
        (Some(id.as_str()), (403, "account_mismatch")),
        (Some("99"), (403, "account_mismatch")),
        (Some("x"), (400, "bad_request")),
        (Some(""), (400, "bad_request")),
    ] {
        let answer = by_key(&api, &pair, account, "/accounts/1").await;
        assert_eq!(code(&answer), expected, "{account:?}");
    }
    let total = async |headers: &[(&str, &str)]| {
        let listed = api.send("GET", "/accounts", headers, "").await;
        (code(&listed).0, listed.json["data"]["total"].clone())
    };
    assert_eq!(total(&[]).await, (200, json!(2)));
    assert_eq!(total(&[("x-account-id", id.as_str())]).await, (200, json!(1)));
    assert_eq!(total(&[("x-account-id", "99")]).await.0, 404);
    assert_eq!(total(&[("x-account-id", "1.0")]).await.0, 400);
    // As the published client grants executions.
    let path = format!("/api/v1/accounts/{id}/execution-count");
    let own = [("x-account-id", id.as_str())];
    let granted = api.send("PUT", &path, &own, r#"{"count": 5}"#).await;
    assert_eq!(granted.json["data"]["newExecutionCount"], 2_147_483_647_u64);
}

#[tokio::test]
async fn the_keys_of_an_account_make_so_many_requests_in_a_second() {
    let api = ApiFixture::build().await;
    let pair = key(&api, &["*"]).await;
    api.put("/accounts/1", json!({"limits": {"requests_per_second": 3}})).await;
    let mut answers = Vec::new();
    for _ in 0..200 {
        answers.push(by_key(&api, &pair, None, "/whoami").await);
    }
    let limited: Vec<_> = answers.iter().filter(|one| one.status != StatusCode::OK).collect();
    // Of 200 at once, a second's worth passes, and what comes while they are sent.
    assert!(limited.len() > 100, "{}", limited.len());
    assert_eq!(code(limited[0]), (429, "rate_limited"));
    assert!(limited[0].header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(answers[..3].iter().all(|one| one.status == StatusCode::OK));
    // An operator is in no account.
    assert_eq!(api.get("/whoami").await.status, StatusCode::OK);
    api.put("/accounts/1", json!({"limits": null})).await;
    assert_eq!(by_key(&api, &pair, None, "/whoami").await.status, StatusCode::OK);
}

#[tokio::test]
async fn routes_of_newer_clients_say_that_they_are_not_offered() {
    let api = ApiFixture::build().await;
    for (method, path) in [
        ("POST", "/local-executors"),
        ("GET", "/local-executors/3/jobs"),
        ("POST", "/local-executors/3/executions"),
        ("GET", "/ai/models"),
        ("POST", "/ai/suggestions/time"),
        ("PUT", "/account/ai-settings"),
        ("GET", "/accounts/1/ai/usage"),
        ("GET", "/accounts/1/tokens"),
        ("PUT", "/accounts/1/tokens/add"),
    ] {
        let answer = api.send(method, &format!("/api/v1{path}"), &[], "{}").await;
        assert_eq!(code(&answer), (501, "not_implemented"), "{path}");
        assert!(answer.json["data"].as_str().unwrap().len() > 30, "{path}");
    }
}

#[tokio::test]
async fn a_node_of_an_older_level_waits_for_the_upgrade() {
    let clock = std::sync::Arc::new(scheduler0::clock::SystemClock);
    let api = ApiFixture::build_at_level(clock, 6).await;
    // Reads are there, and nothing can be limited.
    assert_eq!(api.get("/accounts/1").await.json["data"]["usage"]["projects"], 0);
    let limited = api.put("/accounts/1", json!({"limits": {"jobs": 1}})).await;
    assert_eq!(code(&limited), (409, "upgrade_pending"));
    let granted = api.send("PUT", "/accounts/1/execution-count", &[], r#"{"count": 5}"#).await;
    assert_eq!(code(&granted), (409, "upgrade_pending"));
    assert_eq!(api.project().await, 1);
    assert_eq!(api.get("/accounts/1").await.json["data"]["usage"]["projects"], 1);
}
