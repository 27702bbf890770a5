//! Bad inputs: none is answered with a 5xx or without the envelope, and none changes anything.

use serde_json::{Value, json};

use super::job;
use crate::harness::ApiFixture;

/// Values that are wrong for most fields.
fn values() -> Vec<Value> {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MAX),
        number("1e300"),
        json!(""),
        json!(" "),
        json!("a\u{0}b"),
        json!("\u{202e}\u{feff}💣"),
        json!("x".repeat(70_000)),
        json!("'; DROP TABLE jobs; --"),
        json!([]),
        json!({}),
        json!({"a": {"b": "c"}}),
        deep,
    ]
}

#[tokio::test]
async fn no_value_of_any_field_makes_a_5xx() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    api.post("/jobs", job(project, "")).await;
    api.post("/executors", json!({"name": "e", "webhookUrl": "http://localhost:1/"})).await;
    let job_fields = [
        "id",
        "project_id",
        "spec",
        "timezone",
        "callback_url",
        "execution_type",
        "data",
        "start_date",
        "end_date",
        "retry_max",
        "executor_id",
        "status",
        "created_by",
        "modified_by",
        "dst",
        "timezoneOffset",
        "account_id",
        "unheard_of",
    ];
    for value in values() {
        let shown: String = value.to_string().chars().take(60).collect();
        for field in job_fields {
            let mut body = job(project, "");
            body[field] = value.clone();
            for (method, path, body) in [
                ("POST", "/jobs", json!([job(project, ""), body.clone()])),
                ("PUT", "/api/v1/jobs/1", body),
            ] {
                let answer = api.send(method, path, &[], body.to_string()).await;
                let said = format!("{method} {path} {field}: {shown}: {}", answer.json);
                assert!(answer.status.as_u16() < 500, "{said}");
                assert_eq!(answer.json["success"], answer.status.is_success(), "{said}");
                if method == "POST" && answer.status.is_client_error() {
                    assert_eq!(answer.json["error"]["field"], field, "{said}");
                    assert!(
                        matches!(answer.json["error"]["index"].as_u64(), Some(0 | 1)),
                        "{said}"
                    );
                }
            }
        }
        for (method, path, field) in [
            ("POST", "/projects", "name"),
            ("POST", "/projects", "description"),
            ("POST", "/projects", "created_by"),
            ("PUT", "/projects/1", "name"),
            ("PUT", "/projects/1", "retry_max"),
            ("PUT", "/projects/1", "retry_delay"),
            ("PUT", "/projects/1", "retry_factor"),
            ("PUT", "/projects/1", "timeout"),
            ("PUT", "/projects/1", "webhook_secret"),
            ("PUT", "/projects/1", "pause_until"),
            ("PUT", "/projects/1", "status"),
            ("POST", "/projects/1/pause", "until"),
            ("POST", "/projects/1/rotate-secret", "overlap"),
            ("POST", "/credentials", "archived"),
            ("POST", "/credentials", "created_by"),
            ("PUT", "/credentials/1", "archived"),
            ("POST", "/credentials/1/archive", "archived_by"),
            ("POST", "/executors", "name"),
            ("PUT", "/executors/1", "name"),
            ("PUT", "/executors/1", "type"),
            ("PUT", "/executors/1", "cloud_api_key"),
            ("PUT", "/executors/1", "webhook_url"),
            ("PUT", "/executors/1", "webhook_method"),
            ("PATCH", "/executors/1", "webhook_secret"),
            ("PATCH", "/executors/1", "http"),
            ("PATCH", "/executors/1", "max_concurrency"),
            ("POST", "/executors/1/rotate-secret", "overlap"),
            ("POST", "/executors/1/rotate-secret", "webhook_secret"),
            ("POST", "/dead-letters/replay", "project_id"),
            ("POST", "/dead-letters/replay", "start_date"),
            ("POST", "/dead-letters/replay", "rate_per_second"),
            ("POST", "/dead-letters/purge", "all"),
            ("POST", "/executions/x-1-1/fail", "error"),
            ("POST", "/schedules/preview", "spec"),
            ("POST", "/schedules/preview", "at"),
            ("POST", "/schedules/preview", "after"),
            ("POST", "/schedules/preview", "timezone"),
        ] {
            let answer = api.send(method, path, &[], json!({field: value}).to_string()).await;
            let said = format!("{method} {path} {field}: {shown}: {}", answer.json);
            assert!(answer.status.as_u16() < 500, "{said}");
            assert_eq!(answer.json["success"], answer.status.is_success(), "{said}");
        }
        for field in ["method", "url", "query", "headers", "body", "auth", "successCodes"] {
            let mut http = json!({"url": "http://localhost:1/"});
            http[field] = value.clone();
            let answer = api.put("/executors/1", json!({"http": http})).await;
            let said = format!("http.{field}: {shown}: {}", answer.json);
            assert!(answer.status.as_u16() < 500, "{said}");
        }
    }
}

