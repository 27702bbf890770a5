//! Requests that fail, are refused, or come late.

use std::time::Duration;

use super::stub::{Fixture, run};
use crate::cli::Failure;

/// A port that was free a moment ago, and that nobody listens on.
fn dead_node() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{free}")
}

#[tokio::test]
async fn the_next_node_is_asked_where_one_is_down() {
    let dead = dead_node();
    let prepare = |known: &mut super::stub::Known| known.offers.push_back(run("a", "", "1m"));
    let fixture = Fixture::start_with("echo ok", 1, &[&dead], prepare).await;
    assert_eq!(fixture.reported("a").await["result"], "ok");
}

#[tokio::test]
async fn a_claim_is_repeated_under_its_key_and_a_report_until_it_is_answered() {
    let fixture = Fixture::start_with("echo ok", 1, &[], |known| {
        known.claim_statuses = [503, 500, 429].into();
        known.report_statuses = [503, 503].into();
        known.offers.push_back(run("a", "", "1m"));
    })
    .await;
    assert_eq!(fixture.reported("a").await["state"], "completed");
    let known = fixture.stub.known();
    let keys: Vec<_> = known.claims.iter().take(4).map(|claim| claim["key"].clone()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(known.reports.len(), 1);
}

#[tokio::test]
async fn a_report_that_is_refused_is_dropped_and_its_place_is_free() {
    let fixture = Fixture::start_with("echo ok", 1, &[], |known| {
        known.report_statuses = [409, 404].into();
        known.offers = ["a", "b", "c"].map(|id| run(id, "", "1m")).into();
    })
    .await;
    assert_eq!(fixture.reported("c").await["state"], "completed");
    assert_eq!(fixture.stub.known().reports.len(), 1);
}

#[tokio::test]
async fn a_worker_whose_claims_are_refused_ends_with_the_reason() {
    let mut fixture =
        Fixture::start_with("echo ok", 1, &[], |known| known.claim_statuses.push_back(404)).await;
    let error = fixture.ended().await.unwrap_err();
    assert_eq!(Failure::code(&error), 3);
    assert!(error.to_string().contains("queues is not right"), "{error}");
}

/// The run was handed out long before the answer came: whether it is still this worker's, only a
/// heartbeat says.
#[tokio::test]
async fn a_run_that_comes_late_begins_when_a_heartbeat_is_answered() {
    let fixture = Fixture::start_with("echo ok", 1, &[], |known| {
        known.claim_delay = Duration::from_millis(1_200);
        known.is_deaf = true;
        known.offers.push_back(run("a", "", "1s"));
    })
    .await;
    fixture.stub.until("heartbeats", |known| known.heartbeats.len() > 2).await;
    assert!(fixture.stub.known().reports.is_empty());
    fixture.stub.set(|known| {
        known.is_deaf = false;
        known.claim_delay = Duration::ZERO;
    });
    assert_eq!(fixture.reported("a").await["result"], "ok");
}

/// It is stopped without having begun where the heartbeat says that another worker has it.
#[tokio::test]
async fn a_run_that_comes_late_and_is_gone_never_begins() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("begun");
    let script = format!("[ \"$S0_EXECUTION_ID\" = b ] || touch {}", mark.display());
    let fixture = Fixture::start_with(&script, 1, &[], |known| {
        known.claim_delay = Duration::from_millis(1_200);
        known.gone.insert("a".to_owned());
        known.offers = ["a", "b"].map(|id| run(id, "", "1s")).into();
    })
    .await;
    assert_eq!(fixture.reported("b").await["state"], "completed");
    assert_eq!(fixture.stub.states("a"), Vec::<String>::new());
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_cluster_that_allows_shorter_waits_only_is_asked_without() {
    let fixture = Fixture::start_with("sleep 0.5; echo ok", 1, &[], |known| {
        known.refuses_waits = true;
        known.offers.push_back(run("a", "", "1s"));
    })
    .await;
    assert_eq!(fixture.reported("a").await["result"], "ok");
    let known = fixture.stub.known();
    assert_eq!(known.claims[0]["wait"], "10000ms");
    assert_eq!(known.claims[1].get("wait"), None);
}

#[tokio::test]
async fn a_command_that_cannot_be_started_costs_no_retry() {
    let command = vec!["/no/such/command".into()];
    let prepare = |known: &mut super::stub::Known| known.offers.push_back(run("a", "", "1m"));
    let fixture = Fixture::start_command(command, 1, &[], prepare).await;
    assert_eq!(fixture.reported("a").await["state"], "released");
}
