//! The configuration as people read it: each key with its value and origin. `cli` shows it (`config
//! show`). Of a secret it only says that it is set.

use serde_json::{Value, json};

use super::layers::{self, Layers};
use super::{Config, Error, LoadOptions, Origin, build, keys};

/// Shown in the place of a secret.
pub const MASK: &str = "(set)";

/// A key and what holds for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The name in the file.
    pub key: &'static str,
    /// The name in the environment.
    pub variable: String,
    /// The value; of a secret only that it is set.
    pub value: Value,
    /// The origin of the value, for people.
    pub from: String,
}

/// Reads and checks all layers, and lists every key in the order of the example.
pub fn settings(options: &LoadOptions) -> Result<(Config, Vec<Setting>), Error> {
    let config = build::build(layers::read(options)?, options)?;
    let layers = layers::read(options)?;
    let settings = keys::KEYS.iter().map(|key| setting(key.name, &layers, &config)).collect();
    Ok((config, settings))
}

fn setting(key: &'static str, layers: &Layers, config: &Config) -> Setting {
    let (given, origin) = layers.get(key);
    let variable = keys::environment_name(key).unwrap_or_default();
    let given = serde_json::to_value(given).unwrap_or(Value::Null);
    let empty = given.is_null() || given == "" || given == json!([]);
    if keys::is_secret(key) {
        let value = if empty { Value::from("") } else { Value::from(MASK) };
        return Setting { key, variable, value, from: origin.to_string() };
    }
    let value = held(key, config).unwrap_or_else(|| typed(given));
    let derived = *origin == Origin::Default && config.replicas.len() > 1;
    let from = match key {
        "Bootstrap" | "RaftAddress" | "NodeAdvAddress" if derived => "from Replicas".to_owned(),
        "NodeAdvAddress" if empty => "from Host and Port".to_owned(),
        "BackupDir" if empty => "from DataDir".to_owned(),
        _ => origin.to_string(),
    };
    Setting { key, variable, value, from }
}

/// The effective value of a key that is derived from others or raised to a minimum.
fn held(key: &str, config: &Config) -> Option<Value> {
    let ms = |time: std::time::Duration| Some(json!(time.as_millis() as u64));
    match key {
        "Host" => Some(json!(config.host)),
        "Bootstrap" => Some(json!(config.bootstrap)),
        "RaftAddress" => Some(json!(config.raft_address)),
        "NodeAdvAddress" => Some(json!(config.node_adv_address)),
        "BackupDir" => Some(json!(config.backup_dir)),
        "RaftSnapshotThreshold" => Some(json!(config.raft_snapshot_threshold)),
        "RaftHeartbeatTimeout" => ms(config.raft_heartbeat_timeout),
        "RaftElectionTimeout" => ms(config.raft_election_timeout),
        "PeerAuthRequestTimeoutMs" => ms(config.peer_auth_request_timeout),
        "Replicas" if config.replicas.len() > 1 => {
            let shown = config.replicas.iter().map(|r| {
                json!({"NodeId": r.node_id, "Address": r.address, "RaftAddress": r.raft_address})
            });
            Some(shown.collect())
        }
        _ => None,
    }
}

/// Numbers and truth values that came as text, from the environment or a flag, as what they are.
fn typed(value: Value) -> Value {
    match &value {
        Value::String(text) => match serde_json::from_str(text.trim()) {
            Ok(read @ (Value::Number(_) | Value::Bool(_))) => read,
            _ => value,
        },
        _ => value,
    }
}
