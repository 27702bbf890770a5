//! Builds a [`Config`] out of the layers: types, ranges, and the values that must agree. Called by
//! `Config::load` and by `settings`; reads nothing from outside.

use std::path::PathBuf;
use std::time::Duration;

use super::layers::{self, Layers};
use super::reader::Reader;
use super::values::join_host_port;
use super::{Config, Error, LoadOptions, Secrets, oidc, replica, replicas, targets};

/// Below this a peer on the same machine cannot answer in time when the machine is busy.
const MIN_PEER_TIMEOUT_MS: u64 = 100;

impl Config {
    /// Reads, merges and checks all layers.
    pub fn load(options: &LoadOptions) -> Result<Self, Error> {
        build(layers::read(options)?, options)
    }
}

/// Checks everything. The order of the checks is the order of the keys in the example.
pub(super) fn build(layers: Layers, options: &LoadOptions) -> Result<Config, Error> {
    let mut r = Reader { layers };
    r.protocol()?;
    let host = r.host()?;
    let port = r.port()?;
    let node_id = r.count("NodeId", 1)?;
    let raft_address = r.text("RaftAddress")?;
    let raft_address = r.address("RaftAddress", &raft_address)?;
    let adv = r.text("NodeAdvAddress")?;
    let node_adv_address = match adv.as_str() {
        "" => format!("http://{}", join_host_port(&host, port)),
        text => {
            let url = replica::url(text).ok_or_else(|| {
                r.fail("NodeAdvAddress", format!("expected host:port or a URL, found {text:?}"))
            })?;
            if replica::is_nowhere(&url) {
                let message = format!("{text:?} is nowhere that others could reach this node at");
                return Err(r.fail("NodeAdvAddress", message));
            }
            url
        }
    };
    let bootstrap = r.boolean("Bootstrap")?;
    let cluster = replicas::read(&r, node_id, &raft_address, &node_adv_address, bootstrap)?;

    let heartbeat: u64 = r.count("RaftHeartbeatTimeout", 0)?;
    let heartbeat = r.raise("RaftHeartbeatTimeout", heartbeat, 10);
    let election: u64 = r.count("RaftElectionTimeout", 0)?;
    let election = r.raise("RaftElectionTimeout", election, heartbeat.saturating_mul(3));
    let threshold = r.count("RaftSnapshotThreshold", 1)?;
    let peer_timeout: u64 = r.count("PeerAuthRequestTimeoutMs", 0)?;
    let peer_timeout = if peer_timeout < MIN_PEER_TIMEOUT_MS {
        r.raise("PeerAuthRequestTimeoutMs", peer_timeout, 2_000)
    } else {
        peer_timeout
    };
    let (job_execution_timeout, max_job_timeout) = r.timeouts()?;
    let max_memory = r.bytes("MaxMemory", false)?;
    let origin = r.text("AllowedOrigin")?;
    let data_dir = PathBuf::from(r.text("DataDir")?);
    let backup_dir = match r.text("BackupDir")? {
        folder if folder.is_empty() => data_dir.join("backups"),
        folder => PathBuf::from(folder),
    };
    let secrets = Secrets {
        secret_key: r.secret("SecretKey")?,
        auth_username: r.secret("AuthUsername")?,
        auth_password: r.secret("AuthPassword")?,
    };
    let (target_policy, allowed_targets) = targets::read(&r)?;
    r.warn_of_open_file();

    Ok(Config {
        log_level: r.log_level()?,
        log_format: r.log_format()?,
        host,
        port,
        node_id,
        bootstrap: cluster.bootstrap,
        raft_address: cluster.raft_address,
        node_adv_address: cluster.node_adv_address,
        replicas: cluster.replicas,
        data_dir,
        backup_dir,
        raft_transport_max_pool: r.count::<u32>("RaftTransportMaxPool", 1)? as usize,
        raft_transport_timeout: r.seconds("RaftTransportTimeout")?,
        raft_apply_timeout: r.seconds("RaftApplyTimeout")?,
        raft_snapshot_interval: r.seconds("RaftSnapshotInterval")?,
        raft_snapshot_threshold: r.raise(
            "RaftSnapshotThreshold",
            threshold,
            Config::MIN_SNAPSHOT_THRESHOLD,
        ),
        raft_heartbeat_timeout: Duration::from_millis(heartbeat),
        raft_election_timeout: Duration::from_millis(election),
        peer_connect_retry_max: r.count("PeerConnectRetryMax", 0)?,
        peer_connect_retry_delay: r.seconds_or_none("PeerConnectRetryDelay")?,
        peer_auth_request_timeout: Duration::from_millis(peer_timeout),
        job_execution_timeout,
        max_job_timeout,
        job_execution_retry_delay: r.seconds_or_none("JobExecutionRetryDelay")?,
        job_execution_retry_max: r.retries()?,
        worker_heartbeat_timeout: r.seconds("WorkerHeartbeatTimeoutSeconds")?,
        worker_cancel_timeout: r.seconds("WorkerCancelTimeoutSeconds")?,
        worker_long_poll: r.seconds_or_none("WorkerLongPollSeconds")?,
        max_workers: r.count::<u32>("MaxWorkers", 1)? as usize,
        max_queue: r.count::<u32>("MaxQueue", 1)? as usize,
        destination_concurrency: limit(r.count("DestinationConcurrency", 0)?),
        destination_rate_per_second: limit(r.count("DestinationRatePerSecond", 0)?),
        breaker_failures: r.count("BreakerFailures", 0)?,
        breaker_cooldown: r.seconds("BreakerCooldownSeconds")?,
        payload_max_bytes: r.bytes("HTTPExecutorPayloadMaxSizeMb", true)? as usize,
        refuse_loopback_targets: r.boolean("RefuseLoopbackTargets")?,
        refuse_private_targets: r.boolean("RefusePrivateTargets")?,
        target_policy,
        allowed_targets,
        egress_proxy: r.egress_proxy()?,
        max_memory: (max_memory > 0).then_some(max_memory),
        execution_log_fetch_fan_in: r.count::<u32>("ExecutionLogFetchFanIn", 1)? as usize,
        execution_log_fetch_interval: r.seconds("ExecutionLogFetchIntervalSeconds")?,
        history_max_age: r.days("HistoryMaxDays")?,
        dead_letters_max_age: r.days("DeadLettersMaxDays")?,
        history_max_bytes: r.bytes("HistoryMaxBytesMb", true)?,
        audit_max_age: r.days("AuditMaxDays")?,
        audit_max_bytes: r.bytes("AuditMaxBytesMb", true)?,
        disk_reserve: r.bytes("DiskReserveMb", false)?,
        event_buffer: r.bytes("EventBufferMb", true)? as usize,
        max_connections: r.count_from("MaxConnections", Config::LEAST_CONNECTIONS)? as usize,
        connections_per_address: limit(r.count("ConnectionsPerAddress", 0)?).map(|n| n as usize),
        api_rate_per_second: limit(r.count("ApiRatePerSecond", 0)?),
        allowed_origin: (!origin.is_empty()).then_some(origin),
        metrics_auth: r.boolean("MetricsAuth")?,
        require_key_scopes: r.boolean("RequireKeyScopes")?,
        allow_insecure_sign_in: r.boolean("AllowInsecureSignIn")?,
        ui: r.boolean("Ui")?,
        public_url: r.public_url()?,
        oidc_issuers: oidc::read(&r)?,
        secrets,
        places: places(options),
        file: r.layers.file,
        warnings: r.layers.warnings,
    })
}

/// 0 is no limit.
fn limit(count: u32) -> Option<u32> {
    (count > 0).then_some(count)
}

/// The folders in which `.scheduler0` is searched: the working directory, the folder of the file
/// named by `--config`, and the folder of the binary.
fn places(options: &LoadOptions) -> Vec<PathBuf> {
    let mut places = vec![options.work_dir.clone()];
    let beside_file = options.path.as_ref().and_then(|p| p.parent());
    let beside_file = beside_file.map(|folder| options.work_dir.join(folder));
    for place in beside_file.into_iter().chain(options.binary_dir.clone()) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}
