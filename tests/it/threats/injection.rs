//! Text of clients in logs: no line end, escape sequence or line separator makes a line of its own,
//! or moves the cursor of who reads it.

use serde_json::{Value, json};

use crate::harness::TestCluster;
use crate::hostile::{Attacker, Port, RawConnection};

/// Characters that end a line or begin a sequence in some terminal or editor.
const EVIL: [&str; 8] =
    ["\r\n", "\n", "\u{1b}[31m", "\u{7}", "\u{2028}", "\u{2029}", "\u{85}", "\u{9b}2J"];

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_client_makes_a_line_of_the_log() {
    for format in ["text", "json"] {
        let settings = [("RUST_LOG", "trace"), ("SCHEDULER0_LOG_FORMAT", format)];
        let mut cluster = TestCluster::start_with(1, &settings).await;
        let attacker = Attacker::new(&cluster, 1, "injector").await;
        for evil in EVIL {
            let text = format!("a{evil}FORGED {evil}b");
            for (path, body) in [
                ("/api/v1/projects", json!({"name": text, "description": text})),
                ("/api/v1/executors", json!({"name": text, "webhookUrl": "http://127.0.0.1:9/"})),
                ("/api/v1/credentials", json!({"name": text, "createdBy": text})),
                (
                    "/api/v1/jobs",
                    json!([{"projectId": attacker.project, "after": 0, "data": text,
                        "externalId": text, "retryMax": 0, "labels": {"a": text},
                        "http": {"url": "http://127.0.0.1:9/{{data}}", "headers": {"x-a": text}}}]),
                ),
                (
                    "/api/v1/jobs",
                    json!([{"projectId": attacker.project, "after": 0, "data": text,
                        "retryMax": 0, "callbackUrl": "http://127.0.0.1:9/"}]),
                ),
            ] {
                let (status, answer) = attacker.post(path, &body).await;
                assert!(status < 500, "{path} {evil:?}: {answer}");
            }
        }
        // Names and paths that an HTTP library does not send.
        let to = Port::Api.of(&cluster, 1);
        for line in [
            "GET /a%0d%0aFORGED HTTP/1.1\r\nhost: x\r\nx-a: \u{1b}[31mFORGED",
            "GET /\u{1b}[31mFORGED HTTP/1.1\r\nhost: x",
            "GET / HTTP/1.1\r\nhost: x\r\nx-request-id: a\u{85}FORGED",
            "\u{1b}[31mFORGED / HTTP/1.1\r\nhost: x",
        ] {
            let mut connection = RawConnection::open(to).await.unwrap();
            let request = format!("{line}\r\nconnection: close\r\n\r\n");
            connection.send(request).await.unwrap();
            connection.rest().await;
        }
        let dead = async |c: &TestCluster| {
            let page = c.get(1, "/api/v1/executions?status=dead").await;
            (page["total"].as_u64()? > 0).then_some(())
        };
        cluster.wait_until("a job has failed", dead).await;
        // Its last line is whole then.
        assert_eq!(cluster.stop(1).await, Some(0));
        let log = std::fs::read_to_string(cluster.folder().join("node1.log")).unwrap();
        assert!(log.lines().count() > 100, "it was told to log everything");
        for line in log.lines() {
            let shown = &line[..line.len().min(200)];
            assert!(!line.starts_with("FORGED"), "{shown:?}");
            let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
            assert!(line.chars().all(is_plain), "{format}: {shown:?}");
            if format == "json" {
                assert!(serde_json::from_str::<Value>(line).is_ok(), "{shown:?}");
            }
        }
    }
}
