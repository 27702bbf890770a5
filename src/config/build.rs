//! From layers to a [`Config`]: types, ranges, and what must agree with what. Called by
//! `Config::load` alone; reads nothing from outside but the mode of the file.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde_yaml::Value;
use zeroize::Zeroizing;

use super::keys;
use super::layers::{Layers, Origin};
use super::{
    Config, EgressProxy, Error, LoadOptions, LogFormat, LogLevel, Secrets, join_host_port, replicas,
};
use crate::disk::modes;

const MB: f64 = 1_000_000.0;
/// The longest length of time that is believed: a hundred years, in seconds.
const FOREVER: f64 = 3.2e9;
/// Below this a peer on the same machine cannot answer in time when the machine is busy.
const MIN_PEER_TIMEOUT_MS: u64 = 100;

/// Reads typed values out of the layers; collects what is worth a warning.
pub(super) struct Reader {
    pub(super) layers: Layers,
}

impl Reader {
    pub(super) fn fail(&self, key: &str, message: impl Into<String>) -> Error {
        let (_, origin) = self.layers.get(key);
        Error::Invalid { key: key.to_owned(), origin: origin.clone(), message: message.into() }
    }

    /// Where a key's value came from.
    pub(super) fn origin(&self, key: &str) -> &Origin {
        self.layers.get(key).1
    }

    fn raise<T: Display + PartialOrd + Copy>(&mut self, key: &str, value: T, least: T) -> T {
        if value >= least {
            return value;
        }
        let origin = self.origin(key).clone();
        self.layers
            .warnings
            .push(format!("{key} ({origin}): {value} is too small to work, {least} is used"));
        least
    }

    fn text(&self, key: &str) -> Result<String, Error> {
        match self.layers.get(key).0 {
            Value::String(text) => Ok(text.trim().to_owned()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Null => Ok(String::new()),
            other => Err(self.fail(key, format!("expected text, found {}", describe(other)))),
        }
    }

    /// A number that may be given as text: `Port: "9091"`, and all of the environment.
    fn number<T: FromStr>(&self, key: &str, expected: &str) -> Result<T, Error> {
        let value = self.layers.get(key).0;
        let parsed = match value {
            Value::Number(number) => number.to_string().parse().ok(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        parsed.ok_or_else(|| {
            self.fail(key, format!("expected {expected}, found {}", describe(value)))
        })
    }

    fn count<T: FromStr + PartialOrd + Display + From<u8>>(
        &self,
        key: &str,
        least: u8,
    ) -> Result<T, Error> {
        let expected = format!("a whole number, {least} or more");
        let value: T = self.number(key, &expected)?;
        if value < T::from(least) {
            return Err(self.fail(key, format!("expected {expected}, found {value}")));
        }
        Ok(value)
    }

    fn fraction(&self, key: &str, expected: &str, positive: bool) -> Result<f64, Error> {
        let value: f64 = self.number(key, expected)?;
        if !(0.0..=FOREVER).contains(&value) || (positive && value == 0.0) {
            return Err(self.fail(key, format!("expected {expected}, found {value}")));
        }
        Ok(value)
    }

    fn seconds(&self, key: &str) -> Result<Duration, Error> {
        self.fraction(key, "seconds as a number above 0", true).map(Duration::from_secs_f64)
    }

    fn seconds_or_none(&self, key: &str) -> Result<Duration, Error> {
        self.fraction(key, "seconds as a number, 0 or more", false).map(Duration::from_secs_f64)
    }

    /// More than a century counts as one.
    fn days(&self, key: &str) -> Result<Duration, Error> {
        let days = self.fraction(key, "a number of days above 0", true)?;
        Ok(Duration::from_secs_f64(days.min(36_500.0) * 86_400.0))
    }

    fn bytes(&self, key: &str, positive: bool) -> Result<u64, Error> {
        let expected =
            if positive { "a number of MB above 0" } else { "a number of MB, 0 or more" };
        Ok((self.fraction(key, expected, positive)? * MB) as u64)
    }

    fn boolean(&self, key: &str) -> Result<bool, Error> {
        let value = self.layers.get(key).0;
        match value {
            Value::Bool(value) => return Ok(*value),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => return Ok(true),
                "false" | "0" | "no" | "off" => return Ok(false),
                _ => {}
            },
            _ => {}
        }
        Err(self.fail(key, format!("expected true or false, found {}", describe(value))))
    }

    /// `host:port` with both parts there.
    pub(super) fn address(&self, key: &str, text: &str) -> Result<String, Error> {
        if split_address(text).is_some() {
            return Ok(text.to_owned());
        }
        Err(self.fail(key, format!("expected host:port, found {text:?}")))
    }

    /// `JobExecutionTimeout` and `MaxJobTimeout`.
    fn timeouts(&self) -> Result<(Duration, Duration), Error> {
        let (usual, most) = ("JobExecutionTimeout", "MaxJobTimeout");
        let (given, longest) = (self.seconds(usual)?, self.seconds(most)?);
        let limit = Config::LONGEST_TIMEOUT;
        if longest > limit {
            let message = format!("expected at most {} seconds, a day", limit.as_secs());
            return Err(self.fail(most, message));
        }
        if given > longest {
            let message = format!(
                "expected at most MaxJobTimeout, which is {} seconds; raise that too, or let work \
                 that takes longer answer 202 with Scheduler-Async: true",
                longest.as_secs_f64()
            );
            return Err(self.fail(usual, message));
        }
        Ok((given, longest))
    }

    fn retries(&self) -> Result<u32, Error> {
        let (key, most) = ("JobExecutionRetryMax", Config::MOST_RETRIES);
        let count: u32 = self.count(key, 0)?;
        if count > most {
            let message = format!("expected at most {most}, as a job may have, found {count}");
            return Err(self.fail(key, message));
        }
        Ok(count)
    }

    fn log_level(&self) -> Result<LogLevel, Error> {
        let text = self.text("LogLevel")?;
        match text.to_ascii_uppercase().as_str() {
            "ERROR" => Ok(LogLevel::Error),
            "WARN" | "WARNING" => Ok(LogLevel::Warn),
            "INFO" => Ok(LogLevel::Info),
            "DEBUG" => Ok(LogLevel::Debug),
            _ => {
                let message = format!("expected ERROR, WARN, INFO or DEBUG, found {text:?}");
                Err(self.fail("LogLevel", message))
            }
        }
    }

    fn log_format(&self) -> Result<LogFormat, Error> {
        let text = self.text("LogFormat")?;
        match text.to_ascii_lowercase().as_str() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(self.fail("LogFormat", format!("expected text or json, found {text:?}"))),
        }
    }

    fn protocol(&self) -> Result<(), Error> {
        match self.text("Protocol")?.to_ascii_lowercase().as_str() {
            "http" => Ok(()),
            "https" => {
                let message = "only http so far: put a proxy that speaks TLS in front of the node";
                Err(self.fail("Protocol", message))
            }
            other => Err(self.fail("Protocol", format!("expected http, found {other:?}"))),
        }
    }

    pub(super) fn port(&self) -> Result<u16, Error> {
        self.number("Port", "a port number from 0 to 65535")
    }

    pub(super) fn host(&self) -> Result<String, Error> {
        let host = self.text("Host")?;
        // As it stands in a URL, and in RaftAddress.
        let host =
            host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&host).to_owned();
        if host.contains(['/', ' '])
            || (host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err())
        {
            let message =
                format!("expected a name or address without protocol and port, found {host:?}");
            return Err(self.fail("Host", message));
        }
        Ok(host)
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
            let url = replicas::url(text).ok_or_else(|| {
                r.fail("NodeAdvAddress", format!("expected host:port or a URL, found {text:?}"))
            })?;
            if replicas::is_nowhere(&url) {
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
        max_workers: r.count::<u32>("MaxWorkers", 1)? as usize,
        max_queue: r.count::<u32>("MaxQueue", 1)? as usize,
        destination_concurrency: limit(r.count("DestinationConcurrency", 0)?),
        destination_rate_per_second: limit(r.count("DestinationRatePerSecond", 0)?),
        breaker_failures: r.count("BreakerFailures", 0)?,
        breaker_cooldown: r.seconds("BreakerCooldownSeconds")?,
        payload_max_bytes: r.bytes("HTTPExecutorPayloadMaxSizeMb", true)? as usize,
        refuse_loopback_targets: r.boolean("RefuseLoopbackTargets")?,
        refuse_private_targets: r.boolean("RefusePrivateTargets")?,
        egress_proxy: r.egress_proxy()?,
        max_memory: (max_memory > 0).then_some(max_memory),
        execution_log_fetch_fan_in: r.count::<u32>("ExecutionLogFetchFanIn", 1)? as usize,
        execution_log_fetch_interval: r.seconds("ExecutionLogFetchIntervalSeconds")?,
        history_max_age: r.days("HistoryMaxDays")?,
        dead_letters_max_age: r.days("DeadLettersMaxDays")?,
        history_max_bytes: r.bytes("HistoryMaxBytesMb", true)?,
        disk_reserve: r.bytes("DiskReserveMb", false)?,
        connections_per_address: limit(r.count("ConnectionsPerAddress", 0)?).map(|n| n as usize),
        allowed_origin: (!origin.is_empty()).then_some(origin),
        secrets,
        places: places(options),
        file: r.layers.file,
        warnings: r.layers.warnings,
    })
}

