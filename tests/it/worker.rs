//! The worker on a real single-node cluster, with real store, journal, executor and lease holder.
//! The test is the coordinator: it grants the lease and records the journal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use scheduler0::bus::rabbitmq::{RabbitMq, RabbitMqOptions};
use scheduler0::clock::{SchedulerTime, SystemClock};
use scheduler0::cluster::Cluster;
use scheduler0::command::{Command, CreateJobs, NewJob, NewProject, Outcome, Reported};
use scheduler0::delivery::call_queue::CallQueue;
use scheduler0::delivery::destination_queues::QueueOptions;
use scheduler0::executor;
use scheduler0::journal::{self, Journal};
use scheduler0::metrics::Metrics;
use scheduler0::model::attempt::{JournalBatch, JournalEntry};
use scheduler0::model::claim::{ClaimOrder, ClaimRequest, ClaimedRun, HandedOut, QueueWant};
use scheduler0::model::job::{JobDefinition, JobStatus};
use scheduler0::model::lease::{Answer, Facts, Grant, Position};
use scheduler0::model::offer::Offer;
use scheduler0::model::run_report::{RunReport, RunState, Said};
use scheduler0::model::shard::{Move, MoveKind, SHARDS};
use scheduler0::model::target::Executor;
use scheduler0::secret::Keys;
use scheduler0::store::{runs, shards};
use scheduler0::worker::lease::{Holder, stated_watermarks};
use scheduler0::worker::{Deps, LeaseGuard, MISFIRE_GRACE, NotRunning, Options, Worker};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::harness::{LIMIT, RaftCluster, poll_interval};

/// Job and execution id of each job of each call.
type Calls = Arc<watch::Sender<Vec<(u64, String)>>>;

async fn take(State(calls): State<Calls>, body: axum::body::Bytes) {
    let list: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
    calls.send_modify(|all| {
        all.extend(list.iter().map(|job| {
            (job["id"].as_u64().unwrap(), job["execution_id"].as_str().unwrap().to_owned())
        }));
    });
}

async fn receiver() -> (String, Calls) {
    let calls: Calls = Arc::new(watch::Sender::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/callback", listener.local_addr().unwrap());
    let router = axum::Router::new()
        .route("/callback", post(take))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::clone(&calls));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, calls)
}

/// A definition of jobs that fall due each second.
fn each_second() -> JobDefinition {
    JobDefinition {
        project: 1,
        spec: "@every 1s".to_owned(),
        period: Some(1_000),
        timezone: "UTC".to_owned(),
        execution_type: "http".to_owned(),
        ..JobDefinition::default()
    }
}

async fn create(cluster: &Cluster, definition: JobDefinition, jobs: u64) {
    let job = |i| NewJob {
        definition: 0,
        data: format!("{i}"),
        status: JobStatus::Active,
        ..NewJob::default()
    };
    let command = Command::CreateJobs(CreateJobs {
        request: 1,
        definitions: vec![definition],
        jobs: (0..jobs).map(job).collect(),
        staged: false,
    });
    let outcome = cluster.propose(command).await.unwrap();
    assert!(matches!(outcome, Outcome::Jobs { .. }), "{outcome:?}");
}

/// Grants a lease for a minute.
fn grant(guard: &LeaseGuard) {
    let applied = Position::default();
    let facts = Facts { applied, has_room: true, draining: false, memory: 0, journaled: 0 };
    let renewal = guard.renewal(1, facts);
    let grant = Grant {
        ttl: 60_000,
        needs_index: 0,
        commit_index: 0,
        log_time: renewal.facts.applied.stamp,
    };
    let answered = guard.answered(
        1,
        &Answer {
            term: renewal.term,
            boot: renewal.boot,
            number: renewal.number,
            verdict: Ok(grant),
            release: Vec::new(),
            clock_error: 0,
        },
    );
    assert!(answered.granted);
}

