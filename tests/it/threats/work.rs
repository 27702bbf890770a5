//! Requests that are made to be expensive: the worst schedules, the longest previews, large
//! filters. What they cost is bounded by their number of steps, and never by a clock.

use serde_json::{Value, json};

use crate::harness::ApiFixture;

/// The most bytes of an answer to any of them.
const LONGEST: usize = 400_000;

#[tokio::test]
async fn the_worst_schedules_have_bounded_previews() {
    let api = ApiFixture::build().await;
    let many: Vec<_> = (0..60).map(|n| n.to_string()).collect();
    for spec in [
        // Few instants, far apart.
        "0 0 29 2 *",
        "0 0 0 29 2 MON",
        "59 59 23 31 12 *",
        "0 0 1 1 *",
        // Rare days of the week that must fit rare days of the month.
        "0 0 13 * FRI",
        "0 0 L-30 2 *",
        // Many instants.
        "* * * * * *",
        &format!("{0} {0} * * * *", many.join(",")),
        "0/1 0/1 0/1 1/1 1/1 *",
    ] {
        for count in [1_000, 1_001, u64::MAX] {
            let body = json!({"spec": spec, "timezone": "Antarctica/Troll", "count": count});
            let answer = api.post("/api/v1/schedules/preview", body).await;
            assert!(answer.status.as_u16() < 500, "{spec}: {}", answer.json);
            assert!(answer.body.len() < LONGEST, "{spec}: {} bytes", answer.body.len());
            if count > 1_000 {
                assert_eq!(answer.status.as_u16(), 422, "{spec}: {}", answer.json);
            }
        }
    }
}

#[tokio::test]
async fn a_filter_of_many_labels_or_ids_is_refused() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let labels: serde_json::Map<String, Value> =
        (0..10_000).map(|n| (format!("k{n}"), json!("v"))).collect();
    let ids: Vec<u64> = (1..200_000).collect();
    let texts: Vec<_> = (0..200_000).map(|n| n.to_string()).collect();
    for filter in [
        json!({"projectId": project, "labels": labels}),
        json!({"projectId": project, "ids": ids}),
        json!({"projectId": project, "externalIds": texts}),
        json!({"projectId": project, "spec": "*".repeat(100_000)}),
    ] {
        let body = json!({"filter": filter, "dryRun": true});
        let answer = api.post("/api/v1/jobs/pause", body).await;
        let status = answer.status.as_u16();
        assert!((400..500).contains(&status), "{status} {}", answer.json);
        assert!(answer.body.len() < 4_000, "an answer as long as the question");
    }
    for (labels, status) in [(32, 200), (33, 400), (2_000, 400)] {
        let query = vec!["label=a%3Db"; labels].join("&");
        let answer = api.get(&format!("/api/v1/jobs?{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{labels}: {}", answer.json);
    }
}

#[test]
fn no_engine_that_backtracks_is_in_the_tree() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    for engine in ["pcre", "pcre2", "pcre2-sys", "onig", "onig_sys", "oniguruma"] {
        assert!(!lock.contains(&format!("name = \"{engine}\"\n")), "{engine}");
    }
}
