//! The worker on a real single-node cluster, with real store, journal, executor and lease holder.
//! The test is the coordinator: it grants the lease and records the journal.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use scheduler0::clock::{SchedulerTime, SystemClock};
use scheduler0::cluster::Cluster;
use scheduler0::command::{Command, CreateJobs, NewJob, NewProject, Outcome};
use scheduler0::delivery::call_queue::CallQueue;
use scheduler0::delivery::destination_queues::QueueOptions;
use scheduler0::executor;
use scheduler0::journal::{self, Journal};
use scheduler0::metrics::Metrics;
use scheduler0::model::attempt::JournalBatch;
use scheduler0::model::job::{JobDefinition, JobStatus};
use scheduler0::model::lease::{Answer, Facts, Grant, Position};
use scheduler0::model::shard::{Move, MoveKind, SHARDS};
use scheduler0::secret::Keys;
use scheduler0::store::shards;
use scheduler0::worker::lease::{Holder, stated_watermarks};
use scheduler0::worker::{Deps, LeaseGuard, MISFIRE_GRACE, Options, Worker};
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

async fn create(cluster: &Cluster, url: &str, jobs: u64) {
    let definition = JobDefinition {
        project: 1,
        spec: "@every 1s".to_owned(),
        period: Some(1_000),
        timezone: "UTC".to_owned(),
        callback_url: url.to_owned(),
        execution_type: "http".to_owned(),
        ..JobDefinition::default()
    };
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

#[tokio::test(flavor = "multi_thread")]
async fn jobs_fire_through_a_whole_node_and_the_watermark_is_recorded() {
    const JOBS: u64 = 2_000;
    let raft = RaftCluster::build(1).await;
    raft.leader().await;
    let cluster = raft.node(1).clone();
    let (url, calls) = receiver().await;
    let (name, description) = ("p".to_owned(), "d".to_owned());
    let project = NewProject { name, description, by: None, ..NewProject::default() };
    cluster.propose(Command::CreateProject(project)).await.unwrap();
    let take = |shard| Move { shard, to: 1, expects: 0, kind: MoveKind::TakeOver };
    cluster.propose(Command::Assign((0..SHARDS).map(take).collect())).await.unwrap();

    let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
    let folder = tempfile::tempdir().unwrap();
    let (journal, unforgotten) = Journal::open(folder.path(), journal::Options::default()).unwrap();
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
    let worker = Worker::start(
        options,
        Deps {
            store: cluster.clone(),
            dispatcher: CallQueue::new(executors, &QueueOptions::default(), Arc::clone(&time)),
            lease: Arc::clone(&guard),
            journal: journal.clone(),
            unforgotten,
            time: Arc::clone(&time),
            metrics: Arc::clone(&metrics),
            register: scheduler0::worker::PoisonRegister::default(),
            runtime: tokio::runtime::Handle::current(),
        },
    );
    create(&cluster, &url, JOBS).await;
    grant(&guard);
    let begun = time.now();

    let mut seen = calls.subscribe();
    let thrice = |all: &Vec<(u64, String)>| all.len() as u64 >= 3 * JOBS;
    timeout(LIMIT, seen.wait_for(thrice)).await.expect("three calls a job").unwrap();
    let reached = async {
        loop {
            cluster.propose(Command::Tick).await.unwrap();
            collect(&cluster, &journal).await;
            let shards = cluster.read(shards::all).await.unwrap();
            if shards.iter().all(|shard| shard.watermark > begun) {
                return;
            }
            poll_interval().await;
        }
    };
    timeout(LIMIT, reached).await.expect("watermarks are recorded");
    worker.stop().await;
    collect(&cluster, &journal).await;

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