#[tokio::test]
async fn no_body_path_or_query_makes_a_5xx() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let deep = "[".repeat(200_000);
    let nested = format!("[{}", "{\"data\":".repeat(50_000));
    let large = vec![b' '; (1 << 20) + 1];
    let bodies: Vec<(&[u8], &[u16])> = vec![
        (b"", &[400]),
        (b"null", &[422]),
        (b"5", &[422]),
        (b"\"[]\"", &[422]),
        (b"{", &[400]),
        (b"[{]", &[400]),
        (b"[{}]{}", &[400]),
        (b"\xff\xfe", &[400]),
        (b"[\xff]", &[400]),
        (b"{\"spec\":\"\xff\"}", &[400]),
        (b"[{\"spec\":\"\\ud800\"}]", &[400]),
        (b"[[]]", &[400]),
        (b"[]", &[400]),
        (b"{}", &[400]),
        (deep.as_bytes(), &[400]),
        (nested.as_bytes(), &[400]),
    ];
    for (body, wanted) in bodies {
        let answer = api.send("POST", "/jobs", &[], body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert!(wanted.contains(&answer.status.as_u16()), "{shown}: {:?}", answer.json);
        assert_eq!(answer.json["success"], false, "{shown}");
        for (method, path) in [("PUT", "/jobs/1"), ("POST", "/projects"), ("PUT", "/projects/1")] {
            let status = api.send(method, path, &[], body).await.status.as_u16();
            assert!(status < 500, "{method} {path} {shown}: {status}");
        }
    }
    let broken = api.send("POST", "/projects", &[], "{\"name\": }").await;
    assert!(broken.json["data"].as_str().unwrap().contains("line 1 column"), "{}", broken.json);
    let many = api.send("POST", "/projects", &[], &large).await;
    assert_eq!((many.status.as_u16(), &many.json["error"]["code"]), (413, &json!("too_large")));
    for coding in ["gzip", "identity, br", "x-unheard-of"] {
        for (method, path) in [("POST", "/projects"), ("POST", "/jobs"), ("PATCH", "/jobs/1")] {
            let zipped = api.send(method, path, &[("content-encoding", coding)], "{}").await;
            assert_eq!(zipped.status.as_u16(), 415, "{method} {path} {coding}: {}", zipped.json);
            assert_eq!(zipped.header("accept-encoding"), "identity");
        }
    }
    let plain = api.send("POST", "/projects", &[("content-encoding", "identity")], "{}").await;
    assert_eq!(plain.status.as_u16(), 400);

    for (method, path, wanted) in [
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/nowhere", 404),
        ("GET", "/api", 404),
        ("PATCH", "/jobs", 405),
        ("DELETE", "/v1/jobs", 405),
        ("GET", "/jobs/0", 404),
        ("GET", "/jobs/99", 404),
        ("GET", "/jobs/18446744073709551615", 404),
        ("GET", "/jobs/99999999999999999999999", 404),
        ("GET", "/jobs/-1", 400),
        ("GET", "/jobs/abc", 400),
        ("GET", "/jobs/%00", 400),
        ("GET", "/jobs/%ff", 400),
        ("DELETE", "/jobs/99", 404),
        ("GET", "/jobs/99/next", 404),
        ("GET", "/jobs/abc/next", 400),
        ("GET", "/jobs/1/next?count=1001", 400),
        ("GET", "/jobs/1/next?count=-1", 400),
        ("GET", "/credentials/99", 404),
        ("GET", "/projects/99", 404),
        ("GET", "/async-tasks/nonsense", 404),
        ("GET", "/async-tasks/00000000-0000-0000-0000-000000000000", 404),
        ("GET", "/jobs?limit=-1", 400),
        ("GET", "/jobs?limit=x", 400),
        ("GET", "/jobs?offset=100000", 200),
        ("GET", "/jobs?offset=100001", 400),
        ("GET", "/jobs?offset=9223372036854775808", 400),
        ("GET", "/jobs?limit=99999", 200),
        ("GET", "/jobs?orderBy=password", 400),
        ("GET", "/jobs?orderBy=id;drop&orderByDirection=up", 400),
        ("GET", "/jobs?projectId=%F0%28", 400),
        ("GET", "/jobs?consistency=strong", 400),
        ("GET", "/executions?startDate=never", 400),
        ("GET", "/executions?state=9", 400),
        ("GET", "/executions?state=running", 200),
        ("GET", "/executions?after=1", 400),
        ("GET", "/executions?after=x-1", 400),
        ("GET", "/executions?after=7fffffffffffffff-7ffffffffffffffe", 200),
        ("GET", "/executions?after=-1-7fffffffffffffff", 400),
        ("GET", "/executions/0", 404),
        ("GET", "/executions/99999999999999999999999", 404),
        ("GET", "/executions/x", 404),
        ("GET", "/executions/deadbeef-1-1", 404),
        ("GET", "/executions/0-ffffffffffffffff-1", 404),
        ("POST", "/executions/deadbeef-1-1/complete", 404),
        ("POST", "/executions/7/heartbeat", 404),
        ("GET", "/dead-letters?after=x", 400),
        ("GET", "/dead-letters?after=1&orderBy=dueAt", 400),
        ("GET", "/dead-letters?jobId=9223372036854775807", 200),
        ("GET", "/dead-letters/99", 404),
        ("DELETE", "/dead-letters/99", 404),
        ("POST", "/dead-letters/99/replay", 404),
        ("POST", "/dead-letters/purge", 422),
        ("POST", "/executions/cleanup-old-logs", 400),
        ("GET", "/dead-letters/purge", 405),
        ("GET", "/executions?jobId=9223372036854775807", 200),
        ("GET", "/executions/analytics?startDate=0000-01-01", 200),
        ("GET", "/executions/analytics?startDate=9999-12-31&endDate=9999-12-31&endTime=23:59", 200),
        ("GET", "/executions/analytics?startDate=2026-01-01&startTime=25:00", 400),
        ("POST", "/prompt", 501),
    ] {
        let answer = api.send(method, path, &[], "").await;
        assert_eq!(answer.status.as_u16(), wanted, "{method} {path}: {}", answer.json);
        assert_eq!(answer.json["success"], wanted == 200, "{method} {path}");
    }
    let allowed = api.send("PATCH", "/jobs", &[], "").await;
    assert!(allowed.header("allow").contains("POST"), "{:?}", allowed.headers);

    let heavy = api.post("/jobs", job(project, &"x".repeat(999_900))).await;
    assert_eq!(heavy.status.as_u16(), 413, "{}", heavy.json);
    assert_eq!(heavy.json["error"]["field"], "data");
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 0);
}
