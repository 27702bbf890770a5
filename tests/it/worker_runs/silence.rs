//! Heartbeats and silence: who sends heartbeats keeps its run, however long it takes, and who sends
//! none loses it to another worker.

use std::time::{Duration, Instant};

use serde_json::json;

use super::fixture::QueueCluster;
use crate::harness::now;

/// The heartbeat timeout of the run.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The time between two heartbeats, answer included, with which a run may get lost.
const LATE: Duration = Duration::from_millis(800);

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_run_is_kept_by_heartbeats_and_lost_by_silence() {
    let fixture = QueueCluster::start(3).await;
    let job = json!({"after": "1s", "heartbeatTimeout": "1s", "retryMax": 50});
    fixture.create(job).await;
    // A machine that is too busy for a heartbeat in time proves nothing: the next attempt does.
    let (mut run, mut last) = loop {
        let run = fixture.claim(1, "steady").await;
        let mut ticker = tokio::time::interval(Duration::from_millis(100));
        let (begun, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        let was_on_time = loop {
            ticker.tick().await;
            let (sent, node) = (Instant::now(), rand::random_range(1..=3));
            let heard = fixture.beat(node, "steady", &[&run]).await;
            longest = longest.max(last.elapsed());
            if !heard.gone.is_empty() {
                assert!(longest >= LATE, "lost with a heartbeat every {longest:?}");
                break false;
            }
            assert!(heard.cancel.is_empty(), "{heard:?}");
            if heard.unknown.is_empty() {
                last = sent;
            }
            if begun.elapsed() > Duration::from_secs(30) {
                break true;
            }
            if begun.elapsed() > Duration::from_secs(2) {
                let shown = fixture.run(node, &run.id).await.unwrap();
                let is_its = shown["state"] == "running"
                    && shown["attempt"].as_u64() == Some(run.attempt)
                    && shown["worker"] == "steady";
                assert!(is_its || longest >= LATE, "{longest:?}: {shown}");
            }
        };
        if was_on_time {
            break (run, Some(last));
        }
    };

    // Without heartbeats it goes to another worker, and to a third one after that.
    let mut former = "steady".to_owned();
    for attempt in run.attempt + 1..run.attempt + 3 {
        let worker = format!("worker {attempt}");
        let next = fixture.claim(2, &worker).await;
        if let Some(last) = last.take() {
            assert!(last.elapsed() >= TIMEOUT, "it was given away {:?} after it", last.elapsed());
        }
        assert_eq!((&next.id, &next.run_id, next.attempt), (&run.id, &run.run_id, attempt));
        // Its former worker is told, and may not fail it any more.
        let heard = fixture.hears(3, &former, &run, |heard| !heard.gone.is_empty()).await;
        assert_eq!(heard.gone, [run.id.clone()]);
        assert_eq!(fixture.report(1, &former, &run, "fail").await.0, 409);
        (run, former) = (next, worker);
    }
    // When nobody claims, it waits, as each node shows.
    let shown = fixture.becomes(&run.id, "pending").await;
    assert_eq!(shown["attempt"].as_u64(), Some(run.attempt + 1), "{shown}");
    let losses = shown["attempts"].as_array().unwrap().iter().filter(|one| one["how"] == "lost");
    assert!(losses.count() >= 3, "{shown}");

    // What is done counts, however late.
    assert_eq!(fixture.report(3, &former, &run, "complete").await.0, 200);
    fixture.becomes(&run.id, "completed").await;
    assert!(fixture.ask(1, "late", 10, "0s").await.is_empty(), "it is over");
    fixture.cluster.assert_same_state(1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_never_arrived_is_offered_again() {
    let fixture = QueueCluster::start(1).await;
    // Its first heartbeat is due within the timeout, where that is below 15 s.
    fixture.create(json!({"after": "1s", "heartbeatTimeout": "2s"})).await;
    let first = fixture.claim(1, "gone").await;
    let claimed = now();
    let second = fixture.claim(1, "other").await;
    assert_eq!((&second.id, first.attempt, second.attempt), (&first.id, 1, 2));
    assert!(now() - claimed >= 1_900, "it was given away too early");
    assert_eq!(fixture.report(1, "other", &second, "complete").await.0, 200);
    fixture.becomes(&second.id, "completed").await;
    let heard = fixture.hears(1, "gone", &first, |heard| !heard.gone.is_empty()).await;
    assert_eq!(heard.gone, [first.id]);
}
