//! `config init`: asks for the essentials and writes a commented `config.yml`. It checks the result
//! with the loader that a node uses before anything is written, and never touches data.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{Format, Output, say};
use super::{Failure, Global, ask};
use crate::config::{self, Config, EXAMPLE, LoadOptions};

/// The answer of who has no cluster.
const ALONE: &str = "a single node";

/// The configuration file.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Writes config.yml (or the file of --config), asking for the essentials; --set KEY=VALUE sets
    /// any other key
    Init(Init),
}

/// Flags of `config init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Asks nothing: takes the default for what no flag gives
    #[arg(long)]
    yes: bool,
    /// Replaces an existing file
    #[arg(long)]
    force: bool,
    /// This node's number, 1 or more
    #[arg(long)]
    node_id: Option<String>,
    /// What the API listens on
    #[arg(long)]
    host: Option<String>,
    /// Where the API listens
    #[arg(long)]
    port: Option<String>,
    /// host:port for the other nodes [default: from --replica]
    #[arg(long)]
    raft_address: Option<String>,
    /// Folder of the node's data
    #[arg(long)]
    data_dir: Option<String>,
    /// Whether this node founds the cluster
    #[arg(long)]
    bootstrap: Option<String>,
    /// A node of the cluster, this one too; once for each
    #[arg(long = "replica", value_name = "ID,ADDRESS,RAFT_ADDRESS")]
    replicas: Vec<String>,
}

/// Carries it out.
pub(super) fn run(command: &ConfigCommand, global: &Global, output: Output) -> anyhow::Result<()> {
    let ConfigCommand::Init(flags) = command;
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from(config::FILE));
    if path.exists() && !flags.force {
        anyhow::bail!("{} exists already; use --force to replace it", path.display());
    }
    let mut values = essentials(flags)?;
    values.extend(global.set.iter().cloned());
    let checked = Config::load(&LoadOptions { flags: values.clone(), ..LoadOptions::default() })?;
    for warning in &checked.warnings {
        say(&format!("warning: {warning}"));
    }
    // With a list of nodes, this node's address is the one in it.
    values.push(("RaftAddress".to_owned(), checked.raft_address));
    write(&path, &fill_in(&values)?)?;
    say(&format!("wrote {}", path.display()));
    say("next: `scheduler0 credential init`, then `scheduler0 start`");
    if output.format == Format::Json {
        output.json(&json!({ "file": path }))?;
    }
    Ok(())
}

/// The essentials: from flags, else asked for, else left to the default.
fn essentials(flags: &Init) -> anyhow::Result<Vec<(String, String)>> {
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
    take("Host", &flags.host, "Host that the API listens on", "127.0.0.1")?;
    take("Port", &flags.port, "Port of the API", "9091")?;
    take("DataDir", &flags.data_dir, "Folder for the data", "./data")?;
    let mut replicas = flags.replicas.clone();
    if replicas.is_empty() && !flags.yes {
        say("A cluster of several nodes? Name them all, this one too, each as \
             ID,ADDRESS,RAFT_ADDRESS (2,http://node2:9091,node2:7071), separated by blanks.");
        let answer = ask::line("Nodes", ALONE)?;
        if answer != ALONE {
            replicas.extend(answer.split_whitespace().map(str::to_owned));
        }
    }
    // A single node founds its cluster, and nobody else reaches it: the defaults will do.
    if flags.bootstrap.is_some() || !replicas.is_empty() {
        let question = "Does this node found the cluster (true on exactly one)";
        take("Bootstrap", &flags.bootstrap, question, "true")?;
    }
    if let Some(value) = &flags.raft_address {
        values.push(("RaftAddress".to_owned(), value.clone()));
    }
    if !replicas.is_empty() {
        let list = replicas.iter().map(|r| replica(r)).collect::<Result<Vec<_>, _>>()?;
        values.push(("Replicas".to_owned(), Value::Array(list).to_string()));
    }
    Ok(values)
}

fn replica(text: &str) -> Result<Value, Failure> {
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let [id, address, raft_address] = parts[..] else {
        let message = format!(
            "replica {text:?}: expected ID,ADDRESS,RAFT_ADDRESS, for example 2,http://node2:9091,node2:7071"
        );
        return Err(Failure::Usage(message));
    };
    Ok(json!({ "Address": address, "RaftAddress": raft_address, "NodeId": id }))
}

/// The example with these values in the place of its defaults; comments stay.
fn fill_in(values: &[(String, String)]) -> anyhow::Result<String> {
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let key = line.split_once(':').map(|(key, _)| key).filter(|key| !key.starts_with('#'));
        // The last one given counts, as with the layers.
        let given = key
            .and_then(|key| values.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(key)));
        match (key, given) {
            (Some("Replicas"), Some((_, json))) => {
                text.push_str("Replicas:\n");
                let list: Vec<Value> = serde_json::from_str(json)?;
                for node in list {
                    // JSON is YAML: a node a line.
                    writeln!(text, "  - {node}")?;
                }
            }
            (Some(key), Some((_, value))) => writeln!(text, "{key}: {}", scalar(key, value))?,
            _ => writeln!(text, "{line}")?,
        }
    }
    Ok(text)
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
        let replicas =
            ["1,http://n1:9091,n1:7071", "2,n2:9091,n2:7071"].map(|r| replica(r).unwrap());
        let values = [
            ("Port", "9999".to_owned()),
            ("DataDir", "/srv/a b: #c".to_owned()),
            ("allowedorigin", "*".to_owned()),
            ("AuthPassword", "1e5".to_owned()),
            ("RaftAddress", "n1:7071".to_owned()),
            ("Replicas", Value::Array(replicas.to_vec()).to_string()),
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
        assert_eq!(text.matches('#').count(), EXAMPLE.matches('#').count() + 1, "comments stay");
    }

    #[test]
    fn a_replica_has_three_parts() {
        assert!(replica("1,http://n1:9091").unwrap_err().to_string().contains("RAFT_ADDRESS"));
    }
}