/// Proposes what the journal holds, as the coordinator would.
async fn collect(cluster: &Cluster, journal: &Journal) {
    let page = journal.read(journal.state().forgotten, 512 << 10);
    let Some(last) = (page.entries.len() as u64).checked_sub(1) else { return };
    let (incarnation, first, entries) = (page.incarnation, page.first, page.entries);
    let batch = JournalBatch { node: 1, incarnation, first, entries };
    cluster.propose(Command::Record(batch)).await.unwrap();
    journal.forget(incarnation, first + last);
}

/// A node of one, whose coordinator is the test.
struct WholeNode {
    cluster: Cluster,
    journal: Journal,
    guard: Arc<LeaseGuard>,
    metrics: Arc<Metrics>,
    time: Arc<SchedulerTime>,
    worker: Worker,
    _raft: RaftCluster,
    _folder: tempfile::TempDir,
}

impl WholeNode {
    /// Starts a node that owns all shards, with one project, and has no lease yet.
    async fn start() -> Self {
        let raft = RaftCluster::build(1).await;
        raft.leader().await;
        let cluster = raft.node(1).clone();
        let (name, description) = ("p".to_owned(), "d".to_owned());
        let project = NewProject { name, description, by: None, ..NewProject::default() };
        cluster.propose(Command::CreateProject(project)).await.unwrap();
        let take = |shard| Move { shard, to: 1, expects: 0, kind: MoveKind::TakeOver };
        cluster.propose(Command::Assign((0..SHARDS).map(take).collect())).await.unwrap();

        let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
        let folder = tempfile::tempdir().unwrap();
        let (journal, unforgotten) =
            Journal::open(folder.path(), journal::Options::default()).unwrap();
        let holder = Holder::new(1, 1, 1, 0, stated_watermarks(&unforgotten));
        let guard = LeaseGuard::new(1, holder, Arc::clone(&time));
        tokio::spawn(Arc::clone(&guard).follow(cluster.clone()));
        let metrics = Arc::new(Metrics::new());
        let options = Options {
            node: 1,
            max_queue: 1_024,
            retry_max: 3,
            retry_delay: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            max_timeout: Duration::from_mins(5),
            heartbeat_timeout: Duration::from_mins(1),
            cancel_timeout: Duration::from_mins(1),
            misfire_grace: MISFIRE_GRACE,
        };
        let keys = Arc::new(Keys::new(&"5e".repeat(32), "u", "p").unwrap());
        let executors = executor::registry(
            executor::Options::default(),
            metrics.messages.clone(),
            &keys,
            time.clock(),
        )
        .unwrap();
        let bus = RabbitMq::new(RabbitMqOptions {
            connections: executor::Options::default(),
            messages: metrics.messages.clone(),
            metrics: metrics.bus.clone(),
            keys: Arc::clone(&keys),
            clock: Arc::clone(time.clock()),
        });
        let worker = Worker::start(
            options,
            Deps {
                store: cluster.clone(),
                bus: Arc::new(bus),
                elsewhere: Arc::new(|_| ()),
                ask_owners: Arc::new(|asked| {
                    Box::pin(std::future::ready(vec![HandedOut::Unknown; asked.len()]))
                }),
                dispatcher: CallQueue::new(executors, &QueueOptions::default(), Arc::clone(&time)),
                lease: Arc::clone(&guard),
                journal: journal.clone(),
                unforgotten,
                time: Arc::clone(&time),
                metrics: Arc::clone(&metrics),
                journal_grew: Arc::new(|| ()),
                register: scheduler0::worker::PoisonRegister::default(),
                runtime: tokio::runtime::Handle::current(),
            },
        );
        Self { cluster, journal, guard, metrics, time, worker, _raft: raft, _folder: folder }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_fire_through_a_whole_node_and_the_watermark_is_recorded() {
    const JOBS: u64 = 2_000;
    let (url, calls) = receiver().await;
    let node = WholeNode::start().await;
    let WholeNode { cluster, journal, metrics, time, worker, .. } = &node;
    create(cluster, JobDefinition { callback_url: url, ..each_second() }, JOBS).await;
    grant(&node.guard);
    let begun = time.now();

    let mut seen = calls.subscribe();
    let thrice = |all: &Vec<(u64, String)>| all.len() as u64 >= 3 * JOBS;
    timeout(LIMIT, seen.wait_for(thrice)).await.expect("three calls a job").unwrap();
    let reached = async {
        loop {
            cluster.propose(Command::Tick).await.unwrap();
            collect(cluster, journal).await;
            let shards = cluster.read(shards::all).await.unwrap();
            if shards.iter().all(|shard| shard.watermark > begun) {
                return;
            }
            poll_interval().await;
        }
    };
    timeout(LIMIT, reached).await.expect("watermarks are recorded");
    worker.stop().await;
    collect(cluster, journal).await;

    let mut all: Vec<(u64, String)> = calls.borrow().clone();
    let called = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), called, "nothing twice");
    let of = |job: u64| all.iter().filter(|call| call.0 == job).count();
    let (least, most) = (1..=JOBS).map(of).fold((usize::MAX, 0), |(l, m), n| (l.min(n), m.max(n)));
    assert!(least >= 3 && most - least <= 1, "{least}..{most}");
    let status = worker.status();
    assert_eq!((status.in_flight, status.built), (0, 0));
    let lag = metrics.lag.quantiles(time.clock().boot());
    assert!(lag.p99 < 2_000, "{lag:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_claims_and_completes_runs_of_a_whole_node() {
    const JOBS: u64 = 100;
    let node = WholeNode::start().await;
    let WholeNode { cluster, journal, worker, .. } = &node;
    let queue = Executor {
        name: "emails".to_owned(),
        kind: "worker".to_owned(),
        settings: Some(Box::new(serde_json::json!({"bus": "embedded"}))),
        ..Executor::default()
    };
    let outcome = cluster.propose(Command::CreateExecutor(queue)).await.unwrap();
    let Outcome::Created(queue) = outcome else { panic!("{outcome}") };
    create(cluster, JobDefinition { executor: Some(queue), ..each_second() }, JOBS).await;
    grant(&node.guard);
    let supervision = worker.supervision();
    let mut hints = supervision.hints();
    let ask = ClaimRequest {
        worker: "w".to_owned(),
        queues: vec![queue],
        max: 50,
        order: ClaimOrder::Fair,
        key: None,
    };
    let mut seen = BTreeSet::new();
    let claims = async {
        while seen.len() < 3 * JOBS as usize {
            let Ok(runs) = supervision.claim(ask.clone()).await else {
                // The cluster is not born here yet.
                poll_interval().await;
                continue;
            };
            if runs.is_empty() {
                supervision.want(1, vec![QueueWant { queue, for_ms: 10_000 }]);
                let (to, hint) = hints.recv().await.unwrap();
                assert_eq!((to, hint.queue), (1, queue));
                continue;
            }
            let taken = journal.read(0, 64 << 20).entries.into_iter();
            let taken: Vec<_> = taken
                .filter_map(|entry| match entry {
                    JournalEntry::Taken(taken) => Some(taken.offer),
                    _ => None,
                })
                .collect();
            for run in &runs {
                let is_its = |offer: &Offer| offer.contains(run.occurrence);
                assert!(taken.iter().any(is_its), "it is journaled: {:?}", run.occurrence);
                assert!(seen.insert(run.occurrence), "once: {:?}", run.occurrence);
            }
            collect(cluster, journal).await;
            let done = |run: &ClaimedRun| RunReport {
                occurrence: run.occurrence,
                attempt: run.attempt,
                worker: "w".to_owned(),
                said: Said::Done { result: None },
            };
            let reports = runs.iter().map(done).collect();
            let outcome = cluster.propose(Command::ReportRuns { reports }).await.unwrap();
            let Outcome::Reports(reported) = outcome else { panic!("{outcome}") };
            for told in reported {
                assert_eq!(told, Reported::Counted(RunState::Completed));
            }
        }
    };
    timeout(LIMIT, claims).await.expect("three runs a job");
    worker.stop().await;
    assert_eq!(supervision.claim(ask).await, Err(NotRunning));
    collect(cluster, journal).await;
    let kept = cluster.read(runs::all).await.unwrap();
    assert!(kept.is_empty(), "all of them are over: {kept:?}");
}
