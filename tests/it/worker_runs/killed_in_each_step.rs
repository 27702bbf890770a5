//! The leader and an owner are killed in each step of a run: as it falls due, while it is handed
//! out, while it is performed, while its end is reported, and while it is cancelled. Each is the
//! gateway of a third of the workers' calls, too. Half of them start again at once, half when all
//! is over. Nothing is lost, and what is handed out twice has a cause.
//!
//! The moment of a death within its step is random: the program has no points to stop at.

use std::collections::BTreeSet;
use std::time::Duration;

use scheduler0::model::shard::shard_of;
use serde_json::json;

use super::faulty_workers::{Habits, Workers};
use super::fixture::QueueCluster;
use crate::harness::{TestCluster, now};

/// The runs of a step.
const RUNS: u64 = 30;

/// The step of a run in which a node is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It falls due, and its owner offers it.
    Due,
    /// Claims are answered.
    HandedOut,
    /// Workers have all of them.
    Performed,
    /// Ends are reported.
    Reported,
}

/// The node that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Leader,
    /// An owner that does not lead.
    Owner,
}

impl QueueCluster {
    /// The leader, and the owner of a job's shard.
    async fn roles(&self, ask: u64, job: u64) -> (u64, u64) {
        let shard = u64::from(shard_of(job));
        let known = async |cluster: &TestCluster| {
            let status = cluster.get(ask, "/api/v1/cluster/status").await;
            let shards = status["shards"].as_array()?.clone();
            let of = shards.iter().find(|one| one["id"].as_u64() == Some(shard))?;
            let owner = of["owner"].as_u64().filter(|owner| *owner > 0)?;
            let leader = status["leader"].as_u64().filter(|leader| *leader > 0)?;
            Some((leader, owner))
        };
        self.cluster.wait_until("a leader and an owner", known).await
    }

    /// The leader, or an owner of jobs that does not lead: a leader that was elected just now gives
    /// its shards away a moment later.
    async fn victim(&self, jobs: &BTreeSet<u64>, victim: Victim) -> u64 {
        let shards: BTreeSet<_> = jobs.iter().map(|job| u64::from(shard_of(*job))).collect();
        let known = async |cluster: &TestCluster| {
            let status = cluster.get(1, "/api/v1/cluster/status").await;
            let leader = status["leader"].as_u64().filter(|leader| *leader > 0)?;
            if victim == Victim::Leader {
                return Some(leader);
            }
            let all = status["shards"].as_array()?.clone();
            let its =
                all.iter().filter(|one| one["id"].as_u64().is_some_and(|id| shards.contains(&id)));
            let mut owners = its.filter_map(|one| one["owner"].as_u64());
            owners.find(|owner| *owner > 0 && *owner != leader)
        };
        self.cluster.wait_until("a leader, and an owner that does not lead", known).await
    }

    /// Runs of which each falls due two milliseconds after the other, and a node that is killed in
    /// one of their steps.
    async fn killed_in(
        &mut self,
        workers: &mut Workers,
        victim: Victim,
        step: Step,
    ) -> BTreeSet<u64> {
        let shared = workers.shared.clone();
        let (handed, completed) = (*shared.handed.borrow(), *shared.completed.borrow());
        let first = now() + 1_500;
        let terms = json!({"heartbeatTimeout": "5s", "retryMax": 100, "retryDelay": "100ms"});
        let jobs = self.one_offs(RUNS as usize, (first, 2), &terms).await;
        let node = self.victim(&jobs, victim).await;
        let some = rand::random_range(1..RUNS);
        match step {
            Step::Due => {
                let wait = first - now() + rand::random_range(0..80_i64);
                tokio::time::sleep(Duration::from_millis(wait.max(0) as u64)).await;
            }
            Step::HandedOut => {
                workers.reach("hand-outs", shared.handed.subscribe(), handed + some).await;
            }
            Step::Performed => {
                workers.reach("hand-outs", shared.handed.subscribe(), handed + RUNS).await;
            }
            Step::Reported => {
                workers.reach("completions", shared.completed.subscribe(), completed + some).await;
            }
        }
        workers.owner_dies();
        self.cluster.kill(node);
        let at_once = matches!(step, Step::Due | Step::Performed) == (victim == Victim::Owner);
        if at_once {
            self.cluster.restart(node).await;
        }
        workers.reach("completions", shared.completed.subscribe(), completed + RUNS).await;
        if !at_once {
            self.cluster.restart(node).await;
        }
        jobs
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn no_run_is_lost_in_whichever_step_the_leader_or_its_owner_dies() {
    let mut fixture = QueueCluster::start(3).await;
    let habits = Habits { timeout: 5_000, hangs_up: 0.0, strays: 0.0, longest: 2_000 };
    let mut workers = Workers::start(&fixture, 6, habits);
    let mut jobs = BTreeSet::new();
    for step in [Step::Due, Step::HandedOut, Step::Performed, Step::Reported] {
        for victim in [Victim::Leader, Victim::Owner] {
            println!("{victim:?} dies in {step:?}");
            jobs.extend(fixture.killed_in(&mut workers, victim, step).await);
        }
    }
    for node in 1..=3 {
        fixture.all_completed(node, jobs.len()).await;
    }
    let evidence = workers.stop().await;
    let verdict = evidence.judge();
    println!("{} hand-outs, {} of them again", evidence.hand_outs.len(), verdict.again);
    assert!(verdict.broken.is_empty(), "{:#?}", verdict.broken);
    for node in 1..=3 {
        fixture.assert_completed_once(node, &jobs).await;
    }
    fixture.cluster.assert_same_state(1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_cancel_that_was_answered_outlives_the_leader_and_the_owner() {
    let mut fixture = QueueCluster::start(3).await;
    for victim in [Victim::Leader, Victim::Owner] {
        let (node, ask, run) = loop {
            let job = fixture.create(json!({"after": "1s", "heartbeatTimeout": "1m"})).await;
            let run = fixture.claim(1, "w").await;
            fixture.becomes(&run.id, "running").await;
            let (leader, owner) = fixture.roles(1, job).await;
            if victim == Victim::Owner && owner == leader {
                assert_eq!(fixture.report(1, "w", &run, "complete").await.0, 200);
                continue;
            }
            let node = if victim == Victim::Leader { leader } else { owner };
            break (node, node % 3 + 1, run);
        };
        let (status, told) = fixture.cancel(ask, &run.run_id).await;
        assert_eq!(status, 202, "{told}");
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..40))).await;
        fixture.cluster.kill(node);
        // Its worker hears of it at another node, and confirms it there.
        let told = async |_: &TestCluster| {
            let heard = fixture.beat(ask, "w", &[&run]).await;
            assert!(heard.gone.is_empty(), "{heard:?}");
            (heard.cancel == [run.id.clone()]).then_some(())
        };
        fixture.cluster.wait_until("the worker hears of the cancel", told).await;
        let confirmed = async |_: &TestCluster| {
            let (status, body) = fixture.report(ask, "w", &run, "cancelled").await;
            assert!(matches!(status, 200 | 503), "{status}: {body}");
            (status == 200).then_some(())
        };
        fixture.cluster.wait_until("the confirm is accepted", confirmed).await;
        fixture.cluster.restart(node).await;
        fixture.becomes(&run.id, "cancelled").await;
    }
}
