//! A single node without a network: its cluster, its router, and requests to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use scheduler0::api::{self, AppState};
use scheduler0::app::cluster_admin::Answer as AdminAnswer;
use scheduler0::app::cluster_admin::members::{Members as MemberList, Step};
use scheduler0::app::cluster_admin::status::{Checksums, Failing, NodeStatus, Status};
use scheduler0::app::cluster_admin::{ClusterAdmin, LagByMinute};
use scheduler0::app::{App, Pressure};
use scheduler0::auth::{Auth, Oidc};
use scheduler0::clock::{Clock, SchedulerTime, SystemClock};
use scheduler0::cluster::{Cluster, Options};
use scheduler0::command::{Command, Outcome};
use scheduler0::config::{Config, LoadOptions, OidcIssuer};
use scheduler0::events::RateFeed;
use scheduler0::gateway::{Gateway, OwnReplica};
use scheduler0::metrics::{Metrics, PublishMetrics};
use scheduler0::model::NodeId;
use scheduler0::model::attempt::{AttemptRecord, JournalBatch, JournalEntry, Occurrences, Verdict};
use scheduler0::model::members::Members;
use scheduler0::model::result_code::ResultCode;
use scheduler0::model::shard::{Move, MoveKind};
use scheduler0::raft::types::Member;
use scheduler0::secret::Keys;
use scheduler0::store::meta;
use scheduler0::ui::UiState;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::raft_cluster::poll_interval;
use super::workers::MemorySupervisor;

/// The authorization of the operator: `node:pass`.
pub(crate) const OPERATOR: &str = "Basic bm9kZTpwYXNz";

/// An administration that knows a status and nothing else: the node has no others.
struct FixedStatus;

impl ClusterAdmin for FixedStatus {
    fn status(&self) -> AdminAnswer<'_, Status> {
        let failing = Failing {
            destination: "https://<b>crm.example".into(),
            since: "2026-11-20T20:18:07Z".into(),
            failures: 7,
            next_probe: "2026-11-20T20:19:07Z".into(),
        };
        let node = NodeStatus {
            id: 1,
            address: "http://a:1".into(),
            state: "leader".into(),
            failing: vec![failing],
            ..NodeStatus::default()
        };
        let status = Status {
            ttl_ms: 4_000,
            leader: Some(1),
            quorum: true,
            nodes: vec![node],
            ..Status::default()
        };
        Box::pin(async { Ok(status) })
    }

    fn lag(&self) -> AdminAnswer<'_, LagByMinute> {
        Box::pin(async { Ok(LagByMinute::new()) })
    }

    fn checksums(&self) -> AdminAnswer<'_, Checksums> {
        unsupported()
    }

    fn members(&self) -> AdminAnswer<'_, MemberList> {
        unsupported()
    }

    fn change(&self, _: Step) -> AdminAnswer<'_, NodeId> {
        unsupported()
    }
}

fn unsupported<'a, T: Send + 'a>() -> AdminAnswer<'a, T> {
    Box::pin(async { Err(scheduler0::cluster::Error::NoLeader) })
}

/// The node.
pub(crate) struct ApiFixture {
    router: Router,
    /// The use cases behind the router, for callers in this process.
    pub(crate) app: Arc<App>,
    /// Shortages of memory, disk and journal, as the test sets them.
    pub(crate) pressure: Arc<Pressure>,
    /// What waits for workers.
    pub(crate) workers: MemorySupervisor,
    /// The gateway of workers, at which 5,000 may wait.
    pub(crate) gateway: Gateway,
    /// For commands that no client can send, such as recording results.
    cluster: Cluster,
    _dir: TempDir,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The raw body.
    pub(crate) body: Vec<u8>,
    /// The body as JSON; `null` when it is none.
    pub(crate) json: Value,
}

impl Answer {
    /// The text of a header; empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl ApiFixture {
    /// Starts the node on the machine's clock.
    pub(crate) async fn build() -> Self {
        Self::build_by(Arc::new(SystemClock)).await
    }

    /// Starts the node on another clock.
    pub(crate) async fn build_by(clock: Arc<dyn Clock>) -> Self {
        Self::build_at_level(clock, scheduler0::command::LEVEL).await
    }

    /// Starts the node as a program of this level.
    pub(crate) async fn build_at_level(clock: Arc<dyn Clock>, level: u32) -> Self {
        Self::build_with(clock, level, &[]).await
    }

