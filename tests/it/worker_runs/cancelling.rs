//! Cancels of runs that wait, are under way, are being cancelled and are over, and what the worker
//! says to that.

use serde_json::json;

use super::fixture::{Handed, QueueCluster};
use crate::harness::TestCluster;

/// A run that a worker has.
async fn handed(fixture: &QueueCluster, worker: &str) -> Handed {
    fixture.create(json!({"after": "1s", "cancelTimeout": "1m"})).await;
    let run = fixture.claim(1, worker).await;
    fixture.becomes(&run.id, "running").await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_ends_at_once_and_nobody_gets_it() {
    let fixture = QueueCluster::start(1).await;
    let job = fixture.create(json!({"after": "1s"})).await;
    let waits = fixture.has_runs(job, "pending", 1).await;
    let id = waits[0]["id"].as_str().unwrap();
    for _ in 0..2 {
        let (status, told) = fixture.cancel(1, id).await;
        assert_eq!((status, &told["data"]["state"]), (200, &json!("cancelled")), "{told}");
    }
    let shown = fixture.becomes(id, "cancelled").await;
    assert_eq!(shown["reason"], "cancelled", "{shown}");
    // Another run is claimed behind it.
    fixture.create(json!({"after": "1s", "data": "next"})).await;
    assert_eq!(fixture.claim(1, "w").await.data, "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_confirms_a_cancel_or_completes_instead() {
    let fixture = QueueCluster::start(1).await;
    for (word, end, again) in [("cancelled", "cancelled", 200), ("complete", "completed", 409)] {
        let run = handed(&fixture, "w").await;
        for _ in 0..2 {
            let (status, told) = fixture.cancel(1, &run.run_id).await;
            assert_eq!((status, &told["data"]["state"]), (202, &json!("cancelling")), "{told}");
        }
        fixture.becomes(&run.id, "cancelling").await;
        let heard = fixture.hears(1, "w", &run, |heard| !heard.cancel.is_empty()).await;
        assert!(heard.gone.is_empty() && heard.unknown.is_empty(), "{heard:?}");
        // No other worker may speak for it, and it is not offered again.
        assert_eq!(fixture.report(1, "other", &run, "cancelled").await.0, 409);
        assert!(fixture.ask(1, "other", 10, "0s").await.is_empty());
        assert_eq!(fixture.report(1, "w", &run, word).await.0, 200);
        fixture.becomes(&run.id, end).await;
        let (status, told) = fixture.cancel(1, &run.id).await;
        assert_eq!(status, again, "{told}");
        let heard = fixture.hears(1, "w", &run, |heard| !heard.gone.is_empty()).await;
        assert_eq!((heard.gone, heard.cancel.len()), (vec![run.id.clone()], 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_never_confirms_is_not_waited_for_for_ever() {
    let fixture = QueueCluster::start(1).await;
    fixture.create(json!({"after": "1s", "cancelTimeout": "1s"})).await;
    let run = fixture.claim(1, "w").await;
    fixture.becomes(&run.id, "running").await;
    assert_eq!(fixture.cancel(1, &run.id).await.0, 202);
    // It goes on.
    let over = async |_: &TestCluster| {
        let heard = fixture.beat(1, "w", &[&run]).await;
        (!heard.gone.is_empty()).then_some(())
    };
    fixture.cluster.wait_until("the worker hears that the run is over", over).await;
    let shown = fixture.becomes(&run.id, "cancelled").await;
    let said = shown["error"].as_str().unwrap_or_default();
    assert!(said.contains("did not confirm"), "{shown}");
    let (status, told) = fixture.report(1, "w", &run, "complete").await;
    assert_eq!(status, 409, "{told}");
    fixture.becomes(&run.id, "cancelled").await;
}
