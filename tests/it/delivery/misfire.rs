//! Misfires: all nodes are down for longer than the grace, and each job's policy decides what is
//! caught up and what is skipped, also when the new leader dies during the catch-up.

use std::collections::BTreeMap;

use scheduler0::model::shard::shard_of;
use serde_json::{Value, json};

use crate::harness::{
    Arrival, DeliveryFixture, LedgerEntry, Planned, Request, TOLERANCE, now, planned, respond,
};

/// The misfire grace of all jobs here, in milliseconds.
const GRACE: i64 = 1_000;
/// The time from the decision about a late occurrence to its arrival, at most, in milliseconds.
const SLACK: i64 = 4_000;

/// The downtime as one job saw it.
#[derive(Debug)]
struct Downtime<'a> {
    policy: &'a str,
    /// The instants at which nodes died, by the receiver's clock.
    deaths: [i64; 2],
    /// True when no owner died in the second death, so that nothing was decided twice.
    calm: bool,
    ledger: BTreeMap<i64, LedgerEntry>,
    arrivals: Vec<&'a Arrival>,
}

impl Downtime<'_> {
    /// True for an arrival right before a death: its sender may not have reported it any more.
    fn unreported(&self, arrival: &Arrival) -> bool {
        self.deaths.iter().any(|death| (death - 2_000..=death + TOLERANCE).contains(&arrival.at))
    }

    /// The skipped instants. An occurrence that was sent and not reported may be skipped in the
    /// ledger although it came.
    fn skipped(&self) -> Vec<i64> {
        let skipped = self.ledger.iter().filter(|(_, entry)| entry.state == "skipped");
        let mut found = Vec::new();
        for (at, entry) in skipped {
            assert_eq!(entry.reason, "misfire", "{}", self.policy);
            let mut came = self.arrivals.iter().filter(|a| a.scheduled == *at);
            assert!(came.all(|a| self.unreported(a)), "{}: {at} came\n{self:?}", self.policy);
            found.push(*at);
        }
        found
    }

    /// The lag of the first occurrence that was caught up, by the receiver's clock.
    fn first(&self) -> i64 {
        let last_skipped = self.skipped().into_iter().max().unwrap();
        let next = self.arrivals.iter().find(|a| a.scheduled == last_skipped + 1_000);
        let next = next.unwrap_or_else(|| panic!("{}: none came after the downtime", self.policy));
        next.at - next.scheduled
    }

    fn judge(&self) {
        // Each delivered occurrence was accepted, and only an unreported one came twice.
        for (at, entry) in &self.ledger {
            let came = self.arrivals.iter().filter(|a| a.scheduled == *at && a.accepted);
            let came: Vec<_> = came.collect();
            assert!(
                entry.state != "delivered" || !came.is_empty(),
                "{}: {at} never came",
                self.policy
            );
            let twice = came.iter().rev().skip(1).any(|a| !self.unreported(a));
            assert!(!twice, "{}: {at} came twice\n{self:?}", self.policy);
        }
        let within = |least: i64, most: i64| {
            let late = self.first();
            let least = if self.calm { least - TOLERANCE } else { -TOLERANCE };
            let range = least..=most + SLACK;
            assert!(range.contains(&late), "{}: the first is {late} ms late", self.policy);
        };
        match self.policy {
            // The newest one that was due.
            "latest" => within(0, 1_000),
            // The first one within the grace.
            "skip" => within(0, GRACE),
            // The newest three of those past the grace: the oldest of them was due at least two
            // periods before it.
            "all 3" => within(GRACE + 2_000, GRACE + 3_000),
            _ => assert!(self.skipped().is_empty(), "all are caught up"),
        }
    }
}

fn policies() -> [(&'static str, Value); 4] {
    [
        ("latest", json!({"policy": "latest", "grace": "1s"})),
        ("all", json!({"policy": "all", "grace": "1s"})),
        ("all 3", json!({"policy": "all", "grace": "1s", "max": 3})),
        ("skip", json!({"policy": "skip", "grace": "1s"})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn all_were_down_for_longer_than_the_grace() {
    let mut fixture = DeliveryFixture::start().await;
    // The ids of each kind span shards of both owners.
    let mut jobs: Vec<(&str, Planned)> = Vec::new();
    for (policy, misfire) in policies() {
        let job = fixture.batched(json!({"spec": "@every 1s", "misfire": misfire}));
        let made = fixture.cluster.jobs(fixture.others[0], &vec![job; 80].into()).await;
        jobs.extend(planned(&made).into_iter().map(|plan| (policy, plan)));
    }
    fixture
        .arrives("all of them fire", |seen| {
            jobs.iter().all(|(_, plan)| seen.iter().any(|a| a.job == plan.job))
        })
        .await;
    fixture.cluster.kill_all();
    let killed = now();
    fixture.past(killed + 7_000).await;

    // The first attempts fail, so that results are being recorded when the leader dies.
    fixture.receiver.script(move |request: &Request| {
        let first = request.header("scheduler-attempt") == "1";
        Some(respond(if first && request.at < killed + 30_000 { 503 } else { 200 }))
    });
    for id in 1..=3 {
        fixture.cluster.spawn(id);
    }
    for id in 1..=3 {
        fixture.cluster.ready(id).await;
    }
    let caught_up = |a: &Arrival| a.at > killed && a.scheduled < killed + 5_000;
    fixture.arrives("something is caught up", |seen| seen.iter().any(caught_up)).await;
    let mut leader = None;
    for id in 1..=3 {
        leader = leader.or(fixture.cluster.leader(id).await);
    }
    let leader = leader.unwrap();
    let status = fixture.cluster.get(leader, "/api/v1/cluster/status").await;
    let calm = |job: u64| {
        let shard = &status["shards"][usize::from(shard_of(job))];
        shard["owner"] != leader && shard["closing"].is_null()
    };
    fixture.cluster.kill(leader);
    let deaths = [killed, now()];
    fixture.next_leader(leader % 3 + 1, leader).await;
    fixture.receiver.script(|_| None);
    fixture.cluster.restart(leader).await;
    let until = now();

    for (policy, plan) in jobs.iter().step_by(26) {
        let ledger = fixture.accounted(plan, until).await;
        let seen = fixture.receiver.arrivals();
        let arrivals = seen.iter().filter(|a| a.job == plan.job).collect();
        Downtime { policy, deaths, calm: calm(plan.job), ledger, arrivals }.judge();
    }
    for arrival in fixture.receiver.arrivals() {
        assert!(arrival.at + TOLERANCE >= arrival.scheduled, "early: {arrival:?}");
    }
    fixture.assert_same_state().await;
}