    /// Starts the node as a program of this level that takes access tokens of these issuers.
    pub(crate) async fn build_with(
        clock: Arc<dyn Clock>,
        level: u32,
        issuers: &[OidcIssuer],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = [("SCHEDULER0_HTTP_EXECUTOR_PAYLOAD_MAX_SIZE_MB", "1")];
        let env: BTreeMap<_, _> =
            env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let load = LoadOptions { env, work_dir: dir.path().to_owned(), ..LoadOptions::default() };
        let config = Arc::new(Config::load(&load).unwrap());
        let keys = Arc::new(Keys::new(&"ab".repeat(32), "node", "pass").unwrap());
        let gateway_clock = Arc::clone(&clock);
        let time = Arc::new(SchedulerTime::new(clock));
        let member =
            Member { raft_address: "127.0.0.1:65535".into(), address: "http://a:1".into() };
        let cluster = Cluster::start(Options {
            dir: dir.path().to_owned(),
            node: 1,
            instance: 1,
            process: scheduler0::model::process::Process::default(),
            members: vec![(1, member)],
            bootstrap: true,
            level,
            peer_token: "token".into(),
            heartbeat: Duration::from_millis(50),
            election: Duration::from_millis(150),
            snapshot_interval: Duration::from_mins(2),
            snapshot_threshold: 8_192,
            apply_timeout: Duration::from_secs(10),
            transport_timeout: Duration::from_secs(1),
            transport_pool: 1,
            time: time.clone(),
        })
        .await
        .unwrap();
        let mut auth = Auth::new(keys.clone());
        if !issuers.is_empty() {
            let oidc = Arc::new(Oidc::new(issuers, time.clone()).unwrap());
            tokio::spawn(oidc.clone().follow());
            auth = auth.with_oidc(oidc);
        }
        tokio::spawn(auth.clone().follow(cluster.clone()));
        let pressure = Arc::new(Pressure::default());
        let mut leadership = cluster.leadership();
        let led = async {
            leadership.wait_for(|l| l.me && l.first_applied).await.unwrap();
            // The first write of a leader founds the cluster.
            while cluster.read(meta::cluster_id).await.unwrap().is_none() {
                poll_interval().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), led).await.unwrap();
        let options = scheduler0::executor::Options::default();
        let executors =
            scheduler0::executor::registry(options, PublishMetrics::default(), &keys, time.clock())
                .unwrap();
        let app = App::new(cluster.clone(), keys, config, time, Arc::new(Metrics::new()), auth);
        let rates = RateFeed::default();
        tokio::spawn(rates.clone().follow(cluster.clone()));
        let workers = MemorySupervisor::new();
        let replica = Arc::new(OwnReplica::new(cluster.clone(), executors.clone()));
        let gateway = Gateway::new(Arc::new(workers.clone()), replica, gateway_clock, 5_000);
        tokio::spawn(gateway.clone().run());
        let app = app.with_executors(executors).with_gateway(gateway.clone()).with_rates(rates);
        let app = app.with_cluster_admin(Arc::new(FixedStatus)).with_pressure(pressure.clone());
        let app = Arc::new(app);
        app.readiness().follow(&cluster).await;
        let state = AppState::new(app.clone()).echo(true);
        let pages = Arc::new(UiState::new(app.clone()));
        let router = scheduler0::ui::router(api::router(state), pages);
        Self { router, app, pressure, workers, gateway, cluster, _dir: dir }
    }

    /// The node behind the API.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Sends a request with exactly these headers.
    pub(crate) async fn send_bare(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Body::from(body.as_ref().to_vec());
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Answer { status, headers, body, json }
    }

    /// Sends a request as the operator.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let mut all = vec![("x-peer", "cmd"), ("authorization", OPERATOR)];
        all.extend_from_slice(headers);
        self.send_bare(method, path, &all, body).await
    }

    /// GET as the operator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// POST as the operator.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[], body.to_string()).await
    }

    /// PUT as the operator.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, &[], body.to_string()).await
    }

    /// DELETE as the operator.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    /// Gives this node the shard of the first jobs, under epoch 1.
    pub(crate) async fn own_first_shard(&self) {
        let change = Move { shard: 0, to: 1, expects: 0, kind: MoveKind::TakeOver };
        let outcome = self.cluster.propose(Command::Assign(vec![change])).await.unwrap();
        assert_eq!(outcome, Outcome::Assigned(1));
    }

    /// Records results as the collector does; `before` results were recorded earlier.
    pub(crate) async fn record(&self, before: u64, records: Vec<AttemptRecord>) {
        let entries = records.into_iter().map(JournalEntry::Attempt).collect();
        let batch = JournalBatch { node: 1, incarnation: 1, first: before + 1, entries };
        let outcome = self.cluster.propose(Command::Record(batch)).await.unwrap();
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    }

    /// Creates a project for jobs; returns its id.
    pub(crate) async fn project(&self) -> u64 {
        let body = serde_json::json!({"name": "project", "description": "for jobs"});
        self.post("/projects", body).await.json["data"]["id"].as_u64().unwrap()
    }
}

/// A result of some of the first jobs.
pub(crate) fn attempt_record(
    jobs: &[u64],
    scheduled: i64,
    attempt: u32,
    verdict: Verdict,
) -> AttemptRecord {
    let members = Members::from_sorted(jobs.iter().copied());
    let (project, shard, epoch) = (1, 0, 1);
    let occurrences = Occurrences { project, shard, epoch, due: scheduled, scheduled, members };
    AttemptRecord {
        attempt,
        result: ResultCode::Http(500),
        duration: 5,
        error: Some("it answered 500".into()),
        response: Some("sorry".into()),
        ..AttemptRecord::attempt(occurrences, verdict)
    }
}
