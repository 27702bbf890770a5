//! The checked configuration and the types of its values. `build` makes it; `node` hands the parts
//! out.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;
use zeroize::ZeroizeOnDrop;

use super::{EgressProxy, OidcIssuer, Replica};
use crate::model::NodeId;
use crate::model::target_pattern::TargetPattern;
use crate::telemetry::{LogFormat, LogLevel};

/// `SecretKey`, `AuthUsername` and `AuthPassword` where the environment or `config.yml` gives
/// them; empty where not. `secret::Keys::load` takes the rest from `.scheduler0`.
#[derive(Clone, Default, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Secrets {
    /// 64 hex characters.
    pub secret_key: String,
    /// The username of nodes and command line.
    pub auth_username: String,
    /// The password to it.
    pub auth_password: String,
}

impl Secrets {
    /// Returns whether all three are set.
    pub fn is_complete(&self) -> bool {
        ![&self.secret_key, &self.auth_username, &self.auth_password].iter().any(|s| s.is_empty())
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("is_complete", &self.is_complete()).finish_non_exhaustive()
    }
}

/// The rule of where calls may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetPolicy {
    /// `open`: anywhere but what the `Refuse...` keys say, and what is never allowed.
    #[default]
    Open,
    /// `public`: to global addresses, and where `AllowedTargets` says.
    Public,
    /// `list`: where `AllowedTargets` says, and nowhere else.
    List,
}

