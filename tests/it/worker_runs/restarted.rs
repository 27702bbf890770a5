//! A rolling restart with runs in flight and runs that wait: nothing is lost, and nothing is handed
//! out twice.

use serde_json::json;

use super::faulty_workers::{Habits, Workers};
use super::fixture::QueueCluster;
use crate::harness::now;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_rolling_restart_loses_no_run_and_hands_none_out_twice() {
    let mut fixture = QueueCluster::start(3).await;
    let leader = fixture.cluster.leader(1).await.unwrap();
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    let terms = json!({"heartbeatTimeout": "1m"});
    // They fall due all the time.
    let jobs = fixture.one_offs(1_500, (now() + 3_000, 40), &terms).await;
    // Workers without a fault, whose runs are long enough to be in flight when a node goes.
    let habits = Habits { timeout: 60_000, hangs_up: 0.0, strays: 0.0, longest: 8_000 };
    let mut workers = Workers::start(&fixture, 8, habits);
    let shared = workers.shared.clone();
    let all = jobs.len() as u64;
    workers.reach("hand-outs", shared.handed.subscribe(), 100).await;
    for node in [others[0], leader, others[1]] {
        assert_eq!(fixture.cluster.stop(node).await, Some(0), "{}", fixture.cluster.log(node));
        let before = *shared.handed.borrow();
        workers.reach("hand-outs", shared.handed.subscribe(), (before + 50).min(all)).await;
        fixture.cluster.restart(node).await;
        let before = *shared.handed.borrow();
        workers.reach("hand-outs", shared.handed.subscribe(), (before + 50).min(all)).await;
    }
    let falling_due = *shared.handed.borrow() < all;
    workers.reach("completed runs", shared.completed.subscribe(), all).await;
    for node in 1..=3 {
        fixture.all_completed(node, jobs.len()).await;
    }
    let evidence = workers.stop().await;
    println!(
        "{} hand-outs, {} claims without an answer; runs fell due until the end: {falling_due}",
        evidence.hand_outs.len(),
        evidence.unanswered.len()
    );
    let verdict = evidence.judge();
    assert!(verdict.broken.is_empty(), "{:#?}", verdict.broken);
    assert_eq!(verdict.again, 0, "a run was handed out twice");
    for node in 1..=3 {
        fixture.assert_completed_once(node, &jobs).await;
    }
    fixture.cluster.assert_same_state(1, 3).await;
}
