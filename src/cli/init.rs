//! `config init`, `config show` and `config check`. `init` asks for the essential values and writes
//! a `config.yml` with the values that differ from the defaults; all other keys are comments. It
//! checks the result with the loader of a node before it writes. None of the three touches data.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{Output, say};
use super::{Failure, Global, ask};
use crate::config::{self, Config, EXAMPLE, LoadOptions, Replica};
use crate::secret::{self, SecretFile};

/// The answer of who has no cluster.
const ALONE: &str = "a single node";

/// The configuration file.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Writes config.yml (or the file of --config), asking for the essentials; --set KEY=VALUE sets
    /// any other key
    Init(Init),
    /// Shows every key with the value that holds, and where it came from; secrets are masked
    Show,
    /// Checks file, environment and flags as a node would at its start; exit code 2 if it would not
    /// start with them
    Check(Check),
}

/// Flags of `config check`.
#[derive(Debug, Args)]
pub struct Check {
    /// As a node that is started with --weak
    #[arg(long)]
    weak: bool,
}

/// Flags of `config init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Asks nothing: takes the default for what no flag gives
    #[arg(long)]
    yes: bool,
    /// Replaces an existing file as a whole: nothing of it is kept
    #[arg(long)]
    force: bool,
    /// This node's number, 1 or more
    #[arg(long)]
    node_id: Option<String>,
    /// The name or address that the API listens on
    #[arg(long)]
    host: Option<String>,
    /// The port of the API [default: from --replica, else 9091]
    #[arg(long)]
    port: Option<String>,
    /// host:port for the other nodes [default: from --replica]
    #[arg(long)]
    raft_address: Option<String>,
    /// Folder of the node's data
    #[arg(long)]
    data_dir: Option<String>,
    /// true if this node founds the cluster [default: true if its number is the lowest]
    #[arg(long)]
    bootstrap: Option<String>,
    /// A node of the cluster, this one too; once for each
    #[arg(long = "replica", value_name = "ID,ADDRESS,RAFT_ADDRESS")]
    replicas: Vec<String>,
    /// Takes a password of fewer than 16 characters, where --set gives one
    #[arg(long)]
    weak: bool,
}

/// Carries it out.
pub(super) fn run(command: &ConfigCommand, global: &Global, output: Output) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Init(flags) => init(flags, global, output),
        ConfigCommand::Show => show(global, output),
        ConfigCommand::Check(flags) => check(flags, global, output),
    }
}

fn init(flags: &Init, global: &Global, output: Output) -> anyhow::Result<()> {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from(config::FILE));
    if path.exists() && !flags.force {
        let message = format!("{} exists already; --force replaces it as a whole", path.display());
        return Err(Failure::Usage(message).into());
    }
    let mut values = essentials(flags, &global.set)?;
    values.extend(global.set.iter().cloned());
    // An existing file, also the one to be replaced, must not influence the new one.
    let options = LoadOptions { flags: values.clone(), no_file: true, ..LoadOptions::default() };
    let checked = Config::load(&options)?;
    for warning in &checked.warnings {
        say(&format!("warning: {warning}"));
    }
    if !checked.secrets.auth_password.is_empty() {
        secret::check_password(&checked.secrets.auth_password, flags.weak)?;
    }
    write(&path, &fill_in(&values)?)?;
    say(&format!("wrote {}", path.display()));
    say("next: `scheduler0 credential init`, then `scheduler0 start`");
    if output.is_json() {
        output.json(&json!({ "file": path }))?;
    }
    Ok(())
}

fn show(global: &Global, output: Output) -> anyhow::Result<()> {
    let (config, mut settings) = config::settings(&global.node_options())?;
    for warning in &config.warnings {
        say(&format!("warning: {warning}"));
    }
    if let Some((path, file)) = SecretFile::find(&config.places)? {
        let stored = [&file.secret_key, &file.auth_username, &file.auth_password];
        let named = ["SecretKey", "AuthUsername", "AuthPassword"];
        for (key, _) in named.iter().zip(stored).filter(|(_, stored)| !stored.is_empty()) {
            let unset = settings.iter_mut().find(|s| s.key == *key && s.value == "");
            if let Some(setting) = unset {
                setting.value = config::MASK.into();
                setting.from = format!("in {}", path.display());
            }
        }
    }
    let records: Vec<_> = settings
        .iter()
        .map(|s| json!({"key": s.key, "value": s.value, "from": s.from, "variable": s.variable}))
        .collect();
    let data = json!({ "file": config.file, "settings": records });
    let envelope = json!({ "data": data, "success": true });
    let columns = [("key", &["key"][..]), ("value", &["value"]), ("from", &["from"])];
    output.records(&envelope, &records, &columns)
}