impl Reader {
    fn egress_proxy(&self) -> Result<Option<EgressProxy>, Error> {
        const KEY: &str = "EgressProxy";
        let text = Zeroizing::new(self.secret(KEY)?);
        if text.is_empty() {
            return Ok(None);
        }
        EgressProxy::read(&text).map(Some).map_err(|message| self.fail(KEY, message))
    }

    /// Says so where a secret stands in a file that group or others may read.
    fn warn_of_open_file(&mut self) {
        let Some(path) = self.layers.file.clone() else { return };
        let stands = |key: &&&str| *self.origin(key) == Origin::File(path.clone());
        let Some(key) = keys::SECRETS.iter().find(stands) else { return };
        if modes::is_open(&path) {
            let path = path.display();
            self.layers.warnings.push(format!(
                "{key} stands in {path}, which others may read: chmod 600 it, or put the secret into \
                 .scheduler0 or a file of its own"
            ));
        }
    }

    /// A text that no message may quote. A number is none: `1e5` reads back as 100000.
    fn secret(&self, key: &str) -> Result<String, Error> {
        match self.layers.get(key).0 {
            Value::String(_) | Value::Null => self.text(key),
            _ => Err(self.fail(key, "expected text (put it in quotes)")),
        }
    }
}

/// 0 is no limit.
fn limit(count: u32) -> Option<u32> {
    (count > 0).then_some(count)
}

/// Where `.scheduler0` is looked for: the working directory, beside the file named by `--config`,
/// beside the binary.
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

/// Host and port of `host:port`; an IPv6 host stands in brackets.
pub(super) fn split_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let sound = match bare {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', ' ', '[', ']', '@']),
    };
    sound.then_some(())?;
    Some((host, port.parse().ok()?))
}

/// A value for an error message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => format!("{text:?}"),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Tagged(tagged) => format!("a value tagged {}", tagged.tag),
    }
}
