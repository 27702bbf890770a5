//! Tenants and the inside of the network: metadata services, the loopback, private hosts, and the
//! ports of the cluster itself, as targets of jobs.

use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, Receiver, TestCluster};
use crate::hostile::Attacker;

const NOT_ALLOWED: &str = "target_not_allowed";

/// A job that is due at once, with what says where it goes.
fn once(project: u64, target: &Value) -> Value {
    let mut job = json!({"projectId": project, "after": 0, "data": "x", "retryMax": 0});
    for (name, value) in target.as_object().unwrap() {
        job[name.as_str()] = value.clone();
    }
    job
}

/// The only dead letter of a node, as its execution is shown.
async fn dead(cluster: &TestCluster) -> Value {
    let ended = async |c: &TestCluster| {
        let page = c.get(1, "/api/v1/executions?status=dead").await;
        let first = page["executions"].get(0)?.clone();
        Some(first)
    };
    cluster.wait_until("a job is dead", ended).await
}

#[tokio::test(flavor = "multi_thread")]
async fn under_public_no_job_can_be_made_for_the_inside_of_the_network() {
    let cluster = TestCluster::start_with(1, &[("SCHEDULER0_TARGET_POLICY", "public")]).await;
    let attacker = Attacker::new(&cluster, 1, "ssrf").await;
    let (api, raft) = cluster.addresses(1);
    let (api, raft) = (api.trim_start_matches("http://"), raft.as_str());
    let api_port = api.rsplit_once(':').unwrap().1;
    let refused = async |path: &str, body: Value, field: &str| {
        let (status, answer) = attacker.post(path, &body).await;
        let (code, named) = (&answer["error"]["code"], &answer["error"]["field"]);
        assert_eq!((status, code, named), (400, &json!(NOT_ALLOWED), &json!(field)), "{answer}");
    };
    for host in [
        raft.to_owned(),
        api.to_owned(),
        format!("localhost:{api_port}"),
        "127.1:3000".to_owned(),
        "0x7f000001:3000".to_owned(),
        "017700000001:3000".to_owned(),
        "2130706433:3000".to_owned(),
        "[::1]:3000".to_owned(),
        "[::ffff:127.0.0.1]:3000".to_owned(),
        "[64:ff9b::7f00:1]:3000".to_owned(),
        "[2002:7f00:1::]:3000".to_owned(),
        "10.0.0.1".to_owned(),
        "192.168.1.1:8080".to_owned(),
        "[fd00::1]".to_owned(),
        "169.254.169.254".to_owned(),
        "metadata.google.internal".to_owned(),
        "example.com:22".to_owned(),
        "example.com:25".to_owned(),
    ] {
        let url = format!("http://{host}/");
        let callback = once(attacker.project, &json!({"callbackUrl": url}));
        refused("/api/v1/jobs", json!([callback]), "callbackUrl").await;
        let http = once(attacker.project, &json!({"http": {"url": url}}));
        refused("/api/v1/jobs", json!([http]), "http.url").await;
        let executor = json!({"name": "e", "webhookUrl": url});
        refused("/api/v1/executors", executor, "webhookUrl").await;
    }
    let amqp = json!({"amqp": {"url": "amqp://u:p@10.0.0.1/", "routingKey": "a"}});
    refused("/api/v1/jobs", json!([once(attacker.project, &amqp)]), "amqp.url").await;
    // Users in URLs hide the host from people: they are refused whatever the host is.
    let user = once(attacker.project, &json!({"callbackUrl": "http://example.com@10.0.0.1/"}));
    let (status, answer) = attacker.post("/api/v1/jobs", &json!([user])).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("invalid")), "{answer}");
    assert_eq!(attacker.get("/api/v1/jobs").await.1["data"]["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_before_the_policy_is_judged_at_each_attempt() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(1).await;
    let project = cluster.project(1, "before").await;
    let job = json!({"projectId": project, "spec": "0 0 1 1 *", "timezone": "UTC",
        "retryMax": 1, "retryDelay": "1s", "http": {"url": receiver.at("/inner")}});
    let made = cluster.jobs(1, &job).await;
    assert_eq!(cluster.stop(1).await, Some(0));
    cluster.set("SCHEDULER0_TARGET_POLICY", "public");
    cluster.spawn(1);
    cluster.ready(1).await;
    let run = format!("/api/v1/jobs/{}/run", made[0]["id"]);
    let (status, answer) = cluster.post(1, &run, &json!({})).await;
    assert!(status < 300, "{status} {answer}");
    let execution = dead(&cluster).await;
    let shown = execution.to_string();
    assert!(shown.contains(NOT_ALLOWED), "{shown}");
    assert_eq!(execution["attempt"], json!(2), "as many attempts as the job says: {shown}");
    assert_eq!(receiver.requests().len(), 0, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_a_listed_internal_host_is_shown_to_nobody() {
    const SECRET: &str = "internal-answer-4242";
    let receiver = Receiver::start().await;
    receiver.script(|_| Some(SECRET.into_response()));
    let host = receiver.url();
    let host = host.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let settings = [("SCHEDULER0_TARGET_POLICY", "list"), ("SCHEDULER0_ALLOWED_TARGETS", &*host)];
    for (settings, is_shown) in [(&settings[..], false), (&[][..], true)] {
        let cluster = TestCluster::start_with(1, settings).await;
        let project = cluster.project(1, "reads").await;
        let target = json!({"http": {"url": receiver.at("/inner")}});
        let made = cluster.jobs(1, &once(project, &target)).await;
        let ended = async |c: &TestCluster| {
            let page = c.get(1, "/api/v1/executions?status=delivered").await;
            page["executions"].get(0).cloned()
        };
        let execution = cluster.wait_until("it is delivered", ended).await;
        let at = execution["scheduledAt"].as_str().unwrap();
        let explain = format!("/api/v1/jobs/{}/explain?at={at}", made[0]["id"]);
        let explain = cluster.get(1, &explain).await;
        let shown = format!("{execution} {explain}");
        assert_eq!(shown.contains(SECRET), is_shown, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_calls_only_where_its_list_says() {
    let receiver = Receiver::start().await;
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "bounded").await;
    let (other, path) = (receiver.at("/single"), format!("/api/v1/projects/{}", attacker.project));
    let job = |target: Value| json!([once(attacker.project, &target)]);
    // A job from before the list, and an executor, which no list is for.
    let spec = json!([{"projectId": attacker.project, "spec": "0 0 1 1 *", "timezone": "UTC",
        "retryMax": 0, "http": {"url": other}}]);
    attacker.jobs(&spec).await;
    let executor = json!({"name": "e", "webhookUrl": receiver.url()});
    let (status, executor) = attacker.post("/api/v1/executors", &executor).await;
    assert_eq!(status, 201, "{executor}");
    let allowed = json!({"allowedTargets": ["https://*.a.example", "10.0.0.0/8:443"]});
    let (status, answer) = attacker.ask("PATCH", &path, &allowed).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["data"]["allowedTargets"],
        json!(["https://*.a.example:443", "10.0.0.0/8:443"])
    );
    for (target, field) in [
        (json!({"callbackUrl": other}), "callbackUrl"),
        (json!({"callbackUrl": "https://evila.example:444/"}), "callbackUrl"),
        (json!({"http": {"url": "https://a.example.evil.org:80/"}}), "http.url"),
        (json!({"executorId": executor["data"]["id"]}), "executorId"),
        (
            json!({"amqp": {"url": "amqp://u:p@x.a.example/", "exchange": "e", "routingKey": "a"}}),
            "amqp.url",
        ),
    ] {
        let (status, answer) = attacker.post("/api/v1/jobs", &job(target)).await;
        let (code, named) = (&answer["error"]["code"], &answer["error"]["field"]);
        assert_eq!((status, code, named), (400, &json!(NOT_ALLOWED), &json!(field)), "{answer}");
    }
    let fine = json!([{"projectId": attacker.project, "spec": "0 0 1 1 *", "timezone": "UTC",
        "callbackUrl": "https://x.a.example/"}]);
    attacker.jobs(&fine).await;
    // An edit is judged as well, one at a time and many at once.
    for (method, path, body) in [
        ("PATCH", "/api/v1/jobs/2", json!({"callbackUrl": other})),
        (
            "POST",
            "/api/v1/jobs/edit",
            json!({"filter": {"ids": [2]}, "set": {"callbackUrl": other}}),
        ),
    ] {
        let (status, answer) = attacker.ask(method, path, &body).await;
        let shown = answer.to_string();
        assert!(status == 400 || answer["data"]["refused"] == 1, "{status} {shown}");
        assert!(shown.contains("allowedTargets"), "{method} {path}: {shown}");
    }
    let (status, answer) = attacker.post("/api/v1/jobs/1/run", &json!({})).await;
    assert!(status < 300, "{answer}");
    let execution = dead(&cluster).await;
    assert!(execution.to_string().contains(NOT_ALLOWED), "{execution}");
    assert_eq!(receiver.requests().len(), 0, "nothing was sent");
    // Without a list it is called again.
    let none = json!({"allowedTargets": null});
    let (status, answer) = attacker.ask("PATCH", &path, &none).await;
    assert_eq!((status, answer["data"].get("allowedTargets")), (200, None), "{answer}");
    attacker.post("/api/v1/jobs/1/run", &json!({})).await;
    receiver.wait_until("the call", PATIENCE, |seen| !seen.is_empty()).await;
    for bad in [json!([]), json!(["a.example"]), json!(["*:443"]), json!("a:1"), json!([1])] {
        let (status, answer) = attacker.ask("PATCH", &path, &json!({"allowedTargets": bad})).await;
        let named = &answer["error"]["field"];
        assert_eq!((status, named), (400, &json!("allowedTargets")), "{bad}: {answer}");
    }
}
