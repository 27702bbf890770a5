//! Values that attack a parser, a query or a header: endless JSON, SQL in names, schedules for slow
//! matchers, line ends.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::super::fixture::calls;
use super::super::{Attacker, Victim};
use crate::harness::{PATIENCE, Receiver, TestCluster, now};

/// Sends a raw body; returns the status.
async fn raw(attacker: &Attacker, path: &str, body: Vec<u8>) -> u16 {
    let request = attacker.http().post(attacker.url(path));
    let request = request.header("content-type", "application/json").body(body);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn json_without_measure_is_refused_and_nobody_waits_for_it() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 10).await;
    let attacker = Attacker::new(&cluster, 1, "json").await;
    let begin = now();
    let name = |value: &str| format!(r#"{{"name": {value}, "description": "x"}}"#).into_bytes();
    let bodies: Vec<Vec<u8>> = vec![
        "[".repeat(200_000).into(),
        "{\"a\":".repeat(100_000).into(),
        format!("{}{}", "[".repeat(60_000), "]".repeat(60_000)).into(),
        name(&format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000))),
        name(&"9".repeat(200_000)),
        name("1e999999999"),
        name("-1e999"),
        name("NaN"),
        name("Infinity"),
        name("null"),
        name("true"),
        name("\"\\ud800\""),
        name("\"\\u00\""),
        name("\"\\x41\""),
        name("\"tab\there\""),
        name(&format!("\"{}\"", "x".repeat(900_000))),
        name("\"a\"} {"),
        b"{\"name\": \"\xff\xfe\", \"description\": \"x\"}".to_vec(),
        b"\xef\xbb\xbf{\"name\": \"a\", \"description\": \"x\"".to_vec(),
        b"\xff\xfe{\x00".to_vec(),
        vec![0; 1_000],
        Vec::new(),
        b"null".to_vec(),
        b"\"text\"".to_vec(),
        b"[[]]".to_vec(),
        b"{\"name\"".to_vec(),
    ];
    for body in bodies {
        for path in ["/api/v1/projects", "/v1/jobs", "/executors", "/api/v1/jobs/pause"] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let status = raw(&attacker, path, body.clone()).await;
            assert!((400..500).contains(&status), "{status} for {path} {shown:?}");
        }
    }
    let lags = victim.watch_since(begin, now()).await;
    assert!(lags.quantile(1_000) < 10_000, "{lags}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_sql_are_names() {
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "sql").await;
    let receiver = Receiver::start().await;
    let texts = [
        "x'); DROP TABLE jobs; --",
        "' OR '1'='1",
        "\" OR \"\"=\"",
        "%' UNION SELECT secret FROM projects --",
        "a\\'; DELETE FROM jobs; --",
        "_%",
        "*",
    ];
    for (n, text) in texts.iter().enumerate() {
        let project = json!({"name": text, "description": text});
        let (status, made) = attacker.post("/api/v1/projects", &project).await;
        assert_eq!(status, 201, "{made}");
        let id = &made["data"]["id"];
        let (_, shown) = attacker.get(&format!("/api/v1/projects/{id}")).await;
        assert_eq!(
            (&shown["data"]["name"], &shown["data"]["description"]),
            (&json!(text), &json!(text))
        );
        let job = json!({
            "projectId": id, "spec": "0 0 1 1 *", "timezone": "UTC", "data": text,
            "callbackUrl": receiver.url(), "externalId": format!("{n}{text}"),
        });
        attacker.jobs(&json!([job])).await;
    }
    let total = async || {
        let (_, jobs) = attacker.get("/api/v1/jobs?limit=1").await;
        jobs["data"]["total"].as_u64().unwrap()
    };
    assert_eq!(total().await, 7);
    for text in texts {
        for (name, found) in [
            ("externalId", 0),
            ("status", 0),
            ("orderBy", 0),
            ("orderByDirection", 0),
            ("projectId", 0),
            ("limit", 0),
            ("offset", 0),
            ("label", 0),
        ] {
            let url = attacker.url("/api/v1/jobs");
            let url = reqwest::Url::parse_with_params(&url, [(name, text)]).unwrap();
            let answer = attacker.http().get(url).send().await.unwrap();
            let status = answer.status();
            let body: Value = answer.json().await.unwrap();
            let refused = status == StatusCode::BAD_REQUEST;
            let none = status.is_success() && body["data"]["total"] == found;
            assert!(refused || none, "{status} for {name}={text}: {body}");
        }
        let filter = json!({"projectId": attacker.project, "externalIds": [text]});
        let filter = json!({"filter": filter, "dryRun": true});
        let (status, body) = attacker.post("/api/v1/jobs/pause", &filter).await;
        assert!(status < 500 && body["data"]["matched"].as_u64().unwrap_or(0) == 0, "{body}");
    }
    assert_eq!(total().await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_and_zones_that_are_made_to_be_slow_are_refused_at_once() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 10).await;
    let attacker = Attacker::new(&cluster, 1, "slow").await;
    let begin = now();
    let specs = [
        "1,".repeat(100_000),
        "*/1,".repeat(50_000),
        format!("{} * * * *", "0-59/1,".repeat(50_000)),
        format!("@every {}", "1h".repeat(50_000)),
        format!("@every {}s", "9".repeat(10_000)),
        "(".repeat(100_000),
        format!("0 0 {} * *", "L-".repeat(50_000)),
        format!("H({})", "0-".repeat(50_000)),
        " ".repeat(200_000),
        format!("CRON_TZ={} * * * * *", "A/".repeat(50_000)),
        "TZ=".repeat(50_000),
        "\u{202e}* * * * *".to_owned(),
        "0 0 30 2 *".to_owned(),
        "0 0 31 4,6,9,11 *".to_owned(),
    ];
    for spec in specs {
        let shown: String = spec.chars().take(30).collect();
        for (field, value) in
            [("spec", &spec), ("timezone", &spec), ("after", &spec), ("at", &spec)]
        {
            let mut job = json!({
                "projectId": attacker.project, "timezone": "UTC",
                "callbackUrl": "http://127.0.0.1:9/callback",
            });
            if field == "timezone" {
                job["spec"] = json!("0 0 * * *");
            }
            job[field] = json!(value);
            let (status, body) = attacker.post("/api/v1/jobs", &json!([job])).await;
            assert!((400..500).contains(&status), "{status} for {field} {shown:?}: {body}");
            assert!(body.to_string().len() < 4_000, "{shown:?}: an answer as long as the question");
        }
    }
    let lags = victim.watch_since(begin, now()).await;
    assert!(lags.quantile(1_000) < 10_000, "{lags}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_end_makes_a_header_of_its_own() {
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "lines").await;
    let receiver = Receiver::start().await;
    let line = "a\r\nx-evil: yes";
    for http in [
        json!({"headers": {"x-a": line}}),
        json!({"headers": {"x-a": "a\nx-evil: yes"}}),
        json!({"headers": {"x-a": "a\0b"}}),
        json!({"headers": {line: "a"}}),
        json!({"headers": {"x a": "a"}}),
        json!({"headers": {"x-a:": "a"}}),
        json!({"headers": {"": "a"}}),
        json!({"headers": {"host": "evil"}}),
        json!({"headers": {"content-length": "0"}}),
        json!({"headers": {"transfer-encoding": "chunked"}}),
        json!({"headers": {"connection": "upgrade"}}),
        json!({"headers": {"webhook-id": "mine"}}),
        json!({"headers": {"scheduler-fence": "1"}}),
        json!({"method": "POST / HTTP/1.1\r\nx-evil: yes\r\n"}),
        json!({"method": "CONNECT"}),
        json!({"url": format!("{}\r\nx-evil: yes", receiver.at("/single"))}),
        json!({"url": format!("{} HTTP/1.1", receiver.at("/single"))}),
        json!({"auth": {"type": "bearer", "token": line}}),
    ] {
        let mut job = calls(attacker.project, &receiver.at("/single"), 1, &json!({}))[0].clone();
        for (name, value) in http.as_object().unwrap() {
            job["http"][name.as_str()] = value.clone();
        }
        let (status, body) = attacker.post("/api/v1/jobs", &json!([job])).await;
        assert!((400..500).contains(&status), "{status} for {http}: {body}");
    }
    // The filled template is refused, not sent, or sent without that line.
    let mut taken = 0;
    for (field, text) in [("headers", "{{data}}"), ("query", "{{data}}")] {
        let http = json!({
            "method": "POST", "url": receiver.at("/filled/{{data}}"), field: {"x-a": text},
        });
        let job = json!({
            "projectId": attacker.project, "after": 0, "data": line, "http": http, "retryMax": 0,
        });
        let (status, body) = attacker.post("/api/v1/jobs", &json!([job])).await;
        assert!(status < 300 || (400..500).contains(&status), "{status} for {field}: {body}");
        taken += usize::from(status < 300);
    }
    let last = json!({
        "projectId": attacker.project, "after": 0, "data": line,
        "http": {"method": "POST", "url": receiver.at("/last"), "body": "{{data}}"},
    });
    attacker.jobs(&json!([last])).await;
    let ended = async |c: &TestCluster| {
        let page = c.get(1, "/api/v1/executions?limit=100").await;
        let ended = page["executions"]
            .as_array()?
            .iter()
            .filter(|e| e["status"] == "delivered" || e["status"] == "dead");
        (ended.count() > taken).then_some(())
    };
    cluster.wait_until("what was taken has ended", ended).await;
    receiver.wait_until("the last one", PATIENCE, |seen| !seen.is_empty()).await;
    for request in receiver.requests() {
        assert!(!request.headers.contains_key("x-evil"), "{:?}", request.headers);
        assert!(!request.path.contains('\n'), "{}", request.path);
    }
}
