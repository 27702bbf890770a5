//! Retries: nodes die between the attempts of an occurrence, and each occurrence is delivered all
//! the same, by the attempt that the endpoint accepts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::harness::{
    Arrival, DeliveryFixture, PATIENCE, Planned, Request, TOLERANCE, TestCluster, instants, judge,
    now, planned, respond,
};

/// The attempt that the endpoint accepts.
const ACCEPTED_ATTEMPT: u32 = 3;

/// Creates jobs, batched and single, whose first attempts fail.
async fn failing(fixture: &DeliveryFixture) -> Vec<Planned> {
    fixture.receiver.script(|request: &Request| {
        let attempt: u32 = request.header("scheduler-attempt").parse().unwrap();
        Some(respond(if attempt < ACCEPTED_ATTEMPT { 503 } else { 200 }))
    });
    let terms =
        json!({"spec": "@every 1s", "retryMax": 10, "retryDelay": "400ms", "retryFactor": 1});
    let mut jobs: Vec<_> = (0..320).map(|_| fixture.batched(terms.clone())).collect();
    jobs.extend((0..8).map(|_| fixture.single("/one", terms.clone())));
    planned(&fixture.cluster.jobs(fixture.others[1], &jobs.into()).await)
}

/// Waits until occurrences are between two attempts.
async fn between_attempts(fixture: &DeliveryFixture) {
    fixture.arrives("second attempts", |seen| seen.iter().any(|a| a.attempt == 2)).await;
    let again = now() + 1_000;
    fixture
        .arrives("more second attempts", |seen| {
            seen.iter().any(|a| a.attempt == 2 && a.scheduled > again)
        })
        .await;
}

/// Waits until everything due by an instant has been accepted.
async fn all_accepted(fixture: &DeliveryFixture, jobs: &[Planned], until: i64) {
    let mut due: BTreeSet<(u64, i64)> =
        jobs.iter().flat_map(|plan| instants(plan, until).map(|at| (plan.job, at))).collect();
    let mut read = 0;
    fixture
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

/// Asserts that the ledgers of a sample of the jobs say delivered.
async fn assert_delivered(fixture: &DeliveryFixture, jobs: &[Planned], until: i64) {
    for plan in jobs.iter().step_by(53).chain(&jobs[324..]) {
        let ledger = fixture.accounted(plan, until).await;
        let other = ledger.iter().find(|(_, entry)| entry.state != "delivered");
        assert!(other.is_none(), "job {}: {other:?}", plan.job);
    }
    fixture.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn the_leader_dies_between_attempts() {
    let mut fixture = DeliveryFixture::start().await;
    let jobs = failing(&fixture).await;
    between_attempts(&fixture).await;
    fixture.cluster.kill(fixture.leader);
    fixture.next_leader(fixture.others[0], fixture.leader).await;
    let until = now() + 2_000;
    all_accepted(&fixture, &jobs, until).await;
    fixture.cluster.restart(fixture.leader).await;

    let seen = fixture.receiver.arrivals();
    let found = judge(&jobs, &seen, 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
    // The senders have not died: no attempt is made twice or left out.
    for (id, arrivals) in by_id(&seen) {
        let attempts: Vec<u32> = arrivals.iter().map(|a| a.attempt).collect();
        assert_eq!(attempts, (1..=attempts.len() as u32).collect::<Vec<_>>(), "{id}");
    }
    assert_delivered(&fixture, &jobs, until).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executing_node_dies_between_attempts() {
    let mut fixture = DeliveryFixture::start().await;
    let jobs = failing(&fixture).await;
    between_attempts(&fixture).await;
    let victim = fixture.owner(jobs[0].job).await;
    fixture.cluster.kill(victim);
    let killed = now();
    let left: Vec<u64> = fixture.others.into_iter().filter(|id| *id != victim).collect();
    fixture.cluster.settled(fixture.leader, &left).await;
    let until = now() + 1_000;
    all_accepted(&fixture, &jobs, until).await;
    fixture.cluster.restart(victim).await;

    let seen = fixture.receiver.arrivals();
    judge(&jobs, &seen, 0, until, TOLERANCE).assert_sound();
    for (id, arrivals) in by_id(&seen) {
        assert_eq!(arrivals[0].attempt, 1, "{id}");
        for pair in arrivals.windows(2) {
            let (first, then) = (pair[0], pair[1]);
            // The successor repeats what the dead node did not report any more.
            let again = first.at <= killed + TOLERANCE && then.at > killed;
            let next = first.attempt + 1 == then.attempt;
            assert!(next || (again && then.attempt <= first.attempt), "{id}: {arrivals:?}");
        }
    }
    assert_delivered(&fixture, &jobs, until).await;
    let others = fixture.others;
    let same = async |c: &TestCluster| c.leader(others[0]).await.filter(|l| *l == fixture.leader);
    fixture.cluster.wait_until("the leader is still the same", same).await;
}

/// Arrivals by execution id, each in the order in which they came.
fn by_id(arrivals: &[Arrival]) -> BTreeMap<&str, Vec<&Arrival>> {
    let mut found: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        found.entry(&arrival.execution_id).or_default().push(arrival);
    }
    found
}