fn check(flags: &Check, global: &Global, output: Output) -> anyhow::Result<()> {
    let config = global.load_for_node()?;
    for warning in &config.warnings {
        say(&format!("warning: {warning}"));
    }
    let keys = global.keys(&config)?;
    keys.check_strength(flags.weak)?;
    let nodes: Vec<_> = config.replicas.iter().map(|replica| replica.node_id).collect();
    say("a node can start with this configuration");
    output.record(&json!({"success": true, "data": {
        "file": config.file,
        "nodeId": config.node_id,
        "nodes": nodes,
        "warnings": config.warnings.len(),
        "fingerprint": keys.fingerprint(),
    }}))
}

/// The essentials: from flags, else asked for, else left to the default. With a list of nodes, this
/// node's port and whether it founds the cluster are in it.
fn essentials(flags: &Init, set: &[(String, String)]) -> anyhow::Result<Vec<(String, String)>> {
    let mut values = Vec::new();
    let mut take = |key: &str, flag: &Option<String>, question: &str, default: &str| {
        match flag {
            Some(value) => values.push((key.to_owned(), value.clone())),
            None if flags.yes => {}
            None => values.push((key.to_owned(), ask::line(question, default)?)),
        }
        anyhow::Ok(())
    };
    take("NodeId", &flags.node_id, "This node's number", "1")?;
    let mut replicas = flags.replicas.clone();
    if replicas.is_empty() && !flags.yes {
        say("A cluster of several nodes? Name them all, this one too, each as \
             ID,ADDRESS,RAFT_ADDRESS (2,http://node2:9091,node2:7071), separated by blanks.");
        let answer = ask::line("Nodes", ALONE)?;
        if answer != ALONE {
            replicas.extend(answer.split_whitespace().map(str::to_owned));
        }
    }
    let listed = list(&replicas)?;
    take("Host", &flags.host, "Host that the API listens on", "127.0.0.1")?;
    // The list of nodes has the ports.
    if listed.is_empty() || flags.port.is_some() {
        take("Port", &flags.port, "Port of the API", "9091")?;
    }
    take("DataDir", &flags.data_dir, "Folder for the data", "./data")?;
    if let Some(value) = &flags.bootstrap {
        values.push(("Bootstrap".to_owned(), value.clone()));
    }
    if let Some(value) = &flags.raft_address {
        values.push(("RaftAddress".to_owned(), value.clone()));
    }
    if listed.is_empty() {
        return Ok(values);
    }
    let said = |key: &str| {
        let given = values.iter().chain(set).rev().find(|(name, _)| name.eq_ignore_ascii_case(key));
        given.map(|(_, value)| value.clone())
    };
    let own = said("NodeId").map_or(Some(1), |id| id.trim().parse().ok());
    let mut derived = Vec::new();
    if let Some(own) = own {
        let entry = listed.iter().find(|replica| replica.node_id == own);
        if said("Port").is_none()
            && let Some(port) = entry.and_then(|entry| port_of(&entry.address))
        {
            derived.push(("Port".to_owned(), port.to_string()));
        }
        if said("Bootstrap").is_none() {
            let first = listed.iter().map(|replica| replica.node_id).min() == Some(own);
            derived.push(("Bootstrap".to_owned(), first.to_string()));
        }
    }
    values.extend(derived);
    let entry = |r: &Replica| json!({"Address": r.address, "RaftAddress": r.raft_address, "NodeId": r.node_id});
    let entries: Vec<_> = listed.iter().map(entry).collect();
    values.push(("Replicas".to_owned(), Value::Array(entries).to_string()));
    Ok(values)
}

fn list(replicas: &[String]) -> Result<Vec<Replica>, Failure> {
    replicas.iter().map(|text| replica(text)).collect()
}

/// The port of `host:port` or a URL.
fn port_of(address: &str) -> Option<u16> {
    let full =
        if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    url::Url::parse(&full).ok()?.port_or_known_default()
}

