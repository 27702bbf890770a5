//! Bombs: bodies that are small to send and large to read. Each is refused, in bounded memory.

use axum::http::StatusCode;
use serde_json::json;

use crate::harness::{ApiFixture, TestCluster};
use crate::hostile::{Attacker, Peak, memory_mb};

/// The size of the bodies, in bytes.
const SIZE: usize = 64 << 20;
/// The memory that a body may cost, as a multiple of its size.
const MOST: f64 = 4.0;

#[tokio::test(flavor = "multi_thread")]
async fn json_bombs_of_64_mb_are_refused_within_four_times_their_size() {
    let cluster = TestCluster::start(1).await;
    let attacker = Attacker::new(&cluster, 1, "bombs").await;
    let before = memory_mb(&cluster, 1);
    let peak = Peak::of(&cluster, 1);
    let filled = |begin: &str, piece: &str| {
        let mut body = begin.to_owned();
        while body.len() < SIZE {
            body.push_str(piece);
        }
        body
    };
    let keys = || {
        let pairs: Vec<_> = (0..1_000_000).map(|n| format!("\"k{n}\":{n}")).collect();
        format!("{{{}}}", pairs.join(","))
    };
    let job = |field: &str| format!("[{{\"projectId\":{},\"{field}\":", attacker.project);
    for (name, body) in [
        ("zeros", filled("[", "0,")),
        ("lists", filled("[", "[0],")),
        ("depth", filled("", "[")),
        ("objects", filled("[", "{},")),
        ("a number", filled(&job("data"), "9")),
        ("labels", filled(&job("labels"), "{\"a\":")),
        ("keys", format!("[{}]", keys())),
        ("keys of a job", format!("{}{}}}]", job("labels"), keys())),
    ] {
        for path in ["/api/v1/jobs", "/api/v1/projects"] {
            let request = attacker.http().post(attacker.url(path));
            let request = request.header("content-type", "application/json").body(body.clone());
            // A node may refuse a body by its length, and close before all of it was sent.
            let status = request.send().await.map(|answer| answer.status().as_u16());
            let refused = status.as_ref().map_or(true, |status| (400..500).contains(status));
            assert!(refused, "{name} to {path}: {status:?}");
        }
    }
    let grown = peak.mb() - before;
    let most = MOST * SIZE as f64 / 1_000_000.0;
    assert!(grown < most, "{grown} MB more than the {before} MB before");
    assert_eq!(attacker.get("/api/v1/jobs").await.0, 200);
}

#[tokio::test]
async fn a_decompression_bomb_is_refused_unread() {
    let api = ApiFixture::build().await;
    // The head of a gzip stream: what follows is never asked for.
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    for coding in ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP", "nonsense"] {
        for path in ["/api/v1/jobs", "/v1/projects", "/credentials", "/api/v1/dead-letters/purge"] {
            let answer = api.send("POST", path, &[("content-encoding", coding)], head).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{coding} {path}");
            assert_eq!(answer.json["error"]["code"], json!("unsupported_encoding"));
        }
    }
}
