//! Everything goes down for longer than the grace: what is made up and what is skipped is what each
//! job's policy says, also when the new leader dies while it is made up.

use std::collections::BTreeMap;

use scheduler0::model::shard::shard_of;
use serde_json::{Value, json};

use super::{Stage, TOLERANCE, Word, says};
use crate::firing::planned;
use crate::oracle::{Arrival, Planned};
use crate::receiver::{Request, now};

/// How late is not too late, in milliseconds.
const GRACE: i64 = 1_000;
/// How long it may take from the judgement of what is late to its arrival, in milliseconds.
const SLACK: i64 = 4_000;

/// What was down, as one job saw it.
#[derive(Debug)]
struct Gap<'a> {
    policy: &'a str,
    /// When nodes died, by the receiver's clock.
    deaths: [i64; 2],
    /// Whether the first death was the only one of an owner: nothing was judged twice.
    calm: bool,
    ledger: BTreeMap<i64, Word>,
    arrivals: Vec<&'a Arrival>,
}

impl Gap<'_> {
    /// Whether one arrived right before its sender died, which may not have reported it any more.
    fn unreported(&self, arrival: &Arrival) -> bool {
        self.deaths.iter().any(|death| (death - 2_000..=death + TOLERANCE).contains(&arrival.at))
    }

    /// The skipped instants. What was sent and not reported any more may be skipped by the books,
    /// although it came.
    fn skipped(&self) -> Vec<i64> {
        let skipped = self.ledger.iter().filter(|(_, (state, _))| state == "skipped");
        let mut found = Vec::new();
        for (at, (_, reason)) in skipped {
            assert_eq!(reason, "misfire", "{}", self.policy);
            let mut came = self.arrivals.iter().filter(|a| a.scheduled == *at);
            assert!(came.all(|a| self.unreported(a)), "{}: {at} came\n{self:?}", self.policy);
            found.push(*at);
        }
        found
    }

    /// How late the first one came that was made up, by the receiver's clock.
    fn first(&self) -> i64 {
        let last_skipped = self.skipped().into_iter().max().unwrap();
        let next = self.arrivals.iter().find(|a| a.scheduled == last_skipped + 1_000);
        let next = next.unwrap_or_else(|| panic!("{}: none came after the gap", self.policy));
        next.at - next.scheduled
    }

    fn judge(&self) {
        // Accepted and delivered are the same, and only what a sender could not report came twice.
        for (at, (state, _)) in &self.ledger {
            let came = self.arrivals.iter().filter(|a| a.scheduled == *at && a.accepted);
            let came: Vec<_> = came.collect();
            assert!(state != "delivered" || !came.is_empty(), "{}: {at} never came", self.policy);
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
            // What was within the grace.
            "skip" => within(0, GRACE),
            // The newest three of those past the grace: the oldest of them was due before it by two
            // periods at least.
            "all 3" => within(GRACE + 2_000, GRACE + 3_000),
            _ => assert!(self.skipped().is_empty(), "all are made up"),
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
async fn all_were_down_for_longer_than_the_grace() {
    let mut stage = Stage::set().await;
    // Each kind in a run of ids that spans shards of both owners.
    let mut jobs: Vec<(&str, Planned)> = Vec::new();
    for (policy, misfire) in policies() {
        let job = stage.batched(json!({"spec": "@every 1s", "misfire": misfire}));
        let made = stage.cluster.jobs(stage.others[0], &vec![job; 80].into()).await;
        jobs.extend(planned(&made).into_iter().map(|plan| (policy, plan)));
    }
    stage
        .arrives("all of them fire", |seen| {
            jobs.iter().all(|(_, plan)| seen.iter().any(|a| a.job == plan.job))
        })
        .await;
    stage.cluster.kill_all();
    let killed = now();
    stage.past(killed + 7_000).await;

    // The first attempts fail, so that the books have work when the leader dies.
    stage.receiver.script(move |request: &Request| {
        let first = request.header("scheduler-attempt") == "1";
        Some(says(if first && request.at < killed + 30_000 { 503 } else { 200 }))
    });
    for id in 1..=3 {
        stage.cluster.spawn(id);
    }
    for id in 1..=3 {
        stage.cluster.ready(id).await;
    }
    let made_up = |a: &Arrival| a.at > killed && a.scheduled < killed + 5_000;
    stage.arrives("something is made up", |seen| seen.iter().any(made_up)).await;
    let mut leader = None;
    for id in 1..=3 {
        leader = leader.or(stage.cluster.leader(id).await);
    }
    let leader = leader.unwrap();
    let status = stage.cluster.get(leader, "/api/v1/cluster/status").await;
    let calm = |job: u64| {
        let shard = &status["shards"][usize::from(shard_of(job))];
        shard["owner"] != leader && shard["closing"].is_null()
    };
    stage.cluster.kill(leader);
    let deaths = [killed, now()];
    stage.next_leader(leader % 3 + 1, leader).await;
    stage.receiver.script(|_| None);
    stage.cluster.restart(leader).await;
    let until = now();

    for (policy, plan) in jobs.iter().step_by(26) {
        let ledger = stage.accounted(plan, until).await;
        let seen = stage.receiver.arrivals();
        let arrivals = seen.iter().filter(|a| a.job == plan.job).collect();
        Gap { policy, deaths, calm: calm(plan.job), ledger, arrivals }.judge();
    }
    for arrival in stage.receiver.arrivals() {
        assert!(arrival.at + TOLERANCE >= arrival.scheduled, "early: {arrival:?}");
    }
    stage.alike().await;
}
