//! A single node with queues and their jobs, whose runs a test makes by journal entries.

use std::sync::Arc;

use scheduler0::clock::{Clock as _, SystemClock, TestClock};
use scheduler0::command::{Command, Outcome};
use scheduler0::model::attempt::{JournalBatch, JournalEntry};
use scheduler0::model::delivery::Retry;
use scheduler0::model::members::Members;
use scheduler0::model::offer::{Offer, Taken};
use scheduler0::model::run::{Occurrence, Phase};
use scheduler0::model::run_report::{RunReport, Said};
use scheduler0::model::run_terms::{BusKind, RunTerms};
use scheduler0::model::shard::{Move, MoveKind, SHARDS, shard_of};
use scheduler0::model::time::parse_rfc3339;
use serde_json::json;

use super::api::ApiFixture;

/// A node with a queue `emails` (1), a queue `reports` (2), and jobs: 1 to 4 of the first queue, 5
/// of the second, 6 by HTTP.
pub(crate) struct RunsFixture {
    pub(crate) api: Arc<ApiFixture>,
    /// The first scheduled instant of the jobs.
    pub(crate) at: i64,
    journaled: u64,
}

impl RunsFixture {
    /// Starts the node, which owns all shards.
    pub(crate) async fn new() -> Self {
        Self::with(ApiFixture::build().await).await
    }

    /// Starts the node on a clock that stands still: nothing is answered because its time is over,
    /// so that what waits must be woken.
    pub(crate) async fn at_a_standstill() -> Self {
        let now = SystemClock.wall();
        Self::with(ApiFixture::build_by(TestClock::new(now)).await).await
    }

    async fn with(api: ApiFixture) -> Self {
        let api = Arc::new(api);
        let project = api.project().await;
        for name in ["emails", "reports"] {
            let queue = json!({"name": name, "type": "worker", "worker": {"bus": "embedded"}});
            let made = api.post("/api/v1/executors", queue).await;
            assert_eq!(made.status, 201, "{}", made.json);
        }
        let of_queue = |queue: u64, name: &str| {
            json!({"projectId": project, "spec": "@every 1m", "timezone": "UTC",
                   "executorId": queue, "externalId": name})
        };
        let names = ["one", "two", "three", "four"];
        let mut jobs: Vec<_> = names.iter().map(|name| of_queue(1, name)).collect();
        jobs.push(of_queue(2, "five"));
        let made = api.post("/api/v1/jobs", json!(jobs)).await;
        assert_eq!(made.status, 202, "{}", made.json);
        let by_http = json!({"projectId": project, "spec": "@every 1m", "timezone": "UTC",
                             "callbackUrl": "http://localhost:3000/callback"});
        let made = api.post("/api/v1/jobs", by_http).await;
        assert_eq!(made.status, 202, "{}", made.json);
        let owns = |shard| Move { shard, to: 1, expects: 0, kind: MoveKind::TakeOver };
        let moves = Command::Assign((0..SHARDS).map(owns).collect());
        let outcome = api.cluster().propose(moves).await.unwrap();
        assert_eq!(outcome, Outcome::Assigned(SHARDS.into()));
        let shown = api.get("/api/v1/jobs/1").await.json["data"].clone();
        let at = parse_rfc3339(shown["nextExecutionDate"].as_str().unwrap()).unwrap();
        Self { api, at, journaled: 0 }
    }

    /// The planned occurrence of a job, so many minutes after the first.
    pub(crate) fn of(&self, job: u64, minute: i64) -> Occurrence {
        Occurrence { job, scheduled: self.at + minute * 60_000, run: 0 }
    }

    /// The collector records entries of the node's journal.
    pub(crate) async fn journal(&mut self, entries: Vec<JournalEntry>) {
        let (node, incarnation, first) = (1, 9, self.journaled + 1);
        self.journaled += entries.len() as u64;
        let batch = JournalBatch { node, incarnation, first, entries };
        let outcome = self.api.cluster().propose(Command::Record(batch)).await.unwrap();
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    }

    /// Puts an occurrence on offer in queue 1.
    pub(crate) async fn offer(&mut self, of: Occurrence) {
        self.journal(vec![JournalEntry::Offered(offer(of))]).await;
    }

    /// Lets a worker claim an occurrence.
    pub(crate) async fn take(&mut self, of: Occurrence, worker: &str) {
        self.journal(vec![JournalEntry::Taken(taken(offer(of), worker))]).await;
    }

    /// Reports as the supervisor or a consumer of a broker does.
    pub(crate) async fn say(&self, of: Occurrence, said: Said) {
        let report = RunReport { occurrence: of, attempt: 1, worker: String::new(), said };
        let command = Command::ReportRuns { reports: vec![report] };
        let outcome = self.api.cluster().propose(command).await.unwrap();
        assert!(matches!(outcome, Outcome::Reports(_)), "{outcome:?}");
    }
}

/// The terms of a run of queue 1: two retries.
pub(crate) fn terms() -> RunTerms {
    let retry = Retry { max: 2, delay: 5_000, factor: 1_000, max_delay: 5_000 };
    RunTerms { queue: "emails".into(), ..RunTerms::new(BusKind::Embedded, 1, retry) }
}

/// The offer of one occurrence in queue 1, in epoch 1.
pub(crate) fn offer(of: Occurrence) -> Offer {
    let Occurrence { job, scheduled, run } = of;
    Offer {
        project: 1,
        shard: shard_of(job),
        epoch: 1,
        due: scheduled,
        scheduled,
        run,
        attempt: 1,
        pending: None,
        members: Members::from_sorted([job]),
        terms: terms(),
    }
}

/// The claim of a worker.
pub(crate) fn taken(offer: Offer, worker: &str) -> Taken {
    let started = offer.due + 10;
    Taken { offer, phase: Phase::Running, worker: worker.into(), started }
}
