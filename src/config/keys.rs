//! The table of keys: their names in the file and in the environment, old names included. Used by
//! `layers` alone; it knows no types and no defaults (those are in `build` and the example).

use super::files;

/// The prefix of all variables of ours.
pub(super) const PREFIX: &str = "SCHEDULER0_";

/// A configuration key.
pub(super) struct Key {
    /// The name in the file.
    pub(super) name: &'static str,
    /// The name in the environment, without the prefix.
    pub(super) variable: &'static str,
}

const fn key(name: &'static str, variable: &'static str) -> Key {
    Key { name, variable }
}

/// Every key, in the order of `config.yml.example`.
pub(super) const KEYS: &[Key] = &[
    key("LogLevel", "LOGLEVEL"),
    key("LogFormat", "LOG_FORMAT"),
    key("Protocol", "PROTOCOL"),
    key("Host", "HOST"),
    key("Port", "PORT"),
    key("NodeId", "NODE_ID"),
    key("NodeAdvAddress", "NODE_ADV_ADDRESS"),
    key("Bootstrap", "BOOTSTRAP"),
    key("RaftAddress", "RAFT_ADDRESS"),
    key("Replicas", "REPLICAS"),
    key("DataDir", "DATA_DIR"),
    key("BackupDir", "BACKUP_DIR"),
    key("RaftTransportMaxPool", "RAFT_TRANSPORT_MAX_POOL"),
    key("RaftTransportTimeout", "RAFT_TRANSPORT_TIMEOUT"),
    key("RaftApplyTimeout", "RAFT_APPLY_TIMEOUT"),
    key("RaftSnapshotInterval", "RAFT_SNAPSHOT_INTERVAL"),
    key("RaftSnapshotThreshold", "RAFT_SNAPSHOT_THRESHOLD"),
    key("RaftHeartbeatTimeout", "RAFT_HEARTBEAT_TIMEOUT"),
    key("RaftElectionTimeout", "RAFT_ELECTION_TIMEOUT"),
    key("PeerConnectRetryMax", "PEER_CONNECT_RETRY_MAX"),
    key("PeerConnectRetryDelay", "PEER_CONNECT_RETRY_DELAY_SECONDS"),
    key("PeerAuthRequestTimeoutMs", "PEER_AUTH_REQUEST_TIMEOUT_MS"),
    key("JobExecutionTimeout", "JOB_EXECUTION_TIMEOUT"),
    key("MaxJobTimeout", "MAX_JOB_TIMEOUT"),
    key("JobExecutionRetryDelay", "JOB_EXECUTION_RETRY_DELAY"),
    key("JobExecutionRetryMax", "JOB_EXECUTION_RETRY_MAX"),
    key("WorkerHeartbeatTimeoutSeconds", "WORKER_HEARTBEAT_TIMEOUT_SECONDS"),
    key("WorkerCancelTimeoutSeconds", "WORKER_CANCEL_TIMEOUT_SECONDS"),
    key("WorkerLongPollSeconds", "WORKER_LONG_POLL_SECONDS"),
    key("MaxWorkers", "MAX_WORKERS"),
    key("MaxQueue", "MAX_QUEUE"),
    key("DestinationConcurrency", "DESTINATION_CONCURRENCY"),
    key("DestinationRatePerSecond", "DESTINATION_RATE_PER_SECOND"),
    key("BreakerFailures", "BREAKER_FAILURES"),
    key("BreakerCooldownSeconds", "BREAKER_COOLDOWN_SECONDS"),
    key("HTTPExecutorPayloadMaxSizeMb", "HTTP_EXECUTOR_PAYLOAD_MAX_SIZE_MB"),
    key("RefuseLoopbackTargets", "REFUSE_LOOPBACK_TARGETS"),
    key("RefusePrivateTargets", "REFUSE_PRIVATE_TARGETS"),
    key("TargetPolicy", "TARGET_POLICY"),
    key("AllowedTargets", "ALLOWED_TARGETS"),
    key("EgressProxy", "EGRESS_PROXY"),
    key("MaxMemory", "MAX_MEMORY"),
    key("ExecutionLogFetchFanIn", "EXECUTION_LOG_FETCH_FAN_IN"),
    key("ExecutionLogFetchIntervalSeconds", "EXECUTION_LOG_FETCH_INTERVAL_SECONDS"),
    key("HistoryMaxDays", "HISTORY_MAX_DAYS"),
    key("HistoryMaxBytesMb", "HISTORY_MAX_BYTES_MB"),
    key("DeadLettersMaxDays", "DEAD_LETTERS_MAX_DAYS"),
    key("AuditMaxDays", "AUDIT_MAX_DAYS"),
    key("AuditMaxBytesMb", "AUDIT_MAX_BYTES_MB"),
    key("DiskReserveMb", "DISK_RESERVE_MB"),
    key("EventBufferMb", "EVENT_BUFFER_MB"),
    key("MaxConnections", "MAX_CONNECTIONS"),
    key("ConnectionsPerAddress", "CONNECTIONS_PER_ADDRESS"),
    key("ApiRatePerSecond", "API_RATE_PER_SECOND"),
    key("AllowedOrigin", "ALLOWED_ORIGIN"),
    key("MetricsAuth", "METRICS_AUTH"),
    key("RequireKeyScopes", "REQUIRE_KEY_SCOPES"),
    key("Ui", "UI"),
    key("PublicUrl", "PUBLIC_URL"),
    key("AllowInsecureSignIn", "ALLOW_INSECURE_SIGN_IN"),
    key("OidcIssuers", "OIDC_ISSUERS"),
    key("OidcIssuer", "OIDC_ISSUER"),
    key("OidcAudience", "OIDC_AUDIENCE"),
    key("OidcClientId", "OIDC_CLIENT_ID"),
    key("SecretKey", "SECRET_KEY"),
    key("AuthUsername", "AUTH_USERNAME"),
    key("AuthPassword", "AUTH_PASSWORD"),
];