fn replica(text: &str) -> Result<Replica, Failure> {
    let wrong = |what: &str| {
        let message = format!(
            "replica {text:?}: expected ID,ADDRESS,RAFT_ADDRESS, for example 2,http://node2:9091,node2:7071{what}"
        );
        Failure::Usage(message)
    };
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let [id, address, raft_address] = parts[..] else { return Err(wrong("")) };
    let node_id = id.parse().map_err(|_| wrong("; ID is a whole number, 1 or more"))?;
    Ok(Replica { node_id, address: address.to_owned(), raft_address: raft_address.to_owned() })
}

/// The example with what differs from its defaults; all other keys are comments.
fn fill_in(values: &[(String, String)]) -> anyhow::Result<String> {
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let Some((key, default)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
            writeln!(text, "{line}")?;
            continue;
        };
        // The last value of a key counts, as with the layers.
        let given = values.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(key));
        match given {
            Some((_, json)) if key == "Replicas" => {
                text.push_str("Replicas:\n");
                let list: Vec<Value> = serde_json::from_str(json)?;
                for node in list {
                    // JSON is valid YAML; each node gets a line.
                    writeln!(text, "  - {node}")?;
                }
            }
            Some((_, value)) if !is_default(value, default) => {
                writeln!(text, "{key}: {}", scalar(key, value))?;
            }
            _ => writeln!(text, "# {line}")?,
        }
    }
    Ok(text)
}

/// Returns whether a value equals the default in the example.
fn is_default(value: &str, default: &str) -> bool {
    let default = default.trim();
    value.trim() == default || (default == "\"\"" && value.trim().is_empty())
}

/// A value as YAML: bare where that reads back as the same number, boolean or text; secrets and all
/// else quoted.
fn scalar(key: &str, value: &str) -> String {
    use serde_yaml::Value as Yaml;

    let secret = matches!(key, "SecretKey" | "AuthUsername" | "AuthPassword");
    let simple = value.chars().all(|c| c.is_ascii_alphanumeric() || "._/:-".contains(c));
    let same = match serde_yaml::from_str(value) {
        Ok(Yaml::String(text)) => text == value,
        Ok(Yaml::Number(number)) => number.to_string() == value,
        Ok(Yaml::Bool(boolean)) => boolean.to_string() == value,
        _ => false,
    };
    if simple && same && !secret { value.to_owned() } else { Value::from(value).to_string() }
}

/// Whole or not at all, and for its owner only: it may hold secrets.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    crate::secret::write_private(path, text.as_bytes())
        .map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_file_says_what_was_asked_for() {
        let replicas = json!([
            {"Address": "http://n1:9091", "RaftAddress": "n1:7071", "NodeId": 1},
            {"Address": "n2:9091", "RaftAddress": "n2:7071", "NodeId": 2},
        ]);
        let values = [
            ("Port", "9999".to_owned()),
            ("DataDir", "/srv/a b: #c".to_owned()),
            ("allowedorigin", "*".to_owned()),
            ("AuthPassword", "1e5".to_owned()),
            ("RaftAddress", "n1:7071".to_owned()),
            ("Replicas", replicas.to_string()),
        ]
        .map(|(k, v)| (k.to_owned(), v));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.yml");
        write(&path, &fill_in(&values).unwrap()).unwrap();
        let options = LoadOptions { path: Some(path.clone()), ..LoadOptions::default() };
        let c = Config::load(&options).unwrap();
        assert_eq!((c.port, c.data_dir.to_str().unwrap()), (9999, "/srv/a b: #c"));
        assert_eq!((c.allowed_origin.as_deref(), c.replicas.len()), (Some("*"), 2));
        assert_eq!(c.secrets.auth_password, "1e5");
        let text = std::fs::read_to_string(path).unwrap();
        for line in [
            "Port: 9999",
            "# MaxWorkers: 64",
            "  - {\"Address\":\"n2:9091\",\"NodeId\":2,\"RaftAddress\":\"n2:7071\"}",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        let keys = text.lines().filter(|line| !line.starts_with(['#', ' ']) && !line.is_empty());
        assert_eq!(keys.count(), values.len(), "what is as ever is a comment: {text}");
    }

    #[test]
    fn a_replica_has_three_parts() {
        assert!(replica("1,http://n1:9091").unwrap_err().to_string().contains("RAFT_ADDRESS"));
        assert!(
            replica("one,http://n1:9091,n1:1").unwrap_err().to_string().contains("whole number")
        );
    }
}
