//! Nodes die between the attempts of an occurrence: each ends delivered, by the attempt that it would
//! have been delivered by anyway.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Stage, TOLERANCE, by_id, instants, says};
use crate::cluster::{Cluster, PATIENCE};
use crate::firing::planned;
use crate::oracle::{Planned, judge};
use crate::receiver::{Request, now};

/// The attempt that the endpoint takes.
const TAKEN: u32 = 3;

/// Jobs in batches and alone, whose first attempts fail.
async fn failing(stage: &Stage) -> Vec<Planned> {
    stage.receiver.script(|request: &Request| {
        let attempt: u32 = request.header("scheduler-attempt").parse().unwrap();
        Some(says(if attempt < TAKEN { 503 } else { 200 }))
    });
    let terms =
        json!({"spec": "@every 1s", "retryMax": 10, "retryDelay": "400ms", "retryFactor": 1});
    let mut jobs: Vec<_> = (0..320).map(|_| stage.batched(terms.clone())).collect();
    jobs.extend((0..8).map(|_| stage.single("/one", terms.clone())));
    planned(&stage.cluster.jobs(stage.others[1], &jobs.into()).await)
}

/// Waits until somebody is between two attempts.
async fn under_way(stage: &Stage) {
    stage.arrives("second attempts", |seen| seen.iter().any(|a| a.attempt == 2)).await;
    let again = now() + 1_000;
    stage
        .arrives("more second attempts", |seen| {
            seen.iter().any(|a| a.attempt == 2 && a.scheduled > again)
        })
        .await;
}

/// Waits until everything due by an instant has been accepted.
async fn all_taken(stage: &Stage, jobs: &[Planned], until: i64) {
    let mut due: BTreeSet<(u64, i64)> =
        jobs.iter().flat_map(|plan| instants(plan, until).map(|at| (plan.job, at))).collect();
    let mut read = 0;
    stage
        .receiver
        .wait_until("all is delivered", PATIENCE, |seen| {
            for arrival in seen[read..].iter().filter(|a| a.accepted) {
                due.remove(&(arrival.job, arrival.scheduled));
            }
            read = seen.len();
            due.is_empty()
        })
        .await;
}

/// Each job's ledger says delivered, of a sample of them.
async fn all_in_the_books(stage: &Stage, jobs: &[Planned], until: i64) {
    for plan in jobs.iter().step_by(53).chain(&jobs[324..]) {
        let ledger = stage.accounted(plan, until).await;
        let other = ledger.iter().find(|(_, (state, _))| state != "delivered");
        assert!(other.is_none(), "job {}: {other:?}", plan.job);
    }
    stage.alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_dies_between_attempts() {
    let mut stage = Stage::set().await;
    let jobs = failing(&stage).await;
    under_way(&stage).await;
    stage.cluster.kill(stage.leader);
    stage.next_leader(stage.others[0], stage.leader).await;
    let until = now() + 2_000;
    all_taken(&stage, &jobs, until).await;
    stage.cluster.restart(stage.leader).await;

    let seen = stage.receiver.arrivals();
    let found = judge(&jobs, &seen, 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
    // Who sends has not died: no attempt is made twice or left out.
    for (id, arrivals) in by_id(&seen) {
        let attempts: Vec<u32> = arrivals.iter().map(|a| a.attempt).collect();
        assert_eq!(attempts, (1..=attempts.len() as u32).collect::<Vec<_>>(), "{id}");
    }
    all_in_the_books(&stage, &jobs, until).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executing_node_dies_between_attempts() {
    let mut stage = Stage::set().await;
    let jobs = failing(&stage).await;
    under_way(&stage).await;
    let victim = stage.owner(jobs[0].job).await;
    stage.cluster.kill(victim);
    let killed = now();
    let left: Vec<u64> = stage.others.into_iter().filter(|id| *id != victim).collect();
    stage.cluster.settled(stage.leader, &left).await;
    let until = now() + 1_000;
    all_taken(&stage, &jobs, until).await;
    stage.cluster.restart(victim).await;

    let seen = stage.receiver.arrivals();
    judge(&jobs, &seen, 0, until, TOLERANCE).assert_sound();
    for (id, arrivals) in by_id(&seen) {
        assert_eq!(arrivals[0].attempt, 1, "{id}");
        for pair in arrivals.windows(2) {
            let (first, then) = (pair[0], pair[1]);
            // What the dead node did not report any more is done again by its successor.
            let again = first.at <= killed + TOLERANCE && then.at > killed;
            let next = first.attempt + 1 == then.attempt;
            assert!(next || (again && then.attempt <= first.attempt), "{id}: {arrivals:?}");
        }
    }
    all_in_the_books(&stage, &jobs, until).await;
    let others = stage.others;
    let home = async |c: &Cluster| c.leader(others[0]).await.filter(|l| *l == stage.leader);
    stage.cluster.wait_until("the leader is still the same", home).await;
}