/// Other names that mean the same key.
const ALIASES: &[(&str, &str)] = &[
    ("PeerConnectRetryDelaySeconds", "PeerConnectRetryDelay"),
    ("PEER_CONNECT_RETRY_DELAY", "PeerConnectRetryDelay"),
];

/// Keys of the original that mean nothing here: accepted, with a warning.
const LEGACY: &[(&str, &str)] = &[
    ("JobInvocationDebounceDelay", "JOB_INVOCATION_DEBOUNCE_DELAY"),
    ("JobQueueDebounceDelay", "JOB_QUEUE_DEBOUNCE_DELAY"),
    ("ExecutionLogFetchInterval", "EXECUTION_LOG_FETCH_INTERVAL"),
];

/// The similarity to a known variable from which on an unknown one is taken for a spelling mistake;
/// a difference of one letter always is. Others may belong to another program (a client's
/// `SCHEDULER0_API_KEY`).
const SLIP: f64 = 0.8;
/// The keys that may be in files of their own.
pub(super) const SECRETS: [&str; 4] = ["SecretKey", "AuthUsername", "AuthPassword", "EgressProxy"];

/// The result of looking up a name.
pub(super) enum Name {
    /// A key of ours.
    Known(&'static Key),
    /// A key of the original that has no meaning here.
    Legacy(&'static str),
    /// An unknown name, with the most similar known one, if any is similar.
    Unknown(Option<String>),
}

/// The environment variable of a key, by its name in the file; `None` if there is no such key.
pub fn environment_name(key: &str) -> Option<String> {
    KEYS.iter().find(|k| k.name == key).map(|k| format!("{PREFIX}{}", k.variable))
}

/// The key whose secret is in the file that a variable names: `SCHEDULER0_SECRET_KEY_FILE`.
pub(super) fn in_secret_file(variable: &str) -> Option<&'static Key> {
    let name = variable.strip_prefix(PREFIX)?.strip_suffix(files::SUFFIX)?;
    KEYS.iter().find(|k| k.variable == name && SECRETS.contains(&k.name))
}

/// The variable that names a file with a secret, by the secret's key; `None` for other keys.
pub(super) fn secret_file_of(key: &str) -> Option<String> {
    Some(format!("{}{}", environment_name(key).filter(|_| is_secret(key))?, files::SUFFIX))
}

/// Returns whether no message may show the value of a key.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.contains(&key)
}

/// Looks up a name from the file or a flag; its case does not matter.
pub(super) fn in_file(name: &str) -> Name {
    if let Some(key) = KEYS.iter().find(|k| k.name.eq_ignore_ascii_case(name)) {
        return Name::Known(key);
    }
    let names = || KEYS.iter().map(|k| k.name.to_owned());
    aliased(name).unwrap_or_else(|| Name::Unknown(nearest(name, names(), 0.6)))
}

/// Looks up a variable by its full name.
pub(super) fn in_environment(variable: &str) -> Name {
    let name = variable.strip_prefix(PREFIX).unwrap_or(variable);
    if let Some(key) = KEYS.iter().find(|k| k.variable == name) {
        return Name::Known(key);
    }
    let secrets = KEYS.iter().filter(|k| is_secret(k.name));
    let in_files = secrets.map(|k| format!("{}{}", k.variable, files::SUFFIX));
    let names = KEYS.iter().map(|k| k.variable.to_owned()).chain(in_files);
    aliased(name).unwrap_or_else(|| {
        Name::Unknown(nearest(name, names, SLIP).map(|name| format!("{PREFIX}{name}")))
    })
}

fn aliased(name: &str) -> Option<Name> {
    let alias = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
    if let Some((_, target)) = alias {
        return KEYS.iter().find(|k| k.name == *target).map(Name::Known);
    }
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    LEGACY.iter().find(|(file, variable)| is(file) || is(variable)).map(|(f, _)| Name::Legacy(f))
}

/// The name most like one, if it is as much like it as that, or a letter away.
fn nearest(name: &str, known: impl Iterator<Item = String>, at_least: f64) -> Option<String> {
    let lower = name.to_lowercase();
    let like = |known: &str| strsim::normalized_damerau_levenshtein(&lower, &known.to_lowercase());
    let near = |known: &str| strsim::damerau_levenshtein(&lower, &known.to_lowercase()) <= 1;
    known
        .map(|known| (like(&known), known))
        .filter(|(likeness, known)| *likeness >= at_least || near(known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A Kubernetes service called `scheduler0` puts `SCHEDULER0_PORT=tcp://10.0.0.1:9091` and its like
/// into every pod beside it; another protocol has its own scheme there.
pub(super) fn is_service_link(variable: &str, value: &str) -> bool {
    value.starts_with("tcp://")
        || (variable.contains("_PORT") && value.contains("://"))
        || variable.contains("_SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || variable.contains("_TCP_")
}