/// A checked configuration. Fields are named as their keys in `config.yml.example`, which says
/// more about each; lengths of time and sizes carry their type or their unit.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent settings")]
pub struct Config {
    /// `LogLevel`.
    pub log_level: LogLevel,
    /// `LogFormat`.
    pub log_format: LogFormat,
    /// `Host`: what the API listens on.
    pub host: String,
    /// `Port`: where the API listens; 0 takes a free one.
    pub port: u16,
    /// `NodeId`: 1 or more, unique in the cluster.
    pub node_id: NodeId,
    /// `Bootstrap`: whether this node founds the cluster.
    pub bootstrap: bool,
    /// `RaftAddress`, `host:port`: where this node listens for the others.
    pub raft_address: String,
    /// `NodeAdvAddress`: the URL (no slash at its end) under which others reach this node's API.
    /// From `Replicas` or `Host` and `Port` where it isn't set.
    pub node_adv_address: String,
    /// `Replicas`: all nodes, this one too, by ascending id; one entry for a single node.
    pub replicas: Vec<Replica>,
    /// `DataDir`: where everything durable lives; relative to the working directory.
    pub data_dir: PathBuf,
    /// `BackupDir`: where the API's backups are written and nothing else of the API's is; `backups`
    /// in `DataDir` where it isn't set.
    pub backup_dir: PathBuf,
    /// `RaftTransportMaxPool`: idle connections kept to each node, at least 1.
    pub raft_transport_max_pool: usize,
    /// `RaftTransportTimeout`: to connect to a node.
    pub raft_transport_timeout: Duration,
    /// `RaftApplyTimeout`: how long a write waits for a quorum.
    pub raft_apply_timeout: Duration,
    /// `RaftSnapshotInterval`: between looks at whether a snapshot is due.
    pub raft_snapshot_interval: Duration,
    /// `RaftSnapshotThreshold`: log entries after which one is due, at least
    /// [`Config::MIN_SNAPSHOT_THRESHOLD`].
    pub raft_snapshot_threshold: u64,
    /// `RaftHeartbeatTimeout`: between heartbeats.
    pub raft_heartbeat_timeout: Duration,
    /// `RaftElectionTimeout`: lower bound of the silence before an election, at least three
    /// heartbeats; the upper bound is twice it.
    pub raft_election_timeout: Duration,
    /// `PeerConnectRetryMax`: attempts of a starting node to reach the others.
    pub peer_connect_retry_max: u32,
    /// `PeerConnectRetryDelay`: between them.
    pub peer_connect_retry_delay: Duration,
    /// `PeerAuthRequestTimeoutMs`: how long a peer has to answer.
    pub peer_auth_request_timeout: Duration,
    /// `JobExecutionTimeout`: one callback request, connecting included.
    pub job_execution_timeout: Duration,
    /// `MaxJobTimeout`: the upper bound of `JobExecutionTimeout` and of the timeouts of projects
    /// and jobs, at most [`Config::LONGEST_TIMEOUT`].
    pub max_job_timeout: Duration,
    /// `JobExecutionRetryDelay`: before the first retry; doubles from there.
    pub job_execution_retry_delay: Duration,
    /// `JobExecutionRetryMax`: retries after the first attempt, at most
    /// [`Config::MOST_RETRIES`].
    pub job_execution_retry_max: u32,
    /// `WorkerHeartbeatTimeoutSeconds`: the longest silence of a worker that claimed a run.
    pub worker_heartbeat_timeout: Duration,
    /// `WorkerCancelTimeoutSeconds`: the time in which a worker confirms a cancel.
    pub worker_cancel_timeout: Duration,
    /// `WorkerLongPollSeconds`: the longest wait of a claim for runs.
    pub worker_long_poll: Duration,
    /// `MaxWorkers`: callback requests under way at once, at least 1.
    pub max_workers: usize,
    /// `MaxQueue`: requests built and waiting, at least 1.
    pub max_queue: usize,
    /// `DestinationConcurrency`: to one destination at once; `None`: no limit of its own.
    pub destination_concurrency: Option<u32>,
    /// `DestinationRatePerSecond`: to one destination; `None`: no limit.
    pub destination_rate_per_second: Option<u32>,
    /// `BreakerFailures`: in a row, before a destination is left alone; 0: it never is.
    pub breaker_failures: u32,
    /// `BreakerCooldownSeconds`: before the first probe.
    pub breaker_cooldown: Duration,
    /// `HTTPExecutorPayloadMaxSizeMb`, in bytes.
    pub payload_max_bytes: usize,
    /// `RefuseLoopbackTargets`: refuses callbacks to the loopback.
    pub refuse_loopback_targets: bool,
    /// `RefusePrivateTargets`: refuses callbacks to private networks.
    pub refuse_private_targets: bool,
    /// `TargetPolicy`: the rule of where callbacks may go.
    pub target_policy: TargetPolicy,
    /// `AllowedTargets`: where they may go beside that.
    pub allowed_targets: Vec<TargetPattern>,
    /// `EgressProxy`: the proxy that callbacks leave by.
    pub egress_proxy: Option<EgressProxy>,
    /// `MaxMemory`, in bytes; `None`: no limit.
    pub max_memory: Option<u64>,
    /// `ExecutionLogFetchFanIn`: journals read at a time, at least 1.
    pub execution_log_fetch_fan_in: usize,
    /// `ExecutionLogFetchIntervalSeconds`: between the collector's rounds.
    pub execution_log_fetch_interval: Duration,
    /// `HistoryMaxDays`: how long executions are kept.
    pub history_max_age: Duration,
    /// `DeadLettersMaxDays`: how long dead letters are kept.
    pub dead_letters_max_age: Duration,
    /// `HistoryMaxBytesMb`, in bytes: how much of them is kept.
    pub history_max_bytes: u64,
    /// `AuditMaxDays`: how long rows of the audit are kept.
    pub audit_max_age: Duration,
    /// `AuditMaxBytesMb`, in bytes: how much of them is kept.
    pub audit_max_bytes: u64,
    /// `EventBufferMb`, in bytes: the events that are kept for readers of the event stream.
    pub event_buffer: usize,
    /// `DiskReserveMb`, in bytes: less free space than this refuses client writes; 0: never.
    pub disk_reserve: u64,
    /// `MaxConnections`: to the API at once, at least [`Config::LEAST_CONNECTIONS`].
    pub max_connections: usize,
    /// `ConnectionsPerAddress`: of one address to the API, without a credential; `None`: no limit.
    pub connections_per_address: Option<usize>,
    /// `ApiRatePerSecond`: requests of one API key that has no rate of its own; `None`: no limit.
    pub api_rate_per_second: Option<u32>,
    /// `AllowedOrigin`: the value of `Access-Control-Allow-Origin`.
    pub allowed_origin: Option<String>,
    /// `MetricsAuth`: `/metrics` answers the operator only.
    pub metrics_auth: bool,
    /// `RequireKeyScopes`: a new API key must name its scopes.
    pub require_key_scopes: bool,
    /// `Ui`: the web UI is served at `/ui`.
    pub ui: bool,
    /// `AllowInsecureSignIn`: people may sign in to the web UI over plain http from other machines.
    pub allow_insecure_sign_in: bool,
    /// `PublicUrl`: the URL at which browsers reach the web UI; `None`: that of the node they ask.
    pub public_url: Option<Url>,
    /// `OidcIssuers`, or `OidcIssuer`: whose access tokens the API takes; empty: nobody's.
    pub oidc_issuers: Vec<OidcIssuer>,
    /// The node's secrets, as far as they were configured.
    pub secrets: Secrets,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// The folders in which `.scheduler0` is searched, in this order.
    pub places: Vec<PathBuf>,
    /// Warnings about accepted values, for the log of a starting node.
    pub warnings: Vec<String>,
}

impl Config {
    /// A snapshot at every few entries would only keep the disk busy: lower values are raised.
    pub const MIN_SNAPSHOT_THRESHOLD: u64 = 1_024;

    /// The longest time for one request that can be allowed.
    pub const LONGEST_TIMEOUT: Duration = Duration::from_hours(24);

    /// The fewest connections that the API can do with.
    pub const LEAST_CONNECTIONS: u8 = 16;

    /// The most retries, as a job may say them itself.
    pub const MOST_RETRIES: u32 = 100;

    /// `Host:Port`, what the API listens on.
    pub fn listen_address(&self) -> String {
        join_host_port(&self.host, self.port)
    }

    /// The URL at which a program on this machine reaches this node's API.
    pub fn local_url(&self) -> String {
        let host = match self.host.as_str() {
            "0.0.0.0" => "127.0.0.1",
            "::" | "[::]" => "::1",
            host => host,
        };
        format!("http://{}", join_host_port(host, self.port))
    }

    /// The entry of this node in [`Config::replicas`].
    pub fn this_replica(&self) -> Option<&Replica> {
        self.replicas.iter().find(|r| r.node_id == self.node_id)
    }
}

pub(super) fn join_host_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
